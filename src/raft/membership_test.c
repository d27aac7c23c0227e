#include "base/test.h"
#include "raft/raft_internal.h"

static const struct raft_config three = {.voter_count = 3, .voters = {5, 2, 9}};

TEST(membership, members_are_slots_in_the_order_given)
{
    struct membership m;
    membership_set(&m, &three, 9);
    CHECK_EQ(m.count, 3);
    CHECK_EQ(m.self, 2);
    CHECK_EQ(membership_slot(&m, 5), 0);
    CHECK_EQ(membership_slot(&m, 7), NO_SLOT);
    CHECK_EQ(m.quorum.voters, 7);
    CHECK(membership_is_voter(&m, 1));
    CHECK(!membership_is_voter(&m, NO_SLOT));
    CHECK(!membership_is_sole_voter(&m));
}

TEST(membership, learners_have_slots_but_no_votes)
{
    struct raft_config c = {
        .voter_count = 1, .voters = {1}, .learner_count = 2, .learners = {2, 3}};
    struct membership m;
    membership_set(&m, &c, 1);
    CHECK_EQ(m.count, 3);
    CHECK(!membership_is_voter(&m, membership_slot(&m, 2)));
    CHECK(membership_is_sole_voter(&m));
    membership_set(&m, &c, 2);
    CHECK(!membership_is_sole_voter(&m));
}

TEST(membership, a_change_under_way_counts_both_halves) /* §4.3 */
{
    struct raft_config c = {
        .voter_count = 1, .voters = {1}, .outgoing_count = 2, .outgoing = {1, 2}};
    struct membership m;
    membership_set(&m, &c, 1);
    CHECK_EQ(m.count, 2);
    CHECK(!joint_has(m.quorum, BIT(0)));
    CHECK(joint_has(m.quorum, BIT(0) | BIT(1)));
    CHECK(!membership_is_sole_voter(&m));
}

TEST(membership, some_configurations_are_none)
{
    struct raft_config c = {0};
    CHECK(!config_is_valid(&c));
    c = three;
    CHECK(config_is_valid(&c));
    c.voters[1] = 5;
    CHECK(!config_is_valid(&c)); /* twice */
    c.voters[1] = 0;
    CHECK(!config_is_valid(&c)); /* nobody */
    c = three;
    c.learner_count = 1;
    c.learners[0] = 9;
    CHECK(!config_is_valid(&c)); /* voter and learner */
    c = three;
    c.voter_count = RAFT_MEMBERS_MAX + 1;
    CHECK(!config_is_valid(&c));
}

TEST(membership, a_configuration_survives_its_bytes)
{
    struct raft_config c = {.voter_count = 2,
                            .voters = {1, 300},
                            .outgoing_count = 1,
                            .outgoing = {4},
                            .learner_count = 1,
                            .learners = {70000}};
    struct raft_config back;
    struct buf b;
    buf_init(&b, 0);
    raft_config_encode(&c, &b);
    static const u8 bytes[] = {1, 2, 1, 1, 1, 0, 0, 0, 44, 1, 0, 0, 4, 0, 0, 0, 112, 17, 1, 0};
    CHECK_EQ(b.len, sizeof bytes);
    assert_memory_equal(buf_bytes(&b), bytes, sizeof bytes);
    CHECK_OK(raft_config_decode(buf_str(&b), &back));
    CHECK(config_equal(&c, &back));
    for (size_t len = 0; len < b.len; len++)
        CHECK_EQ(raft_config_decode(str_from(buf_bytes(&b), len), &back), ERR_MALFORMED);
    buf_append_u8(&b, 0);
    CHECK_EQ(raft_config_decode(buf_str(&b), &back), ERR_MALFORMED);
    buf_done(&b);
}

TEST_MAIN(RUN(membership, members_are_slots_in_the_order_given),
          RUN(membership, learners_have_slots_but_no_votes),
          RUN(membership, a_change_under_way_counts_both_halves),
          RUN(membership, some_configurations_are_none),
          RUN(membership, a_configuration_survives_its_bytes))
