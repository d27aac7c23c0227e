#include "base/test.h"
#include "raft/raft_fixture.h"

static bool is_config(const struct raft_config *c, const char *text)
{
    struct raft_config other = config_of(text);
    other.next = c->next;
    return raft_config_equal(c, &other);
}

static struct raft_change_plan plan(const struct fixture *f, const struct raft_config *target)
{
    struct raft_change_plan p;
    raft_change_check(f->r, target, f->now, &p);
    return p;
}

static enum raft_change_reason reason(const struct fixture *f, const char *target)
{
    struct raft_config c = config_of(target);
    return plan(f, &c).reason;
}

static err change(struct fixture *f, const char *target)
{
    struct raft_config c = config_of(target);
    return step(f, (struct raft_event){.kind = RAFT_CHANGE, .config = &c});
}

static void own_disk(struct fixture *f)
{
    CHECK_OK(step(f, (struct raft_event){.kind = RAFT_PERSISTED, .pos = raft_last(f->r)}));
}

static struct fixture leader_of(const char *config)
{
    struct fixture f = fixture_new(
        (struct fixture_setup){.log = "1/1", .config = config_of(config)});
    become_settled_leader(&f);
    return f;
}

static void all_answer(struct fixture *f, const char *ids)
{
    for (; *ids; ids++) receive(f, ack((replica_id)(*ids - '0'), f, raft_last(f->r).index));
}

/* From 123 to this, all along: the leader is 1 and everyone answers. */
static void change_and_finish(struct fixture *f, const char *target, const char *others)
{
    CHECK_OK(change(f, target));
    for (u32 i = 0; i < 2; i++) {
        own_disk(f);
        for (const char *id = others; *id; id++)
            if (raft_config_find(raft_config(f->r), (replica_id)(*id - '0')))
                receive(f, ack((replica_id)(*id - '0'), f, raft_last(f->r).index));
    }
    CHECK_EQ(raft_commit(f->r), raft_last(f->r).index);
    CHECK(!raft_config_is_joint(raft_config(f->r)));
}

static void catch_up(struct fixture *f, replica_id learner)
{
    receive(f, ack(learner, f, 0));
    receive(f, ack(learner, f, raft_last(f->r).index));
}

TEST(change, learners_come_at_once_and_take_effect_when_appended)
{
    struct fixture f = leader_of("123");
    u64 last = raft_last(f.r).index;
    CHECK_OK(change(&f, "123+4"));
    CHECK(f.out->events & RAFT_CONFIG_CHANGED);
    CHECK_EQ(f.out->append.from, last + 1);
    CHECK(is_config(raft_config(f.r), "123+4"));
    CHECK(sent(&f, RAFT_APPEND, 4) != NULL); /* it is served from this step on */
    CHECK_EQ(raft_entry_at(f.r, last + 1)->kind, RAFT_CONFIG);
    fixture_done(&f);
}

TEST(change, only_one_is_under_way)
{
    struct fixture f = leader_of("123");
    CHECK_OK(change(&f, "123+4"));
    CHECK_EQ(reason(&f, "123+45"), RAFT_CHANGE_UNDER_WAY);
    CHECK_EQ(change(&f, "123+45"), ERR_FULL);
    CHECK(is_config(raft_config(f.r), "123+4"));
    own_disk(&f);
    receive(&f, ack(2, &f, raft_last(f.r).index));
    CHECK(f.out->events & RAFT_CONFIG_COMMITTED);
    CHECK_OK(change(&f, "123+45"));
    fixture_done(&f);
}

TEST(change, not_before_an_entry_of_the_own_term_is_committed)
{
    struct fixture f = with_log("1/1");
    become_leader(&f);
    CHECK_EQ(reason(&f, "123+4"), RAFT_CHANGE_TERM_NOT_BEGUN);
    CHECK_EQ(change(&f, "123+4"), ERR_FULL);
    own_disk(&f);
    receive(&f, ack(2, &f, raft_last(f.r).index));
    CHECK_OK(change(&f, "123+4"));
    fixture_done(&f);
}

TEST(change, only_a_leader_does_it)
{
    struct fixture f = with_log("1/1");
    CHECK_EQ(reason(&f, "123+4"), RAFT_CHANGE_NOT_LEADER);
    CHECK_EQ(change(&f, "123+4"), ERR_STALE);
    fixture_done(&f);
    f = leader_of("123");
    CHECK_OK(propose(&f, 1, 8));
    CHECK_OK(transfer_to(&f, 2));
    CHECK_EQ(reason(&f, "123+4"), RAFT_CHANGE_HANDING_OVER);
    fixture_done(&f);
}

