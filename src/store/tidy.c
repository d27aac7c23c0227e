/* Background work in small steps, so that no turn is long: looking after the rows of a finished
 * checkpoint, freeing dropped keyspaces, and CLOCK eviction of clean rows. */
#include "store/store_internal.h"

enum { LEAF_STEPS = 4 }; /* rows freed in a row cost less than rows looked at */

/* ---- rows of the finished checkpoint ---- */

static void remove_tombstone(struct store *s, struct keyspace *ks, struct row *r)
{
    struct place at = table_locate(ks, row_position(r), row_user_key(r));
    assert(table_row(at) == r);
    table_remove(ks, at);
    store_row_free(s, r);
}

/* The mistake of taking "this key was written" for "this row was written". */
static void mutant_clean_newer(struct store *s, struct row *old)
{
    struct keyspace *ks = s->settling_is_retired ? NULL : store_keyspace(s, row_keyspace(old));
    if (!ks) return;
    struct place at = table_locate(ks, row_position(old), row_user_key(old));
    if (!at.found) return;
    struct row *r = table_row(at);
    if (!(r->flags & ROW_DIRTY) || r->generation != s->generation || r->kind != ROW_VALUE) return;
    generation_remove(&s->current, r);
    r->flags &= (u8)~ROW_DIRTY;
    ks->clean++;
    s->clean_rows++;
}

static void settle_row(struct store *s, struct row *r)
{
    assert(r->flags & ROW_DIRTY);
    if (r->flags & ROW_DETACHED) {
        if (MUTANT(settle_cleans_newer_row)) mutant_clean_newer(s, r);
        store_row_free(s, r);
        return;
    }
    r->flags &= (u8)~ROW_DIRTY;
    struct keyspace *ks = s->settling_is_retired ? NULL : store_keyspace(s, row_keyspace(r));
    if (!ks) return; /* its keyspace is dying, and frees it */
    if (s->settling_thaws && !MUTANT(thaw_forgets_rows)) {
        store_make_dirty(s, r);
    } else if (r->kind == ROW_TOMBSTONE) {
        remove_tombstone(s, ks, r); /* the kvs has no such row now */
    } else {
        ks->clean++;
        s->clean_rows++;
    }
}

void store_settle_all(struct store *s)
{
    while (s->settling.count) settle_row(s, generation_pop(&s->settling));
}

static u32 settle(struct store *s, u32 steps)
{
    for (; steps && s->settling.count; steps--) settle_row(s, generation_pop(&s->settling));
    return steps;
}

/* ---- dying keyspaces ---- */

static void release_row(void *context, struct row *r)
{
    struct store *s = context;
    if (store_frozen_has(s, r)) {
        r->flags |= ROW_DETACHED;
        return;
    }
    /* A dirty row of the current generation leaves it; one of a generation that an install
     * discarded is in no list. */
    if ((r->flags & ROW_DIRTY) && r->generation == s->generation) generation_remove(&s->current, r);
    store_row_free(s, r);
}

static u32 free_dying(struct store *s, u32 steps)
{
    while (steps) {
        struct list *first = list_first(&s->dying);
        if (!first) return steps;
        struct keyspace *ks = CONTAINER_OF(first, struct keyspace, link);
        u32 taken;
        if (table_take_leaf(ks, release_row, s, &taken)) {
            u32 cost = 1 + taken / LEAF_STEPS;
            steps -= cost < steps ? cost : steps;
        } else {
            list_remove(&ks->link);
            keyspace_free_nodes(ks);
            steps--;
        }
    }
    return 0;
}

/* ---- CLOCK ---- */

/* Bring this store's share of the common account up to date. */
static bool over_budget(struct store *s)
{
    struct store_budget *b = s->options.budget;
    size_t now = store_memory_bytes(s);
    b->bytes += now - s->budgeted;
    s->budgeted = now;
    return b->bytes > b->bytes_max;
}

static bool can_evict(struct store *s) { return over_budget(s) && s->clean_rows > 0; }

static bool is_evictable(struct store *s, const struct row *r)
{
    if (!(r->flags & ROW_DIRTY)) return true;
    if (MUTANT(evict_frozen_rows)) return s->running != NULL && r->generation != s->generation;
    if (MUTANT(evict_dirty_rows)) return r->generation == s->generation;
    return false;
}

static void evict(struct store *s, struct keyspace *ks, struct place at)
{
    struct row *r = table_row(at);
    table_remove(ks, at);
    ks->values -= r->kind == ROW_VALUE;
    s->stats.rows_resident -= r->kind == ROW_VALUE;
    s->stats.evicted++;
    if (r->flags & ROW_DIRTY) { /* a mutant's doing */
        release_row(s, r);
        return;
    }
    ks->clean--;
    s->clean_rows--;
    if (!MUTANT(evict_keeps_keyspace_complete)) ks->complete = false;
    store_row_free(s, r);
}

/* The keyspace the hand is in, or the next one, or the first. */
static struct keyspace *hand_keyspace(struct store *s)
{
    for (u32 i = 0; i < s->keyspace_count; i++) {
        struct keyspace *ks = s->keyspaces[i];
        if (ks->id < s->hand_keyspace) continue;
        if (ks->id > s->hand_keyspace) buf_clear(&s->hand);
        s->hand_keyspace = ks->id;
        return ks;
    }
    assert(s->keyspace_count > 0); /* it holds a clean row */
    s->hand_keyspace = s->keyspaces[0]->id;
    buf_clear(&s->hand);
    return s->keyspaces[0];
}

static void hand_set(struct store *s, const struct row *r)
{
    buf_clear(&s->hand);
    buf_append_str(&s->hand, row_key(r));
}

static u32 turn_clock(struct store *s, u32 steps)
{
    while (steps && can_evict(s)) {
        struct keyspace *ks = hand_keyspace(s);
        struct table_walk w;
        walk_seek(&w, ks, buf_str(&s->hand));
        struct row *r = NULL;
        bool evicted = false;
        for (; steps && !evicted && (r = walk_row(&w)); steps--) {
            if (is_evictable(s, r) && !(r->flags & ROW_REFERENCED)) {
                hand_set(s, r);
                evict(s, ks, w.at);
                evicted = true;
            } else {
                r->flags &= (u8)~ROW_REFERENCED;
                walk_next(&w);
            }
        }
        if (evicted) continue;
        r = walk_row(&w);
        if (r) { /* out of steps */
            hand_set(s, r);
        } else {
            steps -= steps > 0;
            s->hand_keyspace = ks->id + 1; /* wraps: then the first one is next anyway */
            buf_clear(&s->hand);
        }
    }
    return steps;
}

bool store_tidy(struct store *s, u32 steps)
{
    /* Memory may not grow faster than it is given back, however few steps the caller grants. */
    steps += (u32)u64_min(2 * s->cached_since_tidy, 100000);
    s->cached_since_tidy = 0;
    steps = settle(s, steps);
    steps = free_dying(s, steps);
    if (list_is_empty(&s->dying)) turn_clock(s, steps);
    return s->settling.count || !list_is_empty(&s->dying) || can_evict(s);
}
