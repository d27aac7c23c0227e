#include "raft/raft_fixture.h"

static void check_log(const struct fixture *f, const char *log)
{
    struct raft_entry entries[64];
    u32 count = entries_of(log, entries, 64);
    CHECK_EQ(raft_last(f->r).index, count ? entries[count - 1].pos.index : 0);
    for (u32 i = 0; i < count; i++)
        CHECK_EQ(raft_term_at(f->r, entries[i].pos.index), entries[i].pos.term);
}

TEST(append, takes_new_entries_and_answers_after_they_are_durable) /* §3.8, §10.2 */
{
    struct fixture f = with_log("1/1");
    append(&f, 2, 1, "1/1", "1/2 1/3", 0);
    CHECK_EQ(f.out->append.from, 2);
    CHECK_EQ(f.out->append.to, 3);
    CHECK_EQ(f.out->truncate_from, 0);
    CHECK(!sent(&f, RAFT_APPEND_REPLY, 2));
    CHECK_EQ(held(&f, RAFT_APPEND_REPLY, 2)->match, 3);
    fixture_done(&f);
}

TEST(append, refuses_what_does_not_follow_its_log) /* §3.5 */
{
    struct fixture f = with_log("1/1 1/2");
    append(&f, 2, 1, "1/3", "1/4", 4);
    CHECK(held(&f, RAFT_APPEND_REPLY, 2)->rejected);
    CHECK_EQ(held(&f, RAFT_APPEND_REPLY, 2)->hint.index, 2);
    CHECK_EQ(raft_commit(f.r), 0);
    check_log(&f, "1/1 1/2");
    fixture_done(&f);
}

TEST(append, refuses_after_an_entry_of_another_term)
{
    struct fixture f = with_log("1/1 2/2");
    append(&f, 2, 3, "3/2", "3/3", 0);
    CHECK(held(&f, RAFT_APPEND_REPLY, 2)->rejected);
    check_log(&f, "1/1 2/2"); /* a refusal cuts nothing */
    fixture_done(&f);
}

TEST(append, hints_by_term_so_that_backtracking_skips_terms) /* §5.3 of the paper */
{
    struct fixture f = with_log("1/1 1/2 4/3 4/4 4/5 4/6");
    append(&f, 2, 7, "3/5", "3/6", 0);
    const struct raft_message *m = held(&f, RAFT_APPEND_REPLY, 2);
    CHECK_EQ(m->hint.term, 1);
    CHECK_EQ(m->hint.index, 2); /* no entry of term 4 can be in a log with term 3 at 5 */
    fixture_done(&f);
}

TEST(append, never_hints_below_what_is_committed)
{
    struct fixture f = with_log("1/1 4/2 4/3 4/4");
    receive(&f, heartbeat(2, 5, "4/2", 2));
    append(&f, 2, 5, "3/4", "", 0);
    CHECK_EQ(held(&f, RAFT_APPEND_REPLY, 2)->hint.index, 2);
    fixture_done(&f);
}

TEST(append, cuts_off_a_conflict_and_what_follows_it) /* §3.5 */
{
    struct fixture f = with_log("1/1 2/2 2/3 2/4");
    append(&f, 2, 3, "1/1", "3/2", 0);
    CHECK_EQ(f.out->truncate_from, 2);
    CHECK(f.out->events & RAFT_TRUNCATED);
    CHECK_EQ(f.out->append.from, 2);
    CHECK_EQ(f.out->append.to, 2);
    check_log(&f, "1/1 3/2");
    CHECK_EQ(raft_durable(f.r), 1);
    fixture_done(&f);
}

TEST(append, a_late_message_cuts_off_nothing) /* §3.5: only a conflict does */
{
    struct fixture f = with_log("1/1");
    append(&f, 2, 1, "1/1", "1/2 1/3 1/4", 0);
    append(&f, 2, 1, "1/1", "1/2", 0);
    CHECK_EQ(f.out->truncate_from, 0);
    CHECK_EQ(f.out->append.from, 0);
    check_log(&f, "1/1 1/2 1/3 1/4");
    fixture_done(&f);
}

