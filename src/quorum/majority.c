#include "quorum/majority.h"

#include "base/assert.h"
#include "base/mutant.h"

static u32 count_bits(u32 set)
{
    return (u32)__builtin_popcount(set);
}

u32 majority_of(u32 count)
{
    assert(count > 0);
    assert(count <= QUORUM_MEMBERS_MAX);
    if (MUTANT(half_is_a_quorum) && count > 1) return count / 2;
    return count / 2 + 1;
}

bool majority_has(u32 members, u32 yes)
{
    return count_bits(members & yes) >= majority_of(count_bits(members));
}

bool majority_lost(u32 members, u32 no)
{
    return !majority_has(members, ~no);
}

u64 majority_reached(u32 members, const u64 *values)
{
    u64 sorted[QUORUM_MEMBERS_MAX]; /* descending */
    u32 count = 0;

    for (u32 left = members; left; left &= left - 1) {
        u64 v = values[__builtin_ctz(left)];
        u32 at = count++;
        for (; at > 0 && sorted[at - 1] < v; at--) sorted[at] = sorted[at - 1];
        sorted[at] = v;
    }
    return sorted[majority_of(count) - 1];
}
