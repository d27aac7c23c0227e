/* One partition becomes two, two become one. Rows stay where they are: what changes hands is which slots of which
 * keyspace ids are whose. All of it is a function of the states before. */
#include "kv/kv_internal.h"

#include "base/assert.h"
#include "base/mutant.h"

bool kv_can_split(const struct kv *kv, u16 slot, str key)
{
    if (!kv->span.by_key) return !key.len && kv->span.slot_first < slot && slot <= kv->span.slot_last;
    for (u32 i = 0; i < KV_DATABASES; i++)
        if (!pieces_can_split(&kv->dbs[i])) return false;
    return str_compare(kv->span.from, key) < 0 && (!kv->span.to.len || str_compare(key, kv->span.to) < 0);
}

/* The slots of `from` that lie in `to`: counts, segments, and what WATCH needs. */
static void cut_slots(struct kv_db *d, const struct kv_span *from, const struct kv_span *to)
{
    struct kv_db cut = {.created_ver = d->created_ver, .gone_ver = d->gone_ver};
    u32 slots = (u32)(to->slot_last - to->slot_first) + 1;

    cut.segments = mem_zalloc_array(d->segment_count, sizeof *cut.segments);
    for (u32 i = 0; i < d->segment_count; i++) {
        struct kv_segment s = d->segments[i];
        if (s.first < to->slot_first) s.first = to->slot_first;
        if (s.last > to->slot_last) s.last = to->slot_last;
        if (s.first <= s.last) cut.segments[cut.segment_count++] = s;
    }
    if (d->slots) {
        cut.slots = mem_zalloc_array(slots, sizeof *cut.slots);
        mem_copy(cut.slots, d->slots + (to->slot_first - from->slot_first), slots * sizeof *cut.slots);
        for (u32 i = 0; i < slots; i++) {
            cut.keys += cut.slots[i].keys;
            cut.expires += cut.slots[i].expires;
        }
    }
    kv_db_done(d);
    *d = cut;
}

/* The same by key: one half of what was cut at that key. */
static err cut_keys(const struct kv *kv, struct kv_db *d, str key, bool is_upper)
{
    struct kv_db upper = {.created_ver = d->created_ver, .gone_ver = d->gone_ver};
    err e = pieces_split(kv, d, key, &upper);

    if (!e && is_upper) {
        struct kv_db lower = *d;
        *d = upper;
        upper = lower;
    }
    kv_db_done(&upper);
    return e;
}

static err cut_to(struct kv *kv, const struct kv_span *to, str key, bool is_upper)
{
    err e = OK;

    for (u32 i = 0; i < KV_DATABASES && !e; i++) {
        if (kv->span.by_key)
            e = cut_keys(kv, &kv->dbs[i], key, is_upper);
        else
            cut_slots(&kv->dbs[i], &kv->span, to);
    }
    kv_span_copy(&kv->span, to);
    kv->sweep.db = 0;
    kv->sweep.cursor = 0;
    kv_read_forget(kv);
    return e;
}

err kv_split(struct kv *kv, u16 slot, str key, u32 block_first, u32 block_count, struct buf *child_state,
             struct store_extents *child_extents)
{
    struct kv_span lower = {.from = STR(""), .to = STR("")}, upper = lower;
    struct buf state = {0};

    assert(kv_can_split(kv, slot, key));
    kv_span_copy(&lower, &kv->span);
    kv_span_copy(&upper, &kv->span);
    if (kv->span.by_key) {
        kv_span_copy(&lower, &(struct kv_span){.by_key = true, .from = kv->span.from, .to = key});
        kv_span_copy(&upper, &(struct kv_span){.by_key = true, .from = key, .to = kv->span.to});
    } else {
        lower.slot_last = (u16)(slot - 1);
        upper.slot_first = slot;
    }
    kv->generation++;
    /* The child is a copy that keeps the other half. */
    struct kv *child = kv_new(kv->store, &kv->options);
    kv_state_encode(kv, &state);
    err e = kv_state_decode(child, buf_str(&state));
    assert(e == OK);
    child->options.keyspace_first = child->next_keyspace = block_first;
    child->options.keyspace_count = block_count;
    e = cut_to(child, &upper, key, true);
    kv_state_encode(child, child_state);
    kv_extents(child, child_extents);
    kv_free(child);
    buf_done(&state);

