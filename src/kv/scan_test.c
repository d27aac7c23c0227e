#include "kv/kv_fixture.h"

#include <stdlib.h>

#define KEYS 500

struct seen {
    u8 times[KEYS];
    u32 rounds;
};

/* Take a SCAN reply apart: the keys "key<n>" into seen, the cursor back. */
static u64 take(str reply, struct seen *seen)
{
    char *at = (char *)(uintptr_t)reply.at;
    u64 cursor;

    CHECK(memcmp(at, "*2\r\n$", 5) == 0);
    at = strchr(at + 5, '\n') + 1;
    cursor = strtoull(at, &at, 10);
    CHECK_EQ(*at, '\r');
    u64 count = strtoull(at + 3, &at, 10);
    for (u64 i = 0; i < count; i++) {
        at = strstr(at, "key") + 3;
        u64 n = strtoull(at, &at, 10);
        CHECK(n < KEYS);
        seen->times[n]++;
    }
    return cursor;
}

static u64 scan(struct kv_fixture *f, u64 cursor, struct seen *seen)
{
    char line[64];
    bool need_tick;

    snprintf(line, sizeof line, "SCAN %llu COUNT 7", (unsigned long long)cursor);
    str reply = read_at(f, line, 0, &need_tick);
    buf_append_u8(&f->out, 0);
    seen->rounds++;
    return take(str_from(buf_bytes(&f->out), reply.len), seen);
}

static void fill(struct kv_fixture *f)
{
    char line[64];

    for (u32 i = 0; i < KEYS; i++) {
        snprintf(line, sizeof line, i % 5 ? "SET key%u v" : "SET {tag}key%u v", i);
        apply(f, line);
    }
}

TEST(scan, keys_walks_in_pieces_that_make_one_reply)
{
    struct kv_fixture f;
    struct buf whole = {0};
    bool need_tick;
    u32 pieces = 1;

    fixture_init(&f);
    fill(&f);
    apply(&f, "SET dies v PX 10");
    buf_append_str(&whole, read_now(&f, "KEYS key*"));
    f.kv->options.walk_rows_max = 60;
    while (read_at(&f, "KEYS key*", 0, &need_tick).len == 0) {
        CHECK(kv_read_goes_on(f.kv) && !need_tick);
        pieces++;
    }
    CHECK(!kv_read_goes_on(f.kv));
    CHECK(str_equal(buf_str(&f.out), buf_str(&whole)));
    CHECK(pieces >= 8);

    read_at(&f, "KEYS *", 0, &need_tick);
    CHECK(kv_read_goes_on(f.kv));
    kv_read_forget(f.kv);
    do { /* a key that expires on the way: nothing is kept of what was seen */
        read_at(&f, "KEYS *", 20 * 1000, &need_tick);
    } while (kv_read_goes_on(f.kv));
    CHECK(need_tick);
    CHECK_EQ(f.out.len, 0);

    read_at(&f, "KEYS *", 0, &need_tick); /* an entry with KEYS in it is not cut, and not disturbed */
    buf_clear(&f.body);
    buf_append_u32(&f.body, 0);
    buf_append_u32(&f.body, 1);
    fixture_add_command(&f, STR("KEYS key*"));
    str reply = fixture_apply(&f, ENTRY_EXEC);
    CHECK(str_equal(str_from(reply.at + 4, reply.len - 4), buf_str(&whole)));
    buf_done(&whole);
    fixture_done(&f);
}

TEST(scan, answers_a_huge_count_in_several_replies)
{
    struct kv_fixture f;

    fixture_init(&f);
    fill(&f);
    f.kv->options.walk_rows_max = 50;
    CHECK(memcmp(read_now(&f, "SCAN 0 COUNT 1000000").at, "*2\r\n$1\r\n0", 9) != 0);
    f.kv->options.walk_rows_max = 0;
    CHECK(memcmp(read_now(&f, "SCAN 0 COUNT 1000000").at, "*2\r\n$1\r\n0", 9) == 0);
    fixture_done(&f);
}

TEST(scan, returns_every_key_once)
{
    struct kv_fixture f;
    struct seen seen = {0};
    u64 cursor = 0;

    fixture_init(&f);
    fill(&f);
    do cursor = scan(&f, cursor, &seen);
    while (cursor);
    for (u32 i = 0; i < KEYS; i++) CHECK_EQ(seen.times[i], 1);
    CHECK(seen.rounds > KEYS / 10);
    fixture_done(&f);
}

TEST(scan, goes_on_while_keys_come_and_go)
{
    struct kv_fixture f;
    struct seen seen = {0};
    u64 cursor = 0;
    char line[64];

    fixture_init(&f);
    fill(&f);
    do {
        cursor = scan(&f, cursor, &seen);
        snprintf(line, sizeof line, "SET key%u other", seen.rounds % KEYS);
        apply(&f, line); /* set again: still once */
        snprintf(line, sizeof line, "SET key%u v", 1);
        apply(&f, line);
    } while (cursor);
    for (u32 i = 0; i < KEYS; i++)
        if (i % 5) CHECK_EQ(seen.times[i], 1);
    fixture_done(&f);
}

TEST(scan, has_cursors_that_mean_the_same_elsewhere)
{
    struct kv_fixture a, b;
    struct seen seen = {0};
    u64 cursor = 0;

    fixture_init(&a);
    fixture_init(&b);
    fill(&a);
    fill(&b);
    do cursor = scan(seen.rounds % 2 ? &a : &b, cursor, &seen);
    while (cursor);
    for (u32 i = 0; i < KEYS; i++) CHECK_EQ(seen.times[i], 1);
    fixture_done(&a);
    fixture_done(&b);
}

TEST(scan, takes_any_number_for_a_cursor)
{
    struct kv_fixture f;
    struct seen seen = {0};

    fixture_init(&f);
    fill(&f);
    CHECK_EQ(scan(&f, UINT64_MAX, &seen), 0);
    CHECK_EQ(scan(&f, (u64)1 << 62, &seen), 0);
    CHECK_STR(read_now(&f, "SCAN -1"), "*2\r\n$1\r\n0\r\n*0\r\n");
    fixture_done(&f);
}

TEST_MAIN(RUN(scan, returns_every_key_once), RUN(scan, keys_walks_in_pieces_that_make_one_reply),
          RUN(scan, answers_a_huge_count_in_several_replies), RUN(scan, goes_on_while_keys_come_and_go),
          RUN(scan, has_cursors_that_mean_the_same_elsewhere),
          RUN(scan, takes_any_number_for_a_cursor))
