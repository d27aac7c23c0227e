/* /v1: the map as JSON, commands to the core, refusals, unknown outcomes, and what would be done.
 */
#include "server/admin/admin_fakes.h"

#include "base/test.h"

struct world {
    struct fake_cluster cluster;
    struct fixture *door;
    struct far_end *end;
};

static struct world *world_open(u32 nodes)
{
    struct world *w = mem_zalloc(sizeof *w);

    fake_cluster_found(&w->cluster, nodes);
    w->door = fixture_open();
    w->end = fixture_connect(w->door);
    return w;
}

static void world_done(struct world *w)
{
    fixture_free(w->door);
    fake_cluster_done(&w->cluster);
    mem_free(w);
}

/* One request; the core answers it at once unless it is slow. The status, and the body in `body`.
 */
static u32 ask(struct world *w, const char *method, const char *target, const char *params,
               const char **body)
{
    char text[2048];
    unsigned status = 0;

    buf_clear(&w->end->got);
    snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s",
             method, target, strlen(params), params);
    fixture_send(w->door, w->end, text);
    if (w->cluster.waiting && !w->cluster.slow) {
        fake_cluster_answer(&w->cluster);
        admin_door_flush(w->door->door);
    }
    buf_append_u8(&w->end->got, 0);
    const char *got = (const char *)buf_bytes(&w->end->got);
    sscanf(got, "HTTP/1.1 %u", &status);
    *body = strstr(got, "\r\n\r\n");
    *body = *body ? *body + 4 : "";
    return status;
}

TEST(v1, samples_requests_and_takes_alerts)
{
    struct world *w = world_open(1);
    const char *body;

    CHECK_EQ(ask(w, "POST", "/v1/sample", "rate=16&seconds=5", &body), 200);
    CHECK_EQ(w->door->sample_rate, 16);
    CHECK_EQ(w->door->sample_seconds, 5);
    CHECK_EQ(ask(w, "POST", "/v1/sample?rate=0", "", &body), 400);
    CHECK_EQ(ask(w, "POST", "/v1/sample?rate=x", "", &body), 400);
    CHECK_EQ(ask(w, "POST", "/v1/sample?seconds=99999", "", &body), 400);
    CHECK_EQ(w->door->sample_rate, 16);
    CHECK_EQ(ask(w, "GET", "/v1/sample?since=77", "", &body), 200);
    CHECK_EQ(w->door->sampled_since, 77);
    CHECK(strstr(body, "\"events\":[]}") != NULL);
    CHECK_EQ(ask(w, "POST", "/v1/alerts", "key=k", &body), 400);
    CHECK_EQ(ask(w, "POST", "/v1/alerts", "text=it+went+back&key=a%20b&level=session", &body), 200);
    CHECK_EQ(w->door->alerts, 1);
    world_done(w);
}

TEST(v1, creates_a_keyspace_and_lists_it)
{
    struct world *w = world_open(3);
    const char *body;

    CHECK_EQ(ask(w, "POST", "/v1/keyspaces", "name=orders&partitions=hash%3A8", &body), 200);
    CHECK_STR(str_of(body), "{\"epoch\":2,\"id\":16}\n");
    CHECK_EQ(ask(w, "GET", "/v1/keyspaces/orders", "", &body), 200);
    CHECK_STR(str_of(body),
              "{\"epoch\":2,\"keyspace\":{\"name\":\"orders\",\"id\":16,\"replicas\":3,"
              "\"partitions\":\"hash:8\",\"consistency\":\"linearizable\",\"durability\":\"disk\","
              "\"value-bytes-max\":16777216,\"level\":\"lease\",\"groups\":8,\"led\":0,\"accepted-risk\":false,"
              "\"changed\":2}}\n");
    CHECK_EQ(ask(w, "GET", "/v1/keyspaces", "", &body), 200);
    CHECK(strstr(body, "\"name\":\"core\""));
    CHECK(strstr(body, "\"name\":\"default\""));
    CHECK(strstr(body, "\"name\":\"orders\""));
    world_done(w);
}

