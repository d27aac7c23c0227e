/* The door itself: who connects, whose turn it is, and when to stop. */
#include "server/redis/redis_internal.h"

#include "base/mem.h"
#include "base/mutant.h"

#include <stdio.h>

#define STOP_WAIT_MAX (3 * NANOS_SEC) /* for what is under way when the node stops */
#define REJECTED_MAX  64u             /* refused connections that may wait to read why */
#define MEMORY_SHARE  20 /* 1/20 of the node's memory for large requests, and for transactions */

static const struct door_command *const families[] = {
    redis_connection_commands,  redis_client_command_rows, redis_server_commands,
    redis_config_commands,      redis_info_commands,       redis_debug_commands,
    redis_transaction_commands, redis_session_commands,    redis_wait_commands,
    redis_introspect_commands,  redis_cluster_commands,    redis_level_commands,
};

static void index_commands(struct redis_door *d)
{
    u32 count = 0;

    for (size_t f = 0; f < ARRAY_LEN(families); f++)
        for (const struct door_command *row = families[f]; row->name; row++) count++;
    d->commands = mem_zalloc_array(count, sizeof *d->commands);
    for (size_t f = 0; f < ARRAY_LEN(families); f++) {
        for (const struct door_command *row = families[f]; row->name; row++) {
            u32 at = d->command_count++;
            for (; at > 0 && strcmp(d->commands[at - 1]->name, row->name) > 0; at--)
                d->commands[at] = d->commands[at - 1];
            d->commands[at] = row;
        }
    }
}

static err start_listening(struct redis_door *d, char *problem, size_t problem_size)
{
    const struct node_config *config = d->config;

    d->listener.kind = NODE_REDIS;
    d->listener.owner = d;
    err e = d->env->ops->listen(d->env, config->host, config->redis_port, &d->listener);
    if (e)
        snprintf(problem, problem_size,
                 "redis: cannot listen on %s:%u: %s; choose another port or address", config->host,
                 config->redis_port, err_text(e));
    d->listening = e == OK;
    return e;
}

err redis_door_new(struct node *n, char *problem, size_t problem_size, struct redis_door **out)
{
    struct redis_door *d = mem_zalloc(sizeof *d);

    *out = NULL;
    d->node = n;
    d->env = node_env(n);
    d->config = node_config_of(n);
    d->routes = routes_new(n);
    d->keyspace = routes_hold(d->routes, CORE_KEYSPACE_DEFAULT);
    d->asked_bytes_max = size_max(d->config->memory_bytes / 10, 2 * d->config->value_bytes_max);
    d->clients_max = d->config->clients_max;
    d->stop_at = d->sleep_until = NANOS_NEVER;
    list_init(&d->clients);
    list_init(&d->shares);
    list_init(&d->busy);
    list_init(&d->dirty);
    list_init(&d->free_slots);
    buf_init(&d->scratch, 0);
    buf_init(&d->exec, 0);
    d->transaction_budget = size_max(d->config->memory_bytes / MEMORY_SHARE, MIB);
    redis_admission_init(&d->admission, size_max(d->config->memory_bytes / MEMORY_SHARE, MIB));
    index_commands(d);
    err e = start_listening(d, problem, problem_size);
    if (e) {
        redis_door_free(d);
        return e;
    }
    *out = d;
    return OK;
}

void redis_door_free(struct redis_door *d)
{
    struct list *at;

    if (!d) return;
    while ((at = list_first(&d->clients))) redis_client_free(CONTAINER_OF(at, struct client, all));
    if (d->listening) d->env->ops->unlisten(d->env, &d->listener);
    redis_slot_pool_done(d);
    latencies_done(&d->latencies);
    while (d->parser_count) {
        struct resp_parser *p = d->parsers[--d->parser_count];
        resp_parser_done(p);
        mem_free(p);
    }
    redis_sample_done(d);
    buf_done(&d->scratch);
    buf_done(&d->exec);
    rcblock_unref(d->entries);
    routes_release(d->keyspace);
    routes_free(d->routes);
    mem_free((void *)d->commands);
    mem_free(d);
}

u16 redis_door_port(const struct redis_door *d)
{
    return d->listener.port;
}
const struct latencies *redis_door_latencies(const struct redis_door *d)
{
    return &d->latencies;
}
const struct redis_door_stats *redis_door_stats(const struct redis_door *d)
{
    return &d->stats;
}

struct resp_parser *redis_door_parser_take(struct redis_door *d)
{
    if (d->parser_count) return d->parsers[--d->parser_count];
    struct resp_parser *p = mem_zalloc(sizeof *p);
    resp_parser_init(p, d->config->value_bytes_max,
                     d->config->value_bytes_max + REQUEST_ROOM_BYTES);
    return p;
}

void redis_door_parser_give(struct redis_door *d, struct resp_parser *p, bool between_requests)
{
    if (between_requests && d->parser_count < PARSER_POOL_MAX) {
        d->parsers[d->parser_count++] = p;
        return;
    }
    resp_parser_done(p);
    mem_free(p);
}

