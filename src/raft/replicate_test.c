#include "raft/raft_fixture.h"

static struct raft_peer_status status(const struct fixture *f, replica_id peer)
{
    struct raft_peer_status s;
    CHECK(raft_peer_status(f->r, peer, &s));
    return s;
}

enum { PROBE, REPLICATE, SNAPSHOT };

TEST(replicate, entries_leave_in_the_step_that_takes_them) /* §10.2.1: in parallel with the disk */
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    CHECK_OK(propose(&f, 3, 10));
    CHECK_EQ(f.out->append.from, 3);
    CHECK_EQ(f.out->append.to, 5);
    const struct raft_message *m = sent(&f, RAFT_APPEND, 2);
    CHECK_EQ(m->count, 3);
    CHECK_EQ(m->prev.index, 2);
    CHECK_EQ(m->prev.term, 2);
    CHECK_EQ(m->commit, 2);
    CHECK_EQ(m->entries[0].pos.index, 3);
    CHECK_EQ(m->sent_at, f.now);
    fixture_done(&f);
}

TEST(replicate, a_new_leader_probes_with_one_message) /* §3.5 */
{
    struct fixture f = with_log("1/1");
    become_leader(&f);
    CHECK_EQ(status(&f, 3).state, PROBE);
    CHECK_EQ(sent_count(&f, RAFT_APPEND, 3), 1);
    CHECK_OK(propose(&f, 1, 10));
    CHECK_EQ(sent_count(&f, RAFT_APPEND, 3), 0); /* silent until answered */
    receive(&f, ack(3, &f, 2));
    CHECK_EQ(status(&f, 3).state, REPLICATE);
    CHECK_EQ(sent(&f, RAFT_APPEND, 3)->entries[0].pos.index, 3);
    fixture_done(&f);
}

TEST(replicate, pipelines_without_waiting_for_answers) /* §10.2.2 */
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    for (u32 i = 0; i < 10; i++) {
        CHECK_OK(propose(&f, 1, 10));
        CHECK_EQ(sent(&f, RAFT_APPEND, 2)->prev.index, 2 + i);
    }
    CHECK_EQ(status(&f, 2).inflight, 10);
    receive(&f, ack(2, &f, 7)); /* one answer covers those before it */
    CHECK_EQ(status(&f, 2).inflight, 5);
    CHECK_EQ(status(&f, 2).match, 7);
    fixture_done(&f);
}

static struct fixture leader_with_window(u32 messages, u64 bytes, u64 per_message)
{
    struct raft_options o = default_options();
    o.inflight_messages_max = messages;
    o.inflight_bytes_max = bytes;
    o.append_bytes_max = per_message;
    struct fixture f = fixture_new((struct fixture_setup){.log = "1/1", .options = o});
    become_settled_leader(&f);
    return f;
}

TEST(replicate, stops_at_the_windows_message_count)
{
    struct fixture f = leader_with_window(2, MIB, MIB);
    for (u32 i = 0; i < 3; i++) CHECK_OK(propose(&f, 1, 10));
    CHECK_EQ(sent_count(&f, RAFT_APPEND, 2), 0);
    CHECK_EQ(status(&f, 2).next, 5);
    receive(&f, ack(2, &f, 3));
    CHECK_EQ(sent(&f, RAFT_APPEND, 2)->entries[0].pos.index, 5);
    fixture_done(&f);
}

TEST(replicate, stops_at_the_windows_bytes)
{
    struct fixture f = leader_with_window(100, 250, MIB);
    CHECK_OK(propose(&f, 4, 100)); /* 3 4 5 6 */
    CHECK_EQ(sent(&f, RAFT_APPEND, 2)->count, 2);
    CHECK_EQ(sent_count(&f, RAFT_APPEND, 2), 1);
    receive(&f, ack(2, &f, 4));
    CHECK_EQ(sent(&f, RAFT_APPEND, 2)->count, 2);
    fixture_done(&f);
}

TEST(replicate, an_entry_larger_than_the_window_goes_alone)
{
    struct fixture f = leader_with_window(100, 250, MIB);
    CHECK_OK(propose(&f, 1, 1000));
    CHECK_EQ(sent(&f, RAFT_APPEND, 2)->count, 1);
    CHECK_OK(propose(&f, 1, 1000));
    CHECK_EQ(sent_count(&f, RAFT_APPEND, 2), 0);
    receive(&f, ack(2, &f, 3));
    CHECK_EQ(sent(&f, RAFT_APPEND, 2)->count, 1);
    CHECK_EQ(sent(&f, RAFT_APPEND, 2)->entries[0].pos.index, 4);
    fixture_done(&f);
}

