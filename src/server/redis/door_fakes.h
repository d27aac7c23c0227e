/* For the tests of this folder: a door between clients made of buffers and gateways that only
 * take notes. The functions of the node, its partitions and their gateways are replaced at link time by
 * the ones below; a `struct node *` and a `struct parts *` are the fixture itself. There is one partition,
 * PART_DEFAULT, and no map, unless the test founds a cluster (door_cluster.h). Requests wait until the
 * test answers them (fixture_answer), in any order, or until a real keyspace in memory does
 * (fixture_serve). */
#pragma once

#include "server/node_internal.h"
#include "server/redis/redis_internal.h"

#include <stdio.h>

#define FIXTURE_CONNECTIONS 1100
#define FIXTURE_REQUESTS    4096
#define FIXTURE_PARTS       128

struct far_end {           /* the client's side of a connection */
    struct stream *stream; /* NULL after the door was told that it is gone */
    struct buf got;        /* what the door has sent */
    bool asked_to_close, flushed_first, refused;
    bool reads_nothing; /* flushed bytes stay in out */
};

struct fixture;
struct fake_gateway {
    struct fixture *fixture;
    struct hosted hosted;
    struct store *store; /* fixture_open_keyspace */
    struct kv *kv;
};

struct fixture {
    struct env env;
    struct node_config config;
    struct node_view view;
    struct redis_door *door;
    nanos now, least_delay; /* of each gateway */
    u64 wall_us, chance;
    bool gateway_full;

    struct far_end ends[FIXTURE_CONNECTIONS];
    u32 end_count;
    struct gateway_request *requests[FIXTURE_REQUESTS]; /* in order of submission; NULL: answered */
    u64 asked_part[FIXTURE_REQUESTS];
    struct fake_gateway *parts[FIXTURE_PARTS]; /* by id */
    u32 part_count;
    u64 parts_changes;
    const struct core *map; /* NULL: not founded */
    u64 unreachable;        /* a node that is not connected */
    u32 request_count, cancelled;
    char log_line[512];

    struct kvs_image *image; /* fixture_open_keyspace */
    struct kvs *kvs;
    struct kv *kv; /* of the first partition */
    u64 index;
};

static inline struct fixture *fixture_of(struct env *env)
{
    return CONTAINER_OF(env, struct fixture, env);
}

/* --- the node's and the gateway's functions --- */

struct env *node_env(const struct node *n)
{
    return &((struct fixture *)(void *)n)->env;
}
const struct node_config *node_config_of(const struct node *n)
{
    return &((struct fixture *)(void *)n)->config;
}
struct parts *node_parts(const struct node *n)
{
    return (struct parts *)(void *)n;
}
struct peers *node_peers(const struct node *n)
{
    return (struct peers *)(void *)n;
}
const struct core *node_map(const struct node *n)
{
    return ((struct fixture *)(void *)n)->map;
}
bool peers_is_connected(const struct peers *p, node_id to)
{
    return ((struct fixture *)(void *)p)->unreachable != to;
}
u64 parts_changes(const struct parts *ps)
{
    return ((struct fixture *)(void *)ps)->parts_changes;
}
struct hosted *parts_find(struct parts *ps, u64 id)
{
    struct fixture *f = (struct fixture *)(void *)ps;

    for (u32 i = 0; i < f->part_count; i++)
        if (f->parts[i]->hosted.id == id) return &f->parts[i]->hosted;
    return NULL;
}
node_id hosted_leader(const struct hosted *h)
{
    return h->leader_hint;
}

static inline struct fake_gateway *fixture_add_part(struct fixture *f, u64 id)
{
    struct fake_gateway *g = mem_zalloc(sizeof *g);

    assert(f->part_count < FIXTURE_PARTS);
    g->fixture = f;
    g->hosted.id = id;
    g->hosted.gateway = (struct gateway *)(void *)g;
    f->parts[f->part_count++] = g;
    f->parts_changes++;
    return g;
}
bool node_knows_map(const struct node *n)
{
    (void)n;
    return true;
}
const struct identity *node_identity(const struct node *n)
{
    static const struct identity id = {.cluster_id = {0xc1, 0x05, 0x7e, 0x12}};
    return (void)n, &id;
}
nanos node_now(const struct node *n)
{
    return ((struct fixture *)(void *)n)->now;
}
size_t node_memory_used(const struct node *n)
{
    return (void)n, 1536;
}
void node_view(const struct node *n, struct node_view *out)
{
    *out = ((struct fixture *)(void *)n)->view;
}

