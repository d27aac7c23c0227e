/* A door to many partitions: which one a command goes to, what is refused, and what asks all. In
 * "orders" partition 0 has the slots 0-4095, 1 4096-8191, 2 8192-12287, 3 12288-16383. `foo` has
 * slot 12182, `bar` 5061, `b` 3300, `c` 7365, `a` 15495, `{bar}x` that of bar. */
#include "server/redis/door_cluster.h"
#include "server/redis/door_fixture.h"

static struct cluster_fixture cluster_open(void)
{
    struct cluster_fixture cf = cluster_new();

    fixture_start(cf.f);
    return cf;
}

static void cluster_close(struct cluster_fixture *cf)
{
    fixture_free(cf->f);
    cluster_done(cf);
}

#define ORDERS 16u

/* Is request i this command for this partition of "orders"? */
static bool went_to(struct cluster_fixture *cf, u32 i, u32 place, const char *words)
{
    u64 part = cluster_part(cf, ORDERS, place);

    if (cf->f->asked_part[i] != part)
        print_error("partition %llu, not %llu\n", (unsigned long long)cf->f->asked_part[i],
                    (unsigned long long)part);
    return cf->f->asked_part[i] == part && fixture_asked(cf->f, i, 0, words);
}

static void answer_all(struct fixture *f, const char *text)
{
    for (u32 i = 0; i < f->request_count; i++)
        if (f->requests[i]) fixture_answer(f, i, text);
}

TEST(routing, a_key_goes_to_the_partition_of_its_slot)
{
    struct cluster_fixture cf = cluster_open();
    struct far_end *e = fixture_connect(cf.f);

    fixture_send(cf.f, e, "SELECT 16\r\nGET foo\r\nGET bar\r\nGET b\r\nGET a\r\nGET x{bar}\r\n");
    CHECK_GOT(e, "+OK\r\n");
    CHECK(went_to(&cf, 0, 2, "GET foo"));
    CHECK(went_to(&cf, 1, 1, "GET bar"));
    CHECK(went_to(&cf, 2, 0, "GET b"));
    CHECK(went_to(&cf, 3, 3, "GET a"));
    CHECK(went_to(&cf, 4, 1, "GET x{bar}"));
    fixture_send(cf.f, e, "SELECT default\r\nGET foo\r\n");
    CHECK_EQ(cf.f->asked_part[5], PART_DEFAULT);
    answer_all(cf.f, "$-1\r\n");
    cluster_close(&cf);
}

TEST(routing, keyspaces_are_selected_by_number_and_name)
{
    struct cluster_fixture cf = cluster_open();
    struct far_end *e = fixture_connect(cf.f);

    fixture_send(cf.f, e, "SELECT 3\r\nSELECT 16\r\nSELECT 2\r\nGET b\r\n");
    CHECK_GOT(e, "+OK\r\n+OK\r\n+OK\r\n");
    CHECK_EQ(cf.f->asked_part[0], cluster_part(&cf, ORDERS, 0));
    CHECK(fixture_asked(cf.f, 0, 2, "GET b")); /* a database of the keyspace */
    fixture_answer(cf.f, 0, "$-1\r\n");
    buf_clear(&e->got);
    fixture_send(
        cf.f, e,
        "SELECT orders\r\nSELECT 19\r\nSELECT 1\r\nSELECT -1\r\nSELECT core\r\nSELECT nosuch\r\n");
    CHECK_GOT(e, "+OK\r\n-ERR DB index is out of range\r\n+OK\r\n-ERR DB index is out of range\r\n"
                 "-ERR value is not an integer or out of range\r\n"
                 "-ERR value is not an integer or out of range\r\n");
    fixture_send(cf.f, e, "RESET\r\nGET b\r\n");
    CHECK_EQ(cf.f->asked_part[1], PART_DEFAULT);
    CHECK(fixture_asked(cf.f, 1, 0, "GET b"));
    fixture_answer(cf.f, 1, "$-1\r\n");
    cluster_close(&cf);
}

