#include "raft/raft_fixture.h"

static err restored(struct fixture *f, const char *pos)
{
    return step(f, (struct raft_event){.kind = RAFT_RESTORED, .pos = pos_of(pos), .peer = 2});
}

static void applied_and_compact(struct fixture *f, u64 index)
{
    CHECK_OK(step(f, (struct raft_event){.kind = RAFT_APPLIED, .index = index}));
    CHECK_OK(step(f, (struct raft_event){.kind = RAFT_COMPACT, .index = index}));
}

static u32 state_of(const struct fixture *f, replica_id peer)
{
    struct raft_peer_status s;
    CHECK(raft_peer_status(f->r, peer, &s));
    return s.state;
}

/* ---- the leader's side */

static struct fixture leader_without_log(void)
{
    struct fixture f = with_log("1/1 1/2 1/3");
    become_settled_leader(&f);
    applied_and_compact(&f, 4);
    return f;
}

TEST(snapshot, is_wanted_for_a_peer_whose_next_entry_is_gone) /* §5 */
{
    struct fixture f = leader_without_log();
    receive(&f, refusal(3, &f, "1/3", "1/1"));
    CHECK_EQ(f.out->snapshot_to, 3);
    CHECK_EQ(state_of(&f, 3), 2);
    tick_after(&f, 60 * MS);
    CHECK_EQ(f.out->snapshot_to, 0);                   /* once */
    CHECK_EQ(sent(&f, RAFT_APPEND, 3)->prev.index, 0); /* heartbeats go on, and claim nothing */
    CHECK_OK(propose(&f, 1, 10));
    CHECK(!sent(&f, RAFT_APPEND, 3));
    fixture_done(&f);
}

TEST(snapshot, is_not_needed_right_behind_the_base) /* next == base + 1 */
{
    struct fixture f = leader_without_log();
    CHECK_OK(propose(&f, 1, 10));
    receive(&f, refusal(3, &f, "1/3", "1/1"));
    struct raft_message m = ack(3, &f, 4);
    receive(&f, m);
    CHECK_EQ(state_of(&f, 3), 1);
    CHECK_EQ(sent(&f, RAFT_APPEND, 3)->prev.index, 4);
    CHECK_EQ(sent(&f, RAFT_APPEND, 3)->prev.term, 2);
    fixture_done(&f);
}

TEST(snapshot, is_not_offered_to_a_silent_peer)
{
    struct fixture f = leader_without_log();
    CHECK_OK(step(&f, (struct raft_event){.kind = RAFT_UNREACHABLE, .peer = 3}));
    for (u32 i = 0; i < 20; i++) {
        tick_after(&f, 60 * MS);
        CHECK_EQ(f.out->snapshot_to, 0);
        receive(&f, ack(2, &f, 4));
    }
    fixture_done(&f);
}

TEST(snapshot, replication_goes_on_when_the_follower_says_it_is_installed)
{
    struct fixture f = leader_without_log();
    receive(&f, refusal(3, &f, "1/3", "1/1"));
    CHECK_OK(propose(&f, 1, 10));
    struct raft_message m = {
        .kind = RAFT_SNAPSHOT_STATUS, .from = 3, .term = 2, .prev = {2, 4}, .match = 4};
    receive(&f, m);
    CHECK_EQ(state_of(&f, 3), 1);
    CHECK_EQ(sent(&f, RAFT_APPEND, 3)->entries[0].pos.index, 5);
    CHECK_EQ(raft_replicas_with(f.r, 4), 2);
    fixture_done(&f);
}

TEST(snapshot, or_when_a_heartbeats_answer_shows_it)
{
    struct fixture f = leader_without_log();
    receive(&f, refusal(3, &f, "1/3", "1/1"));
    CHECK_OK(step(&f, (struct raft_event){.kind = RAFT_SNAPSHOT_SENT, .peer = 3, .index = 4}));
    CHECK_EQ(state_of(&f, 3), 2);
    receive(&f, ack(3, &f, 4));
    CHECK_EQ(state_of(&f, 3), 1);
    fixture_done(&f);
}

