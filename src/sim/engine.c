#include "sim/engine.h"

#include "base/mem.h"
#include "sim/disk.h"

struct engine {
    struct disk *disk;
    struct kvs_image *image;
    struct kvs_ops ops; /* the inner engine's, with the durable steps replaced */
};

struct sim_kvs {
    struct kvs base;
    struct engine *engine;
    struct kvs *inner;
};

struct sim_stage { /* handed out as a struct kvs_stage */
    struct engine *engine;
    struct kvs *kvs;
    struct kvs_stage *inner;
};

static struct sim_kvs *sim(struct kvs *k) { return (struct sim_kvs *)(void *)k; }
static struct kvs *inner(struct kvs *k) { return sim(k)->inner; }

static err sim_get(struct kvs *k, str key, struct buf *out, bool *found)
{
    return inner(k)->ops->get(inner(k), key, out, found);
}

static struct kvs_snapshot *sim_snapshot_new(struct kvs *k) { return inner(k)->ops->snapshot_new(inner(k)); }
static void sim_snapshot_free(struct kvs *k, struct kvs_snapshot *s) { inner(k)->ops->snapshot_free(inner(k), s); }

static struct kvs_iter *sim_iter_new(struct kvs *k, struct kvs_snapshot *s)
{
    return inner(k)->ops->iter_new(inner(k), s);
}

static err sim_ingest(struct kvs *k, const struct kvs_range *ranges, u32 range_count,
                      const struct kvs_row *rows, size_t row_count)
{
    err failed = disk_engine_call(sim(k)->engine->disk, true);
    if (failed) return failed;
    failed = inner(k)->ops->ingest(inner(k), ranges, range_count, rows, row_count);
    if (failed) return failed;
    return disk_engine_call(sim(k)->engine->disk, false); /* it may die with the rows on disk, unreported */
}

static err sim_stage_new(struct kvs *k, const struct kvs_range *ranges, u32 count,
                         struct kvs_stage **out)
{
    struct kvs_stage *stage;
    err failed = inner(k)->ops->stage_new(inner(k), ranges, count, &stage);
    if (failed) return failed;
    struct sim_stage *s = mem_zalloc(sizeof *s);
    *s = (struct sim_stage){.engine = sim(k)->engine, .kvs = inner(k), .inner = stage};
    *out = (struct kvs_stage *)(void *)s;
    return OK;
}

static err sim_stage_add(struct kvs_stage *stage, str key, str value)
{
    struct sim_stage *s = (struct sim_stage *)(void *)stage;
    return s->kvs->ops->stage_add(s->inner, key, value);
}

static void sim_stage_abort(struct kvs_stage *stage)
{
    struct sim_stage *s = (struct sim_stage *)(void *)stage;
    s->kvs->ops->stage_abort(s->inner);
    mem_free(s);
}

static err sim_stage_commit(struct kvs_stage *stage)
{
    struct sim_stage *s = (struct sim_stage *)(void *)stage;
    struct disk *d = s->engine->disk;
    err failed = disk_engine_call(d, true);

    if (failed) {
        sim_stage_abort(stage);
        return failed;
    }
    failed = s->kvs->ops->stage_commit(s->inner);
    mem_free(s);
    if (failed) return failed;
    return disk_engine_call(d, false);
}

static u64 sim_bytes_on_disk(struct kvs *k) { return inner(k)->ops->bytes_on_disk(inner(k)); }

static void sim_close(struct kvs *k)
{
    inner(k)->ops->close(inner(k));
    mem_free(k);
}

struct engine *engine_new(struct disk *d)
{
    struct engine *e = mem_zalloc(sizeof *e);
    e->disk = d;
    e->image = kvs_image_new();
    return e;
}

void engine_free(struct engine *e)
{
    if (!e) return;
    kvs_image_free(e->image);
    mem_free(e);
}

void engine_wipe(struct engine *e)
{
    kvs_image_free(e->image);
    e->image = kvs_image_new();
}

err engine_open(void *engine, struct kvs **out, char *problem, size_t problem_size)
{
    struct engine *e = engine;
    (void)problem;
    (void)problem_size;
    err failed = disk_engine_call(e->disk, false);
    if (failed) return failed;

    struct sim_kvs *k = mem_zalloc(sizeof *k);
    k->engine = e;
    k->inner = kvs_memory_open(e->image);
    e->ops = *k->inner->ops; /* iterators are the inner engine's own */
    e->ops.get = sim_get;
    e->ops.snapshot_new = sim_snapshot_new;
    e->ops.snapshot_free = sim_snapshot_free;
    e->ops.iter_new = sim_iter_new;
    e->ops.ingest = sim_ingest;
    e->ops.stage_new = sim_stage_new;
    e->ops.stage_add = sim_stage_add;
    e->ops.stage_commit = sim_stage_commit;
    e->ops.stage_abort = sim_stage_abort;
    e->ops.bytes_on_disk = sim_bytes_on_disk;
    e->ops.close = sim_close;
    k->base.ops = &e->ops;
    *out = &k->base;
    return OK;
}