TEST(append, an_entry_sent_twice_is_taken_once)
{
    struct fixture f = with_log("");
    append(&f, 2, 1, "0/0", "1/1 1/2", 0);
    append(&f, 2, 1, "0/0", "1/1 1/2 1/3", 0);
    CHECK_EQ(f.out->append.from, 3);
    CHECK_EQ(f.out->append.to, 3);
    CHECK_EQ(held(&f, RAFT_APPEND_REPLY, 2)->match, 3);
    fixture_done(&f);
}

TEST(append, entries_below_a_compacted_prefix_are_known) /* no special case for prev 0 */
{
    struct fixture f = fixture_new((struct fixture_setup){.snapshot = {1, 5}, .log = "1/6"});
    append(&f, 2, 1, "1/3", "1/4 1/5 1/6 1/7", 0);
    CHECK_EQ(f.out->append.from, 7);
    CHECK_EQ(f.out->truncate_from, 0);
    CHECK_EQ(held(&f, RAFT_APPEND_REPLY, 2)->match, 7);
    fixture_done(&f);
}

TEST(append, commits_only_what_this_message_covers) /* fig. 3.1, step 5 */
{
    struct fixture f = with_log("1/1 1/2 1/3"); /* 2 and 3 may not be the leader's */
    receive(&f, heartbeat(2, 4, "1/1", 3));
    CHECK_EQ(raft_commit(f.r), 1);
    CHECK_EQ(sent(&f, RAFT_APPEND_REPLY, 2) ? sent(&f, RAFT_APPEND_REPLY, 2)->match
                                            : held(&f, RAFT_APPEND_REPLY, 2)->match,
             1);
    fixture_done(&f);
}

TEST(append, commit_does_not_go_back)
{
    struct fixture f = with_log("1/1 1/2 1/3");
    receive(&f, heartbeat(2, 1, "1/3", 3));
    receive(&f, heartbeat(2, 1, "1/2", 1));
    CHECK_EQ(raft_commit(f.r), 3);
    fixture_done(&f);
}

TEST(append, applies_what_is_committed_and_on_its_own_disk_once)
{
    struct fixture f = with_log("1/1");
    append(&f, 2, 1, "1/1", "1/2 1/3", 3);
    CHECK_EQ(f.out->apply.from, 1);
    CHECK_EQ(f.out->apply.to, 1); /* 2 and 3 are not durable here */
    persisted(&f, "1/2");
    CHECK_EQ(f.out->apply.from, 2);
    CHECK_EQ(f.out->apply.to, 2);
    persisted(&f, "1/3");
    CHECK_EQ(f.out->apply.from, 3);
    persisted(&f, "1/3");
    CHECK_EQ(f.out->apply.from, 0);
    fixture_done(&f);
}

TEST(append, applies_nothing_in_a_term_it_may_forget)
{
    struct fixture f = with_log("1/1 1/2");
    receive(&f, heartbeat(2, 2, "1/2", 2));
    CHECK_EQ(raft_commit(f.r), 2);
    CHECK_EQ(f.out->apply.from, 0);
    saved(&f);
    CHECK_EQ(f.out->apply.to, 2);
    fixture_done(&f);
}

TEST(append, a_heartbeat_is_answered_at_once_with_what_is_durable)
{
    struct fixture f = with_log("1/1");
    append(&f, 2, 1, "1/1", "1/2", 0);
    struct raft_message m = heartbeat(2, 1, "1/2", 0);
    m.sent_at = 77;
    m.round = 5;
    receive(&f, m);
    const struct raft_message *reply = sent(&f, RAFT_APPEND_REPLY, 2);
    CHECK_EQ(reply->match, 1);
    CHECK_EQ(reply->hint.index, 2); /* equal already, only not on disk */
    CHECK_EQ(reply->sent_at, 77);
    CHECK_EQ(reply->round, 5);
    fixture_done(&f);
}

TEST(append, the_first_answer_in_a_term_waits_until_the_term_is_saved)
{
    struct fixture f = with_log("1/1");
    receive(&f, heartbeat(2, 2, "1/1", 0));
    CHECK(!sent(&f, RAFT_APPEND_REPLY, 2));
    CHECK(held(&f, RAFT_APPEND_REPLY, 2));
    saved(&f);
    receive(&f, heartbeat(2, 2, "1/1", 0));
    CHECK(sent(&f, RAFT_APPEND_REPLY, 2));
    fixture_done(&f);
}

