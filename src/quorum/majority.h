/* Majority quorums over at most 32 members, each named by a bit. Any two majorities of one set
 * share a member; that is all that consensus needs of them (Gifford 1979). Pure arithmetic, no
 * state. */
#pragma once

#include "base/types.h"

#define QUORUM_MEMBERS_MAX 32

/* How many of `count` members make a majority: 1 of 1, 2 of 3, 3 of 4, 3 of 5. */
u32 majority_of(u32 count);

/* Do the members in `yes` hold a majority of `members`? Bits outside members do not count. */
bool majority_has(u32 members, u32 yes);

/* Can `members` still reach a majority if those in `no` never join it? */
bool majority_lost(u32 members, u32 no);

/* The largest value that a majority of members has reached. values[i] belongs to bit i. */
u64 majority_reached(u32 members, const u64 *values);
