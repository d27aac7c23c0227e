#include "core/core_fixture.h"

TEST(nodes, founding_makes_nodes_and_two_keyspaces)
{
    struct core_fixture f;
    u32 count;

    fixture_init(&f);
    CHECK_EQ(DO(&f, .op = CORE_NODE_DRAIN, .node = 1), CORE_NOT_FOUNDED);
    found(&f, 3);
    core_check(f.core);
    CHECK_EQ(map_epoch(&f), 1);
    core_nodes(f.core, &count);
    CHECK_EQ(count, 3);
    CHECK_EQ(core_node(f.core, 2)->state, CORE_UP);
    CHECK_STR(core_str(&core_node(f.core, 2)->rack), "b");
    CHECK_EQ(core_keyspace_named(f.core, STR("core"))->id, CORE_KEYSPACE);
    CHECK_EQ(core_keyspace_named(f.core, STR("default"))->id, CORE_KEYSPACE_DEFAULT);
    const struct core_part *p = core_part(f.core, CORE_GROUP);
    CHECK_EQ(p->keyspace, CORE_KEYSPACE);
    CHECK_EQ(p->member_count, 3);
    p = core_lookup_slot(f.core, CORE_KEYSPACE_DEFAULT, 16383);
    CHECK_EQ(p->id, 2);
    CHECK_EQ(p->slot_first, 0);
    fixture_done(&f);
}

TEST(nodes, founding_cannot_happen_twice)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 1);
    u64 before = digest_of(&f);
    struct core_command again = {
        .op = CORE_FOUND, .uuid = {{9}}, .version = 1, .node_count = 1, .nodes = {spec(9, "z")}};
    CHECK_EQ(fixture_do(&f, &again), CORE_FOUNDED);
    CHECK(says(&f, "joining"));
    CHECK_EQ(f.reply.result.len, 16);
    CHECK_EQ(f.reply.result.at[0], 7);
    CHECK_EQ(digest_of(&f), before);
    fixture_restart(&f);
    CHECK_EQ(fixture_do(&f, &again), CORE_FOUNDED);
    fixture_done(&f);
}

TEST(nodes, a_founding_that_does_not_fit_leaves_nothing)
{
    struct core_fixture f;
    struct core_command cmd = {.op = CORE_FOUND,
                               .uuid = {{7}},
                               .version = 1,
                               .node_count = 2,
                               .nodes = {spec(1, "a"), spec(1, "b")}};

    fixture_init(&f);
    CHECK_EQ(fixture_do(&f, &cmd), CORE_INVALID);
    cmd.nodes[1] = spec(2, "b");
    cmd.nodes[1].version_min = 2;
    CHECK_EQ(fixture_do(&f, &cmd), CORE_VERSION);
    cmd.nodes[1] = spec(2, "a rack");
    CHECK_EQ(fixture_do(&f, &cmd), CORE_INVALID);
    cmd.node_count = 0;
    CHECK_EQ(fixture_do(&f, &cmd), CORE_INVALID);
    CHECK(!core_cluster(f.core));
    fixture_restart(&f);
    CHECK(!core_cluster(f.core));
    found(&f, 1);
    fixture_done(&f);
}

TEST(nodes, joining_is_idempotent_by_incarnation)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 1);
    struct core_command cmd = {.op = CORE_NODE_JOIN, .nodes = {spec(2, "b")}};
    CHECK_EQ(fixture_do(&f, &cmd), CORE_OK);
    CHECK_EQ(result_u32(&f), 2);
    CHECK_EQ(core_node(f.core, 2)->state, CORE_JOINING);
    u64 epoch = map_epoch(&f);
    CHECK_EQ(fixture_do(&f, &cmd), CORE_OK);
    CHECK_EQ(result_u32(&f), 2);
    CHECK_EQ(map_epoch(&f), epoch);
    cmd.nodes[0] = spec(3, "b"); /* the same machine with an empty disk */
    CHECK_EQ(fixture_do(&f, &cmd), CORE_OK);
    CHECK_EQ(result_u32(&f), 3);
    fixture_done(&f);
}

TEST(nodes, numbers_are_not_used_again)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 1);
    CHECK_EQ(join(&f, 2, "b"), 2);
    CHECK_EQ(DO(&f, .op = CORE_NODE_REMOVE, .node = 2), CORE_OK);
    CHECK_EQ(DO(&f, .op = CORE_NODE_REMOVE, .node = 2), CORE_OK);
    fixture_restart(&f);
    CHECK_EQ(join(&f, 3, "b"), 3);
    struct core_command cmd = {.op = CORE_NODE_JOIN, .nodes = {spec(2, "b")}};
    CHECK_EQ(fixture_do(&f, &cmd), CORE_UNSAFE);
    CHECK(says(&f, "empty directory"));
    CHECK_EQ(DO(&f, .op = CORE_NODE_UNDRAIN, .node = 2), CORE_NO_SUCH);
    fixture_done(&f);
}