TEST(append, a_durable_report_of_entries_cut_off_since_is_ignored)
{
    struct fixture f = with_log("1/1");
    append(&f, 2, 2, "1/1", "2/2 2/3", 0);
    append(&f, 3, 3, "1/1", "3/2 3/3 3/4", 0);
    persisted(&f, "2/3");
    CHECK_EQ(raft_durable(f.r), 1);
    persisted(&f, "3/4");
    CHECK_EQ(raft_durable(f.r), 4);
    fixture_done(&f);
}

TEST(append, nor_does_it_count_when_the_same_entries_came_back)
{
    struct fixture f = with_log("1/1");
    append(&f, 2, 2, "1/1", "2/2 2/3", 0);
    append(&f, 3, 3, "1/1", "3/2", 0);
    append(&f, 2, 4, "1/1", "2/2 2/3 4/4", 0); /* elected by others, with its old entries */
    persisted(&f, "2/3"); /* of the first time: the disk is about to cut it off */
    CHECK_EQ(raft_durable(f.r), 1);
    persisted(&f, "3/2");
    CHECK_EQ(raft_durable(f.r), 1);
    persisted(&f, "4/4");
    CHECK_EQ(raft_durable(f.r), 4);
    fixture_done(&f);
}

TEST(append, a_full_disk_takes_no_entries_but_keeps_the_lease)
{
    struct fixture f = with_log("1/1");
    disk_full(&f, true);
    append(&f, 2, 1, "1/1", "1/2", 1);
    CHECK_EQ(f.out->append.from, 0);
    const struct raft_message *m = held(&f, RAFT_APPEND_REPLY, 2);
    CHECK(m->full && m->disk_full && !m->rejected);
    CHECK_EQ(m->match, 1);
    CHECK_EQ(raft_commit(f.r), 1);
    disk_full(&f, false);
    receive(&f, heartbeat(2, 1, "1/1", 1));
    CHECK(!sent(&f, RAFT_APPEND_REPLY, 2)->full);
    fixture_done(&f);
}

TEST(append, a_full_disk_takes_and_acknowledges_what_still_fits)
{
    struct fixture f = with_log("1/1");
    disk_full(&f, true);
    f.room = 2 * RAFT_ENTRY_ROOM;
    append(&f, 2, 1, "1/1", "1/2 1/3 1/4", 1);
    CHECK_EQ(f.out->append.from, 2);
    CHECK_EQ(f.out->append.to, 3);
    const struct raft_message *m = held(&f, RAFT_APPEND_REPLY, 2); /* leaves when they are durable */
    CHECK(m->full && m->disk_full && !m->rejected);
    CHECK_EQ(m->match, 3);
    CHECK_EQ(m->hint.index, 3);
    check_log(&f, "1/1 1/2 1/3");
    fixture_done(&f);
}

TEST(append, a_host_without_room_refuses_the_entries_of_one_message)
{
    struct fixture f = with_log("1/1");
    struct raft_entry e[] = {{{1, 2}, RAFT_COMMAND, NULL}};
    struct raft_message m = heartbeat(2, 1, "1/1", 0);
    m.to = 1;
    m.entries = e;
    m.count = 1;
    f.room = RAFT_ENTRY_ROOM - 1;
    receive(&f, m);
    CHECK(held(&f, RAFT_APPEND_REPLY, 2)->full);
    CHECK(!held(&f, RAFT_APPEND_REPLY, 2)->disk_full);
    check_log(&f, "1/1");
    f.room = UINT64_MAX;
    receive(&f, m);
    check_log(&f, "1/1 1/2");
    fixture_done(&f);
}

TEST(append, entries_out_of_order_are_ignored)
{
    struct fixture f = with_log("1/1");
    append(&f, 2, 3, "1/1", "2/2 1/3", 0);
    check_log(&f, "1/1");
    append(&f, 2, 3, "1/1", "2/2 2/4", 0);
    check_log(&f, "1/1");
    append(&f, 2, 3, "1/1", "4/2", 0); /* newer than its leader */
    check_log(&f, "1/1");
    fixture_done(&f);
}

