#include "quorum/joint.h"

#include "base/test.h"

TEST(joint, without_a_change_it_is_a_majority)
{
    struct joint q = {.voters = 0x7};
    u64 values[32] = {5, 3, 1};
    CHECK(joint_has(q, 0x3));
    CHECK(!joint_has(q, 0x4));
    CHECK(joint_lost(q, 0x3));
    CHECK_EQ(joint_reached(q, values), 3);
}

TEST(joint, a_change_needs_both_halves)
{
    struct joint q = {.voters = 0x38, .outgoing = 0x07}; /* {3,4,5} from {0,1,2} */
    CHECK(!joint_has(q, 0x38));
    CHECK(!joint_has(q, 0x07));
    CHECK(joint_has(q, 0x1b));
    CHECK(joint_lost(q, 0x03));
    CHECK(joint_lost(q, 0x30));
    CHECK(!joint_lost(q, 0x21));
}

TEST(joint, reached_is_the_lesser_half)
{
    struct joint q = {.voters = 0x38, .outgoing = 0x07};
    u64 values[32] = {9, 8, 1, 4, 3, 2};
    CHECK_EQ(joint_reached(q, values), 3);
}

TEST_MAIN(RUN(joint, without_a_change_it_is_a_majority), RUN(joint, a_change_needs_both_halves),
          RUN(joint, reached_is_the_lesser_half))
