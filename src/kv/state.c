/* The state besides rows: a checkpoint's marker carries it (docs/formats/marker.md). */
#include "kv/kv_internal.h"

#include "base/assert.h"
#include "base/mutant.h"

#define STATE_FMT 2
#define STATE_FMT_WHOLE 1 /* before partitions could be split: one keyspace id for all slots, no counts by slot */
#define SCRATCH_KEPT_BYTES MIB

/* A partition at rest has deleted nothing, and there may be thousands. */
u64 *kv_deletes(struct kv *kv)
{
    if (!kv->deletes) kv->deletes = mem_zalloc_array(KV_DELETE_BUCKETS, sizeof *kv->deletes);
    return kv->deletes;
}

static void reset(struct kv *kv)
{
    kv->clock = 0;
    kv->applied_ver = 0;
    u32 first = kv->options.keyspace_first;
    kv->ver_base = 0;
    kv->generation = 0;
    kv_span_copy(&kv->span, &kv->options.span);
    kv->next_keyspace = first + KV_DATABASES;
    mem_free(kv->deletes);
    kv->deletes = NULL;
    for (u32 i = 0; i < KV_DATABASES; i++) {
        kv_db_done(&kv->dbs[i]);
        kv_db_cover(&kv->dbs[i], &kv->span, first + i);
    }
    kv->sweep.db = 0;
    kv->sweep.cursor = 0;
}

struct kv *kv_new(struct store *store, const struct kv_options *options)
{
    struct kv *kv = mem_zalloc(sizeof *kv);

    kv->store = store;
    kv->options = *options;
    if (!kv->options.keyspace_count) {
        kv->options.keyspace_first = 1;
        kv->options.keyspace_count = UINT32_MAX - 1;
    }
    assert(kv->options.keyspace_count >= KV_DATABASES);
    if (kv->options.span.by_key)
        kv->options.span = (struct kv_span){.by_key = true, .from = STR(""), .to = STR("")};
    else if (!kv->options.span.slot_last) kv->options.span.slot_last = KV_SLOTS - 1;
    assert(kv->options.span.slot_first <= kv->options.span.slot_last);
    buf_init(&kv->value, 0);
    buf_init(&kv->items, 0);
    reset(kv);
    return kv;
}

void kv_free(struct kv *kv)
{
    if (!kv) return;
    buf_done(&kv->value);
    buf_done(&kv->items);
    buf_done(&kv->keys.items);
    kv_span_done(&kv->span);
    for (u32 i = 0; i < KV_DATABASES; i++) kv_db_done(&kv->dbs[i]);
    mem_free(kv->deletes);
    mem_free(kv);
}

void kv_trim_scratch(struct kv *kv)
{
    if (UNLIKELY(kv->value.cap > SCRATCH_KEPT_BYTES)) buf_done(&kv->value);
    if (UNLIKELY(kv->items.cap > SCRATCH_KEPT_BYTES)) buf_done(&kv->items);
}

void kv_put_number(struct buf *out, u64 v)
{
    for (; v >= 0x80; v >>= 7) buf_append_u8(out, (u8)(v | 0x80));
    buf_append_u8(out, (u8)v);
}

u64 kv_read_number(struct reader *r)
{
    u64 v = 0;

    for (u32 shift = 0; shift < 63; shift += 7) {
        u8 byte = reader_u8(r);
        v |= (u64)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return v;
    }
    r->bad = true;
    return 0;
}

/* The slots that have keys: how far behind the one before, and how many. */
static void encode_counts(const struct kv *kv, const struct kv_db *d, struct buf *out)
{
    u32 slots = (u32)(kv->span.slot_last - kv->span.slot_first) + 1, used = 0, before = 0;

    for (u32 i = 0; d->slots && i < slots; i++) used += d->slots[i].keys > 0;
    buf_append_u32(out, used);
    for (u32 i = 0; used && i < slots; i++) {
        if (!d->slots[i].keys) continue;
        kv_put_number(out, i - before);
        kv_put_number(out, d->slots[i].keys);
        kv_put_number(out, d->slots[i].expires);
        before = i;
    }
}

static void encode_deletes(const struct kv *kv, struct buf *out)
{
    u32 first = 0;

    while (kv->deletes && first < KV_DELETE_BUCKETS && !kv->deletes[first]) first++;
    bool none = !kv->deletes || first == KV_DELETE_BUCKETS;
    buf_append_u32(out, none ? 0 : KV_DELETE_BUCKETS);
    for (u32 i = 0; !none && i < KV_DELETE_BUCKETS; i++) buf_append_u64(out, kv->deletes[i]);
}

