/* The store as a whole: birth and death, its account of memory, its invariants. */
#include "store/store_internal.h"

struct store *store_new(struct kvs *kvs, const struct store_options *options)
{
    struct store *s = mem_zalloc(sizeof *s);
    s->kvs = kvs;
    s->options = *options;
    if (!s->options.keyspace_count) s->options.keyspace_count = UINT32_MAX;
    if (!s->options.budget) {
        assert(options->memory_bytes_max > 0);
        s->own_budget.bytes_max = options->memory_bytes_max;
        s->options.budget = &s->own_budget;
    }
    list_init(&s->dying);
    list_init(&s->shed);
    if (!kvs->stores.next) list_init(&kvs->stores);
    list_push(&kvs->stores, &s->neighbours);
    s->broken = extents_load(s); /* whoever asks for the marker will meet it */
    return s;
}

static void free_row(void *context, struct row *r)
{
    (void)context;
    if (!(r->flags & ROW_DETACHED)) mem_free(r);
}

static void keyspace_free_all(struct keyspace *ks)
{
    u32 taken;
    while (table_take_leaf(ks, free_row, NULL, &taken)) {
    }
    keyspace_free_nodes(ks);
}

/* Detached rows are held by their generation alone; the others by their tables. */
static void free_detached(struct generation *g)
{
    for (u32 i = 0; i < g->count; i++)
        if (generation_at(g, i)->flags & ROW_DETACHED) mem_free(generation_at(g, i));
    generation_done(g);
}

/* Also in the middle of a checkpoint whose job will not run any more, as when a node dies. */
void store_free(struct store *s)
{
    if (!s) return;
    free_detached(&s->settling);
    if (s->running) {
        free_detached(&s->running->rows);
        checkpoint_free(s->running);
    }
    for (u32 i = 0; i < s->keyspace_count; i++) keyspace_free_all(s->keyspaces[i]);
    LIST_EACH_SAFE (l, &s->dying) keyspace_free_all(CONTAINER_OF(l, struct keyspace, link));
    LIST_EACH_SAFE (l, &s->shed) keyspace_free_all(CONTAINER_OF(l, struct keyspace, link));
    list_remove(&s->neighbours);
    extents_done(&s->extents);
    extents_done(&s->durable);
    extents_done(&s->dropped_ranges);
    s->options.budget->bytes -= s->budgeted;
    mem_free(s->keyspaces);
    generation_done(&s->current);
    id_set_done(&s->dropped);
    buf_done(&s->key);
    buf_done(&s->value);
    buf_done(&s->hand);
    mem_free(s);
}

bool store_frozen_has(const struct store *s, const struct row *r)
{
    if (!(r->flags & ROW_DIRTY)) return false;
    return (s->running && r->generation == s->running->generation) ||
           (s->settling.count && r->generation == s->settling_generation);
}

size_t store_dirty_bytes(const struct store *s)
{
    return s->current.bytes + s->settling.bytes + (s->running ? s->running->rows.bytes : 0);
}

size_t store_memory_bytes(const struct store *s)
{
    return s->memory + generation_memory(&s->current) + generation_memory(&s->settling) +
           (s->running ? generation_memory(&s->running->rows) : 0);
}

const struct store_stats *store_stats(const struct store *s) { return &s->stats; }

/* ---- invariants ---- */

static u64 check_keyspace(const struct store *s, struct keyspace *ks)
{
    keyspace_check(ks);
    u64 values = 0, clean = 0, current = 0;
    struct table_walk w;
    for (walk_seek(&w, ks, str_from("", 0)); walk_row(&w); walk_next(&w)) {
        struct row *r = walk_row(&w);
        assert(!(r->flags & ROW_DETACHED));
        values += r->kind == ROW_VALUE;
        if (!(r->flags & ROW_DIRTY)) {
            assert(r->kind == ROW_VALUE);
            clean++;
        } else if (r->generation == s->generation) {
            assert(generation_at(&s->current, r->index) == r);
            current++;
        } else {
            assert(store_frozen_has(s, r));
        }
    }
    assert(values == ks->values);
    assert(clean == ks->clean);
    return current;
}

static void check_generation(const struct generation *g)
{
    size_t bytes = 0;
    for (u32 i = 0; i < g->count; i++) bytes += row_memory(generation_at(g, i));
    assert(bytes == g->bytes);
}

void store_check(struct store *s)
{
    u64 values = 0, clean = 0, current = 0;
    for (u32 i = 0; i < s->keyspace_count; i++) {
        struct keyspace *ks = s->keyspaces[i];
        assert(i == 0 || s->keyspaces[i - 1]->id < ks->id);
        assert(!store_is_dropped(s, ks->id));
        current += check_keyspace(s, ks);
        values += ks->values;
        clean += ks->clean;
    }
    assert(values == s->stats.rows_resident);
    assert(clean == s->clean_rows);
    if (list_is_empty(&s->dying)) assert(current == s->current.count);
    check_generation(&s->current);
    check_generation(&s->settling);
    if (s->running) check_generation(&s->running->rows);
}
