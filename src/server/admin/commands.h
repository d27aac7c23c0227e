/* What a POST asks for, as a command of the core. False: the reply says why not. The command
 * borrows from the request. */
#pragma once

#include "server/admin/admin_internal.h"

typedef bool (*admin_make_fn)(struct admin_request *r, const struct core *map,
                              struct core_command *cmd);

bool admin_make_ks_create(struct admin_request *r, const struct core *map,
                          struct core_command *cmd);
bool admin_make_ks_set(struct admin_request *r, const struct core *map, struct core_command *cmd);
bool admin_make_ks_drop(struct admin_request *r, const struct core *map, struct core_command *cmd);
bool admin_make_ks_pin(struct admin_request *r, const struct core *map, struct core_command *cmd);
bool admin_make_drain(struct admin_request *r, const struct core *map, struct core_command *cmd);
bool admin_make_undrain(struct admin_request *r, const struct core *map, struct core_command *cmd);
bool admin_make_remove(struct admin_request *r, const struct core *map, struct core_command *cmd);
bool admin_make_move(struct admin_request *r, const struct core *map, struct core_command *cmd);
bool admin_make_split(struct admin_request *r, const struct core *map, struct core_command *cmd);
bool admin_make_merge(struct admin_request *r, const struct core *map, struct core_command *cmd);
void admin_post_transfer(struct admin_request *r);
void admin_post_recover(struct admin_request *r);
bool admin_make_settings(struct admin_request *r, const struct core *map, struct core_command *cmd);
bool admin_make_version(struct admin_request *r, const struct core *map, struct core_command *cmd);
