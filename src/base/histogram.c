/* See histogram.h. Buckets 0..7 are one microsecond each; of each octave [2^e, 2^(e+1)) from e = 3 on there are eight. */
#include "base/histogram.h"

#include "base/assert.h"
#include "base/mutant.h"

enum { STEPS_BITS = 3, STEPS = 1 << STEPS_BITS };

_Static_assert(HISTOGRAM_BUCKETS % STEPS == 0, "whole octaves");

u32 histogram_bucket(u64 us)
{
    if (us < STEPS) return (u32)us;
    u32 octave = 63 - (u32)__builtin_clzll(us);
    u32 bucket = (octave - STEPS_BITS + 1) * STEPS + (u32)(us >> (octave - STEPS_BITS) & (STEPS - 1));
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* The middle of a bucket. */
static u64 time_of(u32 bucket)
{
    if (bucket < STEPS) return bucket;
    u32 shift = bucket / STEPS - 1;
    u64 low = (u64)(STEPS + bucket % STEPS) << shift;
    return low + ((1ull << shift) >> 1);
}

void histogram_add_bucket(struct histogram *h, u32 bucket, u64 count)
{
    assert(bucket < HISTOGRAM_BUCKETS);
    u64 room = UINT32_MAX - h->buckets[bucket];
    u32 more = (u32)u64_min(room, count);

    h->buckets[bucket] += more;
    h->count += more;
}

void histogram_add(struct histogram *h, u64 us)
{
    histogram_add_bucket(h, histogram_bucket(us), 1);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (u32 i = 0; i < HISTOGRAM_BUCKETS; i++) histogram_add_bucket(into, i, from->buckets[i]);
}

u64 histogram_quantile(const struct histogram *h, u32 per_mille)
{
    u64 rank = u64_max((h->count * per_mille + 999) / 1000, 1), seen = 0;

    assert(per_mille <= 1000);
    for (u32 i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen >= rank) return time_of(i);
    }
    return 0;
}

/* ---- the recent past ---- */

static bool is_over(nanos since, nanos now, u32 halves)
{
    return since == 0 || now >= since + halves * RECENT_HALF;
}

void recent_add(struct recent *r, nanos now, u64 us)
{
    if (UNLIKELY(is_over(r->since[r->at], now, 1))) {
        r->at ^= 1;
        r->half[r->at] = (struct histogram){0};
        r->since[r->at] = now;
    }
    histogram_add(&r->half[r->at], us);
}

nanos recent_read(const struct recent *r, nanos now, struct histogram *out)
{
    nanos first = now;

    *out = (struct histogram){0};
    for (u32 i = 0; i < 2; i++) {
        if (is_over(r->since[i], now, 2) && !MUTANT(price_of_another_time)) continue;
        histogram_merge(out, &r->half[i]);
        first = u64_min(first, r->since[i]);
    }
    return out->count ? u64_max(now - first, 1) : 0;
}
