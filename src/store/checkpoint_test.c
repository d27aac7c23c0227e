/* What a checkpoint writes, and what happens beside it. */
#include "store/store_fixture.h"

TEST(checkpoint, nothing_is_durable_before_the_job_and_all_of_it_after)
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

TEST(checkpoint, a_row_changed_during_a_checkpoint_stays_dirty_and_the_old_value_is_written)
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

TEST(checkpoint, a_deleted_key_stays_away_after_its_tombstone_was_written)
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

TEST(checkpoint, a_checkpoint_that_finds_no_space_is_thawed_and_can_be_repeated)
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

TEST(checkpoint, a_freeze_right_after_the_last_checkpoint_needs_no_tidy_between)
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

TEST(checkpoint, local_rows_go_with_the_checkpoint_and_are_read_back)
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

TEST(checkpoint, a_dropped_keyspace_is_empty_at_once_and_on_disk_after_a_checkpoint)
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

TEST(checkpoint, dropping_during_a_checkpoint_waits_for_the_next_one)
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

static struct store *open_other(struct fixture *f)
{
    struct store_options options = {
        .part = PART + 1, .memory_bytes_max = MIB, .keyspace_first = 100, .keyspace_count = 10};
    return store_new(f->kvs, &options);
}

static bool other_is(struct store *other, const char *value)
{
    str got;
    bool found;
    CHECK_OK(store_get(other, 101, STR("k"), &got, &found));
    return value ? found && str_equal(got, str_of(value)) : !found;
}

TEST(checkpoint, those_of_two_partitions_that_are_gathered_are_one_step)
{
    struct fixture f = fixture(MIB);
    struct store_options options = {.part = PART, .memory_bytes_max = MIB, .keyspace_first = 1, .keyspace_count = 99};
    store_free(f.store);
    f.store = store_new(f.kvs, &options);
    struct store *other = open_other(&f);
    struct buf marker = {0}, key = {0};
    store_local_key(PART + 1, STORE_LOCAL_MARKER, (str){0}, &key);
    struct kvs_row local = {.key = buf_str(&key), .value = STR("its marker")};
    bool found;

    put(&f, "k", "1");
    store_put(other, 101, STR("k"), STR("2"), (str){0});
    struct store_checkpoint *a = store_freeze(f.store, NULL, 0), *b = store_freeze(other, &local, 1);
    CHECK(a->job.gathers);
    CHECK(b->job.gathers);
    a->job.with = &b->job;
    kvs_image_fail(f.image, ERR_NO_SPACE);
    a->job.run(&a->job);
    CHECK_EQ(store_checkpoint_done(a), ERR_NO_SPACE);
    CHECK_EQ(store_checkpoint_done(b), ERR_NO_SPACE);
    kvs_image_fail(f.image, OK);
    a = store_freeze(f.store, NULL, 0);
    b = store_freeze(other, &local, 1);
    b->job.with = &a->job;
    b->job.run(&b->job);
    CHECK_OK(store_checkpoint_done(a));
    CHECK_OK(store_checkpoint_done(b));
    store_free(other);
    reopen(&f);
    CHECK(is(&f, "k", "1"));
    other = open_other(&f);
    CHECK(other_is(other, "2"));
    CHECK_OK(store_local_get(other, STORE_LOCAL_MARKER, (str){0}, &marker, &found));
    CHECK(found && str_equal(buf_str(&marker), STR("its marker")));
    store_free(other);
    buf_done(&marker);
    buf_done(&key);
    done(&f);
}

TEST(checkpoint, one_that_deletes_ranges_is_not_gathered)
{
    struct fixture f = fixture(MIB);
    put(&f, "k", "1");
    store_drop_keyspace(f.store, KS);
    struct store_checkpoint *c = store_freeze(f.store, NULL, 0);
    CHECK(!c->job.gathers);
    CHECK_OK(finish(&f, c));
    done(&f);
}

TEST_MAIN(RUN(checkpoint, nothing_is_durable_before_the_job_and_all_of_it_after),
          RUN(checkpoint,
              a_row_changed_during_a_checkpoint_stays_dirty_and_the_old_value_is_written),
          RUN(checkpoint, a_deleted_key_stays_away_after_its_tombstone_was_written),
          RUN(checkpoint, a_checkpoint_that_finds_no_space_is_thawed_and_can_be_repeated),
          RUN(checkpoint, a_freeze_right_after_the_last_checkpoint_needs_no_tidy_between),
          RUN(checkpoint, local_rows_go_with_the_checkpoint_and_are_read_back),
          RUN(checkpoint, a_dropped_keyspace_is_empty_at_once_and_on_disk_after_a_checkpoint),
          RUN(checkpoint, dropping_during_a_checkpoint_waits_for_the_next_one),
          RUN(checkpoint, those_of_two_partitions_that_are_gathered_are_one_step),
          RUN(checkpoint, one_that_deletes_ranges_is_not_gathered))
