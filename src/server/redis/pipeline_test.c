/* Replies leave in the order of the requests, whoever answers them and whenever. */
#include "server/redis/door_fixture.h"

TEST(pipeline, answers_ping_at_once_when_nothing_is_under_way)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "*1\r\n$4\r\nPING\r\n");

    CHECK_GOT(e, "+PONG\r\n");
    CHECK_EQ(f->request_count, 0);
    fixture_free(f);
}

TEST(pipeline, gives_all_requests_to_the_gateway_without_waiting_for_answers)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "SET a 1\r\nGET a\r\nSET b 2\r\n");

    CHECK_EQ(f->request_count, 3);
    CHECK(fixture_asked(f, 0, 0, "SET a 1"));
    CHECK(fixture_asked(f, 1, 0, "GET a"));
    CHECK(fixture_asked(f, 2, 0, "SET b 2"));
    CHECK_EQ(f->requests[0]->kind, GATEWAY_WRITE);
    CHECK_EQ(f->requests[1]->kind, GATEWAY_READ);
    CHECK(f->requests[0]->order == f->requests[1]->order);
    CHECK_GOT(e, "");
    fixture_free(f);
}

TEST(pipeline, keeps_the_order_of_requests_when_answers_come_in_another)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "GET a\r\nPING\r\nGET b\r\nECHO x\r\n");
    fixture_answer(f, 1, "$1\r\nb\r\n");
    CHECK_GOT(e, "");
    fixture_answer(f, 0, "$1\r\na\r\n");

    CHECK_GOT(e, "$1\r\na\r\n+PONG\r\n$1\r\nb\r\n$1\r\nx\r\n");
    fixture_free(f);
}

TEST(pipeline, keeps_the_order_for_every_order_of_four_answers)
{
    static const char *const replies[4] = {":0\r\n", ":1\r\n", ":2\r\n", ":3\r\n"};

    for (u32 order = 0; order < 24; order++) {
        struct fixture *f = fixture_open();
        struct far_end *e = fixture_connect(f);
        u32 left[4] = {0, 1, 2, 3}, count = 4, rest = order;

        fixture_send(f, e, "INCR a\r\nINCR a\r\nINCR a\r\nINCR a\r\n");
        for (; count; count--) {
            u32 pick = rest % count;
            rest /= count;
            fixture_answer(f, left[pick], replies[left[pick]]);
            left[pick] = left[count - 1];
        }
        CHECK_GOT(e, ":0\r\n:1\r\n:2\r\n:3\r\n");
        fixture_free(f);
    }
}

TEST(pipeline, keeps_long_replies_that_must_wait)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);
    struct buf big = {0};

    buf_append_text(&big, "$5000\r\n");
    for (u32 i = 0; i < 5000; i++) buf_append_u8(&big, (u8)('a' + i % 26));
    buf_append_text(&big, "\r\n");
    fixture_send(f, e, "GET a\r\nGET b\r\n");
    fixture_answer_index(f, 1, buf_str(&big), 0);
    fixture_answer(f, 0, "$-1\r\n");

    CHECK_EQ(e->got.len, 5 + big.len);
    CHECK(mem_equal(buf_bytes(&e->got) + 5, buf_bytes(&big), big.len));
    buf_done(&big);
    fixture_free(f);
}

TEST(pipeline, understands_requests_cut_anywhere)
{
    static const char input[] =
        "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nhello\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n";

    for (size_t cut = 1; cut < sizeof input - 1; cut++) {
        struct fixture *f = fixture_open();
        struct far_end *e = fixture_connect(f);

        fixture_deliver(f, e, str_from(input, cut));
        fixture_turn(f);
        fixture_deliver(f, e, str_from(input + cut, sizeof input - 1 - cut));
        fixture_turn(f);
        CHECK_EQ(f->request_count, 2);
        CHECK(fixture_asked(f, 0, 0, "SET a hello"));
        CHECK(fixture_asked(f, 1, 0, "GET a"));
        fixture_answer(f, 0, "+OK\r\n");
        fixture_answer(f, 1, "$5\r\nhello\r\n");
        CHECK_GOT(e, "+OK\r\n+PONG\r\n$5\r\nhello\r\n");
        fixture_free(f);
    }
}

