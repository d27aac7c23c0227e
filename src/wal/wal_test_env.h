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

/* --- the test's side --- */

FAKE struct fake_env *fake_new(u64 seed)
{
    static const struct env_ops ops = {
        .mono = fake_mono,
        .random = fake_random,
        .disk_submit = fake_disk_submit,
        .job_submit = fake_job_submit,
        .file_open = fake_open,
        .file_close = fake_close,
        .file_size = fake_size,
        .file_pread = fake_pread,
        .file_pwrite = fake_pwrite,
        .file_sync = fake_sync,
        .file_truncate = fake_truncate,
        .file_rename = fake_rename,
        .file_unlink = fake_unlink,
        .dir_make = fake_dir_make,
        .dir_sync = fake_dir_sync,
        .dir_list = fake_dir_list,
        .log = fake_log,
    };
    struct fake_env *f = mem_zalloc(sizeof *f);

    f->env.ops = &ops;
    f->env.disk_how = "fake";
    f->space = UINT64_MAX;
    f->clock = NANOS_SEC;
    prng_init(&f->prng, seed, 7);
    list_init(&f->handles);
    return f;
}

FAKE void fake_close_all(struct fake_env *f)
{
    struct list *l;
    while ((l = list_first(&f->handles))) fake_close(&f->env, CONTAINER_OF(l, struct file, link));
}

/* Should this write, or sector of a write, survive? */
FAKE bool fake_survives(struct fake_env *f, enum fake_crash_mode mode)
{
    return mode == FAKE_KEEP || (mode != FAKE_LOSE && prng_below(&f->prng, 2));
}

FAKE void fake_survive(struct fake_env *f, struct fake_file *file, u64 offset, const u8 *data,
                       size_t bytes, enum fake_crash_mode mode)
{
    size_t unit = mode == FAKE_TEAR ? FAKE_SECTOR : bytes;

    fake_grow(file, offset + bytes);
    for (size_t at = 0; at < bytes; at += unit)
        if (fake_survives(f, mode))
            fake_put(file->medium, &file->medium_bytes, offset + at, data + at,
                     size_min(unit, bytes - at));
}

/* Complete the i-th of the ops under way. A failed op's sectors may be on the medium or
 * not. The
 * caller hands the op to its owner with f->ops[i]->result set. NULL: the world ended meanwhile. */
FAKE struct disk_op *fake_complete(struct fake_env *f, u32 i)
{
    assert(i < f->op_count);
    struct disk_op *op = f->ops[i];
    struct fake_file *file = f->op_files[i];

    err failed = fake_step(f);
    if (f->crashed) return NULL;
    op->result = failed;
    fake_survive(f, file, op->offset, op->data, op->bytes, failed ? FAKE_TEAR : FAKE_KEEP);
    mem_copy(file->now + op->offset, file->medium + op->offset, op->bytes);
    f->op_count--;
    memmove(&f->ops[i], &f->ops[i + 1], (f->op_count - i) * sizeof f->ops[0]);
    memmove(&f->op_files[i], &f->op_files[i + 1], (f->op_count - i) * sizeof f->op_files[0]);
    return op;
}

/* The power is cut. The log of before is freed after this, not before: its ops are read here. */
FAKE void fake_crash(struct fake_env *f, enum fake_crash_mode mode)
{
    for (u32 i = 0; i < f->file_count; i++) {
        struct fake_file *file = f->files[i];
        for (u32 j = 0; j < file->pending_count; j++)
            fake_survive(f, file, file->pending[j].offset, file->pending[j].data,
                         file->pending[j].bytes, mode);
        fake_pending_clear(file);
    }
    for (u32 i = 0; i < f->op_count; i++)
        fake_survive(f, f->op_files[i], f->ops[i]->offset, f->ops[i]->data, f->ops[i]->bytes, mode);
    /* Names: a journal keeps their order, so a prefix survives. */
    for (u32 i = 0; i < f->change_count && fake_survives(f, mode); i++)
        fake_apply_change(f, &f->changes[i]);

    f->op_count = f->change_count = 0;
    f->job = NULL;
    f->now_count = 0;
    for (u32 i = 0; i < f->medium_count; i++) {
        char dir[96];
        fake_dir_of(f->medium[i].path, dir);
        if (dir[0] && !fake_find(f->medium, f->medium_count, dir)) continue;
        f->now[f->now_count++] = f->medium[i];
    }
    memcpy(f->medium, f->now, sizeof f->now);
    f->medium_count = f->now_count;
    for (u32 i = 0; i < f->file_count; i++) {
        struct fake_file *file = f->files[i];
        mem_copy(file->now, file->medium, file->cap);
        file->now_bytes = file->medium_bytes;
    }
    f->crashed = false;
    f->crash_at = f->fail_at = 0;
    f->steps = 0;
}

/* Only the process dies: what it had asked for is in caches, visible and not durable. */
FAKE void fake_kill(struct fake_env *f)
{
    for (u32 i = 0; i < f->op_count; i++) {
        struct fake_file *file = f->op_files[i];
        fake_put(file->now, &file->now_bytes, f->ops[i]->offset, f->ops[i]->data, f->ops[i]->bytes);
        fake_pend(file, f->ops[i]->offset, f->ops[i]->data, f->ops[i]->bytes);
    }
    f->op_count = 0;
    f->job = NULL;
    f->crashed = false;
    f->crash_at = f->fail_at = 0;
    f->steps = 0;
}

FAKE void fake_free(struct fake_env *f)
{
    if (!f) return;
    fake_close_all(f);
    for (u32 i = 0; i < f->file_count; i++) {
        fake_pending_clear(f->files[i]);
        mem_free(f->files[i]->now);
        mem_free(f->files[i]->medium);
        mem_free(f->files[i]);
    }
    mem_free(f);
}

/* A world of its own with what is on the medium of this one. */
FAKE struct fake_env *fake_clone(const struct fake_env *f)
{
    struct fake_env *c = fake_new(1);

    c->clock = f->clock;
    c->space = f->space;
    for (u32 i = 0; i < f->medium_count; i++) {
        const struct fake_file *from = f->medium[i].file;
        struct fake_file *file = NULL;
        if (from) {
            file = mem_zalloc(sizeof *file);
            fake_grow(file, from->cap);
            mem_copy(file->now, from->medium, from->cap);
            mem_copy(file->medium, from->medium, from->cap);
            file->now_bytes = file->medium_bytes = from->medium_bytes;
            c->files[c->file_count++] = file;
        }
        fake_name_set(c->now, &c->now_count, f->medium[i].path, file);
    }
    memcpy(c->medium, c->now, sizeof c->now);
    c->medium_count = c->now_count;
    return c;
}

/* Change bytes on the medium, behind the log's back. */
FAKE void fake_rot(struct fake_file *file, u64 offset, u8 flip)
{
    assert(offset < file->now_bytes);
    file->now[offset] ^= flip;
    file->medium[offset] ^= flip;
}

FAKE void fake_overwrite(struct fake_file *file, u64 offset, const u8 *data, size_t bytes)
{
    assert(offset + bytes <= file->now_bytes);
    mem_copy(file->now + offset, data, bytes);
    mem_copy(file->medium + offset, data, bytes);
}
