/* Every queue has a limit, and something happens there. */
#include "server/redis/door_fixture.h"

#include <unistd.h>

static void append_set(struct buf *out, const char *key, size_t bytes)
{
    buf_printf(out, "*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%zu\r\n", strlen(key), key, bytes);
    memset(buf_reserve(out, bytes), 'x', bytes);
    buf_extend(out, bytes);
    buf_append_text(out, "\r\n");
}

static void append_times(struct buf *out, const char *text, u32 times)
{
    for (u32 i = 0; i < times; i++) buf_append_text(out, text);
}

static u64 reached(const struct fixture *f, enum limit_id id)
{
    struct limits_now now = {0};

    redis_door_limits(f->door, &now);
    return now.at[id].reached;
}

TEST(limits, tells_a_client_too_many_why_and_closes)
{
    struct fixture *f = fixture_new();

    f->config.clients_max = 2;
    fixture_start(f);
    struct far_end *a = fixture_connect(f);
    fixture_connect(f);
    struct far_end *c = fixture_connect(f);
    CHECK_GOT(c, "-ERR max number of clients reached\r\n");
    CHECK(c->asked_to_close && c->flushed_first);
    CHECK_EQ(redis_door_stats(f->door)->connected, 2);
    CHECK_EQ(redis_door_stats(f->door)->rejected, 1);

    fixture_hang_up(f, c);
    fixture_hang_up(f, a);
    struct far_end *d = fixture_connect(f);
    fixture_send(f, d, "PING\r\n");
    CHECK_GOT(d, "+PONG\r\n");
    fixture_free(f);
}

TEST(limits, refuses_at_once_when_many_wait_to_be_told)
{
    struct fixture *f = fixture_new();

    f->config.clients_max = 1;
    fixture_start(f);
    for (u32 i = 0; i < 100; i++) fixture_connect(f);

    CHECK(!f->ends[1].refused);
    CHECK(f->ends[99].refused);
    CHECK_EQ(redis_door_stats(f->door)->rejected, 99);
    fixture_free(f);
}

TEST(limits, stops_parsing_a_connection_with_too_much_under_way)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);
    struct buf many = {0};

    append_times(&many, "GET a\r\n", 40);
    fixture_deliver(f, e, buf_str(&many));
    fixture_turn(f);
    CHECK_EQ(f->request_count, 33); /* until replies are known to be short, each may have a MiB */
    for (u32 i = 0; i < 33; i++) fixture_answer(f, i, "$1\r\n1\r\n");
    CHECK_EQ(f->request_count, 40);
    for (u32 i = 33; i < 40; i++) fixture_answer(f, i, "$1\r\n1\r\n");

    e->stream->in.limit = 0;
    while (f->request_count < 3000) { /* many short replies later */
        u32 from = f->request_count;
        fixture_deliver(f, e, buf_str(&many));
        fixture_turn(f);
        for (u32 i = from; i < f->request_count; i++) fixture_answer(f, i, "$1\r\n1\r\n");
    }
    u32 before = f->request_count;
    buf_clear(&many);
    append_times(&many, "PING\r\n", 1);
    append_times(&many, "GET a\r\n", 1090);
    fixture_deliver(f, e, buf_str(&many));
    fixture_turn(f);
    CHECK_EQ(f->request_count - before, PIPELINE_DEPTH_MAX);
    CHECK(redis_door_stats(f->door)->pipeline_pauses > 0);
    buf_done(&many);
    fixture_free(f);
}

