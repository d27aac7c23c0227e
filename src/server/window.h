/* How much of one keyspace may be under way while others are at work too. What is asked beyond what keeps the partitions busy only
 * makes the line longer that all of them stand in: the log's unit, the stream to a follower, a turn's applying. So the window is WINDOW_GAIN
 * times the rate of what is answered times the least time that its partition took for an answer lately (Cardwell et al. 2016, BBR: the
 * bandwidth-delay product), or a quarter of a millisecond where that is more: with less under way the log's units become small, and what is done
 * is less by more than others gain. Sans I/O. */
#pragma once

#include "base/types.h"

#define WINDOW_GAIN      2u
#define WINDOW_DELAY_MIN (NANOS_MS / 4)
#define WINDOW_MIN_BYTES (32 * KIB) /* about 64 small writes, each counted with its request's own size */

/* The least of the last two to four seconds (a windowed minimum of two parts). Zero to start. */
struct delay {
    nanos least, before; /* of this part and of the one before; NANOS_NEVER: nothing was answered */
    nanos since;         /* when this part began */
};

void delay_note(struct delay *d, nanos now, nanos took);
nanos delay_least(const struct delay *d);

struct window { /* zero to start */
    u64 bytes;  /* that may be under way; 0: not known yet, any */
    u64 answered, work; /* bytes of this sample; bytes * nanoseconds, each times its partition's least delay */
    u64 rate, before;   /* bytes a second of the best sample, of this part and of the one before */
    nanos delay;        /* work / answered, smoothed: it follows at once when the line gets shorter */
    nanos sampled, since;
};

void window_note(struct window *w, nanos now, size_t bytes, nanos least_delay);
