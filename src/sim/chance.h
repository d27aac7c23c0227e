/* Chance, one stream per concern: a draw added in one place does not reshuffle the others. Integers
 * only, so that every machine draws the same. */
#pragma once

#include "base/prng.h"
#include "base/types.h"

enum chance {
    CHANCE_SWARM = 1, /* what this seed is made of */
    CHANCE_NET,
    CHANCE_FRAMES, /* duplicated and reordered peer frames */
    CHANCE_DISK,
    CHANCE_CRASH,
    CHANCE_CLOCK,
    CHANCE_CPU,
    CHANCE_FAULT,
    CHANCE_WORKLOAD,
    CHANCE_NODE, /* env_random */
    CHANCE_MEMBERS,
    CHANCE_COUNT,
};

/* Exponential with about this mean, at most CHANCE_EXPONENTIAL_MAX times it. */
#define CHANCE_EXPONENTIAL_MAX 45
nanos chance_exponential(struct prng *p, nanos mean);

/* Uniform in [low, high]. */
static inline nanos chance_between(struct prng *p, nanos low, nanos high)
{
    return prng_between(p, low, high);
}

static inline bool chance_one_in(struct prng *p, u64 n) { return prng_below(p, n) == 0; }
