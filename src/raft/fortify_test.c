/* Doing without heartbeats: what a follower promises under its node's support of the leader's, what
 * a leader may count on, when a group is quiet, and how the promise ends. */
#include "raft/raft_fixture.h"

static struct {
    struct raft_support from[6];
    u64 given[6];
} nodes; /* by replica */

static struct raft_support from(void *context, replica_id id)
{
    (void)context;
    return nodes.from[id];
}

static u64 given(void *context, replica_id id)
{
    (void)context;
    return nodes.given[id];
}

static struct fixture_setup supported(const char *log)
{
    struct fixture_setup s = {.log = log, .options = default_options()};
    memset(&nodes, 0, sizeof nodes);
    s.options.liveness = (struct raft_liveness){.from = from, .given = given};
    return s;
}

static void support(replica_id id, u64 epoch, nanos asked)
{
    nodes.from[id] = (struct raft_support){
        .epoch = epoch, .until = asked + 290 * MS, .asked = asked};
}

static void tell_support(struct fixture *f, replica_id id)
{
    CHECK_OK(step(f, (struct raft_event){.kind = RAFT_SUPPORT, .peer = id}));
}

/* ---- the follower ---- */

/* It has fortified leader 2 in term 2 under epoch 7. */
static struct fixture fortified_follower(void)
{
    struct fixture f = fixture_new(supported("1/1"));
    nodes.given[2] = 7;
    struct raft_message m = heartbeat(2, 2, "1/1", 1);
    m.fortify = true;
    m.epoch = 7;
    receive(&f, m);
    saved(&f);
    return f;
}

static bool answers_vote(struct fixture *f, struct raft_message m)
{
    f->out->send.count = f->out->send_after_save.count = 0;
    receive(f, m);
    return f->out->send.count + f->out->send_after_save.count > 0;
}

TEST(fortify, a_follower_promises_under_the_epoch_it_is_asked_in)
{
    struct fixture f = fixture_new(supported("1/1"));
    nodes.given[2] = 7;
    struct raft_message m = heartbeat(2, 1, "1/1", 1);
    m.fortify = true;
    m.epoch = 6; /* withdrawn since */
    receive(&f, m);
    CHECK(!sent(&f, RAFT_APPEND_REPLY, 2)->fortify);
    CHECK(raft_deadline(f.r) != NANOS_NEVER);
    m.epoch = 7;
    receive(&f, m);
    CHECK(sent(&f, RAFT_APPEND_REPLY, 2)->fortify);
    CHECK_EQ(sent(&f, RAFT_APPEND_REPLY, 2)->epoch, 7);
    CHECK_EQ(sent(&f, RAFT_APPEND_REPLY, 2)->commit, 1);
    CHECK_EQ(raft_deadline(f.r), NANOS_NEVER);
    fixture_done(&f);
}

TEST(fortify, who_has_fortified_ignores_votes_however_long_the_leader_is_silent)
{
    struct fixture f = fortified_follower();
    f.now += 10 * NANOS_SEC;
    CHECK(!answers_vote(&f, prevote(3, 3, "2/9")));
    CHECK(!answers_vote(&f, vote(3, 3, "2/9")));
    CHECK_EQ(raft_term(f.r), 2);
    CHECK(answers_vote(&f, vote(2, 3, "2/9"))); /* the leader itself */
    fixture_done(&f);
}

TEST(fortify, the_promise_outlives_the_term)
{
    struct fixture f = fortified_follower();
    f.now += 10 * NANOS_SEC;
    receive(&f, (struct raft_message){.kind = RAFT_APPEND_REPLY, .from = 3, .term = 5});
    CHECK_EQ(raft_term(f.r), 5);
    CHECK(!answers_vote(&f, vote(3, 5, "2/9")));
    tick_after(&f, 10 * NANOS_SEC);
    CHECK_EQ(raft_role(f.r), RAFT_FOLLOWER);
    fixture_done(&f);
}

TEST(fortify, a_withdrawal_wakes_the_follower_soon_and_not_at_once)
{
    struct fixture f = fortified_follower();
    f.now += NANOS_SEC;
    nodes.given[2] = 0;
    tell_support(&f, 2);
    CHECK(raft_deadline(f.r) >= f.now + 20 * MS);
    CHECK(raft_deadline(f.r) <= f.now + 300 * MS);
    CHECK(answers_vote(&f, prevote(3, 3, "2/9")));
    f.now = raft_deadline(f.r);
    tick_after(&f, 0);
    CHECK_EQ(raft_role(f.r), RAFT_PRECANDIDATE);
    fixture_done(&f);
}

