/* Taking up the log again: replay, cut the torn tail, make what was replayed durable, go on behind
 * it. Nothing is written before the end of the log is known, and each write leaves the same log to
 * an open after a crash in the middle (docs/formats/wal.md, Open, crash by crash). */
#include "wal/wal_internal.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "base/mutant.h"

struct recovery {
    struct wal *w;
    struct wal_scan scan;
    wal_replay_fn on_frame;
    wal_damage_fn on_damage;
    void *context;
    bool traces; /* units were cut: they must be overwritten */
};

/* --- replay --- */

static void replay_unit(void *context, const struct wal_walk_unit *u)
{
    struct recovery *r = context;
    struct wal_segment *s = r->w->segments.at[u->file_at];
    struct wal_replayed frame;
    u32 at = WAL_UNIT_HEADER;

    if (u->problem) return;
    frame.lsn = s->end_lsn = u->header.lsn + u->span;
    while (wal_frame_next(u->bytes, u->header.len, &at, &frame.frame, &frame.payload)) {
        wal_reclaim_note(r->w, s, &frame.frame, frame.payload, frame.lsn);
        if (frame.frame.type != WAL_PAD) r->on_frame(r->context, &frame);
    }
}

static void replay_damage(void *context, const struct wal_damage *d)
{
    struct recovery *r = context;
    struct wal *w = r->w;

    if (!d->accepted) {
        env_log(w->env, LOG_ERROR,
                "wal: acknowledged units cannot be read dir=%s seq=%llu lsn_from=%llu lsn_to=%llu",
                w->config.dir, (unsigned long long)d->file_seq, (unsigned long long)d->lsn_from,
                (unsigned long long)d->lsn_to);
        w->damages = mem_resize_array(w->damages, w->damage_count + 1, sizeof *w->damages);
        w->damages[w->damage_count++] = *d;
    }
    r->on_damage(r->context, d);
}

/* Behind the tail the log is written anew: accepting damage there would hide what befalls the new units. */
static void forget_damage_behind(struct wal *w, u64 tail_lsn)
{
    u32 kept = 0;

    for (u32 i = 0; i < w->damage_count; i++) {
        struct wal_damage d = w->damages[i];
        d.lsn_to = u64_min(d.lsn_to, tail_lsn);
        if (d.lsn_from < d.lsn_to) w->damages[kept++] = d;
    }
    w->damage_count = kept;
}

/* --- files --- */

static err check_identity(struct recovery *r)
{
    struct wal *w = r->w;

    for (u32 i = 0; i < r->scan.count; i++) {
        if (r->scan.files[i].header.reactor == w->config.reactor) continue;
        env_log(w->env, LOG_ERROR,
                "wal: the log belongs to another reactor dir=%s found=%u wanted=%u", w->config.dir,
                r->scan.files[i].header.reactor, w->config.reactor);
        return ERR_WRONG_IDENTITY;
    }
    if (r->scan.count) {
        memcpy(w->uuid, r->scan.files[0].header.uuid, sizeof w->uuid);
    } else {
        put_u64(w->uuid, env_random(w->env));
        put_u64(w->uuid + 8, env_random(w->env));
    }
    return OK;
}

static err drop_leftovers(struct recovery *r)
{
    struct wal *w = r->w;
    const struct env_ops *ops = w->env->ops;
    char path[WAL_NAME_BYTES];
    err e = OK;

    if (r->scan.new_tmp) {
        wal_name_new(path, w->config.dir);
        e = ops->file_unlink(w->env, path);
    }
    for (u32 i = 0; i < r->scan.unneeded_count && !e; i++) {
        struct wal_scan_file *f = &r->scan.unneeded[i];
        ops->file_close(w->env, f->file);
        f->file = NULL;
        wal_name_segment(path, w->config.dir, f->name_seq);
        env_log(w->env, LOG_WARN, "wal: removing an unused file with an unreadable header path=%s",
                path);
        e = ops->file_unlink(w->env, path);
    }
    return e;
}

/* Keep spares of the right size, up to the limit. */
static err take_spares(struct recovery *r)
{
    struct wal *w = r->w;
    struct wal_segments *s = &w->segments;
    const struct env_ops *ops = w->env->ops;

    for (u32 i = 0; i < r->scan.spare_count; i++) {
        char path[WAL_NAME_BYTES];
        struct file *f;
        u64 bytes;

        wal_name_spare(path, w->config.dir, r->scan.spares[i]);
        err e = ops->file_open(w->env, path, FILE_READ_ONLY, &f);
        if (e) return e;
        e = ops->file_size(w->env, f, &bytes);
        ops->file_close(w->env, f);
        if (e) return e;
        if (bytes == w->config.segment_bytes && s->spare_count < WAL_SPARES_MAX)
            s->spares[s->spare_count++] = r->scan.spares[i];
        else
            e = ops->file_unlink(w->env, path);
        if (e) return e;
    }
    return OK;
}

/* --- the tail --- */

/* Zero every block from `offset` on that bears the mark of a unit of this place, with what its
 * length says it takes: written whole or in part, it was never acknowledged, and must not be found
 * behind the units to come. */
