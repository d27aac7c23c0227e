/* One random script runs on the memory engine and on RocksDB; every answer must agree. */
#include "base/assert.h"
#include "base/prng.h"
#include "base/test.h"
#include "store/test_dir.h"

enum { KEYS = 400, SNAPSHOTS = 3 };

struct pair {
    struct kvs_image *image;
    struct kvs *memory, *rocks;
    struct test_dir dir;
    struct kvs_snapshot *memory_pins[SNAPSHOTS], *rocks_pins[SNAPSHOTS];
    struct prng prng;
    u64 value; /* makes every value written a new one */
};

static struct kvs *open_rocks(const char *dir)
{
    struct kvs_rocks_options options = {.block_cache_bytes = 8 * MIB, .threads = 2};
    struct kvs *k = NULL;
    char problem[256] = "";
    err e = kvs_rocks_open(dir, &options, &k, problem, sizeof problem);
    if (e) print_error("%s\n", problem);
    CHECK_OK(e);
    return k;
}

static void pair_init(struct pair *p, u64 seed)
{
    *p = (struct pair){0};
    prng_init(&p->prng, seed, 1);
    test_dir_make(&p->dir);
    p->image = kvs_image_new();
    p->memory = kvs_memory_open(p->image);
    p->rocks = open_rocks(test_dir_path(&p->dir, "db"));
}

static void release_pins(struct pair *p)
{
    for (u32 i = 0; i < SNAPSHOTS; i++) {
        p->memory->ops->snapshot_free(p->memory, p->memory_pins[i]);
        p->rocks->ops->snapshot_free(p->rocks, p->rocks_pins[i]);
        p->memory_pins[i] = p->rocks_pins[i] = NULL;
    }
}

static void pair_done(struct pair *p)
{
    release_pins(p);
    p->memory->ops->close(p->memory);
    p->rocks->ops->close(p->rocks);
    kvs_image_free(p->image);
    test_dir_remove(&p->dir);
}

static str key_text(u64 n, char out[24])
{
    int len = snprintf(out, 24, "k%0*llu", 1 + (int)(n % 5),
                       (unsigned long long)(n * 7919 % 10007));
    return str_from(out, (size_t)len);
}

static str value_text(struct pair *p, char out[64])
{
    int len = snprintf(out, 64, "v%llu", (unsigned long long)++p->value);
    memset(out + len, 'x', 24);
    return str_from(out, (size_t)len + prng_below(&p->prng, 24));
}

static int compare_numbers(const void *a, const void *b)
{
    char x[24], y[24];
    return str_compare(key_text(*(const u64 *)a, x), key_text(*(const u64 *)b, y));
}

/* Up to `max` distinct numbers whose keys ascend. */
static size_t some_keys(struct pair *p, u64 *out, size_t max)
{
    size_t count = prng_below(&p->prng, max + 1);
    for (size_t i = 0; i < count; i++) out[i] = prng_below(&p->prng, KEYS);
    qsort(out, count, sizeof *out, compare_numbers);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (!kept || compare_numbers(&out[kept - 1], &out[i]) < 0) out[kept++] = out[i];
    return kept;
}

static void do_ingest(struct pair *p)
{
    enum { ROWS = 60 };
    u64 bounds[6], numbers[ROWS];
    char bound_text[6][24], keys[ROWS][24], values[ROWS][64];
    struct kvs_range ranges[3];
    struct kvs_row rows[ROWS];
    size_t bound_count = prng_chance(&p->prng, 400000) ? some_keys(p, bounds, 6) : 0;
    u32 range_count = (u32)bound_count / 2;
    for (u32 i = 0; i < range_count; i++)
        ranges[i] = (struct kvs_range){key_text(bounds[2 * i], bound_text[2 * i]),
                                       key_text(bounds[2 * i + 1], bound_text[2 * i + 1])};
    size_t count = some_keys(p, numbers, ROWS);
    for (size_t i = 0; i < count; i++) {
        bool is_delete = prng_chance(&p->prng, 300000);
        rows[i] = (struct kvs_row){key_text(numbers[i], keys[i]),
                                   is_delete ? (str){0} : value_text(p, values[i]), is_delete};
    }
    CHECK_OK(p->memory->ops->ingest(p->memory, ranges, range_count, rows, count));
    CHECK_OK(p->rocks->ops->ingest(p->rocks, ranges, range_count, rows, count));
}

