/* A group of one replica on a real log: what a backup's cut holds, and what it holds back. */
#include "part/one_group.h"

/* How many rows of the cut begin with each letter. */
static void count_rows(struct part_rows *from, u64 stamp, u32 counts[128])
{
    struct buf cursor = {0}, out = {0};
    bool last = false;
    u32 rows;

    while (!last) {
        buf_clear(&out);
        CHECK_OK(part_rows_next(from, stamp, &cursor, 4096, &out, &rows, &last));
        struct reader r = reader_of(buf_str(&out));
        for (; rows; rows--) {
            CHECK_EQ(reader_u8(&r), 1);
            CHECK_EQ(reader_u8(&r), 3);
            CHECK_EQ(reader_u64(&r), 99999999999999000u);
            u32 key_len = reader_u32(&r), value_len = reader_u32(&r);
            str key = reader_str(&r, key_len);
            CHECK(str_equal(reader_str(&r, value_len), STR("value")));
            counts[key.at[0] & 127]++;
        }
        CHECK_OK(reader_end(&r));
    }
    buf_done(&cursor);
    buf_done(&out);
}

TEST(cut, holds_what_was_stamped_before_it_and_nothing_later)
{
    struct one *o = one_new();
    u32 counts[128] = {0};
    u64 hlc;

    submit(o, 'a', 300);
    fixture_run(&o->f, has_answers);
    CHECK(part_cut_hold(o->part, 7, env_mono(o->f.env) + 30 * NANOS_SEC, &hlc));
    submit(o, 'h', 100);
    o->until = env_mono(o->f.env) + 20 * NANOS_MS;
    fixture_run(&o->f, time_is_up);
    CHECK_EQ(o->answered, 300); /* they wait */
    CHECK(part_cut_make(o->part, 7, hlc + 5));
    o->state_wanted = PART_CUT_READY;
    fixture_run(&o->f, has_state);
    fixture_run(&o->f, has_answers);
    submit(o, 'z', 100);
    fixture_run(&o->f, has_answers);
    CHECK(kv_clock_hlc(part_kv(o->part)) > hlc + 6);
    count_rows(part_cut_rows(o->part), hlc + 5, counts);
    CHECK_EQ(counts['a'], 300);
    CHECK_EQ(counts['h'] + counts['z'], 0);
    part_cut_end(o->part);
    one_free(o);
}

TEST(cut, leaves_rows_to_read_when_the_partition_goes)
{
    struct one *o = one_new();
    u32 counts[128] = {0};
    u64 hlc, stamp, index;

    submit(o, 'a', 100);
    fixture_run(&o->f, has_answers);
    CHECK(!part_cut_take(o->part));
    CHECK(part_cut_hold(o->part, 7, env_mono(o->f.env) + 30 * NANOS_SEC, &hlc));
    CHECK(part_cut_make(o->part, 7, hlc));
    o->state_wanted = PART_CUT_READY;
    fixture_run(&o->f, has_state);
    struct part_rows *rows = part_cut_take(o->part);
    CHECK_EQ(part_rows_part(rows), 2);
    CHECK(part_rows_until(rows) > env_mono(o->f.env));
    CHECK_EQ(part_cut_state(o->part, &stamp, &index), PART_CUT_NONE);
    CHECK(!part_cut_rows(o->part));
    struct store_install *in; /* of nothing: it deletes what there is */
    CHECK_OK(store_install_new(part_store(o->part), &in));
    store_install_prepare(in);
    in->job.run(&in->job);
    CHECK_OK(store_install_done(in));
    count_rows(rows, hlc, counts);
    CHECK_EQ(counts['a'], 100);
    part_rows_free(rows);
    one_free(o);
}

TEST(cut, is_refused_when_its_hold_has_lapsed_or_is_anothers)
{
    struct one *o = one_new();
    u64 hlc, stamp, index;

    CHECK(part_cut_hold(o->part, 7, env_mono(o->f.env) + 10 * NANOS_MS, &hlc));
    submit(o, 'a', 10);
    fixture_run(&o->f, has_answers); /* when the hold lapses */
    CHECK(!part_cut_make(o->part, 7, hlc + 1000000));
    CHECK(part_cut_hold(o->part, 8, env_mono(o->f.env) + 30 * NANOS_SEC, &hlc));
    CHECK(!part_cut_make(o->part, 7, hlc));
    CHECK(part_cut_hold(o->part, 9, env_mono(o->f.env) + 30 * NANOS_SEC, &hlc));
    CHECK(!part_cut_make(o->part, 9,
                         kv_clock_hlc(part_kv(o->part)) - 1)); /* it has given that stamp already */
    CHECK_EQ(part_cut_state(o->part, &stamp, &index), PART_CUT_FAILED);
    submit(o, 'b', 10); /* a cut that failed holds nothing */
    fixture_run(&o->f, has_answers);
    one_free(o);
}

TEST(cut, of_a_clock_far_ahead_is_refused)
{
    struct one *o = one_new();
    u64 hlc;

    CHECK(part_cut_hold(o->part, 7, env_mono(o->f.env) + 30 * NANOS_SEC, &hlc));
    CHECK(!part_cut_make(o->part, 7, hlc + hlc_from_us(60 * 1000 * 1000)));
    one_free(o);
}

TEST(cut, does_not_see_a_database_that_was_emptied_before_it)
{
    struct one *o = one_new();
    u32 counts[128] = {0};
    u64 hlc;

    submit(o, 'a', 50);
    fixture_run(&o->f, has_answers);
    struct entry e = {.apply_ver = ENTRY_APPLY_VER, .op = ENTRY_COMMAND};
    struct buf body = {0}, bytes = {0};
    const str args[] = {STR("FLUSHALL")};
    entry_encode_command(3, args, 1, &body);
    e.body = buf_str(&body);
    entry_encode_header(&e, &bytes);
    buf_append_str(&bytes, e.body);
    entry_finish(buf_bytes(&bytes), bytes.len);
    struct part_request r = {.kind = PART_WRITE,
                             .from = {.node = 1, .boot = 1, .number = ++o->wanted},
                             .entry = rcbuf_from(buf_str(&bytes)),
                             .deadline = env_mono(o->f.env) + 30 * NANOS_SEC};
    part_submit(o->part, &r);
    submit(o, 'b', 20);
    fixture_run(&o->f, has_answers);
    CHECK(part_cut_hold(o->part, 7, env_mono(o->f.env) + 30 * NANOS_SEC, &hlc));
    CHECK(part_cut_make(o->part, 7, hlc));
    o->state_wanted = PART_CUT_READY;
    fixture_run(&o->f, has_state);
    count_rows(part_cut_rows(o->part), hlc, counts);
    CHECK_EQ(counts['a'], 0);
    CHECK_EQ(counts['b'], 20);
    buf_done(&body);
    buf_done(&bytes);
    one_free(o);
}

TEST_MAIN(RUN(cut, holds_what_was_stamped_before_it_and_nothing_later),
          RUN(cut, leaves_rows_to_read_when_the_partition_goes),
          RUN(cut, is_refused_when_its_hold_has_lapsed_or_is_anothers),
          RUN(cut, of_a_clock_far_ahead_is_refused),
          RUN(cut, does_not_see_a_database_that_was_emptied_before_it))
