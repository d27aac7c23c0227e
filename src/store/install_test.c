/* Snapshots out and in. */
#include "store/store_fixture.h"

static void copy_snapshot(struct store *from, struct store_install *to, size_t chunk_bytes)
{
    struct store_snapshot *sn = store_snapshot_new(from);
    struct buf chunk = {0}, after = {0};
    for (bool last = false; !last;) {
        buf_clear(&chunk);
        CHECK_OK(store_snapshot_chunk(sn, buf_str(&after), chunk_bytes, &chunk, &last));
        CHECK_OK(store_install_chunk(to, buf_str(&chunk)));
        buf_clear(&after);
        buf_append_str(&after, buf_str(&to->last_key));
    }
    store_snapshot_free(sn);
    buf_done(&chunk);
    buf_done(&after);
}

static err finish_of(struct store *s)
{
    struct store_checkpoint *c = store_freeze(s, NULL, 0);
    c->job.run(&c->job);
    return store_checkpoint_done(c);
}

TEST(install, an_install_replaces_everything_and_only_at_its_end)
{
    struct fixture a = fixture(MIB), b = fixture(MIB);
    put(&a, "shared", "a");
    put(&a, "only a", "a");
    checkpoint(&a);
    put(&a, "after the checkpoint", "a");
    put(&b, "shared", "b");
    put(&b, "only b", "b");
    checkpoint(&b);
    put(&b, "dirty b", "b");

    struct store_install *in;
    CHECK_OK(store_install_new(b.store, &in));
    copy_snapshot(a.store, in, 1); /* a row per chunk */
    CHECK(is(&b, "shared", "b"));
    store_install_prepare(in);
    in->job.run(&in->job);
    CHECK(is(&b, "shared", "b"));
    CHECK_OK(store_install_done(in));
    CHECK(is(&b, "shared", "a"));
    CHECK(is(&b, "only a", "a"));
    CHECK(is(&b, "after the checkpoint", NULL));
    CHECK(is(&b, "only b", NULL));
    CHECK(is(&b, "dirty b", NULL));
    CHECK_EQ(kvs_image_hash(a.image), kvs_image_hash(b.image));
    put(&b, "only b", "again");
    checkpoint(&b);
    while (store_tidy(b.store, 1)) {
    }
    CHECK(is(&b, "only b", "again"));
    done(&a);
    done(&b);
}

TEST(install, an_install_aborted_leaves_the_old_rows)
{
    struct fixture a = fixture(MIB), b = fixture(MIB);
    put(&a, "k", "a");
    checkpoint(&a);
    put(&b, "k", "b");
    struct store_install *in;
    CHECK_OK(store_install_new(b.store, &in));
    copy_snapshot(a.store, in, 4096);
    store_install_abort(in);
    CHECK(is(&b, "k", "b"));
    checkpoint(&b);
    CHECK_OK(store_install_new(b.store, &in));
    store_install_prepare(in);
    store_install_abort(in); /* its job never ran */
    checkpoint(&b);
    CHECK(is(&b, "k", "b"));
    done(&a);
    done(&b);
}

TEST(install, a_chunk_that_is_no_chunk_is_refused)
{
    struct fixture a = fixture(MIB);
    put(&a, "k", "v");
    put(&a, "l", "w");
    checkpoint(&a);
    struct store_snapshot *sn = store_snapshot_new(a.store);
    struct buf chunk = {0};
    bool last;
    CHECK_OK(store_snapshot_chunk(sn, (str){0}, 4096, &chunk, &last));
    CHECK(last);
    store_snapshot_free(sn);

    struct store_install *in;
    CHECK_OK(store_install_new(a.store, &in));
    str whole = buf_str(&chunk);
    CHECK_EQ(store_install_chunk(in, str_from(whole.at, 7)), ERR_MALFORMED);
    CHECK_EQ(store_install_chunk(in, str_from(whole.at, 20)), ERR_MALFORMED);
    CHECK_OK(store_install_chunk(in, whole));
    CHECK_EQ(store_install_chunk(in, whole), ERR_MALFORMED); /* not in order */
    store_install_abort(in);

    CHECK_OK(store_install_new(a.store, &in));
    buf_bytes(&chunk)[8] = 0x30; /* another zone */
    CHECK_EQ(store_install_chunk(in, whole), ERR_MALFORMED);
    store_install_abort(in);
    buf_done(&chunk);
    done(&a);
}

