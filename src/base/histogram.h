/* How long things took, in a fixed number of counters: log-linear buckets (as of HdrHistogram, Tene 2013), exact below 16 us
 * and an eighth of an octave wide above, so that a quantile is wrong by 7% at most. What takes longer than two minutes
 * counts as two minutes.
 *
 *   struct recent r = {0};
 *   recent_add(&r, now, 180);                 180 us
 *   recent_read(&r, now, &h);                 the last half minute to minute
 *   histogram_quantile(&h, 990);              the 99th percentile, in us */
#pragma once

#include "base/types.h"

#define HISTOGRAM_BUCKETS 200

struct histogram { /* zero is empty */
    u64 count;
    u32 buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, u64 us);
void histogram_add_bucket(struct histogram *h, u32 bucket, u64 count); /* as another program has counted */
void histogram_merge(struct histogram *into, const struct histogram *from);
/* The time that `per_mille` of a thousand did not exceed; 0: it is empty. */
u64 histogram_quantile(const struct histogram *h, u32 per_mille);
u32 histogram_bucket(u64 us); /* where a time is counted */

/* The same for the recent past: two histograms that take turns, so that what is read is at least RECENT_HALF old and at
 * most twice that, once there is so much of it. */
#define RECENT_HALF (30 * NANOS_SEC)

struct recent { /* zero is empty */
    struct histogram half[2];
    nanos since[2]; /* 0: empty */
    u8 at;
};

void recent_add(struct recent *r, nanos now, u64 us);
/* What is not too old by now; the result is the time it covers, 0: nothing. */
nanos recent_read(const struct recent *r, nanos now, struct histogram *out);
