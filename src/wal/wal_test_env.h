/* For tests only: a world of files in memory that forgets what was not made durable.
 *
 * A file has what a reader sees now and what is on the medium; blocking writes are pending until
 * its sync, names until their directory's. Durable writes (disk ops) wait until the test completes
 * them, in any order. fake_crash loses, keeps or tears what is pending, 512 bytes at a time. Every
 * call that changes something is one step: the world may end at step `crash_at`, or the step fail
 * with `fail_with`. */
#pragma once

#include "base/assert.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/prng.h"
#include "env/env.h"

#include <stdio.h>
#include <stdlib.h>

#define FAKE_SECTOR    512
#define FAKE_FILES_MAX 256
#define FAKE_OPS_MAX   64

struct fake_write {
    u64 offset;
    size_t bytes;
    u8 *data;
};

struct fake_file { /* an inode */
    u8 *now, *medium;
    u64 now_bytes, medium_bytes, cap;
    struct fake_write *pending;
    u32 pending_count;
    u64 bad_from, bad_to; /* reading this range fails */
};

struct fake_name {
    char path[96];
    struct fake_file *file; /* NULL: a directory */
};

enum fake_dir_op { FAKE_LINK, FAKE_RENAME, FAKE_UNLINK };

struct fake_dir_change {
    enum fake_dir_op kind;
    char path[96], to[96];
    struct fake_file *file;
};

struct file { /* a handle */
    struct fake_file *file;
    struct list link;
};

enum fake_crash_mode { FAKE_LOSE, FAKE_KEEP, FAKE_REORDER, FAKE_TEAR, FAKE_CRASH_MODES };

struct fake_env {
    struct env env;
    struct prng prng;
    struct fake_file *files[FAKE_FILES_MAX]; /* all that ever were */
    u32 file_count;
    struct fake_name now[FAKE_FILES_MAX], medium[FAKE_FILES_MAX];
    u32 now_count, medium_count;
    struct fake_dir_change changes[FAKE_FILES_MAX];
    u32 change_count;
    struct list handles;
    struct disk_op *ops[FAKE_OPS_MAX];
    struct fake_file *op_files[FAKE_OPS_MAX]; /* of each op, by its handle at submit */
    u32 op_count;
    struct env_job *job; /* submitted, not run */

    u64 steps, crash_at, fail_at; /* 0: never */
    err fail_with;
    bool crashed, failed_once;
    u64 space; /* bytes all files may have together */
    nanos clock;
    u64 syncs;
};

#define FAKE static __attribute__((unused))

/* --- bookkeeping --- */

FAKE struct fake_env *fake_of(struct env *e)
{
    return CONTAINER_OF(e, struct fake_env, env);
}

/* One step. OK, or the error with which the call ends without doing its work. */
FAKE err fake_step(struct fake_env *f)
{
    if (f->crashed) return ERR_IO;
    f->steps++;
    if (f->crash_at && f->steps == f->crash_at) {
        f->crashed = true;
        return ERR_IO;
    }
    if (f->fail_at && f->steps == f->fail_at) {
        f->failed_once = true;
        return f->fail_with;
    }
    return OK;
}

FAKE struct fake_name *fake_find(struct fake_name *names, u32 count, const char *path)
{
    for (u32 i = 0; i < count; i++)
        if (!strcmp(names[i].path, path)) return &names[i];
    return NULL;
}

FAKE struct fake_file *fake_file_at(struct fake_env *f, const char *path)
{
    struct fake_name *n = fake_find(f->now, f->now_count, path);
    return n ? n->file : NULL;
}

FAKE void fake_name_set(struct fake_name *names, u32 *count, const char *path,
                        struct fake_file *file)
{
    struct fake_name *n = fake_find(names, *count, path);

    if (!n) {
        assert(*count < FAKE_FILES_MAX);
        n = &names[(*count)++];
        snprintf(n->path, sizeof n->path, "%s", path);
    }
    n->file = file;
}

FAKE void fake_name_drop(struct fake_name *names, u32 *count, const char *path)
{
    struct fake_name *n = fake_find(names, *count, path);
    if (n) *n = names[--*count];
}

FAKE void fake_dir_of(const char *path, char *out)
{
    const char *slash = strrchr(path, '/');
    size_t bytes = slash ? (size_t)(slash - path) : 0;

    mem_copy(out, path, bytes);
    out[bytes] = 0;
}

FAKE void fake_change(struct fake_env *f, enum fake_dir_op kind, const char *path, const char *to,
                      struct fake_file *file)
{
    assert(f->change_count < FAKE_FILES_MAX);
    struct fake_dir_change *c = &f->changes[f->change_count++];
    *c = (struct fake_dir_change){.kind = kind, .file = file};
    snprintf(c->path, sizeof c->path, "%s", path);
    snprintf(c->to, sizeof c->to, "%s", to ? to : "");
}

