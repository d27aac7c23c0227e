/* kill -9 at random moments: after it, the database shows exactly one ingest or stage, whole. A
 * child writes generations; each deletes a range and writes all rows with its number, marker
 * included. */
#include "base/prng.h"
#include "base/test.h"
#include "store/test_dir.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

enum { ROWS = 300, KILLS = 25 };

static struct kvs *open_rocks(const char *dir)
{
    struct kvs_rocks_options options = {.block_cache_bytes = 4 * MIB, .threads = 2};
    struct kvs *k;
    char problem[256];
    if (kvs_rocks_open(dir, &options, &k, problem, sizeof problem)) {
        fprintf(stderr, "%s\n", problem);
        abort();
    }
    return k;
}

/* Generation g has the rows i with i % 3 != g % 3, so that each one must also take rows away. */
static bool is_in(u64 generation, u64 i) { return i % 3 != generation % 3; }

static str key_text(u64 i, char out[16])
{
    return str_from(out, (size_t)snprintf(out, 16, "row%05llu", (unsigned long long)i));
}

static err write_by_ingest(struct kvs *k, u64 generation, str value)
{
    static char keys[ROWS][16];
    struct kvs_row rows[ROWS + 1];
    u32 count = 0;
    rows[count++] = (struct kvs_row){STR("marker"), value, false};
    for (u32 i = 0; i < ROWS; i++) {
        str key = key_text(i, keys[i]);
        if (is_in(generation, i)) rows[count++] = (struct kvs_row){key, value, false};
    }
    struct kvs_range range = {STR("row"), STR("rox")};
    return k->ops->ingest(k, &range, 1, rows, count);
}

static err write_by_stage(struct kvs *k, u64 generation, str value)
{
    struct kvs_stage *s;
    err e = k->ops->stage_new(k, &(struct kvs_range){STR("a"), STR("z")}, 1, &s);
    if (!e) e = k->ops->stage_add(s, STR("marker"), value);
    for (u32 i = 0; i < ROWS && !e; i++) {
        char key[16];
        if (is_in(generation, i)) e = k->ops->stage_add(s, key_text(i, key), value);
    }
    return e ? e : k->ops->stage_commit(s);
}

/* The number of the generation the database shows; every row must agree with it. */
static u64 read_generation(struct kvs *k)
{
    struct buf out = {0};
    bool found;
    CHECK_OK(k->ops->get(k, STR("marker"), &out, &found));
    u64 generation = found ? get_u64(buf_bytes(&out)) : 0;
    u64 count = 0;
    struct kvs_iter *i = k->ops->iter_new(k, NULL);
    for (k->ops->iter_seek(i, STR("row")); k->ops->iter_valid(i); k->ops->iter_next(i)) {
        str key = k->ops->iter_key(i);
        CHECK_EQ(get_u64(k->ops->iter_value(i).at), generation);
        CHECK(is_in(generation, strtoull((const char *)key.at + 3, NULL, 10)));
        count++;
    }
    CHECK_OK(k->ops->iter_error(i));
    k->ops->iter_free(i);
    CHECK_EQ(count, generation ? ROWS - ROWS / 3 : 0);
    buf_done(&out);
    return generation;
}

/* The child: says each generation that is durable on its standard output. */
static int write_for_ever(const char *dir)
{
    struct kvs *k = open_rocks(dir);
    u8 value[200] = {0};
    for (u64 generation = read_generation(k) + 1;; generation++) {
        put_u64(value, generation);
        str v = str_from(value, sizeof value);
        err e = generation % 4 ? write_by_ingest(k, generation, v)
                               : write_by_stage(k, generation, v);
        if (e) return 1;
        if (write(1, &generation, sizeof generation) != sizeof generation) return 0;
    }
}

/* Start this program again as the writer, kill it after a while; what it said last. */
static u64 run_and_kill(const char *dir, u64 micros)
{
    int out[2];
    CHECK_EQ(pipe(out), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(out[1], 1);
        close(out[0]);
        close(out[1]);
        execl("/proc/self/exe", "rocks_crash_test", "write", dir, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    u64 said = 0, got;
    /* the first word says that it is at work; only then does the clock run */
    if (read(out[0], &got, sizeof got) == sizeof got) said = got;
    nanosleep(&(struct timespec){.tv_nsec = (long)micros * 1000}, NULL);
    kill(child, SIGKILL);
    while (read(out[0], &got, sizeof got) == sizeof got) said = got;
    close(out[0]);
    int status;
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status));
    return said;
}

TEST(rocks, kill_at_any_moment_leaves_one_whole_generation_and_no_file_behind)
{
    struct test_dir dir;
    test_dir_make(&dir);
    struct prng prng;
    prng_init(&prng, 42, 1);
    for (u32 i = 0; i < KILLS; i++) {
        u64 said = run_and_kill(test_dir_path(&dir, "db"), prng_below(&prng, 30000));
        struct kvs *k = open_rocks(test_dir_path(&dir, "db"));
        u64 generation = read_generation(k);
        CHECK(generation == said || generation == said + 1);
        k->ops->close(k);
        CHECK_EQ(rmdir(test_dir_path(&dir, "db.sst")), 0); /* empty */
    }
    test_dir_remove(&dir);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "write") == 0) return write_for_ever(argv[2]);
    const struct CMUnitTest tests[] = {
        RUN(rocks, kill_at_any_moment_leaves_one_whole_generation_and_no_file_behind)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
