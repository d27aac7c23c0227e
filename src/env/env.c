#include "env/env.h"

#include "base/assert.h"
#include "base/mutant.h"

#include <stdarg.h>
#include <stdio.h>

void env_log(struct env *e, enum log_level level, const char *format, ...)
{
    char line[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    e->ops->log(e, level, line);
}

/* The directory part of a relative path; "" when there is none. */
static void dir_of(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;

    assert(len < size);
    mem_copy(out, path, len);
    out[len] = 0;
}

err env_file_replace(struct env *e, const char *path, str bytes)
{
    char temporary[512], dir[512];
    struct file *f;

    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    dir_of(path, dir, sizeof dir);
    err failed = e->ops->file_open(e, temporary, FILE_CREATE, &f);
    if (failed) return failed;

    failed = e->ops->file_truncate(e, f, 0);
    if (!failed) failed = e->ops->file_pwrite(e, f, 0, bytes.at, bytes.len);
    if (!failed && !MUTANT(replaced_before_synced)) failed = e->ops->file_sync(e, f);
    e->ops->file_close(e, f);
    if (!failed) failed = e->ops->file_rename(e, temporary, path);
    if (!failed && !MUTANT(replaced_name_not_synced)) failed = e->ops->dir_sync(e, dir);
    return failed;
}

err env_file_read(struct env *e, const char *path, size_t limit, struct buf *out)
{
    struct file *f;
    u64 bytes;
    size_t got = 0;

    err failed = e->ops->file_open(e, path, FILE_READ_ONLY, &f);
    if (failed) return failed;
    failed = e->ops->file_size(e, f, &bytes);
    if (!failed && bytes > limit) failed = ERR_TOO_BIG;
    if (!failed) failed = e->ops->file_pread(e, f, 0, buf_reserve(out, (size_t)bytes), (size_t)bytes, &got);
    if (!failed) buf_extend(out, got);
    e->ops->file_close(e, f);
    return failed;
}