void redis_door_count_limit(struct redis_door *d, enum limit_id id)
{
    if (!MUTANT(limit_not_counted)) d->reached[id]++;
}

void redis_door_count_error(struct redis_door *d, str reply)
{
    struct error_count *e = d->error_names;
    size_t len = 0;
    enum limit_id limit = limit_of_error(reply);

    d->errors++;
    if (UNLIKELY(limit != LIMIT_NONE)) redis_door_count_limit(d, limit);
    while (1 + len < reply.len && len + 1 < sizeof e->name && reply.at[1 + len] > ' ') len++;
    for (u32 i = 0; i < d->error_name_count; i++, e++) {
        if (strlen(e->name) == len && memcmp(e->name, reply.at + 1, len) == 0) {
            e->count++;
            return;
        }
    }
    if (d->error_name_count == ERROR_NAMES_MAX) return;
    d->error_name_count++;
    memcpy(e->name, reply.at + 1, len);
    e->count = 1;
}

/* The limits of one gateway hold for all of them together, since they share the node's memory. */
enum limit_id redis_door_full(const struct redis_door *d, const struct client *c)
{
    const struct hosted *h = routes_only(d->routes, c->keyspace);
    enum limit_id share;

    if (d->asked_bytes >= d->asked_bytes_max) return LIMIT_NODE_BYTES;
    if (d->asked_writes >= ASKED_WRITES_MAX) return LIMIT_NODE_WRITES;
    if (d->asked_others >= ASKED_OTHERS_MAX) return LIMIT_NODE_OTHERS;
    share = redis_share_full(d, c->share);
    if (share == LIMIT_KEYSPACE_SHARE || (share && c->wrote)) return share;
    return h ? gateway_full(h->gateway) : LIMIT_NONE;
}

/* What single connections use, the greatest of each. */
static void see_clients(const struct redis_door *d, struct limits_now *out)
{
    struct limit_now *requests = &out->at[LIMIT_CLIENT_PIPELINE_REQUESTS], *bytes = &out->at[LIMIT_CLIENT_PIPELINE_BYTES],
                     *unread = &out->at[LIMIT_CLIENT_UNREAD];

    limit_see(requests, PIPELINE_DEPTH_MAX, 0);
    limit_see(bytes, PIPELINE_BYTES_MAX, 0);
    limit_see(unread, OUTPUT_PAUSE_BYTES, 0);
    LIST_EACH(at, &d->clients)
    {
        const struct client *c = CONTAINER_OF(at, struct client, all);
        requests->use = u64_max(requests->use, c->queued);
        bytes->use = u64_max(bytes->use, size_max(c->queued_bytes, c->held_bytes + c->reply_room));
        unread->use = u64_max(unread->use, c->stream.out.len);
    }
    limit_see(&out->at[LIMIT_CLIENT_UNREAD_DROP], OUTPUT_DROP_BYTES + d->config->value_bytes_max, unread->use);
}

void redis_door_limits(const struct redis_door *d, struct limits_now *out)
{
    size_t request = d->config->value_bytes_max + REQUEST_ROOM_BYTES;

    limit_see(&out->at[LIMIT_CLIENT_CONNECTIONS], d->clients_max, d->client_count);
    see_clients(d, out);
    out->at[LIMIT_CLIENT_VALUE].value = d->config->value_bytes_max;
    out->at[LIMIT_CLIENT_REQUEST].value = request;
    out->at[LIMIT_CLIENT_TRANSACTION].value = request;
    limit_see(&out->at[LIMIT_MEMORY_LARGE_REQUESTS], d->admission.budget, d->admission.granted);
    limit_see(&out->at[LIMIT_MEMORY_TRANSACTIONS], d->transaction_budget, d->transaction_bytes);
    redis_share_limits(d, out);
    limit_see(&out->at[LIMIT_NODE_WRITES], ASKED_WRITES_MAX, d->asked_writes);
    limit_see(&out->at[LIMIT_NODE_OTHERS], ASKED_OTHERS_MAX, d->asked_others);
    limit_see(&out->at[LIMIT_NODE_BYTES], d->asked_bytes_max, d->asked_bytes);
    for (u32 id = 0; id < LIMIT_COUNT; id++) out->at[id].reached += d->reached[id];
}

void redis_door_reset_stats(struct redis_door *d)
{
    struct redis_door_stats *s = &d->stats;

    *s = (struct redis_door_stats){.connected = s->connected};
    d->lookup_hits = d->lookup_misses = d->errors = 0;
    memset(d->error_names, 0, sizeof d->error_names);
    d->error_name_count = 0;
    d->rate_commands = d->rate_per_second = 0;
}

/* --- events --- */