TEST(snapshot, a_failed_one_is_tried_again_later)
{
    struct fixture f = leader_without_log();
    receive(&f, refusal(3, &f, "1/3", "1/1"));
    CHECK_OK(
        step(&f, (struct raft_event){.kind = RAFT_SNAPSHOT_SENT, .peer = 3, .rejected = true}));
    CHECK_EQ(f.out->snapshot_to, 0);
    nanos failed = f.now;
    for (;;) {
        tick_after(&f, 60 * MS);
        if (f.out->snapshot_to) break;
        receive(&f, ack(3, &f, 0));
        if (f.out->snapshot_to) break;
        CHECK(f.now < failed + NANOS_SEC);
    }
    CHECK_EQ(f.out->snapshot_to, 3);
    CHECK(f.now >= failed + 300 * MS);
    fixture_done(&f);
}

TEST(snapshot, one_that_compaction_has_overtaken_is_followed_by_another_soon)
{
    struct fixture f = leader_without_log();
    receive(&f, refusal(3, &f, "1/3", "1/1"));
    CHECK_OK(step(&f, (struct raft_event){.kind = RAFT_SNAPSHOT_SENT, .peer = 3, .index = 4}));
    CHECK_OK(propose(&f, 1, 10));
    persisted(&f, "2/5");
    receive(&f, ack(2, &f, 5));
    applied_and_compact(&f, 5);
    struct raft_message m = {
        .kind = RAFT_SNAPSHOT_STATUS, .from = 3, .term = 2, .prev = {2, 4}, .match = 4};
    receive(&f, m);
    nanos installed = f.now;
    for (;;) {
        tick_after(&f, 60 * MS);
        if (f.out->snapshot_to) break;
        receive(&f, ack(3, &f, 0));
        if (f.out->snapshot_to) break;
        CHECK(f.now < installed + NANOS_SEC);
    }
    CHECK_EQ(f.out->snapshot_to, 3);
    fixture_done(&f);
}

TEST(snapshot, two_peers_are_named_in_two_steps)
{
    struct fixture f = fixture_new((struct fixture_setup){.nodes = 5, .log = "1/1 1/2 1/3"});
    become_leader(&f);
    persisted(&f, "2/4");
    receive(&f, ack(2, &f, 4));
    receive(&f, ack(3, &f, 4));
    applied_and_compact(&f, 4);
    for (replica_id peer = 4; peer <= 5; peer++) {
        receive(&f, refusal(peer, &f, "1/3", "1/1"));
        CHECK_EQ(f.out->snapshot_to, peer);
        CHECK_OK(step(
            &f, (struct raft_event){.kind = RAFT_SNAPSHOT_SENT, .peer = peer, .rejected = true}));
    }
    f.now += 300 * MS; /* both may be tried again */
    receive(&f, ack(2, &f, 4));
    CHECK_EQ(f.out->snapshot_to, 4);
    CHECK_EQ(raft_deadline(f.r), f.now);
    receive(&f, ack(3, &f, 4));
    CHECK_EQ(f.out->snapshot_to, 5);
    fixture_done(&f);
}

/* ---- compaction */

TEST(compact, drops_what_is_applied_and_no_more)
{
    struct fixture f = with_log("1/1 1/2 1/3");
    receive(&f, heartbeat(2, 1, "1/3", 2));
    CHECK_OK(step(&f, (struct raft_event){.kind = RAFT_APPLIED, .index = 2}));
    CHECK_OK(step(&f, (struct raft_event){.kind = RAFT_COMPACT, .index = 3}));
    CHECK_EQ(raft_first(f.r).index, 2);
    CHECK_EQ(raft_first(f.r).term, 1);
    CHECK_EQ(raft_term_at(f.r, 2), 1);
    CHECK_EQ(raft_term_at(f.r, 1), 0);
    CHECK_OK(step(&f, (struct raft_event){.kind = RAFT_COMPACT, .index = 1}));
    CHECK_EQ(raft_first(f.r).index, 2);
    fixture_done(&f);
}

/* ---- the follower's side */

TEST(restore, begins_the_log_at_the_snapshot)
{
    struct fixture f = with_log("1/1");
    receive(&f, heartbeat(2, 5, "0/0", 0));
    CHECK_OK(restored(&f, "4/10"));
    CHECK_EQ(raft_last(f.r).index, 10);
    CHECK_EQ(raft_last(f.r).term, 4);
    CHECK_EQ(raft_commit(f.r), 10);
    CHECK_EQ(raft_durable(f.r), 10);
    CHECK_EQ(f.out->apply.from, 0);
    CHECK_EQ(held(&f, RAFT_SNAPSHOT_STATUS, 2)->prev.index, 10);
    saved(&f);
    append(&f, 2, 5, "4/10", "5/11", 11);
    persisted(&f, "5/11");
    CHECK_EQ(f.out->apply.from, 11);
    fixture_done(&f);
}