TEST(change, some_targets_are_none)
{
    struct fixture f = leader_of("123");
    CHECK_EQ(reason(&f, "123"), RAFT_CHANGE_SAME);
    CHECK_EQ(reason(&f, "+123"), RAFT_CHANGE_INVALID);
    CHECK_EQ(reason(&f, ""), RAFT_CHANGE_INVALID);
    CHECK_EQ(reason(&f, "123:12"), RAFT_CHANGE_INVALID); /* halves are the leader's business */
    struct raft_config moved = config_of("123");
    moved.members[1].node = 9;
    CHECK_EQ(plan(&f, &moved).reason, RAFT_CHANGE_NUMBER_USED);
    CHECK_EQ(plan(&f, &moved).replica, 2);
    fixture_done(&f);
}

TEST(change, an_incarnation_may_become_known_and_then_stays)
{
    struct fixture f = leader_of("123");
    struct raft_config known = config_of("123");
    known.members[2].incarnation[5] = 7;
    CHECK_OK(step(&f, (struct raft_event){.kind = RAFT_CHANGE, .config = &known}));
    CHECK(!raft_config_is_joint(raft_config(f.r)));
    own_disk(&f);
    receive(&f, ack(2, &f, raft_last(f.r).index));
    struct raft_config other = known;
    other.members[2].incarnation[5] = 8;
    CHECK_EQ(plan(&f, &other).reason, RAFT_CHANGE_NUMBER_USED);
    fixture_done(&f);
}

TEST(change, a_number_is_given_out_once)
{
    struct fixture f = leader_of("123+4");
    CHECK_OK(change(&f, "123"));
    own_disk(&f);
    receive(&f, ack(2, &f, raft_last(f.r).index));
    CHECK_EQ(reason(&f, "123+4"), RAFT_CHANGE_NUMBER_USED);
    CHECK_EQ(raft_config(f.r)->next, 5);
    CHECK_EQ(reason(&f, "123+5"), RAFT_CHANGE_POSSIBLE);
    fixture_done(&f);
}

TEST(change, voters_come_and_go_through_a_joint_configuration) /* §4.3 */
{
    struct fixture f = leader_of("123+4");
    catch_up(&f, 4);
    receive(&f, ack(3, &f, raft_last(f.r).index));
    struct raft_config target = config_of("124");
    struct raft_change_plan p = plan(&f, &target);
    CHECK_EQ(p.reason, RAFT_CHANGE_POSSIBLE);
    CHECK(p.joint);
    CHECK(!p.leader_leaves);
    CHECK_EQ(p.joining, 1);
    CHECK_EQ(p.leaving, 1);
    CHECK(is_config(&p.first, "124:123"));

    CHECK_OK(change(&f, "124"));
    u64 joint = raft_last(f.r).index;
    own_disk(&f);
    receive(&f, ack(4, &f, joint));
    CHECK(raft_commit(f.r) < joint); /* 1 and 4: a majority of the new ones only */
    receive(&f, ack(2, &f, joint));
    CHECK_EQ(raft_commit(f.r), joint);
    CHECK(is_config(raft_config(f.r), "124")); /* left by itself */
    CHECK(!(f.out->events & RAFT_CONFIG_COMMITTED));
    CHECK_EQ(raft_last(f.r).index, joint + 1);
    CHECK(sent(&f, RAFT_APPEND, 3) != NULL); /* who leaves hears of it */
    own_disk(&f);
    receive(&f, ack(2, &f, joint + 1));
    CHECK_EQ(raft_commit(f.r), joint + 1);
    CHECK(f.out->events & RAFT_CONFIG_COMMITTED);
    CHECK_EQ(sent(&f, RAFT_REMOVED, 3)->prev.index, joint + 1);
    CHECK(!sent(&f, RAFT_APPEND, 3));
    fixture_done(&f);
}

TEST(change, a_joint_entry_needs_a_majority_of_those_before)
{
    struct fixture f = leader_of("123+45");
    catch_up(&f, 4);
    catch_up(&f, 5);
    CHECK_OK(change(&f, "145"));
    own_disk(&f);
    receive(&f, ack(4, &f, raft_last(f.r).index));
    receive(&f, ack(5, &f, raft_last(f.r).index));
    CHECK(raft_config_is_joint(raft_config(f.r)));
    receive(&f, ack(3, &f, raft_last(f.r).index));
    CHECK(!raft_config_is_joint(raft_config(f.r)));
    fixture_done(&f);
}

