#include "raft/raft_fixture.h"

TEST(commit, needs_a_quorum_of_disks) /* §3.5 */
{
    struct fixture f = fixture_new((struct fixture_setup){.nodes = 5, .log = "1/1"});
    become_leader(&f);
    persisted(&f, "2/2");
    receive(&f, ack(2, &f, 2));
    CHECK_EQ(raft_commit(f.r), 0);
    receive(&f, ack(3, &f, 2));
    CHECK_EQ(raft_commit(f.r), 2);
    fixture_done(&f);
}

TEST(commit, counts_the_leader_only_as_far_as_its_own_disk) /* §10.2.1 */
{
    struct fixture f = with_log("1/1");
    become_leader(&f);
    receive(&f, ack(2, &f, 2));
    CHECK_EQ(raft_commit(f.r), 0);
    persisted(&f, "2/2");
    CHECK_EQ(raft_commit(f.r), 2);
    fixture_done(&f);
}

TEST(commit, does_not_need_the_leaders_disk_when_others_suffice)
{
    struct fixture f = with_log("1/1");
    become_leader(&f);
    receive(&f, ack(2, &f, 2));
    receive(&f, ack(3, &f, 2));
    CHECK_EQ(raft_commit(f.r), 2);
    CHECK_EQ(f.out->apply.to, 1); /* but it applies only what it cannot lose itself */
    fixture_done(&f);
}

TEST(commit, of_an_older_term_waits_for_one_of_this_term) /* §3.6.2, fig. 3.7 */
{
    struct fixture f = with_log("1/1 1/2");
    become_leader(&f); /* 2/3 is its no-op */
    persisted(&f, "2/3");
    receive(&f, ack(2, &f, 2));
    CHECK_EQ(raft_commit(f.r), 0);
    receive(&f, ack(2, &f, 3));
    CHECK_EQ(raft_commit(f.r), 3);
    fixture_done(&f);
}

TEST(commit, a_new_leader_begins_with_an_entry_of_its_own) /* §6.4, step 1 */
{
    struct fixture f = with_log("1/1");
    become_leader(&f);
    CHECK_EQ(raft_last(f.r).term, 2);
    CHECK_EQ(raft_entry_at(f.r, 2)->kind, RAFT_NOOP);
    CHECK_EQ(f.out->append.from, 2);
    CHECK_EQ(sent(&f, RAFT_APPEND, 3)->count, 1); /* in the same step */
    fixture_done(&f);
}

TEST(commit, told_of_an_entry_counts_for_that_very_entry)
{
    struct fixture f = with_log("1/1 1/2 2/3");
    CHECK_OK(step(&f, (struct raft_event){.kind = RAFT_COMMITTED, .pos = {3, 3}})); /* ours was never committed */
    CHECK_EQ(raft_commit(f.r), 0);
    CHECK_OK(step(&f, (struct raft_event){.kind = RAFT_COMMITTED, .pos = {2, 4}})); /* not here yet */
    CHECK_EQ(raft_commit(f.r), 0);
    CHECK_OK(step(&f, (struct raft_event){.kind = RAFT_COMMITTED, .pos = {1, 2}}));
    CHECK_EQ(raft_commit(f.r), 2);
    CHECK_EQ(f.out->apply.to, 2);
    fixture_done(&f);
}

TEST(commit, is_told_to_others_only_as_far_as_the_leader_has_applied)
{
    struct fixture f = with_log("1/1");
    become_leader(&f);
    persisted(&f, "2/2");
    receive(&f, ack(2, &f, 2));
    CHECK_EQ(raft_commit(f.r), 2);
    tick_after(&f, 60 * MS);
    CHECK_EQ(sent(&f, RAFT_APPEND, 3)->commit, 0);
    CHECK_OK(step(&f, (struct raft_event){.kind = RAFT_APPLIED, .index = 2}));
    tick_after(&f, 60 * MS);
    CHECK_EQ(sent(&f, RAFT_APPEND, 3)->commit, 2);
    fixture_done(&f);
}

TEST(commit, reports_beyond_what_was_staged_are_ignored)
{
    struct fixture f = with_log("1/1");
    become_leader(&f);
    persisted(&f, "2/9");
    CHECK_EQ(raft_durable(f.r), 1);
    persisted(&f, "1/2"); /* of an entry that is not there */
    CHECK_EQ(raft_durable(f.r), 1);
    fixture_done(&f);
}

TEST(commit, learners_and_impaired_replicas_do_not_count)
{
    struct fixture f = fixture_new((struct fixture_setup){.log = "1/1", .learners = 1});
    become_leader(&f);
    persisted(&f, "2/2");
    receive(&f, ack(4, &f, 2));
    CHECK_EQ(raft_commit(f.r), 0);
    struct raft_message m = ack(2, &f, 2);
    m.impaired = true;
    m.life = 9;
    receive(&f, m);
    CHECK_EQ(raft_commit(f.r), 0);
    CHECK_EQ(raft_replicas_with(f.r, 2), 0);
    receive(&f, ack(3, &f, 2));
    CHECK_EQ(raft_commit(f.r), 2);
    CHECK_EQ(raft_replicas_with(f.r, 2), 1);
    fixture_done(&f);
}

