#include "env/real_fixture.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_done(&f);
    return 0;
}

TEST(files, read_back_what_was_written_and_stop_at_the_end)
{
    struct file *file;
    char got[32];
    size_t bytes;
    u64 size;

    CHECK_OK(f.env->ops->file_open(f.env, "a", FILE_CREATE, &file));
    CHECK_OK(f.env->ops->file_pwrite(f.env, file, 5, "hello", 5));
    CHECK_OK(f.env->ops->file_sync(f.env, file));
    CHECK_OK(f.env->ops->file_size(f.env, file, &size));
    CHECK_EQ(size, 10);
    CHECK_OK(f.env->ops->file_pread(f.env, file, 5, got, sizeof got, &bytes));
    CHECK_STR(str_from(got, bytes), "hello");
    CHECK_OK(f.env->ops->file_pread(f.env, file, 100, got, sizeof got, &bytes));
    CHECK_EQ(bytes, 0);
    CHECK_OK(f.env->ops->file_truncate(f.env, file, 7));
    CHECK_OK(f.env->ops->file_pread(f.env, file, 5, got, sizeof got, &bytes));
    CHECK_STR(str_from(got, bytes), "he");
    f.env->ops->file_close(f.env, file);
}

TEST(files, open_says_missing_and_exists)
{
    struct file *file;

    CHECK_EQ(f.env->ops->file_open(f.env, "none", 0, &file), ERR_NOT_FOUND);
    CHECK_OK(f.env->ops->file_open(f.env, "one", FILE_CREATE | FILE_EXCLUSIVE, &file));
    f.env->ops->file_close(f.env, file);
    CHECK_EQ(f.env->ops->file_open(f.env, "one", FILE_CREATE | FILE_EXCLUSIVE, &file), ERR_EXISTS);
    CHECK_OK(f.env->ops->file_unlink(f.env, "one"));
    CHECK_EQ(f.env->ops->file_unlink(f.env, "one"), ERR_NOT_FOUND);
}

TEST(files, direct_files_also_serve_unaligned_blocking_calls)
{
    struct file *file;
    char got[3];
    size_t bytes;

    CHECK_OK(f.env->ops->file_open(f.env, "d", FILE_CREATE | FILE_DIRECT, &file));
    CHECK_OK(f.env->ops->file_pwrite(f.env, file, 1, "abc", 3));
    CHECK_OK(f.env->ops->file_pread(f.env, file, 2, got, 2, &bytes));
    CHECK_STR(str_from(got, bytes), "bc");
    f.env->ops->file_close(f.env, file);
}

TEST(files, replace_leaves_the_new_bytes_and_no_temporary)
{
    struct buf bytes = {0}, names = {0};

    CHECK_OK(f.env->ops->dir_make(f.env, "sub"));
    CHECK_OK(f.env->ops->dir_make(f.env, "sub"));
    CHECK_OK(env_file_replace(f.env, "sub/identity", STR("the older and longer")));
    CHECK_OK(env_file_replace(f.env, "sub/identity", STR("new")));
    CHECK_OK(env_file_read(f.env, "sub/identity", 100, &bytes));
    CHECK_STR(buf_str(&bytes), "new");
    CHECK_EQ(env_file_read(f.env, "sub/identity", 2, &bytes), ERR_TOO_BIG);
    CHECK_OK(f.env->ops->dir_list(f.env, "sub", &names));
    CHECK_STR(buf_str(&names), "identity\0");
    buf_done(&bytes);
    buf_done(&names);
}

TEST(files, dir_list_is_sorted)
{
    struct buf names = {0};
    const char *const made[] = {"b", "c", "a"};

    CHECK_OK(f.env->ops->dir_make(f.env, "many"));
    for (u32 i = 0; i < ARRAY_LEN(made); i++) {
        char path[32];
        struct file *file;
        snprintf(path, sizeof path, "many/%s", made[i]);
        CHECK_OK(f.env->ops->file_open(f.env, path, FILE_CREATE, &file));
        f.env->ops->file_close(f.env, file);
    }
    CHECK_OK(f.env->ops->file_rename(f.env, "many/c", "many/0"));
    CHECK_OK(f.env->ops->dir_sync(f.env, "many"));
    CHECK_OK(f.env->ops->dir_list(f.env, "many", &names));
    CHECK_STR(buf_str(&names), "0\0a\0b\0");
    CHECK_EQ(f.env->ops->dir_list(f.env, "nowhere", &names), ERR_NOT_FOUND);
    buf_done(&names);
}

