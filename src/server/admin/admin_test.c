/* The admin door, from bytes to bytes. */
#include "server/admin/admin_fakes.h"

#include "base/test.h"
#include "raft/raft.h"

static bool got(struct far_end *e, const char *text)
{
    bool same = str_equal(buf_str(&e->got), str_of(text));

    if (!same) print_error("got:\n%.*s\nwanted:\n%s\n", STR_ARG(buf_str(&e->got)), text);
    buf_clear(&e->got);
    return same;
}

static bool got_start(struct far_end *e, const char *text)
{
    bool same = e->got.len >= strlen(text) && memcmp(buf_bytes(&e->got), text, strlen(text)) == 0;

    if (!same) print_error("got:\n%.*s\nwanted to begin:\n%s\n", STR_ARG(buf_str(&e->got)), text);
    buf_clear(&e->got);
    return same;
}

#define OK_PLAIN                                                                                   \
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\n"          \
    "Cache-Control: no-store\r\n\r\nok\n"

TEST(admin, is_healthy_while_the_node_works)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(got(e, OK_PLAIN));
    f->failure = "a write to the log failed";
    fixture_send(f, e, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(got(e, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; "
                 "charset=utf-8\r\nContent-Length: 26\r\n"
                 "Cache-Control: no-store\r\n\r\na write to the log failed\n"));
    fixture_free(f);
}

TEST(admin, is_ready_when_it_serves_and_else_says_why_not)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "GET /readyz HTTP/1.1\r\n\r\n");
    CHECK(got(e, OK_PLAIN));
    f->view.serving = false;
    fixture_send(f, e, "GET /readyz HTTP/1.1\r\n\r\n");
    CHECK(got_start(e, "HTTP/1.1 503 Service Unavailable\r\n"));
    f->view.leader = 3;
    fixture_send(f, e, "GET /readyz HTTP/1.1\r\n\r\n");
    CHECK(strstr((const char *)buf_bytes(&e->got), "the leader, node 3, is not connected\n"));
    buf_clear(&e->got);
    f->view.leader = 0;
    fixture_send(f, e, "GET /readyz HTTP/1.1\r\n\r\n");
    CHECK(strstr((const char *)buf_bytes(&e->got), "no leader is known"));
    fixture_free(f);
}

TEST(admin, gives_metrics_to_prometheus)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "GET /metrics?x=y HTTP/1.1\r\nAccept: text/plain;version=0.0.4\r\n\r\n");
    CHECK(got(e, "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; "
                 "charset=utf-8\r\nContent-Length: 13\r\n"
                 "Cache-Control: no-store\r\n\r\nquorate_up 1\n"));
    fixture_free(f);
}

static const char *body_of(struct far_end *e)
{
    buf_append_u8(&e->got, 0);
    return strstr((const char *)buf_bytes(&e->got), "\r\n\r\n") + 4;
}

TEST(admin, shows_the_cluster)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    f->view.leader = 2;
    f->view.member_count = 4;
    f->config.member_count = 4;
    for (u32 i = 0; i < 4; i++) {
        f->config.members[i].id = i + 1;
        snprintf(f->config.members[i].host, NODE_HOST_MAX, "10.0.0.%u", i + 1);
        f->view.members[i].id = i + 1;
    }
    f->view.members[0] = (struct node_peer_view){.id = 1,
                                                 .alive = true,
                                                 .role = RAFT_FOLLOWER,
                                                 .pid = 7,
                                                 .term = 3,
                                                 .health = HEALTH_OK,
                                                 .commit = 38,
                                                 .applied = 37,
                                                 .boot = 1,
                                                 .redis_port = 6379};
    f->view.members[1] = (struct node_peer_view){.id = 2,
                                                 .alive = true,
                                                 .role = RAFT_LEADER,
                                                 .pid = 8,
                                                 .term = 3,
                                                 .commit = 40,
                                                 .applied = 40,
                                                 .health = HEALTH_IMPAIRED,
                                                 .boot = 1,
                                                 .redis_port = 6380};
    f->view.members[2] = (struct node_peer_view){.id = 3,
                                                 .alive = false,
                                                 .role = RAFT_LEADER,
                                                 .pid = 9,
                                                 .term = 2,
                                                 .commit = 20,
                                                 .applied = 20,
                                                 .boot = 1,
                                                 .redis_port = 6381};
    f->view.cluster_id[0] = 0xab;
    fixture_send(f, e, "GET /cluster HTTP/1.1\r\n\r\n");
    CHECK_STR(str_of(body_of(e)),
              "{\"leader\":2,\"nodes\":["
              "{\"id\":1,\"redis\":\"127.0.0.1:6379\",\"pid\":7,\"role\":\"follower\",\"term\":3,"
              "\"commit\":38,\"applied\":37,\"lag\":3,\"health\":\"ok\",\"alive\":true},"
              "{\"id\":2,\"redis\":\"10.0.0.2:6380\",\"pid\":8,\"role\":\"leader\",\"term\":3,"
              "\"commit\":40,\"applied\":40,\"lag\":0,\"health\":\"impaired\",\"alive\":true},"
              "{\"id\":3,\"redis\":\"10.0.0.3:6381\",\"pid\":9,\"role\":\"dead\",\"term\":2,"
              "\"commit\":20,\"applied\":20,\"lag\":20,\"health\":\"unknown\",\"alive\":false},"
              "{\"id\":4,\"redis\":\"10.0.0.4:0\",\"pid\":0,\"role\":\"unknown\",\"term\":0,"
              "\"commit\":0,\"applied\":0,\"lag\":40,\"health\":\"unknown\",\"alive\":false}"
              "],\"self\":1,\"cluster\":\"ab000000000000000000000000000000\"}\n");
    fixture_free(f);
}

