/* Rows in: chunks of a snapshot are staged beside the live rows; a job makes them the store's in
 * one atomic step. */
#include "store/store_internal.h"

err store_install_new(struct store *s, struct store_install **out)
{
    struct kvs_stage *stage;
    struct store_ranges ranges;
    store_ranges_init(&ranges, &s->options);
    err e = s->kvs->ops->stage_new(s->kvs, ranges.range, STORE_RANGES, &stage);
    store_ranges_done(&ranges);
    if (e) return e;
    struct store_install *in = mem_zalloc(sizeof *in);
    in->store = s;
    in->stage = stage;
    *out = in;
    return OK;
}

/* Chunks come from another node, frame-checked; that they are rows of this partition, each once and
 * in order, is checked here, before the kvs sees them. */
err store_install_chunk(struct store_install *in, str chunk)
{
    const struct kvs_ops *ops = in->store->kvs->ops;
    if (!chunk.len) return OK; /* the snapshot of an empty store */
    struct reader r = reader_of(chunk);
    while (reader_left(&r)) {
        u32 klen = reader_u32(&r);
        u32 vlen = reader_u32(&r);
        str key = reader_str(&r, klen);
        str value = reader_str(&r, vlen);
        if (r.bad || !key_is_of_store(key, &in->store->options)) return ERR_MALFORMED;
        if (in->last_key.len && str_compare(buf_str(&in->last_key), key) >= 0) return ERR_MALFORMED;
        err e = ops->stage_add(in->stage, key, value);
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
    job->result = in->store->kvs->ops->stage_commit(stage);
}

void store_install_prepare(struct store_install *in)
{
    assert(!in->store->running); /* one operation on the store at a time */
    assert(!in->store->installing);
    in->store->installing = true;
    in->job.run = run_install;
}

static void install_free(struct store_install *in)
{
    buf_done(&in->last_key);
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
