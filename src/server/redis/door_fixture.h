/* What tests say with door_fakes.h: open, send, answer, look; and a keyspace in memory that answers
 * by itself (fixture_open_keyspace, fixture_serve). */
#pragma once

#include "server/redis/door_fakes.h"

#include "base/test.h"

#include <stdlib.h>

/* --- for tests --- */

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
    fixture_done(f);
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
    const str *argv = c.argv;
    u32 argc = c.argc;
    struct kv_span span;
    (void)kv_for_take(&argv, &argc, &span); /* about a whole database: for whichever span */
    for (u32 a = 0; a < argc; a++) buf_printf(&text, "%s%.*s", a ? " " : "", STR_ARG(argv[a]));
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

static inline const struct core_part *fixture_range(struct fixture *f, u32 i)
{
    const struct core_part *p = f->map ? core_part(f->map, f->parts[i]->hosted.id) : NULL;
    return p && p->is_range && p->id != CORE_GROUP ? p : NULL;
}

/* A part of key ranges is what its left neighbours were split off: parts are by id, which was given out from left to right. */
static inline void fixture_cut_range(struct fixture *f, u32 i, struct buf *rest)
{
    const struct core_part *p = fixture_range(f, i);
    struct store_extents x = {0};

    if (!p) return;
    if (p->from.len) CHECK_OK(kv_state_decode(f->parts[i]->kv, buf_str(rest)));
    buf_clear(rest);
    if (!p->to.len) return;
    CHECK_OK(kv_split(f->parts[i]->kv, 0, p->to, 1 + (i + 1) * 1000, 1000, rest, &x));
    extents_done(&x);
}

static inline void fixture_open_keyspace(struct fixture *f)
{
    struct buf rest = {0};


    f->image = kvs_image_new();
    f->kvs = kvs_memory_open(f->image);
    for (u32 i = 0; i < f->part_count; i++) {
        bool by_key = fixture_range(f, i) != NULL;
        struct store_options so = {.part = f->parts[i]->hosted.id,
                                   .by_key = by_key,
                                   .keyspace_first = 1 + i * 1000,
                                   .keyspace_count = 1000,
                                   .memory_bytes_max = 256 * MIB};
        struct kv_options ko = {.span.by_key = by_key,
                                .keyspace_first = so.keyspace_first,
                                .keyspace_count = so.keyspace_count,
                                .value_bytes_max = f->config.value_bytes_max,
                                .step_budget = 1000 * 1000};
        f->parts[i]->store = store_new(f->kvs, &so);
        f->parts[i]->kv = kv_new(f->parts[i]->store, &ko);
        fixture_cut_range(f, i, &rest);
    }
    buf_done(&rest);
    f->kv = f->parts[0]->kv;
    f->index = 100;
}

static inline struct kv *fixture_kv_of(struct fixture *f, u32 request)
{
    struct hosted *h = parts_find((struct parts *)(void *)f, f->asked_part[request]);
    return CONTAINER_OF(h, struct fake_gateway, hosted)->kv;
}

static inline void fixture_serve_watch(struct fixture *f, struct kv *kv, const struct entry *e,
                                       struct buf *out)
{
    struct reader r = reader_of(e->body);
    struct entry_command c;

    CHECK_OK(entry_decode_command(&r, &c));
    for (u32 i = 0; i < c.argc; i++) {
        bool exists;
        u64 ver;
        CHECK_OK(kv_watch(kv, c.db, c.argv[i], f->wall_us, &exists, &ver));
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
    struct kv *kv = fixture_kv_of(f, i);
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
        CHECK_OK(kv_apply(kv, &e, index, &out));
        break;
    case GATEWAY_READ:
        CHECK_OK(kv_read(kv, e.op, e.flags, e.body, f->wall_us, 1, &out, &need_tick));
        if (!need_tick) break;
        struct entry tick = {
            .apply_ver = ENTRY_APPLY_VER, .op = ENTRY_TICK, .hlc = e.hlc, .body = STR("\0\0\0\0")};
        struct buf nothing = {0};
        CHECK_OK(kv_apply(kv, &tick, ++f->index, &nothing));
        buf_done(&nothing);
        CHECK_OK(kv_read(kv, e.op, e.flags, e.body, f->wall_us, 1, &out, &need_tick));
        break;
    case GATEWAY_WATCH: fixture_serve_watch(f, kv, &e, &out); break;
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