TEST(replicate, messages_are_cut_by_bytes)
{
    struct fixture f = leader_with_window(100, MIB, 250);
    CHECK_OK(propose(&f, 5, 100));
    CHECK_EQ(sent_count(&f, RAFT_APPEND, 2), 3); /* 2 2 1 */
    fixture_done(&f);
}

TEST(replicate, what_an_outbox_cannot_hold_leaves_with_the_next_step)
{
    struct raft_options o = default_options();
    o.inflight_messages_max = 4000;
    o.append_bytes_max = 1;
    struct fixture f = fixture_new((struct fixture_setup){.log = "1/1", .options = o});
    become_settled_leader(&f);
    for (u32 i = 0; i < 20; i++) CHECK_OK(propose(&f, 50, 10));
    CHECK_OK(step(&f, (struct raft_event){.kind = RAFT_UNREACHABLE, .peer = 2}));
    tick_after(&f, 60 * MS);
    struct raft_message m = ack(2, &f, 2);
    receive(&f, m); /* 1000 entries, one by one */
    CHECK_EQ(f.out->send.count, RAFT_OUTBOX_MAX);
    CHECK_EQ(raft_deadline(f.r), f.now);
    tick_after(&f, 0);
    CHECK_EQ(f.out->send.count, 1000 - RAFT_OUTBOX_MAX);
    CHECK(raft_deadline(f.r) > f.now);
    fixture_done(&f);
}

TEST(replicate, match_does_not_go_back_with_a_late_answer)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    CHECK_OK(propose(&f, 4, 10));
    receive(&f, ack(2, &f, 5));
    receive(&f, ack(2, &f, 3));
    CHECK_EQ(status(&f, 2).match, 5);
    CHECK(status(&f, 2).next > 5);
    fixture_done(&f);
}

TEST(replicate, answers_to_an_earlier_leadership_are_ignored)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    CHECK_OK(propose(&f, 1, 10));
    struct raft_message m = ack(2, &f, 3);
    m.term = 1;
    receive(&f, m);
    CHECK_EQ(status(&f, 2).match, 2);
    fixture_done(&f);
}

TEST(replicate, an_answer_that_promises_more_than_was_sent_is_ignored)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    struct raft_message m = ack(2, &f, 2);
    m.match = 99;
    receive(&f, m);
    CHECK_EQ(status(&f, 2).match, 2);
    fixture_done(&f);
}

TEST(replicate, a_refusal_goes_back_a_term_at_a_time) /* §5.3 of the paper */
{
    struct fixture f = with_log("1/1 1/2 4/3 4/4 5/5 5/6 5/7");
    become_leader(&f); /* 6/8; probes 3 after 7 */
    receive(&f, refusal(3, &f, "5/7", "3/6"));
    CHECK_EQ(sent(&f, RAFT_APPEND, 3)->prev.index, 2); /* its own last of a term <= 3 */
    receive(&f, refusal(3, &f, "1/2", "1/1"));
    CHECK_EQ(sent(&f, RAFT_APPEND, 3)->prev.index, 1);
    receive(&f, ack(3, &f, 8));
    CHECK_EQ(status(&f, 3).state, REPLICATE);
    fixture_done(&f);
}

TEST(replicate, a_late_refusal_changes_nothing)
{
    struct fixture f = with_log("1/1 1/2 1/3");
    become_settled_leader(&f);
    receive(&f, refusal(2, &f, "1/3", "1/1")); /* 4 is acknowledged since */
    CHECK_EQ(status(&f, 2).state, REPLICATE);
    CHECK_EQ(status(&f, 2).next, 5);
    receive(&f, refusal(3, &f, "1/1", "0/0")); /* the probe is after 3 */
    CHECK_EQ(status(&f, 3).next, 4);
    fixture_done(&f);
}

TEST(replicate, a_heartbeat_finds_what_was_lost)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    CHECK_OK(propose(&f, 3, 10)); /* lost on the way to 2 */
    tick_after(&f, 60 * MS);
    const struct raft_message *m = sent(&f, RAFT_APPEND, 2);
    CHECK_EQ(m->count, 0);
    CHECK_EQ(m->prev.index, 5); /* names the last entry sent */
    receive(&f, refusal(2, &f, "2/5", "2/2"));
    CHECK_EQ(sent(&f, RAFT_APPEND, 2)->count, 3);
    CHECK_EQ(sent(&f, RAFT_APPEND, 2)->prev.index, 2);
    fixture_done(&f);
}

TEST(replicate, a_lost_acknowledgement_is_made_good_by_a_heartbeats)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    CHECK_OK(propose(&f, 3, 10));
    persisted(&f, "2/5");
    tick_after(&f, 60 * MS);
    receive(&f, ack(2, &f, 5));
    CHECK_EQ(raft_commit(f.r), 5);
    CHECK_EQ(status(&f, 2).inflight, 0);
    fixture_done(&f);
}

