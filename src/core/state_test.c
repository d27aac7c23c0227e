#include "core/core_fixture.h"

#include "core/core_random.h"

/* Two replicas apply the same commands; one of them is restarted now and then: it must not show,
 * and after every command the map makes sense. */
TEST(state, is_a_function_of_the_commands)
{
    for (u64 seed = 1; seed <= 30; seed++) {
        struct core_fixture a, b;
        struct prng r;
        struct core_command cmd;
        u32 done[CORE_OPS_END] = {0};

        fixture_init(&a);
        fixture_init(&b);
        prng_init(&r, seed, 5);
        for (u32 i = 0; i < 1500; i++) {
            random_command(&r, a.core, &cmd);
            u64 before = i % 16 == 0 ? digest_of(&a) : 0, epoch = a.core->cluster.epoch;
            done[cmd.op] += fixture_do(&a, &cmd) == CORE_OK;
            fixture_apply(&b, buf_str(&a.payload)); /* cmd may borrow from what is gone */
            if (!str_equal(buf_str(&a.out), buf_str(&b.out)))
                fail_msg("seed %u step %u: replies differ", (u32)seed, i);
            if (a.reply.status) {
                CHECK_EQ(a.core->cluster.epoch, epoch);
                if (before) CHECK_EQ(digest_of(&a), before);
            }
            core_check(a.core);
            if (i % 97 == 0) fixture_restart(&b);
            if (i % 50 == 0) CHECK_EQ(digest_of(&a), digest_of(&b));
        }
        CHECK_EQ(digest_of(&a), digest_of(&b));
        if (seed == 1) CHECK(done[CORE_KS_CREATE] && done[CORE_PART_BEGIN]);
        fixture_done(&a);
        fixture_done(&b);
    }
}

static void put_row(struct core_fixture *f, const void *key, size_t key_bytes, str value)
{
    store_put(f->store, CORE_STORE_KEYSPACE, str_from(key, key_bytes), value, (str){0});
}

TEST(state, rows_that_contradict_each_other_are_corrupt)
{
    struct core_fixture f;
    struct buf row = {0};

    fixture_init(&f);
    found(&f, 3);
    struct core_part p = *core_part(f.core, 2);
    p.slot_last--; /* a slot without a partition */
    core_part_encode(&p, &row);
    put_row(&f, "\4\0\0\0\0\0\0\0\2", 9, buf_str(&row));
    CHECK_EQ(core_load(f.core), ERR_CORRUPT);
    p.slot_last++;
    p.members[0].node = 9; /* a node that there is not */
    buf_clear(&row);
    core_part_encode(&p, &row);
    put_row(&f, "\4\0\0\0\0\0\0\0\2", 9, buf_str(&row));
    CHECK_EQ(core_load(f.core), ERR_CORRUPT);
    p.members[0].node = 1;
    buf_clear(&row);
    core_part_encode(&p, &row);
    put_row(&f, "\4\0\0\0\0\0\0\0\2", 9, buf_str(&row));
    CHECK_OK(core_load(f.core));
    put_row(&f, "\7", 1, STR("?"));
    CHECK_EQ(core_load(f.core), ERR_CORRUPT);
    buf_done(&row);
    fixture_done(&f);
}

TEST(state, a_command_of_a_later_level_stops_the_node_and_a_malformed_one_is_refused)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 1);
    u64 before = digest_of(&f);
    CHECK_EQ(core_apply(f.core, STR("\1\143"), &f.out), ERR_UNSUPPORTED);
    CHECK_EQ(core_apply(f.core, STR("\2\1"), &f.out), ERR_UNSUPPORTED);
    buf_clear(&f.out);
    CHECK_OK(core_apply(f.core, STR("\1\4\1"), &f.out));
    CHECK_OK(core_reply_decode(buf_str(&f.out), &f.reply));
    CHECK_EQ(f.reply.status, CORE_INVALID);
    CHECK_EQ(digest_of(&f), before);
    fixture_done(&f);
}

TEST(state, a_large_cluster_loads)
{
    struct core_fixture f;
    char name[16];

    fixture_init(&f);
    found(&f, 7);
    for (u32 i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "ks%u", i);
        create(&f, name, "hash:4096", "3");
    }
    u64 digest = digest_of(&f);
    fixture_restart(&f);
    CHECK_EQ(digest_of(&f), digest);
    CHECK_EQ(f.core->part_count, 5 * 4096 + 2);
    CHECK_EQ(core_lookup_slot(f.core, CORE_KEYSPACE_FIRST + 1, 8193)->slot_first, 8192);
    fixture_done(&f);
}

TEST_MAIN(RUN(state, is_a_function_of_the_commands),
          RUN(state, rows_that_contradict_each_other_are_corrupt),
          RUN(state, a_command_of_a_later_level_stops_the_node_and_a_malformed_one_is_refused),
          RUN(state, a_large_cluster_loads))
