/* Texts people write in flags, environment and files, and the values they mean. Every parser takes
 * the whole text or refuses; out is written only on success. */
#pragma once

#include "base/types.h"
#include "server/node.h"

bool value_number(const char *text, u64 min, u64 max, u64 *out);
bool value_bytes(const char *text, u64 *out);        /* 65536, 64KB, 256MB, 1GiB: units of 1024 */
bool value_duration(const char *text, nanos *out);   /* 50ms, 1.5s, 2m */
bool value_switch(const char *text, bool *out);      /* on, off */
bool value_cluster_id(const char *text, u8 out[16]); /* 32 hex digits; dashes are skipped */
void value_print_cluster_id(const u8 id[16], char out[33]);

/* "HOST:PORT", "[::1]:PORT". */
bool value_host_port(const char *text, char host[NODE_HOST_MAX], u16 *port);

/* "1=H:P,2=H:P": ids from 1, each once. On refusal *why is the reason, a constant. */
bool value_peers(const char *text, struct node_member members[NODE_MEMBERS_MAX], u32 *count,
                 const char **why);