    if (!e && !MUTANT(split_keeps_upper_half)) {
        e = cut_to(kv, &lower, key, false);
        kv_own(kv, false);
    }
    kv_span_done(&lower);
    kv_span_done(&upper);
    return e;
}

err kv_middle(const struct kv *kv, struct buf *key)
{
    const struct kv_db *fullest = &kv->dbs[0];
    bool found;

    assert(kv->span.by_key);
    for (u32 i = 1; i < KV_DATABASES; i++)
        if (kv->dbs[i].keys > fullest->keys) fullest = &kv->dbs[i];
    if (fullest->keys < 2) return OK;
    return pieces_any(kv, fullest, fullest->keys / 2, key, &found);
}

/* ---- merge ---- */

bool kv_can_merge(const struct kv *left, const struct kv *right)
{
    /* No keyspace id may serve two databases (after a SWAPDB that only one of them saw): what is dropped, is dropped by id. */
    if (left->span.by_key != right->span.by_key || !kv_ids_are_apart(left, right)) return false;
    if (left->span.by_key) return left->span.to.len && str_equal(left->span.to, right->span.from);
    return left->span.slot_last + 1 == right->span.slot_first;
}

static void join_segments(struct kv_db *d, const struct kv_db *with)
{
    u32 count = d->segment_count;

    d->segments = mem_resize_array(d->segments, count + with->segment_count, sizeof *d->segments);
    for (u32 i = 0; i < with->segment_count; i++) {
        if (d->segments[count - 1].keyspace == with->segments[i].keyspace)
            d->segments[count - 1].last = with->segments[i].last;
        else
            d->segments[count++] = with->segments[i];
    }
    d->segment_count = count;
}

static void join_slots(struct kv_db *d, const struct kv_span *span, const struct kv_db *with,
                       const struct kv_span *with_span)
{
    u32 own = (u32)(span->slot_last - span->slot_first) + 1;
    u32 more = (u32)(with_span->slot_last - with_span->slot_first) + 1;

    join_segments(d, with);
    if (d->slots || with->slots) {
        struct kv_slot_counts *all = mem_zalloc_array(own + more, sizeof *all);
        if (d->slots) mem_copy(all, d->slots, own * sizeof *all);
        if (with->slots) mem_copy(all + own, with->slots, more * sizeof *all);
        mem_free(d->slots);
        d->slots = all;
    }
}

static void join_db(struct kv_db *d, const struct kv_span *span, const struct kv_db *with,
                    const struct kv_span *with_span)
{
    if (span->by_key)
        pieces_merge(d, with, with_span->from);
    else
        join_slots(d, span, with, with_span);
    d->keys += with->keys;
    d->bytes += with->bytes;
    d->expires += with->expires;
    d->created_ver = u64_max(d->created_ver, with->created_ver);
    d->gone_ver = u64_max(d->gone_ver, with->gone_ver);
}

void kv_merge(struct kv *left, const struct kv *right, u64 ver)
{
    assert(kv_can_merge(left, right));
    for (u32 i = 0; i < KV_DATABASES; i++)
        join_db(&left->dbs[i], &left->span, &right->dbs[i], &right->span);
    u64 *deletes = right->deletes ? kv_deletes(left) : NULL;
    for (u32 i = 0; deletes && i < KV_DELETE_BUCKETS; i++)
        deletes[i] = u64_max(deletes[i], right->deletes[i]);
    left->clock = u64_max(left->clock, right->clock);
    /* Versions go on above those of both. */
    u64 now = ver + left->ver_base, above = u64_max(left->applied_ver, right->applied_ver);
    if (MUTANT(merged_versions_go_back)) above = left->applied_ver;
    if (above > now) left->ver_base += above - now;
    left->applied_ver = u64_max(above, now);
    left->generation = u64_max(left->generation, right->generation) + 1;
    struct kv_span joined = left->span;
    joined.slot_last = right->span.slot_last;
    joined.to = right->span.to;
    kv_span_copy(&left->span, &joined);
    left->sweep.db = 0;
    left->sweep.cursor = 0;
    kv_read_forget(left);
    kv_own(left, true);
}
