/* The door's own commands where Redis's answers can not be recorded, because they are about this
 * server. */
#include "server/redis/door_fixture.h"

static bool answers(struct fixture *f, struct far_end *e, const char *request, const char *reply)
{
    fixture_send(f, e, request);
    fixture_send(f, e, "\r\n");
    return fixture_got(e, reply);
}

/* Does what the client has got hold this? */
static bool holds(struct far_end *e, const char *text)
{
    buf_append_u8(&e->got, 0);
    bool found = strstr((const char *)buf_bytes(&e->got), text) != NULL;
    if (!found) print_error("no \"%s\" in:\n%s\n", text, (const char *)buf_bytes(&e->got));
    buf_truncate(&e->got, e->got.len - 1);
    return found;
}

TEST(commands, hello_introduces_a_redis_and_the_connections_number)
{
    struct fixture *f = fixture_open();
    struct far_end *a = fixture_connect(f), *b = fixture_connect(f);

    CHECK(answers(f, a, "HELLO",
                  "*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$"
                  "5\r\nproto\r\n:2\r\n"
                  "$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$"
                  "6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n"));
    CHECK(answers(f, b, "HELLO 3 AUTH default x SETNAME me",
                  "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$"
                  "5\r\nproto\r\n:3\r\n"
                  "$2\r\nid\r\n:2\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$"
                  "6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n"));
    CHECK(answers(f, b, "CLIENT GETNAME", "$2\r\nme\r\n"));
    CHECK(answers(f, b, "HELLO 4", "-NOPROTO unsupported protocol version\r\n"));
    CHECK(answers(f, b, "CLIENT SETNAME \"\"", "+OK\r\n"));
    CHECK(answers(f, b, "CLIENT GETNAME", "_\r\n"));
    CHECK(answers(f, b, "RESET", "+RESET\r\n"));
    CHECK(answers(f, b, "CLIENT GETNAME", "$-1\r\n"));
    fixture_free(f);
}

TEST(commands, role_and_time_are_this_nodes)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    CHECK(answers(f, e, "ROLE", "*3\r\n$6\r\nmaster\r\n:41\r\n*0\r\n"));
    CHECK(answers(f, e, "TIME", "*2\r\n$10\r\n1800000000\r\n$6\r\n123456\r\n"));
    fixture_free(f);
}

TEST(commands, info_has_what_clients_look_for)
{
    static const char *const lines[] = {
        "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nos:Linux\r\n",
        "process_id:4711\r\n",
        "tcp_port:6379\r\n",
        "uptime_in_seconds:100\r\n",
        "\r\n# Clients\r\nconnected_clients:1\r\n",
        "maxclients:1000\r\n",
        "used_memory:1536\r\nused_memory_human:1.50K\r\n",
        "maxmemory:0\r\n",
        "\r\n# Persistence\r\nloading:0\r\n",
        "aof_enabled:1\r\n",
        "total_connections_received:1\r\n",
        "total_commands_processed:",
        "instantaneous_ops_per_sec:",
        "keyspace_hits:0\r\nkeyspace_misses:0\r\n",
        "\r\n# Replication\r\nrole:master\r\nconnected_slaves:0\r\n",
        "master_repl_offset:41\r\n",
        "\r\n# Cluster\r\ncluster_enabled:0\r\n",
        "\r\n# Keyspace\r\n",
        "node:1\r\nboot:3\r\nmembers:3\r\nleader:2\r\n",
        "run_id:00000000000000000000000000000000010000",
    };
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "INFO\r\n");
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) CHECK(holds(e, lines[i]));
    CHECK_EQ(redis_value_length(buf_str(&e->got)), e->got.len);
    fixture_free(f);
}