TEST(routing, a_keyspaces_user_enters_it)
{
    struct cluster_fixture cf = cluster_open();
    struct far_end *e = fixture_connect(cf.f), *h = fixture_connect(cf.f);

    fixture_send(cf.f, e,
                 "SELECT 5\r\nAUTH default x\r\nGET k\r\nAUTH orders x\r\nGET b\r\nAUTH nobody "
                 "x\r\nAUTH core x\r\n");
    CHECK_EQ(cf.f->asked_part[0], PART_DEFAULT);
    CHECK(fixture_asked(cf.f, 0, 5, "GET k"));
    CHECK(went_to(&cf, 1, 0, "GET b"));
    answer_all(cf.f, "$-1\r\n");
    CHECK_GOT(e, "+OK\r\n+OK\r\n$-1\r\n+OK\r\n$-1\r\n"
                 "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
                 "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    fixture_send(cf.f, h, "HELLO 3 AUTH orders x\r\nGET b\r\n");
    CHECK(went_to(&cf, 2, 0, "GET b"));
    answer_all(cf.f, "_\r\n");
    buf_clear(&h->got);
    fixture_send(cf.f, h, "CLIENT LIST ID 2\r\n");
    buf_append_u8(&h->got, 0);
    CHECK(strstr((const char *)buf_bytes(&h->got), "user=orders ") != NULL);
    cluster_close(&cf);
}

TEST(routing, keys_of_one_partition_go_together_and_others_are_refused)
{
    struct cluster_fixture cf = cluster_open();
    struct far_end *e = fixture_connect(cf.f);

    fixture_send(cf.f, e, "SELECT 16\r\nMSET bar 1 c 2\r\nMSET bar 1 c 2 foo 3\r\nDEL b a\r\n");
    CHECK(went_to(&cf, 0, 1, "MSET bar 1 c 2"));
    CHECK_EQ(cf.f->request_count, 1);
    fixture_answer(cf.f, 0, "+OK\r\n");
    CHECK_GOT(
        e, "+OK\r\n+OK\r\n"
           "-CROSSSLOT the keys 'bar' and 'foo' lie in different partitions of keyspace orders; "
           "nothing was done. Give both the same {tag}, or use a keyspace with one partition\r\n"
           "-CROSSSLOT the keys 'b' and 'a' lie in different partitions of keyspace orders; "
           "nothing was done. Give both the same {tag}, or use a keyspace with one partition\r\n");
    fixture_send(cf.f, e, "SELECT 17\r\nMGET bar c foo b a\r\n");
    CHECK_EQ(cf.f->asked_part[1], cluster_part(&cf, 17, 0));
    fixture_answer(cf.f, 1, "*0\r\n");
    cluster_close(&cf);
}

TEST(routing, a_transaction_runs_in_the_partition_of_its_keys)
{
    struct cluster_fixture cf = cluster_open();
    struct far_end *e = fixture_connect(cf.f);

    fixture_send(cf.f, e, "SELECT 16\r\nMULTI\r\nSET bar 1\r\nINCR c\r\nEXEC\r\n");
    CHECK_EQ(cf.f->asked_part[0], cluster_part(&cf, ORDERS, 1));
    fixture_answer(cf.f, 0, "*2\r\n+OK\r\n:1\r\n");
    CHECK_GOT(e, "+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n:1\r\n");
    fixture_send(cf.f, e, "MULTI\r\nSET bar 1\r\nINCR foo\r\nEXEC\r\nPING\r\n");
    CHECK_GOT(e,
              "+OK\r\n+QUEUED\r\n+QUEUED\r\n"
              "-CROSSSLOT the keys 'bar' and 'foo' lie in different partitions of keyspace orders; "
              "nothing was done. Give both the same {tag}, or use a keyspace with one "
              "partition\r\n+PONG\r\n");
    fixture_send(cf.f, e, "MULTI\r\nDBSIZE\r\nEXEC\r\n");
    CHECK_GOT(e, "+OK\r\n-CROSSSLOT the command is about all 4 partitions of keyspace orders and "
                 "cannot run in "
                 "all of them at once; nothing was done. Use a keyspace with one partition\r\n"
                 "-EXECABORT Transaction discarded because of previous errors.\r\n");
    cluster_close(&cf);
}

TEST(routing, watched_keys_count_for_where_exec_runs)
{
    struct cluster_fixture cf = cluster_open();
    struct far_end *e = fixture_connect(cf.f);

    fixture_send(cf.f, e, "SELECT 16\r\nWATCH bar foo\r\n");
    CHECK_GOT(
        e, "+OK\r\n-CROSSSLOT the keys 'bar' and 'foo' lie in different partitions of keyspace "
           "orders; "
           "nothing was done. Give both the same {tag}, or use a keyspace with one partition\r\n");
    fixture_send(cf.f, e, "WATCH bar\r\n");
    CHECK_EQ(cf.f->asked_part[0], cluster_part(&cf, ORDERS, 1));
    struct gateway_reply seen = {.bytes = STR("\1\7\0\0\0\0\0\0\0")};
    struct gateway_request *watch = cf.f->requests[0];
    cf.f->requests[0] = NULL;
    rcbuf_unref(watch->entry);
    watch->done(watch, &seen);
    fixture_turn(cf.f);
    CHECK_GOT(e, "+OK\r\n");
    fixture_send(cf.f, e, "SELECT default\r\nMULTI\r\nSET foo 1\r\nEXEC\r\n");
    CHECK_GOT(
        e,
        "-ERR keys of this keyspace are watched; UNWATCH before you leave it\r\n+OK\r\n+QUEUED\r\n"
        "-CROSSSLOT the keys 'bar' and 'foo' lie in different partitions of keyspace orders; "
        "nothing was done. Give both the same {tag}, or use a keyspace with one partition\r\n");
    CHECK_EQ(cf.f->request_count, 1);
    cluster_close(&cf);
}

TEST(routing, program_order_is_kept_for_each_partition)
{
    struct cluster_fixture cf = cluster_open();
    struct far_end *e = fixture_connect(cf.f);
    struct gateway_request **r = cf.f->requests;

    fixture_send(cf.f, e, "SELECT 16\r\nSET bar 1\r\nSET foo 1\r\nGET c\r\nGET foo\r\nGET a\r\n");
    CHECK(r[0]->order == r[2]->order);
    CHECK(r[1]->order == r[3]->order);
    CHECK(r[0]->order != r[1]->order);
    CHECK(r[4]->order != r[0]->order && r[4]->order != r[1]->order);
    answer_all(cf.f, "+OK\r\n");
    cluster_close(&cf);
}

TEST(routing, orders_of_idle_partitions_are_forgotten_but_not_those_under_way)
{
    struct cluster_fixture cf = cluster_open();
    cluster_create(&cf, "wide", "hash:64");
    cluster_host_all(&cf);
    struct far_end *e = fixture_connect(cf.f);
    char text[64];

    fixture_send(cf.f, e, "SELECT wide\r\nSET first 1\r\n");
    struct gateway_order *order = cf.f->requests[0]->order;
    for (u32 i = 0; i < 1000; i++) {
        snprintf(text, sizeof text, "SET k%u 1\r\n", i);
        fixture_send(cf.f, e, text);
        fixture_answer(cf.f, cf.f->request_count - 1, "+OK\r\n");
    }
    fixture_send(cf.f, e, "GET first\r\n");
    CHECK(cf.f->requests[cf.f->request_count - 1]->order == order);
    answer_all(cf.f, "+OK\r\n");
    cluster_close(&cf);
}

TEST(routing, a_partition_not_heard_of_is_a_retriable_error)
{
    struct cluster_fixture cf = cluster_open();
    cluster_create(&cf, "new", "hash:2");
    struct far_end *e = fixture_connect(cf.f);

    fixture_send(cf.f, e,
                 "SELECT new\r\nGET foo\r\nMULTI\r\nSET foo 1\r\nEXEC\r\nDBSIZE\r\nFLUSHDB\r\n");
    CHECK_GOT(e, "+OK\r\n-NOQUORUM this node has not heard of the partition yet; nothing was done, "
                 "try again\r\n"
                 "+OK\r\n-NOQUORUM this node has not heard of the partition yet; nothing was done, "
                 "try again\r\n"
                 "-EXECABORT Transaction discarded because of previous errors.\r\n"
                 "-NOQUORUM this node has not heard of the partition yet\r\n"
                 "-NOQUORUM this node has not heard of the partition yet\r\n");
    cluster_host_all(&cf);
    fixture_send(cf.f, e, "GET foo\r\n");
    CHECK_EQ(cf.f->request_count, 1);
    fixture_answer(cf.f, 0, "$-1\r\n");
    cluster_close(&cf);
}

TEST(routing, a_dropped_keyspace_is_said_to_be)
{
    struct cluster_fixture cf = cluster_open();
    struct far_end *e = fixture_connect(cf.f);

    fixture_send(cf.f, e, "SELECT 16\r\n");
    cluster_do(
        &cf, &(struct core_command){.op = CORE_KS_DROP, .keyspace = ORDERS, .name = STR("orders")});
    fixture_send(cf.f, e,
                 "GET foo\r\nDBSIZE\r\nWAIT 0 0\r\nSELECT 0\r\nSELECT default\r\nSELECT 16\r\n");
    CHECK_GOT(e, "+OK\r\n-ERR the keyspace of this connection was dropped; SELECT another one, or "
                 "SELECT default\r\n"
                 "-ERR the keyspace of this connection was dropped; SELECT another one, or SELECT "
                 "default\r\n"
                 ":1\r\n+OK\r\n+OK\r\n-ERR DB index is out of range\r\n");
    cluster_close(&cf);
}

/* --- commands about all partitions --- */

TEST(routing, dbsize_is_the_sum_and_an_error_is_not_hidden)
{
    struct cluster_fixture cf = cluster_open();
    struct far_end *e = fixture_connect(cf.f);

    fixture_send(cf.f, e, "SELECT 16\r\nDBSIZE\r\nPING\r\n");
    CHECK_EQ(cf.f->request_count, 4);
    for (u32 i = 0; i < 4; i++) {
        CHECK(went_to(&cf, i, i, "DBSIZE"));
        fixture_answer(cf.f, i, i == 2 ? ":40\r\n" : ":1\r\n");
    }
    CHECK_GOT(e, "+OK\r\n:43\r\n+PONG\r\n");
    fixture_send(cf.f, e, "DBSIZE\r\n");
    fixture_answer(cf.f, 4, ":1\r\n");
    fixture_answer(cf.f, 6, "-NOQUORUM no leader\r\n");
    CHECK_GOT(e, "-NOQUORUM no leader\r\n");
    CHECK_EQ(cf.f->cancelled, 2);
    cluster_close(&cf);
}

TEST(routing, a_flush_that_some_partitions_refuse_is_unknown)
{
    struct cluster_fixture cf = cluster_open();
    struct far_end *e = fixture_connect(cf.f);
    char expected[200];

    fixture_send(cf.f, e, "SELECT 16\r\nFLUSHALL\r\n");
    buf_clear(&e->got);
    fixture_answer(cf.f, 0, "+OK\r\n");
    fixture_answer(cf.f, 3, "-NOQUORUM no leader\r\n");
    fixture_answer(cf.f, 1, "+OK\r\n");
    CHECK_GOT(e, "");
    fixture_answer(cf.f, 2, "+OK\r\n");
    snprintf(expected, sizeof expected,
             "-UNKNOWN flushall was done in 3 of 4 partitions of keyspace orders; partition %llu "
             "answered: "
             "NOQUORUM no leader\r\n",
             (unsigned long long)cluster_part(&cf, ORDERS, 3));
    CHECK_GOT(e, expected);
    fixture_send(cf.f, e, "FLUSHALL\r\n");
    answer_all(cf.f, "-NOQUORUM no leader\r\n");
    CHECK_GOT(e, "-NOQUORUM no leader\r\n"); /* nothing was done anywhere */
    fixture_send(cf.f, e, "FLUSHDB\r\n");
    for (u32 i = 8; i < 12; i++)
        fixture_answer(cf.f, i, i == 9 ? "-UNKNOWN x\r\n" : "-NOQUORUM y\r\n");
    snprintf(expected, sizeof expected,
             "-UNKNOWN flushdb was done in 0 of 4 partitions of keyspace orders; partition %llu "
             "answered: NOQUORUM y\r\n",
             (unsigned long long)cluster_part(&cf, ORDERS, 0));
    CHECK_GOT(e, expected);
    cluster_close(&cf);
}

TEST(routing, more_partitions_than_may_be_asked_at_once_are_asked_in_turn)
{
    struct cluster_fixture cf = cluster_open();
    cluster_create(&cf, "wide", "hash:100");
    cluster_host_all(&cf);
    struct far_end *e = fixture_connect(cf.f);

    fixture_send(cf.f, e, "SELECT wide\r\nDBSIZE\r\n");
    CHECK_EQ(cf.f->request_count, GATHER_WIDTH);
    for (u32 i = 0; i < 100; i++) fixture_answer(cf.f, i, ":2\r\n");
    CHECK_EQ(cf.f->request_count, 100);
    CHECK_GOT(e, "+OK\r\n:200\r\n");
    cluster_close(&cf);
}

TEST(routing, a_client_that_is_gone_lets_its_flush_go_on_and_its_reads_end)
{
    struct cluster_fixture cf = cluster_open();
    cluster_create(&cf, "wide", "hash:100");
    cluster_host_all(&cf);
    struct far_end *e = fixture_connect(cf.f), *r = fixture_connect(cf.f);

    fixture_send(cf.f, e, "SELECT wide\r\nFLUSHALL\r\n");
    fixture_send(cf.f, r, "SELECT wide\r\nKEYS *\r\n");
    CHECK_EQ(cf.f->request_count, 2 * GATHER_WIDTH);
    fixture_hang_up(cf.f, e);
    fixture_hang_up(cf.f, r);
    CHECK_EQ(cf.f->cancelled, GATHER_WIDTH);
    u32 answered = 0;
    for (u32 i = 0; i < cf.f->request_count; i++)
        if (cf.f->requests[i]) {
            fixture_answer(cf.f, i, "+OK\r\n");
            answered++;
        }
    CHECK_EQ(answered, 100);
    cluster_close(&cf);
}

TEST(routing, a_client_may_go_in_the_middle_of_any_of_them)
{
    static const char *const commands[] = {"KEYS *\r\n",   "RANDOMKEY\r\n",
                                           "SCAN 0\r\n",   "DBSIZE\r\n",
                                           "FLUSHDB\r\n",  "CLUSTER COUNTKEYSINSLOT 5\r\n",
                                           "WAIT 3 0\r\n", "Q.SESSION OPEN\r\n"};
    struct cluster_fixture cf = cluster_open();

    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        struct far_end *e = fixture_connect(cf.f);
        fixture_send(cf.f, e, "SELECT 16\r\nSET a 1\r\nSET b 1\r\n");
        answer_all(cf.f, "+OK\r\n");
        cf.f->request_count = 0;
        fixture_send(cf.f, e, commands[i]);
        CHECK(cf.f->request_count > 0);
        fixture_hang_up(cf.f, e);
        answer_all(cf.f, "+OK\r\n"); /* of writes that go on */
        cf.f->request_count = 0;
    }
    cluster_close(&cf);
}

