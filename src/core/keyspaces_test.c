#include "core/core_fixture.h"

TEST(keyspaces, hash_partitions_tile_the_slots_and_spread)
{
    struct core_fixture f;
    u32 leads[6] = {0};

    fixture_init(&f);
    found(&f, 5);
    u32 id = create(&f, "orders", "hash:10", "3");
    const struct core_keyspace *k = core_keyspace(f.core, id);
    CHECK_EQ(k->part_count, 10);
    core_check(f.core);
    for (u32 i = 0; i < 10; i++) leads[k->parts[i]->members[0].node]++;
    for (u32 n = 1; n <= 5; n++) {
        CHECK(core_node(f.core, n)->replicas >= 7 && core_node(f.core, n)->replicas <= 8);
        CHECK_EQ(leads[n], 2);
    }
    CHECK_EQ(core_lookup_slot(f.core, id, 0), k->parts[0]);
    CHECK_EQ(core_lookup_slot(f.core, id, 1637), k->parts[0]);
    CHECK_EQ(core_lookup_slot(f.core, id, 1638), k->parts[1]);
    CHECK(!core_lookup_slot(f.core, id, CORE_SLOTS));
    CHECK(!core_lookup_key(f.core, id, STR("k")));
    fixture_done(&f);
}

TEST(keyspaces, racks_are_told_apart)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 1); /* rack a */
    join(&f, 2, "a");
    join(&f, 3, "b");
    join(&f, 4, "b");
    join(&f, 5, "c");
    u32 id = create(&f, "orders", "hash:32", "3");
    const struct core_keyspace *k = core_keyspace(f.core, id);
    for (u32 i = 0; i < k->part_count; i++) {
        u32 seen[3] = {0};
        for (u32 m = 0; m < 3; m++)
            seen[core_node(f.core, k->parts[i]->members[m].node)->rack.bytes[0] - 'a']++;
        CHECK(seen[0] == 1 && seen[1] == 1 && seen[2] == 1);
    }
    fixture_done(&f);
}

TEST(keyspaces, what_cannot_be_kept_is_refused_with_what_is_needed)
{
    struct core_fixture f;
    struct core_command cmd = {.op = CORE_KS_CREATE,
                               .name = STR("orders"),
                               .row_count = 1,
                               .rows = {{STR("replicas"), STR("5")}}};

    fixture_init(&f);
    found(&f, 3);
    CHECK_EQ(fixture_do(&f, &cmd), CORE_UNSAFE);
    CHECK(says(&f, "join 2 more, or ask for replicas=3"));
    cmd.rows[0].value = STR("2");
    CHECK_EQ(fixture_do(&f, &cmd), CORE_UNSAFE);
    CHECK(says(&f, "odd number"));
    cmd.flags = CORE_ACCEPT_RISK;
    CHECK_EQ(fixture_do(&f, &cmd), CORE_OK);
    CHECK(core_keyspace(f.core, CORE_KEYSPACE_FIRST)->accepted_risk);
    CHECK_EQ(fixture_do(&f, &cmd), CORE_EXISTS);
    CHECK_EQ(result_u32(&f), CORE_KEYSPACE_FIRST);
    cmd.name = STR("or ders");
    CHECK_EQ(fixture_do(&f, &cmd), CORE_INVALID);
    fixture_done(&f);
}

TEST(keyspaces, unknown_settings_are_answered_with_the_list)
{
    struct core_fixture f;
    struct core_command cmd = {.op = CORE_KS_CREATE,
                               .name = STR("orders"),
                               .row_count = 1,
                               .rows = {{STR("replica"), STR("3")}}};

    fixture_init(&f);
    found(&f, 3);
    CHECK_EQ(fixture_do(&f, &cmd), CORE_INVALID);
    CHECK(says(
        &f, "no setting replica here; there are: replicas, partitions, consistency, durability"));
    cmd.rows[0] = (struct core_setting_row){STR("partitions"), STR("hash:0")};
    CHECK_EQ(fixture_do(&f, &cmd), CORE_INVALID);
    CHECK(says(&f, "hash:1 to hash:4096, or range"));
    cmd.rows[0] = (struct core_setting_row){STR("durability"), STR("tape")};
    CHECK_EQ(fixture_do(&f, &cmd), CORE_INVALID);
    CHECK(says(&f, "disk or memory"));
    CHECK_EQ(DO(&f, .op = CORE_SETTINGS, .row_count = 1, .rows = {{STR("paused"), STR("yes")}}),
             CORE_OK);
    CHECK_EQ(core_cluster(f.core)->settings[CORE_PAUSED], 1);
    CHECK_EQ(
        DO(&f, .op = CORE_SETTINGS, .row_count = 1, .rows = {{STR("replace-after"), STR("1")}}),
        CORE_INVALID);
    CHECK(says(&f, "a number from 10 to"));
    CHECK_EQ(DO(&f, .op = CORE_SETTINGS, .row_count = 1,
                .rows = {{STR("merge-bytes"), STR("1073741824")}}),
             CORE_INVALID);
    CHECK(says(&f, "at most half"));
    fixture_done(&f);
}

