/* Reads in order. */
#include "store/store_fixture.h"

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

TEST(scan, a_scan_cursor_is_the_position_of_the_next_element)
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

TEST(scan, a_cursor_beyond_all_positions_ends_the_scan)
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

TEST(scan, a_scan_over_many_deleted_rows_comes_back_for_more)
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

TEST_MAIN(RUN(scan, a_scan_cursor_is_the_position_of_the_next_element),
          RUN(scan, a_cursor_beyond_all_positions_ends_the_scan),
          RUN(scan, a_scan_over_many_deleted_rows_comes_back_for_more))
