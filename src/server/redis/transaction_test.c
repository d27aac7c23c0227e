/* MULTI, EXEC, WATCH: what goes to the gateway, and how the replies of queued local commands find
 * their places. That Redis answers the same is for redis_golden_test.c. */
#include "server/redis/door_fixture.h"

/* The EXEC entry of request i: how many watches and commands. */
static struct reader exec_body(struct fixture *f, u32 i, u32 *watches)
{
    struct entry e = fixture_entry(f, i);
    struct reader r = reader_of(e.body);

    CHECK_EQ(e.op, ENTRY_EXEC);
    *watches = reader_u32(&r);
    return r;
}

static bool next_command(struct reader *r, u8 db, const char *name)
{
    struct entry_command c;

    CHECK_OK(entry_decode_command(r, &c));
    bool same = c.db == db && str_is_word(c.argv[0], name);
    entry_command_done(&c);
    return same;
}

TEST(transaction, travels_as_one_entry)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);
    u32 watches;

    fixture_send(f, e, "MULTI\r\nSET a 1\r\nINCR a\r\nEXEC\r\nGET a\r\n");
    CHECK_EQ(f->request_count, 2); /* nothing waits for it */
    CHECK_EQ(f->requests[0]->kind, GATEWAY_WRITE);
    struct reader r = exec_body(f, 0, &watches);
    CHECK_EQ(watches, 0);
    CHECK_EQ(reader_u32(&r), 2);
    CHECK(next_command(&r, 0, "set"));
    CHECK(next_command(&r, 0, "incr"));
    CHECK_EQ(reader_left(&r), 0);
    fixture_answer(f, 0, "*2\r\n+OK\r\n:2\r\n");
    fixture_answer(f, 1, "$1\r\n2\r\n");

    CHECK_GOT(e, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n:2\r\n$1\r\n2\r\n");
    fixture_free(f);
}

TEST(transaction, is_a_read_when_it_only_reads)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "MULTI\r\nGET a\r\nSTRLEN a\r\nEXEC\r\n");

    CHECK_EQ(f->requests[0]->kind, GATEWAY_READ);
    fixture_free(f);
}

TEST(transaction, with_watched_keys_is_a_write_even_if_it_only_reads)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "WATCH a\r\n");
    fixture_answer(f, 0, "\1\7zzzzzzz"); /* exists:u8 ver:u64 */
    fixture_send(f, e, "MULTI\r\nGET a\r\nEXEC\r\n");

    CHECK_EQ(f->requests[1]->kind, GATEWAY_WRITE);
    fixture_free(f);
}

TEST(transaction, waits_for_what_watch_saw_and_carries_it_along)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);
    u32 watches;

    fixture_send(f, e, "SELECT 2\r\nWATCH a bc\r\nMULTI\r\nSET a 1\r\nEXEC\r\n");
    CHECK_EQ(f->request_count, 1); /* nothing behind the WATCH is looked at */
    CHECK_EQ(f->requests[0]->kind, GATEWAY_WATCH);
    CHECK(fixture_asked(f, 0, 2, "a bc"));
    fixture_answer_index(f, 0, STR("\1\7\0\0\0\0\0\0\0\0\x9\0\0\0\0\0\0\0"), 0);
    struct reader r = exec_body(f, 1, &watches);
    CHECK_EQ(watches, 2);
    CHECK_EQ(reader_u8(&r), 2);
    CHECK_EQ(reader_u8(&r), 1);
    CHECK_EQ(reader_u64(&r), 7);
    CHECK_STR(reader_str(&r, reader_u32(&r)), "a");
    CHECK_EQ(reader_u8(&r), 2);
    CHECK_EQ(reader_u8(&r), 0);
    CHECK_EQ(reader_u64(&r), 9);
    CHECK_STR(reader_str(&r, reader_u32(&r)), "bc");
    fixture_answer(f, 1, "*-1\r\n");

    CHECK_GOT(e, "+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n*-1\r\n");
    fixture_free(f);
}

TEST(transaction, keeps_the_first_sight_of_a_key_watched_twice)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);
    u32 watches;

    fixture_send(f, e, "WATCH a\r\n");
    fixture_answer_index(f, 0, STR("\1\5\0\0\0\0\0\0\0"), 0);
    fixture_send(f, e, "WATCH a\r\n");
    fixture_answer_index(f, 1, STR("\1\6\0\0\0\0\0\0\0"), 0);
    fixture_send(f, e, "MULTI\r\nEXEC\r\n");
    struct reader r = exec_body(f, 2, &watches);
    CHECK_EQ(watches, 1);
    reader_u8(&r);
    reader_u8(&r);
    CHECK_EQ(reader_u64(&r), 5);
    fixture_free(f);
}