FAKE void fake_apply_change(struct fake_env *f, const struct fake_dir_change *c)
{
    if (c->kind == FAKE_LINK) fake_name_set(f->medium, &f->medium_count, c->path, c->file);
    if (c->kind == FAKE_UNLINK) fake_name_drop(f->medium, &f->medium_count, c->path);
    if (c->kind == FAKE_RENAME) {
        fake_name_drop(f->medium, &f->medium_count, c->path);
        fake_name_set(f->medium, &f->medium_count, c->to, c->file);
    }
}

FAKE void fake_grow(struct fake_file *file, u64 bytes)
{
    if (bytes <= file->cap) return;
    file->now = mem_resize(file->now, bytes);
    file->medium = mem_resize(file->medium, bytes);
    memset(file->now + file->cap, 0, bytes - file->cap);
    memset(file->medium + file->cap, 0, bytes - file->cap);
    file->cap = bytes;
}

FAKE void fake_put(u8 *bytes, u64 *size, u64 offset, const u8 *data, size_t count)
{
    if (count == 0) return;
    mem_copy(bytes + offset, data, count);
    *size = u64_max(*size, offset + count);
}

FAKE void fake_pend(struct fake_file *file, u64 offset, const void *data, size_t bytes)
{
    file->pending = mem_resize_array(file->pending, file->pending_count + 1, sizeof *file->pending);
    file->pending[file->pending_count++] = (struct fake_write){
        .offset = offset, .bytes = bytes, .data = mem_copy_of(data, bytes)};
}

FAKE void fake_pending_clear(struct fake_file *file)
{
    for (u32 i = 0; i < file->pending_count; i++) mem_free(file->pending[i].data);
    mem_free(file->pending);
    file->pending = NULL;
    file->pending_count = 0;
}

FAKE u64 fake_bytes_used(const struct fake_env *f)
{
    u64 total = 0;
    for (u32 i = 0; i < f->now_count; i++)
        if (f->now[i].file) total += f->now[i].file->now_bytes;
    return total;
}

/* --- operations --- */

FAKE nanos fake_mono(struct env *e)
{
    return fake_of(e)->clock;
}
FAKE u64 fake_random(struct env *e)
{
    return prng_next(&fake_of(e)->prng);
}

FAKE void fake_disk_submit(struct env *e, struct disk_op *op)
{
    struct fake_env *f = fake_of(e);

    assert(op->offset % 4096 == 0 && op->bytes % 4096 == 0 && (uintptr_t)op->data % 4096 == 0);
    if (f->crashed) return;
    assert(f->op_count < FAKE_OPS_MAX);
    assert(op->offset + op->bytes <= op->file->file->now_bytes); /* never grows a file */
    f->op_files[f->op_count] = op->file->file;
    f->ops[f->op_count++] = op;
}

FAKE void fake_job_submit(struct env *e, struct env_job *job)
{
    struct fake_env *f = fake_of(e);

    if (f->crashed) return;
    assert(!f->job);
    f->job = job;
}

FAKE err fake_open(struct env *e, const char *path, u32 flags, struct file **out)
{
    struct fake_env *f = fake_of(e);
    struct fake_name *n = fake_find(f->now, f->now_count, path);
    char dir[96];

    if (f->crashed) return ERR_IO;
    fake_dir_of(path, dir);
    if (dir[0] && !fake_find(f->now, f->now_count, dir)) return ERR_NOT_FOUND;
    if (!n && !(flags & FILE_CREATE)) return ERR_NOT_FOUND;
    if (n && (flags & FILE_EXCLUSIVE)) return ERR_EXISTS;
    struct fake_file *file = n ? n->file : NULL;
    if (!n) {
        err failed = fake_step(f);
        if (failed) return failed;
        file = mem_zalloc(sizeof *file);
        assert(f->file_count < FAKE_FILES_MAX);
        f->files[f->file_count++] = file;
        fake_name_set(f->now, &f->now_count, path, file);
        fake_change(f, FAKE_LINK, path, NULL, file);
    }
    struct file *h = mem_zalloc(sizeof *h);
    h->file = file;
    list_push(&f->handles, &h->link);
    *out = h;
    return OK;
}

FAKE void fake_close(struct env *e, struct file *h)
{
    (void)e;
    list_remove(&h->link);
    mem_free(h);
}

FAKE err fake_size(struct env *e, struct file *h, u64 *out)
{
    if (fake_of(e)->crashed) return ERR_IO;
    *out = h->file->now_bytes;
    return OK;
}

FAKE err fake_pread(struct env *e, struct file *h, u64 offset, void *to, size_t bytes, size_t *got)
{
    struct fake_file *file = h->file;

    *got = 0;
    if (fake_of(e)->crashed) return ERR_IO;
    if (offset < file->bad_to && file->bad_from < offset + bytes) return ERR_IO;
    if (offset >= file->now_bytes) return OK;
    *got = (size_t)u64_min(bytes, file->now_bytes - offset);
    mem_copy(to, file->now + offset, *got);
    return OK;
}

