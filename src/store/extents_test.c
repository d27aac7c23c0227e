/* Two stores on one engine that hand rows to each other. */
#include "base/test.h"
#include "store/store_fixture.h"

enum { LEFT = 1, RIGHT = 2, SLOT = 8192 };

struct pair {
    struct kvs_image *image;
    struct kvs *kvs;
    struct store *left, *right;
    struct buf out;
};

static struct store *open_one(struct pair *p, u64 part)
{
    struct store_options o = {.part = part,
                              .memory_bytes_max = MIB,
                              .keyspace_first = part == LEFT ? 1 : 101,
                              .keyspace_count = 100};
    return store_new(p->kvs, &o);
}

static struct pair pair(void)
{
    struct pair p = {.image = kvs_image_new()};
    p.kvs = kvs_memory_open(p.image);
    p.left = open_one(&p, LEFT);
    return p;
}

static void pair_done(struct pair *p)
{
    if (p->left) store_check(p->left);
    if (p->right) store_check(p->right);
    store_free(p->left);
    store_free(p->right);
    p->kvs->ops->close(p->kvs);
    kvs_image_free(p->image);
    buf_done(&p->out);
}

static void key_of(char out[32], u32 i) { snprintf(out, 32, "key:%u", i); }

static void fill(struct store *s, u32 from, u32 to, u32 ks, const char *value)
{
    char key[32];
    for (u32 i = from; i < to; i++) {
        key_of(key, i);
        if (s->is_cut) {
            struct buf encoded = {0};
            head_key_append(&encoded, ks, store_position(str_of(key)), str_of(key));
            bool mine = store_has_key(s, buf_str(&encoded));
            buf_done(&encoded);
            if (!mine) continue;
        }
        store_put(s, ks, str_of(key), str_of(value), (str){0});
    }
}

static err run_checkpoint_of(struct store *s, const struct kvs_row *rows, size_t count)
{
    struct store_checkpoint *c = store_freeze(s, rows, count);
    c->job.run(&c->job);
    err e = store_checkpoint_done(c);
    while (store_checkpoint_running(s)) store_tidy(s, 1000);
    return e;
}

/* The marker of a partition, as a row. */
static void marker_of(u64 part, struct buf *key) { store_local_key(part, LOCAL_MARKER, (str){0}, key); }

static void lower_extents(struct store_extents *x)
{
    x->generation = 1;
    store_extents_add_slots(x, 1, 0, SLOT - 1);
    store_extents_add_rest(x, 17, 100);
}

static void upper_extents(struct store_extents *x)
{
    x->generation = 1;
    store_extents_add_slots(x, 1, SLOT, STORE_SLOTS - 1);
    store_extents_add_rest(x, 101, 200);
}

/* A split as the partition does it: one checkpoint with both markers, then the other store. */
static err split(struct pair *p)
{
    struct store_extents lower = {0}, upper = {0};
    struct buf left = {0}, right = {0}, extents_key = {0}, extents_row = {0};

    lower_extents(&lower);
    upper_extents(&upper);
    marker_of(LEFT, &left);
    marker_of(RIGHT, &right);
    store_local_key(RIGHT, LOCAL_EXTENTS, (str){0}, &extents_key);
    store_extents_encode(&upper, &extents_row);
    store_set_extents(p->left, &lower, false);
    store_set_companion(p->left, RIGHT);
    struct kvs_row rows[] = {{.key = buf_str(&left), .value = STR("l")},
                             {.key = buf_str(&right), .value = STR("r")},
                             {.key = buf_str(&extents_key), .value = buf_str(&extents_row)}};
    err e = run_checkpoint_of(p->left, rows, ARRAY_LEN(rows));
    if (!e) {
        p->right = open_one(p, RIGHT);
        store_hand_over(p->left, p->right);
    }
    buf_done(&left);
    buf_done(&right);
    buf_done(&extents_key);
    buf_done(&extents_row);
    extents_done(&upper);
    return e;
}

static u32 count_in(struct store *s, u32 ks, u32 first, u32 last)
{
    u32 n = 0;
    struct buf key = {0};
    u64 end = ((u64)(last + 1) << HASH48_BITS) - 1;
    for (u64 from = (u64)first << HASH48_BITS; from <= end;) {
        bool found;
        buf_clear(&key);
        CHECK_OK(store_first(s, ks, from, end, &key, &found));
        if (!found) break;
        n++;
        from = store_position(buf_str(&key)) + 1;
    }
    buf_done(&key);
    return n;
}

