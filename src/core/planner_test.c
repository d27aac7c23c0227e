#include "core/planner_world.h"

static void fill(struct world *w, u64 bytes)
{
    for (u32 i = 0; i < WORLD_PARTS; i++) w->bytes[i] = bytes;
}

static bool plan_says(const struct world *w, const char *words)
{
    for (u32 i = 0; i < w->plan.count; i++)
        if (strstr(w->plan.steps[i].reason, words)) return true;
    for (u32 i = 0; i < w->plan.blocked_count && i < CORE_PLAN_BLOCKED_MAX; i++)
        if (strstr(w->plan.blocked[i], words)) return true;
    return false;
}

TEST(planner, says_nothing_where_all_is_well)
{
    struct world w;

    world_init(&w, 1, 3);
    create(&w.f, "orders", "hash:6", "3");
    world_settle(&w, 50);
    CHECK_EQ(w.moves, 0);
    u32 steps = w.steps;
    for (u32 i = 0; i < 20; i++) world_round(&w);
    CHECK_EQ(w.steps, steps);
    CHECK(!w.broken);
    world_done(&w);
}

TEST(planner, a_node_that_comes_back_in_time_moves_nothing)
{
    struct world w;

    world_init(&w, 1, 4);
    create(&w.f, "orders", "hash:24", "3");
    fill(&w, 100 * MIB);
    world_settle(&w, 200);
    u32 moves = w.moves;
    w.alive[2] = false;
    for (u32 i = 0; i < 10; i++) world_round(&w); /* five minutes, not longer */
    w.alive[2] = true;
    for (u32 i = 0; i < 30; i++) world_round(&w);
    CHECK_EQ(w.moves, moves);
    CHECK(!w.broken);
    world_done(&w);
}

TEST(planner, a_node_that_stays_away_is_replaced_if_there_is_a_spare)
{
    struct world w;

    world_init(&w, 1, 4);
    create(&w.f, "orders", "hash:8", "3");
    fill(&w, 100 * MIB);
    world_settle(&w, 200);
    w.alive[2] = false;
    for (u32 i = 0; i < 11; i++) world_round(&w);
    CHECK(plan_says(&w, "node 2 has been silent for 5 min, longer than replace-after"));
    CHECK(world_settle(&w, 200) < 200);
    CHECK_EQ(core_node(w.f.core, 2)->replicas, 0);
    CHECK(!w.broken);
    w.alive[2] = true; /* too late: it is filled again by balance */
    CHECK(world_settle(&w, 300) < 300);
    CHECK(core_node(w.f.core, 2)->replicas > 0);
    world_done(&w);

    world_init(&w, 1, 3);
    w.alive[2] = false;
    for (u32 i = 0; i < 20; i++) world_round(&w);
    CHECK_EQ(w.moves, 0);
    CHECK(plan_says(&w, "join a node, or set replicas lower"));
    world_done(&w);
}

TEST(planner, a_group_without_quorum_is_left_alone)
{
    struct world w;

    world_init(&w, 1, 5);
    create(&w.f, "orders", "hash:4", "3");
    world_settle(&w, 100);
    w.alive[1] = w.alive[2] = w.alive[3] = false;
    for (u32 i = 0; i < 40; i++) world_round(&w);
    CHECK(plan_says(&w, "cannot change its members: bring a node back"));
    CHECK(!w.broken);
    w.alive[1] = w.alive[2] = true;
    CHECK(world_settle(&w, 300) < 300);
    CHECK_EQ(core_node(w.f.core, 3)->replicas, 0);
    CHECK(!w.broken);
    world_done(&w);
}

TEST(planner, a_drain_empties_the_node_and_its_leaderships_first)
{
    struct world w;

    world_init(&w, 1, 4);
    create(&w.f, "orders", "hash:12", "3");
    fill(&w, 100 * MIB);
    world_settle(&w, 200);
    CHECK_EQ(DO(&w.f, .op = CORE_NODE_DRAIN, .node = 1), CORE_OK);
    world_round(&w);
    CHECK(plan_says(&w, "node 1 is being drained"));
    CHECK(world_settle(&w, 300) < 300);
    CHECK_EQ(core_node(w.f.core, 1)->state, CORE_DRAINED);
    CHECK(!w.broken);
    CHECK_EQ(DO(&w.f, .op = CORE_NODE_REMOVE, .node = 1), CORE_OK);
    world_done(&w);
}