TEST(admin, shows_no_leader_as_null_and_a_candidate_as_one)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    f->view.leader = 0;
    f->view.member_count = 1;
    f->view.members[0] = (struct node_peer_view){
        .id = 1, .alive = true, .role = RAFT_PRECANDIDATE, .boot = 1};
    snprintf(f->config.host, sizeof f->config.host, "a\"\\\n");
    fixture_send(f, e, "GET /cluster HTTP/1.1\r\n\r\n");
    const char *body = body_of(e);
    CHECK(strstr(body, "{\"leader\":null,\"nodes\":[{\"id\":1,\"redis\":\"a\\\"\\\\\\u000a:0\""));
    CHECK(strstr(body, "\"role\":\"candidate\""));
    fixture_free(f);
}

TEST(admin, answers_head_without_a_body)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "HEAD /healthz HTTP/1.1\r\n\r\n");
    CHECK(got(e,
              "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\n"
              "Cache-Control: no-store\r\n\r\n"));
    fixture_free(f);
}

TEST(admin, lists_its_paths_where_there_is_none)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "GET /nosuch HTTP/1.1\r\n\r\n");
    const char *body = body_of(e);
    CHECK(strstr(body, "/cluster") && strstr(body, "/healthz") && strstr(body, "/metrics") &&
          strstr(body, "/readyz"));
    CHECK(got_start(e, "HTTP/1.1 404 Not Found\r\n"));
    fixture_free(f);
}

TEST(admin, refuses_other_methods_and_bodies)
{
    struct fixture *f = fixture_open();
    struct far_end *a = fixture_connect(f), *b = fixture_connect(f);

    fixture_send(f, a, "DELETE /healthz HTTP/1.1\r\n\r\n");
    const char *head = (const char *)buf_bytes(&a->got);
    CHECK(strstr(head, "\r\nAllow: GET, HEAD, POST\r\n"));
    CHECK(got_start(a, "HTTP/1.1 405 Method Not Allowed\r\n"));
    CHECK(!a->asked_to_close);
    fixture_send(f, b, "GET /healthz HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello");
    CHECK(got_start(b, "HTTP/1.1 413 Content Too Large\r\n"));
    CHECK(b->asked_to_close && b->flushed_first);
    fixture_free(f);
}

TEST(admin, understands_requests_cut_anywhere_and_pipelined)
{
    static const char input[] =
        "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: y\r\n\r\n";

    for (size_t cut = 1; cut < sizeof input - 1; cut++) {
        struct fixture *f = fixture_open();
        struct far_end *e = fixture_connect(f);

        buf_append(&e->stream->in, input, cut);
        fixture_event(f, e, ENV_RECEIVED);
        buf_append(&e->stream->in, input + cut, sizeof input - 1 - cut);
        fixture_event(f, e, ENV_RECEIVED);
        CHECK(got(e, OK_PLAIN OK_PLAIN));
        CHECK_EQ(admin_door_stats(f->door)->requests, 2);
        fixture_free(f);
    }
}

TEST(admin, keeps_connections_as_the_client_wishes)
{
    static const struct {
        const char *request;
        bool keeps;
    } cases[] = {
        {"GET /healthz HTTP/1.1\r\n\r\n", true},
        {"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", false},
        {"GET /healthz HTTP/1.0\r\n\r\n", false},
        {"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture *f = fixture_open();
        struct far_end *e = fixture_connect(f);

        fixture_send(f, e, cases[i].request);
        CHECK_EQ(e->asked_to_close, !cases[i].keeps);
        buf_append_u8(&e->got, 0);
        CHECK_EQ(strstr((const char *)buf_bytes(&e->got), "Connection: close") != NULL,
                 !cases[i].keeps);
        fixture_free(f);
    }
}

TEST(admin, refuses_what_is_no_http)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e, "PING\r\n\r\n");
    CHECK(got_start(e, "HTTP/1.1 400 Bad Request\r\n"));
    CHECK(e->asked_to_close);
    CHECK_EQ(admin_door_stats(f->door)->bad_requests, 1);
    fixture_event(f, e, ENV_CLOSED);
    CHECK_EQ(admin_door_stats(f->door)->connected, 0);
    fixture_free(f);
}

