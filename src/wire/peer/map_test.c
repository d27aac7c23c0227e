#include "wire/peer/map.h"

#include "base/test.h"

TEST(map, a_pull_survives_encoding_and_every_other_length_is_refused)
{
    struct map_pull p = {.pages = true, .kind = 3, .since = 1ull << 40, .id = 77}, got;
    struct buf b = {0};

    map_pull_encode(&p, &b);
    CHECK_OK(map_pull_decode(buf_str(&b), &got));
    CHECK(got.pages);
    CHECK_EQ(got.kind, 3);
    CHECK_EQ(got.since, 1ull << 40);
    CHECK_EQ(got.id, 77);
    for (size_t len = 0; len < b.len; len++) CHECK(map_pull_decode(str_from(buf_bytes(&b), len), &got));
    buf_append_u8(&b, 0);
    CHECK(map_pull_decode(buf_str(&b), &got));
    buf_done(&b);
}

TEST(map, reports_are_read_row_by_row_to_the_end_or_a_broken_one)
{
    struct group_report one = {.part = 5, .term = 9, .leader = 2, .bytes = 1000, .load = 30, .caught_up_count = 2, .caught_up = {2, 7}};
    struct group_report other = {.part = 6, .term = 1, .leader = 1}, got;
    struct buf b = {0};

    group_report_encode(&one, &b);
    size_t first = b.len;
    group_report_encode(&other, &b);
    struct reader r = reader_of(buf_str(&b));
    CHECK(group_report_next(&r, &got));
    CHECK_EQ(got.part, 5);
    CHECK_EQ(got.caught_up_count, 2);
    CHECK_EQ(got.caught_up[1], 7);
    CHECK(group_report_next(&r, &got));
    CHECK_EQ(got.part, 6);
    CHECK(!group_report_next(&r, &got));
    CHECK(!r.bad);
    for (size_t len = first + 1; len < b.len; len++) {
        r = reader_of(str_from(buf_bytes(&b), len));
        CHECK(group_report_next(&r, &got));
        CHECK(!group_report_next(&r, &got));
        CHECK(r.bad);
    }
    buf_clear(&b);
    buf_append_u64(&b, 5);
    buf_append_u64(&b, 9);
    buf_append_u32(&b, 2);
    buf_append_u64(&b, 0);
    buf_append_u64(&b, 0);
    buf_append_u8(&b, REPORT_CAUGHT_UP_MAX + 1); /* more than there can be */
    for (u32 i = 0; i <= REPORT_CAUGHT_UP_MAX; i++) buf_append_u32(&b, i);
    r = reader_of(buf_str(&b));
    CHECK(!group_report_next(&r, &got));
    CHECK(r.bad);
    buf_done(&b);
}

TEST_MAIN(RUN(map, a_pull_survives_encoding_and_every_other_length_is_refused),
          RUN(map, reports_are_read_row_by_row_to_the_end_or_a_broken_one))