TEST(v1, passes_a_refusal_of_the_core_on_as_a_conflict)
{
    struct world *w = world_open(1);
    const char *body;

    CHECK_EQ(ask(w, "POST", "/v1/keyspaces", "name=orders&replicas=3", &body), 409);
    CHECK(strstr(
        body, "{\"error\":\"UNSAFE\",\"reason\":\"replicas=3 needs as many nodes and 1 is up: "));
    CHECK_EQ(ask(w, "POST", "/v1/keyspaces", "name=orders&replicas=3&accept-risk=1", &body), 200);
    CHECK_EQ(ask(w, "POST", "/v1/keyspaces", "name=orders&replicas=1", &body), 409);
    CHECK(strstr(body, "{\"error\":\"EXISTS\""));
    CHECK_EQ(ask(w, "POST", "/v1/keyspaces/orders", "colour=red", &body), 409);
    CHECK(strstr(body, "{\"error\":\"INVALID\",\"reason\":\"there is no setting colour here; there "
                       "are: replicas, "));
    world_done(w);
}

TEST(v1, says_what_it_does_not_know)
{
    struct world *w = world_open(1);
    const char *body;

    w->cluster.failed = "NOQUORUM no leader of the core is known";
    CHECK_EQ(ask(w, "POST", "/v1/settings", "paused=yes", &body), 503);
    CHECK_STR(str_of(body),
              "{\"error\":\"NOQUORUM\",\"reason\":\"no leader of the core is known\"}\n");
    w->cluster.failed = "-UNKNOWN it may be done\r\n";
    CHECK_EQ(ask(w, "POST", "/v1/settings", "paused=yes", &body), 504);
    CHECK_STR(str_of(body), "{\"error\":\"UNKNOWN\",\"reason\":\"it may be done\"}\n");
    w->cluster.failed = "something else";
    CHECK_EQ(ask(w, "POST", "/v1/settings", "paused=yes", &body), 504);
    CHECK(strstr(body, "{\"error\":\"UNKNOWN\""));
    CHECK_EQ(w->cluster.asked, 3);
    world_done(w);
}

TEST(v1, refuses_what_makes_no_sense_before_it_asks_the_core)
{
    static const struct {
        const char *method, *target, *params;
        u32 status;
    } cases[] = {
        {"POST", "/v1/keyspaces", "", 400},
        {"POST", "/v1/keyspaces", "name=", 400},
        {"POST", "/v1/keyspaces", "name=a%zz", 400},
        {"POST", "/v1/keyspaces/nosuch", "replicas=3", 404},
        {"POST", "/v1/keyspaces/nosuch/drop", "", 404},
        {"POST", "/v1/keyspaces/default/pin", "node=x", 400},
        {"POST", "/v1/nodes/x/drain", "", 400},
        {"POST", "/v1/nodes/0/drain", "", 400},
        {"POST", "/v1/nodes/1/drain", "gently=1", 400},
        {"POST", "/v1/groups/99/move", "to=1", 404},
        {"POST", "/v1/groups/2/move", "", 400},
        {"POST", "/v1/groups/2/move", "from=9", 409},
        {"POST", "/v1/groups/2/split", "at=16384", 400},
        {"POST", "/v1/groups/2/merge", "", 409},
        {"POST", "/v1/nodes", "", 405},
        {"POST", "/v1/nodes//drain", "", 404},
        {"GET", "/v1/nodes/1/drain", "", 405},
        {"GET", "/v1/keyspaces/nosuch", "", 404},
    };
    struct world *w = world_open(1);
    const char *body;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        u32 status = ask(w, cases[i].method, cases[i].target, cases[i].params, &body);
        if (status != cases[i].status)
            print_error("%s %s: %u %s\n", cases[i].target, cases[i].params, status, body);
        CHECK_EQ(status, cases[i].status);
    }
    CHECK_EQ(w->cluster.asked, 0);
    world_done(w);
}

