/* The promises of store.h, one by one, over the memory engine. */
#include "base/test.h"
#include "store/store_internal.h"

#include <stdio.h>

struct fixture {
    struct kvs_image *image;
    struct kvs *kvs;
    struct store *store;
};

enum { PART = 1, KS = 7 };

static void open_store(struct fixture *f, size_t memory)
{
    f->kvs = kvs_memory_open(f->image);
    struct store_options options = {.part = PART, .memory_bytes_max = memory};
    f->store = store_new(f->kvs, &options);
}

static struct fixture fixture(size_t memory)
{
    struct fixture f = {.image = kvs_image_new()};
    open_store(&f, memory);
    return f;
}

static void close_store(struct fixture *f)
{
    store_check(f->store);
    store_free(f->store);
    f->kvs->ops->close(f->kvs);
}

static void done(struct fixture *f)
{
    close_store(f);
    kvs_image_free(f->image);
}

static void put(struct fixture *f, const char *key, const char *value)
{
    store_put(f->store, KS, str_of(key), str_of(value), (str){0});
}

static bool is(struct fixture *f, const char *key, const char *value)
{
    str got;
    bool found;
    CHECK_OK(store_get(f->store, KS, str_of(key), &got, &found));
    return value ? found && str_equal(got, str_of(value)) : !found;
}

static err finish(struct fixture *f, struct store_checkpoint *c)
{
    c->job.run(&c->job);
    err e = store_checkpoint_done(c);
    while (store_checkpoint_running(f->store)) store_tidy(f->store, 1);
    return e;
}

static void checkpoint(struct fixture *f) { CHECK_OK(finish(f, store_freeze(f->store, NULL, 0))); }

static void reopen(struct fixture *f)
{
    close_store(f);
    open_store(f, MIB);
}

/* ---- reads and writes ---- */

TEST(store, a_value_is_the_concatenation_of_head_and_body)
{
    struct fixture f = fixture(MIB);
    store_put(f.store, KS, STR("k"), STR("head,"), STR("body"));
    CHECK(is(&f, "k", "head,body"));
    store_put(f.store, KS, STR("k"), (str){0}, (str){0});
    CHECK(is(&f, "k", ""));
    CHECK(is(&f, "other", NULL));
    done(&f);
}

TEST(store, keyspaces_do_not_see_each_other)
{
    struct fixture f = fixture(MIB);
    str value;
    bool found;
    put(&f, "k", "v");
    CHECK_OK(store_get(f.store, KS + 1, STR("k"), &value, &found));
    CHECK(!found);
    done(&f);
}

TEST(store, a_body_borrowed_from_the_row_itself_is_copied_before_the_row_changes)
{
    struct fixture f = fixture(MIB);
    put(&f, "k", "aaaabbbbcccc");
    str value;
    bool found;
    CHECK_OK(store_get(f.store, KS, STR("k"), &value, &found));
    store_put(f.store, KS, STR("k"), STR("X"), str_from(value.at + 4, 8));
    CHECK(is(&f, "k", "Xbbbbcccc"));
    CHECK_OK(store_get(f.store, KS, STR("k"), &value, &found));
    store_put(f.store, KS, STR("k"), str_from(value.at + 5, 4), str_from(value.at, 5));
    CHECK(is(&f, "k", "ccccXbbbb"));
    done(&f);
}

TEST(store, what_a_get_returned_outlives_other_reads_even_over_budget)
{
    struct fixture f = fixture(1);
    for (u32 i = 0; i < 100; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%u", i);
        put(&f, key, key);
    }
    checkpoint(&f);
    while (store_tidy(f.store, 10)) {
    }
    str values[100];
    for (u32 i = 0; i < 100; i++) {
        char key[8];
        bool found;
        snprintf(key, sizeof key, "k%u", i);
        CHECK_OK(store_get(f.store, KS, str_of(key), &values[i], &found));
        CHECK(found);
    }
    for (u32 i = 0; i < 100; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%u", i);
        CHECK(str_equal(values[i], str_of(key)));
    }
    done(&f);
}

/* ---- memory ---- */

TEST(store, clean_rows_are_evicted_above_the_budget_and_dirty_ones_never)
{
    struct fixture f = fixture(1);
    put(&f, "clean", "1");
    checkpoint(&f);
    put(&f, "dirty", "2");
    while (store_tidy(f.store, 1)) {
    }
    CHECK_EQ(store_stats(f.store)->rows_resident, 1);
    CHECK_EQ(store_stats(f.store)->evicted, 1);
    CHECK(is(&f, "dirty", "2"));
    CHECK_EQ(store_stats(f.store)->kvs_reads, 0);
    CHECK(is(&f, "clean", "1"));
    CHECK_EQ(store_stats(f.store)->kvs_reads, 1);
    done(&f);
}

