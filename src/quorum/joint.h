/* Quorums of a configuration that may be changing (Ongaro 2014, §4.3): while `outgoing` is not
 * empty, every decision needs a majority of both halves. With an empty outgoing half these are
 * plain majorities, which is all a cluster of fixed members uses. */
#pragma once

#include "quorum/majority.h"

struct joint {
    u32 voters;   /* one bit per member */
    u32 outgoing; /* 0: no change under way */
};

bool joint_has(struct joint q, u32 yes);
bool joint_lost(struct joint q, u32 no);
u64 joint_reached(struct joint q, const u64 *values);