static void fill(struct cluster_fixture *cf, struct far_end *e, u32 keys)
{
    char text[64];

    for (u32 i = 0; i < keys; i++) {
        snprintf(text, sizeof text, "SET key:%u %u\r\n", i, i);
        fixture_send(cf->f, e, text);
        fixture_serve(cf->f);
    }
    buf_clear(&e->got);
}

static bool got_begins(struct far_end *e, const char *text)
{
    bool same = e->got.len >= strlen(text) && memcmp(buf_bytes(&e->got), text, strlen(text)) == 0;
    if (!same) print_error("got: %.*s\n", STR_ARG(buf_str(&e->got)));
    buf_clear(&e->got);
    return same;
}

/* Walk with SCAN; returns how many keys came, each once, checked by a bit each. */
static u32 scan_all(struct cluster_fixture *cf, struct far_end *e, u32 count, u32 keys)
{
    u8 *seen = mem_zalloc(keys);
    u64 cursor = 0;
    u32 found = 0, calls = 0;
    char text[80];

    do {
        snprintf(text, sizeof text, "SCAN %llu COUNT %u\r\n", (unsigned long long)cursor, count);
        fixture_send(cf->f, e, text);
        fixture_serve(cf->f);
        buf_append_u8(&e->got, 0);
        char *at = (char *)buf_bytes(&e->got);
        assert_true(strncmp(at, "*2\r\n$", 5) == 0);
        cursor = strtoull(strchr(at + 5, '\n') + 1, NULL, 10);
        for (char *k = at; (k = strstr(k, "key:")); k += 4) {
            unsigned long n = strtoul(k + 4, NULL, 10);
            assert_true(n < keys && !seen[n]);
            seen[n] = 1;
            found++;
        }
        buf_clear(&e->got);
        assert_true(++calls < 10 * keys + 100);
    } while (cursor);
    mem_free(seen);
    return found;
}