/* Rows in the engine, whoever has them. */
static u32 rows_from(struct kvs *k, str prefix)
{
    struct kvs_iter *i = k->ops->iter_new(k, NULL);
    u32 n = 0;
    for (k->ops->iter_seek(i, prefix); k->ops->iter_valid(i); k->ops->iter_next(i)) {
        str key = k->ops->iter_key(i);
        if (key.len < prefix.len || !mem_equal(key.at, prefix.at, prefix.len)) break;
        n++;
    }
    k->ops->iter_free(i);
    return n;
}

static u32 kvs_rows_of(struct kvs *k, u32 ks)
{
    struct buf b = {0};
    keyspace_start_put(&b, ks);
    u32 n = rows_from(k, buf_str(&b));
    buf_done(&b);
    return n;
}

static u32 kvs_local_rows_of(struct kvs *k, u64 part)
{
    struct buf b = {0};
    store_local_key(part, 0, (str){0}, &b);
    u32 n = rows_from(k, str_from(buf_bytes(&b), LOCAL_PREFIX_BYTES));
    buf_done(&b);
    return n;
}

static u32 slots_in(u32 from, u32 to, u32 first, u32 last)
{
    u32 n = 0;
    char key[32];
    for (u32 i = from; i < to; i++) {
        key_of(key, i);
        u32 slot = store_slot(str_of(key));
        n += slot >= first && slot <= last;
    }
    return n;
}

static void check_value(struct store *s, u32 ks, u32 i, const char *value)
{
    char key[32];
    str got;
    bool found;
    key_of(key, i);
    CHECK_OK(store_get(s, ks, str_of(key), &got, &found));
    CHECK(found == (value != NULL));
    if (value) CHECK(str_equal(got, str_of(value)));
}

static struct store *store_with(struct pair *p, u32 i)
{
    char key[32];
    key_of(key, i);
    return store_slot(str_of(key)) < SLOT ? p->left : p->right;
}

TEST(extents, a_split_hands_over_rows_in_memory_and_below)
{
    struct pair p = pair();
    fill(p.left, 0, 500, 1, "old");
    CHECK_OK(run_checkpoint_of(p.left, NULL, 0));
    fill(p.left, 300, 1000, 1, "new"); /* dirty when the split comes */
    u64 resident = store_stats(p.left)->rows_resident;
    CHECK_OK(split(&p));
    CHECK_EQ(store_stats(p.left)->rows_resident + store_stats(p.right)->rows_resident, resident);
    store_check(p.left);
    store_check(p.right);
    CHECK_EQ(store_stats(p.right)->kvs_reads, 0);
    for (u32 i = 0; i < 1000; i++) check_value(store_with(&p, i), 1, i, i < 300 ? "old" : "new");
    CHECK_EQ(store_stats(p.right)->kvs_reads, 0); /* they came with their rows */
    CHECK_EQ(count_in(p.left, 1, 0, SLOT - 1), slots_in(0, 1000, 0, SLOT - 1));
    CHECK_EQ(count_in(p.right, 1, SLOT, STORE_SLOTS - 1), slots_in(0, 1000, SLOT, STORE_SLOTS - 1));
    pair_done(&p);
}

TEST(extents, both_halves_are_found_after_a_restart)
{
    struct pair p = pair();
    fill(p.left, 0, 200, 1, "v");
    CHECK_OK(split(&p));
    store_free(p.left);
    store_free(p.right);
    kvs_image_crash(p.image);
    p.kvs = kvs_memory_open(p.image);
    p.left = open_one(&p, LEFT);
    p.right = open_one(&p, RIGHT);
    CHECK(store_covers_slots(p.left, 0, SLOT - 1));
    CHECK(!store_covers_slots(p.left, SLOT, STORE_SLOTS - 1));
    CHECK(!store_covers_slots(p.right, 0, SLOT - 1));
    for (u32 i = 0; i < 200; i++) check_value(store_with(&p, i), 1, i, "v");
    pair_done(&p);
}

TEST(extents, a_split_that_finds_no_space_leaves_all_rows_where_they_are)
{
    struct pair p = pair();
    fill(p.left, 0, 100, 1, "v");
    kvs_image_fail(p.image, ERR_NO_SPACE);
    CHECK_EQ(split(&p), ERR_NO_SPACE);
    CHECK(store_covers_slots(p.left, 0, 0) == false); /* nothing was ever written */
    kvs_image_fail(p.image, OK);
    CHECK_OK(split(&p));
    for (u32 i = 0; i < 100; i++) check_value(store_with(&p, i), 1, i, "v");
    pair_done(&p);
}

