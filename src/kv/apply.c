/* The door for committed entries. What happens here is a function of the state and the entry: the
 * only time is the entry's, the only chance its seed. */
#include "kv/kv_internal.h"

#include "base/assert.h"
#include "base/mutant.h"

static err apply_command(struct kv_call *c, str body)
{
    struct reader r = reader_of(body);
    struct entry_command cmd;

    err e = entry_decode_command(&r, &cmd);
    if (e) return e;
    if (reader_left(&r) || cmd.db >= KV_DATABASES) {
        entry_command_done(&cmd);
        return ERR_MALFORMED;
    }
    struct kv_span span;
    c->argv = cmd.argv;
    c->argc = cmd.argc;
    c->db = cmd.db;
    (void)kv_for_take(&c->argv, &c->argc, &span); /* kv_covers has looked at it */
    if (kv_charge(c, cmd.argc)) kv_run(c);
    entry_command_done(&cmd);
    return c->failed;
}

/* The keys are the leader's findings; whether they have expired is decided here. */
static err apply_tick(struct kv_call *c, str body)
{
    struct reader r = reader_of(body);
    struct kv_row row;

    for (u32 count = reader_u32(&r); count; count--) {
        u8 db = reader_u8(&r);
        str key = reader_str(&r, reader_u32(&r));
        if (r.bad || db >= KV_DATABASES) return ERR_MALFORMED;
        if (!kv_has_key(c->kv, key)) continue; /* found before a split, applied behind it */
        if (MUTANT(tick_deletes_unasked) && kv_find(c, db, key, &row))
            kv_remove(c, db, key, &row);
        else
            (void)kv_find(c, db, key, &row); /* removes it if it has expired */
    }
    if (r.bad || reader_left(&r)) return ERR_MALFORMED;
    return c->failed;
}

static err apply(struct kv_call *c, const struct entry *e)
{
    switch (e->op) {
    case ENTRY_COMMAND: return apply_command(c, e->body);
    case ENTRY_EXEC: return kv_run_exec(c, e->body);
    case ENTRY_TICK: return apply_tick(c, e->body);
    default: return ERR_MALFORMED;
    }
}

err kv_apply(struct kv *kv, const struct entry *e, u64 ver, struct buf *out)
{
    if (e->apply_ver == 0 || e->apply_ver > ENTRY_APPLY_VER) return ERR_UNSUPPORTED;
    ver += kv->ver_base;
    assert(ver > kv->applied_ver);
    kv->applied_ver = ver;
    /* Time does not go back, whatever a leader stamped. */
    kv->clock = u64_max(kv->clock, e->hlc);
    struct kv_call c = {
        .kv = kv,
        .applying = true,
        .now_us = hlc_us(kv->clock),
        .ver = ver,
        .seed = e->seed,
        .w = {out, e->flags & ENTRY_RESP3 ? 3 : 2},
    };
    if (MUTANT(expiry_by_the_nodes_clock)) c.now_us = u64_max(c.now_us, kv->reader_now_us);
    err failure = apply(&c, e);
    kv_trim_scratch(kv);
    return failure;
}

void kv_prefetch(struct kv *kv, const struct entry *e)
{
    struct reader r = reader_of(e->body);

    if (e->op != ENTRY_COMMAND) return;
    u8 db = reader_u8(&r);
    u32 argc = reader_u32(&r);
    reader_str(&r, reader_u32(&r)); /* the command; most take their first key next */
    str key = reader_str(&r, reader_u32(&r));
    if (!r.bad && argc > 1 && db < KV_DATABASES && kv_has_key(kv, key))
        store_prefetch(kv->store, kv_keyspace_of(&kv->dbs[db], key), key);
}
