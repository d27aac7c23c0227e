#include "server/redis/door_fixture.h"

/* What the door tells from event `since` on, up to the list's end. */
static struct buf told(struct fixture *f, u64 since)
{
    struct buf out = {0};

    redis_door_sampled(f->door, since, &out);
    buf_append_u8(&out, 0);
    return out;
}

#define CHECK_TOLD(f, since, text)                                                                                     \
    do {                                                                                                               \
        struct buf told_ = told(f, since);                                                                             \
        if (!strstr((const char *)buf_bytes(&told_), text)) fprintf(stderr, "%s\n", (const char *)buf_bytes(&told_)); \
        CHECK(strstr((const char *)buf_bytes(&told_), text) != NULL);                                                  \
        buf_done(&told_);                                                                                              \
    } while (0)

TEST(sample, tells_when_a_request_begins_and_ends)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    redis_door_sample(f->door, 1, 10);
    fixture_send(f, e, "SET k v1\r\nGET k\r\nINCR n\r\n");
    CHECK_TOLD(f, 0, "\"events\":[{\"id\":1,\"op\":\"set\",\"space\":\"2/0\",\"key\":\"k\",\"value\":\"v1\",\"client\":1,\"invoke\":100000000},"
                     "{\"id\":2,\"op\":\"get\",\"space\":\"2/0\",\"key\":\"k\",\"client\":1,\"invoke\":100000000},"
                     "{\"id\":3,\"op\":\"incr\",\"space\":\"2/0\",\"key\":\"n\",\"value\":\"1\",\"client\":1,\"invoke\":100000000}]");
    f->now += NANOS_SEC;
    fixture_answer(f, 0, "+OK\r\n");
    fixture_answer(f, 1, "$-1\r\n");
    fixture_answer(f, 2, "-NOQUORUM no\r\n");
    CHECK_TOLD(f, 3, "\"events\":[{\"id\":1,\"result\":\"\",\"outcome\":\"ok\",\"return\":101000001},"
                     "{\"id\":2,\"outcome\":\"ok\",\"return\":101000001},{\"id\":3,\"outcome\":\"failed\",\"return\":101000001}],"
                     "\"next\":6,\"more\":false,\"now\":101000000");
    fixture_free(f);
}

TEST(sample, calls_other_what_the_checker_cannot_follow)
{
    static const char *const others[] = {"SET k v EX 10\r\n", "APPEND k v\r\n", "EXPIRE k 10\r\n", "MSET a 1 k 2\r\n",
                                         "MULTI\r\nSET k v\r\nEXEC\r\n",
                                         "Q.SESSION CALL 00112233445566778899aabbccddeeff 1 SET k v\r\n"};

    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct fixture *f = fixture_open();
        struct far_end *e = fixture_connect(f);
        redis_door_sample(f->door, 1, 10);
        fixture_send(f, e, others[i]);
        CHECK_TOLD(f, 0, "\"op\":\"other\",\"space\":\"2/0\",\"key\":\"k\"");
        fixture_answer(f, 0, "*1\r\n+OK\r\n");
        CHECK_TOLD(f, 0, "\"outcome\":\"ok\"");
        fixture_free(f);
    }
}

TEST(sample, tells_of_writes_to_the_whole_database_without_a_key)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    redis_door_sample(f->door, 1000000, 10);
    fixture_send(f, e, "FLUSHALL\r\nDBSIZE\r\nSET k v\r\n");
    CHECK_TOLD(f, 0, "\"events\":[{\"id\":1,\"op\":\"other\",\"space\":\"2/0\",\"client\":1,\"invoke\":100000000}],\"next\":1");
    for (u32 i = 0; i < 3; i++) fixture_answer(f, i, "+OK\r\n");
    fixture_free(f);
}

TEST(sample, ends_by_itself_and_shows_that_it_did)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    redis_door_sample(f->door, 1, 10);
    fixture_send(f, e, "SET k v\r\n");
    f->now += 11 * NANOS_SEC;
    fixture_answer(f, 0, "+OK\r\n");
    CHECK_TOLD(f, 1, "\"on\":false");
    fixture_send(f, e, "SET k v\r\n");
    fixture_answer(f, 1, "+OK\r\n");
    redis_door_sample(f->door, 1, 10);
    CHECK_TOLD(f, 0, "\"on\":true,\"started\":2,\"rate\":1,\"oldest\":2,\"events\":[]");
    fixture_free(f);
}

TEST(sample, drops_the_oldest_events_and_says_so)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    redis_door_sample(f->door, 1, 10);
    u32 rounds = SAMPLE_BYTES_MAX / 128; /* an event has more than 64 bytes */
    for (u32 i = 0; i < rounds; i++) {
        fixture_send(f, e, "SET k v\r\n");
        fixture_answer(f, f->request_count - 1, "+OK\r\n");
        f->request_count = 0;
    }
    struct buf out = told(f, 0);
    const char *oldest = strstr((const char *)buf_bytes(&out), "\"oldest\":");
    CHECK(oldest && strtoul(oldest + 9, NULL, 10) > 0);
    CHECK(strstr((const char *)buf_bytes(&out), "\"more\":true") != NULL);
    CHECK(out.len < 2 * SAMPLE_REPLY_BYTES);
    buf_done(&out);
    fixture_free(f);
}

TEST(sample, answers_from_the_past_where_it_is_told_to)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "DEBUG STALE-READ k\r\nGET k\r\nGET k\r\nGET other\r\n");
    fixture_answer(f, 0, "$1\r\na\r\n");
    fixture_answer(f, 1, "$1\r\nb\r\n");
    fixture_answer(f, 2, "$1\r\nc\r\n");
    CHECK_GOT(e, "+OK\r\n$1\r\na\r\n$1\r\na\r\n$1\r\nc\r\n");
    fixture_free(f);
}

TEST_MAIN(RUN(sample, tells_when_a_request_begins_and_ends), RUN(sample, calls_other_what_the_checker_cannot_follow),
          RUN(sample, tells_of_writes_to_the_whole_database_without_a_key),
          RUN(sample, ends_by_itself_and_shows_that_it_did), RUN(sample, drops_the_oldest_events_and_says_so),
          RUN(sample, answers_from_the_past_where_it_is_told_to))
