/* What a store has of the rows of users, when that is not simply its block of keyspace ids: ranges of encoded keys, kept in a
 * local row of their own (docs/formats/keys.md). Between the stores of one kvs they are disjoint at all times:
 * a split hands a range over in the batch that makes both sides' rows durable, so does a merge, and an install is
 * refused that would take what another store has. */
#include "store/store_internal.h"

#include <stdlib.h>

#define EXTENTS_FMT 1

void extents_done(struct store_extents *x)
{
    for (u32 i = 0; i < x->count; i++) mem_free(x->at[i].bytes);
    mem_free(x->at);
    *x = (struct store_extents){0};
}

void extents_add(struct store_extents *x, str lower, str upper, bool is_rest)
{
    assert(str_compare(lower, upper) < 0);
    if (x->count == x->cap) {
        x->cap = x->cap ? 2 * x->cap : 1; /* most have one */
        x->at = mem_resize_array(x->at, x->cap, sizeof *x->at);
    }
    u8 *bytes = mem_alloc(lower.len + upper.len);
    mem_copy(bytes, lower.at, lower.len);
    mem_copy(bytes + lower.len, upper.at, upper.len);
    x->at[x->count++] = (struct store_extent){
        .range = {str_from(bytes, lower.len), str_from(bytes + lower.len, upper.len)},
        .bytes = bytes,
        .is_rest = is_rest,
    };
}

void extents_copy(struct store_extents *to, const struct store_extents *from)
{
    extents_done(to);
    to->generation = from->generation;
    for (u32 i = 0; i < from->count; i++)
        extents_add(to, from->at[i].range.lower, from->at[i].range.upper, from->at[i].is_rest);
}

void store_extents_add_slots(struct store_extents *x, u32 keyspace, u16 first, u16 last)
{
    u8 lower[HEAD_PREFIX_BYTES], upper[HEAD_PREFIX_BYTES];
    struct buf end = {0};

    assert(first <= last);
    head_key_put(lower, keyspace, (u64)first << HASH48_BITS);
    if (last + 1 < STORE_SLOTS) {
        head_key_put(upper, keyspace, (u64)(last + 1) << HASH48_BITS);
        extents_add(x, str_from(lower, 7), str_from(upper, 7), false);
        return;
    }
    keyspace_end_put(&end, keyspace);
    extents_add(x, str_from(lower, 7), buf_str(&end), false);
    buf_done(&end);
}

void store_extents_add_keys(struct store_extents *x, u32 keyspace, str from, str to)
{
    struct buf lower = {0}, upper = {0};

    if (from.len)
        head_key_append(&lower, keyspace, 0, from);
    else
        keyspace_start_put(&lower, keyspace);
    if (to.len)
        head_key_append(&upper, keyspace, 0, to);
    else
        keyspace_end_put(&upper, keyspace);
    extents_add(x, buf_str(&lower), buf_str(&upper), false);
    buf_done(&lower);
    buf_done(&upper);
}

void store_extents_add_rest(struct store_extents *x, u32 first, u32 last)
{
    struct buf b = {0};

    keyspace_start_put(&b, first);
    keyspace_end_put(&b, last);
    extents_add(x, str_from(buf_bytes(&b), 5), str_from(buf_bytes(&b) + 5, 5), true);
    buf_done(&b);
}

static int by_lower(const void *a, const void *b)
{
    const struct store_extent *x = a, *y = b;
    return str_compare(x->range.lower, y->range.lower);
}

/* Ascending, and what touches or overlaps becomes one. */
void store_extents_sort(struct store_extents *x)
{
    u32 kept = 0;

    if (x->count) qsort(x->at, x->count, sizeof *x->at, by_lower);
    for (u32 i = 0; i < x->count; i++) {
        struct store_extent e = x->at[i], *last = kept ? &x->at[kept - 1] : NULL;
        if (!last || last->is_rest != e.is_rest || str_compare(last->range.upper, e.range.lower) < 0) {
            x->at[kept++] = e;
            continue;
        }
        if (str_compare(last->range.upper, e.range.upper) < 0) {
            struct store_extents one = {0};
            extents_add(&one, last->range.lower, e.range.upper, e.is_rest);
            mem_free(last->bytes);
            *last = one.at[0];
            mem_free(one.at);
        }
        mem_free(e.bytes);
    }
    x->count = kept;
}

