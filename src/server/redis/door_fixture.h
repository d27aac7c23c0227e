/* For the tests of this folder: a door between clients made of buffers and a gateway that only
 * takes notes. The functions of the node and the gateway are replaced at link time by the ones
 * below; a `struct node *` and a `struct gateway *` are the fixture itself. Requests wait until the
 * test answers them (fixture_answer), in any order, or until a real keyspace in memory does
 * (fixture_serve). */
#pragma once

#include "server/redis/redis_internal.h"

#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>

#define FIXTURE_CONNECTIONS 1100
#define FIXTURE_REQUESTS    4096

struct far_end {           /* the client's side of a connection */
    struct stream *stream; /* NULL after the door was told that it is gone */
    struct buf got;        /* what the door has sent */
    bool asked_to_close, flushed_first, refused;
    bool reads_nothing; /* flushed bytes stay in out */
};

struct fixture {
    struct env env;
    struct node_config config;
    struct node_view view;
    struct redis_door *door;
    nanos now;
    u64 wall_us, chance;
    bool gateway_full;

    struct far_end ends[FIXTURE_CONNECTIONS];
    u32 end_count;
    struct gateway_request *requests[FIXTURE_REQUESTS]; /* in order of submission; NULL: answered */
    u32 request_count, cancelled;
    char log_line[512];

