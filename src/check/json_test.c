#include "check/fixture.h"

#include "base/prng.h"

static err read_text(struct history *h, const char *text, u32 *line)
{
    char problem[200];
    history_init(h);
    return history_read(h, str_of(text), line, problem, sizeof problem);
}

TEST(json, reads_what_it_writes)
{
    const struct op ops[] = {SET(1, "a\"\\\n\xff", 0, 10), GET(2, "a\"\\\n\xff", 3, 14), GET(2, NULL, 15, 16),
                             CAS(3, NULL, "b", "1", 20, 21), INCR(4, NULL, 30, OPEN), SET_FAILED(5, "z", 40, 41)};
    struct history h, again;
    struct buf first = {0}, second = {0};
    u32 line;

    history_of(&h, ops, ARRAY_LEN(ops));
    history_write(&h, &first);
    buf_append_u8(&first, 0);
    CHECK_OK(read_text(&again, (const char *)buf_bytes(&first), &line));
    CHECK_EQ(again.count, h.count);
    history_write(&again, &second);
    buf_append_u8(&second, 0);
    CHECK(str_equal(buf_str(&first), buf_str(&second)));
    buf_done(&first);
    buf_done(&second);
    history_done(&h);
    history_done(&again);
}

TEST(json, takes_numbers_booleans_and_unknown_fields)
{
    struct history h;
    u32 line;

    CHECK_OK(read_text(&h,
                       "{\"process\":1,\"op\":\"incr\",\"key\":\"c\",\"result\":7,\"invoke\":1,\"return\":2,\"outcome\":\"ok\",\"node\":3}\n"
                       "\n"
                       " { \"op\" : \"cas\" , \"key\":\"\\u006b\",\"value\":\"b\",\"expect\":null,\"result\":true,\"invoke\":1,\"return\":2,\"outcome\":\"ok\"}",
                       &line));
    CHECK_EQ(h.count, 2);
    CHECK_STR(history_text(&h, h.items[0].result), "7");
    CHECK_STR(history_text(&h, h.items[1].key), "k");
    CHECK_STR(history_text(&h, h.items[1].result), "1");
    CHECK_EQ(h.items[1].expect, HISTORY_NULL);
    history_done(&h);
}

TEST(json, keeps_levels_sessions_and_parts)
{
    static const char text[] =
        "{\"process\":1,\"op\":\"get\",\"key\":\"k\",\"session\":7,\"part\":\"p3\",\"level\":\"STALE:20\",\"result\":null,"
        "\"invoke\":1,\"return\":2,\"outcome\":\"ok\"}\n"
        "{\"op\":\"set\",\"key\":\"k\",\"value\":\"v\",\"level\":null,\"invoke\":1}\n";
    struct history h, again;
    struct buf out = {0};
    u32 line;

    CHECK_OK(read_text(&h, text, &line));
    history_write(&h, &out);
    buf_append_u8(&out, 0);
    CHECK_OK(read_text(&again, (const char *)buf_bytes(&out), &line));
    CHECK_EQ(again.count, 2);
    CHECK_EQ(again.items[0].level.kind, LEVEL_STALE);
    CHECK_EQ(again.items[0].level.ms, 20);
    CHECK_STR(history_text(&again, again.items[0].session), "7");
    CHECK_STR(history_text(&again, again.items[0].part), "p3");
    CHECK(!history_is_weak(&again.items[1]));
    buf_done(&out);
    history_done(&h);
    history_done(&again);
}

TEST(json, names_the_line_that_is_wrong)
{
    static const char *const bad[] = {
        "{\"op\":\"get\",\"key\":\"k\",\"invoke\":1}\nnonsense\n",
        "{\"op\":\"get\",\"key\":\"k\",\"invoke\":1}\n{\"op\":\"fly\",\"key\":\"k\",\"invoke\":1}",
        "{\"op\":\"get\",\"key\":\"k\",\"invoke\":1}\n{\"op\":\"get\",\"key\":\"k\",\"invoke\":5,\"return\":4,\"outcome\":\"ok\"}",
        "{\"op\":\"get\",\"key\":\"k\",\"invoke\":1}\n{\"op\":\"get\",\"key\":\"k\",\"invoke\":1,\"outcome\":\"ok\"}",
        "{\"op\":\"get\",\"key\":\"k\",\"invoke\":1}\n{\"op\":\"get\",\"invoke\":1}",
        "{\"op\":\"get\",\"key\":\"k\",\"invoke\":1}\n{\"op\":\"get\",\"key\":\"k",
        "{\"op\":\"get\",\"key\":\"k\",\"invoke\":1}\n{\"op\":\"get\",\"key\":\"k\",\"level\":\"fresh\",\"invoke\":1}",
        "{\"op\":\"get\",\"key\":\"k\",\"invoke\":1}\n{\"op\":\"del\",\"key\":\"k\",\"level\":\"local\",\"invoke\":1}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct history h;
        u32 line;
        CHECK_EQ(read_text(&h, bad[i], &line), ERR_MALFORMED);
        CHECK_EQ(line, 2);
        history_done(&h);
    }
}

TEST(history, is_sorted_by_invocation_and_equal_ones_keep_their_order)
{
    struct prng p;

    prng_init(&p, 3, 0);
    for (u32 round = 0; round < 500; round++) {
        struct history h;
        u32 count = (u32)prng_below(&p, 40);
        u64 seen = 0; /* each process once */
        history_init(&h);
        for (u32 i = 0; i < count; i++) history_open(&h, i, HISTORY_GET, 0, 0, 0, prng_below(&p, 1 + round % 30));
        history_sort(&h);
        for (u32 i = 0; i < count; i++) seen |= 1ull << h.items[i].process;
        for (u32 i = 1; i < count; i++) {
            const struct history_entry *a = &h.items[i - 1], *b = &h.items[i];
            CHECK(a->invoked < b->invoked || (a->invoked == b->invoked && a->process < b->process));
        }
        CHECK_EQ(seen, (1ull << count) - 1);
        history_done(&h);
    }
}

TEST_MAIN(RUN(json, reads_what_it_writes), RUN(json, takes_numbers_booleans_and_unknown_fields),
          RUN(json, keeps_levels_sessions_and_parts), RUN(json, names_the_line_that_is_wrong),
          RUN(history, is_sorted_by_invocation_and_equal_ones_keep_their_order))