void redis_door_db_stats(const struct hosted *h, u8 db, struct kv_db_stats *out)
{
    const struct fake_gateway *g = CONTAINER_OF(h, struct fake_gateway, hosted);

    *out = (struct kv_db_stats){0};
    if (g->kv) kv_db_stats(g->kv, db, out);
}

void gateway_submit(struct gateway *g, struct gateway_request *req)
{
    struct fake_gateway *fake = (struct fake_gateway *)(void *)g;
    struct fixture *f = fake->fixture;

    assert(f->request_count < FIXTURE_REQUESTS);
    f->asked_part[f->request_count] = fake->hosted.id;
    f->requests[f->request_count++] = req;
}

void gateway_hasten(struct gateway *g, struct gateway_request *req, nanos deadline)
{
    (void)g;
    req->deadline = u64_min(req->deadline, deadline);
}

void gateway_cancel(struct gateway *g, struct gateway_request *req)
{
    struct fixture *f = ((struct fake_gateway *)(void *)g)->fixture;

    for (u32 i = 0; i < f->request_count; i++) {
        if (f->requests[i] != req) continue;
        rcbuf_unref(req->entry);
        f->requests[i] = NULL;
        f->cancelled++;
        return;
    }
    panic("cancelled a request that is not under way");
}

enum limit_id gateway_full(const struct gateway *g)
{
    return ((const struct fake_gateway *)(const void *)g)->fixture->gateway_full ? LIMIT_GATEWAY_WRITES : LIMIT_NONE;
}

nanos gateway_least_delay(const struct gateway *g)
{
    return ((const struct fake_gateway *)(const void *)g)->fixture->least_delay;
}

/* --- the world --- */

static inline struct far_end *end_of(struct fixture *f, const struct stream *s)
{
    for (u32 i = 0; i < f->end_count; i++)
        if (f->ends[i].stream == s) return &f->ends[i];
    panic("no such connection");
}

static inline nanos fixture_mono(struct env *env)
{
    return fixture_of(env)->now;
}
static inline u64 fixture_wall(struct env *env)
{
    return fixture_of(env)->wall_us;
}
static inline u64 fixture_random(struct env *env)
{
    return fixture_of(env)->chance += 0x1111111111111111;
}
static inline void fixture_unlisten(struct env *env, struct listener *l)
{
    (void)env, (void)l;
}

static inline err fixture_listen(struct env *env, const char *host, u16 port, struct listener *l)
{
    (void)env, (void)host;
    if (port == 1) return ERR_ADDRESS_IN_USE;
    l->port = port ? port : 50000;
    return OK;
}

static inline void fixture_accept(struct env *env, void *pending, struct stream *s)
{
    struct far_end *e = pending;

    (void)env;
    e->stream = s;
    s->impl = e;
}

static inline void fixture_refuse(struct env *env, void *pending)
{
    (void)env;
    ((struct far_end *)pending)->refused = true;
}

static inline void fixture_flush(struct env *env, struct stream *s)
{
    struct far_end *e = end_of(fixture_of(env), s);

    if (e->reads_nothing) return;
    buf_append_str(&e->got, buf_str(&s->out));
    buf_clear(&s->out);
}

static inline void fixture_close(struct env *env, struct stream *s, bool flush_first)
{
    struct far_end *e = end_of(fixture_of(env), s);

    assert(!e->asked_to_close);
    if (flush_first) fixture_flush(env, s);
    e->asked_to_close = true;
    e->flushed_first = flush_first;
}

static inline void fixture_peer_name(struct env *env, struct stream *s, char *out, size_t size)
{
    struct fixture *f = fixture_of(env);

    snprintf(out, size, "10.0.0.1:%u", 1000 + (u32)(end_of(f, s) - f->ends));
}

static inline void fixture_log(struct env *env, enum log_level level, const char *line)
{
    struct fixture *f = fixture_of(env);

    (void)level;
    snprintf(f->log_line, sizeof f->log_line, "%s", line);
}