TEST(routing, whole_databases_over_several_partitions_look_like_one)
{
    struct cluster_fixture cf = cluster_open();
    fixture_open_keyspace(cf.f);
    struct far_end *e = fixture_connect(cf.f);

    fixture_send(cf.f, e, "SELECT 16\r\nRANDOMKEY\r\nSCAN 0\r\n");
    fixture_serve(cf.f);
    CHECK(got_begins(e, "+OK\r\n$-1\r\n*2\r\n$"));
    fill(&cf, e, 300);
    fixture_send(cf.f, e, "DBSIZE\r\nINFO keyspace\r\n");
    fixture_serve(cf.f);
    CHECK_GOT(e, ":300\r\n$46\r\n# Keyspace\r\ndb0:keys=300,expires=0,avg_ttl=0\r\n\r\n");
    fixture_send(cf.f, e, "KEYS *\r\n");
    fixture_serve(cf.f);
    CHECK(got_begins(e, "*300\r\n$"));
    for (u32 count = 1; count < 1000; count = count * 3 + 1)
        CHECK_EQ(scan_all(&cf, e, count, 300), 300);
    for (u32 i = 0; i < 20; i++) {
        fixture_send(cf.f, e, "RANDOMKEY\r\n");
        fixture_serve(cf.f);
        CHECK(got_begins(e, "$"));
    }
    fixture_send(cf.f, e,
                 "FLUSHDB\r\nSET key:7 1\r\nRANDOMKEY\r\nSCAN x\r\nSCAN 0 COUNT 0\r\nSWAPDB 0 "
                 "1\r\nDBSIZE\r\n");
    fixture_serve(cf.f);
    CHECK_GOT(e, "+OK\r\n+OK\r\n$5\r\nkey:7\r\n-ERR invalid cursor\r\n-ERR syntax error\r\n"
                 "-CROSSSLOT the command is about all 4 partitions of keyspace orders and cannot "
                 "run in all of "
                 "them at once; nothing was done. Use a keyspace with one partition\r\n:1\r\n");
    cluster_close(&cf);
}