TEST(planner, a_node_that_joins_gets_its_share_and_no_more_travels)
{
    for (u32 n = 3; n <= 7; n++) {
        struct world w;
        u64 total = 0;
        world_init(&w, n, n);
        create(&w.f, "orders", "hash:210", "3");
        fill(&w, 100 * MIB);
        CHECK(world_settle(&w, 2000) < 2000);
        for (u32 i = 1; i <= n; i++) total += world_node_bytes(&w, i);
        w.moved_bytes = 0;
        u32 joined = world_join(&w, "x");
        CHECK(world_settle(&w, 4000) < 4000);
        CHECK(!w.broken);
        u64 share = total / (n + 1), got = world_node_bytes(&w, joined);
        CHECK(got >= share * 9 / 10 && got <= share * 11 / 10);
        CHECK_EQ(w.moved_bytes, got); /* every byte that travelled went there */
        world_done(&w);
    }
}

TEST(planner, replicas_grow_and_shrink_with_the_setting)
{
    struct world w;

    world_init(&w, 1, 1);
    CHECK_EQ(core_part(w.f.core, 1)->member_count, 1);
    world_join(&w, "b");
    world_join(&w, "c");
    CHECK(world_settle(&w, 100) < 100);
    CHECK_EQ(core_part_voters(core_part(w.f.core, 1)), 3);
    CHECK_EQ(core_part_voters(core_part(w.f.core, 2)), 3);
    CHECK_EQ(DO(&w.f, .op = CORE_KS_SET, .keyspace = 2, .row_count = 1,
                .rows = {{STR("replicas"), STR("1")}}),
             CORE_OK);
    CHECK(world_settle(&w, 100) < 100);
    CHECK_EQ(core_part_voters(core_part(w.f.core, 2)), 1);
    CHECK(!w.broken);
    world_done(&w);
}

TEST(planner, racks_are_used_when_they_come)
{
    struct world w;

    world_init(&w, 1, 1); /* rack a */
    world_join(&w, "a");
    world_join(&w, "a");
    world_join(&w, "b");
    create(&w.f, "orders", "hash:10", "3");
    CHECK(world_settle(&w, 200) < 200);
    for (u64 id = 3; id < 13; id++) CHECK_EQ(world_racks(&w, core_part(w.f.core, id), 0, 0), 2);
    world_join(&w, "c");
    CHECK(world_settle(&w, 400) < 400);
    for (u64 id = 1; id < 13; id++) CHECK_EQ(world_racks(&w, core_part(w.f.core, id), 0, 0), 3);
    CHECK(!w.broken);
    world_done(&w);
}

TEST(planner, paused_it_ends_what_it_began_and_begins_nothing)
{
    struct world w;

    world_init(&w, 1, 3);
    create(&w.f, "orders", "hash:30", "3");
    world_settle(&w, 100);
    world_join(&w, "d");
    world_round(&w);
    CHECK(w.moves > 0);
    u32 begun = w.moves;
    w.facts.paused = true;
    CHECK(world_settle(&w, 100) < 100);
    CHECK_EQ(w.moves, begun);
    CHECK_EQ(core_node(w.f.core, 4)->replicas, begun);
    w.facts.paused = false;
    CHECK_EQ(DO(&w.f, .op = CORE_SETTINGS, .row_count = 1, .rows = {{STR("paused"), STR("yes")}}),
             CORE_OK);
    CHECK(world_settle(&w, 100) < 100);
    CHECK_EQ(w.moves, begun);
    CHECK(!w.broken);
    world_done(&w);
}