/* ---- impaired replicas */

static struct raft_message healing(struct fixture *f, const char *prev, u64 commit)
{
    struct raft_message m = heartbeat(2, 3, prev, commit);
    receive(f, m); /* the answer tells which life this is */
    const struct raft_message *reply = sent(f, RAFT_APPEND_REPLY, 2);
    if (!reply) reply = held(f, RAFT_APPEND_REPLY, 2);
    CHECK(reply->impaired && reply->life);
    m.life = reply->life;
    return m;
}

TEST(append, an_impaired_replica_is_healed_by_a_confirmed_leaders_commit_on_its_disk)
{
    struct fixture f = fixture_new((struct fixture_setup){.log = "1/1", .impaired = true});
    append(&f, 2, 3, "1/1", "1/2 3/3", 0);
    struct raft_message m = healing(&f, "3/3", 3);
    CHECK(raft_hard_state(f.r)->impaired); /* the leader did not say that it is confirmed */
    receive(&f, m);
    CHECK(raft_hard_state(f.r)->impaired); /* not on disk */
    persisted(&f, "3/3");
    receive(&f, m);
    CHECK(!raft_hard_state(f.r)->impaired);
    CHECK(f.out->events & RAFT_HEALED);
    CHECK_EQ(f.out->save->vote, 2); /* whatever it voted in this term, it is this leader's now */
    CHECK_EQ(f.out->save->term, 3);
    CHECK(!held(&f, RAFT_APPEND_REPLY, 2)->impaired); /* said only once that is saved */
    fixture_done(&f);
}

TEST(append,
     a_commit_of_earlier_terms_heals_nobody) /* the leader may not know all that is committed */
{
    struct fixture f = fixture_new((struct fixture_setup){.log = "1/1", .impaired = true});
    append(&f, 2, 3, "1/1", "1/2 3/3", 0);
    persisted(&f, "3/3");
    receive(&f, healing(&f, "3/3", 2));
    CHECK(raft_hard_state(f.r)->impaired);
    fixture_done(&f);
}

TEST(append, a_heal_meant_for_an_earlier_life_is_void)
{
    struct fixture f = fixture_new((struct fixture_setup){.log = "1/1 3/2", .impaired = true});
    struct raft_message m = healing(&f, "3/2", 2);
    m.life ^= 2;
    receive(&f, m);
    CHECK(raft_hard_state(f.r)->impaired);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RUN(append, takes_new_entries_and_answers_after_they_are_durable),
        RUN(append, refuses_what_does_not_follow_its_log),
        RUN(append, refuses_after_an_entry_of_another_term),
        RUN(append, hints_by_term_so_that_backtracking_skips_terms),
        RUN(append, never_hints_below_what_is_committed),
        RUN(append, cuts_off_a_conflict_and_what_follows_it),
        RUN(append, a_late_message_cuts_off_nothing),
        RUN(append, an_entry_sent_twice_is_taken_once),
        RUN(append, entries_below_a_compacted_prefix_are_known),
        RUN(append, commits_only_what_this_message_covers),
        RUN(append, commit_does_not_go_back),
        RUN(append, applies_what_is_committed_and_on_its_own_disk_once),
        RUN(append, applies_nothing_in_a_term_it_may_forget),
        RUN(append, a_heartbeat_is_answered_at_once_with_what_is_durable),
        RUN(append, the_first_answer_in_a_term_waits_until_the_term_is_saved),
        RUN(append, a_durable_report_of_entries_cut_off_since_is_ignored),
        RUN(append, nor_does_it_count_when_the_same_entries_came_back),
        RUN(append, a_full_disk_takes_no_entries_but_keeps_the_lease),
          RUN(append, a_full_disk_takes_and_acknowledges_what_still_fits),
        RUN(append, a_host_without_room_refuses_the_entries_of_one_message),
        RUN(append, entries_out_of_order_are_ignored),
        RUN(append, an_impaired_replica_is_healed_by_a_confirmed_leaders_commit_on_its_disk),
        RUN(append, a_commit_of_earlier_terms_heals_nobody),
        RUN(append, a_heal_meant_for_an_earlier_life_is_void),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