bool extents_have(const struct store_extents *x, str key)
{
    for (u32 i = 0; i < x->count; i++)
        if (str_compare(x->at[i].range.lower, key) <= 0 && str_compare(key, x->at[i].range.upper) < 0)
            return true;
    return false;
}

static bool ranges_overlap(struct kvs_range a, struct kvs_range b)
{
    return str_compare(a.lower, b.upper) < 0 && str_compare(b.lower, a.upper) < 0;
}

static bool overlaps(const struct store_extents *x, const struct store_extents *y)
{
    for (u32 i = 0; i < x->count; i++)
        for (u32 j = 0; j < y->count; j++)
            if (ranges_overlap(x->at[i].range, y->at[j].range)) return true;
    return false;
}

/* Every range of `part` but the unused rest of its block lies in one of `whole`, which is normalised. */
static bool is_within(const struct store_extents *part, const struct store_extents *whole)
{
    for (u32 i = 0; i < part->count; i++) {
        bool inside = part->at[i].is_rest;
        for (u32 j = 0; j < whole->count && !inside; j++)
            inside = str_compare(whole->at[j].range.lower, part->at[i].range.lower) <= 0 &&
                     str_compare(part->at[i].range.upper, whole->at[j].range.upper) <= 0;
        if (!inside) return false;
    }
    return true;
}

/* Take [lower, upper) out of x. */
void extents_subtract(struct store_extents *x, struct kvs_range gone)
{
    struct store_extents left = {.generation = x->generation};

    for (u32 i = 0; i < x->count; i++) {
        struct kvs_range r = x->at[i].range;
        bool is_rest = x->at[i].is_rest;
        if (!ranges_overlap(r, gone)) {
            extents_add(&left, r.lower, r.upper, is_rest);
            continue;
        }
        if (str_compare(r.lower, gone.lower) < 0) extents_add(&left, r.lower, gone.lower, is_rest);
        if (str_compare(gone.upper, r.upper) < 0) extents_add(&left, gone.upper, r.upper, is_rest);
    }
    extents_done(x);
    *x = left;
}

/* ---- the row ---- */

void store_extents_encode(const struct store_extents *x, struct buf *out)
{
    buf_append_u8(out, EXTENTS_FMT);
    buf_append_u64(out, x->generation);
    buf_append_u32(out, x->count);
    for (u32 i = 0; i < x->count; i++) {
        const struct store_extent *e = &x->at[i];
        buf_append_u8(out, e->is_rest);
        buf_append_u16(out, (u16)e->range.lower.len);
        buf_append_u16(out, (u16)e->range.upper.len);
        buf_append_str(out, e->range.lower);
        buf_append_str(out, e->range.upper);
    }
}

err extents_decode(str row, struct store_extents *out)
{
    struct reader r = reader_of(row);

    *out = (struct store_extents){0};
    if (reader_u8(&r) != EXTENTS_FMT) return ERR_MALFORMED;
    out->generation = reader_u64(&r);
    for (u32 count = reader_u32(&r); count && !r.bad; count--) {
        u8 is_rest = reader_u8(&r);
        u16 lower_len = reader_u16(&r), upper_len = reader_u16(&r);
        str lower = reader_str(&r, lower_len), upper = reader_str(&r, upper_len);
        bool good = !r.bad && is_rest <= 1 && lower.len >= 5 && upper.len >= 1 &&
                    lower.at[0] == ZONE_HEAD && str_compare(lower, upper) < 0 &&
                    (out->count == 0 ||
                     str_compare(out->at[out->count - 1].range.upper, lower) <= 0);
        if (good) extents_add(out, lower, upper, is_rest);
        r.bad |= !good;
    }
    if (!r.bad && !reader_left(&r)) return OK;
    extents_done(out);
    return ERR_MALFORMED;
}

