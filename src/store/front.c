/* The front table: point reads and writes, and dropped keyspaces.
 *
 *   clean      equal to the kvs; may be evicted
 *   dirty      in the current generation: newer than the kvs, changed in place
 *   frozen     dirty, in the generation a checkpoint is writing, or wrote and store_tidy has not
 *              looked at yet: immutable
 *
 * A change of a frozen row makes a new row in the current generation; the old one stays, detached,
 * until store_tidy frees it.
 */
#include "store/store_internal.h"

bool row_is_frozen(const struct store *s, const struct row *r)
{
    if (MUTANT(checkpoint_sees_later_writes)) return false;
    return (r->flags & ROW_DIRTY) && r->generation != s->generation;
}

void store_make_dirty(struct store *s, struct row *r)
{
    assert(!(r->flags & ROW_DIRTY));
    r->flags |= ROW_DIRTY;
    r->generation = s->generation;
    generation_push(&s->current, r);
}

void store_row_free(struct store *s, struct row *r)
{
    s->memory -= row_memory(r);
    mem_free(r);
}

static struct row *front_row_new(struct store *s, enum row_kind kind, u32 keyspace, u64 position,
                                 str key, str head, str body)
{
    struct row *r = row_new(kind, keyspace, position, key, head, body);
    s->memory += row_memory(r);
    return r;
}

static void count_values(struct store *s, struct keyspace *ks, i64 change)
{
    ks->values += (u64)change;
    s->stats.rows_resident += (u64)change;
}

static void count_clean(struct store *s, struct keyspace *ks, i64 change)
{
    ks->clean += (u64)change;
    s->clean_rows += (u64)change;
}

static int is_value(const struct row *r) { return r->kind == ROW_VALUE; }

/* The row at this place becomes another row, dirty in the current generation. */
static void replace_row(struct store *s, struct keyspace *ks, struct place at, struct row *with)
{
    struct row *old = table_row(at);
    count_values(s, ks, is_value(with) - is_value(old));
    table_replace(at, with);
    if (!(old->flags & ROW_DIRTY)) {
        count_clean(s, ks, -1);
        store_make_dirty(s, with);
        store_row_free(s, old);
    } else if (old->generation != s->generation) {
        store_make_dirty(s, with);
        old->flags |= ROW_DETACHED;
    } else {
        with->flags |= ROW_DIRTY;
        with->generation = s->generation;
        generation_replace(&s->current, old, with);
        store_row_free(s, old);
    }
}

/* Overwrite the value where it lies: the common case of a key written again and again. */
static bool put_in_place(struct store *s, struct keyspace *ks, struct row *r, str head, str body)
{
    size_t vlen = head.len + body.len;
    if (row_is_frozen(s, r)) return false;
    if (row_heap_bytes(r->klen, vlen) != row_memory(r)) return false;
    if (row_overlaps(r, head) || row_overlaps(r, body)) return false;
    count_values(s, ks, 1 - is_value(r));
    r->vlen = (u32)vlen;
    r->kind = ROW_VALUE;
    r->flags |= ROW_REFERENCED;
    mem_copy(r->bytes + r->klen, head.at, head.len);
    mem_copy(r->bytes + r->klen + head.len, body.at, body.len);
    if (!(r->flags & ROW_DIRTY)) {
        count_clean(s, ks, -1);
        store_make_dirty(s, r);
    }
    return true;
}

static void write_row(struct store *s, enum row_kind kind, u32 keyspace, str key, str head,
                      str body)
{
    struct keyspace *ks = store_keyspace_ensure(s, keyspace);
    u64 position = key_position(s->options.by_key, key);
    struct place at = table_locate(ks, position, key);
    if (at.found && kind == ROW_VALUE && put_in_place(s, ks, table_row(at), head, body)) return;
    /* The arguments may lie in the row that is replaced: it is freed after the copy. */
    struct row *r = front_row_new(s, kind, keyspace, position, key, head, body);
    assert(!s->is_cut || store_has_key(s, row_key(r))); /* else it is another store's row */
    r->flags |= ROW_REFERENCED;
    if (at.found) {
        replace_row(s, ks, at, r);
    } else {
        count_values(s, ks, is_value(r));
        store_make_dirty(s, r);
        table_insert(ks, at, r);
    }
}

void store_prefetch(struct store *s, u32 keyspace, str key)
{
    struct keyspace *ks = store_keyspace(s, keyspace);
    if (!ks) return;
    u64 position = key_position(s->options.by_key, key);
    table_prefetch_leaf(ks, position);

    u32 at = s->hint_at++ % ARRAY_LEN(s->hinted);
    struct keyspace *before = store_keyspace(s, s->hinted[at].keyspace);
    if (before) table_prefetch_row(before, s->hinted[at].position);
    s->hinted[at].keyspace = keyspace;
    s->hinted[at].position = position;
}

void store_put(struct store *s, u32 keyspace, str key, str head, str body)
{
    write_row(s, ROW_VALUE, keyspace, key, head, body);
}

void store_delete(struct store *s, u32 keyspace, str key)
{
    write_row(s, ROW_TOMBSTONE, keyspace, key, (str){0}, (str){0});
}

/* Ask the kvs; what it has becomes a clean row. Absence is not cached: the filters of the kvs
 * answer it fast enough, and nobody can fill the memory by asking for keys that do not exist. */
static err read_through(struct store *s, struct keyspace *ks, struct place at, u64 position,
                        str key, str *value, bool *found)
{
    buf_clear(&s->key);
    head_key_append(&s->key, ks->id, position, key);
    buf_clear(&s->value);
    s->stats.kvs_reads++;
    *found = false;
    err e = s->kvs->ops->get(s->kvs, buf_str(&s->key), &s->value, found);
    if (e || !*found) return e;

    struct row *r = front_row_new(s, ROW_VALUE, ks->id, position, key, buf_str(&s->value),
                                  (str){0});
    if (s->value.cap > MIB) buf_done(&s->value);
    *value = row_value(r);
    if (at.found) { /* a mutant's doing */
        replace_row(s, ks, at, r);
        return OK;
    }
    table_insert(ks, at, r);
    count_clean(s, ks, 1);
    count_values(s, ks, 1);
    s->cached_since_tidy++;
    return OK;
}

err store_get(struct store *s, u32 keyspace, str key, str *value, bool *found)
{
    struct keyspace *ks = store_keyspace(s, keyspace);
    *found = false;
    if (UNLIKELY(!ks)) {
        if (store_is_dropped(s, keyspace)) return OK;
        ks = store_keyspace_ensure(s, keyspace);
    }
    u64 position = key_position(s->options.by_key, key);
    struct place at = table_locate(ks, position, key);
    struct row *r = at.found ? table_row(at) : NULL;
    if (r && r->kind == ROW_TOMBSTONE && MUTANT(get_ignores_tombstone)) {
        return read_through(s, ks, at, position, key, value, found);
    } else if (LIKELY(r)) {
        s->stats.hits++;
        r->flags |= ROW_REFERENCED;
        *found = r->kind == ROW_VALUE;
        if (*found) *value = row_value(r);
        return OK;
    }
    s->stats.misses++;
    if (ks->complete) return OK;
    return read_through(s, ks, at, position, key, value, found);
}