TEST(replicate, a_slow_disk_is_not_a_loss)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    CHECK_OK(propose(&f, 3, 10));
    tick_after(&f, 60 * MS);
    struct raft_message m = ack(2, &f, 2); /* durable to 2, received to 5 */
    m.hint = (struct log_pos){2, 5};
    receive(&f, m);
    CHECK_EQ(sent_count(&f, RAFT_APPEND, 2), 0);
    CHECK_EQ(status(&f, 2).inflight, 1);
    fixture_done(&f);
}

TEST(replicate, a_broken_connection_is_probed)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    CHECK_OK(propose(&f, 3, 10));
    CHECK_OK(step(&f, (struct raft_event){.kind = RAFT_UNREACHABLE, .peer = 2}));
    CHECK_EQ(status(&f, 2).state, PROBE);
    CHECK_EQ(status(&f, 2).next, 3);
    CHECK_EQ(sent_count(&f, RAFT_APPEND, 2), 0);
    tick_after(&f, 60 * MS);
    CHECK_EQ(sent(&f, RAFT_APPEND, 2)->prev.index, 2);
    receive(&f, ack(2, &f, 2));
    CHECK_EQ(sent(&f, RAFT_APPEND, 2)->count, 3);
    fixture_done(&f);
}

TEST(replicate, heartbeats_leave_in_their_rhythm_to_everyone)
{
    struct fixture f = fixture_new((struct fixture_setup){.log = "1/1", .learners = 1});
    become_settled_leader(&f);
    CHECK(raft_deadline(f.r) <= f.now + 60 * MS);
    tick_after(&f, 59 * MS);
    CHECK_EQ(f.out->send.count, 0);
    tick_after(&f, MS);
    CHECK_EQ(f.out->send.count, 3);
    CHECK_EQ(sent(&f, RAFT_APPEND, 4)->count, 0);
    fixture_done(&f);
}

TEST(replicate, a_full_follower_is_left_alone_until_it_has_room)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    CHECK_OK(propose(&f, 2, 10));
    struct raft_message m = ack(2, &f, 2);
    m.full = true;
    receive(&f, m);
    CHECK_OK(propose(&f, 1, 10));
    CHECK_EQ(sent_count(&f, RAFT_APPEND, 2), 0);
    tick_after(&f, 60 * MS);
    CHECK_EQ(sent(&f, RAFT_APPEND, 2)->count, 0);
    receive(&f, ack(2, &f, 2));
    CHECK_EQ(sent(&f, RAFT_APPEND, 2)->count, 3);
    fixture_done(&f);
}

static void answer_full(struct fixture *f, node_id from, u64 index)
{
    struct raft_message m = ack(from, f, index);
    m.full = m.disk_full = true;
    receive(f, m);
}

TEST(replicate, a_full_disk_is_sent_entries_only_when_the_others_cannot_take_more)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    answer_full(&f, 2, 2);
    CHECK_OK(propose(&f, 2, 10));
    CHECK_EQ(sent_count(&f, RAFT_APPEND, 2), 0);
    CHECK(!raft_is_read_only(f.r));
    answer_full(&f, 3, 4);
    CHECK(raft_is_read_only(f.r));
    CHECK_EQ(sent(&f, RAFT_APPEND, 2)->count, 2);
    answer_full(&f, 2, 2); /* took nothing: not soon again */
    CHECK_EQ(sent_count(&f, RAFT_APPEND, 2), 0);
    tick_after(&f, 60 * MS);
    answer_full(&f, 2, 2);
    CHECK_EQ(sent_count(&f, RAFT_APPEND, 2), 0);
    for (u32 i = 0; i < 3; i++) {
        tick_after(&f, 60 * MS);
        CHECK_EQ(sent_count(&f, RAFT_APPEND, 2), 1); /* the heartbeat */
        answer_full(&f, 3, 4);
    }
    tick_after(&f, 60 * MS);
    CHECK_EQ(sent_count(&f, RAFT_APPEND, 2), 2);
    answer_full(&f, 2, 3); /* took one */
    CHECK_EQ(sent(&f, RAFT_APPEND, 2)->count, 1);
    answer_full(&f, 2, 4);
    CHECK_EQ(f.out->send.count, 0);
    fixture_done(&f);
}