TEST(routing, a_split_moves_the_keys_of_the_upper_half)
{
    struct cluster_fixture cf = cluster_open();
    struct far_end *e = fixture_connect(cf.f);

    fixture_send(cf.f, e, "SELECT 16\r\nGET b\r\nGET bar\r\n"); /* slots 3300 and 5061 */
    cluster_split(&cf, cluster_part(&cf, ORDERS, 0), 3000, (str){0});
    fixture_send(cf.f, e, "GET b\r\n");
    CHECK_EQ(cf.f->request_count,
             2); /* not the lower half's any more, and the upper is not here yet */
    cluster_host_all(&cf);
    fixture_send(cf.f, e, "GET b\r\nGET bar\r\nSCAN 0\r\n");
    CHECK(went_to(&cf, 0, 0, "GET b"));
    CHECK(went_to(&cf, 2, 1, "GET b"));
    CHECK(went_to(&cf, 3, 2, "GET bar"));
    CHECK(cf.f->asked_part[2] != cf.f->asked_part[0]);
    CHECK(cf.f->asked_part[3] == cf.f->asked_part[1]);
    for (u32 i = 0; i < 4; i++) fixture_answer(cf.f, i, "$-1\r\n");
    buf_clear(&e->got);
    fixture_answer(
        cf.f, 4, "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nk\r\n"); /* goes on in the upper half: 3000 << 48 */
    CHECK_GOT(e, "*2\r\n$18\r\n844424930131968000\r\n*1\r\n$1\r\nk\r\n");
    cluster_close(&cf);
}

