#include "base/test.h"
#include "raft/raft_fixture.h"
#include "raft/raft_internal.h"

static struct membership set(const char *config, replica_id self)
{
    struct membership m = {.config = config_of(config)};
    membership_set(&m, self);
    return m;
}

TEST(membership, members_are_slots)
{
    struct membership m = set("259", 9);
    CHECK_EQ(m.count, 3);
    CHECK_EQ(m.self, 2);
    CHECK_EQ(membership_slot(&m, 5), 1);
    CHECK_EQ(membership_slot(&m, 7), NO_SLOT);
    CHECK_EQ(m.quorum.voters, 7);
    CHECK(membership_is_voter(&m, 1));
    CHECK(!membership_is_voter(&m, NO_SLOT));
    CHECK(!membership_is_sole_voter(&m));
}

TEST(membership, learners_have_slots_but_no_votes)
{
    struct membership m = set("1+23", 1);
    CHECK_EQ(m.count, 3);
    CHECK(!membership_is_voter(&m, membership_slot(&m, 2)));
    CHECK(membership_is_sole_voter(&m));
    m = set("1+23", 2);
    CHECK(!membership_is_sole_voter(&m));
}

TEST(membership, a_change_under_way_counts_both_halves) /* §4.3 */
{
    struct membership m = set("1:12", 1);
    CHECK_EQ(m.count, 2);
    CHECK(!joint_has(m.quorum, BIT(0)));
    CHECK(joint_has(m.quorum, BIT(0) | BIT(1)));
    CHECK(!membership_is_sole_voter(&m));
}

TEST(membership, support_is_that_of_the_old_members_too_until_the_change_commits)
{
    struct raft_config previous = config_of("12:123");
    struct membership m = {.config = config_of("12"), .previous = &previous};
    membership_set(&m, 1);
    u64 values[] = {9, 9, 0};
    CHECK_EQ(m.count, 3); /* 3 is served until it has left */
    CHECK_EQ(membership_supported(&m, values), 9);
    previous = config_of("12:134");
    membership_set(&m, 1);
    u64 alone[] = {9, 9, 0, 0};
    CHECK_EQ(membership_supported(&m, alone), 0);
}

/* ---- entries */

static void append_config(struct fixture *f, u64 term, const char *prev, const char *pos,
                          const char *config)
{
    struct raft_config c = config_of(config);
    struct buf bytes = {0};
    raft_config_encode(&c, &bytes);
    struct rcbuf *data = rcbuf_from(buf_str(&bytes));
    struct raft_entry e = {pos_of(pos), RAFT_CONFIG, data};
    struct raft_message m = heartbeat(2, term, prev, 0);
    m.entries = &e;
    m.count = 1;
    receive(f, m);
    rcbuf_unref(data);
    buf_done(&bytes);
}

static bool is_config(const struct raft_config *c, const char *text)
{
    struct raft_config other = config_of(text);
    return raft_config_equal(c, &other);
}

TEST(membership, an_entry_takes_effect_when_it_is_appended) /* §4.1 */
{
    struct fixture f = with_log("1/1");
    append_config(&f, 1, "1/1", "1/2", "1234:123");
    CHECK(f.out->events & RAFT_CONFIG_CHANGED);
    CHECK(is_config(raft_config(f.r), "1234:123"));
    CHECK_EQ(raft_config_index(f.r), 2);
    CHECK_EQ(raft_commit(f.r), 0);
    struct raft_config before;
    raft_config_at(f.r, 1, &before);
    CHECK(is_config(&before, "123"));
    fixture_done(&f);
}

TEST(membership, an_entry_that_is_cut_off_takes_effect_no_more)
{
    struct fixture f = with_log("1/1");
    append_config(&f, 1, "1/1", "1/2", "1234");
    append_config(&f, 1, "1/2", "1/3", "12345");
    append(&f, 3, 2, "1/2", "2/3", 0);
    CHECK(f.out->events & RAFT_CONFIG_CHANGED);
    CHECK(is_config(raft_config(f.r), "1234"));
    append(&f, 3, 3, "1/1", "3/2", 0);
    CHECK(is_config(raft_config(f.r), "123"));
    fixture_done(&f);
}