void extents_whole_block(const struct store_options *o, struct store_extents *out)
{
    store_extents_add_rest(out, o->keyspace_first, o->keyspace_first + o->keyspace_count - 1);
    out->at[out->count - 1].is_rest = false;
}

/* What the kvs says this store has: the row, or, where there is a marker without one, its whole block. */
err extents_load(struct store *s)
{
    struct buf row = {0};
    bool found;

    extents_done(&s->extents);
    extents_done(&s->durable);
    s->is_cut = false;
    err e = store_local_get(s, LOCAL_EXTENTS, (str){0}, &row, &found);
    if (!e && found) {
        e = extents_decode(buf_str(&row), &s->durable);
        if (e) e = ERR_CORRUPT;
        s->is_cut = true;
        if (!e) extents_copy(&s->extents, &s->durable);
    } else if (!e) {
        e = store_local_get(s, LOCAL_MARKER, (str){0}, &row, &found);
        if (!e && found) extents_whole_block(&s->options, &s->durable);
    }
    buf_done(&row);
    return e;
}

void store_set_extents(struct store *s, struct store_extents *x, bool rows_come)
{
    store_extents_sort(x);
    extents_done(&s->extents);
    s->extents = *x;
    *x = (struct store_extents){0};
    s->is_cut = true;
    for (u32 i = 0; i < s->keyspace_count && rows_come; i++) s->keyspaces[i]->complete = false;
}

void extents_are_durable(struct store *s, const struct store_extents *x, bool is_cut)
{
    extents_done(&s->durable);
    if (is_cut)
        extents_copy(&s->durable, x);
    else
        extents_whole_block(&s->options, &s->durable);
}

/* Every local row of another partition, with this store's next checkpoint. */
void store_drop_local(struct store *s, u64 part)
{
    struct kvs_range range;
    struct buf b = {0};

    local_range_put(&b, part, &range);
    extents_add(&s->dropped_ranges, range.lower, range.upper, false);
    buf_done(&b);
}

/* A keyspace id of a store that was cut: what it has of it. */
void extents_drop_keyspace(struct store *s, u32 keyspace)
{
    struct store_extents id = {0};

    store_extents_add_slots(&id, keyspace, 0, STORE_SLOTS - 1);
    for (u32 i = 0; i < s->extents.count; i++) {
        struct kvs_range r = s->extents.at[i].range, k = id.at[0].range;
        if (!ranges_overlap(r, k)) continue;
        extents_add(&s->dropped_ranges, str_compare(r.lower, k.lower) > 0 ? r.lower : k.lower,
                    str_compare(r.upper, k.upper) < 0 ? r.upper : k.upper, false);
    }
    extents_done(&id);
}