static void do_stage(struct pair *p)
{
    enum { ROWS = 80 };
    u64 bounds[2] = {prng_below(&p->prng, KEYS), prng_below(&p->prng, KEYS)};
    if (compare_numbers(&bounds[0], &bounds[1]) > 0) {
        u64 swap = bounds[0];
        bounds[0] = bounds[1];
        bounds[1] = swap;
    }
    if (compare_numbers(&bounds[0], &bounds[1]) == 0) return;
    char low[24], high[24];
    struct kvs_range range = {key_text(bounds[0], low), key_text(bounds[1], high)};
    struct kvs_stage *a, *b;
    CHECK_OK(p->memory->ops->stage_new(p->memory, &range, 1, &a));
    CHECK_OK(p->rocks->ops->stage_new(p->rocks, &range, 1, &b));
    u64 numbers[ROWS];
    size_t count = some_keys(p, numbers, ROWS);
    for (size_t i = 0; i < count; i++) {
        char key[24], value[64];
        str k = key_text(numbers[i], key), v = value_text(p, value);
        if (str_compare(k, range.lower) < 0 || str_compare(k, range.upper) >= 0) continue;
        CHECK_OK(p->memory->ops->stage_add(a, k, v));
        CHECK_OK(p->rocks->ops->stage_add(b, k, v));
    }
    if (prng_chance(&p->prng, 300000)) {
        p->memory->ops->stage_abort(a);
        p->rocks->ops->stage_abort(b);
    } else {
        CHECK_OK(p->memory->ops->stage_commit(a));
        CHECK_OK(p->rocks->ops->stage_commit(b));
    }
}

static void compare_gets(struct pair *p, u32 count)
{
    struct buf a = {0}, b = {0};
    for (u32 i = 0; i < count; i++) {
        char key[24];
        str k = key_text(prng_below(&p->prng, KEYS), key);
        bool found_a, found_b;
        buf_clear(&a);
        buf_clear(&b);
        CHECK_OK(p->memory->ops->get(p->memory, k, &a, &found_a));
        CHECK_OK(p->rocks->ops->get(p->rocks, k, &b, &found_b));
        CHECK_EQ(found_a, found_b);
        CHECK(str_equal(buf_str(&a), buf_str(&b)));
    }
    buf_done(&a);
    buf_done(&b);
}

static void compare_iterators(struct pair *p, struct kvs_snapshot *pin_a,
                              struct kvs_snapshot *pin_b)
{
    struct kvs_iter *a = p->memory->ops->iter_new(p->memory, pin_a);
    struct kvs_iter *b = p->rocks->ops->iter_new(p->rocks, pin_b);
    char key[24];
    str from = prng_chance(&p->prng, 500000) ? STR("") : key_text(prng_below(&p->prng, KEYS), key);
    p->memory->ops->iter_seek(a, from);
    p->rocks->ops->iter_seek(b, from);
    while (p->memory->ops->iter_valid(a)) {
        CHECK(p->rocks->ops->iter_valid(b));
        CHECK(str_equal(p->memory->ops->iter_key(a), p->rocks->ops->iter_key(b)));
        CHECK(str_equal(p->memory->ops->iter_value(a), p->rocks->ops->iter_value(b)));
        p->memory->ops->iter_next(a);
        p->rocks->ops->iter_next(b);
    }
    CHECK(!p->rocks->ops->iter_valid(b));
    CHECK_OK(p->memory->ops->iter_error(a));
    CHECK_OK(p->rocks->ops->iter_error(b));
    p->memory->ops->iter_free(a);
    p->rocks->ops->iter_free(b);
}