TEST(keyspaces, partitions_are_chosen_once_and_replicas_later_too)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 3);
    u32 id = create(&f, "orders", "hash:2", "3");
    CHECK_EQ(DO(&f, .op = CORE_KS_SET, .keyspace = id, .row_count = 1,
                .rows = {{STR("partitions"), STR("hash:4")}}),
             CORE_INVALID);
    CHECK_EQ(DO(&f, .op = CORE_KS_SET, .keyspace = id, .row_count = 1,
                .rows = {{STR("replicas"), STR("5")}}),
             CORE_UNSAFE);
    CHECK_EQ(DO(&f, .op = CORE_KS_SET, .keyspace = id, .row_count = 1,
                .rows = {{STR("replicas"), STR("1")}}),
             CORE_OK);
    CHECK_EQ(core_keyspace(f.core, id)->settings[CORE_REPLICAS], 1);
    CHECK_EQ(DO(&f, .op = CORE_KS_SET, .keyspace = 99), CORE_NO_SUCH);
    fixture_done(&f);
}

TEST(keyspaces, dropping_needs_the_name_and_spares_the_two_first)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 3);
    u32 id = create(&f, "orders", "hash:4", "3");
    CHECK_EQ(DO(&f, .op = CORE_KS_DROP, .keyspace = id, .name = STR("carts")), CORE_STALE);
    CHECK_EQ(DO(&f, .op = CORE_KS_DROP, .keyspace = 2, .name = STR("default")), CORE_UNSAFE);
    CHECK_EQ(DO(&f, .op = CORE_KS_DROP, .keyspace = id, .name = STR("orders")), CORE_OK);
    CHECK(!core_keyspace(f.core, id));
    CHECK(!core_part(f.core, 3));
    core_check(f.core);
    fixture_restart(&f);
    CHECK_EQ(create(&f, "orders", "hash:1", "3"), id + 1);
    CHECK_EQ(core_lookup_slot(f.core, id + 1, 5)->id, 7);
    fixture_done(&f);
}

TEST(keyspaces, leaders_are_pinned_to_nodes_that_are_up)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 3);
    u32 id = create(&f, "orders", "hash:2", "3");
    u64 first = core_lookup_slot(f.core, id, 0)->id, epoch = part_epoch(&f, first);
    CHECK_EQ(DO(&f, .op = CORE_KS_PIN, .keyspace = id, .node = 9), CORE_NO_SUCH);
    CHECK_EQ(DO(&f, .op = CORE_KS_PIN, .keyspace = id, .node = 2), CORE_OK);
    CHECK_EQ(core_part(f.core, first)->prefer_node, 2);
    CHECK_EQ(core_part(f.core, first + 1)->prefer_node, 2);
    CHECK_EQ(part_epoch(&f, first), epoch); /* no report becomes stale by it */
    CHECK_EQ(DO(&f, .op = CORE_KS_PIN, .keyspace = id, .part = first, .node = 0), CORE_OK);
    CHECK_EQ(core_part(f.core, first)->prefer_node, 0);
    CHECK_EQ(core_part(f.core, first + 1)->prefer_node, 2);
    CHECK_EQ(DO(&f, .op = CORE_KS_PIN, .keyspace = id, .part = 1, .node = 0), CORE_NO_SUCH);
    fixture_done(&f);
}

TEST_MAIN(RUN(keyspaces, hash_partitions_tile_the_slots_and_spread),
          RUN(keyspaces, racks_are_told_apart),
          RUN(keyspaces, what_cannot_be_kept_is_refused_with_what_is_needed),
          RUN(keyspaces, unknown_settings_are_answered_with_the_list),
          RUN(keyspaces, partitions_are_chosen_once_and_replicas_later_too),
          RUN(keyspaces, dropping_needs_the_name_and_spares_the_two_first),
          RUN(keyspaces, leaders_are_pinned_to_nodes_that_are_up))
