/* Compaction gives space back and nothing else: what a reader sees is the same before and after. */
#include "base/test.h"
#include "store/rocks_internal.h"
#include "store/test_dir.h"

#include <dirent.h>
#include <stdio.h>

static struct kvs *open_rocks(struct test_dir *dir)
{
    struct kvs_rocks_options options = {.block_cache_bytes = 4 * MIB, .threads = 1};
    struct kvs *k = NULL;
    char problem[256];
    CHECK_OK(kvs_rocks_open(test_dir_path(dir, "db"), &options, &k, problem, sizeof problem));
    return k;
}

static void put(struct kvs *k, const char *key, const char *value)
{
    struct kvs_row row = {str_of(key), str_of(value), false};
    CHECK_OK(k->ops->ingest(k, NULL, 0, &row, 1));
}

static bool has(struct kvs *k, const char *key, const char *value)
{
    struct buf out = {0};
    bool found;
    CHECK_OK(k->ops->get(k, str_of(key), &out, &found));
    bool same = found && str_equal(buf_str(&out), str_of(value));
    buf_done(&out);
    return same;
}

/* All files, whatever the engine would choose by itself. */
static void compact(struct kvs *k) { rocksdb_compact_range(rocks_of(k)->db, NULL, 0, NULL, 0); }

/* The first file of an empty database is numbered 0 by RocksDB, and so was a snapshot after it: RocksDB 7.8 drops
 * every row numbered 0 when it compacts under such a snapshot (its pull request 13155). */
TEST(rocks, the_first_rows_survive_a_compaction_under_the_first_snapshot)
{
    struct test_dir dir;
    test_dir_make(&dir);
    struct kvs *k = open_rocks(&dir);
    struct kvs_row rows[] = {{STR("a"), STR("first"), false}, {STR("c"), STR("third"), false}};
    CHECK_OK(k->ops->ingest(k, NULL, 0, rows, ARRAY_LEN(rows)));
    struct kvs_snapshot *s = k->ops->snapshot_new(k);
    put(k, "b", "second"); /* between the two, so that the files are merged */
    compact(k);
    CHECK(has(k, "a", "first"));
    CHECK(has(k, "b", "second"));
    CHECK(has(k, "c", "third"));
    k->ops->snapshot_free(k, s);
    k->ops->close(k);
    test_dir_remove(&dir);
}

static bool file_has(const char *dir, const char *prefix, const char *text)
{
    char path[1024], line[256];
    bool has = false;
    DIR *d = opendir(dir);
    CHECK(d != NULL);
    for (struct dirent *entry; (entry = readdir(d));) {
        if (strncmp(entry->d_name, prefix, strlen(prefix))) continue;
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        FILE *f = fopen(path, "r");
        CHECK(f != NULL);
        while (fgets(line, sizeof line, f)) has = has || strstr(line, text);
        fclose(f);
    }
    closedir(d);
    return has;
}

/* The log shares the disk with compactions; RocksDB writes down what it was opened with. */
TEST(rocks, goes_to_the_disk_in_small_pieces)
{
    static const char *const options[] = {"bytes_per_sync=1048576", "strict_bytes_per_sync=true",
                                          "compaction_readahead_size=1048576", "access_hint_on_compaction_start=NONE",
                                          "allow_fallocate=false"};
    struct test_dir dir;
    test_dir_make(&dir);
    struct kvs *k = open_rocks(&dir);
    for (u32 i = 0; i < ARRAY_LEN(options); i++)
        CHECK(file_has(test_dir_path(&dir, "db"), "OPTIONS-", options[i]));
    k->ops->close(k);
    test_dir_remove(&dir);
}