TEST(extents, an_emptied_keyspace_takes_no_row_of_the_neighbours)
{
    struct pair p = pair();
    fill(p.left, 0, 300, 1, "v");
    CHECK_OK(split(&p));
    store_drop_keyspace(p.left, 1);
    struct store_extents x = {.generation = 1};
    store_extents_add_slots(&x, 17, 0, SLOT - 1);
    store_extents_add_rest(&x, 18, 100);
    store_set_extents(p.left, &x, false);
    CHECK_OK(run_checkpoint_of(p.left, NULL, 0));
    for (u32 i = 0; i < 300; i++)
        if (store_with(&p, i) == p.right) check_value(p.right, 1, i, "v");
    CHECK_EQ(kvs_rows_of(p.kvs, 1), slots_in(0, 300, SLOT, STORE_SLOTS - 1));
    pair_done(&p);
}

/* All chunks of one store's snapshot into another store. */
static err ship(struct store *from, struct store *to, struct store_install **out)
{
    struct store_snapshot *sn = store_snapshot_new(from);
    struct buf chunk = {0}, after = {0};
    bool last = false;
    err e = store_install_new(to, out);
    while (!e && !last) {
        buf_clear(&chunk);
        CHECK_OK(store_snapshot_chunk(sn, buf_str(&after), 200, &chunk, &last));
        e = store_install_chunk(*out, buf_str(&chunk));
        buf_clear(&after);
        buf_append_str(&after, buf_str(&(*out)->last_key));
    }
    store_snapshot_free(sn);
    buf_done(&chunk);
    buf_done(&after);
    return e;
}

static err install(struct store *from, struct store *to)
{
    struct store_install *in;
    err e = ship(from, to, &in);
    if (e) {
        store_install_abort(in);
        return e;
    }
    CHECK(store_install_may_commit(in));
    store_install_prepare(in);
    in->job.run(&in->job);
    return store_install_done(in);
}

TEST(extents, a_snapshot_of_a_half_is_that_half)
{
    struct pair a = pair(), b = pair();
    fill(a.left, 0, 300, 1, "v");
    CHECK_OK(split(&a));
    b.right = open_one(&b, RIGHT);
    CHECK_OK(install(a.left, b.left));
    CHECK_OK(install(a.right, b.right));
    for (u32 i = 0; i < 300; i++) check_value(store_with(&b, i), 1, i, "v");
    CHECK_EQ(count_in(b.left, 1, 0, SLOT - 1), slots_in(0, 300, 0, SLOT - 1));
    pair_done(&a);
    pair_done(&b);
}

/* A node whose replica of the whole has not come to the split yet. */
TEST(extents, the_upper_half_waits_until_the_whole_has_given_it_up)
{
    struct pair a = pair(), b = pair();
    struct buf marker = {0};
    marker_of(LEFT, &marker);
    struct kvs_row row = {.key = buf_str(&marker), .value = STR("l")};
    fill(b.left, 0, 100, 1, "stale");
    CHECK_OK(run_checkpoint_of(b.left, &row, 1));
    b.right = open_one(&b, RIGHT);
    fill(a.left, 0, 300, 1, "v");
    CHECK_OK(split(&a));
    CHECK_EQ(install(a.right, b.right), ERR_STALE);
    check_value(b.left, 1, 7, "stale");
    CHECK_OK(install(a.left, b.left));
    CHECK_OK(install(a.right, b.right));
    for (u32 i = 0; i < 300; i++) check_value(store_with(&b, i), 1, i, "v");
    CHECK_EQ(kvs_rows_of(b.kvs, 1), 300);
    buf_done(&marker);
    pair_done(&a);
    pair_done(&b);
}

/* An old snapshot of the whole must not take the half back that the other partition has by now. */
TEST(extents, the_whole_of_before_is_refused_where_the_half_lives)
{
    struct pair a = pair(), b = pair();
    struct buf marker = {0};
    marker_of(LEFT, &marker);
    struct kvs_row row = {.key = buf_str(&marker), .value = STR("l")};
    fill(a.left, 0, 100, 1, "old");
    CHECK_OK(run_checkpoint_of(a.left, &row, 1));
    fill(b.left, 0, 100, 1, "v");
    CHECK_OK(split(&b));
    CHECK_EQ(install(a.left, b.left), ERR_STALE);
    for (u32 i = 0; i < 100; i++) check_value(store_with(&b, i), 1, i, "v");
    buf_done(&marker);
    pair_done(&a);
    pair_done(&b);
}