TEST(nodes, levels_keep_strangers_out_and_go_up_only_together)
{
    struct core_fixture f;
    struct core_command cmd = {.op = CORE_NODE_JOIN, .nodes = {spec(2, "b")}};

    fixture_init(&f);
    found(&f, 1);
    cmd.nodes[0].version_min = 2;
    CHECK_EQ(fixture_do(&f, &cmd), CORE_VERSION);
    CHECK(says(&f, "raise the cluster's level"));
    cmd.nodes[0].version_min = cmd.nodes[0].version_max = 1;
    CHECK_EQ(fixture_do(&f, &cmd), CORE_OK);
    CHECK_EQ(DO(&f, .op = CORE_VERSION_RAISE, .version = 2), CORE_VERSION);
    CHECK(says(&f, "node 2 serves levels 1 to 1"));
    cmd.op = CORE_NODE_UPDATE;
    cmd.node = 2;
    cmd.mask = CORE_UPDATE_VERSIONS;
    cmd.nodes[0].version_max = 2;
    CHECK_EQ(fixture_do(&f, &cmd), CORE_OK);
    CHECK_EQ(DO(&f, .op = CORE_VERSION_RAISE, .version = 2), CORE_OK);
    CHECK_EQ(core_cluster(f.core)->version, 2);
    CHECK_EQ(DO(&f, .op = CORE_VERSION_RAISE, .version = 1), CORE_VERSION);
    CHECK_EQ(DO(&f, .op = CORE_VERSION_RAISE, .version = 3), CORE_VERSION);
    cmd.nodes[0].version_max = 1; /* an older program comes back */
    CHECK_EQ(fixture_do(&f, &cmd), CORE_VERSION);
    fixture_done(&f);
}

TEST(nodes, an_update_is_of_that_life_of_the_disk)
{
    struct core_fixture f;
    struct core_command cmd = {
        .op = CORE_NODE_UPDATE, .node = 1, .mask = CORE_UPDATE_ADDRESSES, .nodes = {spec(1, "")}};

    fixture_init(&f);
    found(&f, 1);
    cmd.nodes[0].peer = STR("host:1");
    CHECK_EQ(fixture_do(&f, &cmd), CORE_OK);
    CHECK_STR(core_str(&core_node(f.core, 1)->peer), "host:1");
    CHECK_STR(core_str(&core_node(f.core, 1)->rack), "a");
    cmd.nodes[0].incarnation.bytes[0] = 5;
    CHECK_EQ(fixture_do(&f, &cmd), CORE_STALE);
    fixture_done(&f);
}

TEST(nodes, a_drain_that_cannot_end_is_refused_with_what_is_needed)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 3);
    CHECK_EQ(DO(&f, .op = CORE_NODE_DRAIN, .node = 2), CORE_UNSAFE);
    CHECK(says(&f, "join 1 more node first"));
    CHECK(says(&f, "replicas=1"));
    join(&f, 4, "d");
    CHECK_EQ(DO(&f, .op = CORE_NODE_DRAIN, .node = 2), CORE_OK);
    CHECK_EQ(core_node(f.core, 2)->state, CORE_DRAINING);
    CHECK_EQ(DO(&f, .op = CORE_NODE_DRAIN, .node = 1), CORE_UNSAFE);
    CHECK_EQ(DO(&f, .op = CORE_NODE_REMOVE, .node = 2), CORE_UNSAFE);
    CHECK(says(&f, "quorate node drain 2"));
    for (u64 part = 1; part <= 2; part++)
        CHECK_EQ(move(&f, part, 4, core_part_member_on(core_part(f.core, part), 2)->replica),
                 CORE_OK);
    CHECK_EQ(core_node(f.core, 2)->state, CORE_DRAINED);
    CHECK_EQ(DO(&f, .op = CORE_NODE_REMOVE, .node = 2), CORE_OK);
    CHECK_EQ(core_node(f.core, 2)->state, CORE_REMOVED);
    core_check(f.core);
    fixture_done(&f);
}

TEST(nodes, a_drain_of_an_empty_node_is_refused_while_another_drain_needs_it)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 3);
    join(&f, 4, "d");
    CHECK_EQ(DO(&f, .op = CORE_NODE_DRAIN, .node = 2), CORE_OK);
    CHECK_EQ(DO(&f, .op = CORE_NODE_DRAIN, .node = 4), CORE_UNSAFE);
    fixture_done(&f);
}

TEST(nodes, a_drain_can_be_taken_back)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 3);
    join(&f, 4, "d");
    CHECK_EQ(DO(&f, .op = CORE_NODE_DRAIN, .node = 4), CORE_OK);
    CHECK_EQ(core_node(f.core, 4)->state, CORE_DRAINED); /* it was empty */
    CHECK_EQ(DO(&f, .op = CORE_NODE_UNDRAIN, .node = 4), CORE_OK);
    CHECK_EQ(core_node(f.core, 4)->state, CORE_UP);
    fixture_done(&f);
}