TEST(change, a_new_leader_leaves_a_joint_configuration_that_another_began)
{
    struct fixture f = fixture_new(
        (struct fixture_setup){.log = "1/1", .config = config_of("124:123")});
    become_leader(&f);
    own_disk(&f);
    receive(&f, ack(2, &f, raft_last(f.r).index));
    CHECK(is_config(raft_config(f.r), "124"));
    fixture_done(&f);
}

TEST(change, a_leader_that_leaves_does_not_count_itself_and_hands_over_at_the_end)
{
    struct fixture f = leader_of("123");
    receive(&f, ack(3, &f, raft_last(f.r).index));
    struct raft_config target = config_of("23");
    CHECK(plan(&f, &target).leader_leaves);
    CHECK_OK(change(&f, "23"));
    own_disk(&f);
    all_answer(&f, "23");
    CHECK(is_config(raft_config(f.r), "23"));
    CHECK(raft_is_leader(f.r));
    u64 last = raft_last(f.r).index;
    own_disk(&f);
    receive(&f, ack(2, &f, last));
    CHECK(raft_commit(f.r) < last); /* 1 and 2, but 1 is no member of 23 */
    receive(&f, ack(3, &f, last));
    CHECK_EQ(raft_commit(f.r), last);
    CHECK(!raft_is_leader(f.r));
    CHECK(f.out->events & RAFT_CONFIG_COMMITTED);
    CHECK(sent(&f, RAFT_APPEND, 2)->commit < last); /* it has not applied it, and will not tell any more: the next leader does */
    CHECK(sent(&f, RAFT_TIMEOUT_NOW, 2) || sent(&f, RAFT_TIMEOUT_NOW, 3));
    tick_after(&f, NANOS_SEC);
    CHECK_EQ(raft_role(f.r), RAFT_FOLLOWER);
    fixture_done(&f);
}

TEST(change, a_lease_needs_those_who_leave_until_they_have_left)
{
    struct fixture f = leader_of("123+4");
    catch_up(&f, 4);
    receive(&f, ack(3, &f, raft_last(f.r).index));
    CHECK_OK(change(&f, "14"));
    nanos sent_at = f.now;
    f.now += 200 * MS;
    own_disk(&f);
    struct raft_message m = ack(4, &f, raft_last(f.r).index);
    receive(&f, m);
    CHECK(raft_lease_holds(f.r, sent_at + 200 * MS));
    CHECK(!raft_lease_holds(f.r, sent_at + 310 * MS)); /* 1 and 4 alone, of 1 2 3 */
    m = ack(2, &f, raft_last(f.r).index);
    receive(&f, m);
    CHECK(is_config(raft_config(f.r), "14"));
    CHECK(raft_lease_holds(f.r, sent_at + 310 * MS));
    f.now += 290 * MS;
    receive(&f, ack(4, &f, 0));
    CHECK(
        !raft_lease_holds(f.r, sent_at + 600 * MS)); /* 14 is not committed: 123 must answer too */
    own_disk(&f);
    receive(&f, ack(4, &f, raft_last(f.r).index));
    CHECK(raft_lease_holds(f.r, sent_at + 600 * MS));
    fixture_done(&f);
}

TEST(change, a_learner_catches_up_by_rounds) /* §4.2.1 */
{
    struct fixture f = leader_of("123+4");
    struct raft_peer_status s;
    receive(&f, ack(4, &f, 0)); /* the first round begins */
    CHECK_OK(propose(&f, 1, 8));
    f.now += 400 * MS;
    receive(&f, ack(2, &f, 0));
    receive(&f, ack(4, &f, raft_last(f.r).index - 1)); /* took longer than an election timeout */
    CHECK(!(f.out->events & RAFT_CAUGHT_UP));
    CHECK(raft_peer_status(f.r, 4, &s));
    CHECK_EQ(s.catch_up_rounds, 1);
    f.now += 100 * MS;
    receive(&f, ack(4, &f, raft_last(f.r).index));
    CHECK(f.out->events & RAFT_CAUGHT_UP);
    CHECK(raft_peer_status(f.r, 4, &s));
    CHECK(s.caught_up);
    f.now += 700 * MS;
    receive(&f, ack(2, &f, 0));
    CHECK(raft_peer_status(f.r, 4, &s));
    CHECK(!s.caught_up); /* silent since */
    fixture_done(&f);
}