TEST(limits, admits_a_long_pipeline_of_writes_at_once_except_those_that_answer_a_value)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f), *g = fixture_connect(f);
    struct buf many = {0};

    append_times(&many, "SET a 1\r\n", 1000);
    fixture_deliver(f, e, buf_str(&many));
    fixture_turn(f);
    CHECK_EQ(f->request_count, 1000);
    buf_clear(&many);
    append_times(&many, "SET a 1 GET\r\n", 20);
    append_times(&many, "GETDEL a\r\n", 20);
    fixture_deliver(f, g, buf_str(&many));
    fixture_turn(f);
    CHECK_EQ(f->request_count, 1000 + 33);
    fixture_hang_up(f, e);
    fixture_hang_up(f, g);
    for (u32 i = 0; i < f->request_count; i++) fixture_answer(f, i, "+OK\r\n");
    for (u32 i = 1033; i < f->request_count; i++)
        if (f->requests[i]) fixture_answer(f, i, "+OK\r\n");
    buf_done(&many);
    fixture_free(f);
}

TEST(limits, what_waits_behind_requests_whose_time_ran_out_has_no_time_left)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);
    struct buf many = {0};

    append_times(&many, "GET a\r\n", 50);
    fixture_deliver(f, e, buf_str(&many));
    fixture_turn(f);
    for (u32 i = 0; i < 33; i++) f->requests[i]->deadline = f->now + 1500 * NANOS_MS;
    f->now += 1500 * NANOS_MS;
    for (u32 i = 0; i < 33; i++) fixture_answer(f, i, "-NOQUORUM\r\n");
    CHECK_EQ(f->request_count, 50);
    for (u32 i = 33; i < 50; i++) CHECK_EQ(f->requests[i]->deadline, f->now);

    fixture_send(f, e, "GET b\r\n"); /* this one comes later, and has all its time */
    CHECK_EQ(f->request_count, 51);
    CHECK_EQ(f->requests[50]->deadline, 0);
    for (u32 i = 33; i < 50; i++) fixture_answer(f, i, "-NOQUORUM\r\n");
    fixture_send(f, e, "GET c\r\n"); /* what had no time of its own proves nothing */
    CHECK_EQ(f->requests[51]->deadline, 0);
    fixture_answer(f, 50, "$-1\r\n");
    fixture_answer(f, 51, "$-1\r\n");
    buf_done(&many);
    fixture_free(f);
}

TEST(limits, a_refusal_before_the_time_is_up_says_nothing_about_what_follows)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);
    struct buf many = {0};

    append_times(&many, "GET a\r\n", 50);
    fixture_deliver(f, e, buf_str(&many));
    fixture_turn(f);
    f->requests[0]->deadline = f->now + 1500 * NANOS_MS;
    fixture_answer(f, 0, "-NOQUORUM\r\n");
    CHECK_EQ(f->requests[33]->deadline, 0); /* the gateway will give it its own */
    for (u32 i = 1; i < 50; i++) fixture_answer(f, i, "$-1\r\n");
    buf_done(&many);
    fixture_free(f);
}

TEST(limits, expects_long_replies_where_replies_were_long)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);
    struct buf reply = {0};

    buf_printf(&reply, "$%zu\r\n", 8 * MIB);
    memset(buf_reserve(&reply, 8 * MIB), 'v', 8 * MIB);
    buf_extend(&reply, 8 * MIB);
    buf_append_text(&reply, "\r\n");
    fixture_send(f, e, "GET a\r\n");
    fixture_answer_index(f, 0, buf_str(&reply), 0);
    for (u32 i = 0; i < 20; i++) fixture_send(f, e, "GET a\r\n");

    CHECK_EQ(f->request_count, 1 + 4); /* 32 MiB of replies may come */
    buf_done(&reply);
    fixture_free(f);
}

TEST(limits, stops_parsing_while_the_gateway_is_full)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    f->gateway_full = true;
    fixture_send(f, e, "SET a 1\r\nPING\r\n");
    CHECK_EQ(f->request_count, 0);
    CHECK_GOT(e, "");
    CHECK(redis_door_stats(f->door)->gateway_pauses > 0);
    CHECK(reached(f, LIMIT_GATEWAY_WRITES) > 0);
    f->gateway_full = false;
    fixture_turn(f);
    CHECK_EQ(f->request_count, 1);
    fixture_free(f);
}

