/* PCG XSL RR 128/64 (O'Neill 2014): small, fast, and the same on every machine. Not for secrets. */
#pragma once

#include "base/types.h"

struct prng {
    unsigned __int128 state, stream;
};

/* Two generators with the same seed and different streams are independent. */
void prng_init(struct prng *p, u64 seed, u64 stream);
u64 prng_next(struct prng *p);
u64 prng_below(struct prng *p, u64 bound);          /* uniform in [0, bound); bound > 0 */
u64 prng_between(struct prng *p, u64 low, u64 high); /* uniform in [low, high] */
bool prng_chance(struct prng *p, u32 parts_per_million);
