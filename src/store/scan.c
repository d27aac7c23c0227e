/* Reads in order: the front table merged over the kvs. The iterators live within one call. */
#include "store/store_internal.h"

/* A scan looks at this many dead rows (tombstones) per row wanted, and some, before it hands back a
 * cursor with fewer rows than asked for: no turn is long because much was deleted. */
enum { DEAD_PER_ROW = 16, DEAD_MIN = 1024 };

struct merge {
    str end; /* encoded: rows from there on are behind the end */
    struct table_walk walk;
    struct kvs_iter *iter; /* NULL: the front table is complete */
    struct kvs *kvs;
    str front, back; /* encoded keys; empty: that side has ended */
    u64 dead;        /* tombstones passed */
};

static u64 position_of(str encoded) { return get_u64be(encoded.at + 5); }

static void merge_look(struct merge *m)
{
    const struct row *r = walk_row(&m->walk);
    m->front = r && str_compare(row_key(r), m->end) < 0 ? row_key(r) : (str){0};
    m->back = (str){0};
    if (!m->iter || !m->kvs->ops->iter_valid(m->iter)) return;
    str key = m->kvs->ops->iter_key(m->iter);
    if (str_compare(key, m->end) < 0) m->back = key;
}

static bool front_is_next(const struct merge *m)
{
    if (!m->front.len) return false;
    return !m->back.len || str_compare(m->front, m->back) <= 0;
}

/* Step over what stands at the smaller key, on both sides if they are the same row. */
static void merge_step(struct merge *m)
{
    int order = !m->front.len ? 1 : !m->back.len ? -1 : str_compare(m->front, m->back);
    if (order <= 0) walk_next(&m->walk);
    if (order >= 0) m->kvs->ops->iter_next(m->iter);
    merge_look(m);
}

static bool front_is_hidden(const struct merge *m)
{
    const struct row *r = walk_row(&m->walk);
    return r->kind == ROW_TOMBSTONE || (MUTANT(scan_skips_dirty_rows) && (r->flags & ROW_DIRTY));
}

/* On to the first live row at or after here, but past no more than dead_max tombstones. */
static void merge_skip_dead(struct merge *m, u64 dead_max)
{
    while (m->dead < dead_max && front_is_next(m) && front_is_hidden(m)) {
        m->dead++;
        merge_step(m);
    }
}

/* Encoded rows of [start, end), all of this keyspace. Both are borrowed. */
static void merge_open(struct merge *m, struct store *s, u32 keyspace, str start, str end)
{
    *m = (struct merge){.end = end, .kvs = s->kvs};
    struct keyspace *ks = store_keyspace_ensure(s, keyspace);
    walk_seek(&m->walk, ks, start);
    if (!ks->complete) {
        m->iter = s->kvs->ops->iter_new(s->kvs, NULL);
        s->kvs->ops->iter_seek(m->iter, start);
    }
    merge_look(m);
}

/* Positions from first to last. */
struct bounds {
    u8 start[HEAD_PREFIX_BYTES], end[HEAD_PREFIX_BYTES];
};
static void merge_open_positions(struct merge *m, struct bounds *b, struct store *s, u32 keyspace, u64 first,
                                 u64 last)
{
    head_key_put(b->start, keyspace, first);
    head_key_put(b->end, keyspace, last);
    for (size_t i = sizeof b->end; i-- && ++b->end[i] == 0;) {} /* the next; behind the last one comes the next keyspace's */
    merge_open(m, s, keyspace, str_from(b->start, sizeof b->start), str_from(b->end, sizeof b->end));
}

static err merge_close(struct merge *m)
{
    if (!m->iter) return OK;
    err e = m->kvs->ops->iter_error(m->iter);
    m->kvs->ops->iter_free(m->iter);
    return e;
}

static bool merge_at_end(const struct merge *m) { return !m->front.len && !m->back.len; }

static str merge_key(const struct merge *m) { return front_is_next(m) ? m->front : m->back; }

static str merge_value(const struct merge *m)
{
    return front_is_next(m) ? row_value(walk_row(&m->walk)) : m->kvs->ops->iter_value(m->iter);
}

static str user_key_of(str encoded)
{
    return str_from(encoded.at + HEAD_PREFIX_BYTES, encoded.len - HEAD_PREFIX_BYTES);
}

static u64 dead_allowed(u64 count)
{
    return count < UINT64_MAX / 32 ? count * DEAD_PER_ROW + DEAD_MIN : UINT64_MAX;
}

err store_scan(struct store *s, u32 keyspace, u64 cursor, u64 count, store_visit_fn visit,
               void *context, u64 *next)
{
    return store_scan_to(s, keyspace, cursor, POSITION_MAX, count, visit, context, next);
}

