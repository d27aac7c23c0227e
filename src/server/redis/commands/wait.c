/* WAIT: how many other nodes have this connection's writes on disk. An acknowledged write is on a
 * majority already; WAIT can ask for more, and waits for it. */
#include "server/node_internal.h"
#include "server/redis/redis_internal.h"

/* The fewest of what the partitions say. */
static bool take_fewest(struct gather_result *g, u64 part, str reply)
{
    i64 number = 0;

    (void)part;
    if (reply.len > 3) str_to_i64(str_from(reply.at + 1, reply.len - 3), &number);
    if (g->count == 0 || number < g->sum) g->sum = number;
    g->count++;
    return true;
}

static void give_fewest(struct gather_result *g, struct resp_writer *w)
{
    resp_integer(w, g->sum);
}

static const struct gather_rule wait_rule = {"wait", GATEWAY_WAIT, take_fewest, give_fewest, NULL};

/* What holds of any acknowledged write: it is on a majority. */
static i64 others_of_majority(struct client *c)
{
    const struct core *map = routes_map(c->door->routes);
    const struct core_keyspace *k = map ? core_keyspace(map, c->keyspace->id) : NULL;
    struct node_view view;

    if (k) return (i64)(k->settings[CORE_REPLICAS] / 2);
    node_view(c->door->node, &view);
    return view.member_count / 2;
}

/* Wait in one partition: that of the connection's writes, or any if it has none. */
static bool wait_in_one(struct slot *s, const struct client_order *order)
{
    struct client *c = s->client;
    struct routes *r = c->door->routes;
    struct hosted *h = NULL;
    u64 part;

    if (order)
        h = parts_find(node_parts(c->door->node), order->part);
    else if (routes_count(r, c->keyspace))
        h = routes_at(r, c->keyspace, 0, &part);
    if (!h) return false;
    s->req.index = order ? order->last_index : 0;
    redis_slot_ask(s, h, GATEWAY_WAIT, NULL);
    return true;
}

static bool wait_in_many(struct slot *s, struct client_order *const *orders, u32 count)
{
    struct parts *parts = node_parts(s->client->door->node);
    struct gather_target targets[GATHER_WIDTH];

    for (u32 i = 0; i < count; i++) {
        if (!parts_find(parts, orders[i]->part)) return false;
        targets[i] = (struct gather_target){orders[i]->part, orders[i]->last_index};
    }
    redis_gather_wait(s, &wait_rule, targets, count, s->req.replicas, s->req.deadline);
    return true;
}

static void start(struct slot *s)
{
    struct client *c = s->client;
    struct client_order *orders[GATHER_WIDTH];
    u32 count = redis_orders_written(c, orders, GATHER_WIDTH);
    struct buf text = {0};

    c->barrier = s; /* as in Redis the connection is blocked meanwhile */
    if (!c->writes_forgotten) {
        if (count > 1 && wait_in_many(s, orders, count)) return;
        if (count <= 1 && wait_in_one(s, count ? orders[0] : NULL)) return;
    }
    buf_printf(&text, ":%lld\r\n", (long long)others_of_majority(c));
    redis_slot_answer(s, buf_str(&text));
    buf_done(&text);
}

static void cmd_wait(struct call *call)
{
    struct client *c = call->client;
    i64 replicas, ms;

    if (!str_to_i64(call->argv[1], &replicas)) {
        resp_error(&call->w, "ERR value is not an integer or out of range");
        return;
    }
    if (!str_to_i64(call->argv[2], &ms)) {
        resp_error(&call->w, "ERR timeout is not an integer or out of range");
        return;
    }
    if (ms < 0) {
        resp_error(&call->w, "ERR timeout is negative");
        return;
    }
    if (call->in_exec) { /* never waits */
        resp_integer(&call->w, others_of_majority(c));
        return;
    }
    nanos now = node_now(call->door->node);
    bool forever = ms == 0 || (u64)ms > (NANOS_NEVER - now) / NANOS_MS;
    if (forever && c->ended) { /* nobody may be there any more */
        forever = false;
        ms = (i64)(call->door->config->request_timeout / NANOS_MS);
    }
    call->later = true;
    struct slot *s = redis_slot_push(c, call->request_bytes);
    s->req.replicas = replicas < 0 ? 0 : (u32)u64_min((u64)replicas, UINT32_MAX);
    s->req.deadline = forever ? NANOS_NEVER : now + (nanos)ms * NANOS_MS;
    start(s);
}

const struct door_command redis_wait_commands[] = {
    {"wait", 3, DOOR_WHEN_IDLE | DOOR_NOSCRIPT, cmd_wait, NULL, 0, 0, 0},
    {0},
};