TEST(fortify, an_append_is_a_promise_too_and_may_last_longer_than_the_support)
{
    struct fixture f = fortified_follower();
    f.now += NANOS_SEC;
    receive(&f, heartbeat(2, 2, "1/1", 1));
    nodes.given[2] = 0;
    tell_support(&f, 2);
    CHECK(raft_deadline(f.r) > f.now + 300 * MS);
    CHECK(!answers_vote(&f, prevote(3, 3, "2/9")));
    fixture_done(&f);
}

TEST(fortify, a_leader_of_a_later_term_ends_the_promise_to_the_one_before)
{
    struct fixture f = fortified_follower();
    receive(&f, heartbeat(3, 4, "1/1", 1));
    saved(&f);
    CHECK(raft_deadline(f.r) != NANOS_NEVER);
    f.now += NANOS_SEC;
    CHECK(answers_vote(&f, vote(1 + 1, 5, "2/9")));
    fixture_done(&f);
}

TEST(fortify, a_released_follower_wakes_and_is_not_bound_by_a_late_message_again)
{
    struct fixture f = fortified_follower();
    f.now += NANOS_SEC;
    receive(&f, (struct raft_message){
                    .kind = RAFT_DEFORTIFY, .from = 2, .term = 1, .prev = {.term = 2}});
    CHECK_EQ(sent(&f, RAFT_DEFORTIFY_REPLY, 2)->prev.term, 2);
    CHECK(raft_deadline(f.r) != NANOS_NEVER);
    struct raft_message late = heartbeat(2, 2, "1/1", 1);
    late.fortify = true;
    late.epoch = 7;
    receive(&f, late);
    CHECK(!sent(&f, RAFT_APPEND_REPLY, 2)->fortify);
    CHECK(raft_deadline(f.r) != NANOS_NEVER);
    fixture_done(&f);
}

TEST(fortify, a_full_disk_is_told_unasked)
{
    struct fixture f = fortified_follower();
    disk_full(&f, true);
    const struct raft_message *m = sent(&f, RAFT_APPEND_REPLY, 2);
    CHECK(m->disk_full);
    CHECK(!m->fortify);
    fixture_done(&f);
}

/* ---- the leader ---- */

static struct raft_message fortifies(replica_id id, const struct fixture *f, u64 epoch)
{
    struct raft_message m = ack(id, f, raft_last(f->r).index);
    m.commit = raft_commit(f->r);
    m.fortify = true;
    m.epoch = epoch;
    return m;
}

/* Leader of term 2; nodes 2 and 3 support its own under epochs 7 and 8, and have fortified it. */
static struct fixture quiet_leader(void)
{
    struct fixture f = fixture_new(supported("1/1"));
    become_settled_leader(&f);
    support(2, 7, f.now);
    support(3, 8, f.now);
    receive(&f, fortifies(2, &f, 7));
    receive(&f, fortifies(3, &f, 8));
    CHECK_EQ(raft_deadline(f.r), NANOS_NEVER);
    return f;
}

TEST(fortify, a_group_with_nothing_to_say_has_no_timer_and_keeps_its_lease)
{
    struct fixture f = quiet_leader();
    for (u32 i = 0; i < 100; i++) {
        f.now += 60 * MS;
        support(2, 7, f.now);
        support(3, 8, f.now);
        CHECK(raft_lease_holds(f.r, f.now + 280 * MS));
        CHECK(!raft_lease_holds(f.r, f.now + 290 * MS));
    }
    tick_after(&f, 0);
    CHECK(raft_is_leader(f.r));
    CHECK_EQ(f.out->send.count, 0);
    CHECK_EQ(raft_deadline(f.r), NANOS_NEVER);
    fixture_done(&f);
}