TEST(limits, stops_parsing_for_a_client_that_does_not_read_and_goes_on_when_it_does)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);
    struct buf echo = {0};
    struct env_event drained = {.kind = ENV_DRAINED, .stream = e->stream};

    e->reads_nothing = true;
    buf_printf(&echo, "*2\r\n$4\r\nECHO\r\n$%zu\r\n", 50 * KIB);
    memset(buf_reserve(&echo, 50 * KIB), 'x', 50 * KIB);
    buf_extend(&echo, 50 * KIB);
    buf_append_text(&echo, "\r\n");
    for (u32 i = 0; i < 22; i++) fixture_stream(f, e, buf_str(&echo));
    size_t unsent = e->stream->out.len;
    CHECK(unsent > OUTPUT_PAUSE_BYTES && unsent < OUTPUT_PAUSE_BYTES + 60 * KIB);
    CHECK(e->stream->in.len > 0); /* the rest waits unparsed, and then unread */

    e->reads_nothing = false;
    redis_door_flush(f->door);
    fixture_flush(&f->env, e->stream);
    redis_door_on_event(f->door, &drained);
    fixture_turn(f);
    CHECK_EQ(e->stream->in.len, 0);
    buf_done(&echo);
    fixture_free(f);
}

TEST(limits, drops_a_client_whose_unsent_replies_grow_beyond_all_measure)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);
    struct buf reply = {0};

    buf_printf(&reply, "$%zu\r\n", 16 * MIB);
    memset(buf_reserve(&reply, 16 * MIB), 'v', 16 * MIB);
    buf_extend(&reply, 16 * MIB);
    buf_append_text(&reply, "\r\n");
    e->reads_nothing = true;
    fixture_send(f, e, "GET a\r\nGET a\r\nGET a\r\nGET a\r\nGET a\r\nGET a\r\n");
    for (u32 i = 0; i < 6 && !e->asked_to_close; i++)
        fixture_answer_index(f, i, buf_str(&reply), 0);

    CHECK(e->asked_to_close && !e->flushed_first);
    CHECK_EQ(redis_door_stats(f->door)->output_dropped, 1);
    CHECK(strstr(f->log_line, "does not read its replies"));
    buf_done(&reply);
    fixture_free(f);
}

TEST(limits, answers_an_oversized_request_by_name_skips_it_and_goes_on)
{
    struct fixture *f = fixture_new();

    f->config.value_bytes_max = 1000 * KIB;
    fixture_start(f);
    struct far_end *e = fixture_connect(f);
    struct buf input = {0};
    buf_append_text(&input, "*4\r\n$4\r\nMGET\r\n");
    for (u32 i = 0; i < 3; i++) {
        buf_printf(&input, "$%zu\r\n", 900 * KIB);
        memset(buf_reserve(&input, 900 * KIB), '\n', 900 * KIB);
        buf_extend(&input, 900 * KIB);
        buf_append_text(&input, "\r\n");
    }
    buf_append_text(&input, "PING\r\n");
    CHECK_EQ(fixture_stream(f, e, buf_str(&input)), input.len);

    CHECK_GOT(
        e,
        "-TOOBIG limit=client.request-bytes request is over the limit of 2072576 bytes (--value-max and 1 MiB); nothing was "
        "done, send it in parts\r\n+PONG\r\n");
    CHECK_EQ(redis_door_stats(f->door)->too_big, 1);
    CHECK(!e->asked_to_close);
    buf_done(&input);
    fixture_free(f);
}

TEST(limits, an_oversized_request_spoils_the_transaction_it_was_meant_for)
{
    struct fixture *f = fixture_new();

    f->config.value_bytes_max = 1000 * KIB;
    fixture_start(f);
    struct far_end *e = fixture_connect(f);
    struct buf input = {0};
    buf_append_text(&input, "MULTI\r\n*4\r\n$4\r\nMGET\r\n");
    for (u32 i = 0; i < 3; i++) {
        buf_printf(&input, "$%zu\r\n", 900 * KIB);
        memset(buf_reserve(&input, 900 * KIB), 'x', 900 * KIB);
        buf_extend(&input, 900 * KIB);
        buf_append_text(&input, "\r\n");
    }
    fixture_stream(f, e, buf_str(&input));
    buf_clear(&e->got);
    fixture_send(f, e, "EXEC\r\n");
    CHECK_GOT(e, "-EXECABORT Transaction discarded because of previous errors.\r\n");
    buf_done(&input);
    fixture_free(f);
}

