#include "base/prng.h"

#include "base/assert.h"

#define MULTIPLIER (((unsigned __int128)2549297995355413924ULL << 64) | 4865540595714422341ULL)

void prng_init(struct prng *p, u64 seed, u64 stream)
{
    p->state = 0;
    p->stream = ((unsigned __int128)stream << 1) | 1;
    (void)prng_next(p);
    p->state += seed;
    (void)prng_next(p);
}

u64 prng_next(struct prng *p)
{
    p->state = p->state * MULTIPLIER + p->stream;
    u64 folded = (u64)(p->state >> 64) ^ (u64)p->state;
    u32 rotate = (u32)(p->state >> 122);
    return (folded >> rotate) | (folded << ((64 - rotate) & 63));
}

u64 prng_below(struct prng *p, u64 bound)
{
    assert(bound > 0);
    return (u64)(((unsigned __int128)prng_next(p) * bound) >> 64);
}

u64 prng_between(struct prng *p, u64 low, u64 high)
{
    assert(low <= high);
    if (low == 0 && high == UINT64_MAX) return prng_next(p);
    return low + prng_below(p, high - low + 1);
}

bool prng_chance(struct prng *p, u32 parts_per_million)
{
    return prng_below(p, 1000000) < parts_per_million;
}
