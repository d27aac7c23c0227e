/* This node's share of an online backup: the cuts of the groups it leads (part/part.h: cut.c). The
 * coordinator is outside: it asks every node to hold, then every node to cut at one stamp, then
 * reads the rows from those who made them. */
#pragma once

#include "base/buf.h"
#include "server/node.h"

struct backup_group {
    u64 group;
    u64 hlc;          /* held: the greatest stamp it has given */
    u64 stamp, index; /* of its cut */
    u8 state;         /* enum part_cut_state */
};
typedef void (*backup_each_fn)(void *context, const struct backup_group *g);

#define BACKUP_HOLD_MAX                                                                            \
    (1200 * NANOS_MS) /* shorter than clients wait: a hold that is forgotten costs no error */

/* Of those led here: they stamp nothing for so long. Who is not named did not hold. */
void node_backup_hold(struct node *n, u64 id, nanos how_long, backup_each_fn each, void *context);
/* Each group that was held under this id, cut or failed. */
void node_backup_cut(struct node *n, u64 id, u64 stamp, backup_each_fn each, void *context);
void node_backup_state(struct node *n, backup_each_fn each, void *context);
void node_backup_end(struct node *n);
/* Rows as docs/formats/backup.md has them, from a cursor that begins empty. ERR_STALE: there is no
 * such cut. */
MUST_USE err node_backup_rows(struct node *n, u64 group, u64 stamp, struct buf *cursor,
                              size_t bytes, struct buf *out, u32 *rows, bool *last);