TEST(limits, answers_a_value_over_the_limit_by_name_and_skips_it)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);
    struct buf input = {0};

    append_set(&input, "a", 16 * MIB + 1);
    buf_append_text(&input, "*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
    CHECK_EQ(fixture_stream(f, e, buf_str(&input)), input.len);

    CHECK_GOT(
        e,
        "-TOOBIG limit=client.value-bytes value of 16777217 bytes is over the limit of 16777216 (--value-max); nothing was "
        "done, store it in parts\r\n");
    CHECK_EQ(f->request_count, 1);
    CHECK(fixture_asked(f, 0, 0, "GET a"));
    CHECK(!e->asked_to_close);
    CHECK(list_is_empty(&f->door->admission.large)); /* it needed no memory */
    buf_done(&input);
    fixture_free(f);
}

TEST(limits, closes_on_a_length_that_redis_would_not_take_either)
{
    static const char *const requests[] = {"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$536870913\r\n",
                                           "*2\r\n$16777217\r\n"};

    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct fixture *f = fixture_open();
        struct far_end *e = fixture_connect(f);

        fixture_send(f, e, requests[i]);
        CHECK_GOT(e, "-ERR Protocol error: invalid bulk length\r\n");
        CHECK(e->asked_to_close);
        fixture_free(f);
    }
}

TEST(limits, waits_for_the_rest_of_a_length_inside_a_skipped_request)
{
    struct fixture *f = fixture_new();
    f->config.value_bytes_max = 10;
    fixture_start(f);
    struct far_end *e = fixture_connect(f);

    alarm(20); /* it once went round for ever */
    fixture_send(f, e, "*3\r\n$4\r\nMGET\r\n$11\r\naaaaaaaaaaa\r\n$");
    fixture_send(f, e, "1\r");
    fixture_send(f, e, "\na\r\nPING\r\n");
    alarm(0);
    CHECK_GOT(e, "-TOOBIG limit=client.value-bytes value of 11 bytes is over the limit of 10 (--value-max); nothing was done, "
                 "store it in parts\r\n+PONG\r\n");
    fixture_free(f);
}

TEST(limits, closes_when_what_follows_a_skipped_value_makes_no_sense)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);
    struct buf input = {0};

    buf_append_text(&input, "*3\r\n$3\r\nSET\r\n$16777217\r\n");
    memset(buf_reserve(&input, 16 * MIB + 3), 'k', 16 * MIB + 3);
    buf_extend(&input, 16 * MIB + 3);
    buf_append_text(&input, "no length, and never one again\r\n");
    fixture_stream(f, e, buf_str(&input));

    const u8 *first = memchr(buf_bytes(&e->got), '\n', e->got.len); /* TOOBIG's line */
    buf_consume(&e->got, (size_t)(first - buf_bytes(&e->got)) + 1);
    CHECK_GOT(e, "-ERR Protocol error: invalid bulk length\r\n");
    CHECK(e->asked_to_close);
    buf_done(&input);
    fixture_free(f);
}

TEST(limits, takes_the_largest_value)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);
    struct buf set = {0};

    append_set(&set, "a", 16 * MIB);
    CHECK_EQ(fixture_stream(f, e, buf_str(&set)), set.len);

    CHECK_EQ(f->request_count, 1);
    CHECK(fixture_entry(f, 0).body.len > 16 * MIB);
    CHECK_EQ(e->stream->in.len, 0);
    CHECK_EQ(e->stream->in.limit, INPUT_SMALL_BYTES); /* given back */
    CHECK_EQ(f->door->admission.granted, 0);
    buf_done(&set);
    fixture_free(f);
}

