/* What a request got and took, told with its reply: `Q.EXPLAIN` wraps the reply, `CLIENT PRICE ON` puts a RESP3 attribute
 * before it. Nothing is measured for others. */
#include "server/redis/redis_internal.h"

#include "base/mutant.h"
#include "server/node_internal.h"

struct level redis_client_level(const struct client *c)
{
    if (c->has_at) return c->at;
    if (c->has_level) return c->level;
    if (c->readonly) return (struct level){.kind = LEVEL_FOLLOWER};
    return c->keyspace->level;
}

/* ---- what all of them take: counted for every request, so no clock is read for each ---- */

static nanos clock_of_turn(struct redis_door *d)
{
    nanos turn = node_now(d->node);

    if (d->clock_turn == turn) return d->clock;
    d->clock_turn = turn;
    d->clock = env_mono(d->env);
    return d->clock;
}

/* Keyspaces that the map does not have any more; their numbers are not used again. */
static void drop_gone(struct redis_door *d)
{
    struct latencies *l = &d->latencies;

    if (d->latencies_version == d->routes->version || routes_map_is_awaited(d->routes)) return;
    d->latencies_version = d->routes->version;
    for (u32 i = l->count; i-- > 0;)
        if (!routes_numbered(d->routes, l->items[i].id)) latencies_forget(l, l->items[i].id);
}

void redis_price_count(struct slot *s, const struct gateway_reply *reply)
{
    struct redis_door *d = s->client->door;
    bool is_write = s->req.kind == GATEWAY_WRITE;
    nanos now, began = s->began;

    s->began = 0;
    if (!is_write && s->req.kind != GATEWAY_READ) return;
    enum latency_kind kind = is_write ? LATENCY_WRITE : LATENCY_READ + s->req.level.kind;
    now = clock_of_turn(d);
    drop_gone(d);
    if (!reply->failed || MUTANT(price_counts_refusals))
        latencies_add(&d->latencies, s->keyspace, kind, now, (now - u64_min(now, began)) / 1000);
    else
        latencies_refuse(&d->latencies, s->keyspace, kind, now, reply->bytes);
}

/* ---- what one of them took ---- */

static void put_level(struct resp_writer *w, const char *name, struct level l, bool is_write)
{
    struct buf text = {0};

    level_print(l, &text);
    resp_bulk_text(w, name);
    resp_bulk(w, is_write ? STR("linearizable") : buf_str(&text));
    buf_done(&text);
}

static void put_number(struct resp_writer *w, const char *name, u64 value)
{
    resp_bulk_text(w, name);
    resp_integer(w, (i64)value);
}

static void put_nodes(struct resp_writer *w, const struct cost *cost)
{
    resp_bulk_text(w, "on-disk-at");
    resp_array(w, cost->in_memory ? 0 : cost->node_count);
    for (u32 i = 0; i < cost->node_count && !cost->in_memory; i++) resp_integer(w, (i64)cost->nodes[i]);
}

/* [level, p50, p99] of the last minute at this door: what the same read would have cost there, and so what one pays for this
 * level or saves. */
static void put_neighbour(struct slot *s, const char *name, enum level_kind kind, struct resp_writer *w)
{
    struct redis_door *d = s->client->door;
    struct histogram h = {0};

    resp_bulk_text(w, name);
    if (s->is_write || kind == LEVEL_KINDS) {
        resp_null(w);
        return;
    }
    const struct latency *l = latencies_of(&d->latencies, s->keyspace, (enum latency_kind)(LATENCY_READ + kind));
    if (l) recent_read(&l->took, clock_of_turn(d), &h);
    resp_array(w, 3);
    resp_bulk_text(w, latency_kind_name((enum latency_kind)(LATENCY_READ + kind)));
    for (u32 per_mille = 500; per_mille <= 990; per_mille += 490) {
        if (h.count)
            resp_integer(w, (i64)histogram_quantile(&h, per_mille));
        else
            resp_null(w); /* nobody reads so */
    }
}

enum { FIELDS = 18 };

static void put_fields(struct slot *s, const struct cost *cost, struct resp_writer *w)
{
    nanos now = env_mono(s->client->door->env);

    put_level(w, "asked", s->req.level, false);
    put_level(w, "delivered", cost->level, s->is_write);
    put_number(w, "served-by", cost->served_by);
    put_number(w, "group", s->order->part);
    put_number(w, "term", cost->term);
    put_number(w, "index", cost->index);
    put_number(w, "hlc", cost->hlc);
    resp_bulk_text(w, "stale-us");
    if (cost->stale_us == COST_UNKNOWN)
        resp_bulk_text(w, "unknown");
    else
        resp_integer(w, (i64)cost->stale_us);
    put_number(w, "round-trips", cost->trips);
    put_number(w, "flushes", cost->flushes);
    put_nodes(w, cost);
    resp_bulk_text(w, "durability");
    resp_bulk_text(w, !s->is_write ? "none" : cost->in_memory ? "memory" : "disk");
    put_number(w, "queued-us", cost->queued_us);
    put_number(w, "replicated-us", cost->replicated_us);
    put_number(w, "waited-us", cost->waited_us);
    put_number(w, "total-us", (now - u64_min(now, s->asked_at)) / 1000);
    put_neighbour(s, "stronger", level_stronger((enum level_kind)s->req.level.kind), w);
    put_neighbour(s, "weaker", level_weaker((enum level_kind)s->req.level.kind), w);
}

void redis_price_finish(struct slot *s, const struct gateway_reply *reply)
{
    struct client *c = s->client;
    struct buf out = {0};
    struct resp_writer w = {&out, c->proto};

    if (!reply->cost || reply->bytes.len == 0) { /* nobody served it */
        redis_slot_answer(s, reply->bytes);
        return;
    }
    if (s->price == PRICE_ATTRIBUTE) {
        buf_printf(&out, "|%d\r\n", FIELDS);
        put_fields(s, reply->cost, &w);
        buf_append_str(&out, reply->bytes);
    } else {
        resp_map(&w, FIELDS + 1);
        resp_bulk_text(&w, "reply");
        buf_append_str(&out, reply->bytes);
        put_fields(s, reply->cost, &w);
    }
    redis_slot_answer(s, buf_str(&out));
    buf_done(&out);
}

void redis_price_want(struct slot *s)
{
    struct client *c = s->client;
    u8 form = c->explains ? PRICE_WRAPPED : c->price && c->proto >= 3 ? PRICE_ATTRIBUTE : PRICE_NONE;

    s->price = form;
    if (form == PRICE_NONE) return;
    s->req.wants_cost = true;
    s->asked_at = env_mono(c->door->env);
    s->finish = redis_price_finish;
}