/* Of a store that was cut. */
bool store_has_key(const struct store *s, str encoded)
{
    u32 low = 0, high = s->extents.count;

    while (low < high) { /* the first that ends behind it */
        u32 mid = low + (high - low) / 2;
        if (str_compare(s->extents.at[mid].range.upper, encoded) <= 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low < s->extents.count && str_compare(s->extents.at[low].range.lower, encoded) <= 0;
}

/* Does an extent meet these slots or, of a store by key, these keys of its id? */
static bool is_met(const struct store *s, const struct store_extent *e, u16 first, u16 last, str from, str to)
{
    struct store_extents asked = {0};
    u32 keyspace = get_u32be(e->range.lower.at + 1);

    if (e->is_rest) return false;
    if (s->options.by_key)
        store_extents_add_keys(&asked, keyspace, from, to);
    else
        store_extents_add_slots(&asked, keyspace, first, last);
    bool is_met = ranges_overlap(asked.at[0].range, e->range);
    extents_done(&asked);
    return is_met;
}

bool store_covers_slots(const struct store *s, u16 first, u16 last)
{
    for (u32 i = 0; i < s->durable.count; i++)
        if (is_met(s, &s->durable.at[i], first, last, str_from("", 0), str_from("", 0))) return true;
    return false;
}

bool store_covers_keys(const struct store *s, str from, str to)
{
    for (u32 i = 0; i < s->durable.count; i++)
        if (is_met(s, &s->durable.at[i], 0, 0, from, to)) return true;
    return false;
}

void store_give_up(struct store *s)
{
    extents_done(&s->extents);
    extents_done(&s->durable);
    s->is_cut = true;
}

bool store_was_cut(const struct store *s) { return s->is_cut; }

/* ---- between the stores of one kvs ---- */

err extents_claim(struct store *s, const struct store_extents *wanted, struct store_victims *v)
{
    v->count = 0;
    LIST_EACH (l, &s->kvs->stores) {
        struct store *other = CONTAINER_OF(l, struct store, neighbours);
        if (other == s) continue;
        if (!other->durable.count && !other->is_cut && other->current.count) { /* its first checkpoint is to come */
            struct store_extents whole = {0};
            extents_whole_block(&other->options, &whole);
            bool meets = overlaps(wanted, &whole);
            extents_done(&whole);
            if (meets) return ERR_STALE;
        }
        if (!overlaps(wanted, &other->durable)) continue;
        bool newer = wanted->generation > other->durable.generation;
        if (!newer || !is_within(&other->durable, wanted) || v->count == ARRAY_LEN(v->part))
            if (!MUTANT(install_over_a_neighbour)) return ERR_STALE;
        if (v->count < ARRAY_LEN(v->part)) v->part[v->count++] = other->options.part;
    }
    return OK;
}

static void without_others(const struct store *s, const struct store_victims *v,
                           struct store_extents *x)
{
    LIST_EACH (l, &s->kvs->stores) {
        const struct store *other = CONTAINER_OF(l, struct store, neighbours);
        bool is_victim = other == s;
        for (u32 i = 0; i < v->count; i++) is_victim |= v->part[i] == other->options.part;
        if (is_victim) continue;
        for (u32 i = 0; i < other->durable.count; i++)
            if (!other->durable.at[i].is_rest || other->is_cut)
                extents_subtract(x, other->durable.at[i].range);
    }
}

bool store_block_is_shared(const struct store *s)
{
    struct store_extents whole = {0};
    bool shared = false;

    extents_whole_block(&s->options, &whole);
    LIST_EACH (l, &s->kvs->stores) {
        const struct store *other = CONTAINER_OF(l, struct store, neighbours);
        shared |= other != s && other->is_cut && (overlaps(&whole, &other->durable) || overlaps(&whole, &other->extents));
    }
    extents_done(&whole);
    return shared;
}

/* Rows that nobody has any more. */
void store_drop_slots_of(struct store *s, const struct store_extents *x)
{
    static const struct store_victims none;
    struct store_extents gone = {0};

    for (u32 i = 0; i < x->count; i++)
        if (!x->at[i].is_rest) extents_add(&gone, x->at[i].range.lower, x->at[i].range.upper, false);
    without_others(s, &none, &gone);
    for (u32 i = 0; i < gone.count; i++)
        extents_add(&s->dropped_ranges, gone.at[i].range.lower, gone.at[i].range.upper, false);
    extents_done(&gone);
}

/* What an install replaces, and no more: nothing that another store has. */
void extents_to_replace(const struct store *s, const struct store_extents *wanted,
                        const struct store_victims *v, struct store_extents *out)
{
    struct store_extents all = {0};

    /* A store without a checkpoint has nothing, whatever its block: others may get rows of it while the snapshot comes in. */
    for (u32 i = 0; i < s->durable.count; i++)
        extents_add(&all, s->durable.at[i].range.lower, s->durable.at[i].range.upper, false);
    without_others(s, v, &all);
    for (u32 i = 0; i < wanted->count; i++)
        extents_add(&all, wanted->at[i].range.lower, wanted->at[i].range.upper, false);
    store_extents_sort(&all);
    extents_done(out);
    *out = all;
}
