/* The files of the log: a row of segments, one of them the head where units are placed, always one
 * more made ahead. One piece of work on files runs at a time. */
#include "wal/wal_internal.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

#include <stdio.h>

/* --- names --- */

static void name_in(char *out, const char *dir, const char *prefix, u64 seq)
{
    int n = snprintf(out, WAL_NAME_BYTES, "%s/%s%016llx", dir, prefix, (unsigned long long)seq);

    assert(n > 0 && n < WAL_NAME_BYTES);
}

void wal_name_segment(char *out, const char *dir, u64 seq)
{
    name_in(out, dir, "", seq);
}
void wal_name_spare(char *out, const char *dir, u64 seq)
{
    name_in(out, dir, "spare-", seq);
}

void wal_name_new(char *out, const char *dir)
{
    int n = snprintf(out, WAL_NAME_BYTES, "%s/new.tmp", dir);

    assert(n > 0 && n < WAL_NAME_BYTES);
}

bool wal_name_parse(const char *name, u64 *seq, bool *spare)
{
    *spare = strncmp(name, "spare-", 6) == 0;
    if (*spare) name += 6;
    if (strlen(name) != 16) return false;
    u64 n = 0;
    for (; *name; name++) {
        if (*name >= '0' && *name <= '9')
            n = n << 4 | (u64)(*name - '0');
        else if (*name >= 'a' && *name <= 'f')
            n = n << 4 | (u64)(*name - 'a' + 10);
        else
            return false;
    }
    *seq = n;
    return n > 0;
}

u64 wal_salt_of(const struct wal *w, u64 seq)
{
    return hash_mix(w->config.salt, seq);
}

/* --- the row --- */

struct wal_segment *wal_segment_push(struct wal *w, u64 seq, u64 start_lsn, u64 bytes)
{
    struct wal_segments *s = &w->segments;
    struct wal_segment *g = mem_zalloc(sizeof *g);

    if (s->count) {
        assert(seq == s->at[s->count - 1]->seq + 1);
        assert(start_lsn == wal_segment_limit(s->at[s->count - 1]));
    }
    if (s->count == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 8;
        s->at = mem_resize_array(s->at, s->cap, sizeof *s->at);
    }
    g->seq = seq;
    g->start_lsn = g->end_lsn = start_lsn;
    g->bytes = bytes;
    s->at[s->count++] = g;
    return g;
}

/* One segment beyond the head is always wanted. */
static void want_next(struct wal *w)
{
    struct wal_segments *s = &w->segments;

    while (s->count < s->head + 2) {
        const struct wal_segment *last = s->at[s->count - 1];
        wal_segment_push(w, last->seq + 1, wal_segment_limit(last), w->config.segment_bytes);
    }
}

struct wal_segment *wal_segments_advance(struct wal *w)
{
    struct wal_segments *s = &w->segments;

    s->head++;
    assert(s->head < s->count);
    want_next(w);
    return s->at[s->head];
}

static void segment_free(struct wal *w, struct wal_segment *g)
{
    if (g->file) w->env->ops->file_close(w->env, g->file);
    mem_free(g->uses);
    mem_free(g);
}

void wal_segments_free(struct wal *w)
{
    struct wal_segments *s = &w->segments;

    for (u32 i = 0; i < s->count; i++) segment_free(w, s->at[i]);
    mem_free(s->at);
    if (w->job.file) w->env->ops->file_close(w->env, w->job.file);
}

/* --- work --- */

static void plan_make(struct wal *w)
{
    struct wal_segments *s = &w->segments;
    struct wal_segment *g = s->at[s->ready];
    struct wal_job *j = &w->job;

    j->kind = WAL_JOB_MAKE;
    j->from_spare = s->spare_count > 0;
    if (j->from_spare) j->spare_seq = s->spares[--s->spare_count];
    j->header = (struct wal_file_header){
        .reactor = w->config.reactor,
        .seq = g->seq,
        .start_lsn = g->start_lsn,
        .salt = wal_salt_of(w, g->seq),
        .bytes = g->bytes,
    };
    memcpy(j->header.uuid, w->uuid, sizeof w->uuid);
    j->file = NULL;
}

static void plan_retire(struct wal *w)
{
    struct wal_segments *s = &w->segments;
    struct wal_segment *g = s->at[0];
    struct wal_job *j = &w->job;

    assert(s->head > 0);
    j->kind = WAL_JOB_RETIRE;
    j->retire_seq = g->seq;
    j->keep = s->spare_count < WAL_SPARES_MAX && g->bytes == w->config.segment_bytes;
    j->file = g->file;
    g->file = NULL;

    mem_free(g->uses);
    mem_free(g);
    s->count--;
    s->head--;
    s->ready--;
    memmove(s->at, s->at + 1, s->count * sizeof *s->at);
}

static void start(struct wal *w)
{
    w->job.running = true;
    w->job.job.result = OK;
    env_job_submit(w->env, &w->job.job);
}

static void become_full(struct wal *w, nanos now)
{
    if (!w->stats.full)
        env_log(w->env, LOG_ERROR, "wal: no space for the next segment, writes are refused dir=%s",
                w->config.dir);
    w->stats.times_full += !w->stats.full;
    w->stats.full = true;
    w->segments.retry_at = now + WAL_RETRY_FULL;
}

void wal_segments_maintain(struct wal *w, nanos now)
{
    struct wal_segments *s = &w->segments;
    bool lacking = wal_segments_lacking(s);

    if (w->failed || w->job.running) return;
    if (lacking && s->spare_count > 0) {
        plan_make(w);
        start(w);
    } else if (wal_reclaim_may_retire(w)) {
        plan_retire(w);
        start(w);
    } else if (lacking && s->holders) {
        become_full(w, now);
    } else if (lacking && (!w->stats.full || now >= s->retry_at)) {
        plan_make(w);
        start(w);
    }
}

static err make_done(struct wal *w, nanos now)
{
    struct wal_segments *s = &w->segments;
    struct wal_job *j = &w->job;

    if (j->job.result == ERR_NO_SPACE) {
        become_full(w, now);
        return OK;
    }
    if (j->job.result) return j->job.result;

    struct wal_segment *g = s->at[s->ready];
    assert(g->seq == j->header.seq);
    g->file = j->file;
    g->salt = j->header.salt;
    j->file = NULL;
    s->ready++;
    if (w->stats.full)
        env_log(w->env, LOG_INFO, "wal: space again, writes are taken dir=%s", w->config.dir);
    w->stats.full = false;
    if (j->from_spare) w->stats.recycled++;
    return OK;
}

err wal_segments_job_done(struct wal *w, nanos now)
{
    struct wal_segments *s = &w->segments;
    struct wal_job *j = &w->job;

    j->running = false;
    if (j->kind == WAL_JOB_MAKE) return make_done(w, now);
    if (!j->job.result && j->keep) s->spares[s->spare_count++] = j->retire_seq;
    return j->job.result;
}

err wal_segments_make_now(struct wal *w, nanos now)
{
    struct wal_segments *s = &w->segments;

    want_next(w);
    while (wal_segments_lacking(s)) {
        plan_make(w);
        wal_job_run(&w->job.job);
        err e = make_done(w, now);
        if (e) return e;
        if (w->stats.full) return OK;
    }
    return OK;
}