TEST(replicate, proposals_beyond_the_limits_are_refused_whole)
{
    struct raft_options o = default_options();
    o.uncommitted_bytes_max = 100;
    o.tail_bytes_max = 300;
    struct fixture f = fixture_new((struct fixture_setup){.log = "1/1", .options = o});
    become_settled_leader(&f);
    CHECK_OK(propose(&f, 1, 90));
    CHECK_EQ(propose(&f, 2, 10), ERR_FULL);
    CHECK_EQ(raft_last(f.r).index, 3);
    CHECK_EQ(f.out->send.count, 0);
    persisted(&f, "2/3");
    receive(&f, ack(2, &f, 3));
    CHECK_OK(propose(&f, 1, 200)); /* alone, however large */
    persisted(&f, "2/4");
    receive(&f, ack(2, &f, 4));
    CHECK_EQ(propose(&f, 1, 50), ERR_FULL); /* the tail is full until it is compacted */
    CHECK_OK(step(&f, (struct raft_event){.kind = RAFT_APPLIED, .index = 4}));
    CHECK_OK(step(&f, (struct raft_event){.kind = RAFT_COMPACT, .index = 4}));
    CHECK_OK(propose(&f, 1, 50));
    fixture_done(&f);
}

TEST(replicate, only_a_leader_takes_proposals)
{
    struct fixture f = with_log("1/1");
    CHECK_EQ(propose(&f, 1, 10), ERR_STALE);
    CHECK_EQ(raft_last(f.r).index, 1);
    fixture_done(&f);
}

TEST(replicate, an_impaired_follower_starts_again_from_nothing)
{
    struct fixture f = with_log("1/1 1/2 1/3");
    become_settled_leader(&f);
    struct raft_message m = refusal(2, &f, "2/4", "0/0"); /* its disk is gone */
    m.impaired = true;
    m.life = 9;
    receive(&f, m);
    CHECK_EQ(status(&f, 2).match, 0);
    CHECK(status(&f, 2).impaired);
    CHECK_EQ(sent(&f, RAFT_APPEND, 2)->prev.index, 0);
    CHECK_EQ(sent(&f, RAFT_APPEND, 2)->count, 4);
    CHECK_EQ(raft_replicas_with(f.r, 4), 0);
    fixture_done(&f);
}

TEST(replicate, heals_only_after_a_quorum_without_the_impaired_one_confirmed_it)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    struct raft_message m = ack(2, &f, 2);
    m.impaired = true;
    m.life = 9;
    m.round = 0;
    receive(&f, m);
    tick_after(&f, 60 * MS);
    CHECK_EQ(sent(&f, RAFT_APPEND, 2)->life, 0);
    u64 round = sent(&f, RAFT_APPEND, 3)->round;
    CHECK(round > 0);
    m.round = round;
    m.sent_at = f.now;
    receive(&f, m); /* its own answer is none */
    tick_after(&f, 60 * MS);
    CHECK_EQ(sent(&f, RAFT_APPEND, 2)->life, 0);
    struct raft_message other = ack(3, &f, 2);
    other.round = round;
    receive(&f, other);
    nanos asked = f.now + 60 * MS;
    tick_after(&f, 60 * MS);
    CHECK_EQ(sent(&f, RAFT_APPEND, 2)->life, 9);

    struct raft_message healed = ack(2, &f, 2);
    healed.sent_at = asked - 300 * MS; /* an answer of its earlier life */
    receive(&f, healed);
    CHECK(status(&f, 2).impaired);
    healed.sent_at = asked;
    receive(&f, healed);
    CHECK(!status(&f, 2).impaired);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RUN(replicate, entries_leave_in_the_step_that_takes_them),
        RUN(replicate, a_new_leader_probes_with_one_message),
        RUN(replicate, pipelines_without_waiting_for_answers),
        RUN(replicate, stops_at_the_windows_message_count),
        RUN(replicate, stops_at_the_windows_bytes),
        RUN(replicate, an_entry_larger_than_the_window_goes_alone),
        RUN(replicate, messages_are_cut_by_bytes),
        RUN(replicate, what_an_outbox_cannot_hold_leaves_with_the_next_step),
        RUN(replicate, match_does_not_go_back_with_a_late_answer),
        RUN(replicate, answers_to_an_earlier_leadership_are_ignored),
        RUN(replicate, an_answer_that_promises_more_than_was_sent_is_ignored),
        RUN(replicate, a_refusal_goes_back_a_term_at_a_time),
        RUN(replicate, a_late_refusal_changes_nothing),
        RUN(replicate, a_heartbeat_finds_what_was_lost),
        RUN(replicate, a_lost_acknowledgement_is_made_good_by_a_heartbeats),
        RUN(replicate, a_slow_disk_is_not_a_loss),
        RUN(replicate, a_broken_connection_is_probed),
        RUN(replicate, heartbeats_leave_in_their_rhythm_to_everyone),
        RUN(replicate, a_full_follower_is_left_alone_until_it_has_room),
          RUN(replicate, a_full_disk_is_sent_entries_only_when_the_others_cannot_take_more),
        RUN(replicate, proposals_beyond_the_limits_are_refused_whole),
        RUN(replicate, only_a_leader_takes_proposals),
        RUN(replicate, an_impaired_follower_starts_again_from_nothing),
        RUN(replicate, heals_only_after_a_quorum_without_the_impaired_one_confirmed_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