TEST(change, one_that_would_lose_its_quorum_is_refused)
{
    struct fixture f = leader_of("123+4"); /* 3 is silent */
    struct raft_config target = config_of("1234");
    struct raft_change_plan p = plan(&f, &target);
    CHECK_EQ(p.reason, RAFT_CHANGE_NO_QUORUM);
    CHECK_EQ(p.live, 2);
    CHECK_EQ(p.needed, 3);
    CHECK_EQ(p.of, 4);
    char text[160];
    raft_change_text(&p, text, sizeof text);
    assert_string_equal(text,
                        "would lose its quorum: needs 3 of 4 voters live and caught up, has 2");
    CHECK_EQ(change(&f, "1234"), ERR_FULL);
    catch_up(&f, 4);
    CHECK_EQ(reason(&f, "1234"), RAFT_CHANGE_POSSIBLE);
    CHECK_EQ(reason(&f, "13"), RAFT_CHANGE_NO_QUORUM);
    fixture_done(&f);
}

TEST(change, who_was_removed_is_told_when_it_asks)
{
    struct fixture f = leader_of("123");
    receive(&f, ack(3, &f, raft_last(f.r).index));
    change_and_finish(&f, "12", "23");
    receive(&f, prevote(3, raft_term(f.r) + 1, "9/9"));
    CHECK(sent(&f, RAFT_REMOVED, 3) != NULL);
    receive(&f, vote(3, raft_term(f.r) + 5, "9/9"));
    CHECK(sent(&f, RAFT_REMOVED, 3) != NULL);
    CHECK(raft_is_leader(f.r));
    receive(&f, prevote(7, raft_term(f.r) + 1, "9/9")); /* perhaps it comes later */
    CHECK(!sent(&f, RAFT_REMOVED, 7));
    fixture_done(&f);
}

TEST(change, who_is_told_that_it_is_removed_campaigns_no_more)
{
    struct fixture f = with_log("1/1");
    struct raft_message m = {.kind = RAFT_REMOVED, .from = 2, .term = 1, .prev = {0, 9}};
    receive(&f, m);
    CHECK(f.out->events & RAFT_TOLD_REMOVED);
    CHECK(raft_is_removed(f.r));
    tick_after(&f, NANOS_SEC);
    CHECK_EQ(raft_role(f.r), RAFT_FOLLOWER);
    CHECK_EQ(f.out->send.count, 0);
    fixture_done(&f);
}

TEST(change, a_learner_that_hears_nothing_asks_whether_it_is_still_a_member)
{
    struct fixture f = fixture_new((struct fixture_setup){.config = config_of("23+1")});
    tick_after(&f, NANOS_SEC);
    CHECK(sent(&f, RAFT_VOTE, 2)->pre);
    struct raft_message granted = vote_reply(2, 1, true);
    granted.pre = true;
    receive(&f, granted);
    granted.from = 3;
    receive(&f, granted);
    CHECK_EQ(raft_role(f.r), RAFT_FOLLOWER);
    fixture_done(&f);
}

TEST_MAIN(RUN(change, learners_come_at_once_and_take_effect_when_appended),
          RUN(change, only_one_is_under_way),
          RUN(change, not_before_an_entry_of_the_own_term_is_committed),
          RUN(change, only_a_leader_does_it), RUN(change, some_targets_are_none),
          RUN(change, an_incarnation_may_become_known_and_then_stays),
          RUN(change, a_number_is_given_out_once),
          RUN(change, voters_come_and_go_through_a_joint_configuration),
          RUN(change, a_joint_entry_needs_a_majority_of_those_before),
          RUN(change, a_new_leader_leaves_a_joint_configuration_that_another_began),
          RUN(change, a_leader_that_leaves_does_not_count_itself_and_hands_over_at_the_end),
          RUN(change, a_lease_needs_those_who_leave_until_they_have_left),
          RUN(change, a_learner_catches_up_by_rounds),
          RUN(change, one_that_would_lose_its_quorum_is_refused),
          RUN(change, who_was_removed_is_told_when_it_asks),
          RUN(change, who_is_told_that_it_is_removed_campaigns_no_more),
          RUN(change, a_learner_that_hears_nothing_asks_whether_it_is_still_a_member))
