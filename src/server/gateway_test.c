/* The gateway's side of reads that any replica may answer: whom it asks, in which order, and what it does when the replica
 * cannot. Node 1 is this one and has a replica; node 2 leads, unless the test says otherwise. */
#include "base/test.h"
#include "kv/entry.h"
#include "server/node_internal.h"

#include <stdio.h>

enum { ASKED_MAX = 64 };

struct asked { /* what left the gateway */
    node_id at;
    u8 kind;
    u64 number, floor, after;
    struct level level;
};

static struct world {
    struct env env;
    struct node_config config;
    struct identity identity;
    struct hosted hosted;
    struct gateway *g;
    nanos now;
    node_id leader, near;
    struct asked asked[ASKED_MAX];
    u32 count;
    struct frame frame; /* being sent */
    node_id to;
    struct buf body;
    u8 *part; /* something to point to */
} w;

struct op { /* a request and what came of it */
    struct gateway_request req;
    u32 done;
    bool failed;
    char reply[256];
};

/* ---- in place of the node, its peers and its partition ---- */

struct env *node_env(const struct node *n) { return (void)n, &w.env; }
const struct node_config *node_config_of(const struct node *n) { return (void)n, &w.config; }
const struct identity *node_identity(const struct node *n) { return (void)n, &w.identity; }
nanos node_now(const struct node *n) { return (void)n, w.now; }
struct peers *node_peers(const struct node *n) { return (void)n, NULL; }
struct parts *node_parts(const struct node *n) { return (void)n, NULL; }
void parts_touch(struct parts *ps, struct hosted *h) { (void)ps, (void)h; }
node_id hosted_leader(const struct hosted *h) { return (void)h, w.leader; }
node_id nearby_replica(struct node *n, struct hosted *h) { return (void)n, (void)h, w.near; }
bool peers_is_connected(const struct peers *p, node_id to) { return (void)p, (void)to, true; }

struct buf *peers_begin(struct peers *p, node_id to, const struct frame *f, bool may_drop)
{
    (void)p, (void)may_drop;
    w.frame = *f;
    w.to = to;
    buf_clear(&w.body);
    return &w.body;
}

static void note(struct asked a)
{
    CHECK(w.count < ASKED_MAX);
    w.asked[w.count++] = a;
}

void peers_end(struct peers *p)
{
    struct forward f;
    struct level level;

    (void)p;
    CHECK_OK(forward_decode(buf_str(&w.body), &f));
    CHECK(level_from_u64(f.level, &level));
    note((struct asked){w.to, f.kind, w.frame.req, f.floor, f.after, level});
}

void part_submit(struct part *p, struct part_request *r)
{
    (void)p;
    rcbuf_unref(r->entry);
    note((struct asked){1, (u8)r->kind, r->from.number, r->floor, r->after, r->level});
}

static u64 some_number(struct env *env) { return (void)env, 1u << 20; }
static u64 wall(struct env *env) { return (void)env, 1000000; }
static nanos mono(struct env *env) { return (void)env, w.now; }

static void world_open(void)
{
    static const struct env_ops ops = {.random = some_number, .wall_us = wall, .mono = mono};

    w = (struct world){.now = NANOS_SEC, .leader = 2, .near = 1};
    w.env.ops = &ops;
    w.config = (struct node_config){.self = 1, .memory_bytes = 64 * MIB, .value_bytes_max = MIB, .request_timeout = 1500 * NANOS_MS};
    w.part = mem_zalloc(8);
    w.hosted = (struct hosted){.id = 7, .part = (struct part *)(void *)w.part};
    w.g = gateway_new(NULL, &w.hosted, 1);
    gateway_turn(w.g, w.now);
}

static void world_close(void)
{
    gateway_free(w.g);
    buf_done(&w.body);
    mem_free(w.part);
}

static void turn(nanos after)
{
    w.now += after;
    gateway_turn(w.g, w.now);
}

static struct rcbuf *some_entry(void)
{
    struct entry e = {.apply_ver = ENTRY_APPLY_VER, .op = ENTRY_COMMAND, .body = STR("x")};
    struct buf b = {0};

