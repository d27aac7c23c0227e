/* Which keyspaces are in memory, which were dropped, and which wait to be freed. */
#include "store/store_internal.h"

#include "base/search.h"

/* ---- sets of keyspace ids ---- */

static u32 id_set_find(const struct id_set *set, u32 id)
{
    u32 low;

    LOWER_BOUND(low, set->count, set->ids[low] < id);
    return low;
}

bool id_set_has(const struct id_set *set, u32 id)
{
    u32 at = id_set_find(set, id);
    return at < set->count && set->ids[at] == id;
}

void id_set_add(struct id_set *set, u32 id)
{
    u32 at = id_set_find(set, id);
    if (at < set->count && set->ids[at] == id) return;
    if (set->count == set->cap) {
        set->cap = set->cap ? 2 * set->cap : 16;
        set->ids = mem_resize_array(set->ids, set->cap, sizeof(u32));
    }
    memmove(&set->ids[at + 1], &set->ids[at], (set->count - at) * sizeof(u32));
    set->ids[at] = id;
    set->count++;
}

void id_set_done(struct id_set *set)
{
    mem_free(set->ids);
    *set = (struct id_set){0};
}

/* ---- keyspaces ---- */

static u32 keyspace_find(const struct store *s, u32 id)
{
    u32 low;

    LOWER_BOUND(low, s->keyspace_count, s->keyspaces[low]->id < id);
    return low;
}

struct keyspace *store_keyspace(struct store *s, u32 id)
{
    if (LIKELY(s->last && s->last->id == id)) return s->last;
    u32 at = keyspace_find(s, id);
    if (at == s->keyspace_count || s->keyspaces[at]->id != id) return NULL;
    return s->last = s->keyspaces[at];
}

bool store_is_dropped(const struct store *s, u32 id)
{
    return id_set_has(&s->dropped, id) || (s->running && id_set_has(&s->running->dropped, id));
}

/* No row in the kvs: asked once, when the keyspace is first met. A new id never has any; after a
 * restart an old one may. No checkpoint in flight can add some either, for its rows were met. */
static bool kvs_has_none(struct store *s, u32 id)
{
    const struct kvs_ops *ops = s->kvs->ops;
    buf_clear(&s->key);
    keyspace_start_put(&s->key, id);
    struct kvs_iter *i = ops->iter_new(s->kvs, NULL);
    ops->iter_seek(i, buf_str(&s->key));
    bool none = !ops->iter_valid(i) || !head_key_is_of(ops->iter_key(i), id);
    if (ops->iter_error(i)) none = false; /* whoever reads will meet the error */
    ops->iter_free(i);
    return none;
}

struct keyspace *store_keyspace_ensure(struct store *s, u32 id)
{
    struct keyspace *ks = store_keyspace(s, id);
    if (LIKELY(ks)) return ks;
    assert(!store_is_dropped(s, id)); /* ids are never used again */
    bool none = kvs_has_none(s, id);
    if (s->keyspace_count == s->keyspace_cap) {
        s->keyspace_cap = s->keyspace_cap ? 2 * s->keyspace_cap : 16;
        s->keyspaces = mem_resize_array(s->keyspaces, s->keyspace_cap, sizeof *s->keyspaces);
    }
    u32 at = keyspace_find(s, id);
    memmove(&s->keyspaces[at + 1], &s->keyspaces[at],
            (s->keyspace_count - at) * sizeof *s->keyspaces);
    s->keyspace_count++;
    return s->last = s->keyspaces[at] = keyspace_new(id, s->options.by_key, none, &s->memory);
}

/* Its rows are gone for every reader; tidy frees them. */
static void retire(struct store *s, struct keyspace *ks)
{
    s->last = NULL;
    s->clean_rows -= ks->clean;
    s->stats.rows_resident -= ks->values;
    list_push(&s->dying, &ks->link);
}

void store_drop_keyspace(struct store *s, u32 keyspace)
{
    assert(!store_is_dropped(s, keyspace));
    id_set_add(&s->dropped, keyspace);
    if (s->is_cut) extents_drop_keyspace(s, keyspace);
    struct keyspace *ks = store_keyspace(s, keyspace);
    if (!ks) return;
    u32 at = keyspace_find(s, keyspace);
    s->keyspace_count--;
    memmove(&s->keyspaces[at], &s->keyspaces[at + 1],
            (s->keyspace_count - at) * sizeof *s->keyspaces);
    retire(s, ks);
}

