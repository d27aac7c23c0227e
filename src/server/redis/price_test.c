/* What requests cost is counted by keyspace and kind, and told. */
#include "server/redis/door_fixture.h"

static struct histogram recent_of(struct fixture *f, u32 keyspace, enum latency_kind kind)
{
    const struct latency *l = latencies_of(redis_door_latencies(f->door), keyspace, kind);
    struct histogram h = {0};

    if (l) recent_read(&l->took, f->now, &h);
    return h;
}

static u64 p50(struct fixture *f, enum latency_kind kind)
{
    struct histogram h = recent_of(f, CORE_KEYSPACE_DEFAULT, kind);
    return histogram_quantile(&h, 500);
}

static const enum latency_kind READ_LEASE = (enum latency_kind)(LATENCY_READ + LEVEL_LEASE),
                               READ_LOCAL = (enum latency_kind)(LATENCY_READ + LEVEL_LOCAL),
                               READ_STALE = (enum latency_kind)(LATENCY_READ + LEVEL_STALE);

TEST(price, a_request_is_counted_under_its_level_with_the_time_to_its_answer)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "SET a 1\r\nGET a\r\nAT local GET a\r\n");
    f->now += 9000;
    fixture_answer(f, 2, "$1\r\n1\r\n");
    f->now += 5000;
    fixture_answer(f, 1, "$1\r\n1\r\n");
    f->now += 1000;
    fixture_answer(f, 0, "+OK\r\n");

    CHECK_EQ(p50(f, READ_LOCAL), 9);
    CHECK_EQ(p50(f, READ_LEASE), 14);
    CHECK_EQ(p50(f, LATENCY_WRITE), 15);
    CHECK_EQ(recent_of(f, CORE_KEYSPACE_DEFAULT, READ_STALE).count, 0);
    fixture_free(f);
}

TEST(price, what_was_refused_is_counted_by_its_name_and_has_no_price)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "GET a\r\nGET a\r\n");
    f->now += 1500 * NANOS_MS;
    fixture_answer(f, 0, "-NOQUORUM no leader\r\n");
    fixture_answer(f, 1, "-WRONGTYPE it is answered\r\n");

    const struct latency *l = latencies_of(redis_door_latencies(f->door), CORE_KEYSPACE_DEFAULT, READ_LEASE);
    CHECK_EQ(l->answered, 1);
    CHECK_EQ(l->refused[0], 1);
    CHECK_STR(str_of(latency_refusal_name(0)), "NOQUORUM");
    CHECK_EQ(recent_of(f, CORE_KEYSPACE_DEFAULT, READ_LEASE).count, 1);
    fixture_free(f);
}

TEST(price, it_speaks_of_the_last_minute_only)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "GET a\r\n");
    f->now += 5000;
    fixture_answer(f, 0, "$1\r\n1\r\n");
    f->now += 61 * NANOS_SEC;

    CHECK_EQ(recent_of(f, CORE_KEYSPACE_DEFAULT, READ_LEASE).count, 0);
    CHECK_EQ(latencies_of(redis_door_latencies(f->door), CORE_KEYSPACE_DEFAULT, READ_LEASE)->answered, 1);
    fixture_free(f);
}

static bool got(const struct far_end *e, const char *text)
{
    return memmem(buf_bytes(&e->got), e->got.len, text, strlen(text)) != NULL;
}

TEST(price, an_explained_read_says_what_its_neighbours_cost)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);
    struct cost cost = {.level = {LEVEL_FOLLOWER, 0}, .hlc = 77, .served_by = 3};
    struct gateway_reply reply = {.bytes = STR("$1\r\n1\r\n"), .cost = &cost};

    fixture_send(f, e, "GET a\r\n"); /* at lease, the stronger one */
    f->now += 14000;
    fixture_answer(f, 0, "$1\r\n1\r\n");
    fixture_send(f, e, "Q.EXPLAIN AT follower GET a\r\n");
    struct gateway_request *req = f->requests[1];
    f->requests[1] = NULL;
    rcbuf_unref(req->entry);
    req->done(req, &reply);
    fixture_turn(f);

    CHECK(got(e, "$3\r\nhlc\r\n:77\r\n"));
    CHECK(got(e, "$8\r\nstronger\r\n*3\r\n$5\r\nlease\r\n:14\r\n:14\r\n"));
    CHECK(got(e, "$6\r\nweaker\r\n*3\r\n$7\r\nsession\r\n$-1\r\n$-1\r\n"));
    fixture_free(f);
}

TEST_MAIN(RUN(price, an_explained_read_says_what_its_neighbours_cost),
          RUN(price, a_request_is_counted_under_its_level_with_the_time_to_its_answer),
          RUN(price, what_was_refused_is_counted_by_its_name_and_has_no_price),
          RUN(price, it_speaks_of_the_last_minute_only))