/* What the gateway does when the partition does not have the keys, and the map says so too. */
static void give_back(struct fixture *f, u32 i)
{
    struct gateway_request *req = f->requests[i];
    struct gateway_reply reply = {.bytes = STR("-NOQUORUM x\r\n"),
                                  .failed = true,
                                  .moved = rcbuf_from(rcbuf_str(req->entry))};

    f->requests[i] = NULL;
    rcbuf_unref(req->entry);
    req->done(req, &reply);
    rcbuf_unref(reply.moved);
    fixture_turn(f);
}

TEST(routing, what_was_sent_by_an_older_map_goes_on_to_the_new_place)
{
    struct cluster_fixture cf = cluster_open();
    struct far_end *e = fixture_connect(cf.f);
    struct gateway_request **r = cf.f->requests;

    fixture_send(cf.f, e, "SELECT 16\r\nMULTI\r\nSET b 0\r\nEXEC\r\n");
    fixture_send(cf.f, e, "SET b 1\r\n"); /* slot 3300 */
    CHECK(!r[0]->moved(r[0]) && !r[1]->moved(r[1]));
    cluster_split(&cf, cluster_part(&cf, ORDERS, 0), 3000, (str){0});
    cluster_host_all(&cf);
    CHECK(r[0]->moved(r[0]) && r[1]->moved(r[1]));
    buf_clear(&e->got);
    give_back(cf.f, 1); /* it must not pass what is before it */
    give_back(cf.f, 0);
    CHECK_GOT(e, "-NOQUORUM x\r\n-NOQUORUM x\r\n");
    CHECK_EQ(cf.f->request_count, 2);

    fixture_send(cf.f, e, "SET b 2\r\n");
    CHECK(went_to(&cf, 2, 1, "SET b 2"));
    cluster_split(&cf, cluster_part(&cf, ORDERS, 1), 3200, (str){0});
    cluster_host_all(&cf);
    give_back(cf.f, 2);
    fixture_send(cf.f, e, "GET b\r\n");
    CHECK_EQ(cf.f->request_count, 4); /* GET waits */
    CHECK(went_to(&cf, 3, 2, "SET b 2"));
    fixture_answer(cf.f, 3, "+OK\r\n");
    CHECK(went_to(&cf, 4, 2, "GET b"));
    fixture_answer(cf.f, 4, "$1\r\n2\r\n");
    CHECK_GOT(e, "+OK\r\n$1\r\n2\r\n");
    cluster_close(&cf);
}

/* A partition was split: what is meant for all of it is not done for half of it, but again, for both. */
TEST(routing, what_is_about_all_begins_again_after_a_split)
{
    struct cluster_fixture cf = cluster_open();
    struct far_end *e = fixture_connect(cf.f);
    u64 first = cluster_part(&cf, ORDERS, 0);

    fixture_send(cf.f, e, "SELECT 16\r\nDBSIZE\r\n");
    CHECK_EQ(cf.f->request_count, 4);
    CHECK(!cf.f->requests[0]->moved(cf.f->requests[0]));
    cluster_split(&cf, first, 1000, (str){0});
    cluster_host_all(&cf);
    routes_look(cf.f->door->routes);
    CHECK(cf.f->requests[0]->moved(cf.f->requests[0]));
    give_back(cf.f, 0);
    CHECK_EQ(cf.f->request_count, 9);
    for (u32 i = 4; i < 9; i++) {
        CHECK_EQ(cf.f->asked_part[i], cluster_part(&cf, ORDERS, i - 4));
        fixture_answer(cf.f, i, ":2\r\n");
    }
    CHECK_GOT(e, "+OK\r\n:10\r\n");

    fixture_send(cf.f, e, "FLUSHDB\r\n");
    u32 from = cf.f->request_count - 5;
    for (u32 i = 0; i < 4; i++) fixture_answer(cf.f, from + i, "+OK\r\n");
    cluster_split(&cf, cluster_part(&cf, ORDERS, 4), 15000, (str){0});
    cluster_host_all(&cf);
    routes_look(cf.f->door->routes);
    give_back(cf.f, from + 4);
    CHECK_EQ(cf.f->request_count, from + 5 + 6);
    for (u32 i = 0; i < 6; i++) fixture_answer(cf.f, from + 5 + i, "+OK\r\n");
    CHECK_GOT(e, "+OK\r\n");
    cluster_close(&cf);
}

