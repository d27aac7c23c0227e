/* Rows in: chunks of a snapshot are staged beside the live rows; a job makes them the store's in
 * one atomic step. */
#include "store/store_internal.h"

err store_install_new(struct store *s, struct store_install **out)
{
    struct store_install *in = mem_zalloc(sizeof *in);
    in->store = s;
    in->victims = mem_zalloc(sizeof *in->victims);
    *out = in;
    return OK;
}

/* The first row says which rows there are: that of the extents, if this store was ever cut. */
static err begin(struct store_install *in, str key, str value)
{
    struct store *s = in->store;
    struct store_extents wanted = {0}, ranges = {0};
    struct kvs_range local;
    struct buf b = {0};
    err e = OK;

    if (local_key_is_of(key, s->options.part) && key.at[LOCAL_PREFIX_BYTES] == LOCAL_EXTENTS) {
        e = extents_decode(value, &wanted);
        if (e) return e;
        in->extents = mem_zalloc(sizeof *in->extents);
        extents_copy(in->extents, &wanted);
    } else if (key.len) { /* an install of nothing takes nothing */
        store_extents_add_rest(&wanted, s->options.keyspace_first,
                               s->options.keyspace_first + s->options.keyspace_count - 1);
    }
    e = extents_claim(s, &wanted, in->victims);
    if (!e) {
        extents_to_replace(s, &wanted, in->victims, &ranges);
        local_range_put(&b, s->options.part, &local);
        extents_add(&ranges, local.lower, local.upper, false);
        for (u32 i = 0; i < in->victims->count; i++) {
            buf_clear(&b);
            local_range_put(&b, in->victims->part[i], &local);
            extents_add(&ranges, local.lower, local.upper, false);
        }
        store_extents_sort(&ranges);
        struct kvs_range *all = mem_zalloc_array(ranges.count, sizeof *all);
        for (u32 i = 0; i < ranges.count; i++) all[i] = ranges.at[i].range;
        e = s->kvs->ops->stage_new(s->kvs, all, ranges.count, &in->stage);
        mem_free(all);
    }
    buf_done(&b);
    extents_done(&wanted);
    extents_done(&ranges);
    return e;
}

static bool is_row_of(const struct store_install *in, str key)
{
    const struct store *s = in->store;

    if (local_key_is_of(key, s->options.part)) return true;
    if (!head_key_is_good(key, s->options.by_key)) return false;
    if (in->extents) return extents_have(in->extents, key);
    return get_u32be(key.at + 1) - s->options.keyspace_first < s->options.keyspace_count;
}

/* Chunks come from another node, frame-checked; that they are rows of this partition, each once and
 * in order, is checked here, before the kvs sees them. */
err store_install_chunk(struct store_install *in, str chunk)
{
    const struct kvs_ops *ops = in->store->kvs->ops;
    struct reader r = reader_of(chunk);

    while (reader_left(&r)) {
        u32 klen = reader_u32(&r);
        u32 vlen = reader_u32(&r);
        str key = reader_str(&r, klen);
        str value = reader_str(&r, vlen);
        if (r.bad) return ERR_MALFORMED;
        err e = in->stage ? OK : begin(in, key, value);
        if (e) return e;
        if (!is_row_of(in, key)) return ERR_MALFORMED;
        if (in->last_key.len && str_compare(buf_str(&in->last_key), key) >= 0) return ERR_MALFORMED;
        e = ops->stage_add(in->stage, key, value);
        if (e) return e;
        buf_clear(&in->last_key);
        buf_append_str(&in->last_key, key);
    }
    return OK;
}

static void run_install(struct env_job *job)
{
    struct store_install *in = CONTAINER_OF(job, struct store_install, job);
    struct kvs_stage *stage = in->stage;
    in->stage = NULL; /* the commit frees it */
    job->result = stage ? in->store->kvs->ops->stage_commit(stage) : in->begun;
}

void store_install_prepare(struct store_install *in)
{
    assert(!in->store->running); /* one operation on the store at a time */
    assert(!in->store->installing);
    if (!in->stage) in->begun = begin(in, (str){0}, (str){0}); /* the snapshot of an empty store */
    in->store->installing = true;
    in->job.run = run_install;
}

const struct store_victims *store_install_victims(const struct store_install *in) { return in->victims; }

/* Another store may have been born, or have given up, since the first chunk. */
bool store_install_may_commit(const struct store_install *in)
{
    struct store_extents whole = {0};
    struct store_victims now;

    if (!in->extents) {
        store_extents_add_rest(&whole, in->store->options.keyspace_first,
                               in->store->options.keyspace_first + in->store->options.keyspace_count - 1);
    }
    err e = extents_claim(in->store, in->extents ? in->extents : &whole, &now);
    extents_done(&whole);
    return !e && now.count == in->victims->count &&
           mem_equal(now.part, in->victims->part, now.count * sizeof now.part[0]);
}

static void install_free(struct store_install *in)
{
    buf_done(&in->last_key);
    if (in->extents) extents_done(in->extents);
    mem_free(in->extents);
    mem_free(in->victims);
    mem_free(in);
}

err store_install_done(struct store_install *in)
{
    struct store *s = in->store;
    err e = in->job.result;
    assert(s->installing);
    assert(!in->stage);
    s->installing = false;
    if (!e && !MUTANT(install_keeps_front_rows)) store_retire_all(s);
    if (!e) e = extents_load(s);
    install_free(in);
    return e;
}

/* Before the job was submitted, or when it will not run any more. */
void store_install_abort(struct store_install *in)
{
    if (!in) return;
    if (in->job.run) in->store->installing = false;
    if (in->stage) in->store->kvs->ops->stage_abort(in->stage);
    install_free(in);
}
