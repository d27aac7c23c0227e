/* Checkpoints: the current generation becomes the frozen one, a job writes it to the kvs in one
 * atomic step together with the partition-local rows, and store_tidy looks after its rows.
 *
 *   reactor   store_freeze: swap lists, copy the local rows          O(local rows)
 *   job       encode ranges, sort, kvs ingest                        reads frozen rows only
 *   reactor   store_checkpoint_done, then store_tidy step by step:
 *               written    still current: clean; replaced: freed; tombstones: absent
 *               no space   still current: dirty again; replaced: freed
 */
#include "store/store_internal.h"

#include <stdlib.h>

#define GATHERED_BYTES (64 * KIB) /* what is larger is written by itself */

struct sort_item {
    u64 position;
    const struct row *row;
    u32 keyspace;
};

static int compare_items(const void *a, const void *b)
{
    const struct sort_item *x = a, *y = b;
    if (x->keyspace != y->keyspace) return x->keyspace < y->keyspace ? -1 : 1;
    if (x->position != y->position) return x->position < y->position ? -1 : 1;
    return str_compare(row_user_key(x->row), row_user_key(y->row));
}

/* Bytes of (keyspace, position) from the least significant on. */
enum { SORT_DIGITS = 12 };
static u8 digit_of(const struct sort_item *i, u32 digit)
{
    return (u8)(digit < 8 ? i->position >> 8 * digit : i->keyspace >> 8 * (digit - 8));
}

/* By radix, because comparing is what would cost; only rows that share a position are compared. */
static void sort_items(struct sort_item *items, size_t count)
{
    struct sort_item *spare = mem_zalloc_array(count, sizeof *spare), *from = items, *to = spare;

    for (u32 digit = 0; digit < SORT_DIGITS && count; digit++) {
        size_t place[256] = {0}, before = 0;
        for (size_t i = 0; i < count; i++) place[digit_of(&from[i], digit)]++;
        if (place[digit_of(&from[0], digit)] == count) continue; /* all alike */
        for (u32 d = 0; d < 256; d++) {
            size_t here = place[d];
            place[d] = before;
            before += here;
        }
        for (size_t i = 0; i < count; i++) to[place[digit_of(&from[i], digit)]++] = from[i];
        struct sort_item *sorted = to;
        to = from;
        from = sorted;
    }
    if (from != items) mem_copy(items, from, count * sizeof *items);
    mem_free(spare);
    for (size_t i = 0, run; i < count; i += run) {
        for (run = 1; i + run < count && items[i + run].position == items[i].position; run++) {}
        if (run > 1) qsort(items + i, run, sizeof *items, compare_items);
    }
}

static int compare_kvs_rows(const void *a, const void *b)
{
    const struct kvs_row *x = a, *y = b;
    return str_compare(x->key, y->key);
}

/* The frozen rows in order, without those of dropped keyspaces: a row and a range never meet,
 * because nobody writes to a keyspace that was dropped. */
static size_t sort_rows(const struct checkpoint *c, struct sort_item *items)
{
    size_t count = 0;
    for (u32 i = 0; i < c->rows.count; i++) {
        const struct row *r = generation_at(&c->rows, i);
        if (r->kind == ROW_TOMBSTONE && MUTANT(checkpoint_forgets_tombstones)) continue;
        u32 keyspace = row_keyspace(r);
        if (c->dropped.count && id_set_has(&c->dropped, keyspace)) continue;
        if (c->dropped_ranges.count && extents_have(&c->dropped_ranges, row_key(r))) continue;
        items[count++] = (struct sort_item){row_position(r), r, keyspace};
    }
    sort_items(items, count);
    return count;
}

/* What this checkpoint deletes: whole keyspace ids, or, of a store that was cut, what it had of them. */
static void make_ranges(struct checkpoint *c, struct store_extents *out)
{
    for (u32 i = 0; i < c->dropped.count && !c->is_cut; i++)
        store_extents_add_rest(out, c->dropped.ids[i], c->dropped.ids[i]);
    for (u32 i = 0; i < c->dropped_ranges.count; i++)
        extents_add(out, c->dropped_ranges.at[i].range.lower, c->dropped_ranges.at[i].range.upper,
                    true);
    store_extents_sort(out);
}

static struct checkpoint *checkpoint_of(struct env_job *job)
{
    return CONTAINER_OF(job, struct checkpoint, outer.job);
}

/* All rows of one, in order. */
static size_t put_rows(struct checkpoint *c, struct kvs_row *rows)
{
    struct sort_item *items = mem_zalloc_array(c->rows.count, sizeof *items);
    size_t head_count = sort_rows(c, items), count = 0;

    if (!MUTANT(checkpoint_without_local_rows)) {
        qsort(c->local, c->local_count, sizeof *c->local, compare_kvs_rows);
        for (size_t i = 0; i < c->local_count; i++) rows[count++] = c->local[i];
    }
    for (size_t i = 0; i < head_count; i++) {
        const struct row *r = items[i].row;
        rows[count++] = (struct kvs_row){row_key(r), row_value(r), r->kind == ROW_TOMBSTONE};
        c->bytes_written += r->klen + r->vlen;
    }
    mem_free(items);
    c->rows_written = count;
    return count;
}