TEST(routing, key_ranges_are_told_by_the_key)
{
    struct cluster_fixture cf = cluster_open();
    u64 first = cluster_part(&cf, 18, 0);
    cluster_split(&cf, first, 0, STR("key:2"));
    cluster_split(&cf, cluster_part(&cf, 18, 1), 0, STR("key:5"));
    cluster_host_all(&cf);
    fixture_open_keyspace(cf.f);
    struct far_end *e = fixture_connect(cf.f);

    fixture_send(cf.f, e, "SELECT ranged\r\nRANDOMKEY\r\nSCAN 0\r\nGET key:1\r\n");
    fixture_serve(cf.f);
    fixture_send(cf.f, e, "GET key:2\r\nGET key:49\r\nGET z\r\nMGET key:3 key:4\r\n");
    for (u32 i = 0; i < 4; i++)
        CHECK_EQ(cf.f->asked_part[i], cluster_part(&cf, 18, i == 2 ? 2 : 1));
    fixture_serve(cf.f);
    buf_clear(&e->got);
    fixture_send(cf.f, e, "MGET key:1 key:2\r\n");
    CHECK(got_begins(
        e,
        "-CROSSSLOT the keys 'key:1' and 'key:2' lie in different partitions of keyspace ranged;"));
    fill(&cf, e, 300);
    fixture_send(cf.f, e, "DBSIZE\r\n");
    fixture_serve(cf.f);
    CHECK_GOT(e, ":300\r\n");
    for (u32 count = 1; count < 1000; count = count * 3 + 1)
        CHECK_EQ(scan_all(&cf, e, count, 300), 300);
    for (u32 i = 0; i < 20; i++) {
        fixture_send(cf.f, e, "RANDOMKEY\r\n");
        fixture_serve(cf.f);
        CHECK(got_begins(e, "$"));
    }
    fixture_send(cf.f, e, "FLUSHALL\r\nRANDOMKEY\r\n");
    fixture_serve(cf.f);
    CHECK_GOT(e, "+OK\r\n$-1\r\n");
    CHECK_EQ(scan_all(&cf, e, 10, 1), 0);
    cluster_close(&cf);
}

TEST(routing, the_keys_of_a_slot)
{
    struct cluster_fixture cf = cluster_open();
    fixture_open_keyspace(cf.f);
    struct far_end *e = fixture_connect(cf.f);
    char text[64];

    fixture_send(cf.f, e, "SELECT 16\r\n");
    for (u32 i = 0; i < 2500; i++) {
        snprintf(text, sizeof text, "SET {foo}%u 1\r\n", i);
        fixture_send(cf.f, e, text);
        fixture_serve(cf.f);
    }
    fill(&cf, e, 100);
    fixture_send(cf.f, e,
                 "CLUSTER KEYSLOT {foo}9\r\nCLUSTER COUNTKEYSINSLOT 12182\r\n"
                 "CLUSTER COUNTKEYSINSLOT 12181\r\nCLUSTER GETKEYSINSLOT 12182 0\r\n"
                 "CLUSTER COUNTKEYSINSLOT 16384\r\nCLUSTER GETKEYSINSLOT 1 -1\r\n");
    fixture_serve(cf.f);
    CHECK_GOT(e, ":12182\r\n:2500\r\n:0\r\n*0\r\n-ERR Invalid slot\r\n-ERR Invalid slot or number "
                 "of keys\r\n");
    fixture_send(cf.f, e, "CLUSTER GETKEYSINSLOT 12182 2\r\n");
    fixture_serve(cf.f);
    CHECK(got_begins(e, "*2\r\n$"));
    fixture_send(cf.f, e, "CLUSTER GETKEYSINSLOT 12182 9999\r\n");
    fixture_serve(cf.f);
    CHECK(got_begins(e, "*2500\r\n$"));
    cluster_close(&cf);
}

/* --- WAIT and sessions --- */

TEST(routing, wait_is_about_all_partitions_written)
{
    struct cluster_fixture cf = cluster_open();
    struct far_end *e = fixture_connect(cf.f);

    fixture_send(cf.f, e, "SELECT 16\r\nSET bar 1\r\nSET foo 1\r\n");
    fixture_answer_index(cf.f, 0, STR("+OK\r\n"), 70);
    fixture_answer_index(cf.f, 1, STR("+OK\r\n"), 80);
    fixture_send(cf.f, e, "WAIT 2 100\r\n");
    CHECK_EQ(cf.f->requests[2]->kind, GATEWAY_WAIT);
    CHECK_EQ(cf.f->requests[2]->index, 70);
    CHECK_EQ(cf.f->requests[2]->replicas, 2);
    CHECK_EQ(cf.f->requests[3]->index, 80);
    CHECK_EQ(cf.f->asked_part[3], cluster_part(&cf, ORDERS, 2));
    CHECK(cf.f->requests[3]->deadline == cf.f->now + 100 * NANOS_MS);
    fixture_answer(cf.f, 2, ":2\r\n");
    fixture_answer(cf.f, 3, ":1\r\n");
    CHECK_GOT(e, "+OK\r\n+OK\r\n+OK\r\n:1\r\n");
    cluster_close(&cf);
}