static void do_snapshot(struct pair *p)
{
    u64 i = prng_below(&p->prng, SNAPSHOTS);
    if (p->memory_pins[i]) {
        compare_iterators(p, p->memory_pins[i], p->rocks_pins[i]);
        if (prng_chance(&p->prng, 500000)) return;
        p->memory->ops->snapshot_free(p->memory, p->memory_pins[i]);
        p->rocks->ops->snapshot_free(p->rocks, p->rocks_pins[i]);
    }
    p->memory_pins[i] = p->memory->ops->snapshot_new(p->memory);
    p->rocks_pins[i] = p->rocks->ops->snapshot_new(p->rocks);
}

static void do_reopen(struct pair *p)
{
    release_pins(p);
    p->memory->ops->close(p->memory);
    p->rocks->ops->close(p->rocks);
    p->memory = kvs_memory_open(p->image);
    p->rocks = open_rocks(test_dir_path(&p->dir, "db"));
}

static void run_script(u64 seed, u32 steps)
{
    struct pair p;
    pair_init(&p, seed);
    for (u32 i = 0; i < steps; i++) {
        u64 dice = prng_below(&p.prng, 100);
        if (dice < 45)
            do_ingest(&p);
        else if (dice < 60)
            do_stage(&p);
        else if (dice < 75)
            compare_iterators(&p, NULL, NULL);
        else if (dice < 96)
            do_snapshot(&p);
        else
            do_reopen(&p);
        compare_gets(&p, 8);
    }
    compare_iterators(&p, NULL, NULL);
    pair_done(&p);
}

TEST(kvs, the_memory_engine_and_rocksdb_agree_on_any_script)
{
    for (u64 seed = 1; seed <= 6; seed++) run_script(seed, 60);
}

/* Files are cut at 64 MiB: a stage and an ingest over several of them replace all, and only, their
 * range. */
TEST(kvs, a_replacement_of_many_files_leaves_no_old_row)
{
    struct test_dir dir;
    test_dir_make(&dir);
    struct kvs *k = open_rocks(test_dir_path(&dir, "db"));
    enum { ROWS = 300, VALUE = 512 * 1024 };
    u8 *value = mem_zalloc(VALUE);
    for (u32 round = 0; round < 3; round++) {
        struct kvs_range range = {STR("k0050"), STR("k0250")};
        struct kvs_stage *s;
        CHECK_OK(k->ops->stage_new(k, round ? &range : &(struct kvs_range){STR("a"), STR("z")}, 1, &s));
        for (u32 i = 0; i < ROWS; i++) {
            char key[8];
            snprintf(key, sizeof key, "k%04u", i);
            if (round && (i < 50 || i >= 250 || i % 3 != round)) continue;
            value[0] = (u8)round;
            for (u32 j = 8; j < VALUE; j += 8) put_u64(value + j, i * 0x9e3779b97f4a7c15u + j * j);
            CHECK_OK(k->ops->stage_add(s, str_of(key), str_from(value, VALUE)));
        }
        CHECK_OK(k->ops->stage_commit(s));
        struct buf out = {0};
        for (u32 i = 0; i < ROWS; i++) {
            char key[8];
            snprintf(key, sizeof key, "k%04u", i);
            bool inside = i >= 50 && i < 250, found;
            buf_clear(&out);
            CHECK_OK(k->ops->get(k, str_of(key), &out, &found));
            CHECK_EQ(found, !round || !inside || i % 3 == round);
            if (found) CHECK_EQ(buf_bytes(&out)[0], inside ? round : 0);
        }
        buf_done(&out);
    }
    mem_free(value);
    k->ops->close(k);
    test_dir_remove(&dir);
}