/* Those of several partitions that delete no ranges are one file: their rows are different ones. */
static void run_checkpoint(struct env_job *job)
{
    struct kvs *kvs = checkpoint_of(job)->outer.store->kvs; /* the pointer alone: the store is the reactor's */
    size_t room = 0, count = 0;

    for (struct env_job *j = job; j; j = j->with)
        room += checkpoint_of(j)->local_count + checkpoint_of(j)->rows.count;
    struct kvs_row *rows = mem_zalloc_array(room, sizeof *rows);
    for (struct env_job *j = job; j; j = j->with) count += put_rows(checkpoint_of(j), rows + count);
    if (job->with) qsort(rows, count, sizeof *rows, compare_kvs_rows);

    struct store_extents gone = {0};
    make_ranges(checkpoint_of(job), &gone);
    assert(!job->with || !gone.count);
    struct kvs_range *ranges = mem_zalloc_array(gone.count, sizeof *ranges);
    for (u32 i = 0; i < gone.count; i++) ranges[i] = gone.at[i].range;
    err e = kvs->ops->ingest(kvs, ranges, gone.count, rows, count);
    for (struct env_job *j = job; j; j = j->with) j->result = e;
    mem_free(rows);
    mem_free(ranges);
    extents_done(&gone);
}

bool store_checkpoint_running(const struct store *s) { return s->running || s->settling.count; }

static void copy_local_rows(struct checkpoint *c, const struct store *s,
                            const struct kvs_row *given, size_t count)
{
    struct buf key = {0}, value = {0};
    struct kvs_row *local = mem_zalloc_array(count + 1, sizeof *local);
    size_t bytes = 0;

    for (size_t i = 0; i < count; i++) local[i] = given[i];
    if (s->is_cut) {
        store_local_key(s->options.part, LOCAL_EXTENTS, (str){0}, &key);
        store_extents_encode(&s->extents, &value);
        local[count++] = (struct kvs_row){.key = buf_str(&key), .value = buf_str(&value)};
    }
    for (size_t i = 0; i < count; i++) bytes += local[i].key.len + local[i].value.len;
    u8 *at = buf_reserve(&c->local_bytes, bytes);
    c->local = mem_zalloc_array(count, sizeof *c->local);
    c->local_count = count;
    for (size_t i = 0; i < count; i++) {
        str k = local[i].key, v = local[i].is_delete ? (str){0} : local[i].value;
        assert(local_key_is_of(k, s->options.part) || local_key_is_of(k, s->companion));
        mem_copy(at, k.at, k.len);
        mem_copy(at + k.len, v.at, v.len);
        c->local[i].key = str_from(at, k.len);
        c->local[i].value = str_from(at + k.len, v.len);
        c->local[i].is_delete = local[i].is_delete;
        at += k.len + v.len;
    }
    mem_free(local);
    buf_done(&key);
    buf_done(&value);
}

void store_set_companion(struct store *s, u64 part) { s->companion = part; }

bool store_can_take_rows(const struct store *s)
{
    return !store_checkpoint_running(s) && !s->installing && !s->dropped.count && !s->dropped_ranges.count;
}

bool store_is_quiet(const struct store *s)
{
    return store_can_take_rows(s) && !s->current.count;
}

struct store_checkpoint *store_freeze(struct store *s, const struct kvs_row *local,
                                      size_t local_count)
{
    assert(!s->running);
    assert(!s->installing);
    store_settle_all(s); /* nothing to do for a caller that asked store_checkpoint_running */

    struct checkpoint *c = mem_zalloc(sizeof *c);
    c->outer.store = s;
    c->outer.job.run = run_checkpoint;
    copy_local_rows(c, s, local, local_count);
    c->rows = s->current;
    c->generation = s->generation;
    c->dropped = s->dropped;
    c->dropped_ranges = s->dropped_ranges;
    c->is_cut = s->is_cut;
    extents_copy(&c->extents, &s->extents);
    c->outer.job.gathers = !c->dropped.count && !c->dropped_ranges.count && !s->companion &&
                           c->rows.bytes <= GATHERED_BYTES;
    s->dropped_ranges = (struct store_extents){0};
    s->current = (struct generation){0};
    s->dropped = (struct id_set){0};
    s->generation++;
    s->running = c;
    return &c->outer;
}

void checkpoint_free(struct checkpoint *c)
{
    generation_done(&c->rows);
    id_set_done(&c->dropped);
    extents_done(&c->dropped_ranges);
    extents_done(&c->extents);
    buf_done(&c->local_bytes);
    mem_free(c->local);
    mem_free(c);
}

err store_checkpoint_done(struct store_checkpoint *outer)
{
    struct checkpoint *c = CONTAINER_OF(outer, struct checkpoint, outer);
    struct store *s = outer->store;
    err e = outer->job.result;
    assert(s->running == c);
    assert(s->settling.count == 0);
    s->running = NULL;
    s->settling = c->rows;
    s->settling_generation = c->generation;
    s->settling_thaws = e != OK;
    s->settling_is_retired = false;
    c->rows = (struct generation){0};
    if (e) {
        for (u32 i = 0; i < c->dropped.count; i++) id_set_add(&s->dropped, c->dropped.ids[i]);
        for (u32 i = 0; i < c->dropped_ranges.count; i++)
            extents_add(&s->dropped_ranges, c->dropped_ranges.at[i].range.lower,
                        c->dropped_ranges.at[i].range.upper, false);
    } else {
        extents_are_durable(s, &c->extents, c->is_cut);
        s->stats.checkpoints++;
        s->stats.checkpoint_rows += c->rows_written;
        s->stats.checkpoint_bytes += c->bytes_written;
    }
    checkpoint_free(c);
    return e;
}
