#include "raft/raft_fixture.h"

#include "base/prng.h"

/* ---- votes */

TEST(election, refuses_candidate_whose_log_is_behind) /* §3.6.1 */
{
    struct fixture f = with_log("1/1 1/2 2/3");
    receive(&f, vote(2, 3, "2/2"));
    CHECK(!held(&f, RAFT_VOTE_REPLY, 2)->granted);
    CHECK_EQ(raft_term(f.r), 3); /* refused, but the term still moves on (§3.3) */
    fixture_done(&f);
}

TEST(election, compares_logs_by_term_before_length) /* §3.6.1 */
{
    struct fixture f = with_log("1/1 1/2 2/3");
    receive(&f, vote(2, 3, "1/900"));
    CHECK(!held(&f, RAFT_VOTE_REPLY, 2)->granted);
    receive(&f, vote(3, 3, "3/1"));
    CHECK(held(&f, RAFT_VOTE_REPLY, 3)->granted);
    fixture_done(&f);
}

TEST(election, a_vote_leaves_only_after_it_is_saved) /* §3.8 */
{
    struct fixture f = with_log("1/1");
    receive(&f, vote(2, 5, "1/1"));
    CHECK(!sent(&f, RAFT_VOTE_REPLY, 2));
    CHECK(held(&f, RAFT_VOTE_REPLY, 2)->granted);
    CHECK(f.out->save);
    CHECK_EQ(f.out->save->term, 5);
    CHECK_EQ(f.out->save->vote, 2);
    fixture_done(&f);
}

TEST(election, votes_once_in_a_term_but_again_for_the_same_candidate) /* §3.4 */
{
    struct fixture f = with_log("1/1");
    receive(&f, vote(2, 5, "1/1"));
    receive(&f, vote(3, 5, "1/1"));
    CHECK(!held(&f, RAFT_VOTE_REPLY, 3)->granted);
    receive(&f, vote(2, 5, "1/1")); /* its first request's answer was lost */
    CHECK(held(&f, RAFT_VOTE_REPLY, 2)->granted);
    fixture_done(&f);
}

TEST(election, a_free_vote_in_the_current_term_is_given)
{
    struct fixture f = fixture_new((struct fixture_setup){.log = "1/1", .term = 5});
    receive(&f, vote(2, 5, "1/1"));
    CHECK(held(&f, RAFT_VOTE_REPLY, 2)->granted);
    fixture_done(&f);
}

TEST(election, remembers_its_vote_over_a_restart) /* §3.8 */
{
    struct fixture f = fixture_new((struct fixture_setup){.log = "1/1", .term = 5, .vote = 3});
    receive(&f, vote(2, 5, "1/1"));
    CHECK(!held(&f, RAFT_VOTE_REPLY, 2)->granted);
    fixture_done(&f);
}

TEST(election, ignores_votes_while_a_leader_is_alive) /* §4.2.3, §6.4.1 */
{
    struct fixture f = with_log("1/1");
    receive(&f, heartbeat(3, 1, "1/1", 1));
    f.now += 299 * MS;
    receive(&f, vote(2, 9, "1/1"));
    CHECK_EQ(f.out->send_after_save.count, 0);
    CHECK_EQ(raft_term(f.r), 1); /* not even its term */
    receive(&f, prevote(2, 9, "1/1"));
    CHECK_EQ(f.out->send.count, 0);
    f.now += MS;
    receive(&f, vote(2, 9, "1/1"));
    CHECK(held(&f, RAFT_VOTE_REPLY, 2)->granted);
    fixture_done(&f);
}

TEST(election, a_leader_ignores_votes_that_no_transfer_asked_for)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    receive(&f, vote(2, 9, "9/9"));
    CHECK(raft_is_leader(f.r));
    CHECK_EQ(f.out->send_after_save.count, 0);
    fixture_done(&f);
}

TEST(election, a_transfer_overrides_the_promise_not_to_vote) /* §3.10 */
{
    struct fixture f = with_log("1/1");
    receive(&f, heartbeat(3, 1, "1/1", 1));
    struct raft_message m = vote(2, 2, "1/1");
    m.transfer = true;
    receive(&f, m);
    CHECK(held(&f, RAFT_VOTE_REPLY, 2)->granted);
    fixture_done(&f);
}

TEST(election,
     refuses_votes_for_one_lease_after_a_restart) /* it may have promised before it died */
{
    struct fixture f = with_log("1/1");
    f.now -= MS;
    receive(&f, vote(2, 5, "1/1"));
    CHECK_EQ(f.out->send_after_save.count, 0);
    f.now += MS;
    receive(&f, vote(2, 5, "1/1"));
    CHECK(held(&f, RAFT_VOTE_REPLY, 2)->granted);
    fixture_done(&f);
}