TEST(nodes, a_lost_node_is_removed_only_while_quorums_remain)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 3);
    CHECK_EQ(DO(&f, .op = CORE_NODE_REMOVE, .node = 3, .flags = CORE_FORCE), CORE_OK);
    CHECK_EQ(DO(&f, .op = CORE_NODE_REMOVE, .node = 2, .flags = CORE_FORCE), CORE_UNSAFE);
    CHECK(says(&f, "keep 1 of its 3 voters"));
    join(&f, 4, "d");
    for (u64 part = 1; part <= 2; part++)
        CHECK_EQ(move(&f, part, 4, core_part_member_on(core_part(f.core, part), 3)->replica),
                 CORE_OK);
    CHECK_EQ(DO(&f, .op = CORE_NODE_REMOVE, .node = 2, .flags = CORE_FORCE), CORE_OK);
    core_check(f.core);
    fixture_done(&f);
}

TEST(nodes, removed_ones_are_remembered_up_to_a_limit)
{
    struct core_fixture f;
    struct core_command join_again = {.op = CORE_NODE_JOIN};

    fixture_init(&f);
    found(&f, 1);
    for (u32 i = 0; i < CORE_NODES_MAX + 3; i++) {
        struct core_command cmd = {.op = CORE_NODE_JOIN, .nodes = {spec(2, "b")}};
        cmd.nodes[0].incarnation.bytes[2] = (u8)i;
        cmd.nodes[0].incarnation.bytes[3] = (u8)(i >> 8);
        if (i == 3) join_again = cmd;
        CHECK_EQ(fixture_do(&f, &cmd), CORE_OK);
        CHECK_EQ(DO(&f, .op = CORE_NODE_REMOVE, .node = result_u32(&f)), CORE_OK);
    }
    CHECK_EQ(f.core->node_count, 1 + CORE_NODES_MAX);
    CHECK(!core_node(f.core, 2));
    CHECK_EQ(fixture_do(&f, &join_again), CORE_UNSAFE); /* the oldest that is remembered */
    fixture_restart(&f);
    CHECK_EQ(f.core->node_count, 1 + CORE_NODES_MAX);
    fixture_done(&f);
}

TEST(nodes, the_last_node_stays)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 1);
    CHECK_EQ(DO(&f, .op = CORE_NODE_REMOVE, .node = 1, .flags = CORE_FORCE), CORE_UNSAFE);
    CHECK(says(&f, "last one"));
    CHECK_EQ(DO(&f, .op = CORE_NODE_DRAIN, .node = 1), CORE_UNSAFE);
    fixture_done(&f);
}

TEST(nodes, id_blocks_never_meet_and_leave_the_map_alone)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 1);
    u64 epoch = map_epoch(&f);
    CHECK_EQ(DO(&f, .op = CORE_ID_BLOCK_TAKE, .kind = CORE_IDS_LEASE), CORE_OK);
    CHECK_EQ(result_u64(&f), 1);
    fixture_restart(&f);
    CHECK_EQ(DO(&f, .op = CORE_ID_BLOCK_TAKE, .kind = CORE_IDS_LEASE), CORE_OK);
    CHECK_EQ(result_u64(&f), 1 + CORE_ID_BLOCK);
    CHECK_EQ(DO(&f, .op = CORE_ID_BLOCK_TAKE, .kind = CORE_IDS_PRODUCER), CORE_OK);
    CHECK_EQ(result_u64(&f), 1);
    CHECK_EQ(DO(&f, .op = CORE_ID_BLOCK_TAKE, .kind = 7), CORE_INVALID);
    CHECK_EQ(map_epoch(&f), epoch);
    fixture_done(&f);
}

TEST_MAIN(RUN(nodes, founding_makes_nodes_and_two_keyspaces),
          RUN(nodes, founding_cannot_happen_twice),
          RUN(nodes, a_founding_that_does_not_fit_leaves_nothing),
          RUN(nodes, joining_is_idempotent_by_incarnation), RUN(nodes, numbers_are_not_used_again),
          RUN(nodes, levels_keep_strangers_out_and_go_up_only_together),
          RUN(nodes, an_update_is_of_that_life_of_the_disk),
          RUN(nodes, a_drain_that_cannot_end_is_refused_with_what_is_needed),
          RUN(nodes, a_drain_of_an_empty_node_is_refused_while_another_drain_needs_it),
          RUN(nodes, a_drain_can_be_taken_back),
          RUN(nodes, a_lost_node_is_removed_only_while_quorums_remain),
          RUN(nodes, removed_ones_are_remembered_up_to_a_limit), RUN(nodes, the_last_node_stays),
          RUN(nodes, id_blocks_never_meet_and_leave_the_map_alone))