TEST(v1, shows_nodes_groups_and_settings)
{
    struct world *w = world_open(2);
    const char *body;
    static const struct core_node_fact nodes[] = {{.node = 2, .silent_ms = 1500, .disk_used = 7}};
    static const struct core_part_fact parts[] = {
        {.part = 2, .bytes = 42, .caught_up_count = 1, .caught_up = {1}}};

    w->cluster.facts = (struct core_facts){
        .nodes = nodes, .node_count = 1, .parts = parts, .part_count = 1};
    CHECK_EQ(ask(w, "GET", "/v1/nodes", "", &body), 200);
    CHECK(strstr(body, "{\"epoch\":1,\"self\":1,\"core-leader\":1,\"nodes\":[{\"id\":1,\"state\":"
                       "\"up\",\"peer\":\"h1:1\""));
    CHECK(strstr(body, "\"alive\":false,\"silent-ms\":1500,\"busy\":false,\"disk-used\":7"));
    CHECK_EQ(ask(w, "GET", "/v1/groups?keyspace=default", "", &body), 200);
    CHECK(strstr(body, "{\"epoch\":1,\"groups\":[{\"id\":2,\"keyspace\":\"default\",\"slot-first\":"
                       "0,\"slot-last\":16383,"));
    CHECK(strstr(
        body,
        "\"bytes\":42,\"load\":0,\"members\":[{\"replica\":1,\"node\":1,\"role\":\"voter\","
        "\"caught-up\":true},"
        "{\"replica\":2,\"node\":2,\"role\":\"voter\",\"caught-up\":false}],\"operation\":null}"));
    CHECK_EQ(ask(w, "GET", "/v1/cluster", "", &body), 200);
    CHECK(strstr(body, "\"version\":1,\"self\":1,\"core-leader\":1,\"nodes\":2,\"keyspaces\":2,"
                       "\"groups\":2,\"led\":0,"
                       "\"operations\":0,\"settings\":{\"replace-after\":300,"));
    CHECK_EQ(ask(w, "POST", "/v1/settings", "replace-after=10&paused=yes", &body), 200);
    CHECK_EQ(ask(w, "GET", "/v1/settings", "", &body), 200);
    CHECK(strstr(
        body,
        "{\"epoch\":2,\"settings\":{\"replace-after\":10,\"moves-per-node\":2,\"moves-at-once\":64,"
        "\"paused\":\"yes\","));
    world_done(w);
}

TEST(v1, tells_what_a_command_would_do_without_doing_it)
{
    struct world *w = world_open(3);
    const char *body;
    struct core_node_fact nodes[] = {{.node = 1, .alive = true},
                                     {.node = 2, .alive = true},
                                     {.node = 3, .alive = true},
                                     {.node = 4, .alive = true}};
    struct core_part_fact parts[] = {
        {.part = 1, .bytes = 10, .caught_up_count = 3, .caught_up = {1, 2, 3}},
        {.part = 2, .bytes = 5000, .caught_up_count = 3, .caught_up = {1, 2, 3}},
        {.part = 3, .bytes = 700, .caught_up_count = 3, .caught_up = {1, 2, 3}}};

    fake_cluster_join(&w->cluster, 4);
    CHECK_EQ(ask(w, "POST", "/v1/keyspaces", "name=orders", &body), 200);
    w->cluster.facts = (struct core_facts){
        .nodes = nodes, .node_count = 4, .parts = parts, .part_count = 3};
    const struct core_part *p = core_part(w->cluster.core, 3);
    char target[64];
    snprintf(target, sizeof target, "/v1/nodes/%u/drain?dry-run=1", p->members[0].node);
    CHECK_EQ(ask(w, "POST", target, "", &body), 200);
    CHECK(strstr(
        body,
        "{\"dry-run\":true,\"epoch\":4,\"complete\":true,\"core-leader\":1,\"paused\":false,"));
    CHECK(strstr(body, "{\"kind\":\"move\",\"why\":\"drain\",\"group\":3,"));
    CHECK(strstr(body, "\"bytes\":700,"));
    CHECK_EQ(core_cluster(w->cluster.core)->epoch, 4);
    CHECK_EQ(core_node(w->cluster.core, p->members[0].node)->state, CORE_UP);
    CHECK_EQ(w->cluster.asked, 1); /* the creation */
    CHECK_EQ(ask(w, "POST", "/v1/nodes/9/drain?dry-run=1", "", &body), 409);
    CHECK(strstr(body, "{\"error\":\"NOSUCH\""));
    CHECK_EQ(ask(w, "POST", "/v1/keyspaces/orders/drop", "dry-run=1", &body), 200);
    CHECK_EQ(ask(w, "GET", "/v1/plan", "", &body), 200);
    CHECK(strstr(
        body,
        "{\"epoch\":4,\"complete\":true,\"core-leader\":1,\"paused\":false,\"moves-running\":0,"));
    world_done(w);
}

