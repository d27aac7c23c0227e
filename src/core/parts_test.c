#include "core/core_fixture.h"

static u32 replica_on(const struct core_fixture *f, u64 part, u32 node)
{
    return core_part_member_on(core_part(f->core, part), node)->replica;
}

TEST(parts, a_move_goes_step_by_step)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 3);
    join(&f, 4, "d");
    u64 epoch = part_epoch(&f, 2);
    CHECK_EQ(DO(&f, .op = CORE_PART_BEGIN, .part = 2, .epoch = epoch, .kind = CORE_OP_MOVE,
                .node = 4, .replica = replica_on(&f, 2, 1)),
             CORE_OK);
    CHECK_EQ(result_u32(&f), 4);
    const struct core_part *p = core_part(f.core, 2);
    CHECK_EQ(core_part_member(p, 4)->role, CORE_LEARNER);
    CHECK_EQ(DO(&f, .op = CORE_PART_DONE, .part = 2, .epoch = p->epoch), CORE_INVALID);
    CHECK_EQ(DO(&f, .op = CORE_PART_STEP, .part = 2, .epoch = p->epoch, .step = CORE_STEP_SWAP),
             CORE_INVALID);
    CHECK_EQ(DO(&f, .op = CORE_PART_BEGIN, .part = 2, .epoch = p->epoch, .kind = CORE_OP_SPLIT,
                .slot = 9),
             CORE_BUSY);
    CHECK_EQ(DO(&f, .op = CORE_PART_STEP, .part = 2, .epoch = p->epoch, .step = CORE_STEP_PREPARED),
             CORE_OK);
    CHECK_EQ(DO(&f, .op = CORE_PART_STEP, .part = 2, .epoch = p->epoch, .step = CORE_STEP_SWAP),
             CORE_OK);
    CHECK_EQ(DO(&f, .op = CORE_PART_DONE, .part = 2, .epoch = p->epoch), CORE_OK);
    CHECK_EQ(core_part_voters(p), 3);
    CHECK(core_part_member_on(p, 4));
    CHECK(!core_part_member_on(p, 1));
    CHECK_EQ(p->op.kind, CORE_OP_NONE);
    core_check(f.core);
    fixture_done(&f);
}

TEST(parts, a_move_that_fails_is_undone_and_its_number_is_gone)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 3);
    join(&f, 4, "d");
    const struct core_part *p = core_part(f.core, 2);
    CHECK_EQ(DO(&f, .op = CORE_PART_BEGIN, .part = 2, .epoch = p->epoch, .kind = CORE_OP_MOVE,
                .node = 4, .replica = 1),
             CORE_OK);
    CHECK_EQ(DO(&f, .op = CORE_PART_STEP, .part = 2, .epoch = p->epoch, .step = CORE_STEP_UNDO),
             CORE_OK);
    CHECK_EQ(DO(&f, .op = CORE_PART_DONE, .part = 2, .epoch = p->epoch), CORE_OK);
    CHECK_EQ(p->member_count, 3);
    CHECK(core_part_member(p, 1));
    fixture_restart(&f);
    CHECK_EQ(move(&f, 2, 4, 1), CORE_OK);
    CHECK_EQ(replica_on(&f, 2, 4), 5);
    fixture_done(&f);
}

TEST(parts, a_node_that_leaves_does_not_become_a_voter)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 3);
    join(&f, 4, "d");
    join(&f, 5, "e");
    const struct core_part *p = core_part(f.core, 2);
    CHECK_EQ(DO(&f, .op = CORE_PART_BEGIN, .part = 2, .epoch = p->epoch, .kind = CORE_OP_MOVE,
                .node = 4, .replica = 1),
             CORE_OK);
    CHECK_EQ(DO(&f, .op = CORE_PART_STEP, .part = 2, .epoch = p->epoch, .step = CORE_STEP_PREPARED),
             CORE_OK);
    CHECK_EQ(DO(&f, .op = CORE_NODE_DRAIN, .node = 4), CORE_OK);
    CHECK_EQ(core_node(f.core, 4)->state, CORE_DRAINING);
    CHECK_EQ(DO(&f, .op = CORE_PART_STEP, .part = 2, .epoch = p->epoch, .step = CORE_STEP_SWAP),
             CORE_UNSAFE);
    CHECK(says(&f, "undo the move"));
    CHECK_EQ(DO(&f, .op = CORE_PART_STEP, .part = 2, .epoch = p->epoch, .step = CORE_STEP_UNDO),
             CORE_OK);
    CHECK_EQ(DO(&f, .op = CORE_PART_DONE, .part = 2, .epoch = p->epoch), CORE_OK);
    CHECK_EQ(core_node(f.core, 4)->state, CORE_DRAINED);
    fixture_done(&f);
}

