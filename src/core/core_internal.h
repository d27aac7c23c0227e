/* For this folder: the state, one command under way, and what the files ask of each other. */
#pragma once

#include "base/assert.h"
#include "base/mutant.h"
#include "core/core.h"

#include <stdarg.h>

/* ---- state.c: the objects, their order, the changes of the map ---- */

struct core_change {
    u64 epoch, id;
    u8 kind;
};

struct core {
    struct store *store;
    bool founded;
    struct core_cluster cluster;
    u64 cluster_changed;
    struct core_node **nodes; /* by id */
    u32 node_count, node_cap;
    struct core_keyspace **keyspaces; /* by id */
    u32 keyspace_count, keyspace_cap;
    struct core_part **parts; /* by id */
    u32 part_count, part_cap;

    /* The last changes of the map, oldest first; a ring. Not state: a restart begins it anew. */
    struct core_change *changes;
    u32 change_first, change_count;
    u64 changes_after; /* every change of a greater epoch is in the ring */
    struct buf row;    /* scratch */
};

struct core_node *core_find_node(const struct core *c, u32 id);
struct core_keyspace *core_find_keyspace(const struct core *c, u32 id);
struct core_part *core_find_part(const struct core *c, u64 id);

void core_empty(struct core *c);
void *core_grow(void *items, u32 count, u32 *cap); /* room for one more pointer */
void core_count_replicas(struct core *c, const struct core_part *p, i32 by);

/* Add an object, owned by the core from now on. */
void core_add_node(struct core *c, struct core_node *n);
void core_add_keyspace(struct core *c, struct core_keyspace *k);
void core_add_part(struct core *c, struct core_part *p);
void core_forget_node(struct core *c, struct core_node *n);
void core_drop_part(struct core *c, struct core_part *p);         /* row and object */
void core_drop_keyspace(struct core *c, struct core_keyspace *k); /* with its partitions */

/* The place of a partition among its keyspace's, or where one beginning so would go. */
u32 core_span_index(const struct core_keyspace *k, bool is_range, u16 slot, str key);
int core_span_compare(const struct core_part *a, const struct core_part *b);

/* ---- load.c ---- */

err core_load_row(struct core *c, str key, str row); /* one object more, in any order */
MUST_USE err core_load_done(struct core *c); /* all are there: order and link them; ERR_CORRUPT */

/* ---- apply.c: one command ---- */

struct core_call {
    struct core *core;
    const struct core_command *cmd;
    enum core_status status;
    struct buf reason, result;
    bool stamped; /* the map's epoch is this command's */
};

void core_refuse(struct core_call *call, enum core_status status, const char *format, ...)
    PRINTF_LIKE(3, 4);
void core_refuse_stale(struct core_call *call, const struct core_part *p);

/* Write the object's row and note the change of the map. */
void core_save_cluster(struct core_call *call);
void core_save_node(struct core_call *call, struct core_node *n);
void core_save_keyspace(struct core_call *call, struct core_keyspace *k);
void core_save_part(struct core_call *call, struct core_part *p);
void core_save_leader(struct core_call *call, struct core_part *p); /* leaves p->epoch alone */
void core_note_gone(struct core_call *call, enum core_object_kind kind, u64 id);
void core_write_cluster(struct core *c);

typedef void (*core_handler)(struct core_call *call);
void core_do_found(struct core_call *call);
void core_do_node_join(struct core_call *call);
void core_do_node_update(struct core_call *call);
void core_do_node_drain(struct core_call *call);
void core_do_node_undrain(struct core_call *call);
void core_do_node_remove(struct core_call *call);
void core_do_ks_create(struct core_call *call);
void core_do_ks_set(struct core_call *call);
void core_do_ks_drop(struct core_call *call);
void core_do_ks_pin(struct core_call *call);
void core_do_part_begin(struct core_call *call);
void core_do_part_step(struct core_call *call);
void core_do_part_done(struct core_call *call);
void core_do_part_leader(struct core_call *call);
void core_do_settings(struct core_call *call);
void core_do_version_raise(struct core_call *call);
void core_do_id_block(struct core_call *call);

/* ---- settings.c ---- */

void core_settings_default(u64 cluster[CORE_CLUSTER_SETTINGS]);
void core_keyspace_settings_default(u64 keyspace[CORE_KEYSPACE_SETTINGS]);
/* Put the command's rows over `values`; a row that does not fit refuses the call. */
bool core_settings_take(struct core_call *call, u64 values[CORE_CLUSTER_SETTINGS]);
bool core_keyspace_settings_take(struct core_call *call, u64 values[CORE_KEYSPACE_SETTINGS],
                                 bool creating);

/* ---- nodes.c ---- */

struct core_node *core_admit_node(struct core_call *call, const struct core_node_spec *spec,
                                  u8 state);
bool core_check_spec(struct core_call *call, const struct core_node_spec *spec);
void core_note_drained(struct core_call *call, u32 node); /* if its last replica has just left */
u32 core_nodes_up(const struct core *c);

/* ---- keyspaces.c ---- */

struct core_keyspace *core_make_keyspace(struct core_call *call, str name,
                                         const u64 settings[CORE_KEYSPACE_SETTINGS]);
bool core_check_pin(struct core_call *call, u32 node); /* 0: to none. False: it is refused */

/* ---- place.c: where the replicas of a new partition go ---- */

u32 core_rack_numbers(const struct core *c,
                      u32 *out); /* of each node; nodes without a label share none */
struct core_placer;
struct core_placer *core_placer_new(const struct core *c);
void core_placer_free(struct core_placer *p);
/* Up to `want` nodes, no two alike, spread over racks, fewest replicas first; how many. The first
 * one has the fewest first places: it is the natural leader. */
u32 core_placer_next(struct core_placer *p, u32 want, struct core_node **out);

/* ---- partitions: members.c ---- */

struct core_member *core_part_member(const struct core_part *p, u32 replica);
struct core_member *core_part_member_on(const struct core_part *p, u32 node);
bool core_member_is_lost(const struct core *c, const struct core_member *m);
bool core_part_lives_on(const struct core *c, const struct core_part *p, u32 node);
void core_seat_founders(struct core_call *call, struct core_part *p);
u32 core_part_voters(const struct core_part *p);
struct core_member *core_part_add(struct core *c, struct core_part *p, const struct core_node *n,
                                  enum core_role role);
void core_part_remove(struct core *c, struct core_part *p, u32 replica);
void core_op_clear(struct core_part *p);
str core_key_copy(str key); /* owned; empty for empty */