TEST(store, a_row_that_was_read_outlives_one_that_was_not)
{
    struct fixture f = fixture(MIB);
    put(&f, "{t}a", "1");
    put(&f, "{t}b", "2");
    checkpoint(&f);
    reopen(&f); /* nothing is resident or referenced */
    CHECK(is(&f, "{t}a", "1"));
    CHECK(is(&f, "{t}b", "2"));
    CHECK_EQ(f.store->clean_rows, 2);
    /* both came in unreferenced; now one is read again */
    CHECK(is(&f, "{t}b", "2"));
    f.store->options.memory_bytes_max = store_memory_bytes(f.store) - 1;
    while (store_tidy(f.store, 1)) {
    }
    CHECK_EQ(f.store->clean_rows, 1);
    u64 reads = store_stats(f.store)->kvs_reads;
    CHECK(is(&f, "{t}b", "2"));
    CHECK_EQ(store_stats(f.store)->kvs_reads, reads);
    done(&f);
}

TEST(store, a_keyspace_that_fits_in_memory_never_asks_the_kvs)
{
    struct fixture f = fixture(MIB);
    put(&f, "a", "1");
    checkpoint(&f);
    CHECK(is(&f, "absent", NULL));
    CHECK_EQ(store_stats(f.store)->kvs_reads, 0);
    reopen(&f); /* now the kvs knows more than the memory */
    CHECK(is(&f, "absent", NULL));
    CHECK_EQ(store_stats(f.store)->kvs_reads, 1);
    CHECK(is(&f, "a", "1"));
    done(&f);
}

TEST(store, memory_is_accounted_for_to_the_byte)
{
    struct fixture f = fixture(64 * MIB);
    size_t empty = store_memory_bytes(f.store);
    for (u32 i = 0; i < 5000; i++) {
        char key[16];
        snprintf(key, sizeof key, i % 2 ? "k%u" : "{t}k%u", i);
        put(&f, key, "some value");
        if (i % 3 == 0) store_delete(f.store, KS, str_of(key));
    }
    CHECK(store_dirty_bytes(f.store) > 5000 * 40);
    CHECK(store_memory_bytes(f.store) > store_dirty_bytes(f.store));
    checkpoint(&f);
    CHECK_EQ(store_dirty_bytes(f.store), 0);
    store_check(f.store);
    store_drop_keyspace(f.store, KS);
    while (store_tidy(f.store, 7)) {
    }
    CHECK_EQ(store_memory_bytes(f.store), empty);
    done(&f);
}

/* ---- checkpoints ---- */

TEST(store, nothing_is_durable_before_the_job_and_all_of_it_after)
{
    struct fixture f = fixture(MIB);
    put(&f, "k", "1");
    struct store_checkpoint *c = store_freeze(f.store, NULL, 0);
    u64 before = kvs_image_hash(f.image);
    put(&f, "later", "2");
    store_tidy(f.store, 100);
    CHECK_EQ(kvs_image_hash(f.image), before);
    c->job.run(&c->job);
    CHECK(kvs_image_hash(f.image) != before);
    reopen(&f); /* the process died before it heard of the job's end */
    CHECK(is(&f, "k", "1"));
    CHECK(is(&f, "later", NULL));
    done(&f);
}

TEST(store, a_row_changed_during_a_checkpoint_stays_dirty_and_the_old_value_is_written)
{
    struct fixture f = fixture(1);
    put(&f, "same size", "1");
    put(&f, "deleted", "1");
    put(&f, "kept", "1");
    struct store_checkpoint *c = store_freeze(f.store, NULL, 0);
    put(&f, "same size", "2");
    store_delete(f.store, KS, STR("deleted"));
    CHECK_OK(finish(&f, c));
    while (store_tidy(f.store, 3)) {
    }
    CHECK(is(&f, "same size", "2"));
    CHECK(is(&f, "deleted", NULL));
    CHECK(is(&f, "kept", "1"));
    CHECK(store_dirty_bytes(f.store) > 0);
    reopen(&f);
    CHECK(is(&f, "same size", "1"));
    CHECK(is(&f, "deleted", "1"));
    done(&f);
}

TEST(store, a_deleted_key_stays_away_after_its_tombstone_was_written)
{
    struct fixture f = fixture(MIB);
    put(&f, "k", "1");
    checkpoint(&f);
    store_delete(f.store, KS, STR("k"));
    CHECK(is(&f, "k", NULL));
    checkpoint(&f);
    CHECK_EQ(store_stats(f.store)->rows_resident, 0);
    CHECK_EQ(f.store->keyspaces[0]->rows, 0);
    CHECK(is(&f, "k", NULL));
    reopen(&f);
    CHECK(is(&f, "k", NULL));
    done(&f);
}

