/* The door: opening, the turn's calls, watermarks. Decisions are in the files wal_internal.h names.
 */
#include "wal/wal_internal.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "base/mutant.h"

/* --- opening --- */

/* What entries may use of a segment; the rest is kept for hard state when space is out. */
static u64 reserve_of(u64 segment_bytes)
{
    return round_up((segment_bytes - WAL_BLOCK) / 8, WAL_BLOCK);
}

/* With its unit's header, and the reserve beside it. */
bool wal_segment_holds(u64 segment_bytes, size_t frame_bytes)
{
    return segment_bytes >= 4 * WAL_BLOCK &&
           WAL_UNIT_HEADER + wal_frame_bytes(frame_bytes) + WAL_BLOCK + reserve_of(segment_bytes) <= segment_bytes - WAL_BLOCK;
}

static err check_config(const struct wal_config *c)
{
    u64 largest = WAL_UNIT_HEADER + wal_frame_bytes(c->frame_bytes_max);

    if (c->segment_bytes % WAL_BLOCK || c->segment_bytes < 4 * WAL_BLOCK) return ERR_INVALID;
    if (c->segment_bytes / WAL_BLOCK > UINT32_MAX) return ERR_INVALID;
    if (c->unit_bytes_max % WAL_BLOCK || c->unit_bytes_max == 0) return ERR_INVALID;
    if (c->units_in_flight_max < 1 || c->units_in_flight_max > 2) return ERR_INVALID;
    if (c->frame_bytes_max > UINT32_MAX / 2 || c->unit_bytes_max > UINT32_MAX / 2)
        return ERR_INVALID;
    if (strlen(c->dir) + 32 > WAL_NAME_BYTES) return ERR_INVALID;
    /* The largest frame must find room in a fresh segment, and in the backlog. */
    if (!wal_segment_holds(c->segment_bytes, c->frame_bytes_max)) return ERR_INVALID;
    return c->backlog_bytes_max >= largest ? OK : ERR_INVALID;
}

/* Make config.dir and its parents, names durable. */
static err make_dirs(struct env *env, const char *dir)
{
    char path[WAL_NAME_BYTES], parent[WAL_NAME_BYTES] = "";

    for (size_t i = 1; i <= strlen(dir); i++) {
        if (dir[i] && dir[i] != '/') continue;
        memcpy(path, dir, i);
        path[i] = 0;
        err e = env->ops->dir_make(env, path);
        if (!e) e = env->ops->dir_sync(env, parent);
        if (e) return e;
        memcpy(parent, path, i + 1);
    }
    return OK;
}

static void refresh_stats(struct wal *w)
{
    w->stats.durable_lsn = w->units.durable;
    w->stats.staged_lsn = w->units.staged;
    w->stats.segments = w->segments.count;
}

err wal_open(struct env *env, const struct wal_config *config, wal_replay_fn on_frame,
             wal_damage_fn on_damage, void *context, struct wal **out)
{
    err e = check_config(config);
    if (e) return e;
    e = make_dirs(env, config->dir);
    if (e) return e;

    struct wal *w = mem_zalloc(sizeof *w);
    w->env = env;
    w->config = *config;
    w->config.dir = mem_strdup(config->dir);
    w->reserve = reserve_of(config->segment_bytes);
    w->job.env = env;
    w->job.dir = w->config.dir;
    w->job.job.run = wal_job_run;
    w->job.job.owner = w;
    list_init(&w->job.job.link);
    wal_units_init(w);

    e = wal_recover(w, on_frame, on_damage, context);
    if (e) {
        wal_free(w);
        return e;
    }
    refresh_stats(w);
    *out = w;
    return OK;
}

void wal_free(struct wal *w)
{
    if (!w) return;
    wal_units_free(w);
    wal_reclaim_free(w);
    wal_segments_free(w);
    mem_free(w->damages);
    mem_free((void *)(uintptr_t)w->config.dir);
    mem_free(w);
}

/* --- the turn --- */

u64 wal_stage(struct wal *w, const struct wal_frame *f, const str *parts, u32 count)
{
    if (w->failed) return UINT64_MAX; /* never durable */
    return wal_stage_frame(w, f, parts, count);
}

/* Bytes that find their place in segments that exist, as one unit, leaving `reserve` of the last of them. What a row
 * of units loses by headers and blocks comes out of the reserve. */