TEST(commands, info_gives_the_sections_asked_for)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    CHECK(answers(f, e, "INFO cpu",
                  "$54\r\n# CPU\r\nused_cpu_sys:0.000000\r\nused_cpu_user:0.000000\r\n\r\n"));
    CHECK(answers(f, e, "INFO cluster", "$30\r\n# Cluster\r\ncluster_enabled:0\r\n\r\n"));
    CHECK(answers(f, e, "HELLO 3 x", "-ERR Syntax error in HELLO option 'x'\r\n"));
    fixture_send(f, e, "HELLO 3\r\n");
    buf_clear(&e->got);
    CHECK(answers(f, e, "INFO CLUSTER modules",
                  "=47\r\ntxt:# Modules\r\n\r\n# Cluster\r\ncluster_enabled:0\r\n\r\n"));
    fixture_free(f);
}

TEST(commands, info_counts_keys_errors_hits_and_misses)
{
    struct fixture *f = fixture_open();
    fixture_open_keyspace(f);
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "SET a 1\r\nSET b 2 EX 100\r\nSELECT 3\r\nSET c 3\r\n");
    fixture_serve(f);
    fixture_send(f, e,
                 "GET c\r\nGET nothing\r\nINCR c x\r\nNOSUCH\r\nLCS a\r\nEXEC\r\nHELLO 9\r\n");
    fixture_serve(f);
    buf_clear(&e->got);
    fixture_send(f, e, "INFO everything\r\n");
    CHECK(holds(e, "db0:keys=2,expires=1,avg_ttl=0\r\ndb3:keys=1,expires=0,avg_ttl=0\r\n"));
    CHECK(holds(e, "keyspace_hits:1\r\nkeyspace_misses:1\r\n"));
    CHECK(holds(e, "# Errorstats\r\nerrorstat_ERR:count=4\r\nerrorstat_NOPROTO:count=1\r\n"));
    CHECK(holds(e, "total_error_replies:5\r\n"));
    buf_clear(&e->got);
    fixture_send(f, e, "CONFIG RESETSTAT\r\nINFO stats\r\n");
    CHECK(holds(e, "keyspace_hits:0\r\nkeyspace_misses:0\r\n"));
    CHECK(holds(e, "total_connections_received:0\r\ntotal_commands_processed:1\r\n"));
    fixture_free(f);
}

TEST(commands, info_tells_the_present_rate)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    for (u32 i = 0; i < 4; i++) {
        f->now += NANOS_SEC / 2;
        fixture_send(f, e, "PING\r\nPING\r\nPING\r\n");
    }
    buf_clear(&e->got);
    fixture_send(f, e, "INFO stats\r\n");
    CHECK(holds(e, "instantaneous_ops_per_sec:6\r\n"));
    f->now += 100 * NANOS_SEC;
    fixture_send(f, e, "INFO stats\r\n");
    CHECK(holds(e, "instantaneous_ops_per_sec:0\r\n"));
    fixture_free(f);
}

TEST(commands, client_list_has_a_line_per_connection)
{
    struct fixture *f = fixture_open();
    struct far_end *a = fixture_connect(f), *b = fixture_connect(f);

    fixture_send(f, a,
                 "CLIENT SETINFO LIB-NAME redis-py\r\nCLIENT SETINFO lib-ver 4.3.4\r\nCLIENT "
                 "SETNAME me\r\n");
    f->now += 5 * NANOS_SEC;
    fixture_send(f, b, "SELECT 2\r\nMULTI\r\nPING\r\n");
    buf_clear(&a->got);
    fixture_send(f, a, "CLIENT LIST\r\n");
    CHECK(holds(a, "id=1 addr=10.0.0.1:1000 laddr=127.0.0.1:6379 fd=-1 name=me age=5 idle=0 "
                   "flags=N db=0 sub=0 "));
    CHECK(
        holds(a, "cmd=client|list user=default redir=-1 resp=2 lib-name=redis-py lib-ver=4.3.4\n"));
    CHECK(holds(a, "id=2 addr=10.0.0.1:1001 laddr=127.0.0.1:6379 fd=-1 name= age=5 idle=0 flags=x "
                   "db=2 sub=0 psub=0 "
                   "ssub=0 multi=1 "));
    buf_clear(&a->got);
    fixture_send(f, a, "CLIENT LIST ID 2 77\r\n");
    CHECK(holds(a, "id=2 addr"));
    CHECK(!strstr((const char *)buf_bytes(&a->got), "id=1 "));
    CHECK(answers(f, b, "RESET", "+OK\r\n+OK\r\n+QUEUED\r\n+RESET\r\n"));
    CHECK(answers(f, b, "CLIENT SETINFO NOSUCH x", "-ERR Unrecognized option 'NOSUCH'\r\n"));
    CHECK(answers(f, b, "CLIENT SETINFO lib-name \"a b\"",
                  "-ERR lib-name cannot contain spaces, newlines or special characters.\r\n"));
    CHECK(answers(f, b, "CLIENT NO-TOUCH on", "+OK\r\n"));
    fixture_free(f);
}