TEST(files, a_second_process_is_refused_the_lock_and_told_who_holds_it)
{
    struct env_real_options options = {.dir = f.dir, .disk = "thread"};
    struct env *second;
    char problem[128];
    u64 holder;

    CHECK_OK(f.env->ops->dir_lock(f.env, "lock", &holder));
    CHECK_OK(env_real_new(&options, &second, problem, sizeof problem));
    holder = 0;
    CHECK_EQ(second->ops->dir_lock(second, "lock", &holder), ERR_LOCKED);
    CHECK_EQ(holder, getpid());
    env_real_free(f.env);
    CHECK_OK(second->ops->dir_lock(second, "lock", &holder));
    f.env = second;
}

TEST(files, a_lock_ends_with_the_process_that_is_killed)
{
    int ready[2];
    char byte;
    u64 holder;

    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        err e = f.env->ops->dir_lock(f.env, "lock", &holder);
        (void)!write(ready[1], e ? "n" : "y", 1);
        for (;;) pause();
    }
    CHECK_EQ(read(ready[0], &byte, 1), 1);
    CHECK_EQ(byte, 'y');
    CHECK_EQ(f.env->ops->dir_lock(f.env, "lock", &holder), ERR_LOCKED);
    CHECK_EQ(holder, child);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    CHECK_OK(f.env->ops->dir_lock(f.env, "lock", &holder));
    close(ready[0]);
    close(ready[1]);
}

TEST(files, a_directory_that_cannot_be_made_is_named)
{
    struct env_real_options options = {.dir = "/proc/nowhere/data"};
    struct env *env;
    char problem[256];

    CHECK(env_real_new(&options, &env, problem, sizeof problem) != OK);
    assert_null(env);
    assert_non_null(strstr(problem, "/proc/nowhere/data"));
    assert_non_null(strstr(problem, "--dir"));
}

TEST(files, read_only_makes_nothing)
{
    char dir[128], problem[256];
    struct env_real_options options = {.dir = dir, .read_only = true};
    struct env *env;

    snprintf(dir, sizeof dir, "%s/absent", f.dir);
    CHECK_EQ(env_real_new(&options, &env, problem, sizeof problem), ERR_NOT_FOUND);
    CHECK(access(dir, F_OK) != 0);
}

static const char *log_after(enum log_level filter, enum log_level level, const char *text)
{
    static char line[256];
    int pipe_fds[2];
    struct env_real_options options = {.dir = f.dir, .disk = "thread", .log_level = filter};
    struct env *env;
    char problem[64];

    assert_int_equal(pipe(pipe_fds), 0);
    options.log_fd = pipe_fds[1];
    CHECK_OK(env_real_new(&options, &env, problem, sizeof problem));
    env_log(env, level, "%s", text);
    env_real_free(env);
    close(pipe_fds[1]);
    ssize_t got = read(pipe_fds[0], line, sizeof line - 1);
    line[got] = 0;
    close(pipe_fds[0]);
    return line;
}

TEST(log, lines_above_the_level_are_dropped)
{
    assert_non_null(strstr(log_after(LOG_WARN, LOG_WARN, "kept key=1"), "Z warn kept key=1\n"));
    assert_string_equal(log_after(LOG_WARN, LOG_INFO, "dropped"), "");
}

TEST(log, a_line_cannot_forge_another)
{
    const char *line = log_after(LOG_INFO, LOG_INFO, "name=a\nerror forged");
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

#define WITH_ENV(group, name) cmocka_unit_test_setup_teardown(group##__##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ENV(files, read_back_what_was_written_and_stop_at_the_end),
        WITH_ENV(files, open_says_missing_and_exists),
        WITH_ENV(files, direct_files_also_serve_unaligned_blocking_calls),
        WITH_ENV(files, replace_leaves_the_new_bytes_and_no_temporary),
        WITH_ENV(files, dir_list_is_sorted),
        WITH_ENV(files, a_second_process_is_refused_the_lock_and_told_who_holds_it),
        WITH_ENV(files, a_lock_ends_with_the_process_that_is_killed),
        WITH_ENV(files, a_directory_that_cannot_be_made_is_named),
        WITH_ENV(files, read_only_makes_nothing),
        WITH_ENV(log, lines_above_the_level_are_dropped),
        WITH_ENV(log, a_line_cannot_forge_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
