#include "raft/raft_fixture.h"

static struct raft_message timeout_now(replica_id from, u64 term, const char *last)
{
    return (struct raft_message){
        .kind = RAFT_TIMEOUT_NOW, .from = from, .term = term, .prev = pos_of(last)};
}

TEST(transfer, tells_a_target_that_has_everything_to_campaign) /* §3.10 */
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    CHECK_OK(transfer_to(&f, 2));
    CHECK_EQ(sent(&f, RAFT_TIMEOUT_NOW, 2)->prev.index, 2);
    CHECK_EQ(sent(&f, RAFT_TIMEOUT_NOW, 2)->term, 2);
    fixture_done(&f);
}

TEST(transfer, waits_until_the_target_has_caught_up_and_takes_no_proposals)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    CHECK_OK(transfer_to(&f, 3));
    CHECK(!sent(&f, RAFT_TIMEOUT_NOW, 3));
    CHECK_EQ(propose(&f, 1, 10), ERR_STALE);
    receive(&f, ack(3, &f, 2));
    CHECK(sent(&f, RAFT_TIMEOUT_NOW, 3));
    fixture_done(&f);
}

TEST(transfer, ends_the_lease_for_the_rest_of_the_term)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    CHECK(raft_lease_holds(f.r, f.now));
    CHECK_OK(transfer_to(&f, 2));
    receive(&f, ack(2, &f, 2));
    CHECK(!raft_lease_holds(f.r, f.now));
    fixture_done(&f);
}

TEST(transfer, steps_down_when_nothing_comes_of_it)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    CHECK_OK(transfer_to(&f, 2));
    for (u32 i = 0; i < 9; i++) {
        tick_after(&f, 60 * MS);
        CHECK(raft_is_leader(f.r));
        CHECK(sent(&f, RAFT_TIMEOUT_NOW, 2)); /* the first may be lost */
        receive(&f, ack(2, &f, 2));
    }
    CHECK_EQ(raft_deadline(f.r), u64_min(f.now + 60 * MS, raft_deadline(f.r)));
    tick_after(&f, 60 * MS);
    CHECK(!raft_is_leader(f.r));
    fixture_done(&f);
}

TEST(transfer, is_given_up_without_harm_if_the_target_never_caught_up)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    CHECK_OK(transfer_to(&f, 3));
    for (u32 i = 0; i < 10; i++) {
        tick_after(&f, 60 * MS);
        receive(&f, ack(2, &f, 2));
    }
    CHECK(raft_is_leader(f.r));
    CHECK(raft_lease_holds(f.r, f.now));
    CHECK_OK(propose(&f, 1, 10));
    fixture_done(&f);
}

TEST(transfer, is_refused_to_who_cannot_lead)
{
    struct fixture f = fixture_new((struct fixture_setup){.log = "1/1", .learners = 1});
    CHECK_EQ(transfer_to(&f, 2), ERR_STALE);
    become_settled_leader(&f);
    CHECK_EQ(transfer_to(&f, 1), ERR_INVALID);
    CHECK_EQ(transfer_to(&f, 4), ERR_INVALID);
    CHECK_EQ(transfer_to(&f, 9), ERR_INVALID);
    CHECK_OK(transfer_to(&f, 3));
    CHECK_EQ(transfer_to(&f, 2), ERR_FULL);
    CHECK_OK(transfer_to(&f, 3));
    fixture_done(&f);
}

TEST(transfer, the_target_campaigns_at_once_and_overrides_promises)
{
    struct fixture f = with_log("1/1");
    receive(&f, heartbeat(2, 1, "1/1", 1));
    receive(&f, timeout_now(2, 1, "1/1"));
    CHECK_EQ(raft_role(f.r), RAFT_CANDIDATE);
    CHECK_EQ(raft_term(f.r), 2);
    const struct raft_message *m = held(&f, RAFT_VOTE, 3);
    CHECK(m->transfer && !m->pre);
    saved(&f);
    become_precandidate(&f); /* and if it fails, the next attempt is an ordinary one */
    CHECK(!sent(&f, RAFT_VOTE, 3)->transfer);
    fixture_done(&f);
}

TEST(transfer, timeout_now_is_void_in_any_other_term_or_from_another)
{
    struct fixture f = with_log("1/1");
    receive(&f, timeout_now(2, 1, "1/1")); /* not known to lead */
    CHECK_EQ(raft_role(f.r), RAFT_FOLLOWER);
    receive(&f, heartbeat(2, 3, "1/1", 1));
    receive(&f, timeout_now(2, 1, "1/1"));
    CHECK_EQ(raft_role(f.r), RAFT_FOLLOWER);
    receive(&f, timeout_now(3, 3, "1/1"));
    CHECK_EQ(raft_role(f.r), RAFT_FOLLOWER);
    receive(&f, timeout_now(2, 3, "3/2")); /* it lacks an entry it should have */
    CHECK_EQ(raft_role(f.r), RAFT_FOLLOWER);
    fixture_done(&f);
}