TEST(commands, client_kill_ends_the_connections_meant)
{
    struct fixture *f = fixture_open();
    struct far_end *a = fixture_connect(f), *b = fixture_connect(f), *c = fixture_connect(f),
                   *d = fixture_connect(f);

    CHECK(answers(f, a, "CLIENT KILL ID 2", ":1\r\n"));
    CHECK(b->asked_to_close);
    CHECK(answers(f, a, "CLIENT KILL ID 2", ":0\r\n")); /* it is as good as gone */
    CHECK(answers(f, a, "CLIENT KILL 10.0.0.1:1002", "+OK\r\n"));
    CHECK(c->asked_to_close);
    CHECK(answers(f, a, "CLIENT KILL TYPE normal LADDR 127.0.0.1:6379", ":1\r\n"));
    CHECK(d->asked_to_close && !a->asked_to_close);
    CHECK(answers(f, a, "CLIENT KILL ID 1 SKIPME no", ":1\r\n")); /* itself: after the reply */
    CHECK(a->asked_to_close && a->flushed_first);
    fixture_hang_up(f, b);
    fixture_hang_up(f, a);
    fixture_free(f);
}

TEST(commands, config_tells_what_is_true_here)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    CHECK(answers(f, e, "CONFIG GET save appendonly",
                  "*4\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n$4\r\nsave\r\n$0\r\n\r\n"));
    CHECK(answers(f, e, "CONFIG GET appendfsync", "*2\r\n$11\r\nappendfsync\r\n$6\r\nalways\r\n"));
    CHECK(answers(f, e, "CONFIG GET port", "*2\r\n$4\r\nport\r\n$4\r\n6379\r\n"));
    CHECK(answers(f, e, "CONFIG GET bin[d]", "*2\r\n$4\r\nbind\r\n$9\r\n127.0.0.1\r\n"));
    CHECK(answers(f, e, "CONFIG GET *CLIENTS", "*2\r\n$10\r\nmaxclients\r\n$4\r\n1000\r\n"));
    CHECK(answers(f, e, "CONFIG SET appendonly no",
                  "-ERR CONFIG SET failed (possibly related to argument 'appendonly') - only 'yes' "
                  "is supported here\r\n"));
    CHECK(answers(f, e, "CONFIG SET appendonly YES save \"\"", "+OK\r\n"));
    CHECK(answers(f, e, "CONFIG SET maxclients 1001",
                  "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - argument "
                  "must be between 1 and "
                  "1000 inclusive\r\n"));
    CHECK(answers(f, e, "CONFIG SET maxclients 1 timeout 5",
                  "-ERR CONFIG SET failed (possibly related to argument 'timeout') - only '0' is "
                  "supported here\r\n"));
    CHECK(answers(f, e, "CONFIG GET maxclients",
                  "*2\r\n$10\r\nmaxclients\r\n$4\r\n1000\r\n")); /* all or nothing */
    CHECK(answers(f, e, "CONFIG SET maxclients 1", "+OK\r\n"));
    CHECK_GOT(fixture_connect(f), "-ERR max number of clients reached\r\n");
    fixture_free(f);
}

