/* A client connection: its bytes, its back-pressure and its end. What stops parsing is listed in
 * one place (stop_reason); whatever may end that stop wakes the client, and it looks again. */
#include "server/redis/redis_internal.h"

#include "base/mem.h"

#define BYTES_PER_REQUEST 4096 /* a large request uses up its turn like many small ones */

enum stop {
    GO,
    STOP_EMPTY,    /* no input, closing, or a barrier: whoever ends that wakes */
    STOP_PIPELINE, /* too many under way: a reply wakes */
    STOP_BYTES,    /* too much under way: likewise */
    STOP_OUTPUT,   /* the client does not read: a flush or ENV_DRAINED wakes */
    STOP_GATEWAY,  /* no room in the node, or in its keyspace's share: the door's turn wakes */
};

struct client *redis_client_new(struct redis_door *d, bool rejected)
{
    struct client *c = mem_zalloc(sizeof *c);

    c->door = d;
    c->keyspace = routes_hold(d->routes, CORE_KEYSPACE_DEFAULT);
    redis_share_join(c, CORE_KEYSPACE_DEFAULT);
    c->stream.owner = c;
    c->stream.kind = NODE_REDIS;
    buf_init(&c->stream.in, INPUT_SMALL_BYTES);
    buf_init(&c->stream.out, 0);
    list_init(&c->ready);
    list_init(&c->dirty);
    list_init(&c->large);
    list_init(&c->queue);
    list_push(&d->clients, &c->all);
    c->rejected = rejected;
    c->id = ++d->next_client_id;
    c->proto = 2;
    c->reply_guess = MIB; /* until known */
    c->created_at = c->seen_at = node_now(d->node);
    if (rejected)
        d->rejected_count++;
    else
        d->client_count++;
    return c;
}

static void uncount(struct client *c)
{
    if (c->rejected)
        c->door->rejected_count--;
    else
        c->door->client_count--;
}

void redis_client_free(struct client *c)
{
    if (!c) return;
    redis_slots_free(c);
    if (!c->gone) uncount(c);
    c->gone = true;
    redis_admission_release(c);
    redis_transaction_drop(c);
    redis_orders_done(c);
    routes_release(c->keyspace);
    if (c->parser) redis_door_parser_give(c->door, c->parser, false);
    list_remove(&c->all);
    redis_share_leave(c);
    list_remove(&c->dirty);
    buf_done(&c->stream.in);
    buf_done(&c->stream.out);
    mem_free(c->name);
    mem_free(c->lib_name);
    mem_free(c->lib_version);
    mem_free(c);
}

void redis_client_wake(struct client *c)
{
    if (c->stream.in.len == 0 || !list_is_empty(&c->ready)) return;
    redis_share_ready(c);
}

void redis_client_late(struct client *c, nanos at)
{
    const struct buf *in = &c->stream.in;

    c->late_bytes = in->len;
    c->late_at = at;
    c->late_goes_on = in->limit && in->len >= in->limit;
}

void redis_client_touch(struct client *c)
{
    if (list_is_empty(&c->dirty)) list_push(&c->door->dirty, &c->dirty);
}

void redis_client_address(const struct client *c, char out[CLIENT_ADDRESS_MAX])
{
    struct env *env = c->door->env;

    env->ops->peer_name(env, (struct stream *)(void *)&c->stream, out, CLIENT_ADDRESS_MAX);
}

void redis_client_drop(struct client *c, const char *why)
{
    char address[CLIENT_ADDRESS_MAX];

    if (c->closed || c->gone) return;
    redis_client_address(c, address);
    env_log(c->door->env, LOG_WARN, "redis: connection dropped client=%s id=%llu reason=\"%s\"",
            address, (unsigned long long)c->id, why);
    c->closing = c->closed = true;
    env_close(c->door->env, &c->stream, false);
}

void redis_client_protocol_error(struct client *c, const char *problem)
{
    struct resp_writer w = redis_reply_begin(c);

    resp_errorf(&w, "ERR Protocol error: %s", problem);
    redis_reply_end(c, &w, 0);
    c->door->stats.protocol_errors++;
    c->closing = true;
}

bool redis_client_set_name(char **name, str value)
{
    if (value.len > CLIENT_NAME_MAX) return false;
    for (size_t i = 0; i < value.len; i++)
        if (value.at[i] < '!' || value.at[i] > '~') return false;
    mem_free(*name);
    *name = NULL;
    if (value.len == 0) return true;
    *name = mem_zalloc(value.len + 1);
    mem_copy(*name, value.at, value.len);
    return true;
}

void redis_client_enter(struct client *c, u32 keyspace)
{
    struct keyspace_routes *k = routes_hold(c->door->routes, keyspace);

    routes_release(c->keyspace);
    c->keyspace = k;
    redis_share_leave(c);
    redis_share_join(c, keyspace);
}

void redis_client_reset(struct client *c)
{
    redis_transaction_drop(c);
    redis_client_set_name(&c->name, str_from("", 0));
    redis_client_enter(c, CORE_KEYSPACE_DEFAULT);
    c->db = 0;
    c->asked_map = c->asking = c->readonly = false;
    c->proto = 2;
    c->reply_off = c->reply_skip = c->reply_skip_next = false;
    c->no_evict = c->no_touch = false;
    c->has_level = c->price = false;
    c->patience = 0;
}

/* --- input --- */

static enum stop stop_reason(const struct client *c)
{
    size_t unsent = c->stream.out.len + c->held_bytes;