static u64 space_ready(const struct wal *w, u64 reserve)
{
    const struct wal_segments *s = &w->segments;

    if (s->head >= s->ready) return 0;
    u64 limit = wal_segment_limit(s->at[s->head]);
    u64 end = wal_units_end(w), space = limit > end ? limit - end : 0;
    if (s->head + 1 < s->ready) {
        /* Should it not fit here it goes there, and the end of this file stays unused. */
        space = u64_max(space, s->at[s->head + 1]->bytes - WAL_BLOCK - reserve);
    } else {
        space = space > reserve ? space - reserve : 0;
    }
    return space > WAL_UNIT_HEADER ? space - WAL_UNIT_HEADER : 0;
}

size_t wal_room(const struct wal *w)
{
    if (w->failed || w->stats.full) return 0;
    if (w->units.backlog >= w->config.backlog_bytes_max) return 0;

    return size_min(w->config.backlog_bytes_max - w->units.backlog, (size_t)space_ready(w, w->reserve));
}

size_t wal_space(const struct wal *w)
{
    if (w->failed || w->units.backlog >= w->config.backlog_bytes_max) return 0;
    return (size_t)space_ready(w, w->stats.full ? w->reserve / 2 : w->reserve);
}

void wal_hold(struct wal *w, bool hold)
{
    assert(hold || w->segments.holders > 0);
    w->segments.holders += hold ? 1 : -1u;
    if (!w->segments.holders) w->segments.retry_at = 0;
}

void wal_flush(struct wal *w, nanos now)
{
    if (w->failed) return;
    wal_reclaim_restage(w);
    wal_units_submit(w, now);
    wal_segments_maintain(w, now);
    refresh_stats(w);
}

nanos wal_deadline(const struct wal *w)
{
    nanos proof = wal_units_proof_at(w);

    if (w->failed) return NANOS_NEVER;
    if (w->stats.full && !w->job.running) return u64_min(proof, w->segments.retry_at);
    return proof;
}

bool wal_owns_op(const struct wal *w, const struct disk_op *op)
{
    return op->owner == w;
}
bool wal_owns_job(const struct wal *w, const struct env_job *job)
{
    return job == &w->job.job;
}

err wal_on_disk_done(struct wal *w, struct disk_op *op, nanos now)
{
    assert(wal_owns_op(w, op));
    if (op->result && !MUTANT(wal_write_error_ignored)) {
        /* What the disk holds now is unknown, and asking again may get a lie. Never retried. */
        if (!w->failed)
            env_log(w->env, LOG_ERROR,
                    "wal: a write failed, the log stops dir=%s offset=%llu error=\"%s\"",
                    w->config.dir, (unsigned long long)op->offset, err_text(op->result));
        if (!w->failed) w->failed = op->result;
    }
    if (w->failed) return w->failed;
    wal_units_done(w, CONTAINER_OF(op, struct wal_unit, op), now);
    refresh_stats(w);
    return OK;
}

err wal_on_job_done(struct wal *w, struct env_job *job, nanos now)
{
    assert(wal_owns_job(w, job));
    err e = wal_segments_job_done(w, now);
    if (e && !w->failed) {
        env_log(w->env, LOG_ERROR,
                "wal: work on its files failed, the log stops dir=%s error=\"%s\"", w->config.dir,
                err_text(e));
        w->failed = e;
    }
    return w->failed;
}

/* --- watermarks and upkeep --- */

u64 wal_durable(const struct wal *w)
{
    return w->units.durable;
}
u64 wal_staged(const struct wal *w)
{
    return w->units.staged;
}
void wal_release(struct wal *w, u64 part, u64 index)
{
    wal_reclaim_release(w, part, index);
}

void wal_forget(struct wal *w, u64 part)
{
    wal_reclaim_forget(w, part);
}

void wal_forget_others(struct wal *w, bool (*is_known)(void *context, u64 part), void *context)
{
    wal_reclaim_forget_others(w, is_known, context);
}

u64 wal_bytes_live(const struct wal *w)
{
    return wal_units_end(w) - w->segments.at[0]->start_lsn;
}

void wal_accept_damage(struct wal *w)
{
    struct wal_frame pad = {.type = WAL_PAD};

    for (u32 i = 0; i < w->damage_count; i++) {
        u8 range[WAL_ACCEPT_BYTES];
        str payload = str_from(range, sizeof range);
        put_u64(range, w->damages[i].lsn_from);
        put_u64(range + 8, w->damages[i].lsn_to);
        wal_stage(w, &pad, &payload, 1);
    }
    w->damage_count = 0;
}

const struct wal_stats *wal_stats(const struct wal *w)
{
    return &w->stats;
}

void wal_pressure(const struct wal *w, struct wal_pressure *out)
{
    *out = (struct wal_pressure){.backlog_bytes = w->units.backlog,
                                 .backlog_bytes_max = w->config.backlog_bytes_max,
                                 .reserve_bytes = w->reserve};
}
