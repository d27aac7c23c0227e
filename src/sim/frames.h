/* Duplicated and reordered Raft frames on an ordered stream: the shuffler sits where a node's bytes enter
 * the network, copies or holds back whole frames, and lets them go at a later frame boundary. Other
 * frames and partial ones pass untouched: the host relies on their order, the core must not. */
#pragma once

#include "base/buf.h"
#include "base/prng.h"
#include "sim/net.h"

#define FRAMES_HELD_MAX 8

struct frames {
    u64 left; /* bytes of the frame under way that have not passed yet */
    struct frames_held {
        nanos until;
        struct buf bytes;
    } held[FRAMES_HELD_MAX];
    u32 count;
};

/* Move `bytes` to out, perhaps with duplicates added and frames held back. Returns how many times. */
u32 frames_pass(struct frames *f, struct prng *p, const struct net_character *c, nanos now, str bytes,
                struct buf *out);
void frames_done(struct frames *f);
