/* Both disk backends on a real temporary file: what comes back, errors, short writes, many at once.
 */
#include "base/test.h"

#include "base/mem.h"
#include "env/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define BLOCK DISK_BLOCK

static const char *const choices[] = {"uring", "thread"};

struct fixture {
    struct disk *disk;
    int event_fd, fd;
    bool direct; /* the file took O_DIRECT */
    char path[64];
};

/* False where io_uring is forbidden: nothing to test there but that it says so. */
static bool open_fixture(struct fixture *f, const char *choice, bool want_direct)
{
    char problem[200];

    err e = disk_open(choice, &f->event_fd, &f->disk, problem, sizeof problem);
    if (e) {
        CHECK(!strcmp(choice, "uring"));
        CHECK_EQ(e, ERR_UNSUPPORTED);
        CHECK(problem[0]);
        return false;
    }
    CHECK_EQ(problem[0], 0);
    snprintf(f->path, sizeof f->path, "/var/tmp/quorate-disk-XXXXXX");
    f->fd = mkstemp(f->path);
    CHECK(f->fd >= 0);
    f->direct = false;
    if (want_direct) {
        int fd = open(f->path, O_RDWR | O_DIRECT | O_CLOEXEC);
        f->direct = fd >= 0;
        if (fd >= 0) {
            close(f->fd);
            f->fd = fd;
        }
    }
    return true;
}

static void close_fixture(struct fixture *f)
{
    disk_close(f->disk);
    close(f->fd);
    unlink(f->path);
}

static struct disk_op op_at(u64 offset, size_t bytes, u8 fill)
{
    u8 *data = mem_alloc_aligned(BLOCK, bytes);

    memset(data, fill, bytes);
    return (struct disk_op){.offset = offset, .data = data, .bytes = bytes, .result = ERR_COUNT};
}

static void op_done(struct disk_op *op)
{
    mem_free((void *)(uintptr_t)op->data);
}

/* The next finished op, waiting for the event as the loop does. */
static struct disk_op *wait_one(struct fixture *f)
{
    for (;;) {
        struct disk_op *op = disk_next_done(f->disk);
        if (op) return op;
        struct pollfd p = {.fd = f->event_fd, .events = POLLIN};
        CHECK_EQ(poll(&p, 1, 20000), 1);
    }
}

static bool file_has(const struct fixture *f, u64 offset, size_t bytes, u8 fill)
{
    u8 *data = mem_alloc_aligned(BLOCK, bytes);
    bool same = pread(f->fd, data, bytes, (off_t)offset) == (ssize_t)bytes;

    for (size_t i = 0; i < bytes && same; i++) same = data[i] == fill;
    mem_free(data);
    return same;
}

static void write_one(const char *choice, bool direct)
{
    struct fixture f;

    if (!open_fixture(&f, choice, direct)) return;
    struct disk_op op = op_at(2 * BLOCK, 3 * BLOCK, 0x5a);
    disk_submit(f.disk, &op, f.fd, !f.direct);
    disk_kick(f.disk);
    CHECK(wait_one(&f) == &op);
    CHECK_OK(op.result);
    CHECK(file_has(&f, 2 * BLOCK, 3 * BLOCK, 0x5a));
    CHECK(!disk_next_done(f.disk));
    op_done(&op);
    close_fixture(&f);
}

TEST(disk, a_direct_write_is_in_the_file_when_it_is_done)
{
    for (u32 i = 0; i < ARRAY_LEN(choices); i++) write_one(choices[i], true);
}

TEST(disk, a_buffered_write_with_flush_is_in_the_file_when_it_is_done)
{
    for (u32 i = 0; i < ARRAY_LEN(choices); i++) write_one(choices[i], false);
}

/* More than the ring holds, in turns of several, each done exactly once. */
static void write_many(const char *choice, bool direct)
{
    enum { MANY = 300 };
    struct fixture f;
    static struct disk_op ops[MANY];
    u32 done = 0;

    if (!open_fixture(&f, choice, direct)) return;
    for (u32 i = 0; i < MANY; i++) {
        ops[i] = op_at(i * (u64)BLOCK, BLOCK, (u8)i);
        disk_submit(f.disk, &ops[i], f.fd, !f.direct);
        if (i % 7 == 0) disk_kick(f.disk);
    }
    disk_kick(f.disk);
    for (; done < MANY; done++) {
        struct disk_op *op = wait_one(&f);
        CHECK(op >= ops && op < ops + MANY);
        CHECK_OK(op->result);
        op->result = ERR_COUNT; /* a second time would show */
        op->owner = op;
    }
    CHECK(!disk_next_done(f.disk));
    for (u32 i = 0; i < MANY; i++) {
        CHECK(ops[i].owner == &ops[i]);
        CHECK(file_has(&f, i * (u64)BLOCK, BLOCK, (u8)i));
        op_done(&ops[i]);
    }
    close_fixture(&f);
}

TEST(disk, many_writes_are_each_done_once)
{
    for (u32 i = 0; i < ARRAY_LEN(choices); i++) {
        write_many(choices[i], true);
        write_many(choices[i], false);
    }
}