TEST(parts, replicas_are_never_fewer_than_promised)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 3);
    const struct core_part *p = core_part(f.core, 2);
    CHECK_EQ(DO(&f, .op = CORE_PART_BEGIN, .part = 2, .epoch = p->epoch, .kind = CORE_OP_REMOVE,
                .replica = 1),
             CORE_UNSAFE);
    CHECK(says(&f, "set replicas lower first"));
    CHECK_EQ(DO(&f, .op = CORE_KS_SET, .keyspace = 2, .row_count = 1,
                .rows = {{STR("replicas"), STR("1")}}),
             CORE_OK);
    for (u32 replica = 1; replica <= 2; replica++) {
        CHECK_EQ(DO(&f, .op = CORE_PART_BEGIN, .part = 2, .epoch = p->epoch, .kind = CORE_OP_REMOVE,
                    .replica = replica),
                 CORE_OK);
        CHECK_EQ(DO(&f, .op = CORE_PART_DONE, .part = 2, .epoch = p->epoch), CORE_OK);
    }
    CHECK_EQ(DO(&f, .op = CORE_PART_BEGIN, .part = 2, .epoch = p->epoch, .kind = CORE_OP_REMOVE,
                .replica = 3),
             CORE_UNSAFE);
    fixture_done(&f);
}

TEST(parts, two_replicas_never_share_a_node)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 3);
    CHECK_EQ(DO(&f, .op = CORE_PART_BEGIN, .part = 2, .epoch = part_epoch(&f, 2),
                .kind = CORE_OP_MOVE, .node = 2, .replica = 1),
             CORE_UNSAFE);
    CHECK(says(&f, "lost together"));
    CHECK_EQ(DO(&f, .op = CORE_PART_BEGIN, .part = 2, .epoch = part_epoch(&f, 2),
                .kind = CORE_OP_MOVE, .node = 9, .replica = 1),
             CORE_NO_SUCH);
    fixture_done(&f);
}

TEST(parts, a_stale_report_gets_the_fresh_entry)
{
    struct core_fixture f;
    struct core_part fresh;

    fixture_init(&f);
    found(&f, 3);
    join(&f, 4, "d");
    u64 old = part_epoch(&f, 2), before;
    CHECK_EQ(move(&f, 2, 4, 1), CORE_OK);
    before = digest_of(&f);
    CHECK_EQ(DO(&f, .op = CORE_PART_BEGIN, .part = 2, .epoch = old, .kind = CORE_OP_MOVE, .node = 1,
                .replica = 2),
             CORE_STALE);
    CHECK_OK(core_part_decode(f.reply.result, &fresh));
    CHECK_EQ(fresh.epoch, part_epoch(&f, 2));
    CHECK_EQ(fresh.members[2].node, 4);
    core_part_done(&fresh);
    CHECK_EQ(digest_of(&f), before);
    fixture_done(&f);
}

TEST(parts, a_newer_term_says_who_leads)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 3);
    u64 epoch = part_epoch(&f, 2);
    CHECK_EQ(DO(&f, .op = CORE_PART_LEADER, .part = 2, .term = 5, .replica = 2), CORE_OK);
    u64 map = map_epoch(&f);
    CHECK_EQ(DO(&f, .op = CORE_PART_LEADER, .part = 2, .term = 5, .replica = 2), CORE_OK);
    CHECK_EQ(map_epoch(&f), map);
    CHECK_EQ(DO(&f, .op = CORE_PART_LEADER, .part = 2, .term = 4, .replica = 1), CORE_STALE);
    CHECK_EQ(DO(&f, .op = CORE_PART_LEADER, .part = 2, .term = 6, .replica = 9), CORE_NO_SUCH);
    CHECK_EQ(core_part(f.core, 2)->leader, 2);
    CHECK_EQ(part_epoch(&f, 2), epoch); /* a leader's report makes no other report stale */
    CHECK(core_part(f.core, 2)->changed > epoch);
    fixture_done(&f);
}

