/* The index witness: one state machine that never crashes, checkpoints, evicts or moves runs a group's whole log, and
 * must give the answers that the replicas gave and end in their state. */
#pragma once

#include "base/buf.h"
#include "sim/world.h"

struct logged { /* what the first replica to apply an index saw there */
    u64 term, entry_hash, reply_hash;
    u32 by; /* node, or replica number */
    size_t at, bytes; /* of the entry, in the log's bytes */
};

struct witness_log {
    u64 part;
    bool by_key; /* its rows are in the order of their keys */
    const struct logged *entries; /* by index - 1 */
    u64 count;
    const struct buf *bytes;
    u64 digest; /* of the replicas' state */
};

void witness_run(struct world *w, const struct witness_log *log);
