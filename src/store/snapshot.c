/* Rows out: the kvs as one checkpoint left it, in chunks [klen:u32 vlen:u32 key value]*. */
#include "store/store_internal.h"

struct store_snapshot {
    struct kvs *kvs;
    struct kvs_snapshot *pin;
};

struct kvs_range store_whole_range(void)
{
    static const u8 lower[] = {ZONE_LOCAL}, upper[] = {ZONE_END};
    return (struct kvs_range){str_from(lower, 1), str_from(upper, 1)};
}

struct store_snapshot *store_snapshot_new(struct store *s)
{
    struct store_snapshot *sn = mem_zalloc(sizeof *sn);
    sn->kvs = s->kvs;
    sn->pin = s->kvs->ops->snapshot_new(s->kvs);
    return sn;
}

void store_snapshot_free(struct store_snapshot *sn)
{
    if (!sn) return;
    sn->kvs->ops->snapshot_free(sn->kvs, sn->pin);
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

err store_snapshot_chunk(struct store_snapshot *sn, str after, size_t bytes, struct buf *out,
                         bool *last)
{
    const struct kvs_ops *ops = sn->kvs->ops;
    struct kvs_range whole = store_whole_range();
    struct kvs_iter *i = ops->iter_new(sn->kvs, MUTANT(snapshot_reads_latest) ? NULL : sn->pin);
    ops->iter_seek(i, after.len ? after : whole.lower);
    if (after.len && ops->iter_valid(i) && str_equal(ops->iter_key(i), after)) ops->iter_next(i);

    size_t start = out->len;
    bool more = false;
    for (; ops->iter_valid(i); ops->iter_next(i)) {
        str key = ops->iter_key(i);
        if (str_compare(key, whole.upper) >= 0) break;
        if (MUTANT(snapshot_without_sessions) && is_session_row(key)) continue;
        size_t row_bytes = 8 + key.len + ops->iter_value(i).len;
        more = out->len > start && out->len - start + row_bytes > bytes;
        if (more) break;
        append_row(out, key, ops->iter_value(i));
    }
    *last = !more;
    err e = ops->iter_error(i);
    ops->iter_free(i);
    return e;
}