TEST(transfer, a_leader_yields_to_the_candidate_it_asked_for)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    CHECK_OK(transfer_to(&f, 2));
    struct raft_message m = vote(2, 3, "2/2");
    m.transfer = true;
    receive(&f, m);
    CHECK_EQ(raft_role(f.r), RAFT_FOLLOWER);
    CHECK(held(&f, RAFT_VOTE_REPLY, 2)->granted);
    fixture_done(&f);
}

TEST(transfer, a_leader_with_a_full_disk_hands_over)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    receive(&f, ack(3, &f, 2));
    struct raft_message m = ack(2, &f, 2);
    m.full = true; /* not to this one */
    receive(&f, m);
    disk_full(&f, true);
    for (u32 i = 0; i < 2; i++) {
        CHECK(!sent(&f, RAFT_TIMEOUT_NOW, 3)); /* what they said before is old */
        CHECK(!raft_is_read_only(f.r));        /* whoever wants to write may wait for that */
        tick_after(&f, 60 * MS);
        m = ack(2, &f, 2);
        m.full = true;
        receive(&f, m);
        receive(&f, ack(3, &f, 2));
    }
    tick_after(&f, 60 * MS);
    CHECK(sent(&f, RAFT_TIMEOUT_NOW, 3));
    fixture_done(&f);
}

TEST(transfer, a_leader_with_a_full_disk_stays_when_the_others_could_not_commit_without_it)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    disk_full(&f, true);
    for (u32 i = 0; i < 30; i++) {
        tick_after(&f, 60 * MS);
        CHECK(!sent(&f, RAFT_TIMEOUT_NOW, 3));
        struct raft_message m = ack(2, &f, 2);
        m.full = m.disk_full = true;
        receive(&f, m);
        receive(&f, ack(3, &f, 2));
    }
    CHECK(raft_is_read_only(f.r));
    CHECK(raft_lease_holds(f.r, f.now)); /* reads go on */
    fixture_done(&f);
}

TEST(transfer, a_leader_whose_disk_stands_still_hands_over_to_one_whose_disk_works)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    CHECK_OK(propose(&f, 1, 10));
    for (u32 i = 0; i < 9; i++) {
        tick_after(&f, 60 * MS);
        receive(&f, ack(2, &f, 2));
        receive(&f, ack(3, &f, 3));
        CHECK(!sent(&f, RAFT_TIMEOUT_NOW, 3));
    }
    tick_after(&f, 60 * MS);
    CHECK(sent(&f, RAFT_TIMEOUT_NOW, 3));
    fixture_done(&f);
}

TEST(transfer, a_leader_keeps_leading_when_no_disk_works)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    CHECK_OK(propose(&f, 1, 10));
    for (u32 i = 0; i < 30; i++) {
        tick_after(&f, 60 * MS);
        receive(&f, ack(2, &f, 2));
        receive(&f, ack(3, &f, 2));
    }
    CHECK(raft_is_leader(f.r));
    CHECK(raft_lease_holds(f.r, f.now)); /* reads go on */
    fixture_done(&f);
}

TEST_MAIN(RUN(transfer, tells_a_target_that_has_everything_to_campaign),
          RUN(transfer, waits_until_the_target_has_caught_up_and_takes_no_proposals),
          RUN(transfer, ends_the_lease_for_the_rest_of_the_term),
          RUN(transfer, steps_down_when_nothing_comes_of_it),
          RUN(transfer, is_given_up_without_harm_if_the_target_never_caught_up),
          RUN(transfer, is_refused_to_who_cannot_lead),
          RUN(transfer, the_target_campaigns_at_once_and_overrides_promises),
          RUN(transfer, timeout_now_is_void_in_any_other_term_or_from_another),
          RUN(transfer, a_leader_yields_to_the_candidate_it_asked_for),
          RUN(transfer, a_leader_with_a_full_disk_hands_over),
          RUN(transfer, a_leader_with_a_full_disk_stays_when_the_others_could_not_commit_without_it),
          RUN(transfer, a_leader_whose_disk_stands_still_hands_over_to_one_whose_disk_works),
          RUN(transfer, a_leader_keeps_leading_when_no_disk_works))