TEST(parts, a_split_of_slots_and_a_merge_back)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 3);
    const struct core_part *p = core_part(f.core, 2);
    CHECK_EQ(DO(&f, .op = CORE_PART_BEGIN, .part = 2, .epoch = p->epoch, .kind = CORE_OP_SPLIT,
                .slot = 0),
             CORE_INVALID);
    CHECK_EQ(DO(&f, .op = CORE_PART_BEGIN, .part = 2, .epoch = p->epoch, .kind = CORE_OP_SPLIT,
                .slot = 100),
             CORE_OK);
    CHECK_EQ(result_u64(&f), 3);
    CHECK(!core_part(f.core, 3)); /* not before the group has done it */
    CHECK_EQ(core_lookup_slot(f.core, 2, 100)->id, 2);
    CHECK_EQ(DO(&f, .op = CORE_PART_DONE, .part = 2, .epoch = p->epoch), CORE_INVALID);
    CHECK_EQ(DO(&f, .op = CORE_PART_STEP, .part = 2, .epoch = p->epoch, .step = CORE_STEP_PREPARED),
             CORE_OK);
    CHECK_EQ(DO(&f, .op = CORE_PART_DONE, .part = 2, .epoch = p->epoch), CORE_OK);
    core_check(f.core);
    CHECK_EQ(core_lookup_slot(f.core, 2, 99)->id, 2);
    CHECK_EQ(core_lookup_slot(f.core, 2, 100)->id, 3);
    CHECK_EQ(core_part(f.core, 3)->member_count, 3);
    CHECK_EQ(core_part(f.core, 3)->next_replica, 5); /* it must not look like new */

    fixture_restart(&f);
    p = core_part(f.core, 2);
    CHECK_EQ(DO(&f, .op = CORE_PART_BEGIN, .part = 3, .epoch = part_epoch(&f, 3),
                .kind = CORE_OP_MERGE, .other = 2),
             CORE_INVALID);
    CHECK_EQ(DO(&f, .op = CORE_PART_BEGIN, .part = 2, .epoch = p->epoch, .kind = CORE_OP_MERGE,
                .other = 3),
             CORE_OK);
    CHECK_EQ(DO(&f, .op = CORE_PART_BEGIN, .part = 3, .epoch = part_epoch(&f, 3),
                .kind = CORE_OP_SPLIT, .slot = 200),
             CORE_BUSY);
    CHECK_EQ(DO(&f, .op = CORE_PART_STEP, .part = 2, .epoch = p->epoch, .step = CORE_STEP_NONE),
             CORE_OK); /* given up */
    CHECK_EQ(core_part(f.core, 3)->op.kind, CORE_OP_NONE);
    CHECK_EQ(DO(&f, .op = CORE_PART_BEGIN, .part = 2, .epoch = p->epoch, .kind = CORE_OP_MERGE,
                .other = 3),
             CORE_OK);
    CHECK_EQ(DO(&f, .op = CORE_PART_STEP, .part = 2, .epoch = p->epoch, .step = CORE_STEP_PREPARED),
             CORE_OK);
    CHECK_EQ(DO(&f, .op = CORE_PART_DONE, .part = 2, .epoch = p->epoch), CORE_OK);
    core_check(f.core);
    CHECK(!core_part(f.core, 3));
    CHECK_EQ(core_lookup_slot(f.core, 2, 16383)->id, 2);
    fixture_done(&f);
}

TEST(parts, key_ranges_split_where_told)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 3);
    u32 id = create(&f, "etcd", "range", "3");
    u64 low = core_lookup_key(f.core, id, STR(""))->id, high = 0;
    for (u32 i = 0; i < 2; i++) {
        str at = i == 0 ? STR("m") : STR("f");
        CHECK_EQ(DO(&f, .op = CORE_PART_BEGIN, .part = low, .epoch = part_epoch(&f, low),
                    .kind = CORE_OP_SPLIT, .key = at),
                 CORE_OK);
        if (!high) high = result_u64(&f);
        CHECK_EQ(DO(&f, .op = CORE_PART_STEP, .part = low, .epoch = part_epoch(&f, low),
                    .step = CORE_STEP_PREPARED),
                 CORE_OK);
        CHECK_EQ(DO(&f, .op = CORE_PART_DONE, .part = low, .epoch = part_epoch(&f, low)), CORE_OK);
        core_check(f.core);
    }
    CHECK_EQ(DO(&f, .op = CORE_PART_BEGIN, .part = low, .epoch = part_epoch(&f, low),
                .kind = CORE_OP_SPLIT, .key = STR("g")),
             CORE_INVALID);
    fixture_restart(&f);
    CHECK_EQ(core_lookup_key(f.core, id, STR("a"))->id, low);
    CHECK_EQ(core_lookup_key(f.core, id, STR("ezzz"))->id, low);
    CHECK_EQ(core_lookup_key(f.core, id, STR("f"))->id, high + 1);
    CHECK_EQ(core_lookup_key(f.core, id, STR("lzz"))->id, high + 1);
    CHECK_EQ(core_lookup_key(f.core, id, STR("m"))->id, high);
    CHECK_EQ(core_lookup_key(f.core, id, STR("\xff\xff"))->id, high);
    CHECK(!core_lookup_slot(f.core, id, 1));
    fixture_done(&f);
}

