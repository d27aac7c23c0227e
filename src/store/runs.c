/* The rows of one keyspace in memory, in the order of their keys: what table.c is to keyspaces in the order of hashes.
 *
 *   keyspace -> runs, in order -> up to RUN_ROWS rows, in order
 *
 * A B+ tree of two levels: the upper one is a plain array, moved once for each run that comes or goes, which is once
 * for about a hundred rows. Every position is 0 here, so the encoded keys have the order of the users'. */
#include "store/store_internal.h"

#include "base/search.h"

enum { RUN_ROWS = 256 };

struct run {
    u32 count;
    struct row *rows[RUN_ROWS];
};

static void run_open(struct keyspace *ks, u32 at)
{
    if (ks->run_count == ks->run_cap) {
        *ks->memory -= ks->run_cap ? heap_bytes(ks->run_cap * sizeof *ks->runs) : 0;
        ks->run_cap = ks->run_cap ? 2 * ks->run_cap : 4;
        ks->runs = mem_resize_array(ks->runs, ks->run_cap, sizeof *ks->runs);
        *ks->memory += heap_bytes(ks->run_cap * sizeof *ks->runs);
    }
    memmove(&ks->runs[at + 1], &ks->runs[at], (ks->run_count - at) * sizeof *ks->runs);
    ks->runs[at] = mem_alloc(sizeof **ks->runs);
    ks->runs[at]->count = 0;
    ks->run_count++;
    *ks->memory += heap_bytes(sizeof **ks->runs);
}

static void run_close(struct keyspace *ks, u32 at)
{
    mem_free(ks->runs[at]);
    *ks->memory -= heap_bytes(sizeof **ks->runs);
    ks->run_count--;
    memmove(&ks->runs[at], &ks->runs[at + 1], (ks->run_count - at) * sizeof *ks->runs);
}

static str key_behind(const struct row *r, u32 prefix) { return str_from(r->bytes + prefix, r->klen - prefix); }

/* The place of the first row that is not below the key; with at.index one behind the last, if there is none. Keys are compared
 * behind their first `prefix` bytes. */
static struct place lower_bound(const struct keyspace *ks, str key, u32 prefix)
{
    struct place at = {0};
    u32 run, row;

    if (!ks->run_count) return at;
    LOWER_BOUND(run, ks->run_count, str_compare(key_behind(ks->runs[run]->rows[0], prefix), key) <= 0);
    at.run_at = run ? run - 1 : 0;
    at.run = ks->runs[at.run_at];
    LOWER_BOUND(row, at.run->count, str_compare(key_behind(at.run->rows[row], prefix), key) < 0);
    at.index = row;
    return at;
}

struct place runs_locate(struct keyspace *ks, str key)
{
    struct place at = lower_bound(ks, key, HEAD_PREFIX_BYTES);

    at.found = at.run && at.index < at.run->count && str_equal(row_user_key(at.run->rows[at.index]), key);
    return at;
}

struct row *runs_row(struct place at) { return at.run->rows[at.index]; }

void runs_replace(struct place at, struct row *with) { at.run->rows[at.index] = with; }

/* The upper half becomes a run of its own; a full one that is appended to stays full. */
static void halve(struct keyspace *ks, struct place *at)
{
    bool is_append = at->run_at + 1 == ks->run_count && at->index == RUN_ROWS;
    u32 kept = is_append ? RUN_ROWS : RUN_ROWS / 2;

    run_open(ks, at->run_at + 1);
    struct run *lower = ks->runs[at->run_at], *upper = ks->runs[at->run_at + 1];
    upper->count = RUN_ROWS - kept;
    memcpy(upper->rows, lower->rows + kept, upper->count * sizeof *upper->rows);
    lower->count = kept;
    at->run = lower;
    if (at->index < kept || (at->index == kept && !is_append)) return;
    at->index -= kept;
    at->run = upper;
    at->run_at++;
}

void runs_insert(struct keyspace *ks, struct place at, struct row *r)
{
    assert(!at.found);
    if (!at.run) {
        run_open(ks, 0);
        at.run = ks->runs[0];
    } else if (at.run->count == RUN_ROWS) {
        halve(ks, &at);
    }
    memmove(&at.run->rows[at.index + 1], &at.run->rows[at.index],
            (at.run->count - at.index) * sizeof *at.run->rows);
    at.run->rows[at.index] = r;
    at.run->count++;
    ks->rows++;
}

