/* Quantiles of times, and of the recent past. */
#include "base/histogram.h"

#include "base/mem.h"
#include "base/prng.h"
#include "base/test.h"

#include <stdlib.h>

TEST(histogram, small_times_are_exact_and_large_ones_within_seven_percent)
{
    for (u64 us = 0; us < 200000000; us = us < 1000 ? us + 1 : us + us / 97) {
        struct histogram h = {0};
        histogram_add(&h, us);
        u64 said = histogram_quantile(&h, 500), meant = u64_min(us, (1 << 27) - 1);
        u64 off = said > meant ? said - meant : meant - said;
        CHECK(us < 16 ? off == 0 : off * 100 <= meant * 7);
    }
}

TEST(histogram, buckets_grow_with_the_time_and_none_is_passed_by)
{
    u32 before = 0;

    for (u64 us = 0; us < 1 << 20; us++) {
        u32 bucket = histogram_bucket(us);
        CHECK(bucket == before || bucket == before + 1);
        before = bucket;
    }
    CHECK_EQ(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static int by_size(const void *a, const void *b)
{
    const u64 *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

TEST(histogram, quantiles_are_those_of_the_sorted_times)
{
    enum { COUNT = 10000 };
    static const u32 asked[] = {1, 500, 900, 990, 999, 1000};
    u64 *times = mem_zalloc_array(COUNT, sizeof *times);
    struct histogram h = {0};
    struct prng p;

    prng_init(&p, 1, 1);
    for (u32 i = 0; i < COUNT; i++) {
        times[i] = prng_below(&p, 1ull << prng_between(&p, 1, 22));
        histogram_add(&h, times[i]);
    }
    qsort(times, COUNT, sizeof *times, by_size);
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        u64 meant = times[(u64)COUNT * asked[i] / 1000 - 1];
        CHECK_EQ(histogram_bucket(histogram_quantile(&h, asked[i])), histogram_bucket(meant));
    }
    mem_free(times);
}

TEST(histogram, an_empty_one_says_nothing)
{
    struct histogram h = {0};

    CHECK_EQ(histogram_quantile(&h, 500), 0);
    CHECK_EQ(h.count, 0);
}

TEST(histogram, merged_ones_count_both)
{
    struct histogram a = {0}, b = {0};

    for (u32 i = 0; i < 99; i++) histogram_add(&a, 10);
    histogram_add(&b, 5000);
    histogram_merge(&a, &b);
    CHECK_EQ(a.count, 100);
    CHECK_EQ(histogram_quantile(&a, 990), 10);
    CHECK_EQ(histogram_bucket(histogram_quantile(&a, 1000)), histogram_bucket(5000));
}

TEST(histogram, a_full_counter_stays_full)
{
    struct histogram h = {0};

    histogram_add_bucket(&h, 3, UINT64_MAX);
    histogram_add(&h, 3);
    CHECK_EQ(h.buckets[3], UINT32_MAX);
    CHECK_EQ(h.count, UINT32_MAX);
}

TEST(recent, what_is_over_a_minute_old_is_forgotten)
{
    struct recent *r = mem_zalloc(sizeof *r);
    struct histogram h;
    nanos now = 1000 * NANOS_SEC;

    CHECK_EQ(recent_read(r, now, &h), 0);
    recent_add(r, now, 9);
    CHECK_EQ(recent_read(r, now + 59 * NANOS_SEC, &h), 59 * NANOS_SEC);
    CHECK_EQ(h.count, 1);
    CHECK_EQ(recent_read(r, now + 60 * NANOS_SEC, &h), 0);
    CHECK_EQ(h.count, 0);
    mem_free(r);
}

TEST(recent, it_speaks_of_half_a_minute_at_least_and_a_minute_at_most)
{
    struct recent *r = mem_zalloc(sizeof *r);
    struct histogram h;
    nanos began = 1000 * NANOS_SEC;

    for (u32 s = 0; s < 300; s++) { /* one a second */
        recent_add(r, began + s * NANOS_SEC, s < 200 ? 1 : 2);
        nanos over = recent_read(r, began + s * NANOS_SEC, &h);
        CHECK(over <= 2 * RECENT_HALF);
        if (s > 31) CHECK(over >= RECENT_HALF - NANOS_SEC);
        CHECK(h.count >= (s < 30 ? s + 1 : 30) && h.count <= 60);
    }
    CHECK_EQ(histogram_quantile(&h, 1), 2); /* nothing of the first two hundred seconds */
    mem_free(r);
}

TEST_MAIN(RUN(histogram, small_times_are_exact_and_large_ones_within_seven_percent),
          RUN(histogram, buckets_grow_with_the_time_and_none_is_passed_by),
          RUN(histogram, quantiles_are_those_of_the_sorted_times), RUN(histogram, an_empty_one_says_nothing),
          RUN(histogram, merged_ones_count_both), RUN(histogram, a_full_counter_stays_full),
          RUN(recent, what_is_over_a_minute_old_is_forgotten),
          RUN(recent, it_speaks_of_half_a_minute_at_least_and_a_minute_at_most))
