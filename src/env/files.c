/* Blocking file calls under the node's directory: boot, shutdown and jobs only. A file opened with
 * FILE_DIRECT has two descriptors: the durable writes of the reactor bypass the page cache, the
 * blocking calls (recovery, zero-filling) go through it. */
#include "env/real.h"

#include "base/assert.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { PATH_BYTES_MAX = 512, NAMES_MAX = 1 << 20 };

static err failed(struct env *env, const char *call, const char *path)
{
    err e = err_from_errno(errno);
    if (e == ERR_IO)
        env_log(env, LOG_ERROR, "file call failed call=%s path=%s errno=%d reason=\"%s\"", call,
                path, errno, strerror(errno));
    return e;
}

/* --- the directory --- */

/* Make `dir` and its missing parents; the name of each is durable on return. */
static err dir_make_durable(const char *dir)
{
    char path[PATH_BYTES_MAX], parent[PATH_BYTES_MAX];
    size_t len = strlen(dir);

    if (len == 0 || len >= sizeof path) return ERR_INVALID;
    mem_copy(path, dir, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != 0) continue;
        char kept = path[i];
        path[i] = 0;
        if (mkdir(path, 0750) == 0) {
            const char *slash = strrchr(path, '/');
            size_t parent_len = slash ? size_max((size_t)(slash - path), 1) : 0;
            mem_copy(parent, path, parent_len);
            parent[parent_len] = 0;
            int fd = open(parent_len ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            if (fd >= 0) (void)!fsync(fd);
            if (fd >= 0) close(fd);
        } else if (errno != EEXIST) {
            return err_from_errno(errno);
        }
        path[i] = kept;
    }
    return OK;
}

/* Some file systems refuse O_DIRECT at open, some at the first write; so do both once, now. */
static err direct_probe(struct real_env *r, bool *refused)
{
    char name[64];
    u8 *block = mem_alloc_aligned(4096, 4096);
    err e = OK;

    snprintf(name, sizeof name, "probe-%d.tmp", getpid());
    memset(block, 0, 4096);
    int fd = openat(r->files.dir_fd, name, O_CREAT | O_RDWR | O_DIRECT | O_CLOEXEC, 0640);
    *refused = (fd < 0 && errno == EINVAL) ||
               (fd >= 0 && pwrite(fd, block, 4096, 0) < 0 && errno == EINVAL);
    if (fd < 0 && !*refused && errno != ENOSPC && errno != EDQUOT) e = err_from_errno(errno);
    if (fd >= 0) close(fd);
    if (!e) unlinkat(r->files.dir_fd, name, 0);
    mem_free(block);
    return e;
}

static void refuse_direct(struct real_env *r)
{
    if (__atomic_exchange_n(&r->env.direct_refused, true, __ATOMIC_RELAXED)) return;
    env_log(&r->env, LOG_WARN,
            "the file system refuses O_DIRECT: durable writes are buffered, with fdatasync");
}

err files_init(struct real_env *r, const struct env_real_options *options, char *problem,
               size_t problem_size)
{
    bool refused = false;
    err e = OK;

    errno = 0;
    r->files = (struct files){.dir_fd = -1, .buffered = options->buffered};
    if (!options->read_only) e = dir_make_durable(options->dir);
    if (e) goto refuse;
    r->files.dir_fd = open(options->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->files.dir_fd < 0) {
        e = err_from_errno(errno);
        goto refuse;
    }
    if (options->read_only || options->buffered) return OK;
    e = direct_probe(r, &refused);
    if (e) goto refuse;
    if (refused) refuse_direct(r);
    return OK;

refuse:
    snprintf(problem, problem_size,
             "cannot use the directory %s: %s; choose another one with --dir", options->dir,
             errno ? strerror(errno) : err_text(e));
    return e;
}

void files_done(struct real_env *r)
{
    for (u32 i = 0; i < r->files.lock_count; i++) close(r->files.lock_fds[i]);
    if (r->files.dir_fd >= 0) close(r->files.dir_fd);
}

err files_dir_make(struct env *env, const char *path)
{
    if (mkdirat(real_of(env)->files.dir_fd, path, 0750) == 0 || errno == EEXIST) return OK;
    return failed(env, "mkdir", path);
}