TEST(election, an_impaired_replica_neither_votes_nor_campaigns)
{
    struct fixture f = fixture_new((struct fixture_setup){.log = "1/1", .impaired = true});
    receive(&f, vote(2, 5, "9/9"));
    CHECK(!held(&f, RAFT_VOTE_REPLY, 2)->granted);
    receive(&f, prevote(2, 6, "9/9"));
    CHECK(!sent(&f, RAFT_VOTE_REPLY, 2)->granted);
    for (u32 i = 0; i < 10; i++) {
        tick_after(&f, 700 * MS);
        CHECK_EQ(raft_role(f.r), RAFT_FOLLOWER);
        CHECK_EQ(f.out->send_after_save.count, 0);
        CHECK_EQ(f.out->send.count, sent_count(&f, RAFT_VOTE, 2) + sent_count(&f, RAFT_VOTE, 3));
        CHECK(sent(&f, RAFT_VOTE, 2)->pre); /* only to be told if it is no member any more */
    }
    fixture_done(&f);
}

TEST(election, a_learner_does_not_campaign_but_votes_if_asked) /* §4.1: who asks knows who counts */
{
    struct fixture f = fixture_new((struct fixture_setup){.config = config_of("23+1")});
    receive(&f, vote(2, 1, "0/0"));
    CHECK(held(&f, RAFT_VOTE_REPLY, 2)->granted);
    tick_after(&f, NANOS_SEC);
    CHECK_EQ(raft_role(f.r), RAFT_FOLLOWER);
    receive(&f, vote_reply(2, 2, true));
    CHECK_EQ(raft_role(f.r), RAFT_FOLLOWER);
    fixture_done(&f);
}

TEST(election, a_candidate_that_is_no_member_here_is_judged_by_its_log) /* §4.1 */
{
    struct fixture f = with_log("1/1 1/2");
    receive(&f, vote(7, 2, "1/1"));
    CHECK(!held(&f, RAFT_VOTE_REPLY, 7)->granted);
    receive(&f, vote(7, 3, "1/2"));
    CHECK(held(&f, RAFT_VOTE_REPLY, 7)->granted);
    fixture_done(&f);
}

TEST(election, one_that_was_always_alone_leads_at_once_and_one_that_is_left_does_not)
{
    struct fixture f = fixture_new((struct fixture_setup){.config = config_of("1")});
    CHECK(raft_deadline(f.r) < f.now);
    fixture_done(&f);
    struct raft_config left = config_of("1");
    left.next = 4; /* 2 and 3 left; one of them may hold a lease that 1 has granted */
    f = fixture_new((struct fixture_setup){.config = left});
    CHECK(raft_deadline(f.r) >= f.now);
    fixture_done(&f);
}

TEST(election, who_left_by_a_change_not_committed_yet_campaigns_without_counting_itself) /* §4.2.2 */
{
    struct fixture f = with_log("1/1");
    struct raft_config c = config_of("23");
    struct buf bytes = {0};
    raft_config_encode(&c, &bytes);
    struct rcbuf *data = rcbuf_from(buf_str(&bytes));
    struct raft_entry e = {{1, 2}, RAFT_CONFIG, data};
    struct raft_message m = heartbeat(2, 1, "1/1", 0);
    m.entries = &e;
    m.count = 1;
    receive(&f, m);
    persisted(&f, "1/2");
    tick_after(&f, NANOS_SEC);
    CHECK_EQ(raft_role(f.r), RAFT_PRECANDIDATE);
    struct raft_message reply = vote_reply(2, 2, true);
    reply.pre = true;
    receive(&f, reply);
    CHECK_EQ(raft_role(f.r), RAFT_PRECANDIDATE); /* one of 2 and 3 */
    reply.from = 3;
    receive(&f, reply);
    saved(&f);
    receive(&f, vote_reply(2, 2, true));
    receive(&f, vote_reply(3, 2, true));
    CHECK(raft_is_leader(f.r));
    rcbuf_unref(data);
    buf_done(&bytes);
    fixture_done(&f);
}