static void on_accepted(struct redis_door *d, const struct env_event *ev)
{
    bool full = d->client_count >= d->clients_max;

    if (d->stopping || !node_knows_map(d->node) || (full && d->rejected_count >= REJECTED_MAX)) {
        d->stats.rejected++;
        if (full) redis_door_count_limit(d, LIMIT_CLIENT_CONNECTIONS);
        d->env->ops->refuse(d->env, ev->pending);
        return;
    }
    struct client *c = redis_client_new(d, full);
    d->env->ops->accept(d->env, ev->pending, &c->stream);
    d->stats.connected = d->client_count;
    if (!full) {
        d->stats.accepted++;
        return;
    }
    d->stats.rejected++;
    redis_door_count_limit(d, LIMIT_CLIENT_CONNECTIONS);
    buf_append_text(&c->stream.out, "-ERR max number of clients reached\r\n");
    c->closing = true;
    redis_client_touch(c);
}

static void on_closed(struct client *c)
{
    struct redis_door *d = c->door;

    c->gone = true;
    if (c->rejected)
        d->rejected_count--;
    else
        d->client_count--;
    d->stats.connected = d->client_count;
    redis_slots_abandon(c);
    redis_admission_release(c);
    buf_clear(&c->stream.out);
    if (c->closed || c->closing) buf_clear(&c->stream.in); /* what follows a QUIT is not wanted */
    redis_client_wake(c); /* what arrived before the end is still executed */
    redis_client_touch(c);
}

void redis_door_on_event(struct redis_door *d, const struct env_event *ev)
{
    if (ev->kind == ENV_ACCEPTED) {
        on_accepted(d, ev);
        return;
    }
    struct client *c = ev->stream->owner;
    assert(!c->gone);
    switch (ev->kind) {
    case ENV_RECEIVED:
        c->seen_at = node_now(d->node);
        if (c->late_goes_on) redis_client_late(c, c->late_at);
        redis_client_wake(c);
        break;
    case ENV_ENDED: redis_client_ended(c); break;
    case ENV_DRAINED: redis_client_wake(c); break;
    case ENV_CLOSED: on_closed(c); break;
    default: assert(ev->kind == ENV_CONNECTED); break; /* the door never dials */
    }
}

/* --- the turn --- */

static void wake_sleepers(struct redis_door *d)
{
    nanos now = node_now(d->node);

    if (now < d->sleep_until) return;
    d->sleep_until = NANOS_NEVER;
    LIST_EACH(at, &d->clients)
    {
        struct client *c = CONTAINER_OF(at, struct client, all);
        struct slot *s = c->barrier;
        if (!s || !s->wake_at) continue;
        if (s->wake_at > now) {
            d->sleep_until = u64_min(d->sleep_until, s->wake_at);
            continue;
        }
        redis_slot_answer(s, STR("+OK\r\n"));
    }
}

bool redis_door_turn(struct redis_door *d)
{
    u32 taken = 0;

    routes_look(d->routes);
    wake_sleepers(d);
    d->look_at = NANOS_NEVER;
    redis_share_feed(d);
    while (taken < redis_share_turn_max(d) && !list_is_empty(&d->busy))
        taken += redis_share_parse(d, redis_share_turn_max(d) - taken);
    return !list_is_empty(&d->busy);
}

static void sample_rate(struct redis_door *d)
{
    nanos now = node_now(d->node);

    if (now < d->rate_at + NANOS_SEC) return;
    if (d->rate_at)
        d->rate_per_second = (d->stats.commands - d->rate_commands) * NANOS_SEC /
                             (now - d->rate_at);
    d->rate_at = now;
    d->rate_commands = d->stats.commands;
}

void redis_door_flush(struct redis_door *d)
{
    struct list now, *at;

    /* A flush may wake, a wake does not flush: one pass is enough. */
    list_init(&now);
    list_splice(&now, &d->dirty);
    while ((at = list_first(&now))) {
        list_remove(at);
        redis_client_flush(CONTAINER_OF(at, struct client, dirty));
    }
    redis_admission_look(d, node_now(d->node));
    sample_rate(d);
}

nanos redis_door_deadline(const struct redis_door *d)
{
    nanos at = u64_min(d->sleep_until, d->stop_at);

    if (!list_is_empty((struct list *)(void *)&d->busy)) return node_now(d->node);
    at = u64_min(at, d->look_at);
    if (!list_is_empty((struct list *)(void *)&d->admission.large))
        at = u64_min(at, d->admission.next_look);
    return at;
}

bool redis_door_stopping(struct redis_door *d)
{
    nanos now = node_now(d->node);

    if (!d->stopping) {
        d->stopping = true;
        d->stop_at = now + STOP_WAIT_MAX;
        d->env->ops->unlisten(d->env, &d->listener);
        d->listening = false;
    }
    LIST_EACH(at, &d->clients)
    {
        struct client *c = CONTAINER_OF(at, struct client, all);
        if (c->gone) continue;
        if (now >= d->stop_at && !c->closed) {
            c->closed = true;
            env_close(d->env, &c->stream, false);
        } else if (c->queued == 0) {
            c->closing = true;
            redis_client_touch(c);
        }
    }
    if (now >= d->stop_at) d->stop_at = NANOS_NEVER; /* all are closed now */
    return list_is_empty(&d->clients);
}
