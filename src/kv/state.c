/* The state besides rows: a checkpoint's marker carries it (docs/formats/marker.md). */
#include "kv/kv_internal.h"

#include "base/assert.h"
#include "base/mutant.h"

#define STATE_FMT 1
#define SCRATCH_KEPT_BYTES MIB

static void reset(struct kv *kv)
{
    kv->clock = 0;
    kv->applied_ver = 0;
    u32 first = kv->options.keyspace_first;
    kv->next_keyspace = first + KV_DATABASES;
    memset(kv->deletes, 0, sizeof kv->deletes);
    for (u32 i = 0; i < KV_DATABASES; i++) kv->dbs[i] = (struct kv_db){.keyspace = first + i};
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
    mem_free(kv);
}

void kv_trim_scratch(struct kv *kv)
{
    if (UNLIKELY(kv->value.cap > SCRATCH_KEPT_BYTES)) buf_done(&kv->value);
    if (UNLIKELY(kv->items.cap > SCRATCH_KEPT_BYTES)) buf_done(&kv->items);
}

void kv_state_encode(const struct kv *kv, struct buf *out)
{
    buf_append_u8(out, STATE_FMT);
    buf_append_u64(out, kv->clock);
    buf_append_u64(out, kv->applied_ver);
    buf_append_u32(out, kv->next_keyspace);
    for (u32 i = 0; i < KV_DATABASES; i++) {
        const struct kv_db *d = &kv->dbs[i];
        buf_append_u32(out, d->keyspace);
        buf_append_u64(out, d->keys);
        buf_append_u64(out, d->expires);
        buf_append_u64(out, d->created_ver);
        buf_append_u64(out, d->gone_ver);
    }
    buf_append_u32(out, KV_DELETE_BUCKETS);
    for (u32 i = 0; i < KV_DELETE_BUCKETS; i++) buf_append_u64(out, kv->deletes[i]);
}

/* Every database has a keyspace of its own, one of ours and already given out. */
static bool keyspaces_are_good(const struct kv *kv)
{
    for (u32 i = 0; i < KV_DATABASES; i++) {
        if (kv->dbs[i].keyspace < kv->options.keyspace_first) return false;
        if (kv->dbs[i].keyspace >= kv->next_keyspace) return false;
        if (kv->dbs[i].expires > kv->dbs[i].keys) return false;
        for (u32 j = 0; j < i; j++)
            if (kv->dbs[i].keyspace == kv->dbs[j].keyspace) return false;
    }
    return kv->next_keyspace - kv->options.keyspace_first <= kv->options.keyspace_count;
}

err kv_state_decode(struct kv *kv, str bytes)
{
    struct reader r = reader_of(bytes);

    reset(kv);
    if (bytes.len == 0) return OK;
    if (reader_u8(&r) != STATE_FMT) return ERR_UNSUPPORTED;
    kv->clock = reader_u64(&r);
    kv->applied_ver = reader_u64(&r);
    kv->next_keyspace = reader_u32(&r);
    for (u32 i = 0; i < KV_DATABASES; i++) {
        struct kv_db *d = &kv->dbs[i];
        u32 keyspace = reader_u32(&r);
        if (!MUTANT(checkpoint_forgets_swapdb)) d->keyspace = keyspace;
        d->keys = reader_u64(&r);
        d->expires = reader_u64(&r);
        d->created_ver = reader_u64(&r);
        d->gone_ver = reader_u64(&r);
    }
    if (reader_u32(&r) != KV_DELETE_BUCKETS) return ERR_CORRUPT;
    for (u32 i = 0; i < KV_DELETE_BUCKETS; i++) kv->deletes[i] = reader_u64(&r);
    if (r.bad || reader_left(&r)) return ERR_CORRUPT;
    return keyspaces_are_good(kv) ? OK : ERR_CORRUPT;
}

u64 kv_clock_hlc(const struct kv *kv) { return kv->clock; }

void kv_db_stats(const struct kv *kv, u8 db, struct kv_db_stats *out)
{
    assert(db < KV_DATABASES);
    out->keys = kv->dbs[db].keys;
    out->expires = kv->dbs[db].expires;
}