TEST(election, a_joint_candidate_needs_both_halves) /* §4.3 */
{
    struct fixture f = fixture_new((struct fixture_setup){.config = config_of("145:123")});
    become_precandidate(&f);
    struct raft_message m = vote_reply(2, 1, true);
    m.pre = true;
    receive(&f, m);
    CHECK_EQ(raft_role(f.r), RAFT_PRECANDIDATE); /* 1 and 2: only a majority of the old ones */
    m.from = 4;
    receive(&f, m);
    CHECK_EQ(raft_role(f.r), RAFT_CANDIDATE);
    saved(&f);
    receive(&f, vote_reply(4, 1, true));
    CHECK_EQ(raft_role(f.r), RAFT_CANDIDATE); /* 1 and 4: only of the new ones */
    receive(&f, vote_reply(5, 1, true));
    CHECK_EQ(raft_role(f.r), RAFT_CANDIDATE);
    receive(&f, vote_reply(3, 1, true));
    CHECK(raft_is_leader(f.r));
    fixture_done(&f);
}

TEST(election, founding_lets_a_blank_replica_vote_and_no_other)
{
    struct fixture f = fixture_new((struct fixture_setup){.impaired = true});
    CHECK_OK(step(&f, (struct raft_event){.kind = RAFT_FOUNDING}));
    CHECK(f.out->save && !f.out->save->impaired);
    CHECK(f.out->events & RAFT_HEALED);
    receive(&f, vote(2, 1, "0/0"));
    CHECK(held(&f, RAFT_VOTE_REPLY, 2)->granted);
    fixture_done(&f);

    f = fixture_new((struct fixture_setup){.log = "1/1", .impaired = true});
    CHECK_OK(step(&f, (struct raft_event){.kind = RAFT_FOUNDING}));
    CHECK(raft_hard_state(f.r)->impaired);
    fixture_done(&f);
}

TEST(election, a_hard_state_older_than_the_log_is_a_lost_one)
{
    struct fixture f = fixture_new((struct fixture_setup){.log = "1/1 4/2", .term = 2, .vote = 3});
    tick_after(&f, 0);
    CHECK(f.out->save && f.out->save->impaired);
    CHECK_EQ(f.out->save->term, 4);
    CHECK_EQ(f.out->save->vote, 0);
    fixture_done(&f);
}

/* ---- pre-votes */

TEST(election, a_prevote_changes_nothing_at_the_voter) /* §9.6 */
{
    struct fixture f = with_log("1/1");
    nanos deadline = raft_deadline(f.r);
    receive(&f, prevote(2, 8, "1/1"));
    const struct raft_message *reply = sent(&f, RAFT_VOTE_REPLY, 2);
    CHECK(reply->granted && reply->pre);
    CHECK_EQ(reply->term, 8); /* the term it would campaign in */
    CHECK_EQ(raft_term(f.r), 1);
    CHECK(!f.out->save);
    CHECK_EQ(raft_deadline(f.r), deadline);
    fixture_done(&f);
}

TEST(election, a_prevote_of_an_old_term_is_refused_with_ours)
{
    struct fixture f = fixture_new((struct fixture_setup){.log = "1/1", .term = 7});
    receive(&f, prevote(2, 7, "9/9"));
    CHECK(!sent(&f, RAFT_VOTE_REPLY, 2)->granted);
    CHECK_EQ(sent(&f, RAFT_VOTE_REPLY, 2)->term, 7);
    fixture_done(&f);
}

TEST(election, a_timeout_asks_before_it_raises_the_term) /* §9.6 */
{
    struct fixture f = with_log("1/1 2/2");
    become_precandidate(&f);
    CHECK_EQ(raft_term(f.r), 2);
    CHECK(!f.out->save); /* a pre-candidate persists nothing */
    const struct raft_message *m = sent(&f, RAFT_VOTE, 3);
    CHECK(m && m->pre);
    CHECK_EQ(m->term, 3);
    CHECK_EQ(m->prev.index, 2);
    fixture_done(&f);
}

TEST(election, a_prevote_quorum_starts_the_real_one)
{
    struct fixture f = with_log("1/1");
    become_candidate(&f);
    CHECK_EQ(raft_term(f.r), 2);
    CHECK_EQ(f.out->save->vote, 1);
    CHECK(!sent(&f, RAFT_VOTE, 0)); /* requests wait for the own vote on disk */
    CHECK(held(&f, RAFT_VOTE, 2) && held(&f, RAFT_VOTE, 3));
    fixture_done(&f);
}

TEST(election, prevote_grants_for_another_term_do_not_count)
{
    struct fixture f = with_log("1/1");
    become_precandidate(&f);
    struct raft_message m = vote_reply(2, 1, true);
    m.pre = true;
    receive(&f, m);
    CHECK_EQ(raft_role(f.r), RAFT_PRECANDIDATE);
    fixture_done(&f);
}

