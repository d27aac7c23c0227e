/* For the test and the fuzzer of this folder: a door between clients made of buffers. The node's
 * functions are replaced at link time by the ones below; a `struct node *` is the fixture itself.
 */
#pragma once

#include "server/admin/admin_internal.h"
#include "server/admin/cluster_fakes.h"

#include "base/mem.h"
#include "raft/raft.h"
#include "server/backup.h"
#include "server/latency.h"
#include "server/redis/door.h"

#include <stdio.h>

#define ENDS_MAX 80

struct far_end {
    struct stream *stream;
    struct buf got;
    bool asked_to_close, flushed_first, refused, reads_nothing;
};

struct fixture {
    struct env env;
    struct node_config config;
    struct node_view view;
    const char *failure;
    nanos now, held_for;
    size_t rows_bytes;
    struct latencies latencies;
    u32 sample_rate, sample_seconds, alerts;
    u64 sampled_since;
    struct admin_door *door;
    struct far_end ends[ENDS_MAX];
    u32 end_count;
};

static inline struct fixture *fixture_of(const struct node *n)
{
    return (struct fixture *)(void *)n;
}

struct env *node_env(const struct node *n)
{
    return &fixture_of(n)->env;
}
const struct node_config *node_config_of(const struct node *n)
{
    return &fixture_of(n)->config;
}
nanos node_now(const struct node *n)
{
    return fixture_of(n)->now;
}
void node_view(const struct node *n, struct node_view *out)
{
    *out = fixture_of(n)->view;
}
void node_local(const struct node *n, struct node_local *out)
{
    (void)n;
    *out = (struct node_local){.self = 1, .clients = 2, .commands = 30, .group_count = 2};
}
void node_limits(struct node *n, struct limits_now *out)
{
    (void)n;
    *out = (struct limits_now){0};
    out->at[LIMIT_GATEWAY_WRITES] = (struct limit_now){.value = 32768, .use = 12, .reached = 3, .has_use = true};
    out->at[LIMIT_CLIENT_VALUE] = (struct limit_now){.value = 1000};
}
struct redis_door *node_redis_door(const struct node *n)
{
    return (struct redis_door *)(void *)fixture_of(n);
}
void redis_door_sample(struct redis_door *d, u32 rate, u32 seconds)
{
    struct fixture *f = (struct fixture *)(void *)d;

    f->sample_rate = rate;
    f->sample_seconds = seconds;
}
void redis_door_sampled(struct redis_door *d, u64 since, struct buf *out)
{
    ((struct fixture *)(void *)d)->sampled_since = since;
    buf_append_text(out, "\"events\":[]");
}
void node_alert(struct node *n, str text, str key, str level)
{
    bool expected = str_equal(text, STR("it went back")) && str_equal(key, STR("a b")) && str_equal(level, STR("session"));

    fixture_of(n)->alerts += expected;
}
bool node_group(const struct node *n, u32 i, struct node_group *out)
{
    (void)n;
    *out = (struct node_group){
        .id = 2, .role = RAFT_LEADER, .leader = 1, .peer_count = 1, .peers = {{.replica = 2, .node = 2, .behind = 7}}};
    return i == 0;
}
void node_backup_hold(struct node *n, u64 id, nanos how_long, backup_each_fn each, void *context)
{
    struct backup_group g = {.group = 2, .hlc = 1000 + id, .state = 1};

    fixture_of(n)->held_for = how_long;
    each(context, &g);
}
void node_backup_cut(struct node *n, u64 id, u64 stamp, backup_each_fn each, void *context)
{
    struct backup_group g = {.group = 2, .stamp = stamp, .index = id, .state = 2};

    (void)n, each(context, &g);
}
void node_backup_state(struct node *n, backup_each_fn each, void *context)
{
    (void)n, (void)each, (void)context;
}
void node_backup_end(struct node *n)
{
    (void)n;
}
/* Three blocks of `rows_bytes`; a stamp of 13 breaks off in the second. */
err node_backup_rows(struct node *n, u64 group, u64 stamp, struct buf *cursor, size_t bytes, struct buf *out, u32 *rows,
                     bool *last)
{
    (void)bytes;
    if (group != 2 || (stamp == 13 && cursor->len == 1)) return ERR_STALE;
    buf_append_u8(cursor, 'x');
    for (size_t i = 0; i < fixture_of(n)->rows_bytes; i++) buf_append_u8(out, 'r');
    *rows = 1;
    *last = cursor->len == 3;
    return OK;
}
const struct latencies *redis_door_latencies(const struct redis_door *d)
{
    return &((const struct fixture *)(const void *)d)->latencies;
}
const char *node_failure(const struct node *n)
{
    return fixture_of(n)->failure;
}
void node_metrics(struct node *n, struct buf *out)
{
    (void)n, buf_append_text(out, "quorate_up 1\n");
}

