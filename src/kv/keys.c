/* Keys as wholes. */
#include "kv/kv_internal.h"

#include "base/prng.h"

#define RANDOM_TRIES 100 /* before RANDOMKEY gives up on chance */

void cmd_del(struct kv_call *c)
{
    struct kv_row row;
    i64 removed = 0;

    for (u32 i = 1; i < c->argc; i++) {
        if (!kv_find(c, c->db, c->argv[i], &row)) continue;
        kv_remove(c, c->db, c->argv[i], &row);
        removed++;
    }
    resp_integer(&c->w, removed);
}

void cmd_exists(struct kv_call *c)
{
    struct kv_row row;
    i64 found = 0;

    for (u32 i = 1; i < c->argc; i++) found += kv_find(c, c->db, c->argv[i], &row);
    resp_integer(&c->w, found);
}

void cmd_type(struct kv_call *c)
{
    struct kv_row row;

    resp_simple(&c->w, kv_find(c, c->db, c->argv[1], &row) ? "string" : "none");
}

/* Put a copy of `row`, whose value is kept, at another place where nothing is. It is a new key there. */
static void put_copy(struct kv_call *c, u8 db, str key, const struct kv_row *row)
{
    kv_put(c, db, key, NULL, row->value, row->head.flags, row->head.expire_us);
}

struct copy_options {
    u8 db;
    bool replace;
};

static bool get_copy_options(struct kv_call *c, struct copy_options *o)
{
    *o = (struct copy_options){.db = c->db};
    for (u32 i = 3; i < c->argc; i++) {
        if (str_is_word(c->argv[i], "replace")) {
            o->replace = true;
        } else if (str_is_word(c->argv[i], "db") && i + 1 < c->argc) {
            if (!kv_get_db(c, c->argv[++i], &o->db)) return false;
        } else {
            kv_reply_syntax_error(c);
            return false;
        }
    }
    return true;
}

static void reply_same_object(struct kv_call *c)
{
    resp_error(&c->w, "ERR source and destination objects are the same");
}

void cmd_copy(struct kv_call *c)
{
    struct copy_options o;
    struct kv_row row, there;

    if (!get_copy_options(c, &o)) return;
    if (o.db == c->db && str_equal(c->argv[1], c->argv[2])) {
        reply_same_object(c);
        return;
    }
    if (!kv_find(c, c->db, c->argv[1], &row)) {
        resp_integer(&c->w, 0);
        return;
    }
    kv_keep_value(c, &row);
    if (kv_find(c, o.db, c->argv[2], &there)) {
        if (!o.replace) {
            resp_integer(&c->w, 0);
            return;
        }
        kv_remove(c, o.db, c->argv[2], &there);
    }
    put_copy(c, o.db, c->argv[2], &row);
    resp_integer(&c->w, 1);
}

void cmd_move(struct kv_call *c)
{
    struct kv_row row, there;
    u8 db;

    if (!kv_get_db(c, c->argv[2], &db)) return;
    if (db == c->db) {
        reply_same_object(c);
        return;
    }
    bool found = kv_find(c, c->db, c->argv[1], &row);
    if (found) kv_keep_value(c, &row);
    if (!found || kv_find(c, db, c->argv[1], &there)) {
        resp_integer(&c->w, 0);
        return;
    }
    put_copy(c, db, c->argv[1], &row);
    kv_remove(c, c->db, c->argv[1], &row);
    resp_integer(&c->w, 1);
}

/* Whether the key was renamed, or need not be. False with an error reply if it does not exist, and
 * without one if `nx` forbids it. */
static bool rename_key(struct kv_call *c, bool nx, bool *replied)
{
    struct kv_row row, there;

    *replied = !kv_find(c, c->db, c->argv[1], &row);
    if (*replied) {
        resp_error(&c->w, "ERR no such key");
        return false;
    }
    if (str_equal(c->argv[1], c->argv[2])) return !nx;
    kv_keep_value(c, &row);
    if (kv_find(c, c->db, c->argv[2], &there)) {
        if (nx) return false;
        kv_remove(c, c->db, c->argv[2], &there);
    }
    put_copy(c, c->db, c->argv[2], &row);
    kv_remove(c, c->db, c->argv[1], &row);
    return true;
}

void cmd_rename(struct kv_call *c)
{
    bool replied;

    rename_key(c, false, &replied);
    if (!replied) kv_reply_ok(c);
}

void cmd_renamenx(struct kv_call *c)
{
    bool replied;
    bool renamed = rename_key(c, true, &replied);

    if (!replied) resp_integer(&c->w, renamed);
}

struct first_live {
    struct kv_call *call;
    bool replied;
};

static bool visit_first_live(void *context, str key, str value)
{
    struct first_live *f = context;
    struct kv_row row;

    if (f->replied) return false;
    f->replied = !kv_charge(f->call, 1);
    if (f->replied) return false;
    if (!head_decode(value, &row) || !kv_row_is_live(f->call, &row.head)) return true;
    resp_bulk(&f->call->w, key);
    f->replied = true;
    return false;
}

void cmd_randomkey(struct kv_call *c)
{
    const struct kv_span *span = &c->kv->span; /* by key any number is a chance */
    u64 first = (u64)span->slot_first << 48, places = (u64)(span->slot_last - span->slot_first + 1) << 48;
    struct buf *key = &c->kv->items;
    struct prng prng;
    struct kv_row row;
    bool found = true;

    prng_init(&prng, c->seed, 0);
    for (u32 i = 0; i < RANDOM_TRIES && found; i++) {
        buf_clear(key);
        c->failed = kv_any(c->kv, c->db, first + prng_below(&prng, places), key, &found);
        if (c->failed) return;
        if (!found || !kv_find(c, c->db, buf_str(key), &row)) continue;
        resp_bulk(&c->w, buf_str(key));
        return;
    }
    /* Nothing, or nearly everything has expired: take the first that has not. */
    struct first_live walk = {.call = c};
    u64 next;
    if (found) c->failed = kv_scan_db(c->kv, c->db, 0, UINT64_MAX, visit_first_live, &walk, &next);
    if (!walk.replied) resp_null(&c->w);
}
