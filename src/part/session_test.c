#include "part/session.h"

#include "base/bytes.h"
#include "base/test.h"

#include <stdio.h>

static struct entry request(u32 node, u64 seq, u64 acked, u64 ms)
{
    struct entry e = {
        .op = ENTRY_COMMAND, .seq = seq, .acked = acked, .hlc = hlc_from_us(ms * 1000)};
    put_u32(e.session.bytes, node);
    e.first_hlc = e.hlc;
    return e;
}

static struct entry client_request(u64 seq, u64 ms)
{
    struct entry e = request(9, seq, seq > 1024 ? seq - 1023 : 1, ms);
    e.session.bytes[15] = 0x80;
    return e;
}

static enum session_verdict judge(struct session_table *t, struct entry e)
{
    str ignored;
    return session_judge(t, &e, &ignored);
}

TEST(session, runs_a_request_once_and_repeats_its_reply)
{
    struct session_table *t = session_table_new();
    struct entry e = request(1, 5, 5, 1000);
    str reply;

    CHECK_EQ(session_judge(t, &e, &reply), SESSION_RUN);
    session_keep(t, &e, STR(":42\r\n"));
    CHECK_EQ(session_judge(t, &e, &reply), SESSION_KNOWN);
    CHECK_STR(reply, ":42\r\n");
    session_table_free(t);
}

TEST(session, keeps_every_reply_not_yet_acknowledged_in_any_order)
{
    struct session_table *t = session_table_new();
    u64 order[] = {9, 3, 7, 4, 5};
    char text[32];
    str reply;

    for (u32 i = 0; i < ARRAY_LEN(order); i++) {
        struct entry e = request(1, order[i], 3, 1000 + i);
        CHECK_EQ(session_judge(t, &e, &reply), SESSION_RUN);
        snprintf(text, sizeof text, "a reply longer than inline %d", (int)order[i]);
        session_keep(t, &e, str_of(text));
    }
    for (u32 i = 0; i < ARRAY_LEN(order); i++) {
        struct entry e = request(1, order[i], 3, 2000);
        CHECK_EQ(session_judge(t, &e, &reply), SESSION_KNOWN);
        snprintf(text, sizeof text, "a reply longer than inline %d", (int)order[i]);
        CHECK(str_equal(reply, str_of(text)));
    }
    CHECK_EQ(judge(t, request(1, 8, 3, 2000)), SESSION_RUN); /* a hole is no result */
    session_table_free(t);
}

TEST(session, forgets_below_acked_and_refuses_what_it_forgot)
{
    struct session_table *t = session_table_new();
    struct entry first = request(1, 1, 1, 1000), later = request(1, 4, 3, 1001);

    CHECK_EQ(judge(t, first), SESSION_RUN);
    session_keep(t, &first, STR("+OK\r\n"));
    CHECK_EQ(judge(t, later), SESSION_RUN);
    session_keep(t, &later, STR("+OK\r\n"));
    CHECK_EQ(judge(t, first), SESSION_GONE);
    CHECK_EQ(judge(t, request(1, 3, 3, 1002)), SESSION_RUN);
    session_table_free(t);
}

TEST(session, a_write_waits_for_the_one_before_it)
{
    struct session_table *t = session_table_new();
    struct entry second = request(1, 2, 1, 1000), first = request(1, 1, 1, 1001);

    second.after = 1;
    CHECK_EQ(judge(t, second), SESSION_ORDER);
    CHECK_EQ(judge(t, first), SESSION_RUN);
    session_keep(t, &first, STR("+OK\r\n"));
    CHECK(session_has_run(t, &first.session, 1));
    CHECK(!session_has_run(t, &first.session, 2));
    CHECK_EQ(judge(t, second), SESSION_RUN);
    session_table_free(t);
}

TEST(session, a_write_whose_predecessor_was_given_up_runs)
{
    struct session_table *t = session_table_new();
    struct entry second = request(1, 9, 9, 1000);

    second.after = 8; /* below acked: answered UNKNOWN long ago */
    CHECK_EQ(judge(t, second), SESSION_RUN);
    session_table_free(t);
}

TEST(session, a_client_session_must_be_opened_and_expires)
{
    struct session_table *t = session_table_new();
    struct entry open = client_request(0, 1000);
    struct entry call = client_request(1, 1500);

    CHECK_EQ(judge(t, call), SESSION_UNKNOWN);
    CHECK(session_open(t, &open, 10000));
    CHECK_EQ(judge(t, call), SESSION_RUN);
    session_keep(t, &call, STR(":1\r\n"));
    CHECK_EQ(judge(t, client_request(1, 11499)), SESSION_KNOWN);
    CHECK_EQ(judge(t, client_request(1, 40000)), SESSION_UNKNOWN); /* not silently made again */
    CHECK_EQ(session_count(t), 0);
    session_table_free(t);
}

TEST(session, a_request_older_than_the_session_lives_is_not_executed)
{
    struct session_table *t = session_table_new();
    struct entry e = request(1, 1, 1, 1000);

    e.hlc = hlc_from_us((1000 + SESSION_GATEWAY_TTL_MS) * 1000);
    CHECK_EQ(judge(t, e), SESSION_TOO_LATE);
    session_table_free(t);
}