TEST(fortify, followers_learn_what_is_committed_before_the_group_goes_quiet)
{
    struct fixture f = quiet_leader();
    propose(&f, 1, 8);
    CHECK(raft_deadline(f.r) <= f.now + 60 * MS);
    CHECK_OK(step(&f, (struct raft_event){.kind = RAFT_PERSISTED, .pos = raft_last(f.r)}));
    u64 before = raft_commit(f.r);
    for (replica_id id = 2; id <= 3; id++) {
        struct raft_message m = fortifies(id, &f, id + 5);
        m.commit = before;
        receive(&f, m);
    }
    CHECK_EQ(raft_commit(f.r), before + 1);
    CHECK(raft_deadline(f.r) != NANOS_NEVER);
    tick_after(&f, 60 * MS);
    CHECK_EQ(sent(&f, RAFT_APPEND, 3)->commit, before); /* not before this leader's own state has it */
    CHECK_OK(step(&f, (struct raft_event){.kind = RAFT_APPLIED, .index = before + 1}));
    CHECK(raft_deadline(f.r) != NANOS_NEVER);
    tick_after(&f, 60 * MS);
    CHECK_EQ(sent(&f, RAFT_APPEND, 3)->commit, before + 1);
    receive(&f, fortifies(2, &f, 7));
    CHECK(raft_deadline(f.r) != NANOS_NEVER);
    receive(&f, fortifies(3, &f, 8));
    CHECK_EQ(raft_deadline(f.r), NANOS_NEVER);
    fixture_done(&f);
}

TEST(fortify, a_fortification_of_an_epoch_that_was_withdrawn_counts_for_nothing)
{
    struct fixture f = quiet_leader();
    f.now += NANOS_SEC;
    support(2, 9, f.now); /* withdrawn, and given anew: node 2 may have voted in between */
    nodes.from[3] = (struct raft_support){0};
    CHECK(!raft_lease_holds(f.r, f.now));
    tell_support(&f, 2);
    CHECK(sent(&f, RAFT_APPEND, 2)->fortify); /* asked again, at once */
    CHECK_EQ(sent(&f, RAFT_APPEND, 2)->epoch, 9);
    receive(&f, fortifies(2, &f, 7)); /* a late answer */
    f.now += 300 * MS;                /* what acknowledged heartbeats promise is over */
    support(2, 9, f.now);
    CHECK(!raft_lease_holds(f.r, f.now));
    receive(&f, fortifies(2, &f, 9));
    CHECK(raft_lease_holds(f.r, f.now));
    fixture_done(&f);
}

TEST(fortify, a_peer_without_support_gets_heartbeats_and_the_others_none)
{
    struct fixture f = quiet_leader();
    f.now += NANOS_SEC;
    support(2, 7, f.now);
    tell_support(&f, 3);
    CHECK(raft_deadline(f.r) <= f.now + 60 * MS);
    tick_after(&f, 60 * MS);
    CHECK(sent(&f, RAFT_APPEND, 3) != NULL);
    CHECK(!sent(&f, RAFT_APPEND, 3)->fortify);
    CHECK(sent(&f, RAFT_APPEND, 2) == NULL);
    fixture_done(&f);
}

TEST(fortify, a_leader_that_loses_the_support_of_a_quorum_steps_down_as_without_answers)
{
    struct fixture f = quiet_leader();
    f.now += 295 * MS; /* nobody was heard of since */
    tell_support(&f, 2);
    tell_support(&f, 3);
    CHECK(!raft_lease_holds(f.r, f.now));
    tick_after(&f, 60 * MS);
    CHECK(raft_is_leader(f.r));
    tick_after(&f, 255 * MS);
    CHECK(!raft_is_leader(f.r));
    fixture_done(&f);
}

TEST(fortify, who_leaves_leadership_releases_everybody_until_they_say_so)
{
    struct fixture f = fixture_new(supported("1/1"));
    support(2, 7, f.now + NANOS_SEC);
    support(3, 8, f.now + NANOS_SEC);
    become_settled_leader(&f); /* and asks both */
    u64 term = raft_term(f.r);
    receive(&f, (struct raft_message){
                    .kind = RAFT_APPEND_REPLY, .from = 3, .term = term + 1, .rejected = true});
    CHECK(!raft_is_leader(f.r));
    CHECK_EQ(sent(&f, RAFT_DEFORTIFY, 2)->prev.term, term);
    CHECK_EQ(sent(&f, RAFT_DEFORTIFY, 3)->prev.term, term);
    receive(&f, (struct raft_message){
                    .kind = RAFT_DEFORTIFY_REPLY, .from = 3, .term = 1, .prev = {.term = term}});
    CHECK(raft_deadline(f.r) <= f.now + 60 * MS);
    tick_after(&f, 60 * MS);
    CHECK(sent(&f, RAFT_DEFORTIFY, 2) != NULL);
    CHECK(sent(&f, RAFT_DEFORTIFY, 3) == NULL);
    support(2, 9, f.now); /* withdrawn: nothing can rest on it any more */
    tick_after(&f, 60 * MS);
    CHECK(sent(&f, RAFT_DEFORTIFY, 2) == NULL);
    fixture_done(&f);
}

