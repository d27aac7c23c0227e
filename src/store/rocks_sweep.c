/* See rocks_sweep.h. */
#include "store/rocks_sweep.h"

#include "base/assert.h"
#include "base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define REST_MS          6 /* between two pieces: about three times what one takes */
#define EVENT_BYTES      (64 * KIB)
#define TABLE_NAME_BYTES 32 /* RocksDB's: 000123.sst */

struct held {
    int fd;
    char name[TABLE_NAME_BYTES];
};

struct sweep {
    char *dir;
    int events, stop;
    pthread_t thread;
    struct held files[SWEEP_FILES_MAX]; /* in the order they were made */
    u32 file_count;
    int deleted[SWEEP_FILES_MAX]; /* in the order they were deleted; of the first, `left` bytes are there yet */
    u32 deleted_count;
    u64 bytes, left;
    _Atomic u64 seen_files, seen_bytes, pieces; /* for who asks */
};

static u64 bytes_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) || st.st_nlink ? 0 : (u64)st.st_size;
}

/* ---- which there are ---- */

static bool is_table(const char *name)
{
    size_t len = strlen(name);
    return len > 4 && len < TABLE_NAME_BYTES && strcmp(name + len - 4, ".sst") == 0;
}

static void forget(struct sweep *s, u32 i)
{
    s->file_count--;
    memmove(&s->files[i], &s->files[i + 1], (s->file_count - i) * sizeof s->files[0]);
}

static u32 place_of(const struct sweep *s, const char *name)
{
    u32 i = s->file_count;

    while (i > 0 && strcmp(s->files[i - 1].name, name) != 0) i--;
    return i ? i - 1 : SWEEP_FILES_MAX;
}

static void hold(struct sweep *s, const char *name)
{
    char path[1024];

    if (!is_table(name) || place_of(s, name) < SWEEP_FILES_MAX) return;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", s->dir, name) >= sizeof path) return;
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return; /* gone already, or no file may be opened: it is not held */
    if (s->file_count == SWEEP_FILES_MAX) {
        close(s->files[0].fd);
        forget(s, 0);
    }
    struct held *h = &s->files[s->file_count++];
    h->fd = fd;
    snprintf(h->name, sizeof h->name, "%s", name);
}

static void give_back_first(struct sweep *s)
{
    s->bytes -= s->left;
    close(s->deleted[0]); /* what is left of it is free with this */
    s->deleted_count--;
    memmove(&s->deleted[0], &s->deleted[1], s->deleted_count * sizeof s->deleted[0]);
    s->left = s->deleted_count ? bytes_of(s->deleted[0]) : 0;
}

static void take_deleted(struct sweep *s, u32 i)
{
    int fd = s->files[i].fd;
    u64 bytes = bytes_of(fd);

    forget(s, i);
    if (!bytes) { /* another name has it still, or it was empty */
        close(fd);
        return;
    }
    if (s->deleted_count == SWEEP_FILES_MAX) give_back_first(s);
    s->deleted[s->deleted_count++] = fd;
    s->bytes += bytes;
    if (s->deleted_count == 1) s->left = bytes;
}

/* The kernel could not keep all events: what is deleted may not be held for ever. */
static void look_at_all(struct sweep *s)
{
    for (u32 i = s->file_count; i-- > 0;)
        if (bytes_of(s->files[i].fd)) take_deleted(s, i);
}

static void take_event(struct sweep *s, const struct inotify_event *e)
{
    if (e->mask & IN_Q_OVERFLOW) look_at_all(s);
    if (!e->len) return;
    u32 i = place_of(s, e->name);
    if (e->mask & (IN_CREATE | IN_MOVED_TO)) hold(s, e->name);
    if ((e->mask & (IN_DELETE | IN_MOVED_FROM)) && i < SWEEP_FILES_MAX) take_deleted(s, i);
}

static void read_events(struct sweep *s)
{
    _Alignas(struct inotify_event) char bytes[EVENT_BYTES];
    ssize_t got = read(s->events, bytes, sizeof bytes);

    for (ssize_t at = 0; at < got;) {
        const struct inotify_event *e = (const struct inotify_event *)(const void *)(bytes + at);
        at += (ssize_t)(sizeof *e + e->len);
        take_event(s, e);
    }
    s->seen_files = s->file_count;
    s->seen_bytes = s->bytes;
}

/* ---- piece by piece ---- */

/* Somebody may need the space before it would come back by pieces. */
static bool must_hurry(const struct sweep *s)
{
    struct statvfs v;
    return s->bytes > SWEEP_BYTES_MAX || fstatvfs(s->deleted[0], &v) || (u64)v.f_bavail * v.f_frsize < 2 * SWEEP_BYTES_MAX;
}

static void cut_one(struct sweep *s)
{
    u64 piece = u64_min(s->left, SWEEP_PIECE_BYTES);

    if (must_hurry(s) || s->left == piece || ftruncate(s->deleted[0], (off_t)(s->left - piece))) {
        give_back_first(s);
    } else {
        s->left -= piece;
        s->bytes -= piece;
        if (fsync(s->deleted[0])) give_back_first(s); /* until here the file system has only noted it */
    }
    s->pieces++;
    s->seen_bytes = s->bytes;
}

static void *run(void *context)
{
    struct sweep *s = context;
    struct pollfd fds[] = {{.fd = s->events, .events = POLLIN}, {.fd = s->stop, .events = POLLIN}};
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL); /* signals are the loop's */
    for (;;) {
        int ready = poll(fds, ARRAY_LEN(fds), s->deleted_count ? REST_MS : -1);
        if (ready > 0 && fds[1].revents) return NULL;
        if (ready > 0)
            read_events(s);
        else if (s->deleted_count)
            cut_one(s);
    }
}

/* ---- begin and end ---- */

static void hold_all(struct sweep *s)
{
    DIR *d = opendir(s->dir);
    struct dirent *e;

    while (d && (e = readdir(d))) hold(s, e->d_name);
    if (d) closedir(d);
    s->seen_files = s->file_count;
}

static void let_go(struct sweep *s)
{
    for (u32 i = 0; i < s->file_count; i++) close(s->files[i].fd);
    for (u32 i = 0; i < s->deleted_count; i++) close(s->deleted[i]);
    if (s->events >= 0) close(s->events);
    if (s->stop >= 0) close(s->stop);
    mem_free(s->dir);
    mem_free(s);
}

struct sweep *sweep_begin(const char *dir)
{
    struct sweep *s = mem_zalloc(sizeof *s);

    s->dir = mem_strdup(dir);
    s->events = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    s->stop = eventfd(0, EFD_CLOEXEC);
    if (s->events < 0 || s->stop < 0 || inotify_add_watch(s->events, dir, IN_CREATE | IN_DELETE | IN_MOVE) < 0) goto failed;
    hold_all(s); /* what is made or deleted meanwhile, the events tell */
    if (pthread_create(&s->thread, NULL, run, s)) goto failed;
    return s;

failed:
    let_go(s);
    return NULL;
}

void sweep_end(struct sweep *s)
{
    u64 one = 1;

    if (!s) return;
    ssize_t put = write(s->stop, &one, sizeof one);
    assert(put == sizeof one);
    pthread_join(s->thread, NULL);
    let_go(s);
}

void sweep_stats(struct sweep *s, struct sweep_stats *out)
{
    *out = (struct sweep_stats){.files = s->seen_files, .bytes = s->seen_bytes, .pieces = s->pieces};
}