TEST(rocks, what_a_snapshot_sees_survives_compactions)
{
    struct test_dir dir;
    test_dir_make(&dir);
    struct kvs *k = open_rocks(&dir);
    put(k, "a", "old");
    put(k, "b", "stays");
    struct kvs_snapshot *s = k->ops->snapshot_new(k);
    put(k, "a", "new");
    struct kvs_range all = {str_of("a"), str_of("c")};
    struct kvs_row row = {str_of("a"), str_of("newest"), false};
    CHECK_OK(k->ops->ingest(k, &all, 1, &row, 1));
    compact(k);

    struct kvs_iter *i = k->ops->iter_new(k, s);
    k->ops->iter_seek(i, str_of("a"));
    CHECK(k->ops->iter_valid(i) && str_equal(k->ops->iter_value(i), str_of("old")));
    k->ops->iter_next(i);
    CHECK(k->ops->iter_valid(i) && str_equal(k->ops->iter_value(i), str_of("stays")));
    k->ops->iter_next(i);
    CHECK(!k->ops->iter_valid(i));
    k->ops->iter_free(i);
    k->ops->snapshot_free(k, s);

    CHECK(has(k, "a", "newest"));
    CHECK(!has(k, "b", "stays"));
    compact(k);
    CHECK(has(k, "a", "newest"));
    k->ops->close(k);
    test_dir_remove(&dir);
}

TEST(rocks, space_of_overwritten_rows_is_given_back_by_itself)
{
    enum { VALUE = 256 * 1024, ROUNDS = 200 };
    struct test_dir dir;
    test_dir_make(&dir);
    struct kvs *k = open_rocks(&dir);
    struct buf value = {0};
    for (u32 i = 0; i < VALUE; i++) buf_append_u8(&value, (u8)'x');
    struct kvs_row row = {str_of("a"), buf_str(&value), false};
    for (u32 i = 0; i < ROUNDS; i++) CHECK_OK(k->ops->ingest(k, NULL, 0, &row, 1));
    rocksdb_cancel_all_background_work(rocks_of(k)->db, 1); /* what runs ends first */
    CHECK(k->ops->bytes_on_disk(k) < (u64)VALUE * ROUNDS / 2);
    buf_done(&value);
    k->ops->close(k);
    test_dir_remove(&dir);
}

TEST(rocks, an_open_database_is_numbered_once)
{
    struct test_dir dir;
    test_dir_make(&dir);
    struct kvs *k = open_rocks(&dir);
    u64 first = rocksdb_get_latest_sequence_number(rocks_of(k)->db);
    CHECK(first > 0);
    for (u32 i = 0; i < 3; i++) {
        k->ops->close(k);
        k = open_rocks(&dir);
        CHECK_EQ(rocksdb_get_latest_sequence_number(rocks_of(k)->db), first);
    }
    struct kvs_iter *i = k->ops->iter_new(k, NULL);
    k->ops->iter_seek(i, str_of(""));
    CHECK(!k->ops->iter_valid(i)); /* and it shows no row */
    k->ops->iter_free(i);
    k->ops->close(k);
    test_dir_remove(&dir);
}

/* What a compaction leaves behind is handed over: rocks_sweep_test.c has what becomes of it. */
TEST(rocks, what_a_compaction_deletes_is_swept)
{
    struct test_dir dir;
    struct sweep_stats now;
    test_dir_make(&dir);
    struct kvs *k = open_rocks(&dir);
    put(k, "a", "1");
    put(k, "a", "2");
    compact(k);
    for (u32 tries = 0; tries < 20000; tries++) {
        sweep_stats(rocks_of(k)->sweep, &now);
        if (now.pieces >= 2) break;
        put(k, "b", "1"); /* RocksDB deletes what nobody needs when it has something to do */
        compact(k);
    }
    CHECK(now.pieces >= 2);
    k->ops->close(k);
    test_dir_remove(&dir);
}

TEST_MAIN(RUN(rocks, what_a_compaction_deletes_is_swept), RUN(rocks, the_first_rows_survive_a_compaction_under_the_first_snapshot),
          RUN(rocks, goes_to_the_disk_in_small_pieces),
          RUN(rocks, what_a_snapshot_sees_survives_compactions),
          RUN(rocks, space_of_overwritten_rows_is_given_back_by_itself),
          RUN(rocks, an_open_database_is_numbered_once))