void kv_state_encode(const struct kv *kv, struct buf *out)
{
    buf_append_u8(out, STATE_FMT);
    buf_append_u64(out, kv->clock);
    buf_append_u64(out, kv->applied_ver);
    buf_append_u32(out, kv->next_keyspace);
    buf_append_u64(out, kv->ver_base);
    buf_append_u64(out, kv->generation);
    buf_append_u8(out, kv->span.by_key);
    if (kv->span.by_key) {
        buf_append_u16(out, (u16)kv->span.from.len);
        buf_append_str(out, kv->span.from);
        buf_append_u16(out, (u16)kv->span.to.len);
        buf_append_str(out, kv->span.to);
    } else {
        buf_append_u16(out, kv->span.slot_first);
        buf_append_u16(out, kv->span.slot_last);
    }
    for (u32 i = 0; i < KV_DATABASES; i++) {
        const struct kv_db *d = &kv->dbs[i];
        buf_append_u64(out, d->created_ver);
        buf_append_u64(out, d->gone_ver);
        if (d->pieces) {
            pieces_encode(d, out);
            continue;
        }
        buf_append_u16(out, (u16)d->segment_count);
        for (u32 j = 0; j < d->segment_count; j++) {
            buf_append_u32(out, d->segments[j].keyspace);
            buf_append_u16(out, d->segments[j].last);
        }
        encode_counts(kv, d, out);
    }
    encode_deletes(kv, out);
}

bool kv_ids_are_apart(const struct kv *x, const struct kv *y)
{
    struct kv_place a, b;

    for (u8 i = 0; i < KV_DATABASES; i++)
        for (u8 j = 0; j < KV_DATABASES; j++)
            for (u32 at = 0; i != j && kv_db_place(x, i, &at, &a);)
                for (u32 other = 0; kv_db_place(y, j, &other, &b);)
                    if (a.keyspace == b.keyspace) return false;
    return true;
}

/* Those of its own block were given out. */
static bool ids_are_given_out(const struct kv *kv)
{
    const struct kv_options *o = &kv->options;

    struct kv_place p;
    for (u8 db = 0; db < KV_DATABASES; db++)
        for (u32 at = 0; kv_db_place(kv, db, &at, &p);)
            if (p.keyspace - o->keyspace_first < o->keyspace_count && p.keyspace >= kv->next_keyspace) return false;
    return true;
}

static bool ids_are_good(const struct kv *kv)
{
    return ids_are_given_out(kv) && kv->next_keyspace >= kv->options.keyspace_first &&
           kv->next_keyspace - kv->options.keyspace_first <= kv->options.keyspace_count &&
           kv_ids_are_apart(kv, kv);
}

static void decode_segments(struct kv *kv, struct kv_db *d, struct reader *r)
{
    u32 count = reader_u16(r), next = kv->span.slot_first;

    r->bad |= count == 0 || count > reader_left(r) / 6;
    if (r->bad) return;
    mem_free(d->segments);
    d->segments = mem_zalloc_array(count, sizeof *d->segments);
    d->segment_count = count;
    for (u32 i = 0; i < count; i++) {
        u32 keyspace = reader_u32(r);
        u16 last = reader_u16(r);
        d->segments[i] = (struct kv_segment){keyspace, (u16)next, last};
        r->bad |= last < next;
        next = (u32)last + 1;
    }
    r->bad |= next != (u32)kv->span.slot_last + 1;
}

static void decode_counts(struct kv *kv, struct kv_db *d, struct reader *r)
{
    u64 slot = kv->span.slot_first;

    for (u32 used = reader_u32(r); used && !r->bad; used--) {
        slot += kv_read_number(r);
        u64 keys = kv_read_number(r), expires = kv_read_number(r);
        r->bad |= slot > kv->span.slot_last || keys == 0 || keys > UINT32_MAX || expires > keys;
        if (!r->bad) kv_count_slot(kv, d, (u16)slot, (i64)keys, (i64)expires);
    }
}