/* The left takes the right in: rows in place, its local rows go with the left's checkpoint. */
static void merge(struct pair *p)
{
    struct store_extents x = {.generation = 2};
    struct buf marker = {0};
    CHECK(store_is_quiet(p->right));
    store_extents_add_slots(&x, 1, 0, SLOT - 1);
    store_extents_add_slots(&x, 1, SLOT, STORE_SLOTS - 1);
    store_extents_add_rest(&x, 17, 100);
    store_set_extents(p->left, &x, true);
    store_drop_local(p->left, RIGHT);
    marker_of(LEFT, &marker);
    struct kvs_row row = {.key = buf_str(&marker), .value = STR("m")};
    CHECK_OK(run_checkpoint_of(p->left, &row, 1));
    store_free(p->right);
    p->right = NULL;
    buf_done(&marker);
}

TEST(extents, a_merge_takes_the_rows_in_place)
{
    struct pair p = pair();
    fill(p.left, 0, 300, 1, "v");
    CHECK_OK(split(&p));
    fill(p.right, 0, 400, 1, "w");
    CHECK_OK(run_checkpoint_of(p.right, NULL, 0));
    for (u32 i = 0; i < 300; i++) /* the left believes it has all of its rows in memory */
        if (store_with(&p, i) == p.left) check_value(p.left, 1, i, "v");
    struct store *right = p.right;
    bool upper[400];
    for (u32 i = 0; i < 400; i++) upper[i] = store_with(&p, i) == right;
    merge(&p);
    for (u32 i = 0; i < 400; i++)
        check_value(p.left, 1, i, upper[i] ? "w" : i < 300 ? "v" : NULL);
    CHECK_EQ(kvs_local_rows_of(p.kvs, RIGHT), 0);
    pair_done(&p);
}

TEST(extents, a_snapshot_of_the_merged_one_takes_the_neighbours_place)
{
    struct pair a = pair(), b = pair();
    fill(a.left, 0, 300, 1, "v");
    CHECK_OK(split(&a));
    b.right = open_one(&b, RIGHT);
    CHECK_OK(install(a.left, b.left));
    CHECK_OK(install(a.right, b.right));
    fill(a.right, 0, 300, 1, "w");
    CHECK_OK(run_checkpoint_of(a.right, NULL, 0));
    merge(&a);
    struct store_install *in;
    CHECK_OK(ship(a.left, b.left, &in));
    CHECK_EQ(store_install_victims(in)->count, 1);
    CHECK_EQ(store_install_victims(in)->part[0], RIGHT);
    store_install_prepare(in);
    in->job.run(&in->job);
    CHECK_OK(store_install_done(in));
    store_free(b.right);
    b.right = NULL;
    CHECK_EQ(kvs_local_rows_of(b.kvs, RIGHT), 0);
    CHECK_EQ(kvs_rows_of(b.kvs, 1), 300);
    CHECK_EQ(count_in(b.left, 1, 0, STORE_SLOTS - 1), 300);
    pair_done(&a);
    pair_done(&b);
}

TEST(extents, a_row_of_the_store_says_what_it_has)
{
    struct store_extents x = {0}, y;
    struct buf row = {0};
    lower_extents(&x);
    store_extents_encode(&x, &row);
    CHECK_EQ(row.len, 13 + 2 * 5 + 7 + 7 + 5 + 5);
    CHECK_OK(extents_decode(buf_str(&row), &y));
    CHECK(y.generation == 1 && y.count == 2 && !y.at[0].is_rest && y.at[1].is_rest);
    extents_done(&y);
    for (size_t len = 0; len < row.len; len++)
        CHECK_EQ(extents_decode(str_from(buf_bytes(&row), len), &y), ERR_MALFORMED);
    extents_done(&x);
    buf_done(&row);
}

TEST_MAIN(RUN(extents, a_split_hands_over_rows_in_memory_and_below),
          RUN(extents, both_halves_are_found_after_a_restart),
          RUN(extents, a_split_that_finds_no_space_leaves_all_rows_where_they_are),
          RUN(extents, an_emptied_keyspace_takes_no_row_of_the_neighbours),
          RUN(extents, a_snapshot_of_a_half_is_that_half),
          RUN(extents, the_upper_half_waits_until_the_whole_has_given_it_up),
          RUN(extents, the_whole_of_before_is_refused_where_the_half_lives),
          RUN(extents, a_merge_takes_the_rows_in_place),
          RUN(extents, a_snapshot_of_the_merged_one_takes_the_neighbours_place),
          RUN(extents, a_row_of_the_store_says_what_it_has))