static u64 split_at(struct core_fixture *f, u64 part, str key, u32 node)
{
    CHECK_EQ(DO(f, .op = CORE_PART_BEGIN, .part = part, .epoch = part_epoch(f, part), .kind = CORE_OP_SPLIT,
                .key = key, .node = node),
             CORE_OK);
    u64 upper = result_u64(f);
    fixture_restart(f); /* the operation's row says what the upper half is to prefer */
    CHECK_EQ(DO(f, .op = CORE_PART_STEP, .part = part, .epoch = part_epoch(f, part), .step = CORE_STEP_PREPARED),
             CORE_OK);
    return upper;
}

TEST(parts, what_is_cut_off_is_pinned_at_once)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 3);
    u32 id = create(&f, "etcd", "range", "3");
    u64 low = core_lookup_key(f.core, id, STR(""))->id;
    CHECK_EQ(DO(&f, .op = CORE_PART_BEGIN, .part = low, .epoch = part_epoch(&f, low), .kind = CORE_OP_SPLIT,
                .key = STR("u"), .node = 9),
             CORE_NO_SUCH);
    u64 users = split_at(&f, low, STR("u"), 2);
    CHECK_EQ(DO(&f, .op = CORE_PART_DONE, .part = low, .epoch = part_epoch(&f, low)), CORE_OK);
    CHECK_EQ(core_part(f.core, low)->prefer_node, 0);
    CHECK_EQ(core_part(f.core, users)->prefer_node, 2);
    u64 half = split_at(&f, users, STR("um"), 0);
    CHECK_EQ(DO(&f, .op = CORE_PART_DONE, .part = users, .epoch = part_epoch(&f, users)), CORE_OK);
    CHECK_EQ(core_part(f.core, half)->prefer_node, 2); /* as the lower */
    u64 rest = split_at(&f, half, STR("v"), CORE_NODE_ANY);
    CHECK_EQ(DO(&f, .op = CORE_PART_DONE, .part = half, .epoch = part_epoch(&f, half)), CORE_OK);
    CHECK_EQ(core_part(f.core, half)->prefer_node, 2);
    CHECK_EQ(core_part(f.core, rest)->prefer_node, 0);

    u64 last = split_at(&f, rest, STR("w"), 1); /* a pin that comes meanwhile is for both */
    CHECK_EQ(DO(&f, .op = CORE_KS_PIN, .keyspace = id, .node = 3), CORE_OK);
    CHECK_EQ(DO(&f, .op = CORE_PART_DONE, .part = rest, .epoch = part_epoch(&f, rest)), CORE_OK);
    CHECK_EQ(core_part(f.core, rest)->prefer_node, 3);
    CHECK_EQ(core_part(f.core, last)->prefer_node, 3);
    core_check(f.core);
    fixture_done(&f);
}

TEST(parts, the_core_is_never_split)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 3);
    CHECK_EQ(DO(&f, .op = CORE_PART_BEGIN, .part = 1, .epoch = 1, .kind = CORE_OP_SPLIT, .slot = 5),
             CORE_UNSAFE);
    fixture_done(&f);
}

TEST_MAIN(RUN(parts, a_move_goes_step_by_step),
          RUN(parts, a_move_that_fails_is_undone_and_its_number_is_gone),
          RUN(parts, a_node_that_leaves_does_not_become_a_voter),
          RUN(parts, replicas_are_never_fewer_than_promised),
          RUN(parts, two_replicas_never_share_a_node),
          RUN(parts, a_stale_report_gets_the_fresh_entry), RUN(parts, a_newer_term_says_who_leads),
          RUN(parts, a_split_of_slots_and_a_merge_back), RUN(parts, key_ranges_split_where_told),
          RUN(parts, what_is_cut_off_is_pinned_at_once), RUN(parts, the_core_is_never_split))