/* A neighbour that fits is taken in, so that runs stay half full on the whole. */
static void join_next(struct keyspace *ks, u32 at)
{
    if (at + 1 >= ks->run_count) return;
    struct run *lower = ks->runs[at], *upper = ks->runs[at + 1];
    if (lower->count + upper->count > RUN_ROWS / 2) return;
    memcpy(lower->rows + lower->count, upper->rows, upper->count * sizeof *upper->rows);
    lower->count += upper->count;
    run_close(ks, at + 1);
}

void runs_remove(struct keyspace *ks, struct place at)
{
    assert(at.found);
    at.run->count--;
    ks->rows--;
    memmove(&at.run->rows[at.index], &at.run->rows[at.index + 1],
            (at.run->count - at.index) * sizeof *at.run->rows);
    if (at.run->count == 0) {
        run_close(ks, at.run_at);
    } else {
        join_next(ks, at.run_at);
        if (at.run_at) join_next(ks, at.run_at - 1);
    }
}

void runs_settle(struct table_walk *w)
{
    if (!w->at.run || w->at.index < w->at.run->count) return;
    w->at.run_at++;
    w->at.index = 0;
    w->at.run = w->at.run_at < w->ks->run_count ? w->ks->runs[w->at.run_at] : NULL;
}

void runs_seek(struct table_walk *w, str encoded)
{
    w->at = lower_bound(w->ks, encoded, 0);
    w->at.found = true;
    runs_settle(w);
}

bool runs_take_last(struct keyspace *ks, row_fn fn, void *context, u32 *taken)
{
    if (!ks->run_count) return false;
    struct run *last = ks->runs[ks->run_count - 1];
    for (u32 i = 0; i < last->count; i++) fn(context, last->rows[i]);
    *taken = last->count;
    ks->rows -= last->count;
    run_close(ks, ks->run_count - 1);
    return true;
}

void runs_free(struct keyspace *ks)
{
    assert(!ks->run_count);
    if (ks->run_cap) *ks->memory -= heap_bytes(ks->run_cap * sizeof *ks->runs);
    mem_free(ks->runs);
}

/* The first run with rows at or above the encoded key, and none below: one that has both is cut. */
static u32 cut_at(struct keyspace *ks, str encoded)
{
    struct table_walk w;

    walk_seek(&w, ks, encoded);
    if (!w.at.run) return ks->run_count;
    if (!w.at.index) return w.at.run_at;
    run_open(ks, w.at.run_at + 1);
    struct run *upper = ks->runs[w.at.run_at + 1];
    upper->count = w.at.run->count - w.at.index;
    memcpy(upper->rows, w.at.run->rows + w.at.index, upper->count * sizeof *upper->rows);
    w.at.run->count = w.at.index;
    return w.at.run_at + 1;
}

void runs_move(struct keyspace *ks, struct keyspace *to, str lower, str upper)
{
    u32 first = cut_at(ks, lower), end = cut_at(ks, upper);

    for (u32 i = first; i < end; i++) {
        struct run *from = ks->runs[i];
        run_open(to, to->run_count);
        *to->runs[to->run_count - 1] = *from;
        for (u32 j = 0; j < from->count; j++) {
            const struct row *r = from->rows[j];
            bool is_value = r->kind == ROW_VALUE, is_clean = !(r->flags & ROW_DIRTY);
            ks->values -= is_value;
            to->values += is_value;
            ks->clean -= is_clean;
            to->clean += is_clean;
        }
        ks->rows -= from->count;
        to->rows += from->count;
    }
    while (end > first) run_close(ks, --end);
}

size_t runs_memory(const struct keyspace *ks)
{
    return ks->run_count * heap_bytes(sizeof **ks->runs) +
           (ks->run_cap ? heap_bytes(ks->run_cap * sizeof *ks->runs) : 0);
}

void runs_check(const struct keyspace *ks)
{
    const struct row *before = NULL;
    u64 rows = 0;

    for (u32 i = 0; i < ks->run_count; i++) {
        assert(ks->runs[i]->count > 0);
        assert(ks->runs[i]->count <= RUN_ROWS);
        for (u32 j = 0; j < ks->runs[i]->count; j++) {
            const struct row *r = ks->runs[i]->rows[j];
            assert(!before || str_compare(row_key(before), row_key(r)) < 0);
            assert(row_keyspace(r) == ks->id);
            assert(row_position(r) == 0);
            before = r;
            rows++;
        }
    }
    assert(rows == ks->rows);
}
