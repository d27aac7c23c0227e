/* env_file_replace: in which order its steps reach the disk. */
#include "base/test.h"
#include "env/env.h"

#include <stdio.h>

static struct {
    char steps[200];
    u32 fails_at, count; /* the step that fails; 0: none */
} log_of;

static err step(const char *name)
{
    size_t used = strlen(log_of.steps);

    snprintf(log_of.steps + used, sizeof log_of.steps - used, "%s ", name);
    return ++log_of.count == log_of.fails_at ? ERR_IO : OK;
}

static err op_open(struct env *e, const char *path, u32 flags, struct file **out)
{
    (void)e, (void)path, (void)flags;
    *out = NULL;
    return step("open");
}
static void op_close(struct env *e, struct file *f) { (void)e, (void)f; }
static err op_truncate(struct env *e, struct file *f, u64 bytes) { return (void)e, (void)f, (void)bytes, step("empty"); }
static err op_write(struct env *e, struct file *f, u64 at, const void *from, size_t bytes)
{
    (void)e, (void)f, (void)at, (void)from, (void)bytes;
    return step("write");
}
static err op_sync(struct env *e, struct file *f) { return (void)e, (void)f, step("sync"); }
static err op_rename(struct env *e, const char *from, const char *to)
{
    (void)e;
    CHECK(strcmp(from, "d/boot.tmp") == 0 && strcmp(to, "d/boot") == 0);
    return step("rename");
}
static err op_dir_sync(struct env *e, const char *path)
{
    (void)e;
    CHECK(strcmp(path, "d") == 0);
    return step("dirsync");
}

static err replace(u32 fails_at)
{
    static const struct env_ops ops = {.file_open = op_open,
                                       .file_close = op_close,
                                       .file_truncate = op_truncate,
                                       .file_pwrite = op_write,
                                       .file_sync = op_sync,
                                       .file_rename = op_rename,
                                       .dir_sync = op_dir_sync};
    struct env env = {.ops = &ops};

    log_of.steps[0] = 0;
    log_of.count = 0;
    log_of.fails_at = fails_at;
    return env_file_replace(&env, "d/boot", STR("7"));
}

TEST(replace, the_bytes_are_durable_before_the_name_and_the_name_before_it_returns)
{
    CHECK_OK(replace(0));
    CHECK(strcmp(log_of.steps, "open empty write sync rename dirsync ") == 0);
}

TEST(replace, a_step_that_fails_is_told_and_the_last)
{
    for (u32 k = 1; k <= 6; k++) {
        CHECK_EQ(replace(k), ERR_IO);
        CHECK_EQ(log_of.count, k);
    }
}

TEST_MAIN(RUN(replace, the_bytes_are_durable_before_the_name_and_the_name_before_it_returns),
          RUN(replace, a_step_that_fails_is_told_and_the_last))
