/* Q.SESSION: what the entries say. That they run once is the partition's (part/session_test.c). */
#include "server/redis/door_fixture.h"

#define ID "00112233445566778899aabbccddeeff"

TEST(session, opens_with_a_fresh_id_that_marks_it_as_a_clients)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "Q.SESSION OPEN\r\nQ.SESSION OPEN TTL 7\r\n");
    struct entry first = fixture_entry(f, 0), second = fixture_entry(f, 1);
    CHECK_EQ(first.op, ENTRY_SESSION_OPEN);
    CHECK(first.session.bytes[15] & 0x80);
    CHECK(!mem_equal(first.session.bytes, second.session.bytes, 16));
    struct reader r = reader_of(first.body), s = reader_of(second.body);
    CHECK_EQ(reader_u64(&r), 3600 * 1000);
    CHECK_EQ(reader_u64(&s), 7000);
    char expected[64] = "$32\r\n";
    for (u32 i = 0; i < 16; i++) snprintf(expected + 5 + 2 * i, 4, "%02x", first.session.bytes[i]);
    snprintf(expected + 37, 4, "\r\n");
    fixture_answer(f, 0, "+OK\r\n");
    CHECK_GOT(e, expected);
    fixture_answer(f, 1, "-NOQUORUM x\r\n");
    CHECK_GOT(e, "-NOQUORUM x\r\n");
    fixture_free(f);
}

TEST(session, calls_carry_the_clients_own_session_and_seq)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "SELECT 3\r\nQ.SESSION CALL " ID " 5 INCR n\r\n");
    struct entry first = fixture_entry(f, 0);
    CHECK(fixture_asked(f, 0, 3, "INCR n"));
    CHECK_EQ(first.session.bytes[1], 0x11);
    CHECK_EQ(first.session.bytes[15], 0xff);
    CHECK_EQ(first.seq, 5);
    CHECK_EQ(first.acked, 1);
    CHECK_EQ(first.first_hlc, hlc_from_us(f->wall_us));
    fixture_answer(f, 0, ":1\r\n");
    CHECK_GOT(e, "+OK\r\n:1\r\n");
    fixture_free(f);
}

TEST(session, the_same_call_is_the_same_on_another_connection_and_in_another_place)
{
    struct fixture *f = fixture_open();
    struct far_end *a = fixture_connect(f), *b = fixture_connect(f);

    fixture_send(f, a, "Q.SESSION CALL " ID " 2 INCR n\r\n");
    fixture_send(f, b, "PING\r\nSET x y\r\nQ.SESSION CALL " ID " 2 INCR n\r\n");
    struct entry first = fixture_entry(f, 0), again = fixture_entry(f, 2);

    CHECK(mem_equal(first.session.bytes, again.session.bytes, 16));
    CHECK_EQ(first.seq, again.seq);
    CHECK(str_equal(first.body, again.body));
    fixture_free(f);
}

TEST(session, lets_go_of_results_a_window_behind)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e,
                 "Q.SESSION CALL " ID " 1024 INCR n\r\nQ.SESSION CALL " ID " 1025 INCR n\r\n");

    CHECK_EQ(fixture_entry(f, 0).acked, 1);
    CHECK_EQ(fixture_entry(f, 1).acked, 2);
    fixture_free(f);
}

TEST(session, reads_are_plain_reads)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "Q.SESSION CALL " ID " 9 GET n\r\n");
    struct entry entry = fixture_entry(f, 0);

    CHECK_EQ(f->requests[0]->kind, GATEWAY_READ);
    CHECK_EQ(entry.seq, 0);
    CHECK_EQ(entry.session.bytes[15], 0);
    fixture_free(f);
}

TEST(session, closes)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "Q.SESSION CLOSE " ID "\r\n");
    CHECK_EQ(fixture_entry(f, 0).op, ENTRY_SESSION_CLOSE);
    CHECK_EQ(fixture_entry(f, 0).session.bytes[15], 0xff);
    fixture_answer(f, 0, "+OK\r\n");
    CHECK_GOT(e, "+OK\r\n");
    fixture_send(f, e, "Q.SESSION CLOSE " ID "\r\n"); /* again: answered as before */
    fixture_answer(f, 1, "-SESSION unknown or expired; and so on\r\n");
    CHECK_GOT(e, "+OK\r\n");
    fixture_send(f, e, "Q.SESSION CLOSE " ID "\r\n");
    fixture_answer(f, 2, "-UNKNOWN outcome\r\n");
    CHECK_GOT(e, "-UNKNOWN outcome\r\n");
    fixture_free(f);
}

TEST(session, refuses_what_makes_no_sense)
{
    static const struct {
        const char *request, *reply;
    } cases[] = {
        {"Q.SESSION", "-ERR wrong number of arguments for 'q.session' command\r\n"},
        {"Q.SESSION NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try Q.SESSION HELP.\r\n"},
        {"Q.SESSION OPEN TTL", "-ERR syntax error\r\n"},
        {"Q.SESSION OPEN TTL x", "-ERR value is not an integer or out of range\r\n"},
        {"Q.SESSION OPEN TTL 0",
         "-ERR invalid TTL: a session lives 1 to 2592000 seconds after its last call\r\n"},
        {"Q.SESSION CALL x 1 GET a",
         "-ERR invalid session id: give the 32 hexadecimal digits that Q.SESSION OPEN replied\r\n"},
        {"Q.SESSION CALL 00112233445566778899aabbccddee7f 1 GET a", /* a node's session, not a
                                                                       client's */
         "-ERR invalid session id: give the 32 hexadecimal digits that Q.SESSION OPEN replied\r\n"},
        {"Q.SESSION CALL " ID " 0 INCR a",
         "-ERR invalid seq: number a session's calls from 1 upwards\r\n"},
        {"Q.SESSION CALL " ID " x INCR a",
         "-ERR invalid seq: number a session's calls from 1 upwards\r\n"},
        {"Q.SESSION CALL " ID " 1 PING",
         "-ERR Q.SESSION CALL runs commands on keys only, not 'PING'\r\n"},
        {"Q.SESSION CALL " ID " 1 INCR", "-ERR wrong number of arguments for 'incr' command\r\n"},
        {"Q.SESSION CALL " ID " 1",
         "-ERR wrong number of arguments for 'q.session|call' command\r\n"},
        {"Q.SESSION CLOSE x",
         "-ERR invalid session id: give the 32 hexadecimal digits that Q.SESSION OPEN replied\r\n"},
    };
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fixture_send(f, e, cases[i].request);
        fixture_send(f, e, "\r\n");
        CHECK_GOT(e, cases[i].reply);
    }
    CHECK_EQ(f->request_count, 0);
    fixture_send(f, e, "MULTI\r\nQ.SESSION OPEN\r\n");
    CHECK_GOT(e, "+OK\r\n-ERR Command not allowed inside a transaction\r\n");
    fixture_free(f);
}

TEST_MAIN(RUN(session, opens_with_a_fresh_id_that_marks_it_as_a_clients),
          RUN(session, calls_carry_the_clients_own_session_and_seq),
          RUN(session, the_same_call_is_the_same_on_another_connection_and_in_another_place),
          RUN(session, lets_go_of_results_a_window_behind), RUN(session, reads_are_plain_reads),
          RUN(session, closes), RUN(session, refuses_what_makes_no_sense))