TEST(planner, pinned_leaders_go_where_they_are_pinned)
{
    struct world w;

    world_init(&w, 1, 3);
    u32 id = create(&w.f, "orders", "hash:9", "3");
    world_settle(&w, 100);
    for (u32 n = 1; n <= 3; n++) CHECK(world_leaders(&w, n) >= 3);
    CHECK_EQ(DO(&w.f, .op = CORE_KS_PIN, .keyspace = id, .node = 2), CORE_OK);
    CHECK(world_settle(&w, 100) < 100);
    CHECK(world_leaders(&w, 2) >= 9);
    w.alive[2] = false;
    for (u32 i = 0; i < 5; i++) world_round(&w);
    w.alive[2] = true;
    CHECK(world_settle(&w, 100) < 100);
    CHECK(world_leaders(&w, 2) >= 9);
    world_done(&w);
}

TEST(planner, ranges_are_split_and_merged_by_size)
{
    struct world w;
    struct core_facts *f = &w.facts;

    world_init(&w, 1, 3);
    u32 id = create(&w.f, "etcd", "range", "3");
    const struct core_keyspace *k = core_keyspace(w.f.core, id);
    u64 first = k->parts[0]->id;
    world_settle(&w, 50);
    w.bytes[first] = 2ULL << 30;
    for (u32 i = 0; i < 4; i++) {
        world_see(&w);
        for (u32 j = 0; j < f->part_count; j++)
            if (w.part_facts[j].part == first) w.part_facts[j].middle = STR("m");
        core_plan_make(w.f.core, f, &w.plan);
        for (u32 j = 0; j < w.plan.count; j++) world_carry_out(&w, &w.plan.steps[j]);
        if (core_part(w.f.core, first)->op.kind == CORE_OP_SPLIT) break;
    }
    CHECK_EQ(core_part(w.f.core, first)->op.kind, CORE_OP_SPLIT);
    CHECK(world_settle(&w, 50) < 50);
    CHECK_EQ(k->part_count, 2);
    CHECK_EQ(core_lookup_key(w.f.core, id, STR("z"))->id, k->parts[1]->id);
    w.bytes[first] = w.bytes[k->parts[1]->id] = MIB;
    CHECK(world_settle(&w, 50) < 50);
    CHECK_EQ(k->part_count, 1);
    CHECK(!w.broken);
    world_done(&w);
}

TEST(planner, a_full_disk_gets_no_replica)
{
    struct world w;
    struct core_plan plan;

    world_init(&w, 1, 3);
    create(&w.f, "orders", "hash:12", "3");
    fill(&w, 100 * MIB);
    world_settle(&w, 100);
    world_join(&w, "d");
    world_see(&w);
    for (u32 i = 0; i < 4; i++) {
        w.node_facts[i].disk_bytes = 1000 * MIB;
        w.node_facts[i].disk_used = 800 * MIB;
    }
    core_plan_make(w.f.core, &w.facts, &plan);
    CHECK_EQ(plan.count, 0);
    w.node_facts[3].disk_used = 0;
    core_plan_make(w.f.core, &w.facts, &plan);
    CHECK(plan.count > 0);
    CHECK(plan.bytes_wanted > 0);
    world_done(&w);
}

TEST_MAIN(RUN(planner, says_nothing_where_all_is_well),
          RUN(planner, a_node_that_comes_back_in_time_moves_nothing),
          RUN(planner, a_node_that_stays_away_is_replaced_if_there_is_a_spare),
          RUN(planner, a_group_without_quorum_is_left_alone),
          RUN(planner, a_drain_empties_the_node_and_its_leaderships_first),
          RUN(planner, a_node_that_joins_gets_its_share_and_no_more_travels),
          RUN(planner, replicas_grow_and_shrink_with_the_setting),
          RUN(planner, racks_are_used_when_they_come),
          RUN(planner, paused_it_ends_what_it_began_and_begins_nothing),
          RUN(planner, pinned_leaders_go_where_they_are_pinned),
          RUN(planner, ranges_are_split_and_merged_by_size),
          RUN(planner, a_full_disk_gets_no_replica))