TEST(disk, nothing_is_announced_before_the_kick)
{
    for (u32 i = 0; i < ARRAY_LEN(choices); i++) {
        struct fixture f;
        if (!open_fixture(&f, choices[i], false)) continue;
        struct disk_op op = op_at(0, BLOCK, 1);
        struct pollfd p = {.fd = f.event_fd, .events = POLLIN};
        disk_submit(f.disk, &op, f.fd, true);
        CHECK_EQ(poll(&p, 1, 0), 0);
        disk_kick(f.disk);
        CHECK_EQ(poll(&p, 1, 20000), 1);
        CHECK(wait_one(&f) == &op);
        CHECK(!disk_next_done(f.disk));
        CHECK_EQ(poll(&p, 1, 0), 0); /* drained: the event is gone */
        op_done(&op);
        close_fixture(&f);
    }
}

/* A file that takes the first half only: the write goes on where it was cut short, and then the
 * error is told. */
TEST(disk, a_short_write_is_continued_and_its_error_told)
{
    struct rlimit old, limit;

    signal(SIGXFSZ, SIG_IGN);
    CHECK_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
    limit = (struct rlimit){.rlim_cur = 2 * BLOCK, .rlim_max = old.rlim_max};
    for (u32 i = 0; i < ARRAY_LEN(choices); i++) {
        struct fixture f;
        CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
        if (!open_fixture(&f, choices[i], false)) continue;
        struct disk_op op = op_at(0, 4 * BLOCK, 7);
        disk_submit(f.disk, &op, f.fd, true);
        disk_kick(f.disk);
        CHECK(wait_one(&f) == &op);
        CHECK_EQ(op.result, err_from_errno(EFBIG));
        CHECK_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
        CHECK(file_has(&f, 0, 2 * BLOCK, 7));
        op_done(&op);
        close_fixture(&f);
    }
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
}

TEST(disk, an_error_is_the_ops_result_and_the_next_write_goes_on)
{
    for (u32 i = 0; i < ARRAY_LEN(choices); i++) {
        struct fixture f;
        if (!open_fixture(&f, choices[i], false)) continue;
        int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
        CHECK(full >= 0);
        struct disk_op bad = op_at(0, BLOCK, 1), good = op_at(0, BLOCK, 2);
        disk_submit(f.disk, &bad, full, true);
        disk_submit(f.disk, &good, f.fd, true);
        disk_kick(f.disk);
        for (u32 n = 0; n < 2; n++) wait_one(&f);
        CHECK_EQ(bad.result, ERR_NO_SPACE);
        CHECK_OK(good.result);
        op_done(&bad);
        op_done(&good);
        close(full);
        close_fixture(&f);
    }
}

TEST(disk, free_waits_for_what_is_on_its_way)
{
    for (u32 i = 0; i < ARRAY_LEN(choices); i++) {
        struct fixture f;
        if (!open_fixture(&f, choices[i], false)) continue;
        struct disk_op op = op_at(0, 64 * BLOCK, 9), queued = op_at(0, BLOCK, 8);
        disk_submit(f.disk, &op, f.fd, true);
        disk_kick(f.disk);
        disk_submit(f.disk, &queued, f.fd, true); /* never kicked */
        disk_close(f.disk);
        f.disk = NULL;
        CHECK(file_has(&f, 0, 64 * BLOCK, 9));
        op_done(&op); /* ours again */
        op_done(&queued);
        close_fixture(&f);
    }
}

TEST(disk, auto_finds_a_backend_and_says_which)
{
    char problem[200];
    struct disk *d;
    int event_fd;

    CHECK_OK(disk_open("auto", &event_fd, &d, problem, sizeof problem));
    CHECK(!strcmp(disk_how(d), "io_uring") || !strcmp(disk_how(d), "thread"));
    disk_close(d);
    CHECK_OK(disk_open("thread", &event_fd, &d, problem, sizeof problem));
    CHECK(!strcmp(disk_how(d), "thread"));
    disk_close(d);
    disk_close(NULL);
}

TEST(disk, an_unknown_choice_is_refused_with_a_sentence)
{
    char problem[200];
    struct disk *d;
    int event_fd;

    CHECK_EQ(disk_open("floppy", &event_fd, &d, problem, sizeof problem), ERR_INVALID);
    CHECK(strstr(problem, "uring"));
}

TEST_MAIN(RUN(disk, a_direct_write_is_in_the_file_when_it_is_done),
          RUN(disk, a_buffered_write_with_flush_is_in_the_file_when_it_is_done),
          RUN(disk, many_writes_are_each_done_once),
          RUN(disk, nothing_is_announced_before_the_kick),
          RUN(disk, a_short_write_is_continued_and_its_error_told),
          RUN(disk, an_error_is_the_ops_result_and_the_next_write_goes_on),
          RUN(disk, free_waits_for_what_is_on_its_way),
          RUN(disk, auto_finds_a_backend_and_says_which),
          RUN(disk, an_unknown_choice_is_refused_with_a_sentence))