TEST(routing, wait_does_not_fail_for_partitions_that_are_gone)
{
    struct cluster_fixture cf = cluster_open();
    struct far_end *e = fixture_connect(cf.f);

    fixture_send(cf.f, e, "SELECT 16\r\nSET bar 1\r\nSET foo 1\r\nSELECT default\r\n");
    fixture_answer_index(cf.f, 0, STR("+OK\r\n"), 70);
    fixture_answer_index(cf.f, 1, STR("+OK\r\n"), 80);
    cluster_do(
        &cf, &(struct core_command){.op = CORE_KS_DROP, .keyspace = ORDERS, .name = STR("orders")});
    for (u32 i = 0; i < cf.f->part_count; i++) /* forgotten */
        if (cf.f->parts[i]->hosted.id == cf.f->asked_part[0]) cf.f->parts[i]->hosted.id = 9999;
    cf.f->parts_changes++;
    fixture_send(cf.f, e, "WAIT 2 100\r\n");
    CHECK_GOT(e, "+OK\r\n+OK\r\n+OK\r\n+OK\r\n:1\r\n");
    cluster_close(&cf);
}

TEST(routing, a_session_is_opened_in_every_partition_and_called_in_one)
{
    struct cluster_fixture cf = cluster_open();
    struct far_end *e = fixture_connect(cf.f);

    fixture_send(cf.f, e, "SELECT 16\r\nQ.SESSION OPEN\r\n");
    CHECK_EQ(cf.f->request_count, 4);
    for (u32 i = 0; i < 4; i++) {
        struct entry open = fixture_entry(cf.f, i), first = fixture_entry(cf.f, 0);
        CHECK_EQ(open.op, ENTRY_SESSION_OPEN);
        CHECK(mem_equal(open.session.bytes, first.session.bytes, 16) || i == 0);
        if (i) fixture_answer(cf.f, i, "+OK\r\n");
    }
    fixture_answer(cf.f, 0, "+OK\r\n");
    CHECK(got_begins(e, "+OK\r\n$32\r\n"));
    fixture_send(cf.f, e,
                 "Q.SESSION CALL 00112233445566778899aabbccddeeff 5 INCR bar\r\n"
                 "Q.SESSION CALL 00112233445566778899aabbccddeeff 6 DEL bar foo\r\n");
    CHECK(went_to(&cf, 4, 1, "INCR bar"));
    CHECK_EQ(fixture_entry(cf.f, 4).seq, 5);
    fixture_answer(cf.f, 4, ":1\r\n");
    CHECK(got_begins(e, ":1\r\n-CROSSSLOT the keys"));
    fixture_send(cf.f, e, "Q.SESSION CLOSE 00112233445566778899aabbccddeeff\r\n");
    for (u32 i = 5; i < 9; i++)
        fixture_answer(cf.f, i, i == 6 ? "-SESSION unknown x\r\n" : "+OK\r\n");
    CHECK_GOT(e, "+OK\r\n");
    cluster_close(&cf);
}

TEST_MAIN(RUN(routing, a_key_goes_to_the_partition_of_its_slot),
          RUN(routing, keyspaces_are_selected_by_number_and_name),
          RUN(routing, a_keyspaces_user_enters_it),
          RUN(routing, keys_of_one_partition_go_together_and_others_are_refused),
          RUN(routing, a_transaction_runs_in_the_partition_of_its_keys),
          RUN(routing, watched_keys_count_for_where_exec_runs),
          RUN(routing, program_order_is_kept_for_each_partition),
          RUN(routing, orders_of_idle_partitions_are_forgotten_but_not_those_under_way),
          RUN(routing, a_partition_not_heard_of_is_a_retriable_error),
          RUN(routing, a_dropped_keyspace_is_said_to_be),
          RUN(routing, dbsize_is_the_sum_and_an_error_is_not_hidden),
          RUN(routing, a_flush_that_some_partitions_refuse_is_unknown),
          RUN(routing, more_partitions_than_may_be_asked_at_once_are_asked_in_turn),
          RUN(routing, a_client_that_is_gone_lets_its_flush_go_on_and_its_reads_end),
          RUN(routing, a_client_may_go_in_the_middle_of_any_of_them),
          RUN(routing, whole_databases_over_several_partitions_look_like_one),
          RUN(routing, a_split_moves_the_keys_of_the_upper_half),
          RUN(routing, what_was_sent_by_an_older_map_goes_on_to_the_new_place),
          RUN(routing, what_is_about_all_begins_again_after_a_split),
          RUN(routing, key_ranges_are_told_by_the_key), RUN(routing, the_keys_of_a_slot),
          RUN(routing, wait_is_about_all_partitions_written),
          RUN(routing, wait_does_not_fail_for_partitions_that_are_gone),
          RUN(routing, a_session_is_opened_in_every_partition_and_called_in_one))
