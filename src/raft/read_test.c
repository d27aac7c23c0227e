#include "raft/raft_fixture.h"

/* An answer of `from` to what the latest step sent it. */
static struct raft_message answer(const struct fixture *f, replica_id from)
{
    const struct raft_message *m = sent(f, RAFT_APPEND, from);
    assert(m);
    struct raft_message reply = ack(from, f, raft_commit(f->r));
    reply.round = m->round;
    reply.sent_at = m->sent_at;
    return reply;
}

/* ---- ReadIndex */

TEST(read, waits_for_a_quorums_answer_to_a_round_begun_after_it) /* §6.4 */
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    CHECK_OK(ask_read(&f, 7));
    CHECK_EQ(f.out->read_count, 0);
    struct raft_message m = answer(&f, 3);
    receive(&f, m);
    CHECK_EQ(f.out->read_count, 1);
    CHECK_EQ(f.out->reads[0].context, 7);
    CHECK_EQ(f.out->reads[0].index, 2);
    CHECK(!f.out->reads[0].refused);
    fixture_done(&f);
}

TEST(read, an_answer_to_an_older_heartbeat_does_not_count)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    tick_after(&f, 60 * MS);
    struct raft_message older = answer(&f, 3);
    CHECK_OK(ask_read(&f, 7));
    receive(&f, older);
    CHECK_EQ(f.out->read_count, 0);
    fixture_done(&f);
}

TEST(read, reads_that_come_during_a_round_share_the_next)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    CHECK_OK(ask_read(&f, 1));
    struct raft_message first = answer(&f, 2);
    CHECK_OK(ask_read(&f, 2));
    CHECK_OK(ask_read(&f, 3));
    CHECK_EQ(f.out->send.count, 0);
    receive(&f, first);
    CHECK_EQ(f.out->read_count, 1);
    struct raft_message second = answer(&f, 2); /* the next round left with that */
    receive(&f, second);
    CHECK_EQ(f.out->read_count, 2);
    fixture_done(&f);
}

TEST(read, a_lost_round_is_made_good_by_the_next_heartbeat)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    CHECK_OK(ask_read(&f, 1)); /* its heartbeats are lost */
    CHECK_OK(ask_read(&f, 2));
    tick_after(&f, 60 * MS);
    receive(&f, answer(&f, 2));
    CHECK_EQ(f.out->read_count, 2);
    fixture_done(&f);
}

TEST(read, waits_until_it_knows_what_earlier_leaders_committed) /* §6.4, step 1 */
{
    struct fixture f = with_log("1/1");
    become_leader(&f);
    CHECK_OK(ask_read(&f, 1));
    receive(&f, answer(&f, 2));
    CHECK_EQ(f.out->read_count, 0);
    receive(&f, ack(2, &f, 2));
    persisted(&f, "2/2");
    CHECK_EQ(f.out->read_count, 1);
    CHECK_EQ(f.out->reads[0].index, 1); /* whatever earlier leaders committed is not above it */
    fixture_done(&f);
}

TEST(read, is_refused_when_leadership_is_lost)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    CHECK_OK(ask_read(&f, 1));
    receive(&f, heartbeat(3, 9, "1/1", 0));
    CHECK_EQ(f.out->read_count, 1);
    CHECK(f.out->reads[0].refused);
    CHECK_EQ(ask_read(&f, 2), ERR_STALE);
    fixture_done(&f);
}

TEST(read, is_refused_after_an_election_timeout_without_a_quorum)
{
    struct fixture f = with_log("1/1");
    become_leader(&f); /* its no-op never commits, though it is heard */
    CHECK_OK(ask_read(&f, 1));
    nanos asked = f.now;
    while (f.now < asked + 599 * MS) {
        tick_after(&f, 30 * MS);
        if (f.now >= asked + 600 * MS) break;
        CHECK_EQ(f.out->read_count, 0);
        receive(&f, ack(3, &f, 1));
    }
    CHECK(raft_deadline(f.r) <= asked + 600 * MS || f.out->read_count == 1);
    CHECK_EQ(f.out->read_count, 1);
    CHECK(f.out->reads[0].refused);
    CHECK(raft_is_leader(f.r));
    fixture_done(&f);
}

TEST(read, more_than_an_outbox_holds_are_answered_over_several_steps)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    u32 asked = 0;
    while (ask_read(&f, asked) == OK) asked++;
    CHECK_EQ(f.e, ERR_FULL);
    CHECK(asked > 2 * RAFT_READS_MAX);
    tick_after(&f, 60 * MS);
    receive(&f, answer(&f, 2));
    u32 done = 0;
    for (;;) {
        for (u32 i = 0; i < f.out->read_count; i++) CHECK_EQ(f.out->reads[i].context, done + i);
        done += f.out->read_count;
        if (raft_deadline(f.r) > f.now) break;
        tick_after(&f, 0);
    }
    CHECK_EQ(done, asked);
    fixture_done(&f);
}

