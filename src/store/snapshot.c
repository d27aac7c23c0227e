/* Rows out: the kvs as one checkpoint left it, in chunks [klen:u32 vlen:u32 key value]*. */
#include "store/store_internal.h"

struct store_snapshot {
    struct kvs *kvs;
    struct kvs_snapshot *pin;
    struct store_extents ranges;
};

struct store_snapshot *store_snapshot_new(struct store *s)
{
    struct store_snapshot *sn = mem_zalloc(sizeof *sn);
    sn->kvs = s->kvs;
    sn->pin = s->kvs->ops->snapshot_new(s->kvs);
    store_ranges_init(&sn->ranges, s);
    return sn;
}

void store_snapshot_free(struct store_snapshot *sn)
{
    if (!sn) return;
    sn->kvs->ops->snapshot_free(sn->kvs, sn->pin);
    extents_done(&sn->ranges);
    mem_free(sn);
}

static void append_row(struct buf *out, str key, str value)
{
    buf_append_u32(out, (u32)key.len);
    buf_append_u32(out, (u32)value.len);
    buf_append_str(out, key);
    buf_append_str(out, value);
}

static bool is_session_row(str key)
{
    return key.at[0] == ZONE_LOCAL && key.len > LOCAL_PREFIX_BYTES &&
           key.at[LOCAL_PREFIX_BYTES] == 2;
}

/* The rows of one range behind `after`, until the chunk is full: *full. */
static void append_range(struct kvs_iter *i, const struct kvs_ops *ops, struct kvs_range range,
                         str after, size_t end, struct buf *out, size_t start, bool *full)
{
    bool inside = after.len && str_compare(after, range.lower) >= 0;
    ops->iter_seek(i, inside ? after : range.lower);
    if (inside && ops->iter_valid(i) && str_equal(ops->iter_key(i), after)) ops->iter_next(i);
    for (; ops->iter_valid(i); ops->iter_next(i)) {
        str key = ops->iter_key(i);
        if (str_compare(key, range.upper) >= 0) return;
        if (MUTANT(snapshot_without_sessions) && is_session_row(key)) continue;
        size_t row_bytes = 8 + key.len + ops->iter_value(i).len;
        *full = out->len > start && out->len + row_bytes > end;
        if (*full) return;
        append_row(out, key, ops->iter_value(i));
    }
}

err store_snapshot_chunk(struct store_snapshot *sn, str after, size_t bytes, struct buf *out,
                         bool *last)
{
    const struct kvs_ops *ops = sn->kvs->ops;
    struct kvs_iter *i = ops->iter_new(sn->kvs, MUTANT(snapshot_reads_latest) ? NULL : sn->pin);
    size_t start = out->len;
    bool full = false;

    for (u32 r = 0; r < sn->ranges.count && !full; r++) {
        struct kvs_range range = sn->ranges.at[r].range;
        if (after.len && str_compare(after, range.upper) >= 0) continue;
        append_range(i, ops, range, after, start + bytes, out, start, &full);
    }
    *last = !full;
    err e = ops->iter_error(i);
    ops->iter_free(i);
    return e;
}

bool store_snapshot_key(str encoded, u32 *keyspace, str *key)
{
    if (encoded.len < HEAD_PREFIX_BYTES || encoded.at[0] != ZONE_HEAD) return false;
    *keyspace = get_u32be(encoded.at + 1);
    *key = str_from(encoded.at + HEAD_PREFIX_BYTES, encoded.len - HEAD_PREFIX_BYTES);
    return true;
}