TEST(kvs, a_second_process_is_told_that_the_directory_is_in_use)
{
    struct test_dir dir;
    test_dir_make(&dir);
    struct kvs *k = open_rocks(test_dir_path(&dir, "db"));
    struct kvs_rocks_options options = {.block_cache_bytes = MIB, .threads = 1};
    struct kvs *second;
    char problem[256] = "";
    CHECK_EQ(kvs_rocks_open(test_dir_path(&dir, "db"), &options, &second, problem, sizeof problem),
             ERR_LOCKED);
    CHECK(strstr(problem, "cannot open the store"));
    k->ops->close(k);
    test_dir_remove(&dir);
}

TEST(kvs, the_hash_of_an_image_depends_on_its_rows_alone)
{
    struct kvs_image *a = kvs_image_new(), *b = kvs_image_new();
    struct kvs *ka = kvs_memory_open(a), *kb = kvs_memory_open(b);
    struct kvs_row one = {STR("a"), STR("1"), false}, two = {STR("b"), STR("2"), false};
    struct kvs_row gone = {STR("c"), STR("3"), false};
    CHECK_EQ(kvs_image_hash(a), kvs_image_hash(b));
    CHECK_OK(ka->ops->ingest(ka, NULL, 0, &one, 1));
    CHECK_OK(ka->ops->ingest(ka, NULL, 0, &two, 1));
    CHECK(kvs_image_hash(a) != kvs_image_hash(b));
    CHECK_OK(kb->ops->ingest(kb, NULL, 0, &gone, 1));
    CHECK_OK(kb->ops->ingest(kb, NULL, 0, &two, 1));
    CHECK_OK(kb->ops->ingest(kb, &(struct kvs_range){STR("c"), STR("d")}, 1, &one, 1));
    CHECK_EQ(kvs_image_hash(a), kvs_image_hash(b));
    kvs_image_free(a);
    kvs_image_free(b);
}

TEST(kvs, a_crash_of_the_memory_engine_drops_what_was_open_and_keeps_what_was_written)
{
    struct kvs_image *image = kvs_image_new();
    struct kvs *k = kvs_memory_open(image);
    struct kvs_row row = {STR("a"), STR("1"), false};
    CHECK_OK(k->ops->ingest(k, NULL, 0, &row, 1));
    u64 hash = kvs_image_hash(image);
    struct kvs_stage *s;
    CHECK_OK(k->ops->stage_new(k, &(struct kvs_range){STR("a"), STR("z")}, 1, &s));
    CHECK_OK(k->ops->stage_add(s, STR("b"), STR("2")));
    k->ops->iter_new(k, k->ops->snapshot_new(k));
    kvs_image_crash(image);
    CHECK_EQ(kvs_image_hash(image), hash);
    k = kvs_memory_open(image);
    CHECK_EQ(k->ops->bytes_on_disk(k), 2);
    k->ops->close(k);
    kvs_image_free(image);
}

TEST(kvs, an_image_told_to_fail_changes_nothing)
{
    struct kvs_image *image = kvs_image_new();
    struct kvs *k = kvs_memory_open(image);
    struct kvs_row row = {STR("a"), STR("1"), false};
    kvs_image_fail(image, ERR_NO_SPACE);
    CHECK_EQ(k->ops->ingest(k, NULL, 0, &row, 1), ERR_NO_SPACE);
    CHECK_EQ(k->ops->bytes_on_disk(k), 0);
    kvs_image_fail(image, OK);
    CHECK_OK(k->ops->ingest(k, NULL, 0, &row, 1));
    CHECK_EQ(k->ops->bytes_on_disk(k), 2);
    kvs_image_free(image);
}

TEST_MAIN(RUN(kvs, the_memory_engine_and_rocksdb_agree_on_any_script),
          RUN(kvs, a_replacement_of_many_files_leaves_no_old_row),
          RUN(kvs, a_second_process_is_told_that_the_directory_is_in_use),
          RUN(kvs, the_hash_of_an_image_depends_on_its_rows_alone),
          RUN(kvs, a_crash_of_the_memory_engine_drops_what_was_open_and_keeps_what_was_written),
          RUN(kvs, an_image_told_to_fail_changes_nothing))