static err zero_traces(struct recovery *r, const struct wal_scan_file *f, u64 offset)
{
    const struct env_ops *ops = r->w->env->ops;
    struct wal_image image;
    u64 dirty_to = offset;

    err e = wal_image_read(r->w->env, f->file, f->header.bytes, &image);
    if (e) return e;
    for (u64 at = offset; at < image.len && !e; at += WAL_BLOCK) {
        struct wal_place place = {f->header.start_lsn + at - WAL_BLOCK, f->header.salt};
        u8 *block = image.bytes + at;
        if (wal_unit_is_trace(block, image.len - at, place)) {
            u64 span = round_up(get_u32(block + 36), WAL_BLOCK);
            dirty_to = u64_max(dirty_to, at + u64_max(WAL_BLOCK, u64_min(span, image.len - at)));
            r->traces = true;
        }
        if (at >= dirty_to) continue;
        memset(block, 0, WAL_BLOCK);
        e = ops->file_pwrite(r->w->env, f->file, at, block, WAL_BLOCK);
    }
    wal_image_done(&image);
    return e;
}

static err rewrite_header(struct recovery *r, const struct wal_scan_file *f)
{
    u8 *block = mem_alloc_aligned(WAL_BLOCK, WAL_BLOCK);

    env_log(r->w->env, LOG_WARN,
            "wal: one copy of a file header was unreadable, rewritten dir=%s seq=%llu",
            r->w->config.dir, (unsigned long long)f->header.seq);
    wal_file_encode(&f->header, block);
    err e = r->w->env->ops->file_pwrite(r->w->env, f->file, 0, block, WAL_BLOCK);
    mem_free(block);
    return e;
}

/* A killed process may have left bytes, and names, that only a cache holds. Everything that was
 * replayed, and the zeros behind it, is durable after this. */
static err make_durable(struct recovery *r)
{
    const struct env_ops *ops = r->w->env->ops;

    if (MUTANT(wal_replay_not_synced)) return OK;
    for (u32 i = 0; i < r->scan.count; i++) {
        const struct wal_scan_file *f = &r->scan.files[i];
        u64 limit = f->header.start_lsn + f->header.bytes - WAL_BLOCK;
        if (limit < r->scan.proven && !f->header_damaged) continue;
        err e = ops->file_sync(r->w->env, f->file);
        if (e) return e;
    }
    return ops->dir_sync(r->w->env, r->w->config.dir);
}

static err cut_tail(struct recovery *r, const struct wal_walk *k)
{
    err e = OK;

    for (u32 i = k->tail_at; i < r->scan.count && !e; i++)
        e = zero_traces(r, &r->scan.files[i], i == k->tail_at ? k->tail_offset : WAL_BLOCK);
    if (!e && r->traces)
        env_log(r->w->env, LOG_INFO, "wal: cut a torn tail dir=%s lsn=%llu", r->w->config.dir,
                (unsigned long long)k->tail_lsn);
    for (u32 i = 0; i < r->scan.count && !e; i++)
        if (r->scan.files[i].header_damaged) e = rewrite_header(r, &r->scan.files[i]);
    if (!e) e = make_durable(r);
    return e;
}

/* --- going on --- */

/* Keep the files that will be written open; the scan closes the others. */
static void take_files(struct recovery *r, const struct wal_walk *k)
{
    struct wal_segments *s = &r->w->segments;

    s->ready = s->count;
    s->head = k->tail_at < s->count ? k->tail_at : s->count - 1;
    for (u32 i = s->head; i < s->count; i++) {
        s->at[i]->file = r->scan.files[i].file;
        s->at[i]->salt = r->scan.files[i].header.salt;
        r->scan.files[i].file = NULL;
    }
}

static err go_on(struct recovery *r, const struct wal_walk *k)
{
    struct wal *w = r->w;
    struct wal_segments *s = &w->segments;
    nanos now = env_mono(w->env);

    if (s->count)
        take_files(r, k);
    else
        wal_segment_push(w, 1, 0, w->config.segment_bytes);
    wal_units_resume(w, k->tail_lsn, k->last_crc, now);
    err e = wal_segments_make_now(w, now);
    if (e) return e;
    if (s->ready == 0) return ERR_NO_SPACE;

    const struct wal_segment *head = s->at[s->head];
    bool room = w->units.cursor + WAL_BLOCK <= wal_segment_limit(head);
    return room || s->ready > s->head + 1 ? wal_units_prove_now(w) : OK;
}

static err replay(struct recovery *r, struct wal_walk *k)
{
    struct wal *w = r->w;

    for (u32 i = 0; i < r->scan.count; i++) {
        const struct wal_file_header *h = &r->scan.files[i].header;
        wal_segment_push(w, h->seq, h->start_lsn, h->bytes);
    }
    err e = wal_scan_prove(&r->scan);
    if (!e) e = wal_walk_run(k);
    if (e) return e;
    if (k->last_epoch > w->config.boot_epoch) {
        env_log(w->env, LOG_ERROR,
                "wal: written by a later boot than this one dir=%s epoch=%u now=%u", w->config.dir,
                k->last_epoch, w->config.boot_epoch);
        return ERR_STALE;
    }
    return OK;
}

err wal_recover(struct wal *w, wal_replay_fn on_frame, wal_damage_fn on_damage, void *context)
{
    struct recovery r = {.w = w, .on_frame = on_frame, .on_damage = on_damage, .context = context};
    struct wal_walk k = {
        .scan = &r.scan, .on_unit = replay_unit, .on_damage = replay_damage, .context = &r};

    err e = wal_scan_open(&r.scan, w->env, w->config.dir, FILE_DIRECT);
    if (e) return e;
    e = check_identity(&r);
    if (!e) e = replay(&r, &k);
    if (!e) forget_damage_behind(w, k.tail_lsn);
    if (!e) e = cut_tail(&r, &k);
    if (!e) e = drop_leftovers(&r);
    if (!e) e = take_spares(&r);
    if (!e) e = go_on(&r, &k);
    wal_walk_done(&k);
    wal_scan_done(&r.scan);
    return e;
}