TEST(membership, compaction_keeps_what_the_lost_entries_made)
{
    struct fixture f = with_log("1/1");
    append_config(&f, 1, "1/1", "1/2", "1234");
    append(&f, 2, 1, "1/2", "1/3 1/4", 3);
    persisted(&f, "1/4");
    receive(&f, heartbeat(2, 1, "1/4", 3));
    saved(&f);
    CHECK_OK(step(&f, (struct raft_event){.kind = RAFT_APPLIED, .index = 3}));
    CHECK_OK(step(&f, (struct raft_event){.kind = RAFT_COMPACT, .index = 3}));
    CHECK_EQ(raft_first(f.r).index, 3);
    CHECK(is_config(raft_config(f.r), "1234"));
    append(&f, 3, 2, "1/3", "2/4", 3);
    CHECK(is_config(raft_config(f.r), "1234"));
    fixture_done(&f);
}

TEST(membership, a_restart_replays_the_entries_after_the_snapshot)
{
    struct raft_options o = default_options();
    struct raft_config base = config_of("12"), change = config_of("12+3");
    struct buf bytes = {0};
    raft_config_encode(&change, &bytes);
    struct rcbuf *data = rcbuf_from(buf_str(&bytes));
    struct raft_entry old = {{1, 1}, RAFT_CONFIG, data}, new = {{1, 3}, RAFT_CONFIG, data};
    struct raft_entry command = {{1, 2}, RAFT_COMMAND, NULL};
    struct raft *r = raft_new(&o);
    raft_boot_config(r, &base, 2); /* the state machine holds entries 1 and 2 */
    raft_boot_hard_state(r, &(struct raft_hard_state){.term = 1});
    raft_boot_entry(r, &old);
    CHECK(is_config(raft_config(r), "12"));
    raft_boot_entry(r, &command);
    raft_boot_entry(r, &new);
    raft_boot_done(r, 2, 0);
    CHECK(is_config(raft_config(r), "12+3"));
    CHECK_EQ(raft_config_index(r), 3);
    raft_free(r);
    rcbuf_unref(data);
    buf_done(&bytes);
}

TEST(membership, a_replica_that_joins_takes_entries_of_a_leader_it_does_not_know)
{
    struct fixture f = fixture_new((struct fixture_setup){.config = {.next = 1}, .joining = true});
    CHECK_EQ(raft_config(f.r)->count, 0);
    tick_after(&f, NANOS_SEC);
    CHECK_EQ(raft_role(f.r), RAFT_FOLLOWER);
    append(&f, 2, 1, "0/0", "1/1", 0);
    CHECK_EQ(held(&f, RAFT_APPEND_REPLY, 2)->match, 1);
    append_config(&f, 1, "1/1", "1/2", "23+1");
    CHECK(is_config(raft_config(f.r), "23+1"));
    fixture_done(&f);
}

TEST(membership, an_answer_of_who_is_no_member_does_not_count)
{
    struct fixture f = with_log("1/1");
    become_candidate(&f);
    saved(&f);
    receive(&f, vote_reply(4, raft_term(f.r), true));
    CHECK_EQ(raft_role(f.r), RAFT_CANDIDATE);
    fixture_done(&f);
}

TEST_MAIN(RUN(membership, members_are_slots), RUN(membership, learners_have_slots_but_no_votes),
          RUN(membership, a_change_under_way_counts_both_halves),
          RUN(membership, support_is_that_of_the_old_members_too_until_the_change_commits),
          RUN(membership, an_entry_takes_effect_when_it_is_appended),
          RUN(membership, an_entry_that_is_cut_off_takes_effect_no_more),
          RUN(membership, compaction_keeps_what_the_lost_entries_made),
          RUN(membership, a_restart_replays_the_entries_after_the_snapshot),
          RUN(membership, a_replica_that_joins_takes_entries_of_a_leader_it_does_not_know),
          RUN(membership, an_answer_of_who_is_no_member_does_not_count))