TEST(pipeline, keeps_connections_apart)
{
    struct fixture *f = fixture_open();
    struct far_end *a = fixture_connect(f), *b = fixture_connect(f);

    fixture_send(f, a, "SELECT 1\r\nGET k\r\n");
    fixture_send(f, b, "GET k\r\nPING\r\n");
    CHECK(fixture_asked(f, 0, 1, "GET k"));
    CHECK(fixture_asked(f, 1, 0, "GET k"));
    CHECK(f->requests[0]->order != f->requests[1]->order);
    fixture_answer(f, 1, "$1\r\nb\r\n");

    CHECK_GOT(a, "+OK\r\n");
    CHECK_GOT(b, "$1\r\nb\r\n+PONG\r\n");
    fixture_free(f);
}

TEST(pipeline, selects_for_the_requests_behind_it_without_waiting)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "SET a 1\r\nSELECT 3\r\nSET a 1\r\nSELECT 0\r\nGET a\r\n");

    CHECK_EQ(f->request_count, 3);
    CHECK(fixture_asked(f, 0, 0, "SET a 1"));
    CHECK(fixture_asked(f, 1, 3, "SET a 1"));
    CHECK(fixture_asked(f, 2, 0, "GET a"));
    fixture_free(f);
}

TEST(pipeline, says_in_the_entry_which_protocol_the_client_speaks)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "GET a\r\nHELLO 3\r\nGET a\r\n");

    CHECK_EQ(fixture_entry(f, 0).flags, 0);
    CHECK_EQ(fixture_entry(f, 1).flags, ENTRY_RESP3);
    fixture_free(f);
}

TEST(pipeline, cancels_reads_of_a_client_that_hangs_up_and_lets_its_writes_go_on)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "SET a 1\r\nGET a\r\nSET b 2\r\n");
    fixture_hang_up(f, e);

    CHECK_EQ(f->cancelled, 1);
    CHECK(f->requests[0] && !f->requests[1] && f->requests[2]);
    CHECK_EQ(redis_door_stats(f->door)->connected, 0);
    fixture_answer(f, 2, "+OK\r\n");
    fixture_answer(f, 0, "+OK\r\n");
    CHECK(list_is_empty(&f->door->clients)); /* freed with its last answer */
    fixture_free(f);
}

TEST(pipeline, executes_writes_that_arrived_just_before_the_end)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);
    struct env_event ev = {.kind = ENV_CLOSED, .stream = e->stream};

    fixture_deliver(f, e, STR("SET a 1\r\nGET a\r\nSET b 2\r\nSET c"));
    redis_door_on_event(f->door, &ev);
    e->stream = NULL;
    fixture_turn(f);

    CHECK_EQ(f->request_count, 2);
    CHECK(fixture_asked(f, 0, 0, "SET a 1"));
    CHECK(fixture_asked(f, 1, 0, "SET b 2"));
    fixture_answer(f, 0, "+OK\r\n");
    fixture_answer(f, 1, "+OK\r\n");
    CHECK(list_is_empty(&f->door->clients));
    fixture_free(f);
}

TEST(pipeline, answers_a_client_that_sends_no_more_and_closes_then)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_deliver(f, e, STR("SET a 1\r\nGET a\r\nPING\r\nSET c"));
    fixture_end_input(f, e);
    CHECK_EQ(f->request_count, 2);
    CHECK(!e->asked_to_close);
    fixture_answer(f, 0, "+OK\r\n");
    CHECK(!e->asked_to_close);
    fixture_answer(f, 1, "$1\r\n1\r\n");
    CHECK_GOT(e, "+OK\r\n$1\r\n1\r\n+PONG\r\n");
    CHECK(e->asked_to_close && e->flushed_first);
    fixture_hang_up(f, e);

    struct far_end *silent = fixture_connect(f);
    fixture_end_input(f, silent);
    CHECK(silent->asked_to_close);
    fixture_hang_up(f, silent);
    CHECK(list_is_empty(&f->door->clients));
    fixture_free(f);
}

