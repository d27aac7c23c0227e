/* One keyspace's table against a sorted array. */
#include "base/prng.h"
#include "base/test.h"
#include "store/store_internal.h"

#include <stdio.h>
#include <stdlib.h>

struct model {
    struct row **rows; /* sorted by encoded key */
    size_t count;
    struct keyspace *ks;
    size_t memory;
};

static str key_text(u64 n, bool one_slot, char out[32])
{
    const char *format = one_slot ? "{t}%llu" : "k%llu";
    return str_from(out, (size_t)snprintf(out, 32, format, (unsigned long long)n));
}

static size_t model_find(const struct model *m, str encoded)
{
    size_t low = 0, high = m->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (str_compare(row_key(m->rows[mid]), encoded) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void check_walk_from(struct model *m, u64 position, str key)
{
    struct table_walk w;
    struct buf start = {0};
    head_key_append(&start, 1, position, key);
    walk_seek(&w, m->ks, buf_str(&start));
    size_t first = model_find(m, buf_str(&start));
    buf_done(&start);
    for (size_t i = first; i < m->count; i++) {
        assert_ptr_equal(walk_row(&w), m->rows[i]);
        walk_next(&w);
    }
    CHECK(walk_row(&w) == NULL);
}

static void toggle(struct model *m, str key)
{
    u64 position = key_position(m->ks->by_key, key);
    struct buf encoded = {0};
    head_key_append(&encoded, 1, position, key);
    size_t i = model_find(m, buf_str(&encoded));
    bool has = i < m->count && str_equal(row_key(m->rows[i]), buf_str(&encoded));
    struct place at = table_locate(m->ks, position, key);
    CHECK_EQ(at.found, has);
    if (has) {
        assert_ptr_equal(table_row(at), m->rows[i]);
        table_remove(m->ks, at);
        mem_free(m->rows[i]);
        memmove(&m->rows[i], &m->rows[i + 1], (m->count - i - 1) * sizeof *m->rows);
        m->count--;
    } else {
        struct row *r = row_new(ROW_VALUE, 1, position, key, STR("v"), (str){0});
        table_insert(m->ks, at, r);
        memmove(&m->rows[i + 1], &m->rows[i], (m->count - i) * sizeof *m->rows);
        m->rows[i] = r;
        m->count++;
    }
    buf_done(&encoded);
}

static void free_row(void *context, struct row *r)
{
    (*(u64 *)context)++;
    mem_free(r);
}

static void race(u64 seed, u64 keys, u32 steps, bool one_slot, bool by_key)
{
    struct model m = {.rows = mem_zalloc_array(keys, sizeof(struct row *))};
    m.ks = keyspace_new(1, by_key, true, &m.memory);
    struct prng prng;
    prng_init(&prng, seed, 3);
    for (u32 i = 0; i < steps; i++) {
        char text[32];
        /* phases of growth and of shrinking */
        u64 n = prng_below(&prng, keys);
        str key = key_text(n, one_slot, text);
        bool shrink = i / (steps / 4) % 2;
        u64 position = key_position(by_key, key);
        if (table_locate(m.ks, position, key).found == shrink) toggle(&m, key);
        if (i % (steps / 8) == 0) {
            keyspace_check(m.ks);
            check_walk_from(&m, 0, STR(""));
            check_walk_from(&m, position, key);
            check_walk_from(&m, position, STR(""));
            if (by_key) continue;
            check_walk_from(&m, prng_next(&prng) & POSITION_MAX, STR(""));
            check_walk_from(&m, position + 1, STR(""));
        }
    }
    if (!by_key) check_walk_from(&m, POSITION_MAX, STR(""));
    u64 freed = 0;
    u32 taken;
    while (table_take_leaf(m.ks, free_row, &freed, &taken)) {
    }
    CHECK_EQ(freed, m.count);
    keyspace_free_nodes(m.ks);
    CHECK_EQ(m.memory, 0);
    mem_free(m.rows);
}

TEST(table, agrees_with_a_sorted_array_over_many_slots) { race(1, 3000, 20000, false, false); }

TEST(table, agrees_with_a_sorted_array_when_one_slot_holds_all_and_splits)
{
    race(2, 12000, 60000, true, false);
}

TEST(table, agrees_with_a_sorted_array_when_few_keys_come_and_go) { race(3, 12, 4000, true, false); }

TEST(table, agrees_with_a_sorted_array_in_the_order_of_keys) { race(4, 3000, 40000, false, true); }

TEST(table, by_key_grows_and_shrinks_at_either_end)
{
    enum { KEYS = 5000 };
    for (u32 way = 0; way < 2; way++) {
        struct model m = {.rows = mem_zalloc_array(KEYS, sizeof(struct row *))};
        m.ks = keyspace_new(1, true, true, &m.memory);
        char text[32];
        for (u32 i = 0; i < KEYS; i++) {
            snprintf(text, sizeof text, "%06u", way ? KEYS - i : i);
            toggle(&m, str_of(text));
        }
        keyspace_check(m.ks);
        if (!way) CHECK_EQ(m.ks->run_count, (KEYS + 255) / 256); /* appended: full runs */
        for (u32 i = 0; i < KEYS; i++) {
            snprintf(text, sizeof text, "%06u", way ? KEYS - i : i);
            toggle(&m, str_of(text));
            if (i % 500 == 0) keyspace_check(m.ks);
        }
        CHECK_EQ(m.ks->run_count, 0);
        keyspace_free_nodes(m.ks);
        CHECK_EQ(m.memory, 0);
        mem_free(m.rows);
    }
}

/* The rows of a range go to another table, whole or in parts. */
TEST(table, by_key_a_range_moves)
{
    enum { KEYS = 2000 };
    size_t memory = 0;
    struct keyspace *ks = keyspace_new(1, true, true, &memory), *to = keyspace_new(1, true, true, &memory);
    char text[32];
    for (u32 i = 0; i < KEYS; i++) {
        snprintf(text, sizeof text, "%06u", i);
        struct row *r = row_new(i % 3 ? ROW_VALUE : ROW_TOMBSTONE, 1, 0, str_of(text), (str){0}, (str){0});
        if (i % 3 == 0) r->flags |= ROW_DIRTY;
        table_insert(ks, table_locate(ks, 0, str_of(text)), r);
        ks->values += i % 3 != 0;
        ks->clean += i % 3 != 0;
    }
    struct store_extents x = {0};
    store_extents_add_keys(&x, 1, STR("000500"), STR("000777"));
    store_extents_add_keys(&x, 1, STR("001800"), STR(""));
    for (u32 i = 0; i < x.count; i++) runs_move(ks, to, x.at[i].range.lower, x.at[i].range.upper);
    extents_done(&x);
    keyspace_check(ks);
    keyspace_check(to);
    CHECK_EQ(to->rows, 277 + 200);
    CHECK_EQ(ks->rows, KEYS - 477);
    CHECK_EQ(ks->values + to->values, KEYS - 667);
    CHECK_EQ(to->values, to->clean);
    CHECK(table_locate(to, 0, STR("000500")).found);
    CHECK(!table_locate(ks, 0, STR("000776")).found);
    CHECK(table_locate(ks, 0, STR("000777")).found);
    u64 freed = 0;
    u32 taken;
    while (table_take_leaf(ks, free_row, &freed, &taken) || table_take_leaf(to, free_row, &freed, &taken)) {
    }
    CHECK_EQ(freed, KEYS);
    keyspace_free_nodes(ks);
    keyspace_free_nodes(to);
    CHECK_EQ(memory, 0);
}


/* Rows that share their tag, or their whole hash, are a long run of cells; order must hold. */
TEST(table, rows_of_equal_hash_stay_in_key_order)
{
    size_t memory = 0;
    struct keyspace *ks = keyspace_new(1, false, true, &memory);
    static const u64 positions[] = {0, 1, HASH48_MASK, HASH48_MASK - 1, (u64)7 << 47, POSITION_MAX};
    enum { EACH = 1500 };
    for (u32 i = 0; i < EACH * ARRAY_LEN(positions); i++) {
        char text[32];
        u64 position = positions[i % ARRAY_LEN(positions)];
        str key = key_text(i * 7919 % 10007, false, text);
        struct place at = table_locate(ks, position, key);
        CHECK(!at.found);
        table_insert(ks, at, row_new(ROW_VALUE, 1, position, key, (str){0}, (str){0}));
        CHECK(table_locate(ks, position, key).found);
    }
    keyspace_check(ks);
    u64 freed = 0;
    u32 taken;
    struct table_walk w;
    u8 start[HEAD_PREFIX_BYTES];
    head_key_put(start, 1, POSITION_MAX);
    walk_seek(&w, ks, str_from(start, sizeof start));
    for (; walk_row(&w); walk_next(&w)) freed++;
    CHECK_EQ(freed, EACH);
    freed = 0;
    while (table_take_leaf(ks, free_row, &freed, &taken)) {
    }
    CHECK_EQ(freed, EACH * ARRAY_LEN(positions));
    keyspace_free_nodes(ks);
    CHECK_EQ(memory, 0);
}

TEST(generation, rows_leave_in_any_order_and_the_bytes_follow)
{
    enum { COUNT = 10000 };
    struct generation g = {0};
    struct row **rows = mem_zalloc_array(COUNT, sizeof *rows);
    for (u32 i = 0; i < COUNT; i++) {
        rows[i] = row_new(ROW_VALUE, 1, i, STR("k"), STR("value"), (str){0});
        generation_push(&g, rows[i]);
    }
    CHECK_EQ(g.bytes, COUNT * row_memory(rows[0]));
    for (u32 i = 0; i < COUNT; i += 2) generation_remove(&g, rows[i]);
    CHECK_EQ(g.count, COUNT / 2);
    for (u32 i = 1; i < COUNT; i += 2) assert_ptr_equal(generation_at(&g, rows[i]->index), rows[i]);
    while (g.count) generation_pop(&g);
    CHECK_EQ(g.bytes, 0);
    CHECK_EQ(generation_memory(&g), 0);
    for (u32 i = 0; i < COUNT; i++) mem_free(rows[i]);
    mem_free(rows);
}

TEST_MAIN(RUN(table, agrees_with_a_sorted_array_over_many_slots),
          RUN(table, agrees_with_a_sorted_array_when_one_slot_holds_all_and_splits),
          RUN(table, agrees_with_a_sorted_array_when_few_keys_come_and_go),
          RUN(table, agrees_with_a_sorted_array_in_the_order_of_keys),
          RUN(table, by_key_grows_and_shrinks_at_either_end),
          RUN(table, by_key_a_range_moves),
          RUN(table, rows_of_equal_hash_stay_in_key_order),
          RUN(generation, rows_leave_in_any_order_and_the_bytes_follow))
