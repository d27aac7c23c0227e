#include "raft/tail.h"

#include "base/assert.h"
#include "base/prng.h"
#include "base/test.h"

static void append_entry(struct tail *t, u64 term, u32 bytes)
{
    struct rcbuf *data = bytes ? rcbuf_new(bytes) : NULL;
    struct raft_entry e = {{term, t->last.index + 1}, RAFT_COMMAND, data};
    if (data) memset(data->data, 'x', bytes);
    tail_append(t, &e);
    rcbuf_unref(data);
}

TEST(tail, finds_entries_by_index_over_many_pages)
{
    struct tail t;
    tail_init(&t, (struct log_pos){3, 5000});
    for (u32 i = 0; i < 5000; i++) append_entry(&t, 4 + i / 1000, 1);
    CHECK_EQ(t.last.index, 10000);
    for (u64 i = 5001; i <= 10000; i++) {
        CHECK_EQ(tail_at(&t, i)->pos.index, i);
        CHECK_EQ(tail_term_at(&t, i), 4 + (i - 5001) / 1000);
    }
    CHECK_EQ(tail_term_at(&t, 5000), 3);
    CHECK_EQ(tail_term_at(&t, 4999), 0);
    CHECK_EQ(tail_term_at(&t, 10001), 0);
    tail_done(&t);
}

TEST(tail, a_run_ends_with_its_page_or_its_bytes_but_has_one_entry)
{
    struct tail t;
    tail_init(&t, (struct log_pos){0, 0});
    for (u32 i = 0; i < 2000; i++) append_entry(&t, 1, 10);
    CHECK_EQ(tail_run(&t, 1, UINT64_MAX / 2), TAIL_PAGE_ENTRIES - 1);
    CHECK_EQ(tail_run(&t, TAIL_PAGE_ENTRIES, UINT64_MAX / 2), 2000 - TAIL_PAGE_ENTRIES + 1);
    CHECK_EQ(tail_run(&t, 5, 39), 3);
    CHECK_EQ(tail_run(&t, 5, 40), 4);
    CHECK_EQ(tail_run(&t, 5, 0), 1);
    CHECK_EQ(tail_run(&t, 2000, 100), 1);
    tail_done(&t);
}

TEST(tail, holds_one_reference_per_payload_until_it_drops_it)
{
    struct tail t;
    struct rcbuf *data = rcbuf_new(4);
    memset(data->data, 0, 4);
    tail_init(&t, (struct log_pos){0, 0});
    for (u64 i = 1; i <= 3; i++) {
        struct raft_entry e = {{1, i}, RAFT_COMMAND, data};
        tail_append(&t, &e);
    }
    CHECK_EQ(data->refs, 4);
    tail_truncate(&t, 3);
    CHECK_EQ(data->refs, 3);
    tail_compact(&t, 1);
    CHECK_EQ(data->refs, 2);
    tail_done(&t);
    CHECK_EQ(data->refs, 1);
    rcbuf_unref(data);
}

TEST(tail, finds_the_last_entry_of_a_term_or_older)
{
    struct tail t;
    tail_init(&t, (struct log_pos){2, 10});
    const u64 terms[] = {2, 2, 4, 4, 7};
    for (u32 i = 0; i < 5; i++) append_entry(&t, terms[i], 0);
    CHECK_EQ(tail_last_with_term_at_most(&t, 15, 7), 15);
    CHECK_EQ(tail_last_with_term_at_most(&t, 15, 6), 14);
    CHECK_EQ(tail_last_with_term_at_most(&t, 13, 6), 13);
    CHECK_EQ(tail_last_with_term_at_most(&t, 15, 3), 12);
    CHECK_EQ(tail_last_with_term_at_most(&t, 10, 2), 10);
    CHECK_EQ(tail_last_with_term_at_most(&t, 15, 1), 9); /* below what is known */
    tail_done(&t);
}

/* Against an array that does everything the slow way. */
TEST(tail, behaves_as_the_naive_model)
{
    enum { MOST = 20000 };
    static u64 terms[MOST], bytes[MOST];
    struct prng p;
    prng_init(&p, 11, 3);
    for (u32 round = 0; round < 20; round++) {
        struct tail t;
        u64 base = prng_below(&p, 3000), last = base;
        terms[base] = 1;
        tail_init(&t, (struct log_pos){1, base});
        for (u32 i = 0; i < 400; i++) {
            u32 op = (u32)prng_below(&p, 10);
            if (op < 6) {
                for (u64 n = prng_below(&p, 300); n > 0 && last + 1 < MOST; n--) {
                    last++;
                    terms[last] = terms[last - 1] + (prng_below(&p, 50) == 0);
                    bytes[last] = prng_below(&p, 5);
                    append_entry(&t, terms[last], (u32)bytes[last]);
                }
            } else if (op < 8 && last > base) {
                u64 from = base + 1 + prng_below(&p, last - base);
                tail_truncate(&t, from);
                last = from - 1;
            } else if (op == 8 && last > base) {
                base += 1 + prng_below(&p, last - base);
                tail_compact(&t, base);
            } else if (op == 9 && i % 50 == 0) {
                base = last = last + prng_below(&p, 100) < MOST ? last : base;
                tail_restart(&t, (struct log_pos){terms[base], base});
            }
            CHECK_EQ(t.base.index, base);
            CHECK_EQ(t.base.term, terms[base]);
            CHECK_EQ(t.last.index, last);
            CHECK_EQ(t.last.term, terms[last]);
            u64 a = base + prng_below(&p, last - base + 1), b = a + prng_below(&p, last - a + 1),
                sum = 0;
            for (u64 k = a + 1; k <= b; k++) sum += bytes[k];
            CHECK_EQ(tail_bytes_between(&t, a, b), sum);
            CHECK_EQ(tail_term_at(&t, a), terms[a]);
            if (a < last) {
                u32 run = tail_run(&t, a + 1, 20);
                for (u32 k = 0; k < run; k++)
                    CHECK_EQ((tail_at(&t, a + 1) + k)->pos.index, a + 1 + k);
                CHECK(run == 1 || tail_bytes_between(&t, a, a + run) <= 20);
            }
        }
        tail_done(&t);
    }
}

TEST_MAIN(RUN(tail, finds_entries_by_index_over_many_pages),
          RUN(tail, a_run_ends_with_its_page_or_its_bytes_but_has_one_entry),
          RUN(tail, holds_one_reference_per_payload_until_it_drops_it),
          RUN(tail, finds_the_last_entry_of_a_term_or_older), RUN(tail, behaves_as_the_naive_model))