TEST(commit, a_full_disk_is_given_nothing_until_it_has_room)
{
    struct fixture f = with_log("1/1");
    become_candidate(&f);
    disk_full(&f, true);
    saved(&f);
    receive(&f, vote_reply(2, 2, true));
    CHECK(raft_is_leader(f.r));
    CHECK_EQ(f.out->append.from, 0);
    CHECK_EQ(propose(&f, 1, 8), ERR_FULL);
    disk_full(&f, false);
    CHECK_EQ(f.out->append.from, 2);
    CHECK_EQ(f.out->append.to, 2);
    fixture_done(&f);
}

TEST(commit, the_last_space_of_a_full_disk_takes_the_noop_and_no_more_than_fits)
{
    struct fixture f = with_log("1/1");
    become_candidate(&f);
    disk_full(&f, true);
    saved(&f);
    f.room = RAFT_ENTRY_ROOM;
    receive(&f, vote_reply(2, 2, true));
    CHECK_EQ(f.out->append.from, 2);
    CHECK_EQ(f.out->append.to, 2);
    CHECK_EQ(propose(&f, 1, 8), ERR_FULL);
    f.room = RAFT_ENTRY_ROOM + 8;
    CHECK_OK(propose(&f, 1, 8)); /* what the host asks for in spite of it, it gets */
    CHECK_EQ(f.out->append.to, 3);
    fixture_done(&f);
}

static void count_in_memory(struct fixture *f)
{
    CHECK_OK(step(f, (struct raft_event){.kind = RAFT_MEMORY, .full = true}));
    CHECK(f->out->save && f->out->save->memory);
    CHECK(!raft_counts_memory(f->r));
    CHECK_OK(step(f, (struct raft_event){.kind = RAFT_SAVED, .saved_term = raft_term(f->r), .saved_memory = true}));
    CHECK(raft_counts_memory(f->r));
}

TEST(commit, entries_count_in_memory_once_the_flag_is_durable)
{
    struct fixture f = with_log("1/1");
    become_settled_leader(&f);
    u64 durable = raft_durable(f.r);
    count_in_memory(&f);
    CHECK_OK(propose(&f, 2, 0));
    receive(&f, ack(2, &f, raft_last(f.r).index));
    CHECK_EQ(raft_commit(f.r), raft_last(f.r).index);
    CHECK_EQ(f.out->apply.to, raft_last(f.r).index);
    CHECK_EQ(raft_durable(f.r), durable);
    CHECK_EQ(raft_disk_reached(f.r), durable); /* the other says that all of it is on its disk, but it is alone */
    fixture_done(&f);
}

TEST(commit, what_others_rely_on_counts_on_disk_only)
{
    struct fixture f = with_log("1/1");
    struct raft_config with_learner;
    become_settled_leader(&f);
    count_in_memory(&f);
    with_learner = *raft_config(f.r);
    raft_config_put(&with_learner, &(struct raft_member){.id = 4, .node = 4, .roles = RAFT_LEARNER});
    u64 before = raft_last(f.r).index;
    CHECK_OK(step(&f, (struct raft_event){.kind = RAFT_CHANGE, .config = &with_learner}));
    CHECK_OK(propose(&f, 1, 0)); /* nor does anything behind it */
    CHECK_EQ(raft_last(f.r).index, before + 2);
    receive(&f, ack(2, &f, before + 2));
    CHECK_EQ(raft_commit(f.r), before);
    persisted(&f, "2/3");
    CHECK_EQ(raft_commit(f.r), before + 2);
    fixture_done(&f);
}

TEST_MAIN(RUN(commit, told_of_an_entry_counts_for_that_very_entry),
          RUN(commit, is_told_to_others_only_as_far_as_the_leader_has_applied), RUN(commit, needs_a_quorum_of_disks),
          RUN(commit, counts_the_leader_only_as_far_as_its_own_disk),
          RUN(commit, does_not_need_the_leaders_disk_when_others_suffice),
          RUN(commit, of_an_older_term_waits_for_one_of_this_term),
          RUN(commit, a_new_leader_begins_with_an_entry_of_its_own),
          RUN(commit, reports_beyond_what_was_staged_are_ignored),
          RUN(commit, learners_and_impaired_replicas_do_not_count),
          RUN(commit, a_full_disk_is_given_nothing_until_it_has_room),
          RUN(commit, entries_count_in_memory_once_the_flag_is_durable),
          RUN(commit, what_others_rely_on_counts_on_disk_only),
          RUN(commit, the_last_space_of_a_full_disk_takes_the_noop_and_no_more_than_fits))
