/* The disk behind one writer thread: for systems that forbid io_uring. Requests go over and results
 * come back on two lists under one lock; the reactor takes the lock once per kick and once per
 * drain. */
#include "env/disk.h"

#include "base/assert.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

struct disk_thread {
    struct disk disk;
    int event_fd;
    pthread_t thread;

    struct list idle, queued, taken; /* the reactor's own */

    pthread_mutex_t lock;
    pthread_cond_t more;
    struct list todo, done; /* under the lock */
    bool stop;              /* under the lock */
};

/* Write what is left of the request. A short write goes on where it ended. */
static err write_all(const struct disk_request *r, int flags)
{
    size_t written = r->written;

    while (written < r->op->bytes) {
        struct iovec part = {
            .iov_base = (void *)(uintptr_t)(r->op->data + written), /* the kernel only reads */
            .iov_len = r->op->bytes - written,
        };
        ssize_t n = pwritev2(r->fd, &part, 1, (off_t)(r->op->offset + written), flags);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0)
            return errno == EOPNOTSUPP || errno == ENOSYS ? ERR_UNSUPPORTED : err_from_errno(errno);
        if (n == 0) return ERR_IO;
        written += (size_t)n;
    }
    return OK;
}

static err flush_data(int fd)
{
    int r;

    do r = fdatasync(fd);
    while (r && errno == EINTR);
    return r ? err_from_errno(errno) : OK;
}

static err carry_out(const struct disk_request *r)
{
    err e;

    if (!r->fdatasync_after) {
        e = write_all(r, RWF_DSYNC);
        if (e != ERR_UNSUPPORTED) return e;
        /* The flag is unknown here: nothing was written, the flush follows by itself. */
    }
    e = write_all(r, 0);
    if (!e) e = flush_data(r->fd);
    return e;
}

static void ring_bell(int event_fd)
{
    u64 one = 1;
    ssize_t n;

    do n = write(event_fd, &one, sizeof one);
    while (n < 0 && errno == EINTR);
    assert(n == sizeof one || errno == EAGAIN); /* EAGAIN: the counter is full, so it is readable */
}

static void *writer(void *argument)
{
    struct disk_thread *d = argument;

    pthread_mutex_lock(&d->lock);
    for (;;) {
        struct list *l = list_first(&d->todo);
        if (!l) {
            if (d->stop) break;
            pthread_cond_wait(&d->more, &d->lock);
            continue;
        }
        list_remove(l);
        pthread_mutex_unlock(&d->lock);

        struct disk_request *r = CONTAINER_OF(l, struct disk_request, link);
        r->op->result = carry_out(r);

        pthread_mutex_lock(&d->lock);
        list_push(&d->done, l);
        ring_bell(d->event_fd);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

static void thread_submit(struct disk *disk, struct disk_op *op, int fd, bool dsync_by_fdatasync)
{
    struct disk_thread *d = CONTAINER_OF(disk, struct disk_thread, disk);

    list_push(&d->queued, &disk_request_new(&d->idle, op, fd, dsync_by_fdatasync)->link);
}

static void thread_kick(struct disk *disk)
{
    struct disk_thread *d = CONTAINER_OF(disk, struct disk_thread, disk);

    if (list_is_empty(&d->queued)) return;
    pthread_mutex_lock(&d->lock);
    list_splice(&d->todo, &d->queued);
    pthread_cond_signal(&d->more);
    pthread_mutex_unlock(&d->lock);
}

static struct disk_op *thread_next_done(struct disk *disk)
{
    struct disk_thread *d = CONTAINER_OF(disk, struct disk_thread, disk);
    struct list *l = list_first(&d->taken);

    if (!l) {
        u64 count;
        ssize_t n = read(d->event_fd, &count, sizeof count); /* before the drain: see disk.h */
        (void)n;
        pthread_mutex_lock(&d->lock);
        list_splice(&d->taken, &d->done);
        pthread_mutex_unlock(&d->lock);
        l = list_first(&d->taken);
        if (!l) return NULL;
    }
    list_remove(l);
    list_push(&d->idle, l);
    return CONTAINER_OF(l, struct disk_request, link)->op;
}

static void thread_free(struct disk *disk)
{
    struct disk_thread *d = CONTAINER_OF(disk, struct disk_thread, disk);

    pthread_mutex_lock(&d->lock);
    d->stop = true;
    pthread_cond_signal(&d->more);
    pthread_mutex_unlock(&d->lock);
    pthread_join(d->thread, NULL);

    disk_requests_free(&d->idle);
    disk_requests_free(&d->queued);
    disk_requests_free(&d->taken);
    disk_requests_free(&d->done);
    pthread_cond_destroy(&d->more);
    pthread_mutex_destroy(&d->lock);
    close(d->event_fd);
    mem_free(d);
}

err disk_thread_new(int *event_fd, struct disk **out, char *problem, size_t problem_size)
{
    static const struct disk_ops ops = {"thread", thread_submit, thread_kick, thread_next_done,
                                        thread_free};
    struct disk_thread *d = mem_zalloc(sizeof *d);

    d->disk.ops = &ops;
    list_init(&d->idle);
    list_init(&d->queued);
    list_init(&d->taken);
    list_init(&d->todo);
    list_init(&d->done);
    d->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (d->event_fd < 0) {
        int why = errno;
        disk_explain(problem, problem_size, "eventfd", why);
        mem_free(d);
        return err_from_errno(why);
    }
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->more, NULL);
    int why = pthread_create(&d->thread, NULL, writer, d);
    if (why) {
        disk_explain(problem, problem_size, "cannot start the writer thread", why);
        pthread_cond_destroy(&d->more);
        pthread_mutex_destroy(&d->lock);
        close(d->event_fd);
        mem_free(d);
        return err_from_errno(why);
    }
    *event_fd = d->event_fd;
    *out = &d->disk;
    return OK;
}
