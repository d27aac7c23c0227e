#include "env/disk.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

static err new_auto(int *event_fd, struct disk **out, char *problem, size_t problem_size)
{
    err e = disk_uring_new(event_fd, out, problem, problem_size);

    /* Container runtimes forbid io_uring by default; the thread is slower, not less durable. */
    if (e) e = disk_thread_new(event_fd, out, problem, problem_size);
    return e;
}

err disk_open(const char *choice, int *event_fd, struct disk **out, char *problem,
              size_t problem_size)
{
    static const struct {
        const char *name;
        err (*make)(int *event_fd, struct disk **out, char *problem, size_t problem_size);
    } choices[] = {
        {"auto", new_auto},
        {"uring", disk_uring_new},
        {"thread", disk_thread_new},
    };

    if (problem_size) problem[0] = 0;
    for (size_t i = 0; i < ARRAY_LEN(choices); i++) {
        if (strcmp(choice, choices[i].name)) continue;
        err e = choices[i].make(event_fd, out, problem, problem_size);
        if (!e && problem_size) problem[0] = 0;
        return e;
    }
    disk_explain(problem, problem_size, "no such disk backend; use auto, uring or thread", 0);
    return ERR_INVALID;
}

void disk_submit(struct disk *d, struct disk_op *op, int fd, bool dsync_by_fdatasync)
{
    assert(op->bytes > 0);
    assert(op->bytes % DISK_BLOCK == 0);
    assert(op->offset % DISK_BLOCK == 0);
    assert((uintptr_t)op->data % DISK_BLOCK == 0);
    d->ops->submit(d, op, fd, dsync_by_fdatasync);
}

void disk_kick(struct disk *d)
{
    d->ops->kick(d);
}
struct disk_op *disk_next_done(struct disk *d)
{
    return d->ops->next_done(d);
}
const char *disk_how(const struct disk *d)
{
    return d->ops->how;
}

void disk_close(struct disk *d)
{
    if (d) d->ops->free(d);
}

void disk_explain(char *problem, size_t problem_size, const char *text, int errno_value)
{
    if (!problem_size) return;
    if (errno_value)
        snprintf(problem, problem_size, "%s: %s", text, strerrordesc_np(errno_value));
    else
        snprintf(problem, problem_size, "%s", text);
}

struct disk_request *disk_request_new(struct list *idle, struct disk_op *op, int fd,
                                      bool fdatasync_after)
{
    struct list *l = list_first(idle);
    struct disk_request *r;

    if (l) {
        list_remove(l);
        r = CONTAINER_OF(l, struct disk_request, link);
    } else {
        r = mem_alloc(sizeof *r);
    }
    *r = (struct disk_request){.op = op, .fd = fd, .fdatasync_after = fdatasync_after};
    list_init(&r->link);
    return r;
}

void disk_requests_free(struct list *requests)
{
    LIST_EACH_SAFE(l, requests) mem_free(CONTAINER_OF(l, struct disk_request, link));
    list_init(requests);
}
