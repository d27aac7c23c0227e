/* How the clock of a node stands to ours, from questions and answers: it told its time somewhere between when we asked
 * and when we had the answer (Cristian 1989). Nothing is averaged: the difference certainly lies between the bounds. */
#pragma once

#include "base/types.h"

#define CLOCKS_SEEN 8

struct clocks { /* zero to start */
    struct {
        i64 low, high; /* our clock minus the node's */
        nanos at;      /* of ours */
    } seen[CLOCKS_SEEN];
    u32 count;
};

/* It told its time, in microseconds. false: that contradicts what was seen before, so its clock jumped; what was seen
 * before is forgotten. */
bool clocks_see(struct clocks *c, u64 node_us, nanos asked, nanos answered);
/* Something was seen before. */
void clocks_bounds(const struct clocks *c, nanos now, i64 *low, i64 *high);
