/* EXEC: watches first, then the commands without a break. */
#include "kv/kv_internal.h"

#include "base/assert.h"

/* One pass over the body before anything is changed: well-formed, and how many arguments in all. */
static err measure(str body, u64 *args, bool *writes)
{
    struct reader r = reader_of(body);
    struct entry_command cmd;

    *args = 0;
    *writes = false;
    for (u32 watches = reader_u32(&r); watches && !r.bad; watches--) {
        if (reader_u8(&r) >= KV_DATABASES || reader_u8(&r) > 1) return ERR_MALFORMED;
        reader_u64(&r);
        reader_str(&r, reader_u32(&r));
    }
    for (u32 count = reader_u32(&r); count && !r.bad; count--) {
        err e = entry_decode_command(&r, &cmd);
        if (e) return e;
        bool known_db = cmd.db < KV_DATABASES;
        const struct kv_command *row = kv_command_find(cmd.argv[0]);
        *args += cmd.argc;
        *writes |= row && row->flags & KV_WRITE;
        entry_command_done(&cmd);
        if (!known_db) return ERR_MALFORMED;
    }
    return reader_end(&r);
}

static bool watches_hold(struct kv_call *c, struct reader *r)
{
    bool hold = true;

    for (u32 watches = reader_u32(r); watches; watches--) {
        u8 db = reader_u8(r);
        bool exists = reader_u8(r);
        u64 ver = reader_u64(r);
        str key = reader_str(r, reader_u32(r));
        if (hold) hold = kv_watch_holds(c, db, exists, ver, key);
    }
    return hold;
}

err kv_run_exec(struct kv_call *c, str body)
{
    struct reader r = reader_of(body);
    struct entry_command cmd;
    u64 args;
    bool writes;
    size_t start = c->w.out->len, max = kv_reply_bytes_max(c->kv);

    err e = measure(body, &args, &writes);
    if (e) return e;
    if (writes && !c->applying) return ERR_INVALID;
    if (!watches_hold(c, &r)) {
        resp_null_array(&c->w);
        return c->failed;
    }
    /* All or nothing: what is too long is refused before it begins. */
    if (!kv_charge(c, args)) return OK;
    u32 count = reader_u32(&r);
    resp_array(&c->w, count);
    for (; count && !c->failed && !c->need_tick; count--) {
        e = entry_decode_command(&r, &cmd);
        assert(e == OK);
        c->argv = cmd.argv;
        c->argc = cmd.argc;
        c->db = cmd.db;
        size_t before = c->w.out->len;
        if (kv_charge(c, 0)) kv_run(c);
        if (c->w.out->len - start > max) {
            buf_truncate(c->w.out, before);
            resp_errorf(&c->w, "TOOBIG limit=command.reply-bytes the replies of this transaction have more than %zu bytes; this "
                               "command was done and its reply dropped", max);
        }
        entry_command_done(&cmd);
    }
    return c->failed;
}