    entry_encode_header(&e, &b);
    buf_append_str(&b, e.body);
    struct rcbuf *entry = rcbuf_from(buf_str(&b));
    buf_done(&b);
    return entry;
}

static void on_done(struct gateway_request *req, const struct gateway_reply *reply)
{
    struct op *op = CONTAINER_OF(req, struct op, req);

    op->done++;
    op->failed = reply->failed;
    snprintf(op->reply, sizeof op->reply, "%.*s", STR_ARG(reply->bytes));
}

static void submit(struct op *op, enum gateway_kind kind, const char *level, struct gateway_order *order)
{
    *op = (struct op){0};
    op->req = (struct gateway_request){.kind = kind, .entry = some_entry(), .order = order, .done = on_done};
    CHECK(level_parse(str_of(level), &op->req.level));
    gateway_submit(w.g, &op->req);
}

static void answer(const struct asked *a, enum part_status status, u64 hlc, const char *bytes)
{
    struct forward_reply r = {.status = (u8)status, .hlc = hlc, .reply = str_of(bytes)};
    struct part_answer p = {.to = {1, 1, a->number}, .status = status, .hlc = hlc, .reply = str_of(bytes)};
    struct frame f = {.req = a->number};
    struct buf b = {0};

    if (a->at == 1) {
        gateway_on_answer(w.g, &p);
    } else {
        forward_reply_encode(&r, &b);
        CHECK_OK(gateway_on_reply(w.g, a->at, &f, buf_str(&b)));
    }
    buf_done(&b);
}

/* ---- */

TEST(gateway, asks_the_leader_or_a_replica_by_the_level)
{
    static const char *const levels[] = {"lease", "quorum", "follower", "stale:50", "sequential", "session", "local"};
    struct op op[7];

    world_open();
    for (u32 i = 0; i < 7; i++) submit(&op[i], GATEWAY_READ, levels[i], NULL);
    turn(0);
    CHECK_EQ(w.count, 7);
    for (u32 i = 0; i < 7; i++) {
        bool near = w.asked[i].level.kind >= LEVEL_FOLLOWER;
        CHECK_EQ(w.asked[i].at, near ? 1 : 2);
        answer(&w.asked[i], PART_DONE, 1, "+ok");
    }
    for (u32 i = 0; i < 7; i++) CHECK_EQ(op[i].done, 1);
    world_close();
}

TEST(gateway, writes_and_watches_are_the_leaders_at_any_level)
{
    struct op set, watch;

    world_open();
    submit(&set, GATEWAY_WRITE, "local", NULL);
    submit(&watch, GATEWAY_WATCH, "local", NULL);
    turn(0);
    CHECK(w.count == 2 && w.asked[0].at == 2 && w.asked[1].at == 2);
    gateway_cancel(w.g, &set.req);
    gateway_cancel(w.g, &watch.req);
    world_close();
}

TEST(gateway, a_session_names_what_it_has_seen_in_this_and_that_place)
{
    struct gateway_order order = {0};
    struct op a, b;

    world_open();
    submit(&a, GATEWAY_READ, "lease", &order);
    turn(0);
    answer(&w.asked[0], PART_DONE, 70, "+1");
    submit(&b, GATEWAY_READ, "session", &order);
    turn(0);
    CHECK(w.asked[1].at == 1 && w.asked[1].floor == 70);
    answer(&w.asked[1], PART_DONE, 75, "+2");
    CHECK_EQ(order.seen_hlc, 75);
    world_close();
}

TEST(gateway, a_sessions_reads_at_replicas_go_one_by_one)
{
    struct gateway_order order = {0};
    struct op a, b, c;

    world_open();
    submit(&a, GATEWAY_READ, "session", &order);
    submit(&b, GATEWAY_READ, "session", &order);
    submit(&c, GATEWAY_WRITE, "lease", &order);
    turn(0);
    CHECK_EQ(w.count, 1);
    answer(&w.asked[0], PART_DONE, 80, "+1");
    turn(0);
    CHECK(w.count == 2 && w.asked[1].floor == 80);
    answer(&w.asked[1], PART_DONE, 80, "+2");
    turn(0);
    CHECK(w.count == 3 && w.asked[2].at == 2);
    gateway_cancel(w.g, &c.req);
    world_close();
}