TEST(v1, sends_who_wants_all_facts_to_the_leader_of_the_core)
{
    struct world *w = world_open(2);
    const char *body;

    CHECK_EQ(ask(w, "GET", "/v1/plan?leader=1", "", &body), 200);
    w->cluster.leads = false; /* node 2 does */
    CHECK_EQ(ask(w, "GET", "/v1/plan?leader=1", "", &body), 307);
    CHECK(strstr((const char *)buf_bytes(&w->end->got),
                 "\r\nLocation: http://h2:1/v1/plan?leader=1\r\n"));
    CHECK_EQ(ask(w, "GET", "/v1/plan", "", &body), 200);
    CHECK(strstr(body, "\"complete\":false,\"core-leader\":2"));
    world_done(w);
}

TEST(v1, shows_itself_and_asks_leaders_to_hand_over)
{
    struct world *w = world_open(2);
    const char *body;

    CHECK_EQ(ask(w, "GET", "/v1/local", "", &body), 200);
    CHECK(strstr(body, "{\"node\":1,\"uptime-ms\":0,\"clients\":2,\"commands\":30,"));
    CHECK(strstr(body, "\"groups\":[{\"id\":2,\"leads\":true,\"leader\":1,"));
    CHECK(strstr(body, "\"peers\":[{\"replica\":2,\"node\":2,\"behind\":7,\"behind-ms\":0}]}]}"));
    CHECK_EQ(ask(w, "POST", "/v1/groups/2/transfer", "to=9", &body), 409);
    CHECK_EQ(ask(w, "POST", "/v1/groups/2/transfer", "to=2&dry-run=1", &body), 200);
    CHECK_EQ(w->cluster.handed_over, 0);
    CHECK_EQ(ask(w, "POST", "/v1/groups/2/transfer", "to=2", &body), 200);
    CHECK_EQ(w->cluster.handed_over, 2);
    world_done(w);
}

TEST(v1, tells_what_requests_of_a_keyspace_cost_lately)
{
    struct world *w = world_open(1);
    struct latencies *l = &w->door->latencies;
    const char *body;

    latencies_add(l, CORE_KEYSPACE_DEFAULT, LATENCY_WRITE, w->door->now, 15);
    latencies_add(l, CORE_KEYSPACE_DEFAULT, LATENCY_READ + LEVEL_LOCAL, w->door->now, 3);
    latencies_add(l, CORE_KEYSPACE_DEFAULT, LATENCY_READ + LEVEL_LOCAL, w->door->now, 3);
    latencies_refuse(l, CORE_KEYSPACE_DEFAULT, LATENCY_READ + LEVEL_STALE, w->door->now, STR("-STALE x\r\n"));
    w->door->now += 2 * NANOS_SEC;
    CHECK_EQ(ask(w, "GET", "/v1/price/default", "", &body), 200);
    CHECK(strstr(body, "\"node\":1,\"keyspace\":\"default\",\"id\":2,\"level\":\"lease\",\"durability\":\"disk\",\"kinds\":["));
    CHECK(strstr(body, "{\"kind\":\"write\",\"answered\":1,\"refused\":{},\"over-ms\":2000,\"count\":1,\"p50-us\":15,"
                       "\"p99-us\":15,\"buckets\":[15,1]}"));
    CHECK(strstr(body, "{\"kind\":\"stale\",\"answered\":0,\"refused\":{\"STALE\":1},\"over-ms\":0,\"count\":0,\"buckets\":[]}"));
    CHECK(strstr(body, "\"p99-us\":3,\"buckets\":[3,2]}"));
    CHECK(!strstr(body, "quorum"));
    CHECK_EQ(ask(w, "GET", "/v1/price/core", "", &body), 404);
    CHECK_EQ(ask(w, "GET", "/v1/price/nosuch", "", &body), 404);
    world_done(w);
}