TEST(pipeline, finishes_all_requests_of_a_client_that_sends_no_more_and_reads_slowly)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);
    struct buf many = {0};

    e->reads_nothing = true;
    for (u32 i = 0; i < 300; i++) buf_append_text(&many, "COMMAND DOCS\r\n");
    fixture_deliver(f, e, buf_str(&many));
    fixture_end_input(f, e);
    CHECK(e->stream->in.len > 0); /* its unread replies stop it */
    CHECK(!e->asked_to_close);
    e->reads_nothing = false;
    for (u32 i = 0; i < 60 && !e->asked_to_close; i++) {
        struct env_event drained = {.kind = ENV_DRAINED, .stream = e->stream};
        fixture_flush(&f->env, e->stream);
        redis_door_on_event(f->door, &drained);
        fixture_turn(f);
    }
    CHECK_EQ(e->stream->in.len, 0);
    CHECK(e->asked_to_close);
    buf_done(&many);
    fixture_free(f);
}

TEST(pipeline, does_not_wait_for_ever_for_a_client_that_sends_no_more)
{
    struct fixture *f = fixture_new();
    f->config.request_timeout = 1500 * NANOS_MS;
    fixture_start(f);
    struct far_end *e = fixture_connect(f), *g = fixture_connect(f);

    fixture_send(f, e, "WAIT 2 0\r\n");
    CHECK_EQ(f->requests[0]->deadline, NANOS_NEVER);
    fixture_end_input(f, e);
    CHECK_EQ(f->requests[0]->deadline, f->now + 1500 * NANOS_MS);
    fixture_end_input(f, g);
    struct far_end *h = fixture_connect(f);
    fixture_deliver(f, h, STR("WAIT 2 0\r\n"));
    fixture_end_input(f, h);
    CHECK_EQ(f->requests[1]->deadline, f->now + 1500 * NANOS_MS);
    fixture_answer(f, 0, ":1\r\n");
    fixture_answer(f, 1, ":1\r\n");
    CHECK_GOT(e, ":1\r\n");
    CHECK(e->asked_to_close && h->asked_to_close);
    fixture_free(f);
}

TEST(pipeline, forgets_the_half_request_of_a_client_that_hangs_up)
{
    static const char *const halves[] = {"PIN", "*2\r\n$4\r\nECHO\r\n$5\r\nab", "*1", "*3\r\n"};

    for (size_t i = 0; i < ARRAY_LEN(halves); i++) {
        struct fixture *f = fixture_open();
        struct far_end *a = fixture_connect(f);

        fixture_send(f, a, halves[i]);
        fixture_hang_up(f, a);
        struct far_end *b = fixture_connect(f);
        fixture_send(f, b, "P");
        fixture_send(f, b, "ING\r\n*1\r\n$4\r\nPING\r\n");
        CHECK_GOT(b, "+PONG\r\n+PONG\r\n");
        fixture_free(f);
    }
}

TEST(pipeline, forgets_the_half_request_of_a_client_that_is_killed)
{
    struct fixture *f = fixture_open();
    struct far_end *a = fixture_connect(f), *b = fixture_connect(f);

    fixture_send(f, a, "*2\r\n$4\r\nECHO\r\n$5\r\nab");
    fixture_send(f, b, "CLIENT KILL ID 1\r\n");
    fixture_hang_up(f, a);
    fixture_send(f, b, "*1\r\n$4\r\nPING\r\n");
    CHECK_GOT(b, ":1\r\n+PONG\r\n");
    fixture_free(f);
}

TEST(pipeline, quits_after_the_replies_due)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "SET a 1\r\nQUIT\r\nSET b 2\r\n");
    CHECK(!e->asked_to_close);
    CHECK_EQ(f->request_count, 1); /* nothing behind a QUIT */
    fixture_answer(f, 0, "+OK\r\n");

    CHECK_GOT(e, "+OK\r\n+OK\r\n");
    CHECK(e->asked_to_close && e->flushed_first);
    fixture_hang_up(f, e);
    CHECK(list_is_empty(&f->door->clients));
    fixture_free(f);
}

TEST(pipeline, reports_a_protocol_error_behind_the_replies_due_and_closes)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "GET a\r\n*1\r\n+x\r\n");
    CHECK_GOT(e, "");
    fixture_answer(f, 0, "$-1\r\n");

    CHECK_GOT(e, "$-1\r\n-ERR Protocol error: expected '$', got '+'\r\n");
    CHECK(e->asked_to_close);
    CHECK_EQ(redis_door_stats(f->door)->protocol_errors, 1);
    fixture_free(f);
}

