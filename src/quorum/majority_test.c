#include "quorum/majority.h"

#include "base/prng.h"
#include "base/test.h"

TEST(majority, is_more_than_half)
{
    CHECK_EQ(majority_of(1), 1);
    CHECK_EQ(majority_of(2), 2);
    CHECK_EQ(majority_of(3), 2);
    CHECK_EQ(majority_of(4), 3); /* 2 of 4 would let two disjoint halves both decide */
    CHECK_EQ(majority_of(5), 3);
}

TEST(majority, counts_members_only)
{
    CHECK(!majority_has(0x7, 0x8 | 0x1));
    CHECK(majority_has(0x7, 0x3));
    CHECK(majority_has(0x7, 0xff));
}

TEST(majority, is_lost_when_the_rest_cannot_reach_it)
{
    CHECK(!majority_lost(0x7, 0x1));
    CHECK(majority_lost(0x7, 0x3));
    CHECK(majority_lost(0xf, 0x3)); /* 2 of 4 left is not enough */
}

TEST(majority, any_two_majorities_share_a_member)
{
    for (u32 n = 1; n <= 6; n++) {
        u32 all = (1u << n) - 1;
        for (u32 a = 0; a <= all; a++)
            for (u32 b = 0; b <= all; b++)
                if (majority_has(all, a) && majority_has(all, b)) CHECK(a & b);
    }
}

TEST(majority, reached_value_is_held_by_a_majority_and_no_larger_one_is)
{
    struct prng p;
    prng_init(&p, 7, 1);
    for (u32 round = 0; round < 2000; round++) {
        u64 values[QUORUM_MEMBERS_MAX];
        u32 n = 1 + (u32)prng_below(&p, 9), all = 0;
        for (u32 i = 0; i < QUORUM_MEMBERS_MAX; i++) values[i] = prng_below(&p, 6);
        while ((u32)__builtin_popcount(all) < n) all |= 1u << prng_below(&p, 32);
        u64 reached = majority_reached(all, values);
        u32 at_least = 0, more = 0;
        for (u32 i = 0; i < QUORUM_MEMBERS_MAX; i++) {
            if (values[i] >= reached) at_least |= 1u << i;
            if (values[i] > reached) more |= 1u << i;
        }
        CHECK(majority_has(all, at_least));
        CHECK(!majority_has(all, more));
    }
}

TEST_MAIN(RUN(majority, is_more_than_half), RUN(majority, counts_members_only),
          RUN(majority, is_lost_when_the_rest_cannot_reach_it),
          RUN(majority, any_two_majorities_share_a_member),
          RUN(majority, reached_value_is_held_by_a_majority_and_no_larger_one_is))