TEST(v1, recovers_a_group_only_when_loss_is_accepted)
{
    struct world *w = world_open(1);
    const char *body;

    CHECK_EQ(ask(w, "POST", "/v1/groups/2/recover", "", &body), 409);
    CHECK(strstr(body, "{\"error\":\"LOSS\""));
    CHECK_EQ(ask(w, "POST", "/v1/groups/99/recover", "accept-loss=1", &body), 404);
    CHECK_EQ(w->cluster.recovered, 0);
    w->cluster.recover_fails = ERR_STALE;
    CHECK_EQ(ask(w, "POST", "/v1/groups/2/recover", "accept-loss=1", &body), 409);
    CHECK(strstr(body, "{\"error\":\"HASLEADER\""));
    w->cluster.recover_fails = OK;
    CHECK_EQ(ask(w, "POST", "/v1/groups/2/recover", "accept-loss=1", &body), 200);
    CHECK_EQ(w->cluster.recovered, 2);
    world_done(w);
}

TEST(v1, holds_and_cuts_for_a_backup)
{
    struct world *w = world_open(1);
    const char *body;

    CHECK_EQ(ask(w, "POST", "/v1/backup/hold", "for-ms=900", &body), 400);
    CHECK_EQ(ask(w, "POST", "/v1/backup/hold", "id=7&for-ms=900", &body), 200);
    CHECK_STR(str_of(body), "{\"node\":1,\"groups\":[{\"group\":2,\"state\":\"held\",\"hlc\":1007,"
                            "\"stamp\":0,\"index\":0}]}\n");
    CHECK_EQ(w->door->held_for, 900 * NANOS_MS);
    CHECK_EQ(ask(w, "POST", "/v1/backup/cut", "id=7&stamp=1007", &body), 200);
    CHECK_STR(str_of(body), "{\"node\":1,\"groups\":[{\"group\":2,\"state\":\"logged\",\"hlc\":0,"
                            "\"stamp\":1007,\"index\":7}]}\n");
    world_done(w);
}

static u32 count_of(const struct far_end *e, const char *text)
{
    u32 count = 0;
    const u8 *at = buf_bytes(&e->got), *end = at + e->got.len;

    while (at && (at = memmem(at, (size_t)(end - at), text, strlen(text)))) {
        at += strlen(text);
        count++;
    }
    return count;
}

TEST(v1, streams_rows_as_fast_as_they_are_taken)
{
    struct world *w = world_open(1);
    const char *body;

    w->door->rows_bytes = 300 * KIB;
    w->end->reads_nothing = true;
    CHECK_EQ(ask(w, "GET", "/v1/groups/2/rows?stamp=5", "", &body), 0);
    for (u32 i = 0; i < 10; i++) admin_door_flush(w->door->door);
    CHECK(w->end->stream->out.len < 400 * KIB); /* one block, and no more while nobody reads */
    w->end->reads_nothing = false;
    env_flush(&w->door->env, w->end->stream);
    for (u32 i = 0; i < 10; i++) fixture_event(w->door, w->end, ENV_DRAINED);
    CHECK_EQ(count_of(w->end, "4b00c\r\n"), 3);  /* 12 bytes of head and the rows */
    CHECK_EQ(count_of(w->end, "\r\n1c\r\n"), 1); /* the totals */
    CHECK_EQ(count_of(w->end, "\r\n0\r\n\r\n"), 1);
    CHECK_EQ(ask(w, "GET", "/healthz", "", &body), 200); /* the connection goes on */
    world_done(w);
}

TEST(v1, breaks_a_stream_off_that_has_lost_its_cut)
{
    struct world *w = world_open(1);
    const char *body;

    w->door->rows_bytes = 10;
    CHECK_EQ(ask(w, "GET", "/v1/groups/2/rows?stamp=13", "", &body), 200);
    for (u32 i = 0; i < 10 && !w->end->asked_to_close; i++)
        fixture_event(w->door, w->end, ENV_DRAINED);
    CHECK(w->end->asked_to_close);
    CHECK_EQ(count_of(w->end, "\r\n0\r\n\r\n"), 0);
    world_done(w);
}