static inline struct far_end *end_of(struct env *env, const struct stream *s)
{
    struct fixture *f = CONTAINER_OF(env, struct fixture, env);

    for (u32 i = 0; i < f->end_count; i++)
        if (f->ends[i].stream == s) return &f->ends[i];
    panic("no such connection");
}

static inline err fake_listen(struct env *env, const char *host, u16 port, struct listener *l)
{
    (void)env, (void)host;
    l->port = port;
    return port == 1 ? ERR_ADDRESS_IN_USE : OK;
}

static inline void fake_unlisten(struct env *env, struct listener *l)
{
    (void)env, (void)l;
}
static inline void fake_refuse(struct env *env, void *pending)
{
    (void)env, ((struct far_end *)pending)->refused = true;
}
static inline void fake_accept(struct env *env, void *pending, struct stream *s)
{
    (void)env, ((struct far_end *)pending)->stream = s;
}

static inline void fake_flush(struct env *env, struct stream *s)
{
    struct far_end *e = end_of(env, s);

    if (e->reads_nothing) return;
    buf_append_str(&e->got, buf_str(&s->out));
    buf_clear(&s->out);
}

static inline void fake_close(struct env *env, struct stream *s, bool flush_first)
{
    struct far_end *e = end_of(env, s);

    assert(!e->asked_to_close);
    e->asked_to_close = true;
    e->flushed_first = flush_first;
}

static inline struct fixture *fixture_open(void)
{
    static const struct env_ops ops = {.listen = fake_listen,
                                       .unlisten = fake_unlisten,
                                       .accept = fake_accept,
                                       .refuse = fake_refuse,
                                       .flush = fake_flush,
                                       .close = fake_close};
    struct fixture *f = mem_zalloc(sizeof *f);
    char problem[256];

    f->env.ops = &ops;
    f->now = 100 * NANOS_SEC;
    f->config.admin_port = 8379;
    f->config.self = 1;
    snprintf(f->config.host, sizeof f->config.host, "127.0.0.1");
    f->view = (struct node_view){.self = 1, .leader = 1, .serving = true};
    err e = admin_door_new((struct node *)(void *)f, problem, sizeof problem, &f->door);
    assert(e == OK);
    return f;
}

static inline void fixture_free(struct fixture *f)
{
    admin_door_free(f->door);
    latencies_done(&f->latencies);
    for (u32 i = 0; i < f->end_count; i++) buf_done(&f->ends[i].got);
    mem_free(f);
}

static inline struct far_end *fixture_connect(struct fixture *f)
{
    struct far_end *e = &f->ends[f->end_count++];
    struct env_event ev = {.kind = ENV_ACCEPTED, .pending = e};

    assert(f->end_count <= ENDS_MAX);
    admin_door_on_event(f->door, &ev);
    return e;
}

static inline void fixture_event(struct fixture *f, struct far_end *e, enum env_event_kind kind)
{
    struct env_event ev = {.kind = kind, .stream = e->stream};

    admin_door_on_event(f->door, &ev);
    if (kind == ENV_CLOSED) e->stream = NULL;
    admin_door_flush(f->door);
}

static inline void fixture_send(struct fixture *f, struct far_end *e, const char *text)
{
    buf_append_text(&e->stream->in, text);
    fixture_event(f, e, ENV_RECEIVED);
}