TEST(transaction, watches_nothing_when_the_watch_fails)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);
    u32 watches;

    fixture_send(f, e, "WATCH a\r\n");
    fixture_answer(f, 0, "-NOQUORUM no leader\r\n");
    CHECK_GOT(e, "-NOQUORUM no leader\r\n");
    fixture_send(f, e, "MULTI\r\nSET a 1\r\nEXEC\r\n");
    exec_body(f, 1, &watches);
    CHECK_EQ(watches, 0);
    fixture_free(f);
}

TEST(transaction, forgets_watches_at_unwatch_discard_reset_and_exec)
{
    static const char *const ways[] = {"UNWATCH\r\n", "MULTI\r\nDISCARD\r\n", "RESET\r\n",
                                       "MULTI\r\nNOSUCH\r\nEXEC\r\n"};

    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        struct fixture *f = fixture_open();
        struct far_end *e = fixture_connect(f);
        u32 watches;

        fixture_send(f, e, "WATCH a\r\n");
        fixture_answer(f, 0, "\1\7zzzzzzz");
        fixture_send(f, e, ways[i]);
        fixture_send(f, e, "MULTI\r\nSET a 1\r\nEXEC\r\n");
        exec_body(f, 1, &watches);
        CHECK_EQ(watches, 0);
        fixture_free(f);
    }
}

TEST(transaction, puts_replies_of_the_doors_own_commands_in_their_places)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e,
                 "MULTI\r\nPING\r\nGET a\r\nECHO x\r\nMGET a b\r\nPING y\r\nEXEC\r\nPING\r\n");
    buf_clear(&e->got);
    CHECK_EQ(f->request_count, 1);
    fixture_answer(f, 0, "*2\r\n$-1\r\n*2\r\n$-1\r\n$1\r\nb\r\n");

    CHECK_GOT(e, "*5\r\n+PONG\r\n$-1\r\n$1\r\nx\r\n*2\r\n$-1\r\n$1\r\nb\r\n$1\r\ny\r\n+PONG\r\n");
    fixture_free(f);
}

TEST(transaction, selects_for_its_own_commands_and_for_those_behind_it)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);
    u32 watches;

    fixture_send(f, e, "MULTI\r\nGET a\r\nSELECT 4\r\nGET a\r\nEXEC\r\nGET b\r\n");
    CHECK_EQ(f->request_count, 1); /* where GET b looks is decided by EXEC's outcome */
    struct reader r = exec_body(f, 0, &watches);
    reader_u32(&r);
    CHECK(next_command(&r, 0, "get"));
    CHECK(next_command(&r, 4, "get"));
    fixture_answer(f, 0, "*2\r\n$-1\r\n$-1\r\n");
    CHECK(fixture_asked(f, 1, 4, "GET b"));
    fixture_free(f);
}

TEST(transaction, that_was_not_run_selects_nothing)
{
    static const char *const outcomes[] = {"*-1\r\n", "-NOQUORUM x\r\n", "-UNKNOWN x\r\n"};

    for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
        struct fixture *f = fixture_open();
        struct far_end *e = fixture_connect(f);

        fixture_send(f, e, "MULTI\r\nSELECT 4\r\nSET a 1\r\nEXEC\r\nGET b\r\n");
        buf_clear(&e->got);
        fixture_answer(f, 0, outcomes[i]);
        CHECK_GOT(e, outcomes[i]);
        CHECK(fixture_asked(f, 1, 0, "GET b"));
        fixture_free(f);
    }
}

TEST(transaction, without_data_commands_needs_nobody)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(
        f, e,
        "MULTI\r\nPING\r\nSELECT 1\r\nWAIT 2 0\r\nDEBUG SLEEP 9\r\nEXEC\r\nMULTI\r\nEXEC\r\n");

    CHECK_EQ(f->request_count, 0);
    CHECK_GOT(e, "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n"
                 "*4\r\n+PONG\r\n+OK\r\n:1\r\n+OK\r\n+OK\r\n*0\r\n");
    fixture_free(f);
}

