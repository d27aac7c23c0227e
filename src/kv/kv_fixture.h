/* For the tests of this folder: a kv over the memory engine, with a clock the test moves. Requests are
 * written as redis-cli takes them. */
#pragma once

#include "kv/kv_internal.h"

#include "base/test.h"

#include <stdio.h>

struct kv_fixture {
    struct kvs_image *image;
    struct kvs *kvs;
    struct store *store;
    struct kv *kv;
    u64 ver, now_us;
    u8 db, proto;
    struct resp_parser words;
    struct buf body, out, line;
};

static inline void fixture_init(struct kv_fixture *f)
{
    struct store_options so = {.part = 1, .memory_bytes_max = 256 * MIB};
    struct kv_options ko = {.value_bytes_max = 16 * MIB, .step_budget = 1000 * 1000};

    *f = (struct kv_fixture){.now_us = 1800000000000000, .proto = 2, .ver = 100};
    f->image = kvs_image_new();
    f->kvs = kvs_memory_open(f->image);
    f->store = store_new(f->kvs, &so);
    f->kv = kv_new(f->store, &ko);
    resp_parser_init(&f->words, 64 * MIB, 0);
}

static inline void fixture_done(struct kv_fixture *f)
{
    kv_free(f->kv);
    store_free(f->store);
    f->kvs->ops->close(f->kvs);
    kvs_image_free(f->image);
    resp_parser_done(&f->words);
    buf_done(&f->body);
    buf_done(&f->out);
    buf_done(&f->line);
}

/* Append the command to f->body. */
static inline void fixture_add_command(struct kv_fixture *f, str line)
{
    size_t consumed;

    buf_clear(&f->line);
    buf_append_str(&f->line, line);
    buf_append_text(&f->line, "\n");
    CHECK_EQ(resp_parse(&f->words, buf_str(&f->line), &consumed), RESP_REQUEST);
    entry_encode_command(f->db, f->words.args, f->words.argc, &f->body);
}

/* Apply f->body as the next entry; time moves on by a microsecond. */
static inline str fixture_apply(struct kv_fixture *f, enum entry_op op)
{
    struct entry e = {
        .apply_ver = ENTRY_APPLY_VER,
        .op = (u8)op,
        .flags = f->proto == 3 ? ENTRY_RESP3 : 0,
        .hlc = hlc_from_us(++f->now_us),
        .seed = f->ver,
        .body = buf_str(&f->body),
    };

    buf_clear(&f->out);
    CHECK_OK(kv_apply(f->kv, &e, ++f->ver, &f->out));
    return buf_str(&f->out);
}

/* One command through the log; the reply. */
static inline str apply_str(struct kv_fixture *f, str line)
{
    buf_clear(&f->body);
    fixture_add_command(f, line);
    return fixture_apply(f, ENTRY_COMMAND);
}

static inline str apply(struct kv_fixture *f, const char *line) { return apply_str(f, str_of(line)); }

/* A read at the fixture's time plus `later_us`. */
static inline str read_at(struct kv_fixture *f, const char *line, i64 later_us, bool *need_tick)
{
    buf_clear(&f->body);
    fixture_add_command(f, str_of(line));
    buf_clear(&f->out);
    CHECK_OK(kv_read(f->kv, ENTRY_COMMAND, f->proto == 3 ? ENTRY_RESP3 : 0, buf_str(&f->body),
                     f->now_us + (u64)later_us, 7, &f->out, need_tick));
    return buf_str(&f->out);
}

static inline str read_now(struct kv_fixture *f, const char *line)
{
    bool need_tick;
    str reply = read_at(f, line, 0, &need_tick);

    CHECK(!need_tick);
    return reply;
}

/* EXEC, in steps: begin, watch and queue any number, then fixture_exec. */
struct watch {
    u8 db;
    bool exists;
    u64 ver;
    const char *key;
};

static inline struct watch watch_key(struct kv_fixture *f, const char *key)
{
    struct watch w = {.db = f->db, .key = key};

    CHECK_OK(kv_watch(f->kv, w.db, str_of(key), f->now_us, &w.exists, &w.ver));
    return w;
}

static inline str exec(struct kv_fixture *f, const struct watch *watches, u32 watch_count,
                       const char *const *lines, u32 line_count)
{
    buf_clear(&f->body);
    buf_append_u32(&f->body, watch_count);
    for (u32 i = 0; i < watch_count; i++) {
        buf_append_u8(&f->body, watches[i].db);
        buf_append_u8(&f->body, watches[i].exists);
        buf_append_u64(&f->body, watches[i].ver);
        buf_append_u32(&f->body, (u32)strlen(watches[i].key));
        buf_append_text(&f->body, watches[i].key);
    }
    buf_append_u32(&f->body, line_count);
    for (u32 i = 0; i < line_count; i++) fixture_add_command(f, str_of(lines[i]));
    return fixture_apply(f, ENTRY_EXEC);
}