TEST(restore, keeps_a_suffix_that_matches) /* rule 17: entries after a matching one stay */
{
    struct fixture f = with_log("1/1 1/2 1/3 1/4");
    CHECK_OK(restored(&f, "1/2"));
    CHECK_EQ(raft_last(f.r).index, 4);
    CHECK_EQ(raft_first(f.r).index, 2);
    CHECK_EQ(raft_durable(f.r), 4);
    CHECK_EQ(f.out->truncate_from, 0);
    fixture_done(&f);
}

TEST(restore, drops_a_suffix_of_another_history)
{
    struct fixture f = with_log("1/1 2/2 2/3 2/4");
    CHECK_OK(restored(&f, "3/2"));
    CHECK_EQ(raft_last(f.r).index, 2);
    CHECK_EQ(f.out->truncate_from, 3);
    CHECK(f.out->events & RAFT_TRUNCATED);
    CHECK_EQ(f.out->save->term, 3); /* the term is at least the snapshot's */
    fixture_done(&f);
}

TEST(restore, refuses_what_is_applied_already)
{
    struct fixture f = with_log("1/1 1/2 1/3");
    receive(&f, heartbeat(2, 1, "1/3", 3));
    CHECK_EQ(restored(&f, "1/2"), ERR_STALE);
    CHECK_EQ(restored(&f, "1/3"), ERR_STALE);
    CHECK_EQ(raft_first(f.r).index, 0);
    CHECK_EQ(raft_commit(f.r), 3);
    fixture_done(&f);
}

TEST(restore, does_not_take_the_term_back)
{
    struct fixture f = fixture_new((struct fixture_setup){.log = "1/1", .term = 9});
    CHECK_OK(restored(&f, "4/10"));
    CHECK_EQ(raft_term(f.r), 9);
    CHECK(!f.out->save);
    fixture_done(&f);
}

TEST(restore, reports_of_the_dropped_entries_are_ignored)
{
    struct fixture f = with_log("1/1");
    append(&f, 2, 2, "1/1", "2/2 2/3 2/4", 0);
    saved(&f);
    receive(&f, heartbeat(3, 4, "0/0", 0));
    CHECK_OK(restored(&f, "3/2"));
    append(&f, 3, 4, "3/2", "3/3 4/4", 0);
    persisted(&f, "2/4");
    CHECK_EQ(raft_durable(f.r), 2);
    persisted(&f, "4/4");
    CHECK_EQ(raft_durable(f.r), 4);
    fixture_done(&f);
}

TEST(restore, takes_the_snapshots_configuration)
{
    struct fixture f = with_log("1/1");
    struct raft_config c = config_of("1234");
    CHECK_OK(step(
        &f, (struct raft_event){.kind = RAFT_RESTORED, .pos = {1, 9}, .peer = 2, .config = &c}));
    CHECK(f.out->events & RAFT_CONFIG_CHANGED);
    CHECK(raft_config_equal(raft_config(f.r), &c));
    CHECK_EQ(raft_config_index(f.r), 9);
    fixture_done(&f);
}

TEST_MAIN(RUN(snapshot, is_wanted_for_a_peer_whose_next_entry_is_gone),
          RUN(snapshot, is_not_needed_right_behind_the_base),
          RUN(snapshot, is_not_offered_to_a_silent_peer),
          RUN(snapshot, replication_goes_on_when_the_follower_says_it_is_installed),
          RUN(snapshot, or_when_a_heartbeats_answer_shows_it),
          RUN(snapshot, a_failed_one_is_tried_again_later),
          RUN(snapshot, one_that_compaction_has_overtaken_is_followed_by_another_soon),
          RUN(snapshot, two_peers_are_named_in_two_steps),
          RUN(compact, drops_what_is_applied_and_no_more),
          RUN(restore, begins_the_log_at_the_snapshot), RUN(restore, keeps_a_suffix_that_matches),
          RUN(restore, drops_a_suffix_of_another_history),
          RUN(restore, refuses_what_is_applied_already), RUN(restore, does_not_take_the_term_back),
          RUN(restore, reports_of_the_dropped_entries_are_ignored),
          RUN(restore, takes_the_snapshots_configuration))