FAKE err fake_pwrite(struct env *e, struct file *h, u64 offset, const void *from, size_t bytes)
{
    struct fake_env *f = fake_of(e);
    struct fake_file *file = h->file;
    u64 grows = offset + bytes > file->now_bytes ? offset + bytes - file->now_bytes : 0;

    err failed = fake_step(f);
    if (failed && !(f->crashed && f->steps == f->crash_at)) return failed;
    if (grows && fake_bytes_used(f) + grows > f->space) return ERR_NO_SPACE;
    fake_grow(file, offset + bytes);
    fake_put(file->now, &file->now_bytes, offset, from, bytes);
    fake_pend(file, offset, from, bytes);
    if (f->crashed) f->steps++; /* the crash met this write on its way */
    return failed;
}

FAKE err fake_sync(struct env *e, struct file *h)
{
    struct fake_env *f = fake_of(e);
    struct fake_file *file = h->file;

    err failed = fake_step(f);
    if (f->crashed) return failed;
    if (failed) {
        /* As Linux does: the pages are clean now, what reached the medium nobody knows. */
        for (u32 i = 0; i < file->pending_count; i++)
            if (prng_below(&f->prng, 2))
                fake_put(file->medium, &file->medium_bytes, file->pending[i].offset,
                         file->pending[i].data, file->pending[i].bytes);
        fake_pending_clear(file);
        return failed;
    }
    f->syncs++;
    for (u32 i = 0; i < file->pending_count; i++)
        fake_put(file->medium, &file->medium_bytes, file->pending[i].offset, file->pending[i].data,
                 file->pending[i].bytes);
    fake_pending_clear(file);
    return OK;
}

FAKE err fake_truncate(struct env *e, struct file *h, u64 bytes)
{
    err failed = fake_step(fake_of(e));
    if (failed) return failed;
    fake_grow(h->file, bytes);
    if (bytes < h->file->now_bytes) memset(h->file->now + bytes, 0, h->file->now_bytes - bytes);
    if (bytes < h->file->medium_bytes)
        memset(h->file->medium + bytes, 0, h->file->medium_bytes - bytes);
    fake_pending_clear(h->file);
    h->file->now_bytes = h->file->medium_bytes = bytes; /* journalled: taken as durable at once */
    return OK;
}

FAKE err fake_rename(struct env *e, const char *from, const char *to)
{
    struct fake_env *f = fake_of(e);
    struct fake_name *n = fake_find(f->now, f->now_count, from);

    err failed = fake_step(f);
    if (failed) return failed;
    if (!n) return ERR_NOT_FOUND;
    struct fake_file *file = n->file;
    fake_name_drop(f->now, &f->now_count, from);
    fake_name_set(f->now, &f->now_count, to, file);
    fake_change(f, FAKE_RENAME, from, to, file);
    return OK;
}

FAKE err fake_unlink(struct env *e, const char *path)
{
    struct fake_env *f = fake_of(e);

    err failed = fake_step(f);
    if (failed) return failed;
    if (!fake_find(f->now, f->now_count, path)) return ERR_NOT_FOUND;
    fake_name_drop(f->now, &f->now_count, path);
    fake_change(f, FAKE_UNLINK, path, NULL, NULL);
    return OK;
}

FAKE err fake_dir_make(struct env *e, const char *path)
{
    struct fake_env *f = fake_of(e);

    err failed = fake_step(f);
    if (failed) return failed;
    if (fake_find(f->now, f->now_count, path)) return OK;
    fake_name_set(f->now, &f->now_count, path, NULL);
    fake_change(f, FAKE_LINK, path, NULL, NULL);
    return OK;
}

FAKE err fake_dir_sync(struct env *e, const char *path)
{
    struct fake_env *f = fake_of(e);
    u32 left = 0;

    err failed = fake_step(f);
    if (failed) return failed;
    for (u32 i = 0; i < f->change_count; i++) {
        char dir[96];
        fake_dir_of(f->changes[i].path, dir);
        if (strcmp(dir, path))
            f->changes[left++] = f->changes[i];
        else
            fake_apply_change(f, &f->changes[i]);
    }
    f->change_count = left;
    return OK;
}

FAKE int fake_order(const void *a, const void *b)
{
    return strcmp(((const struct fake_name *)a)->path, ((const struct fake_name *)b)->path);
}

FAKE err fake_dir_list(struct env *e, const char *path, struct buf *names)
{
    struct fake_env *f = fake_of(e);
    size_t len = strlen(path);

    if (f->crashed) return ERR_IO;
    if (!fake_find(f->now, f->now_count, path)) return ERR_NOT_FOUND;
    qsort(f->now, f->now_count, sizeof f->now[0], fake_order);
    for (u32 i = 0; i < f->now_count; i++) {
        const char *name = f->now[i].path;
        if (strncmp(name, path, len) || name[len] != '/' || strchr(name + len + 1, '/')) continue;
        buf_append(names, name + len + 1, strlen(name + len + 1) + 1);
    }
    return OK;
}

FAKE void fake_log(struct env *e, enum log_level level, const char *line)
{
    (void)e;
    (void)level;
    if (getenv("WAL_TEST_LOG")) fprintf(stderr, "%s\n", line);
}