TEST(store, a_checkpoint_that_finds_no_space_is_thawed_and_can_be_repeated)
{
    struct fixture f = fixture(1);
    put(&f, "a", "1");
    put(&f, "b", "1");
    store_drop_keyspace(f.store, 99);
    struct store_checkpoint *c = store_freeze(f.store, NULL, 0);
    put(&f, "b", "2");
    kvs_image_fail(f.image, ERR_NO_SPACE);
    CHECK_EQ(finish(&f, c), ERR_NO_SPACE);
    kvs_image_fail(f.image, OK);
    while (store_tidy(f.store, 1)) {
    }
    CHECK(is(&f, "a", "1"));
    CHECK(is(&f, "b", "2"));
    CHECK(store_is_dropped(f.store, 99));
    CHECK_EQ(store_stats(f.store)->checkpoints, 0);
    checkpoint(&f);
    CHECK(!store_is_dropped(f.store, 99));
    CHECK_EQ(store_stats(f.store)->checkpoint_rows, 2);
    reopen(&f);
    CHECK(is(&f, "a", "1"));
    CHECK(is(&f, "b", "2"));
    done(&f);
}

TEST(store, a_freeze_right_after_the_last_checkpoint_needs_no_tidy_between)
{
    struct fixture f = fixture(MIB);
    for (u32 round = 0; round < 3; round++) {
        put(&f, "a", "1");
        struct store_checkpoint *c = store_freeze(f.store, NULL, 0);
        c->job.run(&c->job);
        CHECK_OK(store_checkpoint_done(c));
        CHECK(store_checkpoint_running(f.store)); /* rows wait for tidy */
    }
    done(&f);
}

TEST(store, local_rows_go_with_the_checkpoint_and_are_read_back)
{
    struct fixture f = fixture(MIB);
    struct buf marker = {0}, session = {0}, out = {0};
    store_local_key(PART, 1, (str){0}, &marker);
    store_local_key(PART, 2, STR("s"), &session);
    struct kvs_row local[] = {{buf_str(&session), STR("opened"), false},
                              {buf_str(&marker), STR("at 5"), false}};
    struct store_checkpoint *c = store_freeze(f.store, local, 2);
    bool found;
    CHECK_OK(store_local_get(f.store, 1, (str){0}, &out, &found));
    CHECK(!found);
    CHECK_OK(finish(&f, c));
    CHECK_OK(store_local_get(f.store, 1, (str){0}, &out, &found));
    CHECK(found);
    CHECK_STR(buf_str(&out), "at 5");
    local[0].is_delete = true;
    CHECK_OK(finish(&f, store_freeze(f.store, local, 1)));
    CHECK_OK(store_local_get(f.store, 2, STR("s"), &out, &found));
    CHECK(!found);
    buf_done(&marker);
    buf_done(&session);
    buf_done(&out);
    done(&f);
}

/* ---- dropped keyspaces ---- */

TEST(store, a_dropped_keyspace_is_empty_at_once_and_on_disk_after_a_checkpoint)
{
    struct fixture f = fixture(MIB);
    put(&f, "old", "1");
    checkpoint(&f);
    reopen(&f);
    put(&f, "new", "2");
    store_drop_keyspace(f.store, KS);
    CHECK(is(&f, "old", NULL));
    CHECK(is(&f, "new", NULL));
    CHECK_EQ(store_stats(f.store)->rows_resident, 0);
    CHECK(f.kvs->ops->bytes_on_disk(f.kvs) > 0);
    checkpoint(&f); /* also with rows of the keyspace still in the generation */
    CHECK_EQ(f.kvs->ops->bytes_on_disk(f.kvs), 0);
    CHECK(is(&f, "old", NULL));
    done(&f);
}

TEST(store, dropping_during_a_checkpoint_waits_for_the_next_one)
{
    struct fixture f = fixture(MIB);
    put(&f, "k", "1");
    struct store_checkpoint *c = store_freeze(f.store, NULL, 0);
    store_drop_keyspace(f.store, KS);
    while (store_tidy(f.store, 1)) {
    }
    CHECK_OK(finish(&f, c));
    CHECK(is(&f, "k", NULL));
    CHECK(f.kvs->ops->bytes_on_disk(f.kvs) > 0);
    checkpoint(&f);
    CHECK_EQ(f.kvs->ops->bytes_on_disk(f.kvs), 0);
    done(&f);
}

/* ---- scans ---- */

struct count {
    u64 visited;
    char last[32];
};