TEST(read, a_sole_voter_confirms_itself)
{
    struct fixture f = fixture_new((struct fixture_setup){.nodes = 1});
    tick_after(&f, 0);
    saved(&f);
    persisted(&f, "1/1");
    CHECK_OK(ask_read(&f, 1));
    CHECK_EQ(f.out->read_count, 1);
    CHECK_EQ(f.out->reads[0].index, 1);
    fixture_done(&f);
}

/* ---- leases */

TEST(lease, counts_from_when_the_answered_message_was_sent) /* §6.4.1 */
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    tick_after(&f, 60 * MS);
    nanos sent_at = f.now;
    struct raft_message m = answer(&f, 2);
    f.now += 50 * MS;
    receive(&f, m);
    nanos limit = 300 * MS * 990000 / 1010000; /* D(1-rho)/(1+rho) */
    CHECK(raft_lease_holds(f.r, sent_at + limit - 1));
    CHECK(!raft_lease_holds(f.r, sent_at + limit));
    fixture_done(&f);
}

TEST(lease, needs_a_quorum)
{
    struct fixture f = fixture_new((struct fixture_setup){.nodes = 5, .log = "1/1"});
    become_leader(&f);
    persisted(&f, "2/2");
    receive(&f, ack(2, &f, 2));
    receive(&f, ack(3, &f, 2));
    CHECK_OK(step(&f, (struct raft_event){.kind = RAFT_APPLIED, .index = 2}));
    tick_after(&f, 280 * MS);
    receive(&f, answer(&f, 2));
    CHECK(raft_lease_holds(f.r, f.now)); /* by the older answer of 3 */
    CHECK(!raft_lease_holds(f.r, f.now + 20 * MS));
    fixture_done(&f);
}

TEST(lease, an_older_answer_does_not_shorten_it)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    struct raft_message late = ack(2, &f, 2);
    tick_after(&f, 200 * MS);
    receive(&f, ack(2, &f, 2));
    receive(&f, late);
    CHECK(raft_lease_holds(f.r, f.now + 200 * MS));
    fixture_done(&f);
}

TEST(lease, does_not_hold_before_what_earlier_leaders_may_have_committed_is_applied)
{
    struct fixture f = with_log("1/1");
    become_leader(&f);
    receive(&f, ack(2, &f, 2));
    receive(&f, ack(3, &f, 2));
    CHECK_EQ(raft_commit(f.r), 2);
    CHECK(!raft_lease_holds(f.r,
                            f.now)); /* its own state may lack what earlier leaders acknowledged */
    persisted(&f, "2/2");
    CHECK_OK(step(&f, (struct raft_event){.kind = RAFT_APPLIED, .index = 2}));
    CHECK(raft_lease_holds(f.r, f.now));
    fixture_done(&f);
}

TEST(lease, a_follower_has_none)
{
    struct fixture f = with_log("1/1");
    receive(&f, heartbeat(2, 1, "1/1", 1));
    CHECK(!raft_lease_holds(f.r, f.now));
    fixture_done(&f);
}

TEST(lease, impaired_replicas_give_none)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    struct raft_message m = ack(2, &f, 2);
    m.impaired = true;
    m.life = 3;
    receive(&f, m);
    CHECK(!raft_lease_holds(f.r, f.now));
    fixture_done(&f);
}

TEST_MAIN(RUN(read, waits_for_a_quorums_answer_to_a_round_begun_after_it),
          RUN(read, an_answer_to_an_older_heartbeat_does_not_count),
          RUN(read, reads_that_come_during_a_round_share_the_next),
          RUN(read, a_lost_round_is_made_good_by_the_next_heartbeat),
          RUN(read, waits_until_it_knows_what_earlier_leaders_committed),
          RUN(read, is_refused_when_leadership_is_lost),
          RUN(read, is_refused_after_an_election_timeout_without_a_quorum),
          RUN(read, more_than_an_outbox_holds_are_answered_over_several_steps),
          RUN(read, a_sole_voter_confirms_itself),
          RUN(lease, counts_from_when_the_answered_message_was_sent), RUN(lease, needs_a_quorum),
          RUN(lease, an_older_answer_does_not_shorten_it),
          RUN(lease, does_not_hold_before_what_earlier_leaders_may_have_committed_is_applied),
          RUN(lease, a_follower_has_none), RUN(lease, impaired_replicas_give_none))
