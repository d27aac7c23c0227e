/* window.h: the least delay of lately, and what a keyspace may have under way by it. */
#include "server/window.h"

#include "base/test.h"

static const nanos begin = 100 * NANOS_SEC;

static bool lies(u64 n, u64 from, u64 to)
{
    return n >= from && n <= to;
}

TEST(window, the_least_delay_is_of_the_last_seconds)
{
    struct delay d = {0};

    CHECK_EQ(delay_least(&d), NANOS_NEVER);
    delay_note(&d, begin, 3 * NANOS_MS);
    delay_note(&d, begin + NANOS_SEC, NANOS_MS);
    delay_note(&d, begin + NANOS_SEC, 2 * NANOS_MS);
    CHECK_EQ(delay_least(&d), NANOS_MS);
    delay_note(&d, begin + 3 * NANOS_SEC, 5 * NANOS_MS);
    CHECK_EQ(delay_least(&d), NANOS_MS); /* two to four seconds */
    delay_note(&d, begin + 5 * NANOS_SEC, 6 * NANOS_MS);
    CHECK_EQ(delay_least(&d), 5 * NANOS_MS);
}

/* Answers of this size, `rate` a second, for a time. */
static nanos answer(struct window *w, nanos from, nanos time, u64 rate, size_t bytes, nanos least)
{
    nanos now = from;

    for (; now < from + time; now += NANOS_SEC / rate) window_note(w, now, bytes, least);
    return now;
}

TEST(window, is_twice_what_keeps_the_partitions_busy)
{
    struct window w = {0};

    CHECK_EQ(w.bytes, 0);
    answer(&w, begin, NANOS_SEC, 100000, 500, NANOS_MS); /* 100 requests, 50 KB, in a millisecond */
    CHECK(lies(w.bytes, 99000, 101000));
}

TEST(window, follows_what_each_partition_takes)
{
    struct window w = {0};
    nanos now = begin;

    for (u32 i = 0; i < 100; i++) { /* half of it here, half of it far away */
        now = answer(&w, now, 10 * NANOS_MS, 50000, 500, NANOS_MS);
        now = answer(&w, now, 10 * NANOS_MS, 50000, 500, 40 * NANOS_MS);
    }
    CHECK(lies(w.bytes, 2 * 50 * 500 * 20, 2 * 50 * 500 * 22)); /* 50 a millisecond, for 20.5 on average */
}

TEST(window, holds_over_a_pause_and_shrinks_when_less_can_be_done)
{
    struct window w = {0};
    nanos now = answer(&w, begin, 2 * NANOS_SEC, 100000, 500, NANOS_MS);

    now = answer(&w, now, NANOS_SEC, 1000, 500, NANOS_MS); /* a disk that takes its time */
    CHECK(lies(w.bytes, 99000, 101000));
    now = answer(&w, now, 4 * NANOS_SEC, 50000, 500, NANOS_MS);
    CHECK(lies(w.bytes, 49000, 51000));
    answer(&w, now, 5 * NANOS_SEC, 100, 500, NANOS_MS);
    CHECK_EQ(w.bytes, WINDOW_MIN_BYTES);
}

TEST(window, shrinks_as_soon_as_an_answer_was_quicker)
{
    struct window w = {0};
    nanos now = answer(&w, begin, NANOS_SEC, 100000, 500, 4 * NANOS_MS); /* behind a long line */

    CHECK(lies(w.bytes, 399000, 401000));
    answer(&w, now, NANOS_SEC, 100000, 500, NANOS_MS);
    CHECK(lies(w.bytes, 99000, 106000));
}

TEST(window, a_client_that_rested_makes_it_no_smaller)
{
    struct window w = {0};
    nanos now = answer(&w, begin, NANOS_SEC, 100000, 500, NANOS_MS);

    window_note(&w, now + 60 * NANOS_SEC, 500, NANOS_MS);
    CHECK(lies(w.bytes, 99000, 101000));
}

TEST_MAIN(RUN(window, the_least_delay_is_of_the_last_seconds), RUN(window, is_twice_what_keeps_the_partitions_busy),
          RUN(window, follows_what_each_partition_takes), RUN(window, holds_over_a_pause_and_shrinks_when_less_can_be_done),
          RUN(window, shrinks_as_soon_as_an_answer_was_quicker), RUN(window, a_client_that_rested_makes_it_no_smaller))