TEST(transaction, says_unknown_when_its_replies_do_not_fit_its_commands)
{
    static const char *const broken[] = {"*2\r\n$-1\r\n", "*1\r\n$5\r\nab\r\n",
                                         "*2\r\n$-1\r\n$-1\r\n", "*x\r\n", "*1\r\n?\r\n"};

    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        struct fixture *f = fixture_open();
        struct far_end *e = fixture_connect(f);

        fixture_send(f, e, "MULTI\r\nPING\r\nGET a\r\nEXEC\r\n");
        buf_clear(&e->got);
        fixture_answer(f, 0, broken[i]);
        CHECK_GOT(e, "-UNKNOWN the transaction ran, but its replies can not be read\r\n");
        fixture_free(f);
    }
}

TEST(transaction, over_the_limit_is_refused_and_does_nothing)
{
    struct fixture *f = fixture_new();

    f->config.value_bytes_max = 1000;
    fixture_start(f);
    struct far_end *e = fixture_connect(f);
    struct buf set = {0};
    buf_append_text(&set, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1000\r\n");
    for (u32 i = 0; i < 1000; i++) buf_append_u8(&set, 'x');
    buf_append_text(&set, "\r\n");

    fixture_send(f, e, "MULTI\r\n");
    for (u32 i = 0; i < 1200; i++) {
        fixture_deliver(f, e, buf_str(&set));
        fixture_turn(f);
    }
    buf_clear(&e->got);
    fixture_deliver(f, e, buf_str(&set));
    fixture_turn(f);
    CHECK_GOT(e, "-TOOBIG limit=client.transaction-bytes transaction is over the limit of 1049576 bytes (--value-max and 1 MiB); "
                 "nothing was done\r\n");
    fixture_send(f, e, "EXEC\r\n");
    CHECK_GOT(e, "-EXECABORT Transaction discarded because of previous errors.\r\n");
    CHECK_EQ(f->request_count, 0);
    buf_done(&set);
    fixture_free(f);
}

TEST(transaction, of_all_connections_together_hold_a_bounded_amount_of_memory)
{
    struct fixture *f = fixture_new();

    f->config.memory_bytes = 20 * 2 * MIB;
    fixture_start(f);
    struct far_end *a = fixture_connect(f), *b = fixture_connect(f);
    struct buf set = {0};
    buf_append_text(&set, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$60000\r\n");
    for (u32 i = 0; i < 60000; i++) buf_append_u8(&set, 'x');
    buf_append_text(&set, "\r\n");

    fixture_send(f, a, "MULTI\r\n");
    for (u32 i = 0; i < 40; i++) fixture_stream(f, a, buf_str(&set));
    CHECK_EQ(redis_door_stats(f->door)->transactions_refused, 6);
    fixture_send(f, b, "MULTI\r\nSET b 1\r\n"); /* a first command always finds room */
    buf_clear(&b->got);
    fixture_stream(f, b, buf_str(&set));
    CHECK_GOT(b, "-OVERLOADED retry=100 limit=memory.transactions the transactions of all connections hold too much memory; "
                 "nothing was done\r\n");
    fixture_send(f, b, "EXEC\r\n");
    CHECK_GOT(b, "-EXECABORT Transaction discarded because of previous errors.\r\n");
    buf_clear(&a->got);
    fixture_send(f, a, "DISCARD\r\nMULTI\r\nSET c 1\r\nSET c 2\r\n");
    CHECK_GOT(a, "+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n");
    fixture_hang_up(f, a);
    CHECK_EQ(f->door->transaction_bytes, 0);
    buf_done(&set);
    fixture_free(f);
}

TEST_MAIN(RUN(transaction, travels_as_one_entry), RUN(transaction, is_a_read_when_it_only_reads),
          RUN(transaction, with_watched_keys_is_a_write_even_if_it_only_reads),
          RUN(transaction, waits_for_what_watch_saw_and_carries_it_along),
          RUN(transaction, keeps_the_first_sight_of_a_key_watched_twice),
          RUN(transaction, watches_nothing_when_the_watch_fails),
          RUN(transaction, forgets_watches_at_unwatch_discard_reset_and_exec),
          RUN(transaction, puts_replies_of_the_doors_own_commands_in_their_places),
          RUN(transaction, selects_for_its_own_commands_and_for_those_behind_it),
          RUN(transaction, that_was_not_run_selects_nothing),
          RUN(transaction, without_data_commands_needs_nobody),
          RUN(transaction, says_unknown_when_its_replies_do_not_fit_its_commands),
          RUN(transaction, over_the_limit_is_refused_and_does_nothing),
          RUN(transaction, of_all_connections_together_hold_a_bounded_amount_of_memory))