    struct kvs_image *image; /* fixture_open_keyspace */
    struct kvs *kvs;
    struct store *store;
    struct kv *kv;
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
struct gateway *node_gateway(const struct node *n)
{
    return (struct gateway *)(void *)n;
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

void redis_door_db_stats(const struct redis_door *d, u8 db, struct kv_db_stats *out)
{
    struct fixture *f = (struct fixture *)(void *)d->node;

    *out = (struct kv_db_stats){0};
    if (f->kv) kv_db_stats(f->kv, db, out);
}

void gateway_submit(struct gateway *g, struct gateway_request *req)
{
    struct fixture *f = (struct fixture *)(void *)g;

    assert_true(f->request_count < FIXTURE_REQUESTS);
    f->requests[f->request_count++] = req;
}

void gateway_cancel(struct gateway *g, struct gateway_request *req)
{
    struct fixture *f = (struct fixture *)(void *)g;

    for (u32 i = 0; i < f->request_count; i++) {
        if (f->requests[i] != req) continue;
        rcbuf_unref(req->entry);
        f->requests[i] = NULL;
        f->cancelled++;
        return;
    }
    fail_msg("cancelled a request that is not under way");
}

bool gateway_is_full(const struct gateway *g)
{
    return ((struct fixture *)(void *)g)->gateway_full;
}

/* --- the world --- */

static inline struct far_end *end_of(struct fixture *f, const struct stream *s)
{
    for (u32 i = 0; i < f->end_count; i++)
        if (f->ends[i].stream == s) return &f->ends[i];
    fail_msg("no such connection");
    return NULL;
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

    assert_false(e->asked_to_close);
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

/* --- for tests --- */

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
    return f;
}

static inline void fixture_start(struct fixture *f)
{
    char problem[256];

    CHECK_OK(redis_door_new((struct node *)(void *)f, problem, sizeof problem, &f->door));
}

static inline struct fixture *fixture_open(void)
{
    struct fixture *f = fixture_new();

    fixture_start(f);
    return f;
}

static inline void fixture_free(struct fixture *f)
{
    redis_door_free(f->door);
    for (u32 i = 0; i < f->request_count; i++)
        CHECK(!f->requests[i]); /* all answered or cancelled */
    for (u32 i = 0; i < f->end_count; i++) buf_done(&f->ends[i].got);
    if (f->kv) {
        kv_free(f->kv);
        store_free(f->store);
        f->kvs->ops->close(f->kvs);
        kvs_image_free(f->image);
    }
    mem_free(f);
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
    assert_true(f->end_count < FIXTURE_CONNECTIONS);
    struct far_end *e = &f->ends[f->end_count++];
    struct env_event ev = {.kind = ENV_ACCEPTED, .pending = e};

    redis_door_on_event(f->door, &ev);
    fixture_turn(f);
    return e;
}

static inline void fixture_deliver(struct fixture *f, struct far_end *e, str bytes)
{
    struct env_event ev = {.kind = ENV_RECEIVED, .stream = e->stream};

    assert_true(bytes.len <= buf_room(&e->stream->in));
    buf_append_str(&e->stream->in, bytes);
    redis_door_on_event(f->door, &ev);
}

static inline void fixture_send(struct fixture *f, struct far_end *e, const char *text)
{
    fixture_deliver(f, e, str_of(text));
    fixture_turn(f);
}

/* Send as much as there is room for, turn by turn, until all is taken or nothing moves. Returns
 * what was. */
static inline size_t fixture_stream(struct fixture *f, struct far_end *e, str bytes)
{
    size_t at = 0;

    while (at < bytes.len && !e->asked_to_close) {
        size_t step = size_min(bytes.len - at, size_min(buf_room(&e->stream->in), 100000));
        if (step == 0) break;
        fixture_deliver(f, e, str_from(bytes.at + at, step));
        at += step;
        fixture_turn(f);
    }
    return at;
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

    assert_non_null(req);
    f->requests[i] = NULL;
    rcbuf_unref(req->entry);
    req->done(req, &reply);
    fixture_turn(f);
}

static inline void fixture_answer(struct fixture *f, u32 i, const char *text)
{
    fixture_answer_index(f, i, str_of(text), 0);
}

/* The entry of request i, decoded. */
static inline struct entry fixture_entry(struct fixture *f, u32 i)
{
    struct entry e;

    assert_true(i < f->request_count);
    assert_non_null(f->requests[i]);
    CHECK_OK(entry_decode(rcbuf_str(f->requests[i]->entry), &e));
    return e;
}

/* Is request i this command, words parted by spaces? */
static inline bool fixture_asked(struct fixture *f, u32 i, u8 db, const char *words)
{
    struct entry e = fixture_entry(f, i);
    struct reader r = reader_of(e.body);
    struct entry_command c;
    struct buf text = {0};

    if (e.op != ENTRY_COMMAND) return false;
    CHECK_OK(entry_decode_command(&r, &c));
    for (u32 a = 0; a < c.argc; a++) buf_printf(&text, "%s%.*s", a ? " " : "", STR_ARG(c.argv[a]));
    bool same = c.db == db && str_equal(buf_str(&text), str_of(words));
    if (!same) print_error("asked: %u %.*s\n", c.db, STR_ARG(buf_str(&text)));
    entry_command_done(&c);
    buf_done(&text);
    return same;
}

/* What the client has got since the last look. */
static inline bool fixture_got(struct far_end *e, const char *text)
{
    bool same = str_equal(buf_str(&e->got), str_of(text));

    if (!same) print_error("got:    %.*s\nwanted: %s\n", STR_ARG(buf_str(&e->got)), text);
    buf_clear(&e->got);
    return same;
}

#define CHECK_GOT(end, text) CHECK(fixture_got((end), (text)))

/* --- a keyspace behind the gateway --- */

static inline void fixture_open_keyspace(struct fixture *f)
{
    struct store_options so = {.part = 1, .memory_bytes_max = 256 * MIB};
    struct kv_options ko = {.value_bytes_max = f->config.value_bytes_max,
                            .step_budget = 1000 * 1000};

    f->image = kvs_image_new();
    f->kvs = kvs_memory_open(f->image);
    f->store = store_new(f->kvs, &so);
    f->kv = kv_new(f->store, &ko);
    f->index = 100;
}

static inline void fixture_serve_watch(struct fixture *f, const struct entry *e, struct buf *out)
{
    struct reader r = reader_of(e->body);
    struct entry_command c;

    CHECK_OK(entry_decode_command(&r, &c));
    for (u32 i = 0; i < c.argc; i++) {
        bool exists;
        u64 ver;
        CHECK_OK(kv_watch(f->kv, c.db, c.argv[i], f->wall_us, &exists, &ver));
        buf_append_u8(out, exists);
        buf_append_u64(out, ver);
    }
    entry_command_done(&c);
}

/* The leader's search for expired keys. */
static inline void fixture_expire(struct fixture *f)
{
    struct buf body = {0}, nothing = {0};
    u32 found = 0;

    CHECK_OK(kv_find_expired(f->kv, f->wall_us, 1000, &body, &found));
    struct entry tick = {.apply_ver = ENTRY_APPLY_VER,
                         .op = ENTRY_TICK,
                         .hlc = hlc_from_us(++f->wall_us),
                         .body = buf_str(&body)};
    if (found) CHECK_OK(kv_apply(f->kv, &tick, ++f->index, &nothing));
    buf_done(&body);
    buf_done(&nothing);
}

/* What the leader and every replica would do with request i. */
static inline void fixture_serve_one(struct fixture *f, u32 i)
{
    struct buf out = {0};
    struct entry e;
    bool need_tick = false;
    u64 index = 0;

    if (f->requests[i]->kind == GATEWAY_WAIT) {
        buf_append_text(&out, ":0\r\n");
    } else {
        e = fixture_entry(f, i);
        e.hlc = hlc_from_us(++f->wall_us);
        e.seed = f->index;
        e.apply_ver = ENTRY_APPLY_VER;
    }
    switch (f->requests[i]->kind) {
    case GATEWAY_WRITE:
        index = ++f->index;
        CHECK_OK(kv_apply(f->kv, &e, index, &out));
        break;
    case GATEWAY_READ:
        CHECK_OK(kv_read(f->kv, e.op, e.flags, e.body, f->wall_us, 1, &out, &need_tick));
        if (!need_tick) break;
        struct entry tick = {
            .apply_ver = ENTRY_APPLY_VER, .op = ENTRY_TICK, .hlc = e.hlc, .body = STR("\0\0\0\0")};
        struct buf nothing = {0};
        CHECK_OK(kv_apply(f->kv, &tick, ++f->index, &nothing));
        buf_done(&nothing);
        CHECK_OK(kv_read(f->kv, e.op, e.flags, e.body, f->wall_us, 1, &out, &need_tick));
        break;
    case GATEWAY_WATCH: fixture_serve_watch(f, &e, &out); break;
    case GATEWAY_WAIT: break;
    }
    fixture_answer_index(f, i, buf_str(&out), index);
    buf_done(&out);
}

/* Answer all there is, also what becomes possible by that. */
static inline void fixture_serve(struct fixture *f)
{
    for (u32 i = 0; i < f->request_count; i++)
        if (f->requests[i]) fixture_serve_one(f, i);
    f->request_count = 0;
}