static bool count_visit(void *context, str key, str value)
{
    struct count *c = context;
    (void)value;
    c->visited++;
    snprintf(c->last, sizeof c->last, "%.*s", STR_ARG(key));
    return true;
}

TEST(store, a_scan_cursor_is_the_position_of_the_next_element)
{
    struct fixture f = fixture(MIB);
    put(&f, "a", "1");
    put(&f, "b", "2");
    put(&f, "c", "3");
    u64 cursor = 0;
    struct count c = {0};
    for (u32 i = 1; i <= 3; i++) {
        u64 next;
        CHECK_OK(store_scan(f.store, KS, cursor, 1, count_visit, &c, &next));
        CHECK_EQ(c.visited, i);
        if (i > 1) CHECK_EQ(store_position(str_of(c.last)), cursor);
        cursor = next;
    }
    CHECK_EQ(cursor, 0);
    done(&f);
}

TEST(store, a_cursor_beyond_all_positions_ends_the_scan)
{
    struct fixture f = fixture(MIB);
    put(&f, "a", "1");
    struct count c = {0};
    u64 next = 1;
    CHECK_OK(store_scan(f.store, KS, UINT64_MAX, 10, count_visit, &c, &next));
    CHECK_EQ(next, 0);
    CHECK_EQ(c.visited, 0);
    done(&f);
}

TEST(store, a_scan_over_many_deleted_rows_comes_back_for_more)
{
    struct fixture f = fixture(64 * MIB);
    char key[16];
    for (u32 i = 0; i < 20000; i++) {
        snprintf(key, sizeof key, "{t}%u", i);
        put(&f, key, "v");
        if (i != 777) store_delete(f.store, KS, str_of(key));
    }
    struct count c = {0};
    u64 cursor = 0;
    u32 calls = 0;
    do {
        u64 next;
        CHECK_OK(store_scan(f.store, KS, cursor, 10, count_visit, &c, &next));
        CHECK(!next || next > cursor);
        cursor = next;
        calls++;
    } while (cursor);
    CHECK_EQ(c.visited, 1);
    CHECK_STR(str_of(c.last), "{t}777");
    CHECK(calls > 10);
    struct buf any = {0};
    bool found;
    CHECK_OK(store_any(f.store, KS, 12345, &any, &found));
    CHECK(found);
    CHECK_STR(buf_str(&any), "{t}777");
    buf_done(&any);
    done(&f);
}

/* ---- snapshots ---- */

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

TEST(store, an_install_replaces_everything_and_only_at_its_end)
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

TEST(store, an_install_aborted_leaves_the_old_rows)
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

TEST(store, a_chunk_that_is_no_chunk_is_refused)
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

TEST(store, a_snapshot_keeps_its_moment_while_checkpoints_go_on)
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

TEST_MAIN(RUN(store, a_value_is_the_concatenation_of_head_and_body),
          RUN(store, keyspaces_do_not_see_each_other),
          RUN(store, a_body_borrowed_from_the_row_itself_is_copied_before_the_row_changes),
          RUN(store, what_a_get_returned_outlives_other_reads_even_over_budget),
          RUN(store, clean_rows_are_evicted_above_the_budget_and_dirty_ones_never),
          RUN(store, a_row_that_was_read_outlives_one_that_was_not),
          RUN(store, a_keyspace_that_fits_in_memory_never_asks_the_kvs),
          RUN(store, memory_is_accounted_for_to_the_byte),
          RUN(store, nothing_is_durable_before_the_job_and_all_of_it_after),
          RUN(store, a_row_changed_during_a_checkpoint_stays_dirty_and_the_old_value_is_written),
          RUN(store, a_deleted_key_stays_away_after_its_tombstone_was_written),
          RUN(store, a_checkpoint_that_finds_no_space_is_thawed_and_can_be_repeated),
          RUN(store, a_freeze_right_after_the_last_checkpoint_needs_no_tidy_between),
          RUN(store, local_rows_go_with_the_checkpoint_and_are_read_back),
          RUN(store, a_dropped_keyspace_is_empty_at_once_and_on_disk_after_a_checkpoint),
          RUN(store, dropping_during_a_checkpoint_waits_for_the_next_one),
          RUN(store, a_scan_cursor_is_the_position_of_the_next_element),
          RUN(store, a_cursor_beyond_all_positions_ends_the_scan),
          RUN(store, a_scan_over_many_deleted_rows_comes_back_for_more),
          RUN(store, an_install_replaces_everything_and_only_at_its_end),
          RUN(store, an_install_aborted_leaves_the_old_rows),
          RUN(store, a_chunk_that_is_no_chunk_is_refused),
          RUN(store, a_snapshot_keeps_its_moment_while_checkpoints_go_on))