TEST(session, a_long_reply_is_remembered_as_done_only)
{
    struct session_table *t = session_table_new();
    struct entry e = request(1, 1, 1, 1000);
    u8 *big = mem_zalloc(SESSION_RESULT_BYTES_MAX + 1);

    CHECK_EQ(judge(t, e), SESSION_RUN);
    session_keep(t, &e, str_from(big, SESSION_RESULT_BYTES_MAX + 1));
    CHECK_EQ(judge(t, e), SESSION_NOT_KEPT);
    mem_free(big);
    session_table_free(t);
}

TEST(session, refuses_what_is_too_far_ahead)
{
    struct session_table *t = session_table_new();
    CHECK_EQ(judge(t, request(1, 1 + SESSION_GATEWAY_WINDOW, 1, 1000)), SESSION_WINDOW);
    session_table_free(t);
}

struct rows {
    struct buf bytes;
    u32 count, gone;
};

static void collect(void *context, str id, str value)
{
    struct rows *r = context;
    if (!value.at) {
        r->gone++;
        return;
    }
    r->count++;
    buf_append_u32(&r->bytes, (u32)value.len);
    buf_append_str(&r->bytes, id);
    buf_append_str(&r->bytes, value);
}

static struct session_table *restored(const struct rows *rows)
{
    struct session_table *t = session_table_new();
    struct reader r = reader_of(buf_str(&rows->bytes));

    while (reader_left(&r)) {
        u32 len = reader_u32(&r);
        str id = reader_str(&r, 16);
        CHECK_OK(session_restore(t, id, reader_str(&r, len)));
    }
    session_restored(t);
    return t;
}

TEST(session, survives_a_checkpoint_with_its_replies)
{
    struct session_table *t = session_table_new();
    struct rows rows = {.count = 0};
    struct entry open = client_request(0, 900);
    str reply;

    CHECK(session_open(t, &open, 5000));
    for (u64 seq = 1; seq < 100; seq++) {
        struct entry e = request(2, seq, u64_max(1, seq / 2), 1000 + seq);
        CHECK_EQ(judge(t, e), SESSION_RUN);
        session_keep(t, &e, seq % 7 ? STR("+OK\r\n") : STR("$20\r\n01234567890123456789\r\n"));
    }
    session_each_changed(t, false, collect, &rows);
    CHECK_EQ(rows.count, 2);
    struct session_table *copy = restored(&rows);
    CHECK_EQ(session_count(copy), 2);
    struct entry again = request(2, 98, 49, 2000);
    CHECK_EQ(session_judge(copy, &again, &reply), SESSION_KNOWN);
    CHECK_STR(reply, "$20\r\n01234567890123456789\r\n");
    CHECK_EQ(judge(copy, request(2, 10, 10, 2000)), SESSION_GONE);
    CHECK_EQ(judge(copy, client_request(1, 2000)), SESSION_RUN);
    session_table_free(copy);
    session_table_free(t);
    buf_done(&rows.bytes);
}

TEST(session, tells_changes_and_losses_once_and_again_after_a_failure)
{
    struct session_table *t = session_table_new();
    struct rows rows = {.count = 0};
    struct entry open = client_request(0, 1000), e = request(1, 1, 1, 1000);

    CHECK(session_open(t, &open, 5000));
    CHECK_EQ(judge(t, e), SESSION_RUN);
    session_keep(t, &e, STR("+OK\r\n"));
    session_each_changed(t, false, collect, &rows);
    CHECK_EQ(rows.count, 2);
    CHECK(session_close(t, &open));
    session_each_changed(t, false, collect, &rows);
    CHECK_EQ(rows.count, 2);
    CHECK_EQ(rows.gone, 1);
    session_changes_failed(t);
    session_each_changed(t, false, collect, &rows);
    CHECK_EQ(rows.gone, 2);
    session_table_free(t);
    buf_done(&rows.bytes);
}

TEST(session, tells_one_loss_of_a_session_that_went_twice)
{
    struct session_table *t = session_table_new();
    struct rows rows = {.count = 0};
    struct entry open = client_request(0, 1000);

    for (u32 i = 0; i < 2; i++) { /* an OPEN that was sent twice may run again after the CLOSE */
        CHECK(session_open(t, &open, 5000));
        CHECK(session_close(t, &open));
    }
    session_each_changed(t, false, collect, &rows);
    CHECK_EQ(rows.gone, 1);
    session_table_free(t);
    buf_done(&rows.bytes);
}

TEST_MAIN(RUN(session, tells_one_loss_of_a_session_that_went_twice),
          RUN(session, runs_a_request_once_and_repeats_its_reply),
          RUN(session, keeps_every_reply_not_yet_acknowledged_in_any_order),
          RUN(session, forgets_below_acked_and_refuses_what_it_forgot),
          RUN(session, a_write_waits_for_the_one_before_it),
          RUN(session, a_write_whose_predecessor_was_given_up_runs),
          RUN(session, a_client_session_must_be_opened_and_expires),
          RUN(session, a_request_older_than_the_session_lives_is_not_executed),
          RUN(session, a_long_reply_is_remembered_as_done_only),
          RUN(session, refuses_what_is_too_far_ahead),
          RUN(session, survives_a_checkpoint_with_its_replies),
          RUN(session, tells_changes_and_losses_once_and_again_after_a_failure))
