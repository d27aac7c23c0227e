/* One command asked in many partitions, one reply made of theirs. At most GATHER_WIDTH of them are
 * under way at a time, and nothing behind the command is parsed before it is answered, so a
 * connection holds one of these at most. A failure of one partition is never hidden: of a read it
 * is the reply; of a write that was done elsewhere the reply says how far it came, under the name
 * UNKNOWN. */
#include "server/redis/redis_internal.h"

#include "base/mem.h"
#include "base/mutant.h"
#include "server/node_internal.h"

struct gather_ask {
    struct gateway_request req;
    struct gather *gather;
    struct gateway *gateway;
    struct client_order *order;
    u64 part;
    bool under_way;
};

struct gather {
    struct slot *slot;
    const struct gather_rule *rule;
    struct keyspace_routes *keyspace; /* held */
    struct route_walk walk;
    const struct gather_target *targets; /* instead of the walk: these; owned */
    u32 target_count;
    u32 replicas;     /* of a WAIT */
    struct buf entry; /* each partition gets a copy; empty: there is none */
    nanos deadline;
    struct gather_result result;
    u32 asked, answered, failed;
    bool ended;  /* asks nobody any more */
    bool again;  /* a partition was split or merged: what the others said may be half of it, or twice */
    bool enough; /* nor would more replies change its own */
    bool names_differ;
    u64 failed_part;
    struct buf error; /* the first one */
    struct gather_ask asks[GATHER_WIDTH];
};

static bool is_write(const struct gather *g)
{
    return g->rule->kind == GATEWAY_WRITE;
}

static void gather_free(struct gather *g)
{
    routes_release(g->keyspace);
    routes_walk_done(&g->walk);
    buf_done(&g->entry);
    buf_done(&g->error);
    buf_done(&g->result.items);
    mem_free((void *)g->targets);
    mem_free(g);
}

static size_t name_length(str error)
{
    const u8 *space = error.len ? memchr(error.at, ' ', error.len) : NULL;
    return space ? (size_t)(space - error.at) : error.len;
}

static void note_failure(struct gather *g, u64 part, str error)
{
    str first = buf_str(&g->error);

    g->failed++;
    if (g->failed == 1) {
        g->failed_part = part;
        buf_append_str(&g->error, error);
    } else if (!str_equal(str_from(first.at, name_length(first)),
                          str_from(error.at, name_length(error)))) {
        g->names_differ = true;
    }
    if (!is_write(g)) g->enough = g->ended = true;
}

static bool is_fine(const struct gather_rule *rule, str error)
{
    size_t len = rule->fine ? strlen(rule->fine) : 0;
    return len && error.len >= len && mem_equal(error.at, rule->fine, len);
}

static void note_answer(struct gather *g, struct gather_ask *a, const struct gateway_reply *reply)
{
    bool is_error = reply->failed || reply->bytes.len == 0 ||
                    (reply->bytes.at[0] == '-' && !is_fine(g->rule, reply->bytes));

    g->answered++;
    if (MUTANT(gather_hides_failures) && is_error) return;
    if (is_error)
        note_failure(g, a->part, reply->bytes);
    else if (!g->rule->take(&g->result, a->part, reply->bytes))
        g->enough = g->ended = true;
}

/* Where is the line of an error without its "-" and its end? */
static str bare(str error)
{
    size_t from = error.len && error.at[0] == '-', end = error.len;

    while (end > from && (error.at[end - 1] == '\n' || error.at[end - 1] == '\r')) end--;
    return str_from(error.at + from, end - from);
}

static void reply_failure(const struct gather *g, struct resp_writer *w)
{
    bool nothing_done = g->failed == g->answered && !g->names_differ;
    str error = bare(buf_str(&g->error));

    if (!is_write(g) || nothing_done) {
        resp_errorf(w, "%.*s", STR_ARG(error));
        return;
    }
    resp_errorf(w,
                "UNKNOWN %s was done in %u of %u partitions of keyspace %.*s; partition %llu "
                "answered: %.*s",
                g->rule->name, g->answered - g->failed, g->answered,
                STR_ARG(core_str(&g->keyspace->name)), (unsigned long long)g->failed_part,
                STR_ARG(error));
}

static void finish(struct gather *g)
{
    struct slot *s = g->slot;
    struct buf out;
    struct resp_writer w = {&out, g->result.proto};

    buf_init(&out, 0);
    if (g->failed)
        reply_failure(g, &w);
    else
        g->rule->finish(&g->result, &w);
    s->gather = NULL;
    gather_free(g);
    redis_slot_answer(s, buf_str(&out));
    buf_done(&out);
}

static void on_answer(struct gateway_request *req, const struct gateway_reply *reply);

static bool is_moved(const struct gateway_request *req)
{
    const struct gather_ask *a = CONTAINER_OF(req, struct gather_ask, req);
    struct entry e;

    err bad = entry_decode(rcbuf_str(req->entry), &e);
    assert(!bad); /* we wrote it */
    return redis_entry_moved(a->gather->slot->client->door, a->part, req->kind, &e);
}

static void ask(struct gather *g, struct gather_ask *a, struct hosted *h, u64 part, u64 index)
{
    struct client *c = g->slot->client;

    *a = (struct gather_ask){.gather = g, .gateway = h->gateway, .part = part, .under_way = true};
    a->order = redis_order_of(c, part);
    a->order->under_way++;
    a->req.kind = g->rule->kind;
    a->req.level = g->slot->req.level;
    a->req.entry = g->entry.len ? redis_entry_for(c->door, buf_str(&g->entry), part) : NULL;
    a->req.moved = g->entry.len ? is_moved : NULL;
    a->req.index = index;
    a->req.replicas = g->replicas;
    a->req.order = &a->order->order;
    a->req.deadline = g->deadline;
    a->req.done = on_answer;
    c->wrote = g->rule->kind == GATEWAY_WRITE;
    redis_share_asked(c->door, c->share, g->rule->kind, g->entry.len);
    gateway_submit(h->gateway, &a->req);
}