TEST(election, a_prevote_refused_by_a_quorum_ends)
{
    struct fixture f = with_log("1/1");
    become_precandidate(&f);
    struct raft_message m = vote_reply(2, 1, false);
    m.pre = true;
    receive(&f, m);
    CHECK_EQ(raft_role(f.r), RAFT_PRECANDIDATE);
    m.from = 3;
    receive(&f, m);
    CHECK_EQ(raft_role(f.r), RAFT_FOLLOWER);
    fixture_done(&f);
}

/* ---- counting */

TEST(election, the_own_vote_counts_when_it_is_durable)
{
    struct fixture f = with_log("1/1");
    become_candidate(&f);
    receive(&f, vote_reply(2, 2, true));
    CHECK_EQ(raft_role(f.r), RAFT_CANDIDATE);
    saved(&f);
    CHECK(raft_is_leader(f.r));
    CHECK(f.out->events & RAFT_BECAME_LEADER);
    CHECK(f.out->events & RAFT_LEADER_CHANGED);
    fixture_done(&f);
}

TEST(election, a_voter_counts_once)
{
    struct fixture f = fixture_new((struct fixture_setup){.nodes = 5, .log = "1/1"});
    become_candidate(&f);
    saved(&f);
    receive(&f, vote_reply(2, 2, true));
    receive(&f, vote_reply(2, 2, true));
    CHECK_EQ(raft_role(f.r), RAFT_CANDIDATE);
    receive(&f, vote_reply(3, 2, true));
    CHECK(raft_is_leader(f.r));
    fixture_done(&f);
}

TEST(election, votes_of_an_older_term_or_of_strangers_do_not_count)
{
    struct fixture f = with_log("1/1");
    become_candidate(&f);
    saved(&f);
    receive(&f, vote_reply(2, 1, true));
    receive(&f, vote_reply(9, 2, true));
    CHECK_EQ(raft_role(f.r), RAFT_CANDIDATE);
    fixture_done(&f);
}

TEST(election, two_of_four_do_not_elect)
{
    struct fixture f = fixture_new((struct fixture_setup){.nodes = 4, .log = "1/1"});
    become_candidate(&f);
    saved(&f);
    receive(&f, vote_reply(2, 2, true));
    CHECK_EQ(raft_role(f.r), RAFT_CANDIDATE);
    fixture_done(&f);
}

TEST(election, a_sole_voter_elects_itself_at_once_after_its_own_save)
{
    struct fixture f = fixture_new((struct fixture_setup){.nodes = 1});
    tick_after(&f, 0);
    CHECK_EQ(raft_role(f.r), RAFT_CANDIDATE);
    saved(&f);
    CHECK(raft_is_leader(f.r));
    CHECK_EQ(raft_commit(f.r), 0);
    persisted(&f, "1/1");
    CHECK_EQ(raft_commit(f.r), 1);
    fixture_done(&f);
}

TEST(election, a_candidate_follows_the_leader_of_its_term) /* §3.4 */
{
    struct fixture f = with_log("1/1");
    become_candidate(&f);
    receive(&f, heartbeat(3, 2, "1/1", 0));
    CHECK_EQ(raft_role(f.r), RAFT_FOLLOWER);
    CHECK_EQ(raft_leader(f.r), 3);
    fixture_done(&f);
}

/* ---- terms and timers */

TEST(election, any_newer_term_makes_a_follower) /* §3.3; the request's and the reply's */
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    struct raft_message m = ack(2, &f, 1);
    m.term = 9;
    receive(&f, m);
    CHECK_EQ(raft_role(f.r), RAFT_FOLLOWER);
    CHECK_EQ(raft_term(f.r), 9);
    CHECK_EQ(f.out->save->term, 9);
    CHECK(f.out->events & RAFT_STEPPED_DOWN);
    CHECK(f.out->events & RAFT_LEADER_CHANGED);
    fixture_done(&f);
}

TEST(election, an_old_leader_is_told_the_newer_term)
{
    struct fixture f = fixture_new((struct fixture_setup){.log = "1/1", .term = 5});
    receive(&f, heartbeat(3, 4, "1/1", 1));
    CHECK_EQ(raft_leader(f.r), 0);
    CHECK(held(&f, RAFT_APPEND_REPLY, 3)->rejected);
    CHECK_EQ(held(&f, RAFT_APPEND_REPLY, 3)->term, 5);
    fixture_done(&f);
}

TEST(election, a_refused_vote_does_not_reset_the_timer) /* §3.4 */
{
    struct fixture f = with_log("1/1 2/2");
    nanos deadline = raft_deadline(f.r);
    receive(&f, vote(2, 5, "1/1"));
    CHECK_EQ(raft_deadline(f.r), deadline);
    receive(&f, vote(3, 5, "2/2"));
    CHECK(raft_deadline(f.r) != deadline); /* a granted one does */
    fixture_done(&f);
}