TEST(commands, every_command_and_subcommand_is_documented)
{
    struct fixture *f = fixture_open();
    u32 count;
    const struct kv_command *data = kv_commands(&count);

    for (u32 i = 0; i < count; i++)
        if (!redis_command_doc_find(str_of(data[i].name)))
            fail_msg("no documentation of %s", data[i].name);
    for (u32 i = 0; i < f->door->command_count; i++) {
        const struct door_command *row = f->door->commands[i];
        const struct door_command *sub = row->subcommands;
        CHECK(i == 0 ||
              strcmp(f->door->commands[i - 1]->name, row->name) < 0); /* sorted, no name twice */
        CHECK(!kv_command_find(str_of(row->name)));
        CHECK(row->handler || sub);
        if (!redis_command_doc_find(str_of(row->name)))
            fail_msg("no documentation of %s", row->name);
        for (; sub && sub->name; sub++)
            if (!redis_command_doc_find(str_of(sub->name)))
                fail_msg("no documentation of %s", sub->name);
    }
    fixture_free(f);
}

TEST(commands, command_and_its_docs_are_well_formed_in_both_protocols)
{
    static const char *const requests[] = {"COMMAND\r\n",
                                           "COMMAND DOCS\r\n",
                                           "COMMAND LIST\r\n",
                                           "CLIENT HELP\r\n",
                                           "CONFIG HELP\r\n",
                                           "Q.SESSION HELP\r\n",
                                           "DEBUG HELP\r\n",
                                           "COMMAND DOCS get config client|id\r\n",
                                           "COMMAND INFO object set\r\n"};

    for (u32 proto = 2; proto <= 3; proto++) {
        struct fixture *f = fixture_open();
        struct far_end *e = fixture_connect(f);
        if (proto == 3) fixture_send(f, e, "HELLO 3\r\n");
        for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
            buf_clear(&e->got);
            fixture_send(f, e, requests[i]);
            CHECK(e->got.len > 20);
            CHECK_EQ(redis_value_length(buf_str(&e->got)), e->got.len);
        }
        buf_clear(&e->got);
        fixture_send(f, e, "COMMAND COUNT\r\nCOMMAND LIST\r\n");
        i64 count;
        const u8 *end = memchr(buf_bytes(&e->got), '\r', e->got.len);
        CHECK(str_to_i64(str_from(buf_bytes(&e->got) + 1, (size_t)(end - buf_bytes(&e->got)) - 1),
                         &count));
        char header[32];
        snprintf(header, sizeof header, ":%d\r\n*%d\r\n", (int)count, (int)count);
        CHECK(holds(e, header));
        fixture_free(f);
    }
}

TEST(commands, debug_is_refused_where_it_is_not_enabled)
{
    struct fixture *f = fixture_new();

    f->config.debug_commands = false;
    fixture_start(f);
    struct far_end *e = fixture_connect(f);
    CHECK(answers(f, e, "DEBUG SLEEP 1",
                  "-ERR DEBUG command not allowed. Start the node with debug commands enabled to "
                  "use it.\r\n"));
    fixture_free(f);
}

TEST_MAIN(RUN(commands, hello_introduces_a_redis_and_the_connections_number),
          RUN(commands, role_and_time_are_this_nodes),
          RUN(commands, info_has_what_clients_look_for),
          RUN(commands, info_gives_the_sections_asked_for),
          RUN(commands, info_counts_keys_errors_hits_and_misses),
          RUN(commands, info_tells_the_present_rate),
          RUN(commands, client_list_has_a_line_per_connection),
          RUN(commands, client_kill_ends_the_connections_meant),
          RUN(commands, config_tells_what_is_true_here),
          RUN(commands, every_command_and_subcommand_is_documented),
          RUN(commands, command_and_its_docs_are_well_formed_in_both_protocols),
          RUN(commands, debug_is_refused_where_it_is_not_enabled))