static struct gather_ask *free_ask(struct gather *g)
{
    for (u32 i = 0; i < GATHER_WIDTH; i++)
        if (!g->asks[i].under_way) return &g->asks[i];
    return NULL;
}

static bool is_under_way(const struct gather *g)
{
    return g->asked != g->answered;
}

/* Whom to ask next; false: nobody is left. */
static bool next(struct gather *g, struct hosted **h, u64 *part, u64 *index)
{
    struct routes *r = g->slot->client->door->routes;

    *index = 0;
    if (!g->targets) return routes_walk(r, g->keyspace, &g->walk, h, part);
    if (g->asked == g->target_count) return false;
    *part = g->targets[g->asked].part;
    *index = g->targets[g->asked].index;
    *h = parts_find(node_parts(g->slot->client->door->node), *part);
    return true;
}

/* All of them, as they are now: each of these commands may be done twice. */
static bool begin_again(struct gather *g)
{
    if (g->slot->client->gone || node_now(g->slot->client->door->node) > g->deadline) return false;
    routes_walk_done(&g->walk);
    g->walk = (struct route_walk){0};
    buf_clear(&g->result.items);
    buf_clear(&g->error);
    g->result.sum = 0;
    g->result.count = 0;
    g->result.too_big = false;
    g->asked = g->answered = g->failed = 0;
    g->ended = g->enough = g->again = g->names_differ = false;
    return true;
}

/* Ask as many as may be under way; the end when nobody is left. */
static void pump(struct gather *g)
{
    struct gather_ask *a;
    struct hosted *h;
    u64 part, index;

    while (!g->ended && (a = free_ask(g))) {
        if (!next(g, &h, &part, &index)) {
            g->ended = true;
            break;
        }
        g->asked++;
        if (h) {
            ask(g, a, h, part, index);
            continue;
        }
        g->answered++;
        note_failure(g, part, STR("-NOQUORUM this node has not heard of the partition yet"));
    }
    if (is_under_way(g)) return;
    if (g->again && begin_again(g))
        pump(g);
    else
        finish(g);
}

static void let_go(struct gather_ask *a)
{
    struct gather *g = a->gather;

    a->under_way = false;
    a->order->under_way--;
    redis_share_back(g->slot->client->door, g->slot->client->share, g->rule->kind, g->entry.len);
}

static void cancel_all(struct gather *g)
{
    for (u32 i = 0; i < GATHER_WIDTH; i++) {
        struct gather_ask *a = &g->asks[i];
        if (!a->under_way) continue;
        let_go(a);
        gateway_cancel(a->gateway, &a->req);
        g->answered++;
    }
}

static void on_answer(struct gateway_request *req, const struct gateway_reply *reply)
{
    struct gather_ask *a = CONTAINER_OF(req, struct gather_ask, req);
    struct gather *g = a->gather;

    routes_look(g->slot->client->door->routes);
    if (req->kind == GATEWAY_WRITE && !reply->failed)
        redis_share_done(g->slot->client->door, g->slot->client->share, a->gateway, g->entry.len);
    let_go(a);
    if (reply->index) a->order->last_index = u64_max(a->order->last_index, reply->index);
    note_answer(g, a, reply);
    if (reply->moved) g->again = g->ended = true;
    if (g->enough) cancel_all(g);
    pump(g);
}

static struct gather *gather_new(struct slot *s, const struct gather_rule *rule)
{
    struct client *c = s->client;
    struct redis_door *d = c->door;
    struct gather *g = mem_zalloc(sizeof *g);

    g->slot = s;
    g->rule = rule;
    g->keyspace = routes_hold(d->routes, c->keyspace->id);
    g->result = (struct gather_result){
        .slot = s, .proto = c->proto, .bytes_max = 2 * (d->config->value_bytes_max + MIB)};
    s->gather = g;
    s->is_write = is_write(g);
    c->barrier = s;
    return g;
}

void redis_gather(struct slot *s, const struct gather_rule *rule, struct rcbuf *entry)
{
    struct client *c = s->client;
    struct redis_door *d = c->door;
    struct gather *g = gather_new(s, rule);

    buf_append_str(&g->entry, rcbuf_str(entry));
    s->req.kind = rule->kind;
    if (UNLIKELY(d->sample.active)) redis_sample_begin(s, rcbuf_str(entry));
    rcbuf_unref(entry);
    g->deadline = c->late ? c->late_at : node_now(d->node) + (c->patience ? c->patience : d->config->request_timeout);
    pump(g);
}

void redis_gather_wait(struct slot *s, const struct gather_rule *rule,
                       const struct gather_target *targets, u32 count, u32 replicas, nanos deadline)
{
    struct gather *g = gather_new(s, rule);

    assert(count <= GATHER_WIDTH); /* all at once: the time is for all of them */
    g->targets = mem_copy_of(targets, count * sizeof *targets);
    g->target_count = count;
    g->replicas = replicas;
    g->deadline = deadline;
    pump(g);
}

void redis_gather_hasten(struct slot *s, nanos deadline)
{
    struct gather *g = s->gather;

    for (u32 i = 0; i < GATHER_WIDTH; i++)
        if (g->asks[i].under_way) gateway_hasten(g->asks[i].gateway, &g->asks[i].req, deadline);
}

void redis_gather_cancel(struct slot *s)
{
    struct gather *g = s->gather;

    s->gather = NULL;
    cancel_all(g);
    gather_free(g);
}