static inline const struct env_ops *fixture_ops(void)
{
    static const struct env_ops ops = {
        .mono = fixture_mono,
        .wall_us = fixture_wall,
        .random = fixture_random,
        .listen = fixture_listen,
        .unlisten = fixture_unlisten,
        .accept = fixture_accept,
        .refuse = fixture_refuse,
        .flush = fixture_flush,
        .close = fixture_close,
        .peer_name = fixture_peer_name,
        .log = fixture_log,
    };
    return &ops;
}

/* --- driving it --- */

/* Everything but the door, which is free already. */
static inline void fixture_done(struct fixture *f)
{
    for (u32 i = 0; i < f->end_count; i++) buf_done(&f->ends[i].got);
    for (u32 i = 0; i < f->part_count; i++) {
        kv_free(f->parts[i]->kv); /* NULL is accepted */
        store_free(f->parts[i]->store);
        mem_free(f->parts[i]);
    }
    if (f->kvs) f->kvs->ops->close(f->kvs);
    if (f->image) kvs_image_free(f->image);
    mem_free(f);
}

/* Before fixture_start the test may change f->config. */
static inline struct fixture *fixture_new(void)
{
    struct fixture *f = mem_zalloc(sizeof *f);

    f->env.ops = fixture_ops();
    f->now = 100 * NANOS_SEC;
    f->wall_us = 1800000000123456;
    snprintf(f->config.host, sizeof f->config.host, "127.0.0.1");
    f->config.redis_port = 6379;
    f->config.memory_bytes = 1024 * MIB;
    f->config.value_bytes_max = 16 * MIB;
    f->config.clients_max = 1000;
    f->config.pid = 4711;
    f->config.debug_commands = true;
    f->view = (struct node_view){
        .self = 1, .leader = 2, .boot = 3, .serving = true, .member_count = 3};
    for (u32 i = 0; i < 3; i++)
        f->view.members[i] = (struct node_peer_view){
            .id = i + 1, .alive = true, .term = 7, .commit = 42, .applied = 41};
    fixture_add_part(f, PART_DEFAULT);
    return f;
}

static inline void fixture_turn(struct fixture *f)
{
    bool more;

    do {
        more = redis_door_turn(f->door);
        redis_door_flush(f->door);
        more |= redis_door_deadline(f->door) <= f->now;
    } while (more);
}

static inline struct far_end *fixture_connect(struct fixture *f)
{
    assert(f->end_count < FIXTURE_CONNECTIONS);
    struct far_end *e = &f->ends[f->end_count++];
    struct env_event ev = {.kind = ENV_ACCEPTED, .pending = e};

    redis_door_on_event(f->door, &ev);
    fixture_turn(f);
    return e;
}

static inline void fixture_deliver(struct fixture *f, struct far_end *e, str bytes)
{
    struct env_event ev = {.kind = ENV_RECEIVED, .stream = e->stream};

    assert(bytes.len <= buf_room(&e->stream->in));
    buf_append_str(&e->stream->in, bytes);
    redis_door_on_event(f->door, &ev);
}

static inline void fixture_end_input(struct fixture *f, struct far_end *e)
{
    struct env_event ev = {.kind = ENV_ENDED, .stream = e->stream};

    redis_door_on_event(f->door, &ev);
    fixture_turn(f);
}

static inline void fixture_hang_up(struct fixture *f, struct far_end *e)
{
    struct env_event ev = {.kind = ENV_CLOSED, .stream = e->stream};

    redis_door_on_event(f->door, &ev);
    e->stream = NULL;
    fixture_turn(f);
}

static inline void fixture_answer_index(struct fixture *f, u32 i, str bytes, u64 index)
{
    struct gateway_request *req = f->requests[i];
    bool failed = bytes.len > 1 && bytes.at[0] == '-' &&
                  (bytes.at[1] == 'N' || bytes.at[1] == 'U' ||
                   (bytes.at[1] == 'O' && bytes.at[2] == 'V'));
    struct gateway_reply reply = {.bytes = bytes, .index = index, .failed = failed};

    assert(req);
    f->requests[i] = NULL;
    rcbuf_unref(req->entry);
    req->done(req, &reply);
    fixture_turn(f);
}