TEST(fortify, a_node_heard_after_the_latest_step_is_in_reach)
{
    struct fixture f = quiet_leader();
    struct raft_message m = ack(3, &f, raft_last(f.r).index);
    m.full = m.disk_full = true;
    receive(&f, m);
    CHECK(!raft_is_read_only(f.r));
    f.now += NANOS_SEC;
    tick_after(&f, 0);
    support(2, 7, f.now + 50 * MS);
    CHECK(!raft_is_read_only(f.r));
    fixture_done(&f);
}

TEST(fortify, while_members_change_both_halves_must_have_fortified)
{
    struct fixture_setup s = supported("1/1");
    s.learners = 1;
    struct fixture f = fixture_new(s);
    become_settled_leader(&f);
    for (u32 i = 0; i < 2; i++) receive(&f, ack(4, &f, raft_last(f.r).index)); /* a round */
    struct raft_config target = *raft_config(f.r); /* 1 and 4 in place of 1, 2 and 3 */
    raft_config_remove(&target, 2);
    raft_config_remove(&target, 3);
    target.members[1].roles = RAFT_VOTER;
    CHECK_OK(step(&f, (struct raft_event){.kind = RAFT_CHANGE, .config = &target}));
    CHECK_OK(step(&f, (struct raft_event){.kind = RAFT_PERSISTED, .pos = raft_last(f.r)}));
    receive(&f, ack(2, &f, raft_last(f.r).index));
    receive(&f, ack(4, &f, raft_last(f.r).index));
    CHECK_EQ(raft_config(f.r)->count, 2); /* the joint one is left, by an entry not yet committed */
    f.now += 400 * MS;                    /* what answers promised is over */
    support(4, 9, f.now);
    receive(&f, (struct raft_message){.kind = RAFT_APPEND_REPLY,
                                      .from = 4,
                                      .term = raft_term(f.r),
                                      .fortify = true,
                                      .epoch = 9});
    CHECK(!raft_lease_holds(f.r, f.now)); /* 1 and 4 alone, of 1 2 3 */
    support(2, 7, f.now);
    receive(&f, (struct raft_message){.kind = RAFT_APPEND_REPLY,
                                      .from = 2,
                                      .term = raft_term(f.r),
                                      .fortify = true,
                                      .epoch = 7});
    CHECK(raft_lease_holds(f.r, f.now));
    fixture_done(&f);
}

TEST(fortify, a_transfer_asks_for_no_promises)
{
    struct fixture f = quiet_leader();
    propose(&f, 1, 8);
    CHECK_OK(transfer_to(&f, 2));
    tick_after(&f, 60 * MS);
    CHECK(!sent(&f, RAFT_APPEND, 3)->fortify);
    CHECK(raft_deadline(f.r) != NANOS_NEVER);
    CHECK(!raft_lease_holds(f.r, f.now));
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RUN(fortify, a_follower_promises_under_the_epoch_it_is_asked_in),
        RUN(fortify, who_has_fortified_ignores_votes_however_long_the_leader_is_silent),
        RUN(fortify, the_promise_outlives_the_term),
        RUN(fortify, a_withdrawal_wakes_the_follower_soon_and_not_at_once),
        RUN(fortify, an_append_is_a_promise_too_and_may_last_longer_than_the_support),
        RUN(fortify, a_leader_of_a_later_term_ends_the_promise_to_the_one_before),
        RUN(fortify, a_released_follower_wakes_and_is_not_bound_by_a_late_message_again),
        RUN(fortify, a_full_disk_is_told_unasked),
        RUN(fortify, a_group_with_nothing_to_say_has_no_timer_and_keeps_its_lease),
        RUN(fortify, followers_learn_what_is_committed_before_the_group_goes_quiet),
        RUN(fortify, a_fortification_of_an_epoch_that_was_withdrawn_counts_for_nothing),
        RUN(fortify, a_peer_without_support_gets_heartbeats_and_the_others_none),
        RUN(fortify, a_leader_that_loses_the_support_of_a_quorum_steps_down_as_without_answers),
        RUN(fortify, who_leaves_leadership_releases_everybody_until_they_say_so),
        RUN(fortify, a_node_heard_after_the_latest_step_is_in_reach),
        RUN(fortify, while_members_change_both_halves_must_have_fortified),
        RUN(fortify, a_transfer_asks_for_no_promises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
