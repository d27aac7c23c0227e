/* At which level a read is asked for, and by whose word: the request's, the connection's, the keyspace's. Tokens. */
#include "server/redis/door_fixture.h"

static u8 level_of(struct fixture *f, u32 i)
{
    return f->requests[i]->level.kind;
}

TEST(level, is_the_requests_before_the_connections)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "GET a\r\nAT follower GET a\r\nCLIENT LEVEL stale:70\r\nGET a\r\nAT quorum GET a\r\nGET a\r\n"
                       "CLIENT LEVEL DEFAULT\r\nGET a\r\n");
    CHECK_EQ(f->request_count, 6);
    CHECK(level_of(f, 0) == LEVEL_LEASE && level_of(f, 1) == LEVEL_FOLLOWER && level_of(f, 3) == LEVEL_QUORUM);
    CHECK(level_of(f, 2) == LEVEL_STALE && f->requests[2]->level.ms == 70);
    CHECK(level_of(f, 4) == LEVEL_STALE && level_of(f, 5) == LEVEL_LEASE);
    CHECK(fixture_asked(f, 1, 0, "GET a"));
    fixture_free(f);
}

TEST(level, after_reset_is_the_keyspaces)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "CLIENT LEVEL local\r\nGET a\r\n");
    CHECK_EQ(level_of(f, 0), LEVEL_LOCAL);
    fixture_answer(f, 0, "$-1\r\n");
    fixture_send(f, e, "RESET\r\nGET a\r\n");
    CHECK_EQ(level_of(f, 1), LEVEL_LEASE);
    fixture_free(f);
}

TEST(level, that_there_is_not_is_refused_with_those_there_are)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "AT nowhere GET a\r\nAT eventual GET a\r\nAT stale:0 GET a\r\nCLIENT LEVEL x\r\nAT local PING\r\nAT local GET\r\n");
    CHECK_EQ(f->request_count, 0);
    CHECK_GOT(e, "-LEVEL there is no level 'nowhere'; nothing was done. Levels: " LEVEL_WORDS "\r\n"
                 "-LEVEL 'eventual' is not what a linearizable keyspace offers, and default is one; nothing was done. Levels: "
                 LEVEL_WORDS "; the weakest is local\r\n"
                 "-LEVEL there is no level 'stale:0'; nothing was done. Levels: " LEVEL_WORDS "\r\n"
                 "-LEVEL there is no level 'x'; nothing was done. Levels: " LEVEL_WORDS "\r\n"
                 "-ERR at is of commands on keys only, not 'PING'\r\n"
                 "-ERR wrong number of arguments for 'get' command\r\n");
    fixture_free(f);
}

TEST(level, of_a_transaction_is_the_leaders)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "CLIENT LEVEL local\r\nMULTI\r\nGET a\r\nEXEC\r\n");
    CHECK(f->requests[0]->kind == GATEWAY_READ && level_of(f, 0) == LEVEL_LEASE);
    fixture_send(f, e, "MULTI\r\nAT local GET a\r\n");
    fixture_answer(f, 0, "*1\r\n$-1\r\n");
    CHECK_GOT(e, "+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n$-1\r\n+OK\r\n-ERR Command not allowed inside a transaction\r\n");
    fixture_free(f);
}

TEST(level, deadlines_of_a_connection_are_its_requests)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "GET a\r\nCLIENT DEADLINE 200\r\nGET a\r\nCLIENT DEADLINE 0\r\n");
    CHECK_EQ(f->requests[0]->deadline, 0); /* the gateway's own */
    CHECK_EQ(f->requests[1]->deadline, f->now + 200 * NANOS_MS);
    fixture_free(f);
}

/* What Q.TOKEN replies, as an argument. */
static void take_token(struct fixture *f, struct far_end *e, char *out, size_t size)
{
    buf_clear(&e->got);
    fixture_send(f, e, "Q.TOKEN\r\n");
    str got = buf_str(&e->got);
    const u8 *line = memchr(got.at, '\n', got.len);
    CHECK(got.len > 6 && got.at[0] == '$' && line);
    snprintf(out, size, "%.*s", (int)(got.len - (size_t)(line + 1 - got.at) - 2), (const char *)line + 1);
    buf_clear(&e->got);
}

TEST(token, carries_what_a_connection_has_seen_to_another)
{
    struct fixture *f = fixture_open();
    struct far_end *a = fixture_connect(f), *b = fixture_connect(f);
    char token[400], line[500];

    fixture_send(f, a, "CLIENT LEVEL session\r\nGET x\r\n");
    f->requests[0]->order->seen_hlc = 0x1234567; /* as the gateway notes it */
    fixture_answer(f, 0, "$-1\r\n");
    take_token(f, a, token, sizeof token);
    snprintf(line, sizeof line, "Q.TOKEN %s\r\nAT session GET x\r\n", token);
    fixture_send(f, b, line);
    CHECK_GOT(b, "+OK\r\n");
    CHECK_EQ(f->requests[1]->order->seen_hlc, 0x1234567);
    CHECK(!f->requests[1]->order->lost);
    fixture_free(f);
}

TEST(token, of_what_it_does_not_name_nothing_is_assumed)
{
    struct fixture *f = fixture_open();
    struct far_end *a = fixture_connect(f), *b = fixture_connect(f);
    char token[400], line[500];

    take_token(f, a, token, sizeof token); /* it has seen nothing */
    snprintf(line, sizeof line, "Q.TOKEN %s\r\nAT session GET x\r\n", token);
    fixture_send(f, b, line);
    CHECK_GOT(b, "+OK\r\n");
    CHECK(f->requests[0]->order->lost);
    fixture_free(f);
}

TEST(token, that_is_not_whole_is_refused)
{
    struct fixture *f = fixture_open();
    struct far_end *a = fixture_connect(f), *b = fixture_connect(f);
    char token[400], line[500];

    take_token(f, a, token, sizeof token);
    for (size_t i = 0; token[i]; i++) {
        char was = token[i];
        token[i] = was == '7' ? '8' : '7';
        snprintf(line, sizeof line, "Q.TOKEN %s\r\n", token);
        buf_clear(&b->got);
        fixture_send(f, b, line);
        CHECK(b->got.len && buf_bytes(&b->got)[0] == '-');
        token[i] = was;
    }
    buf_clear(&b->got);
    fixture_send(f, b, "Q.TOKEN\r\nQ.TOKEN zz\r\nQ.TOKEN a b\r\n");
    CHECK_EQ(f->request_count, 0);
    fixture_free(f);
}

TEST_MAIN(RUN(level, is_the_requests_before_the_connections),
          RUN(level, after_reset_is_the_keyspaces),
          RUN(level, that_there_is_not_is_refused_with_those_there_are), RUN(level, of_a_transaction_is_the_leaders),
          RUN(level, deadlines_of_a_connection_are_its_requests),
          RUN(token, carries_what_a_connection_has_seen_to_another),
          RUN(token, of_what_it_does_not_name_nothing_is_assumed), RUN(token, that_is_not_whole_is_refused))