TEST(gateway, follower_reads_of_the_own_replica_go_together)
{
    struct gateway_order order = {0};
    struct op a, b, c;

    world_open();
    submit(&a, GATEWAY_READ, "follower", &order);
    submit(&b, GATEWAY_READ, "follower", &order);
    submit(&c, GATEWAY_READ, "lease", &order);
    turn(0);
    CHECK(w.count == 2 && w.asked[0].at == 1 && w.asked[1].at == 1);
    answer(&w.asked[0], PART_DONE, 1, "+1");
    answer(&w.asked[1], PART_DONE, 1, "+2");
    turn(0);
    CHECK(w.count == 3 && w.asked[2].at == 2);
    gateway_cancel(w.g, &c.req);
    world_close();
}

TEST(gateway, a_read_behind_the_connections_own_write_is_the_leaders)
{
    struct gateway_order order = {0};
    struct op a, b;

    world_open();
    submit(&a, GATEWAY_WRITE, "lease", &order);
    submit(&b, GATEWAY_READ, "session", &order);
    turn(0);
    CHECK(w.count == 2 && w.asked[1].at == 2 && w.asked[1].after == w.asked[0].number);
    CHECK_EQ(w.asked[1].level.kind, LEVEL_LEASE);
    gateway_cancel(w.g, &a.req);
    gateway_cancel(w.g, &b.req);
    world_close();
}

TEST(gateway, nothing_overtakes_what_waits_for_a_leader)
{
    struct gateway_order order = {0};
    struct op a, b;

    world_open();
    w.leader = 0;
    turn(0);
    submit(&a, GATEWAY_READ, "lease", &order);
    submit(&b, GATEWAY_READ, "session", &order);
    turn(0);
    CHECK_EQ(w.count, 0);
    w.leader = 2;
    turn(0);
    CHECK(w.count == 1 && w.asked[0].at == 2);
    answer(&w.asked[0], PART_DONE, 5, "+1");
    turn(0);
    CHECK(w.count == 2 && w.asked[1].floor == 5);
    gateway_cancel(w.g, &b.req);
    world_close();
}

TEST(gateway, where_it_does_not_know_what_was_seen_the_leader_is_asked)
{
    struct gateway_order order = {.lost = true};
    struct op a, b;

    world_open();
    submit(&a, GATEWAY_READ, "session", &order);
    turn(0);
    CHECK_EQ(w.asked[0].at, 2);
    answer(&w.asked[0], PART_DONE, 50, "+1");
    submit(&b, GATEWAY_READ, "session", &order);
    turn(0);
    CHECK(w.asked[1].at == 1 && w.asked[1].floor == 50);
    gateway_cancel(w.g, &b.req);
    world_close();
}

TEST(gateway, what_a_replica_cannot_answer_the_leader_is_asked_as_the_leader)
{
    struct gateway_order order = {.seen_hlc = 9};
    struct op a;

    world_open();
    submit(&a, GATEWAY_READ, "session", &order);
    turn(0);
    answer(&w.asked[0], PART_NOT_LEADER, 0, "");
    turn(0);
    CHECK(w.count == 2 && w.asked[1].at == 2 && w.asked[1].level.kind == LEVEL_LEASE);
    answer(&w.asked[1], PART_DONE, 12, "+1");
    CHECK(a.done == 1 && !a.failed);
    world_close();
}

TEST(gateway, a_state_that_the_leader_does_not_have_is_no_older_answer)
{
    struct gateway_order order = {.seen_hlc = 90, .lost = true};
    struct op a;

    world_open();
    submit(&a, GATEWAY_READ, "session", &order);
    turn(0);
    answer(&w.asked[0], PART_DONE, 60, "+1");
    CHECK(a.failed && strncmp(a.reply, "-SESSION ", 9) == 0);
    world_close();
}