static int open_dir(struct env *env, const char *path)
{
    return openat(real_of(env)->files.dir_fd, *path ? path : ".",
                  O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

err files_dir_sync(struct env *env, const char *path)
{
    int fd = open_dir(env, path);
    if (fd < 0) return failed(env, "open", path);

    err e = OK;
    if (faults_on_sync(&real_of(env)->faults) == FAULT_FAIL) e = ERR_IO;
    else if (fsync(fd)) e = failed(env, "fsync", path);
    close(fd);
    return e;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

err files_dir_list(struct env *env, const char *path, struct buf *names)
{
    size_t count = 0, room = 0;
    char **list = NULL;
    struct dirent *entry;
    int fd = open_dir(env, path);

    if (fd < 0) return failed(env, "open", path);
    DIR *dir = fdopendir(fd);
    if (!dir) {
        err e = failed(env, "opendir", path);
        close(fd);
        return e;
    }
    while (errno = 0, (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        assert(count < NAMES_MAX);
        if (count == room) {
            room = size_max(64, room * 2);
            list = mem_resize_array(list, room, sizeof *list);
        }
        list[count++] = mem_strdup(entry->d_name);
    }
    err e = errno ? failed(env, "readdir", path) : OK;
    closedir(dir);
    if (count) qsort(list, count, sizeof *list, compare_names);
    for (size_t i = 0; i < count; i++) {
        if (!e) buf_append(names, list[i], strlen(list[i]) + 1);
        mem_free(list[i]);
    }
    mem_free(list);
    return e;
}

/* The lock is the kernel's (flock), so it ends with the process however that ends; the pid in the
 * file only tells people who holds it. */
err files_dir_lock(struct env *env, const char *path, u64 *holder_pid)
{
    struct files *files = &real_of(env)->files;
    char text[32] = {0};

    *holder_pid = 0;
    assert(files->lock_count < ARRAY_LEN(files->lock_fds));
    int fd = openat(files->dir_fd, path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0) return failed(env, "open", path);
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        err e = errno == EWOULDBLOCK ? ERR_LOCKED : failed(env, "flock", path);
        if (pread(fd, text, sizeof text - 1, 0) > 0) *holder_pid = strtoull(text, NULL, 10);
        close(fd);
        return e;
    }
    *holder_pid = (u64)getpid();
    int len = snprintf(text, sizeof text, "%d\n", getpid());
    (void)!ftruncate(fd, 0);
    (void)!pwrite(fd, text, (size_t)len, 0);
    files->lock_fds[files->lock_count++] = fd;
    return OK;
}

void files_disk_space(struct env *env, u64 *free_bytes, u64 *all_bytes)
{
    struct statvfs v;

    *free_bytes = *all_bytes = 0;
    if (fstatvfs(real_of(env)->files.dir_fd, &v)) return;
    *free_bytes = (u64)v.f_bavail * v.f_frsize;
    *all_bytes = (u64)v.f_blocks * v.f_frsize;
}

/* --- files --- */

/* Open the second descriptor; *out stays -1 where writes are buffered. */
static err open_direct(struct real_env *r, const char *path, int *out)
{
    *out = -1;
    if (r->files.buffered || __atomic_load_n(&r->env.direct_refused, __ATOMIC_RELAXED)) return OK;
    *out = openat(r->files.dir_fd, path, O_RDWR | O_DIRECT | O_CLOEXEC);
    if (*out >= 0) return OK;
    if (errno != EINVAL) return failed(&r->env, "open", path);
    refuse_direct(r); /* another file system is mounted below the directory */
    return OK;
}

err files_open(struct env *env, const char *path, u32 flags, struct file **out)
{
    int direct_fd = -1, how = O_CLOEXEC | (flags & FILE_READ_ONLY ? O_RDONLY : O_RDWR);

    if (flags & FILE_CREATE) how |= O_CREAT;
    if (flags & FILE_EXCLUSIVE) how |= O_EXCL;
    int fd = openat(real_of(env)->files.dir_fd, path, how, 0640);
    if (fd < 0) return failed(env, "open", path);
    err e = flags & FILE_DIRECT ? open_direct(real_of(env), path, &direct_fd) : OK;
    if (e) {
        close(fd);
        return e;
    }
    struct file *f = mem_zalloc(sizeof *f);
    *f = (struct file){.fd = fd, .direct_fd = direct_fd};
    *out = f;
    return OK;
}

void files_close(struct env *env, struct file *f)
{
    (void)env;
    if (!f) return;
    close(f->fd);
    if (f->direct_fd >= 0) close(f->direct_fd);
    mem_free(f);
}

err files_size(struct env *env, struct file *f, u64 *out)
{
    struct stat status;

    if (fstat(f->fd, &status)) return failed(env, "fstat", "");
    *out = (u64)status.st_size;
    return OK;
}

err files_pread(struct env *env, struct file *f, u64 offset, void *to, size_t bytes,
                size_t *out_bytes)
{
    size_t done = 0;

    while (done < bytes) {
        ssize_t got = pread(f->fd, (u8 *)to + done, bytes - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return failed(env, "pread", "");
        if (got == 0) break;
        done += (size_t)got;
    }
    *out_bytes = done;
    return OK;
}

/* A long write goes to the disk at once. Left to the next sync it would be there with all that came before it, and the
 * log's next write behind that. */
#define LONG_WRITE MIB
static err write_out(struct env *env, struct file *f, u64 offset, size_t bytes)
{
    const unsigned how = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;

    if (!sync_file_range(f->fd, (off_t)offset, (off_t)bytes, how) || errno == ENOSYS || errno == ESPIPE)
        return OK; /* no promise is made here: whoever needs one syncs */
    return failed(env, "sync_file_range", "");
}

err files_pwrite(struct env *env, struct file *f, u64 offset, const void *from, size_t bytes)
{
    size_t done = 0;

    if (faults_on_write(&real_of(env)->faults, f->fd, from, bytes, offset) == FAULT_FAIL)
        return ERR_IO;
    while (done < bytes) {
        ssize_t put = pwrite(f->fd, (const u8 *)from + done, bytes - done, (off_t)(offset + done));
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return failed(env, "pwrite", "");
        assert(put > 0);
        done += (size_t)put;
    }
    return bytes < LONG_WRITE ? OK : write_out(env, f, offset, bytes);
}

err files_sync(struct env *env, struct file *f)
{
    if (faults_on_sync(&real_of(env)->faults) == FAULT_FAIL) return ERR_IO;
    return fdatasync(f->fd) ? failed(env, "fdatasync", "")
                            : OK; /* the size is data enough for it */
}

err files_truncate(struct env *env, struct file *f, u64 bytes)
{
    return ftruncate(f->fd, (off_t)bytes) ? failed(env, "ftruncate", "") : OK;
}

err files_rename(struct env *env, const char *from, const char *to)
{
    int dir = real_of(env)->files.dir_fd;
    return renameat(dir, from, dir, to) ? failed(env, "rename", from) : OK;
}

err files_unlink(struct env *env, const char *path)
{
    return unlinkat(real_of(env)->files.dir_fd, path, 0) ? failed(env, "unlink", path) : OK;
}