TEST(limits, grants_memory_for_large_requests_in_turn)
{
    struct fixture *f = fixture_new();

    f->config.memory_bytes = 20 * 10 * MIB; /* a twentieth holds large requests */
    fixture_start(f);
    struct far_end *a = fixture_connect(f), *b = fixture_connect(f), *c = fixture_connect(f);
    struct buf set = {0};
    append_set(&set, "a", 8 * MIB);
    size_t half = set.len / 2;

    CHECK_EQ(fixture_stream(f, a, str_from(buf_bytes(&set), half)), half);
    size_t b_sent = fixture_stream(f, b, buf_str(&set)),
           c_sent = fixture_stream(f, c, buf_str(&set));
    CHECK_EQ(b_sent, INPUT_SMALL_BYTES); /* they wait */
    CHECK_EQ(c_sent, INPUT_SMALL_BYTES);
    CHECK(redis_door_stats(f->door)->input_waits >= 2);
    CHECK_EQ(fixture_stream(f, a, str_from(buf_bytes(&set) + half, set.len - half)),
             set.len - half);
    CHECK_EQ(f->request_count, 1);

    CHECK_EQ(fixture_stream(f, b, str_from(buf_bytes(&set) + b_sent, set.len - b_sent)),
             set.len - b_sent);
    fixture_hang_up(f, c);
    CHECK_EQ(f->door->admission.granted, 0);
    CHECK(list_is_empty(&f->door->admission.large));
    CHECK_EQ(f->request_count, 2);
    buf_done(&set);
    fixture_free(f);
}

TEST(limits, a_stream_of_large_requests_does_not_keep_others_waiting)
{
    struct fixture *f = fixture_new();

    f->config.memory_bytes = 20 * 10 * MIB;
    fixture_start(f);
    struct far_end *a = fixture_connect(f), *b = fixture_connect(f);
    struct buf one = {0}, many = {0};
    append_set(&one, "a", 8 * MIB);
    for (u32 i = 0; i < 3; i++) buf_append_str(&many, buf_str(&one));
    size_t a_sent = fixture_stream(f, a, str_from(buf_bytes(&many), one.len / 2));
    size_t b_sent = fixture_stream(f, b, buf_str(&one));
    CHECK(b_sent < one.len);

    /* a goes on with its first request and into its second: now it is behind b */
    for (u32 i = 0; i < 1000 && f->request_count == 0; i++)
        a_sent += fixture_stream(f, a, str_from(buf_bytes(&many) + a_sent, 10000));
    a_sent += fixture_stream(f, a, str_from(buf_bytes(&many) + a_sent, many.len - a_sent));
    CHECK_EQ(f->request_count, 1);
    b_sent += fixture_stream(f, b, str_from(buf_bytes(&one) + b_sent, one.len - b_sent));
    CHECK_EQ(b_sent, one.len);
    CHECK_EQ(f->request_count, 2);
    a_sent += fixture_stream(f, a, str_from(buf_bytes(&many) + a_sent, many.len - a_sent));
    CHECK_EQ(a_sent, many.len);
    CHECK_EQ(f->request_count, 4);
    CHECK_EQ(f->door->admission.granted, 0);
    buf_done(&one);
    buf_done(&many);
    fixture_free(f);
}