TEST(gateway, a_replica_elsewhere_that_is_silent_is_left_for_the_leader)
{
    struct op a;

    world_open();
    w.near = 3;
    submit(&a, GATEWAY_READ, "local", NULL);
    turn(0);
    CHECK_EQ(w.asked[0].at, 3);
    turn(301 * NANOS_MS);
    turn(20 * NANOS_MS);
    CHECK(w.count == 2 && w.asked[1].at == 2);
    answer(&w.asked[0], PART_DONE, 5, "+late"); /* of two answers the first one counts */
    CHECK(a.done == 1 && strcmp(a.reply, "+late") == 0);
    answer(&w.asked[1], PART_DONE, 6, "+1");
    CHECK_EQ(a.done, 1);
    world_close();
}

TEST(gateway, a_replica_that_was_given_up_does_not_speak_for_the_leader)
{
    struct gateway_order order = {.seen_hlc = 9};
    struct op a, b;

    world_open();
    submit(&a, GATEWAY_READ, "session", &order);
    submit(&b, GATEWAY_READ, "lease", &order);
    turn(0);
    CHECK(w.count == 1 && w.asked[0].at == 1);
    turn(301 * NANOS_MS);
    turn(20 * NANOS_MS);
    CHECK(w.count == 3 && w.asked[1].at == 2 && w.asked[2].at == 2);
    answer(&w.asked[2], PART_DONE, 100, "+2");
    answer(&w.asked[0], PART_DONE, 90, "+late"); /* older than what the connection has seen meanwhile */
    CHECK(a.done == 0 && b.done == 1);
    answer(&w.asked[1], PART_DONE, 120, "+1");
    CHECK(a.done == 1 && !a.failed && strcmp(a.reply, "+1") == 0);
    world_close();
}

TEST(gateway, a_stale_replica_is_the_error_only_if_the_leader_is_silent)
{
    struct op a, b;

    world_open();
    submit(&a, GATEWAY_READ, "stale:20", NULL);
    submit(&b, GATEWAY_READ, "stale:20", NULL);
    turn(0);
    answer(&w.asked[0], PART_STALE, 5, "-STALE old\r\n");
    answer(&w.asked[1], PART_STALE, 5, "-STALE old\r\n");
    turn(0);
    CHECK(w.count == 4 && w.asked[2].at == 2 && w.asked[3].at == 2);
    answer(&w.asked[2], PART_DONE, 8, "+1");
    CHECK(a.done == 1 && !a.failed);
    turn(700 * NANOS_MS); /* the patience for the leader, and the answer's time to come */
    CHECK(b.done == 1 && b.failed && strcmp(b.reply, "-STALE old\r\n") == 0);
    world_close();
}

TEST_MAIN(RUN(gateway, asks_the_leader_or_a_replica_by_the_level),
          RUN(gateway, writes_and_watches_are_the_leaders_at_any_level),
          RUN(gateway, a_session_names_what_it_has_seen_in_this_and_that_place),
          RUN(gateway, a_sessions_reads_at_replicas_go_one_by_one),
          RUN(gateway, follower_reads_of_the_own_replica_go_together),
          RUN(gateway, a_read_behind_the_connections_own_write_is_the_leaders),
          RUN(gateway, nothing_overtakes_what_waits_for_a_leader),
          RUN(gateway, where_it_does_not_know_what_was_seen_the_leader_is_asked),
          RUN(gateway, what_a_replica_cannot_answer_the_leader_is_asked_as_the_leader),
          RUN(gateway, a_state_that_the_leader_does_not_have_is_no_older_answer),
          RUN(gateway, a_replica_elsewhere_that_is_silent_is_left_for_the_leader),
          RUN(gateway, a_replica_that_was_given_up_does_not_speak_for_the_leader),
          RUN(gateway, a_stale_replica_is_the_error_only_if_the_leader_is_silent))
