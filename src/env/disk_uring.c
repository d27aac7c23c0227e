/* The disk behind io_uring: a write and, where O_DIRECT was refused, a data flush after it. All
 * completions of a turn are drained at once after one read of the ring's eventfd. */
#include "env/disk.h"

#include "base/assert.h"
#include "base/mem.h"

#include <errno.h>
#include <liburing.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RING_ENTRIES 64

struct disk_uring {
    struct disk disk;
    struct io_uring ring;
    int event_fd;
    u32 in_flight;            /* submitted to the kernel, not yet seen in the completion queue */
    bool drained;             /* since the last read of event_fd the queue was seen empty */
    struct list idle, queued; /* queued: waits for the next kick, or for a free slot */
};

static void prepare(struct io_uring_sqe *sqe, struct disk_request *r)
{
    const struct disk_op *op = r->op;

    if (r->syncing) {
        io_uring_prep_fsync(sqe, r->fd, IORING_FSYNC_DATASYNC);
    } else {
        size_t left = op->bytes - r->written;
        io_uring_prep_write(sqe, r->fd, op->data + r->written, (unsigned)size_min(left, 1u << 30),
                            op->offset + r->written);
        if (!r->fdatasync_after) sqe->rw_flags = RWF_DSYNC;
    }
    io_uring_sqe_set_data(sqe, r);
}

static void uring_submit(struct disk *disk, struct disk_op *op, int fd, bool dsync_by_fdatasync)
{
    struct disk_uring *d = CONTAINER_OF(disk, struct disk_uring, disk);

    list_push(&d->queued, &disk_request_new(&d->idle, op, fd, dsync_by_fdatasync)->link);
}

static void uring_kick(struct disk *disk)
{
    struct disk_uring *d = CONTAINER_OF(disk, struct disk_uring, disk);
    struct list *l;

    if (list_is_empty(&d->queued)) return;
    /* Never more than the completion queue holds, so it cannot overflow. */
    while (d->in_flight < RING_ENTRIES && (l = list_first(&d->queued))) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&d->ring);
        if (!sqe) break;
        list_remove(l);
        prepare(sqe, CONTAINER_OF(l, struct disk_request, link));
        d->in_flight++;
    }
    for (;;) {
        int n = io_uring_submit(&d->ring);
        if (n >= 0 && io_uring_sq_ready(&d->ring) == 0) return;
        if (n >= 0 || n == -EINTR || n == -EAGAIN || n == -EBUSY) continue;
        panic("io_uring_submit failed: %s", strerrordesc_np(-n));
    }
}

/* Take one completion. True when the request has ended (op->result is set); false when it goes on
 * and was queued again. */
static bool completed(struct disk_uring *d, struct disk_request *r, int result)
{
    struct disk_op *op = r->op;

    if (result == -EINTR || result == -EAGAIN) {
        /* Not an answer of the disk: nothing was done. */
    } else if (result == -EOPNOTSUPP && !r->fdatasync_after) {
        r->fdatasync_after = true; /* RWF_DSYNC is unknown here: nothing was written */
    } else if (result < 0) {
        op->result = err_from_errno(-result);
        return true;
    } else if (r->syncing) {
        op->result = OK;
        return true;
    } else if (result == 0) {
        op->result = ERR_IO;
        return true;
    } else {
        r->written += (size_t)result;
        assert(r->written <= op->bytes);
        if (r->written == op->bytes) {
            if (!r->fdatasync_after) {
                op->result = OK;
                return true;
            }
            r->syncing = true;
        }
    }
    list_push(&d->queued, &r->link);
    return false;
}

static struct disk_op *uring_next_done(struct disk *disk)
{
    struct disk_uring *d = CONTAINER_OF(disk, struct disk_uring, disk);
    struct io_uring_cqe *cqe;

    if (d->drained) {
        u64 count;
        ssize_t n = read(d->event_fd, &count, sizeof count); /* before the drain: see disk.h */
        (void)n;
        d->drained = false;
    }
    while (io_uring_peek_cqe(&d->ring, &cqe) == 0) {
        struct disk_request *r = io_uring_cqe_get_data(cqe);
        int result = cqe->res;
        io_uring_cqe_seen(&d->ring, cqe);
        assert(d->in_flight > 0);
        d->in_flight--;
        if (!completed(d, r, result)) continue;
        list_push(&d->idle, &r->link);
        return r->op;
    }
    d->drained = true;
    uring_kick(disk); /* second halves, and what found no slot before */
    return NULL;
}

static void uring_free(struct disk *disk)
{
    struct disk_uring *d = CONTAINER_OF(disk, struct disk_uring, disk);

    while (d->in_flight > 0) {
        struct io_uring_cqe *cqe;
        int r = io_uring_wait_cqe(&d->ring, &cqe);
        if (r == -EINTR) continue;
        if (r) break; /* the ring is broken; closing it ends what is in flight */
        list_push(&d->idle, &((struct disk_request *)io_uring_cqe_get_data(cqe))->link);
        io_uring_cqe_seen(&d->ring, cqe);
        d->in_flight--;
    }
    io_uring_queue_exit(&d->ring);
    close(d->event_fd);
    disk_requests_free(&d->queued);
    disk_requests_free(&d->idle);
    mem_free(d);
}

static bool knows_our_operations(struct io_uring *ring)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    if (!probe) return false;

    bool yes = io_uring_opcode_supported(probe, IORING_OP_WRITE) &&
               io_uring_opcode_supported(probe, IORING_OP_FSYNC);
    io_uring_free_probe(probe);
    return yes;
}

err disk_uring_new(int *event_fd, struct disk **out, char *problem, size_t problem_size)
{
    static const struct disk_ops ops = {"io_uring", uring_submit, uring_kick, uring_next_done,
                                        uring_free};
    struct disk_uring *d = mem_zalloc(sizeof *d);

    d->disk.ops = &ops;
    d->drained = true;
    list_init(&d->idle);
    list_init(&d->queued);
    int r = io_uring_queue_init(RING_ENTRIES, &d->ring, IORING_SETUP_CLAMP);
    if (r < 0) {
        disk_explain(problem, problem_size, "io_uring is not available here", -r);
        goto free_disk;
    }
    if (!knows_our_operations(&d->ring)) {
        disk_explain(problem, problem_size, "this kernel's io_uring is too old", 0);
        goto exit_ring;
    }
    d->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (d->event_fd < 0) {
        disk_explain(problem, problem_size, "eventfd", errno);
        goto exit_ring;
    }
    r = io_uring_register_eventfd(&d->ring, d->event_fd);
    if (r < 0) {
        disk_explain(problem, problem_size, "io_uring does not take an eventfd", -r);
        goto close_event;
    }
    *event_fd = d->event_fd;
    *out = &d->disk;
    return OK;

close_event:
    close(d->event_fd);
exit_ring:
    io_uring_queue_exit(&d->ring);
free_disk:
    mem_free(d);
    return ERR_UNSUPPORTED;
}