err store_scan_to(struct store *s, u32 keyspace, u64 cursor, u64 last, u64 count,
                  store_visit_fn visit, void *context, u64 *next)
{
    *next = 0;
    if (store_is_dropped(s, keyspace) || cursor > last) return OK;
    assert(!s->options.by_key);
    struct merge m;
    struct bounds bounds;
    merge_open_positions(&m, &bounds, s, keyspace, cursor, last);
    u64 dead_max = dead_allowed(count);
    u64 visited = 0;
    u64 position = cursor;
    bool enough = count == 0;
    for (;;) {
        merge_skip_dead(&m, dead_max);
        if (merge_at_end(&m)) break;
        u64 here = position_of(merge_key(&m));
        if (here != position && (enough || m.dead >= dead_max)) {
            *next = here;
            break;
        }
        position = here;
        if (front_is_next(&m) && front_is_hidden(&m)) { /* the allowance ended within a position */
            merge_step(&m);
            continue;
        }
        if (!visit(context, user_key_of(merge_key(&m)), merge_value(&m))) enough = true;
        enough |= ++visited >= count;
        merge_step(&m);
    }
    return merge_close(&m);
}

err store_first(struct store *s, u32 keyspace, u64 from, u64 last, struct buf *key, bool *found)
{
    struct merge m;
    *found = false;
    if (store_is_dropped(s, keyspace) || from > last) return OK;
    assert(!s->options.by_key);
    struct bounds bounds;
    merge_open_positions(&m, &bounds, s, keyspace, from, last);
    merge_skip_dead(&m, UINT64_MAX);
    *found = !merge_at_end(&m);
    if (*found) buf_append_str(key, user_key_of(merge_key(&m)));
    return merge_close(&m);
}

err store_any(struct store *s, u32 keyspace, u64 from, struct buf *key, bool *found)
{
    *found = false;
    if (store_is_dropped(s, keyspace)) return OK;
    from &= POSITION_MAX;
    err e = store_first(s, keyspace, from, POSITION_MAX, key, found);
    if (e || *found || from == 0) return e;
    return store_first(s, keyspace, 0, POSITION_MAX, key, found);
}

err store_scan_keys(struct store *s, u32 keyspace, str from, str to, u64 count, store_visit_fn visit,
                    void *context, struct buf *next, bool *more)
{
    struct store_extents bounds = {0};
    struct merge m;
    u64 dead_max = dead_allowed(count), visited = 0;
    bool enough = count == 0;

    assert(s->options.by_key);
    *more = false;
    if (store_is_dropped(s, keyspace) || (to.len && str_compare(from, to) >= 0)) return OK;
    store_extents_add_keys(&bounds, keyspace, from, to);
    merge_open(&m, s, keyspace, bounds.at[0].range.lower, bounds.at[0].range.upper);
    for (;;) {
        merge_skip_dead(&m, dead_max);
        if (merge_at_end(&m)) break;
        if (enough || m.dead >= dead_max) {
            *more = true;
            buf_append_str(next, user_key_of(merge_key(&m)));
            break;
        }
        if (!visit(context, user_key_of(merge_key(&m)), merge_value(&m))) enough = true;
        enough |= ++visited >= count;
        merge_step(&m);
    }
    extents_done(&bounds);
    return merge_close(&m);
}

/* ---- partition-local rows ---- */

err store_local_get(struct store *s, u8 kind, str sub, struct buf *out, bool *found)
{
    struct buf key = {0};
    if (s->broken) return s->broken;
    store_local_key(s->options.part, kind, sub, &key);
    *found = false;
    err e = s->kvs->ops->get(s->kvs, buf_str(&key), out, found);
    buf_done(&key);
    return e;
}

err store_local_each(struct store *s, u8 kind, store_local_fn fn, void *context)
{
    const struct kvs_ops *ops = s->kvs->ops;
    struct buf prefix = {0};
    store_local_key(s->options.part, kind, (str){0}, &prefix);
    struct kvs_iter *i = ops->iter_new(s->kvs, NULL);
    for (ops->iter_seek(i, buf_str(&prefix)); ops->iter_valid(i); ops->iter_next(i)) {
        str key = ops->iter_key(i);
        if (key.len < prefix.len || !mem_equal(key.at, buf_bytes(&prefix), prefix.len)) break;
        fn(context, str_from(key.at + prefix.len, key.len - prefix.len), ops->iter_value(i));
    }
    err e = ops->iter_error(i);
    ops->iter_free(i);
    buf_done(&prefix);
    return e;
}