TEST(election, timeouts_are_random_within_their_bounds) /* §3.4 */
{
    struct fixture f = with_log("1/1");
    nanos low = NANOS_NEVER, high = 0;
    for (u32 i = 0; i < 200; i++) {
        f.now += MS;
        receive(&f, heartbeat(2, 1, "1/1", 1));
        nanos wait = raft_deadline(f.r) - f.now;
        low = u64_min(low, wait);
        high = u64_max(high, wait);
    }
    CHECK(low >= 300 * MS && low < 320 * MS);
    CHECK(high <= 600 * MS && high > 580 * MS);
    fixture_done(&f);
}

TEST(election, a_replica_with_a_full_disk_lets_others_go_first)
{
    struct fixture f = with_log("1/1");
    disk_full(&f, true);
    receive(&f, heartbeat(2, 1, "1/1", 1));
    CHECK(raft_deadline(f.r) - f.now >= 900 * MS);
    fixture_done(&f);
}

TEST(election, a_leader_without_answers_steps_down) /* §6.2 */
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    nanos heard = f.now;
    while (raft_is_leader(f.r)) {
        CHECK(f.now - heard <= 660 * MS);
        tick_after(&f, 60 * MS);
    }
    CHECK(f.now - heard >= 600 * MS);
    CHECK_EQ(raft_leader(f.r), 0);
    CHECK_EQ(raft_term(f.r), 2); /* it makes no new term of that */
    fixture_done(&f);
}

TEST(election, one_of_two_followers_is_enough_to_stay)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    for (u32 i = 0; i < 50; i++) {
        tick_after(&f, 60 * MS);
        receive(&f, ack(3, &f, 1));
    }
    CHECK(raft_is_leader(f.r));
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RUN(election, refuses_candidate_whose_log_is_behind),
        RUN(election, compares_logs_by_term_before_length),
        RUN(election, a_vote_leaves_only_after_it_is_saved),
        RUN(election, votes_once_in_a_term_but_again_for_the_same_candidate),
        RUN(election, a_free_vote_in_the_current_term_is_given),
        RUN(election, remembers_its_vote_over_a_restart),
        RUN(election, ignores_votes_while_a_leader_is_alive),
        RUN(election, a_leader_ignores_votes_that_no_transfer_asked_for),
        RUN(election, a_transfer_overrides_the_promise_not_to_vote),
        RUN(election, refuses_votes_for_one_lease_after_a_restart),
        RUN(election, an_impaired_replica_neither_votes_nor_campaigns),
        RUN(election, a_learner_does_not_campaign_but_votes_if_asked),
        RUN(election, a_candidate_that_is_no_member_here_is_judged_by_its_log),
        RUN(election, one_that_was_always_alone_leads_at_once_and_one_that_is_left_does_not),
        RUN(election, who_left_by_a_change_not_committed_yet_campaigns_without_counting_itself),
        RUN(election, a_joint_candidate_needs_both_halves),
        RUN(election, founding_lets_a_blank_replica_vote_and_no_other),
        RUN(election, a_hard_state_older_than_the_log_is_a_lost_one),
        RUN(election, a_prevote_changes_nothing_at_the_voter),
        RUN(election, a_prevote_of_an_old_term_is_refused_with_ours),
        RUN(election, a_timeout_asks_before_it_raises_the_term),
        RUN(election, a_prevote_quorum_starts_the_real_one),
        RUN(election, prevote_grants_for_another_term_do_not_count),
        RUN(election, a_prevote_refused_by_a_quorum_ends),
        RUN(election, the_own_vote_counts_when_it_is_durable),
        RUN(election, a_voter_counts_once),
        RUN(election, votes_of_an_older_term_or_of_strangers_do_not_count),
        RUN(election, two_of_four_do_not_elect),
        RUN(election, a_sole_voter_elects_itself_at_once_after_its_own_save),
        RUN(election, a_candidate_follows_the_leader_of_its_term),
        RUN(election, any_newer_term_makes_a_follower),
        RUN(election, an_old_leader_is_told_the_newer_term),
        RUN(election, a_refused_vote_does_not_reset_the_timer),
        RUN(election, timeouts_are_random_within_their_bounds),
        RUN(election, a_replica_with_a_full_disk_lets_others_go_first),
        RUN(election, a_leader_without_answers_steps_down),
        RUN(election, one_of_two_followers_is_enough_to_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
