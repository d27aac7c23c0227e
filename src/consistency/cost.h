/* What one request got and what it took, as those who served it saw it. It travels back with the answer when the
 * request asked for it (`Q.EXPLAIN`, `CLIENT PRICE ON`); nobody measures anything otherwise. */
#pragma once

#include "base/err.h"
#include "consistency/level.h"

#define COST_NODES_MAX 8
#define COST_UNKNOWN   UINT64_MAX

struct cost {
    struct level level; /* delivered: of a read; at least what was asked */
    node_id served_by;  /* whose state answered */
    u64 hlc;            /* of the state as of the answer; travels beside the cost, with every answer */
    u64 term, index;    /* the group's, as of the answer: a write's own entry; the state a read saw */
    u64 stale_us;       /* a read's state may lack writes that are at most this old; 0: linearizable; COST_UNKNOWN */
    u32 queued_us;      /* before it was proposed, or could be read */
    u32 replicated_us;  /* from the proposal until it was applied */
    u32 waited_us;      /* of a read: for the leader's word, or until the state had come far enough */
    u16 trips;          /* round trips between nodes one after the other */
    u16 flushes;        /* durable writes it waited for, on different nodes at the same time */
    bool in_memory;     /* acknowledged before it was on disk: durability=memory */
    u8 node_count;
    node_id nodes[COST_NODES_MAX]; /* a write: who has it; a confirmed read: who confirmed */
};

void cost_encode(const struct cost *c, struct buf *out);
MUST_USE err cost_decode(str bytes, struct cost *out);