TEST(v1, answers_in_order_while_a_command_is_under_way)
{
    struct world *w = world_open(1);
    const char *body;

    w->cluster.slow = true;
    CHECK_EQ(ask(w, "POST", "/v1/settings", "paused=yes", &body), 0);
    CHECK_EQ(ask(w, "GET", "/healthz", "", &body), 0);
    fake_cluster_answer(&w->cluster);
    admin_door_flush(w->door->door);
    admin_door_flush(w->door->door);
    buf_append_u8(&w->end->got, 0);
    const char *got = (const char *)buf_bytes(&w->end->got) + 1; /* after the earlier NUL */
    CHECK(strstr(got, "{\"epoch\":2}\n") && strstr(got, "ok\n"));
    CHECK(strstr(got, "{\"epoch\":2}\n") < strstr(got, "ok\n"));
    world_done(w);
}

TEST(v1, forgets_a_command_whose_client_is_gone)
{
    struct world *w = world_open(1);
    const char *body;

    w->cluster.slow = true;
    CHECK_EQ(ask(w, "POST", "/v1/settings", "paused=yes", &body), 0);
    CHECK(w->cluster.waiting);
    fixture_event(w->door, w->end, ENV_CLOSED);
    CHECK(!w->cluster.waiting);
    w->end = fixture_connect(w->door);
    CHECK_EQ(ask(w, "POST", "/v1/settings", "paused=yes", &body), 0);
    fixture_event(w->door, w->end, ENV_ENDED); /* printf ... | nc -N still gets its answer */
    CHECK(!w->end->asked_to_close);
    fake_cluster_answer(&w->cluster);
    admin_door_flush(w->door->door);
    CHECK(w->end->asked_to_close && w->end->flushed_first);
    world_done(w);
}

TEST(v1, takes_no_command_from_a_page_in_a_browser)
{
    struct world *w = world_open(1);

    fixture_send(w->door, w->end,
                 "POST /v1/nodes/1/drain HTTP/1.1\r\nOrigin: "
                 "http://evil.example\r\nContent-Length: 0\r\n\r\n");
    buf_append_u8(&w->end->got, 0);
    CHECK(strstr((const char *)buf_bytes(&w->end->got), "HTTP/1.1 403 Forbidden\r\n"));
    CHECK_EQ(w->cluster.asked, 0);
    world_done(w);
}

TEST(v1, has_no_map_before_it_is_a_member)
{
    struct world *w = world_open(1);
    const char *body;

    fake_cluster_now = NULL;
    CHECK_EQ(ask(w, "GET", "/v1/nodes", "", &body), 503);
    CHECK(strstr(body, "{\"error\":\"NOTFOUNDED\""));
    CHECK_EQ(ask(w, "POST", "/v1/settings", "paused=yes", &body), 503);
    world_done(w);
}

TEST_MAIN(RUN(v1, creates_a_keyspace_and_lists_it),
          RUN(v1, passes_a_refusal_of_the_core_on_as_a_conflict),
          RUN(v1, says_what_it_does_not_know),
          RUN(v1, refuses_what_makes_no_sense_before_it_asks_the_core),
          RUN(v1, shows_nodes_groups_and_settings),
          RUN(v1, tells_what_a_command_would_do_without_doing_it),
          RUN(v1, sends_who_wants_all_facts_to_the_leader_of_the_core),
          RUN(v1, samples_requests_and_takes_alerts),
          RUN(v1, shows_itself_and_asks_leaders_to_hand_over),
          RUN(v1, tells_what_requests_of_a_keyspace_cost_lately), RUN(v1, holds_and_cuts_for_a_backup),
          RUN(v1, recovers_a_group_only_when_loss_is_accepted),
          RUN(v1, streams_rows_as_fast_as_they_are_taken),
          RUN(v1, breaks_a_stream_off_that_has_lost_its_cut),
          RUN(v1, answers_in_order_while_a_command_is_under_way),
          RUN(v1, forgets_a_command_whose_client_is_gone),
          RUN(v1, takes_no_command_from_a_page_in_a_browser),
          RUN(v1, has_no_map_before_it_is_a_member))
