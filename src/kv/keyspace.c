/* The one way to rows: every look-up decides expiry, every change keeps the counters, the versions and
 * what WATCH needs. */
#include "kv/kv_internal.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mutant.h"

_Static_assert((KV_DELETE_BUCKETS & (KV_DELETE_BUCKETS - 1)) == 0, "buckets are picked by a mask");

#define STEP_BYTES 1024 /* writing so many bytes is one step more */

static u64 delete_bucket(u32 keyspace, str key)
{
    u64 hash = hash_mix(hash64(key.at, key.len), keyspace);
    return hash & (KV_DELETE_BUCKETS - 1);
}

static void settle(struct kv_call *c, struct kv_db *d, str key)
{
    if (LIKELY(!d->pieces) || c->failed) return;
    c->failed = pieces_settle(c->kv, d, key);
}

static void forget_row(struct kv_call *c, u8 db, str key, const struct kv_row *row, u64 bucket_ver)
{
    struct kv_db *d = &c->kv->dbs[db];
    u32 keyspace = kv_keyspace_of(d, key);
    u64 *bucket = &kv_deletes(c->kv)[delete_bucket(keyspace, key)];

    assert(c->applying);
    kv_count(c->kv, d, key,
             (struct kv_change){-1, row->head.expire_us ? -1 : 0, -(i64)(key.len + row->value.len)});
    *bucket = u64_max(*bucket, bucket_ver);
    store_delete(c->kv->store, keyspace, key);
    settle(c, d, key);
}

void kv_remove(struct kv_call *c, u8 db, str key, const struct kv_row *row)
{
    forget_row(c, db, key, row, c->ver);
}

bool kv_row_is_live(struct kv_call *c, const struct kv_head *head)
{
    if (LIKELY(head->expire_us == 0)) return true;
    if (c->applying) return head->expire_us > c->now_us;
    if (MUTANT(expired_key_served)) return true;
    if (head->expire_us <= hlc_us(c->kv->clock)) return false;
    if (head->expire_us > c->now_us) return true;
    /* The reader's clock says gone, the log does not say so yet. Answering either would let the next
     * reader, on another node or with another clock, see the key go or come back. */
    if (MUTANT(expiry_by_the_readers_clock)) return false;
    c->need_tick = true;
    return false;
}

bool kv_find(struct kv_call *c, u8 db, str key, struct kv_row *row)
{
    str bytes;
    bool found;

    assert(db < KV_DATABASES);
    if (UNLIKELY(c->failed)) return false;
    err e = store_get(c->kv->store, kv_keyspace_of(&c->kv->dbs[db], key), key, &bytes, &found);
    if (UNLIKELY(e)) {
        c->failed = e;
        return false;
    }
    if (!found) return false;
    if (UNLIKELY(!head_decode(bytes, row))) {
        c->failed = ERR_CORRUPT;
        return false;
    }
    if (LIKELY(kv_row_is_live(c, &row->head))) return true;
    /* Its end is no change that WATCH would see: the key was absent from expire_us on. But one who
     * saw it absent before it was made must notice that it was there: hence its mod_ver. */
    if (c->applying) forget_row(c, db, key, row, row->head.mod_ver);
    return false;
}

void kv_keep_value(struct kv_call *c, struct kv_row *row)
{
    struct buf *keep = &c->kv->value;

    buf_clear(keep);
    buf_reserve(keep, 1);
    buf_append_str(keep, row->value);
    row->value = buf_str(keep);
}

static void write_row(struct kv_call *c, u8 db, str key, const struct kv_head *head, str value)
{
    u8 bytes[HEAD_BYTES];

    assert(c->applying);
    head_encode(head, bytes);
    store_put(c->kv->store, kv_keyspace_of(&c->kv->dbs[db], key), key, str_from(bytes, HEAD_BYTES), value);
    c->steps += value.len / STEP_BYTES;
}

void kv_put(struct kv_call *c, u8 db, str key, const struct kv_row *old, str value, u16 flags,
            u64 expire_us)
{
    struct kv_db *d = &c->kv->dbs[db];
    struct kv_head head = {
        .type = HEAD_TYPE_STRING,
        .flags = flags,
        .create_ver = old ? old->head.create_ver : c->ver,
        .mod_ver = c->ver,
        .version = old ? old->head.version + 1 : 1,
        .expire_us = expire_us,
    };

    i64 expires = (expire_us != 0) - (old && old->head.expire_us != 0);
    i64 bytes = (i64)value.len - (old ? (i64)old->value.len : -(i64)key.len);
    kv_count(c->kv, d, key, (struct kv_change){!old, expires, bytes});
    if (!old) d->created_ver = c->ver;
    write_row(c, db, key, &head, value);
    if (!old) settle(c, d, key);
}

void kv_put_expiry(struct kv_call *c, u8 db, str key, struct kv_row *row, u64 expire_us)
{
    struct kv_db *d = &c->kv->dbs[db];
    struct kv_head head = row->head;

    i64 expires = (expire_us != 0) - (row->head.expire_us != 0);
    if (expires) kv_count(c->kv, d, key, (struct kv_change){.expires = expires});
    head.expire_us = expire_us;
    head.mod_ver = c->ver;
    head.version++;
    kv_keep_value(c, row);
    write_row(c, db, key, &head, row->value);
}

/* What kv_watch gives for a key that exists: its mod_ver, told apart by keyspace, because SWAPDB may
 * bring another key with the same name and a mod_ver of the same EXEC. */
static u64 watch_token(const struct kv *kv, u8 db, str key, const struct kv_row *row)
{
    return row->head.mod_ver ^ (u64)kv_keyspace_of(&kv->dbs[db], key) << 40;
}

bool kv_watch_holds(struct kv_call *c, u8 db, bool exists, u64 ver, str key)
{
    struct kv_row row;
    const struct kv_db *d = &c->kv->dbs[db];
    bool found = kv_find(c, db, key, &row);

    if (MUTANT(watch_not_checked)) return true;
    if (found != exists) return false;
    if (exists) return watch_token(c->kv, db, key, &row) == ver;
    /* Absent now as it was: but was it there in between? */
    const u64 *deletes = c->kv->deletes;
    if (deletes && deletes[delete_bucket(kv_keyspace_of(d, key), key)] > ver) return false;
    return d->gone_ver <= ver;
}

err kv_watch(struct kv *kv, u8 db, str key, u64 now_us, bool *exists, u64 *ver)
{
    struct kv_row row;
    struct kv_call c = {.kv = kv, .db = db, .now_us = u64_max(now_us, hlc_us(kv->clock))};

    *exists = kv_find(&c, db, key, &row);
    *ver = *exists ? watch_token(kv, db, key, &row) : kv->applied_ver;
    return c.failed;
}

u32 kv_places(const struct kv *kv, struct kv_place **out)
{
    u32 count = 0, at = 0;

    struct kv_place p;
    for (u8 db = 0; db < KV_DATABASES; db++)
        for (at = 0; kv_db_place(kv, db, &at, &p);) count++;
    *out = mem_zalloc_array(count, sizeof **out);
    count = 0;
    for (u8 db = 0; db < KV_DATABASES; db++)
        for (at = 0; kv_db_place(kv, db, &at, &p); count++) {
            (*out)[count] = p;
            (*out)[count].from = (*out)[count].to = STR("");
        }
    return count;
}

bool kv_row_content(str row, struct kv_row_content *out)
{
    struct kv_row r;

    if (!head_decode(row, &r)) return false;
    *out = (struct kv_row_content){.type = r.head.type, .expire_us = r.head.expire_us, .value = r.value};
    return true;
}
