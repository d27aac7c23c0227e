/* Blocking work on the log's files, in a job or at boot: make the next segment, retire the oldest.
 * The order of steps is what a crash in between relies on (docs/formats/wal.md, Files and
 * Recycling). */
#include "wal/wal_internal.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"

#define ZERO_BYTES (1 * MIB)

static err sync_file(struct env *env, struct file *f)
{
    if (MUTANT(wal_rename_before_sync)) return OK;
    return env->ops->file_sync(env, f);
}

static err sync_dir(struct wal_job *j)
{
    if (MUTANT(wal_dirsync_skipped)) return OK;
    return j->env->ops->dir_sync(j->env, j->dir);
}

/* Fill a new file with zeros, so that later writes into it change no metadata and need no space. */
static err fill_with_zeros(struct env *env, struct file *f, u64 bytes)
{
    size_t step = (size_t)u64_min(ZERO_BYTES, bytes);
    u8 *zero = mem_alloc_aligned(WAL_BLOCK, step);
    err e = OK;

    memset(zero, 0, step);
    for (u64 at = 0; at < bytes && !e; at += step)
        e = env->ops->file_pwrite(env, f, at, zero, (size_t)u64_min(step, bytes - at));
    mem_free(zero);
    return e;
}

static err write_header(struct env *env, struct file *f, const struct wal_file_header *h)
{
    u8 *block = mem_alloc_aligned(WAL_BLOCK, WAL_BLOCK);

    wal_file_encode(h, block);
    err e = env->ops->file_pwrite(env, f, 0, block, WAL_BLOCK);
    mem_free(block);
    return e;
}

/* Bring the file `name` into the state of an empty segment, durably, under its temporary name. */
static err make_contents(struct wal_job *j, const char *name)
{
    struct env *env = j->env;
    struct file *f;

    err e = env->ops->file_open(env, name, j->from_spare ? 0 : FILE_CREATE, &f);
    if (e) return e;
    if (!j->from_spare) {
        e = env->ops->file_truncate(env, f, 0);
        if (!e) e = fill_with_zeros(env, f, j->header.bytes);
    }
    if (!e) e = write_header(env, f, &j->header);
    if (!e) e = sync_file(env, f);
    env->ops->file_close(env, f);
    return e;
}

/* ERR_NO_SPACE means "nothing was changed, try again later". Past the point of no return it is a
 * failure like any other. */
static err final(err e)
{
    return e == ERR_NO_SPACE ? ERR_IO : e;
}

static err make(struct wal_job *j)
{
    const struct env_ops *ops = j->env->ops;
    char from[WAL_NAME_BYTES], to[WAL_NAME_BYTES];

    if (j->from_spare)
        wal_name_spare(from, j->dir, j->spare_seq);
    else
        wal_name_new(from, j->dir);
    wal_name_segment(to, j->dir, j->header.seq);

    err e = make_contents(j, from);
    if (!e) e = ops->file_rename(j->env, from, to);
    if (e) {
        /* What a failed write left is unknown: the file is not used again, and its space is given
         * back. That the unlink fails too changes nothing, a leftover is in nobody's way. */
        err ignored = ops->file_unlink(j->env, from);
        (void)ignored;
        return e;
    }
    e = sync_dir(j);
    if (e) return final(e);
    return final(ops->file_open(j->env, to, FILE_DIRECT, &j->file));
}

static err retire(struct wal_job *j)
{
    const struct env_ops *ops = j->env->ops;
    char from[WAL_NAME_BYTES], to[WAL_NAME_BYTES];
    err e;

    if (j->file) ops->file_close(j->env, j->file);
    j->file = NULL;
    wal_name_segment(from, j->dir, j->retire_seq);
    wal_name_spare(to, j->dir, j->retire_seq);
    if (j->keep)
        e = ops->file_rename(j->env, from, to);
    else
        e = ops->file_unlink(j->env, from);
    if (!e) e = sync_dir(j);
    return final(e);
}

void wal_job_run(struct env_job *job)
{
    struct wal_job *j = CONTAINER_OF(job, struct wal_job, job);

    switch (j->kind) {
    case WAL_JOB_MAKE: job->result = make(j); break;
    case WAL_JOB_RETIRE: job->result = retire(j); break;
    }
}