TEST(admin, limits_the_length_of_paths_and_headers)
{
    struct fixture *f = fixture_open();
    struct far_end *a = fixture_connect(f), *b = fixture_connect(f);

    fixture_send(f, a, "GET /");
    for (u32 i = 0; i < 20; i++)
        fixture_send(f, a, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    CHECK(got_start(a, "HTTP/1.1 414 URI Too Long\r\n"));
    CHECK(a->asked_to_close);
    fixture_send(f, b, "GET /healthz HTTP/1.1\r\n");
    for (u32 i = 0; i < 200 && !b->asked_to_close; i++)
        fixture_send(f, b, "X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n");
    CHECK(got_start(b, "HTTP/1.1 431 Request Header Fields Too Large\r\n"));
    CHECK(b->asked_to_close);
    fixture_free(f);
}

TEST(admin, drops_clients_that_are_too_slow)
{
    struct fixture *f = fixture_open();
    struct far_end *silent = fixture_connect(f), *slow = fixture_connect(f),
                   *kept = fixture_connect(f);

    fixture_send(f, slow, "GET /healthz");
    fixture_send(f, kept, "GET /healthz HTTP/1.1\r\n\r\n");
    f->now += 9 * NANOS_SEC;
    fixture_send(f, slow, " HTTP"); /* a byte now and then does not help */
    admin_door_flush(f->door);
    CHECK(!silent->asked_to_close && !slow->asked_to_close);
    f->now += NANOS_SEC;
    admin_door_flush(f->door);
    CHECK(silent->asked_to_close && slow->asked_to_close && !kept->asked_to_close);
    f->now += 60 * NANOS_SEC;
    admin_door_flush(f->door);
    CHECK(kept->asked_to_close);
    CHECK_EQ(admin_door_stats(f->door)->timed_out, 3);
    fixture_free(f);
}

TEST(admin, answers_a_pipeline_only_as_fast_as_it_is_read)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    e->reads_nothing = true;
    for (u32 i = 0; i < 3000 && buf_room(&e->stream->in) > 30; i++)
        fixture_send(f, e, "GET /healthz HTTP/1.1\r\n\r\n");
    CHECK(e->stream->out.len < ADMIN_OUTPUT_PAUSE + 1000);
    CHECK(e->stream->in.len > 0);
    e->reads_nothing = false;
    admin_touch(e->stream->owner);
    admin_door_flush(f->door);
    fixture_event(f, e, ENV_DRAINED);
    CHECK_EQ(e->stream->in.len, 0);
    fixture_free(f);
}

TEST(admin, limits_its_connections)
{
    struct fixture *f = fixture_open();

    for (u32 i = 0; i < ADMIN_CONNECTIONS_MAX; i++) CHECK(!fixture_connect(f)->refused);
    CHECK(fixture_connect(f)->refused);
    CHECK_EQ(admin_door_stats(f->door)->rejected, 1);
    fixture_event(f, &f->ends[5], ENV_CLOSED);
    CHECK(!fixture_connect(f)->refused);
    fixture_free(f);
}

TEST(admin, says_what_to_do_when_it_cannot_listen)
{
    struct fixture *f = fixture_open();
    struct admin_door *second;
    char problem[256];

    f->config.admin_port = 1;
    CHECK_EQ(admin_door_new((struct node *)(void *)f, problem, sizeof problem, &second),
             ERR_ADDRESS_IN_USE);
    CHECK(strstr(problem, "127.0.0.1:1: address in use"));
    fixture_free(f);
}

TEST_MAIN(RUN(admin, is_healthy_while_the_node_works),
          RUN(admin, is_ready_when_it_serves_and_else_says_why_not),
          RUN(admin, gives_metrics_to_prometheus), RUN(admin, shows_the_cluster),
          RUN(admin, shows_no_leader_as_null_and_a_candidate_as_one),
          RUN(admin, answers_head_without_a_body), RUN(admin, lists_its_paths_where_there_is_none),
          RUN(admin, refuses_other_methods_and_bodies),
          RUN(admin, understands_requests_cut_anywhere_and_pipelined),
          RUN(admin, keeps_connections_as_the_client_wishes), RUN(admin, refuses_what_is_no_http),
          RUN(admin, limits_the_length_of_paths_and_headers),
          RUN(admin, drops_clients_that_are_too_slow),
          RUN(admin, answers_a_pipeline_only_as_fast_as_it_is_read),
          RUN(admin, limits_its_connections), RUN(admin, says_what_to_do_when_it_cannot_listen))