static err decode_state(struct kv *kv, struct reader *r)
{
    kv->clock = reader_u64(r);
    kv->applied_ver = reader_u64(r);
    kv->next_keyspace = reader_u32(r);
    kv->ver_base = reader_u64(r);
    kv->generation = reader_u64(r);
    if (reader_u8(r) != kv->options.span.by_key) return ERR_UNSUPPORTED;
    struct kv_span span = {.by_key = kv->options.span.by_key, .from = STR(""), .to = STR("")};
    if (span.by_key) {
        span.from = reader_str(r, reader_u16(r));
        span.to = reader_str(r, reader_u16(r));
        if (r->bad || (span.to.len && str_compare(span.from, span.to) >= 0)) return ERR_CORRUPT;
    } else {
        span.slot_first = reader_u16(r);
        span.slot_last = reader_u16(r);
        if (span.slot_first > span.slot_last || span.slot_last >= KV_SLOTS) return ERR_CORRUPT;
    }
    kv_span_copy(&kv->span, &span);
    for (u32 i = 0; i < KV_DATABASES && !r->bad; i++) {
        struct kv_db *d = &kv->dbs[i];
        d->created_ver = reader_u64(r);
        d->gone_ver = reader_u64(r);
        if (span.by_key) {
            pieces_decode(kv, d, r);
            continue;
        }
        decode_segments(kv, d, r);
        if (!r->bad) decode_counts(kv, d, r);
        if (MUTANT(checkpoint_forgets_swapdb)) d->segments[0].keyspace = kv->options.keyspace_first + i;
    }
    return r->bad ? ERR_CORRUPT : OK;
}

/* ---- the format of before ---- */

struct recount {
    struct kv *kv;
    struct kv_db *db;
    bool corrupt;
};

static bool count_row(void *context, str key, str value)
{
    struct recount *n = context;
    struct kv_row row;

    if (!head_decode(value, &row)) {
        n->corrupt = true;
        return false;
    }
    kv_count(n->kv, n->db, key, (struct kv_change){.keys = 1, .expires = row.head.expire_us != 0});
    return true;
}

/* Once, at the first start of a program that counts by slot. */
static err decode_whole(struct kv *kv, struct reader *r)
{
    kv->clock = reader_u64(r);
    kv->applied_ver = reader_u64(r);
    kv->next_keyspace = reader_u32(r);
    for (u32 i = 0; i < KV_DATABASES; i++) {
        struct kv_db *d = &kv->dbs[i];
        u32 keyspace = reader_u32(r);
        if (!MUTANT(checkpoint_forgets_swapdb)) kv_db_cover(d, &kv->span, keyspace);
        u64 keys = reader_u64(r), expires = reader_u64(r);
        d->created_ver = reader_u64(r);
        d->gone_ver = reader_u64(r);
        bool is_ours = keyspace >= kv->options.keyspace_first && keyspace < kv->next_keyspace;
        if (r->bad || !is_ours || expires > keys) return ERR_CORRUPT;
        struct recount n = {.kv = kv, .db = d};
        u64 next;
        err e = store_scan(kv->store, keyspace, 0, UINT64_MAX, count_row, &n, &next);
        if (e) return e;
        if (n.corrupt || d->keys != keys || d->expires != expires) return ERR_CORRUPT;
    }
    return OK;
}

err kv_state_decode(struct kv *kv, str bytes)
{
    struct reader r = reader_of(bytes);

    reset(kv);
    if (bytes.len == 0) return OK;
    u8 fmt = reader_u8(&r);
    if (fmt != STATE_FMT && fmt != STATE_FMT_WHOLE) return ERR_UNSUPPORTED;
    err e = fmt == STATE_FMT ? decode_state(kv, &r) : decode_whole(kv, &r);
    if (e) return e;
    u32 buckets = reader_u32(&r);
    if (buckets != 0 && buckets != KV_DELETE_BUCKETS) return ERR_CORRUPT;
    for (u32 i = 0; i < buckets; i++) {
        u64 ver = reader_u64(&r);
        if (ver) kv_deletes(kv)[i] = ver;
    }
    if (r.bad || reader_left(&r)) return ERR_CORRUPT;
    return ids_are_good(kv) ? OK : ERR_CORRUPT;
}

bool kv_may_expire(const struct kv *kv)
{
    for (u32 i = 0; i < KV_DATABASES; i++)
        if (kv->dbs[i].expires) return true;
    return false;
}

u64 kv_clock_hlc(const struct kv *kv) { return kv->clock; }

void kv_db_stats(const struct kv *kv, u8 db, struct kv_db_stats *out)
{
    assert(db < KV_DATABASES);
    out->keys = kv->dbs[db].keys;
    out->expires = kv->dbs[db].expires;
}

u64 kv_bytes(const struct kv *kv)
{
    u64 bytes = 0;

    for (u8 db = 0; db < KV_DATABASES; db++) bytes += kv->dbs[db].bytes;
    return bytes;
}

u64 kv_key_count(const struct kv *kv)
{
    u64 keys = 0;

    for (u8 db = 0; db < KV_DATABASES; db++) keys += kv->dbs[db].keys;
    return keys;
}
