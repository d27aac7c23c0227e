/* Needs -DQUORATE_FAULTS=ON; skipped otherwise. */
#include "env/real_fixture.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#ifdef QUORATE_FAULTS
static struct fixture f;

static void with(const char *name, const char *value)
{
    setenv(name, value, 1);
    fixture_init(&f, NULL);
    unsetenv(name);
}

static struct file *open_file(void)
{
    struct file *file;
    CHECK_OK(f.env->ops->file_open(f.env, "a", FILE_CREATE | FILE_DIRECT, &file));
    return file;
}

TEST(faults, the_kth_write_fails_and_leaves_nothing)
{
    with("QUORATE_FAIL_WRITE_AT", "2");
    struct file *file = open_file();
    u64 size;

    CHECK_OK(f.env->ops->file_pwrite(f.env, file, 0, "1", 1));
    CHECK_EQ(f.env->ops->file_pwrite(f.env, file, 1, "2", 1), ERR_IO);
    CHECK_OK(f.env->ops->file_size(f.env, file, &size));
    CHECK_EQ(size, 1);
    CHECK_OK(f.env->ops->file_pwrite(f.env, file, 1, "3", 1));
    f.env->ops->file_close(f.env, file);
    fixture_done(&f);
}

TEST(faults, the_kth_sync_fails)
{
    with("QUORATE_FAIL_SYNC_AT", "2");
    struct file *file = open_file();

    CHECK_OK(f.env->ops->file_sync(f.env, file));
    CHECK_EQ(f.env->ops->dir_sync(f.env, ""), ERR_IO);
    f.env->ops->file_close(f.env, file);
    fixture_done(&f);
}

static err durable_result;
static void keep_result(struct fixture *fx, const struct env_event *ev)
{
    (void)fx;
    durable_result = ev->result;
}
static bool disk_done(struct fixture *fx) { return fx->seen[ENV_DISK_DONE] == 1; }

TEST(faults, a_durable_write_fails_through_its_event)
{
    static u8 data[4096] __attribute__((aligned(4096)));
    with("QUORATE_FAIL_SYNC_AT", "1");
    struct disk_op op = {.file = open_file(), .data = data, .bytes = sizeof data};

    f.on_event = keep_result;
    env_disk_submit(f.env, &op);
    fixture_run(&f, disk_done);
    CHECK_EQ(durable_result, ERR_IO);
    f.env->ops->file_close(f.env, op.file);
    fixture_done(&f);
}

/* Die at the second write of "abcd" behind "12"; how much of it is there afterwards? */
static u64 size_after_kill(const char *how)
{
    struct file *file;
    int status;
    u64 size;

    fixture_init(&f, NULL);
    env_real_free(f.env); /* no threads across the fork */
    pid_t child = fork();
    if (child == 0) {
        struct env_real_options options = {.dir = f.dir, .disk = "thread"};
        struct env *env;
        char problem[128];
        setenv("QUORATE_KILL_AT_WRITE", "2", 1);
        setenv("QUORATE_KILL_HOW", how, 1);
        if (env_real_new(&options, &env, problem, sizeof problem)) _exit(1);
        if (env->ops->file_open(env, "a", FILE_CREATE, &file)) _exit(2);
        if (env->ops->file_pwrite(env, file, 0, "12", 2)) _exit(3);
        if (env->ops->file_pwrite(env, file, 2, "abcd", 4)) _exit(4);
        _exit(5);
    }
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    fixture_open(&f, NULL);
    file = open_file();
    CHECK_OK(f.env->ops->file_size(f.env, file, &size));
    f.env->ops->file_close(f.env, file);
    fixture_done(&f);
    return size;
}

TEST(faults, kill_strikes_before_within_or_after_the_kth_write)
{
    CHECK_EQ(size_after_kill("before"), 2);
    CHECK_EQ(size_after_kill("torn"), 4);
    CHECK_EQ(size_after_kill("after"), 6);
}

TEST_MAIN(RUN(faults, the_kth_write_fails_and_leaves_nothing), RUN(faults, the_kth_sync_fails),
          RUN(faults, a_durable_write_fails_through_its_event),
          RUN(faults, kill_strikes_before_within_or_after_the_kth_write))
#else
TEST(faults, are_not_compiled_in) { skip(); }
TEST_MAIN(RUN(faults, are_not_compiled_in))
#endif