TEST(limits, drops_who_holds_that_memory_and_sends_nothing_while_others_wait)
{
    struct fixture *f = fixture_new();

    f->config.memory_bytes = 20 * 10 * MIB;
    fixture_start(f);
    struct far_end *a = fixture_connect(f), *b = fixture_connect(f);
    struct buf set = {0};
    append_set(&set, "a", 8 * MIB);
    fixture_stream(f, a, str_from(buf_bytes(&set), set.len / 2));
    f->now += 60 * NANOS_SEC;
    fixture_turn(f);
    CHECK(!a->asked_to_close); /* nobody minds */
    size_t sent = fixture_stream(f, b, buf_str(&set));
    f->now += 2 * NANOS_SEC;
    fixture_turn(f);
    CHECK(a->asked_to_close);
    CHECK_EQ(redis_door_stats(f->door)->input_dropped, 1);
    fixture_hang_up(f, a);
    CHECK_EQ(fixture_stream(f, b, str_from(buf_bytes(&set) + sent, set.len - sent)),
             set.len - sent);
    CHECK_EQ(f->request_count, 1);
    buf_done(&set);
    fixture_free(f);
}

TEST(limits, an_idle_connection_holds_less_than_a_kibibyte)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "SET a 1\r\nPING\r\nMULTI\r\nSET b 2\r\nDISCARD\r\n");
    fixture_answer(f, 0, "+OK\r\n");
    const struct client *c = e->stream->owner;

    CHECK(!c->parser); /* lent only while a request is under way */
    CHECK(!c->tx);
    CHECK(list_is_empty(&c->queue));
    CHECK(sizeof *c <= 1024);
    fixture_free(f);
}

TEST(limits, a_turn_parses_a_bounded_number_of_requests_and_every_connection_gets_its_share)
{
    struct fixture *f = fixture_open();
    struct buf pings = {0};

    append_times(&pings, "PING\r\n", 8000);
    for (u32 i = 0; i < 3; i++) fixture_connect(f);
    for (u32 i = 0; i < 3; i++) fixture_deliver(f, &f->ends[i], buf_str(&pings));
    CHECK(redis_door_turn(f->door)); /* there is more */
    u64 first = redis_door_stats(f->door)->commands;
    CHECK(first >= TURN_REQUESTS_MAX && first < TURN_REQUESTS_MAX + 2 * VISIT_REQUESTS_MAX);
    for (u32 i = 0; i < 3; i++) CHECK(f->ends[i].stream->out.len >= 5 * VISIT_REQUESTS_MAX * 7);
    fixture_turn(f);
    CHECK_EQ(redis_door_stats(f->door)->commands, 24000);
    buf_done(&pings);
    fixture_free(f);
}

TEST(limits, stops_cleanly_after_what_is_under_way)
{
    struct fixture *f = fixture_open();
    struct far_end *idle = fixture_connect(f), *busy = fixture_connect(f);

    fixture_send(f, busy, "SET a 1\r\n");
    CHECK(!redis_door_stopping(f->door));
    fixture_turn(f);
    CHECK(idle->asked_to_close && !busy->asked_to_close);
    fixture_hang_up(f, idle);
    fixture_send(f, busy, "SET b 2\r\n");
    CHECK_EQ(f->request_count, 1); /* nothing new is begun */
    struct far_end *late = fixture_connect(f);
    CHECK(late->refused);

    fixture_answer(f, 0, "+OK\r\n");
    CHECK(!redis_door_stopping(f->door));
    fixture_turn(f);
    CHECK_GOT(busy, "+OK\r\n");
    CHECK(busy->asked_to_close);
    fixture_hang_up(f, busy);
    CHECK(redis_door_stopping(f->door));
    fixture_free(f);
}

TEST(limits, a_stop_does_not_wait_for_ever)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "SET a 1\r\n");
    CHECK(!redis_door_stopping(f->door));
    f->now = redis_door_deadline(f->door);
    CHECK(!redis_door_stopping(f->door));
    CHECK(e->asked_to_close);
    CHECK_EQ(redis_door_deadline(f->door), NANOS_NEVER);
    fixture_free(f);
}

TEST(limits, says_what_to_do_when_it_cannot_listen)
{
    struct fixture *f = fixture_new();
    char problem[256];

    f->config.redis_port = 1;
    CHECK_EQ(redis_door_new((struct node *)(void *)f, problem, sizeof problem, &f->door),
             ERR_ADDRESS_IN_USE);
    CHECK(strstr(problem, "127.0.0.1:1: address in use"));
    fixture_free(f);
}

