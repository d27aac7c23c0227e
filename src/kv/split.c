/* One partition becomes two, two become one. Rows stay where they are: what changes hands is which slots of which
 * keyspace ids are whose. All of it is a function of the states before. */
#include "kv/kv_internal.h"

#include "base/assert.h"
#include "base/mutant.h"

bool kv_can_split(const struct kv *kv, u16 slot)
{
    return kv->span.slot_first < slot && slot <= kv->span.slot_last;
}

/* The slots of `from` that lie in `to`: counts, segments, and what WATCH needs. */
static void cut_db(struct kv_db *d, const struct kv_span *from, const struct kv_span *to)
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

static void cut_to(struct kv *kv, const struct kv_span *to)
{
    for (u32 i = 0; i < KV_DATABASES; i++) cut_db(&kv->dbs[i], &kv->span, to);
    kv->span = *to;
    kv->sweep.db = 0;
    kv->sweep.cursor = 0;
    kv_read_forget(kv);
}

void kv_split(struct kv *kv, u16 slot, u32 block_first, u32 block_count, struct buf *child_state,
              struct store_extents *child_extents)
{
    struct kv_span lower = kv->span, upper = kv->span;
    struct buf state = {0};

    assert(kv_can_split(kv, slot));
    lower.slot_last = (u16)(slot - 1);
    upper.slot_first = slot;
    kv->generation++;
    /* The child is a copy that keeps the other half. */
    struct kv *child = kv_new(kv->store, &kv->options);
    kv_state_encode(kv, &state);
    err e = kv_state_decode(child, buf_str(&state));
    assert(e == OK);
    child->options.keyspace_first = child->next_keyspace = block_first;
    child->options.keyspace_count = block_count;
    cut_to(child, &upper);
    kv_state_encode(child, child_state);
    kv_extents(child, child_extents);
    kv_free(child);
    buf_done(&state);

    if (MUTANT(split_keeps_upper_half)) return;
    cut_to(kv, &lower);
    kv_own(kv, false);
}

/* ---- merge ---- */

/* No keyspace id may serve two databases (after a SWAPDB that only one of them saw): what is dropped, is dropped by id. */
static bool ids_are_apart(const struct kv *left, const struct kv *right)
{
    for (u32 i = 0; i < KV_DATABASES; i++)
        for (u32 j = 0; j < KV_DATABASES; j++)
            for (u32 a = 0; a < left->dbs[i].segment_count && i != j; a++)
                for (u32 b = 0; b < right->dbs[j].segment_count; b++)
                    if (left->dbs[i].segments[a].keyspace == right->dbs[j].segments[b].keyspace)
                        return false;
    return true;
}

bool kv_can_merge(const struct kv *left, const struct kv *right)
{
    return left->span.slot_last + 1 == right->span.slot_first && ids_are_apart(left, right);
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

static void join_db(struct kv_db *d, const struct kv_span *span, const struct kv_db *with,
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
    d->keys += with->keys;
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
    left->span.slot_last = right->span.slot_last;
    left->sweep.db = 0;
    left->sweep.cursor = 0;
    kv_read_forget(left);
    kv_own(left, true);
}