    if (c->closing || c->rejected || c->barrier || c->stream.in.len == 0) return STOP_EMPTY;
    if (c->door->stopping) return STOP_EMPTY;
    if (c->stream.out.len > OUTPUT_PAUSE_BYTES && !c->gone) return STOP_OUTPUT;
    if (c->queued >= PIPELINE_DEPTH_MAX) return STOP_PIPELINE;
    if (c->queued && c->queued_bytes > PIPELINE_BYTES_MAX) return STOP_BYTES;
    if (c->queued && unsent + c->reply_room > PIPELINE_BYTES_MAX) return STOP_BYTES;
    if (!c->refused_bytes && redis_door_full(c->door, c)) return STOP_GATEWAY;
    return GO;
}

static bool stopped(struct client *c)
{
    struct redis_door *d = c->door;

    switch (stop_reason(c)) {
    case GO: return false;
    case STOP_EMPTY: break;
    case STOP_PIPELINE:
        d->stats.pipeline_pauses++;
        redis_door_count_limit(d, LIMIT_CLIENT_PIPELINE_REQUESTS);
        break;
    case STOP_BYTES:
        d->stats.pipeline_pauses++;
        redis_door_count_limit(d, LIMIT_CLIENT_PIPELINE_BYTES);
        break;
    case STOP_OUTPUT:
        d->stats.output_pauses++;
        redis_door_count_limit(d, LIMIT_CLIENT_UNREAD);
        break;
    case STOP_GATEWAY:
        d->stats.gateway_pauses++;
        redis_door_count_limit(d, redis_door_full(d, c));
        list_remove(&c->ready);
        list_push(&c->share->starved, &c->ready);
        c->starved_at = node_now(d->node);
        break;
    }
    return true;
}

static void consume(struct client *c, size_t bytes)
{
    buf_consume(&c->stream.in, bytes);
    c->late_bytes -= size_min(c->late_bytes, bytes);
    c->refused_bytes -= size_min(c->refused_bytes, bytes);
    c->door->stats.bytes_in += bytes;
    redis_client_touch(c); /* reading may have to be resumed */
    if (!list_is_empty(&c->large)) redis_admission_release(c);
}

/* The request at hand is not complete: the rest must have room. */
static void await_rest(struct client *c)
{
    struct buf *in = &c->stream.in;
    size_t needs = resp_parser_needs(c->parser, in->len);
    size_t whole = in->len + needs;

    if (c->gone || c->ended) return; /* there is no rest */
    if (needs == 0 && in->len >= in->limit) whole = in->len * 2;
    if (whole > in->limit) redis_admission_ask(c, whole);
}

/* Returns false when the input is used up or can not be used. */
static bool parse_one(struct client *c, u32 *parsed)
{
    struct redis_door *d = c->door;
    size_t bytes = 0;

    if (!c->parser) c->parser = redis_door_parser_take(d);
    switch (resp_parse(c->parser, buf_str(&c->stream.in), &bytes)) {
    case RESP_INCOMPLETE:
        c->half = true;
        await_rest(c);
        return false;
    case RESP_BAD:
        if (redis_oversize_begin(c)) return true;
        redis_client_protocol_error(c, c->parser->problem);
        return false;
    case RESP_REQUEST: break;
    }
    if (c->parser->argc) {
        c->late = bytes <= c->late_bytes;
        if (!redis_dispatch(c, c->parser->args, c->parser->argc, bytes)) return false;
        *parsed += 1 + (u32)(bytes / BYTES_PER_REQUEST);
    }
    consume(c, bytes);
    return true;
}

u32 redis_client_parse(struct client *c, u32 max)
{
    u32 parsed = 0;

    c->half = false;
    while (parsed < max && !stopped(c)) {
        if (c->skipping) {
            c->half = !redis_oversize_skip(c);
            if (c->half) break;
            redis_client_touch(c); /* only then: a flush wakes this client again */
            continue;
        }
        if (!parse_one(c, &parsed)) break;
    }
    if (c->parser && c->stream.in.len == 0 && !c->closing) {
        redis_door_parser_give(c->door, c->parser, true);
        c->parser = NULL;
    }
    if (parsed >= max) redis_client_wake(c);
    if (c->gone || (c->ended && c->queued == 0)) redis_client_touch(c);
    return parsed;
}

/* --- output and the end --- */

void redis_client_ended(struct client *c)
{
    struct slot *s = c->barrier;
    nanos at = node_now(c->door->node) + c->door->config->request_timeout;

    c->ended = true;
    /* A client that is gone for good looks the same: do not wait for ever on its behalf. */
    if (s && s->asked && s->req.kind == GATEWAY_WAIT && s->req.deadline == NANOS_NEVER)
        gateway_hasten(s->gateway, &s->req, at);
    else if (s && s->gather)
        redis_gather_hasten(s, at);
    redis_client_wake(c);
    redis_client_touch(c);
}

/* Its input has ended and all of it is dealt with, except perhaps half a request. */
static bool has_nothing_left(const struct client *c)
{
    bool parsed = c->stream.in.len == 0 || c->half;

    return c->ended && parsed && list_is_empty((struct list *)(void *)&c->ready);
}

void redis_client_flush(struct client *c)
{
    struct redis_door *d = c->door;

    if (c->gone) {
        bool unfinished = c->queued || !list_is_empty(&c->ready);
        if (!unfinished) redis_client_free(c);
        return;
    }
    if (c->closed) return;
    env_flush(d->env, &c->stream);
    if ((c->closing || has_nothing_left(c)) && c->queued == 0) {
        c->closed = true;
        env_close(d->env, &c->stream, true);
        return;
    }
    if (c->stream.out.len > OUTPUT_DROP_BYTES + d->config->value_bytes_max) {
        d->stats.output_dropped++;
        redis_door_count_limit(d, LIMIT_CLIENT_UNREAD_DROP);
        redis_client_drop(c, "does not read its replies");
        return;
    }
    if (c->stream.out.len <= OUTPUT_PAUSE_BYTES) redis_client_wake(c);
}