TEST(limits, are_told_as_they_are_and_counted_when_they_are_reached)
{
    struct fixture *f = fixture_new();
    f->config.value_bytes_max = 10;
    fixture_start(f);
    struct far_end *e = fixture_connect(f);
    struct limits_now now = {0};

    redis_door_limits(f->door, &now);
    for (u32 id = LIMIT_NONE + 1; id < LIMIT_COUNT; id++) CHECK(now.at[id].use <= now.at[id].value);
    CHECK_EQ(now.at[LIMIT_CLIENT_CONNECTIONS].value, f->config.clients_max);
    CHECK_EQ(now.at[LIMIT_CLIENT_CONNECTIONS].use, 1);
    for (u32 i = 0; i < PIPELINE_DEPTH_MAX + 1; i++) fixture_send(f, e, "SET a 1\r\n");
    now = (struct limits_now){0};
    redis_door_limits(f->door, &now);
    CHECK_EQ(now.at[LIMIT_CLIENT_PIPELINE_REQUESTS].use, PIPELINE_DEPTH_MAX);
    CHECK(now.at[LIMIT_CLIENT_PIPELINE_REQUESTS].reached > 0);
    CHECK_EQ(now.at[LIMIT_NODE_WRITES].use, PIPELINE_DEPTH_MAX);

    struct far_end *other = fixture_connect(f);
    fixture_send(f, other, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$11\r\n12345678901\r\n");
    CHECK(strstr((const char *)buf_bytes(&other->got), "limit=client.value-bytes"));
    CHECK_EQ(reached(f, LIMIT_CLIENT_VALUE), 1);
    CHECK_EQ(reached(f, LIMIT_CLIENT_REQUEST), 0);
    fixture_free(f);
}

TEST_MAIN(
    RUN(limits, tells_a_client_too_many_why_and_closes),
    RUN(limits, refuses_at_once_when_many_wait_to_be_told),
    RUN(limits, stops_parsing_a_connection_with_too_much_under_way),
    RUN(limits, admits_a_long_pipeline_of_writes_at_once_except_those_that_answer_a_value),
    RUN(limits, what_waits_behind_requests_whose_time_ran_out_has_no_time_left),
    RUN(limits, a_refusal_before_the_time_is_up_says_nothing_about_what_follows),
    RUN(limits, expects_long_replies_where_replies_were_long),
    RUN(limits, stops_parsing_while_the_gateway_is_full),
    RUN(limits, stops_parsing_for_a_client_that_does_not_read_and_goes_on_when_it_does),
    RUN(limits, drops_a_client_whose_unsent_replies_grow_beyond_all_measure),
    RUN(limits, answers_an_oversized_request_by_name_skips_it_and_goes_on),
    RUN(limits, an_oversized_request_spoils_the_transaction_it_was_meant_for),
    RUN(limits, answers_a_value_over_the_limit_by_name_and_skips_it),
    RUN(limits, closes_on_a_length_that_redis_would_not_take_either),
    RUN(limits, waits_for_the_rest_of_a_length_inside_a_skipped_request),
    RUN(limits, closes_when_what_follows_a_skipped_value_makes_no_sense),
    RUN(limits, takes_the_largest_value), RUN(limits, grants_memory_for_large_requests_in_turn),
    RUN(limits, a_stream_of_large_requests_does_not_keep_others_waiting),
    RUN(limits, drops_who_holds_that_memory_and_sends_nothing_while_others_wait),
    RUN(limits, an_idle_connection_holds_less_than_a_kibibyte),
    RUN(limits, a_turn_parses_a_bounded_number_of_requests_and_every_connection_gets_its_share),
    RUN(limits, stops_cleanly_after_what_is_under_way), RUN(limits, a_stop_does_not_wait_for_ever),
    RUN(limits, says_what_to_do_when_it_cannot_listen), RUN(limits, are_told_as_they_are_and_counted_when_they_are_reached))
