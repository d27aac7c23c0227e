/* Durable writes to real files, for the real env only (uv.c). Two backends behind one table:
 * io_uring (disk_uring.c), and one writer thread (disk_thread.c) where io_uring is forbidden.
 *
 *   disk_submit(d, op, fd, false);     as many as the turn brings; nothing is sent yet
 *   disk_kick(d);                      once per turn: hand them over
 *   ... event_fd becomes readable ...
 *   while ((op = disk_next_done(d)))   op->result says how it went
 *
 * disk_next_done reads the event descriptor and then drains the completions empty, so a caller that
 * calls it until NULL at each readiness never misses one. An op belongs to the disk from submit
 * until disk_next_done returns it. Short writes and EINTR are continued inside; an I/O error
 * becomes op->result and is never retried (what the failed write left on the medium is unknown). */
#pragma once

#include "env/env.h"

struct disk;

/* `choice` is "uring", "thread" or "auto" (io_uring if the system allows it, else the thread).
 *   event_fd  readable when completions wait; owned by the disk, do not close
 *   problem   on failure: a sentence for people, why `choice` is not possible; empty on success
 * ERR_UNSUPPORTED when io_uring was asked for and is forbidden, ERR_INVALID for an unknown choice.
 */
MUST_USE err disk_open(const char *choice, int *event_fd, struct disk **out, char *problem,
                       size_t problem_size);

/* Queue one durable write of op->data to `fd` at op->offset. `fd` must stay open until it is done.
 *   dsync_by_fdatasync   false: the file is open with O_DIRECT; the write carries RWF_DSYNC
 *                        true: O_DIRECT was refused; buffered write, then fdatasync of the same fd
 */
void disk_submit(struct disk *d, struct disk_op *op, int fd, bool dsync_by_fdatasync);

/* Hand what was queued to the kernel or the thread. Cheap when nothing was. */
void disk_kick(struct disk *d);

/* The next finished op, its result set; NULL when none waits. */
struct disk_op *disk_next_done(struct disk *d);

/* "io_uring" or "thread". */
const char *disk_how(const struct disk *d);

/* Waits for what is in flight (its memory is the kernel's until then), drops the results. NULL is
 * fine. */
void disk_close(struct disk *d);

/* --- For the two backends only --- */

#define DISK_BLOCK 4096 /* the alignment O_DIRECT wants of every common device */

struct disk_ops {
    const char *how;
    void (*submit)(struct disk *d, struct disk_op *op, int fd, bool dsync_by_fdatasync);
    void (*kick)(struct disk *d);
    struct disk_op *(*next_done)(struct disk *d);
    void (*free)(struct disk *d);
};

struct disk { /* the first member of each backend's own struct */
    const struct disk_ops *ops;
};

/* One op on its way. Pooled: as many exist as were ever in flight together. */
struct disk_request {
    struct disk_op *op;
    int fd;
    bool fdatasync_after; /* the write alone is not durable */
    bool syncing;         /* all bytes are written, the flush is under way */
    size_t written;
    struct list link; /* idle, queued or done */
};

struct disk_request *disk_request_new(struct list *idle, struct disk_op *op, int fd,
                                      bool fdatasync_after);
void disk_requests_free(struct list *requests);

/* "<text>: <meaning of errno>" into problem; errno 0: the text alone. */
void disk_explain(char *problem, size_t problem_size, const char *text, int errno_value);

MUST_USE err disk_uring_new(int *event_fd, struct disk **out, char *problem, size_t problem_size);
MUST_USE err disk_thread_new(int *event_fd, struct disk **out, char *problem, size_t problem_size);
