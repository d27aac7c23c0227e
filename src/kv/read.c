/* Reads between entries, and the leader's search for what has expired. Neither changes the state. */
#include "kv/kv_internal.h"

#include "base/assert.h"
#include "base/bytes.h"

static err read_command(struct kv_call *c, str body)
{
    struct reader r = reader_of(body);
    struct entry_command cmd;

    err e = entry_decode_command(&r, &cmd);
    if (e) return e;
    const str *argv = cmd.argv;
    u32 argc = cmd.argc;
    struct kv_span span;
    (void)kv_for_take(&argv, &argc, &span); /* kv_covers has looked at it */
    const struct kv_command *row = kv_command_find(argv[0]);
    if (reader_left(&r) || cmd.db >= KV_DATABASES)
        e = ERR_MALFORMED;
    else if (row && row->flags & KV_WRITE)
        e = ERR_INVALID;
    if (!e) {
        c->argv = argv;
        c->argc = argc;
        c->db = cmd.db;
        c->in_pieces = c->kv->options.walk_rows_max > 0;
        kv_run(c);
        e = c->failed;
    }
    entry_command_done(&cmd);
    return e;
}

err kv_read(struct kv *kv, u8 op, u8 flags, str body, u64 now_us, u64 seed, struct buf *out,
            bool *need_tick)
{
    size_t before = out->len;
    struct kv_call c = {
        .kv = kv,
        .now_us = u64_max(now_us, hlc_us(kv->clock)),
        .seed = seed,
        .w = {out, flags & ENTRY_RESP3 ? 3 : 2},
    };

    assert(op == ENTRY_COMMAND || op == ENTRY_EXEC);
    kv->reader_now_us = u64_max(kv->reader_now_us, now_us);
    kv->reads++;
    err e = op == ENTRY_EXEC ? kv_run_exec(&c, body) : read_command(&c, body);
    kv_trim_scratch(kv);
    *need_tick = !e && c.need_tick;
    if (e || c.need_tick) kv_read_forget(kv);
    if (e || c.need_tick) buf_truncate(out, before);
    return e;
}

bool kv_read_goes_on(const struct kv *kv)
{
    return kv->keys.going;
}

void kv_read_forget(struct kv *kv)
{
    kv->keys.going = false;
    buf_done(&kv->keys.items);
}

struct sweep {
    u64 now_us;
    u8 db;
    u32 seen, found;
    struct buf *body;
    bool corrupt;
};

static bool visit_for_expiry(void *context, str key, str value)
{
    struct sweep *s = context;
    struct kv_row row;

    s->seen++;
    if (!head_decode(value, &row)) {
        s->corrupt = true;
        return false;
    }
    if (row.head.expire_us == 0 || row.head.expire_us > s->now_us) return true;
    buf_append_u8(s->body, s->db);
    buf_append_u32(s->body, (u32)key.len);
    buf_append_str(s->body, key);
    s->found++;
    return true;
}

err kv_find_expired(struct kv *kv, u64 now_us, u32 rows, struct buf *tick_body, u32 *found)
{
    struct sweep s = {.now_us = now_us, .body = tick_body};
    size_t count_at = tick_body->len;

    buf_append_u32(tick_body, 0);
    /* At most once around, from where the last search ended. */
    for (u32 i = 0; i <= KV_DATABASES && s.seen < rows; i++) {
        const struct kv_db *d = &kv->dbs[kv->sweep.db];
        u64 next = 0;
        s.db = kv->sweep.db;
        if (d->expires) {
            err e = kv_scan_db(kv, kv->sweep.db, kv->sweep.cursor, rows - s.seen, visit_for_expiry, &s,
                               &next);
            if (e) return e;
            if (s.corrupt) return ERR_CORRUPT;
        }
        kv->sweep.cursor = next;
        if (next == 0) kv->sweep.db = (u8)((kv->sweep.db + 1) % KV_DATABASES);
    }
    put_u32(buf_bytes(tick_body) + count_at, s.found);
    *found = s.found;
    return OK;
}