TEST(install, a_snapshot_keeps_its_moment_while_checkpoints_go_on)
{
    struct fixture a = fixture(MIB), b = fixture(MIB);
    put(&a, "k", "1");
    checkpoint(&a);
    struct store_snapshot *sn = store_snapshot_new(a.store);
    put(&a, "k", "2");
    put(&a, "l", "2");
    checkpoint(&a);
    struct store_install *in;
    CHECK_OK(store_install_new(b.store, &in));
    struct buf chunk = {0};
    bool last;
    CHECK_OK(store_snapshot_chunk(sn, (str){0}, 4096, &chunk, &last));
    CHECK_OK(store_install_chunk(in, buf_str(&chunk)));
    store_snapshot_free(sn);
    store_install_prepare(in);
    in->job.run(&in->job);
    CHECK_OK(store_install_done(in));
    CHECK(is(&b, "k", "1"));
    CHECK(is(&b, "l", NULL));
    buf_done(&chunk);
    done(&a);
    done(&b);
}

/* Two partitions of one node: each its own rows, on one kvs, under one budget. */
TEST(install, stores_on_one_kvs_leave_each_other_alone)
{
    struct fixture a = fixture(MIB), b = fixture(MIB);
    struct store_budget budget = {.bytes_max = MIB};
    struct store_options options = {
        .part = 9, .keyspace_first = 100, .keyspace_count = 100, .budget = &budget};
    struct store *left = store_new(a.kvs, &options);
    options.part = 10;
    options.keyspace_first = 200;
    struct store *right = store_new(a.kvs, &options);
    options.part = 9;
    options.keyspace_first = 100;
    struct store *other = store_new(b.kvs, &options);
    str value;
    bool found;

    store_put(left, 100, STR("k"), STR("left"), (str){0});
    store_put(right, 200, STR("k"), STR("right"), (str){0});
    store_put(other, 101, STR("k"), STR("other"), (str){0});
    CHECK_OK(finish_of(left));
    CHECK_OK(finish_of(right));
    CHECK_OK(finish_of(other));
    while (store_tidy(left, 1) || store_tidy(right, 1)) {
    }
    CHECK_EQ(budget.bytes, store_memory_bytes(left) + store_memory_bytes(right));

    struct store_install *in;
    CHECK_OK(store_install_new(left, &in));
    struct buf foreign = {0};
    bool last;
    struct store_snapshot *sn = store_snapshot_new(right);
    CHECK_OK(store_snapshot_chunk(sn, (str){0}, 4096, &foreign, &last));
    CHECK_EQ(store_install_chunk(in, buf_str(&foreign)), ERR_MALFORMED);
    store_snapshot_free(sn);
    buf_done(&foreign);
    store_install_abort(in);

    CHECK_OK(store_install_new(left, &in));
    copy_snapshot(other, in, 1);
    store_install_prepare(in);
    in->job.run(&in->job);
    CHECK_OK(store_install_done(in));
    CHECK_OK(store_get(left, 100, STR("k"), &value, &found));
    CHECK(!found);
    CHECK_OK(store_get(left, 101, STR("k"), &value, &found));
    CHECK(found && str_equal(value, STR("other")));
    CHECK_OK(store_get(right, 200, STR("k"), &value, &found));
    CHECK(found && str_equal(value, STR("right")));
    store_free(left);
    store_free(other);
    while (store_tidy(right, 1)) {
    }
    CHECK_EQ(budget.bytes, store_memory_bytes(right));
    store_free(right);
    done(&a);
    done(&b);
}

TEST_MAIN(RUN(install, an_install_replaces_everything_and_only_at_its_end),
          RUN(install, stores_on_one_kvs_leave_each_other_alone),
          RUN(install, an_install_aborted_leaves_the_old_rows),
          RUN(install, a_chunk_that_is_no_chunk_is_refused),
          RUN(install, a_snapshot_keeps_its_moment_while_checkpoints_go_on))
