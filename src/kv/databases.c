/* Whole databases. A database is a keyspace id: emptying it is a new id, exchanging two is exchanging
 * their ids, and neither looks at a row. */
#include "kv/kv_internal.h"

#include "base/assert.h"

static bool get_flush_mode(struct kv_call *c)
{
    /* Emptying takes no time either way. */
    if (c->argc == 1) return true;
    if (c->argc == 2 && (str_is_word(c->argv[1], "sync") || str_is_word(c->argv[1], "async")))
        return true;
    kv_reply_syntax_error(c);
    return false;
}

/* The database stops showing what it shows now: remember for the WATCH of an absent key when the last
 * key was made in it. */
static void lose_contents(struct kv_db *d) { d->gone_ver = u64_max(d->gone_ver, d->created_ver); }

/* Is there an id for each of these databases? If not, that is the reply. */
static bool has_ids(struct kv_call *c, const struct kv_db *d, u32 count)
{
    const struct kv_options *o = &c->kv->options;
    u32 left = o->keyspace_count - (c->kv->next_keyspace - o->keyspace_first), wanted = 0;
    for (u32 i = 0; i < count; i++) wanted += d[i].keys > 0;
    if (wanted <= left) return true;
    resp_error(&c->w, "ERR this partition's databases were emptied as often as its block of ids "
                      "allows; delete the keys, or copy them to a new keyspace");
    return false;
}

static void flush(struct kv_call *c, struct kv_db *d)
{
    if (d->keys == 0) return;
    lose_contents(d);
    struct kv_place p;
    u8 db = (u8)(d - c->kv->dbs);
    for (u32 at = 0, start = 0; kv_db_place(c->kv, db, &at, &p); start = at) {
        bool again = false; /* an id may stand in the list twice */
        struct kv_place before;
        for (u32 i = 0; i < start && kv_db_place(c->kv, db, &i, &before);) again |= before.keyspace == p.keyspace;
        if (!again) store_drop_keyspace(c->kv->store, p.keyspace);
    }
    d->created_ver = 0;
    kv_db_renew(c->kv, d, c->kv->next_keyspace++);
    if (store_was_cut(c->kv->store)) kv_own(c->kv, false);
}

void cmd_flushdb(struct kv_call *c)
{
    if (!get_flush_mode(c) || !has_ids(c, &c->kv->dbs[c->db], 1)) return;
    flush(c, &c->kv->dbs[c->db]);
    kv_reply_ok(c);
}

void cmd_flushall(struct kv_call *c)
{
    if (!get_flush_mode(c) || !has_ids(c, c->kv->dbs, KV_DATABASES)) return;
    for (u32 i = 0; i < KV_DATABASES; i++) flush(c, &c->kv->dbs[i]);
    kv_reply_ok(c);
}

void cmd_swapdb(struct kv_call *c)
{
    i32 a, b;

    if (!kv_get_int(c, c->argv[1], "invalid first DB index", &a)) return;
    if (!kv_get_int(c, c->argv[2], "invalid second DB index", &b)) return;
    if (a < 0 || a >= KV_DATABASES || b < 0 || b >= KV_DATABASES) {
        resp_error(&c->w, "ERR DB index is out of range");
        return;
    }
    struct kv_db *first = &c->kv->dbs[a], *second = &c->kv->dbs[b];
    if (first != second) {
        lose_contents(first);
        lose_contents(second);
        struct kv_db kept = *first;
        *first = *second;
        *second = kept;
        /* What was lost stays with the number, all else goes with the contents. */
        second->gone_ver = first->gone_ver;
        first->gone_ver = kept.gone_ver;
    }
    kv_reply_ok(c);
}
