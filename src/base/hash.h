/* 64-bit XXH3 (seed 0), the hash of tables and of key order; stable across machines and versions. */
#pragma once

#include "base/types.h"

u64 hash64(const void *data, size_t bytes);

/* Fold one value into a running hash (for traces and digests). */
static inline u64 hash_mix(u64 hash, u64 value)
{
    hash ^= value + 0x9e3779b97f4a7c15ULL + (hash << 6) + (hash >> 2);
    hash *= 0xff51afd7ed558ccdULL;
    return hash ^ (hash >> 32);
}
