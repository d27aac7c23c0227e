/* What a client is told when its request met a limit of the partition: the limit's name, once waiting has not helped. The node
 * and its partition are replaced at link time by what is below. */
#include "base/test.h"
#include "kv/entry.h"
#include "server/node_internal.h"

#include <stdio.h>

static struct world {
    struct env env;
    struct node_config config;
    struct identity identity;
    struct hosted hosted;
    struct gateway *gateway;
    nanos now;
    struct part_waiter asked; /* the latest request that the partition got */
    u32 asks, answers;
    char said[160];
    bool failed;
} w;

struct env *node_env(const struct node *n) { return (void)n, &w.env; }
const struct node_config *node_config_of(const struct node *n) { return (void)n, &w.config; }
const struct identity *node_identity(const struct node *n) { return (void)n, &w.identity; }
struct parts *node_parts(const struct node *n) { return (void)n, NULL; }
struct peers *node_peers(const struct node *n) { return (void)n, NULL; }
nanos node_now(const struct node *n) { return (void)n, w.now; }
void parts_touch(struct parts *ps, struct hosted *h) { (void)ps, (void)h; }
node_id hosted_leader(const struct hosted *h) { return (void)h, 1; }
bool peers_is_connected(const struct peers *p, node_id to) { return (void)p, (void)to, false; }
node_id nearby_replica(struct node *n, struct hosted *h) { return (void)n, (void)h, 0; }
void peers_end(struct peers *p) { (void)p; }
struct buf *peers_begin(struct peers *p, node_id to, const struct frame *f, bool may_drop)
{
    return (void)p, (void)to, (void)f, (void)may_drop, NULL;
}
void part_submit(struct part *p, struct part_request *req)
{
    (void)p;
    w.asked = req->from;
    w.asks++;
    rcbuf_unref(req->entry);
}

static nanos mono(struct env *env) { return (void)env, w.now; }
static u64 wall(struct env *env) { return (void)env, 1800000000000000; }
static u64 chance(struct env *env) { return (void)env, 7; }

static void note(struct gateway_request *req, const struct gateway_reply *reply)
{
    (void)req;
    snprintf(w.said, sizeof w.said, "%.*s", STR_ARG(reply->bytes));
    w.failed = reply->failed;
    w.answers++;
}

static void begin(void)
{
    static const struct env_ops ops = {.mono = mono, .wall_us = wall, .random = chance};

    w = (struct world){.env.ops = &ops, .now = 10 * NANOS_SEC};
    w.config = (struct node_config){.self = 1, .memory_bytes = 64 * MIB, .value_bytes_max = MIB, .request_timeout = NANOS_SEC};
    w.hosted.id = 2;
    w.hosted.part = (struct part *)(void *)&w; /* it is here */
    w.gateway = gateway_new(NULL, &w.hosted, 3);
}

static void submit(struct gateway_request *r)
{
    struct entry e = {.op = ENTRY_COMMAND};
    struct buf bytes = {0};

    entry_encode_header(&e, &bytes);
    *r = (struct gateway_request){.kind = GATEWAY_WRITE, .entry = rcbuf_from(buf_str(&bytes)), .done = note};
    buf_done(&bytes);
    gateway_submit(w.gateway, r);
    gateway_turn(w.gateway, w.now);
}

static void answer(enum part_status status, str reply)
{
    struct part_answer a = {.part = 2, .to = w.asked, .status = status, .reply = reply};

    gateway_on_answer(w.gateway, &a);
}

static void later(nanos by)
{
    w.now += by;
    gateway_turn(w.gateway, w.now);
}

TEST(gateway, a_request_that_met_a_limit_is_tried_again_and_done_when_there_is_room)
{
    struct gateway_request r;

    begin();
    submit(&r);
    answer(PART_OVERLOADED, STR("partition.submit-queue"));
    later(100 * NANOS_MS);
    CHECK_EQ(w.asks, 2);
    CHECK_EQ(w.answers, 0);
    answer(PART_DONE, STR("+OK\r\n"));
    CHECK(strcmp(w.said, "+OK\r\n") == 0);
    gateway_free(w.gateway);
}

TEST(gateway, names_the_limit_when_the_time_is_up)
{
    struct gateway_request r;

    begin();
    submit(&r);
    answer(PART_OVERLOADED, STR("partition.submit-queue"));
    later(100 * NANOS_MS);
    answer(PART_OVERLOADED, STR("partition.submit-queue"));
    later(NANOS_SEC);
    CHECK_EQ(w.answers, 1);
    CHECK(w.failed);
    CHECK(strncmp(w.said, "-OVERLOADED retry=50 limit=partition.submit-queue ", 50) == 0);
    CHECK_EQ(gateway_stats(w.gateway)->overloaded, 1);
    gateway_free(w.gateway);
}

TEST(gateway, names_the_limit_behind_which_it_expired_in_the_leaders_queue)
{
    struct gateway_request r;

    begin();
    submit(&r);
    answer(PART_EXPIRED, STR("raft.uncommitted-bytes"));
    CHECK(strncmp(w.said, "-OVERLOADED retry=50 limit=raft.uncommitted-bytes ", 50) == 0);
    submit(&r);
    answer(PART_EXPIRED, STR(""));
    CHECK(strncmp(w.said, "-NOQUORUM ", 10) == 0);
    gateway_free(w.gateway);
}

/* It may be in a log: no limit makes that certain. */
TEST(gateway, a_write_of_unknown_outcome_stays_unknown_behind_a_limit)
{
    struct gateway_request r;

    begin();
    submit(&r);
    answer(PART_LOST, STR(""));
    later(100 * NANOS_MS);
    answer(PART_OVERLOADED, STR("partition.submit-queue"));
    later(2 * NANOS_SEC);
    CHECK(strncmp(w.said, "-UNKNOWN ", 9) == 0);
    gateway_free(w.gateway);
}

/* Another refusal since: the limit is over, and what kept it is no limit. */
TEST(gateway, forgets_the_limit_when_the_latest_refusal_names_none)
{
    struct gateway_request r;

    begin();
    submit(&r);
    answer(PART_OVERLOADED, STR("partition.submit-queue"));
    later(100 * NANOS_MS);
    answer(PART_NOT_LEADER, STR(""));
    later(2 * NANOS_SEC);
    CHECK(strncmp(w.said, "-NOQUORUM ", 10) == 0);
    gateway_free(w.gateway);
}

TEST_MAIN(RUN(gateway, a_request_that_met_a_limit_is_tried_again_and_done_when_there_is_room),
          RUN(gateway, names_the_limit_when_the_time_is_up),
          RUN(gateway, names_the_limit_behind_which_it_expired_in_the_leaders_queue),
          RUN(gateway, a_write_of_unknown_outcome_stays_unknown_behind_a_limit),
          RUN(gateway, forgets_the_limit_when_the_latest_refusal_names_none))
