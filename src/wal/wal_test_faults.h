/* For tests only: the test's side of the world of wal_test_env.h. Making one, completing its writes,
 * cutting its power, killing its process, letting its bytes rot. */
#pragma once

#include "wal/wal_test_env.h"

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