void store_retire_all(struct store *s)
{
    for (u32 i = 0; i < s->keyspace_count; i++) retire(s, s->keyspaces[i]);
    s->keyspace_count = 0;
    id_set_done(&s->dropped);
    extents_done(&s->dropped_ranges);
    /* The rows keep a generation that no list holds: tidy frees them with their tables. */
    generation_done(&s->current);
    s->generation++;
    s->settling_is_retired = true;
    s->hand_keyspace = 0;
    buf_clear(&s->hand);
}

/* ---- the other half of a split ---- */

static struct keyspace *shed_new(struct store *s, const struct keyspace *ks)
{
    struct keyspace *to = keyspace_new(ks->id, ks->by_key, ks->complete, &s->memory);
    list_push(&s->shed, &to->link);
    return to;
}

/* Out of the table goes every range of keys that is not in the extents any more. */
static struct keyspace *shed_keys(struct store *s, struct keyspace *ks)
{
    struct keyspace *to = NULL;
    struct store_extents gone = {0};

    store_extents_add_rest(&gone, ks->id, ks->id);
    for (u32 i = 0; i < s->extents.count; i++) extents_subtract(&gone, s->extents.at[i].range);
    for (u32 i = 0; i < gone.count; i++) {
        if (!to) to = shed_new(s, ks);
        runs_move(ks, to, gone.at[i].range.lower, gone.at[i].range.upper);
    }
    extents_done(&gone);
    return to;
}

/* The same of slots. */
static struct keyspace *shed_slots(struct store *s, struct keyspace *ks)
{
    struct keyspace *to = NULL;
    u8 key[HEAD_PREFIX_BYTES];

    for (u32 slot = 0, first = 0; slot <= STORE_SLOTS; slot++) {
        bool here = true;
        if (slot < STORE_SLOTS) {
            head_key_put(key, ks->id, (u64)slot << HASH48_BITS);
            here = extents_have(&s->extents, str_from(key, sizeof key));
        }
        if (!here) continue;
        if (first < slot) {
            if (!to) to = shed_new(s, ks);
            table_move_slots(ks, to, first, slot - 1);
        }
        first = slot + 1;
    }
    return to;
}

static void shed_keyspace(struct store *s, struct keyspace *ks)
{
    struct keyspace *to = ks->by_key ? shed_keys(s, ks) : shed_slots(s, ks);

    if (!to) return;
    s->clean_rows -= to->clean;
    s->stats.rows_resident -= to->values;
}

static void adopt(struct store *from, struct store *to, struct keyspace *ks)
{
    size_t bytes = table_memory(ks);
    u32 at = keyspace_find(to, ks->id);

    assert(at == to->keyspace_count || to->keyspaces[at]->id != ks->id);
    if (to->keyspace_count == to->keyspace_cap) {
        to->keyspace_cap = to->keyspace_cap ? 2 * to->keyspace_cap : 16;
        to->keyspaces = mem_resize_array(to->keyspaces, to->keyspace_cap, sizeof *to->keyspaces);
    }
    memmove(&to->keyspaces[at + 1], &to->keyspaces[at],
            (to->keyspace_count - at) * sizeof *to->keyspaces);
    to->keyspaces[at] = ks;
    to->keyspace_count++;
    from->memory -= bytes;
    to->memory += bytes;
    ks->memory = &to->memory;
    to->clean_rows += ks->clean;
    to->stats.rows_resident += ks->values;
}

void store_hand_over(struct store *from, struct store *to)
{
    assert(!store_checkpoint_running(from));
    from->last = NULL;
    for (u32 i = 0; i < from->keyspace_count && from->is_cut; i++) shed_keyspace(from, from->keyspaces[i]);
    LIST_EACH_SAFE (l, &from->shed) {
        struct keyspace *ks = CONTAINER_OF(l, struct keyspace, link);
        list_remove(l);
        if (to)
            adopt(from, to, ks);
        else
            list_push(&from->dying, &ks->link);
    }
}