TEST(pipeline, sends_no_replies_while_they_are_off_or_skipped)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "CLIENT REPLY OFF\r\nSET a 1\r\nPING\r\nCLIENT REPLY ON\r\nGET a\r\n");
    fixture_answer(f, 1, "$1\r\n1\r\n");
    fixture_answer(f, 0, "+OK\r\n");
    CHECK_GOT(e, "+OK\r\n$1\r\n1\r\n");

    fixture_send(f, e, "CLIENT REPLY SKIP\r\nGET a\r\nPING\r\n");
    fixture_answer(f, 2, "$1\r\n1\r\n");
    CHECK_GOT(e, "+PONG\r\n");
    fixture_free(f);
}

TEST(pipeline, holds_back_what_follows_a_wait_until_it_is_answered)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "SET a 1\r\nWAIT 2 500\r\nPING\r\n");
    CHECK_EQ(f->request_count, 1); /* the write's index is not known yet */
    fixture_answer_index(f, 0, STR("+OK\r\n"), 77);
    CHECK_EQ(f->request_count, 2);
    CHECK_EQ(f->requests[1]->kind, GATEWAY_WAIT);
    CHECK_EQ(f->requests[1]->index, 77);
    CHECK_EQ(f->requests[1]->replicas, 2);
    CHECK_EQ(f->requests[1]->deadline, f->now + 500 * NANOS_MS);
    CHECK_GOT(e, "+OK\r\n");
    fixture_answer(f, 1, ":2\r\n");

    CHECK_GOT(e, ":2\r\n+PONG\r\n");
    fixture_free(f);
}

TEST(pipeline, lets_one_connection_sleep_and_no_other)
{
    struct fixture *f = fixture_open();
    struct far_end *a = fixture_connect(f), *b = fixture_connect(f);

    fixture_send(f, a, "DEBUG SLEEP 1.5\r\nPING\r\n");
    fixture_send(f, b, "PING\r\n");
    CHECK_GOT(a, "");
    CHECK_GOT(b, "+PONG\r\n");
    CHECK_EQ(redis_door_deadline(f->door), f->now + 1500 * NANOS_MS);
    f->now += 1499 * NANOS_MS;
    fixture_turn(f);
    CHECK_GOT(a, "");
    f->now += NANOS_MS;
    fixture_turn(f);

    CHECK_GOT(a, "+OK\r\n+PONG\r\n");
    fixture_free(f);
}

TEST_MAIN(RUN(pipeline, answers_ping_at_once_when_nothing_is_under_way),
          RUN(pipeline, answers_a_client_that_sends_no_more_and_closes_then),
          RUN(pipeline, finishes_all_requests_of_a_client_that_sends_no_more_and_reads_slowly),
          RUN(pipeline, does_not_wait_for_ever_for_a_client_that_sends_no_more),
          RUN(pipeline, gives_all_requests_to_the_gateway_without_waiting_for_answers),
          RUN(pipeline, keeps_the_order_of_requests_when_answers_come_in_another),
          RUN(pipeline, keeps_the_order_for_every_order_of_four_answers),
          RUN(pipeline, keeps_long_replies_that_must_wait),
          RUN(pipeline, understands_requests_cut_anywhere), RUN(pipeline, keeps_connections_apart),
          RUN(pipeline, selects_for_the_requests_behind_it_without_waiting),
          RUN(pipeline, says_in_the_entry_which_protocol_the_client_speaks),
          RUN(pipeline, cancels_reads_of_a_client_that_hangs_up_and_lets_its_writes_go_on),
          RUN(pipeline, executes_writes_that_arrived_just_before_the_end),
          RUN(pipeline, forgets_the_half_request_of_a_client_that_hangs_up),
          RUN(pipeline, forgets_the_half_request_of_a_client_that_is_killed),
          RUN(pipeline, quits_after_the_replies_due),
          RUN(pipeline, reports_a_protocol_error_behind_the_replies_due_and_closes),
          RUN(pipeline, sends_no_replies_while_they_are_off_or_skipped),
          RUN(pipeline, holds_back_what_follows_a_wait_until_it_is_answered),
          RUN(pipeline, lets_one_connection_sleep_and_no_other))
