#include "env/real_fixture.h"

#include "base/mem.h"

#include <signal.h>
#include <string.h>

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

/* --- clocks and timers --- */

TEST(clock, monotonic_never_goes_back_and_is_read_afresh)
{
    nanos first = env_mono(f.env), last = first;

    for (u32 i = 0; i < 100000 && last == first; i++) last = env_mono(f.env);
    CHECK(last > first);
    CHECK(env_random(f.env) != env_random(f.env));
    CHECK(env_wall_us(f.env) > 1600000000000000ULL);
}

static nanos due;
static bool is_due(struct fixture *fx) { return env_mono(fx->env) >= due; }

TEST(timer, a_wish_brings_a_turn_not_before_its_time)
{
    due = env_mono(f.env) + 5 * NANOS_MS;
    env_wake_at(f.env, due);
    fixture_run(&f, is_due);
    CHECK(env_mono(f.env) >= due);
    CHECK(f.turns <= 3); /* the first, and the due one */
}

static u32 wishes;
static bool rewish(struct fixture *fx)
{
    if (fx->turns == 1) { /* a far wish, then a nearer one: the nearer counts */
        env_wake_at(fx->env, env_mono(fx->env) + 100 * NANOS_SEC);
        env_wake_at(fx->env, env_mono(fx->env) + NANOS_MS);
        return false;
    }
    if (++wishes == 5) return true;
    env_wake_at(fx->env, env_mono(fx->env) + NANOS_MS);
    return false;
}

TEST(timer, a_nearer_wish_replaces_a_farther_one)
{
    nanos start = env_mono(f.env);
    fixture_run(&f, rewish);
    CHECK_EQ(wishes, 5);
    CHECK(env_mono(f.env) - start < 50 * NANOS_SEC);
}

static nanos first_wish;
static bool moves_its_wish(struct fixture *fx)
{
    if (fx->turns == 1) {
        first_wish = env_mono(fx->env) + 2 * NANOS_MS;
        env_wake_at(fx->env, first_wish);
        raise(SIGTERM); /* an event before that time */
        return false;
    }
    if (due) return env_mono(fx->env) >= due;
    while (env_mono(fx->env) < first_wish + 3 * NANOS_MS) { /* a turn longer than the time armed */
    }
    due = env_mono(fx->env) + 10 * NANOS_MS;
    env_wake_at(fx->env, due);
    return false;
}

TEST(timer, one_that_runs_out_before_the_poll_does_not_make_it_endless)
{
    due = 0;
    fixture_run(&f, moves_its_wish);
    CHECK(env_mono(f.env) >= due);
    CHECK(env_mono(f.env) < due + 5 * NANOS_SEC);
}

static bool busy_turn(void *context)
{
    struct fixture *fx = context;
    if (++fx->turns < 10) return true;
    env_real_stop(fx->env);
    return false;
}

TEST(turn, is_called_again_at_once_while_there_is_more)
{
    env_real_run(f.env, busy_turn, &f);
    CHECK_EQ(f.turns, 10);
}

/* --- signals --- */

static bool stop_seen(struct fixture *fx) { return fx->seen[ENV_STOP] > 0; }

TEST(stop, sigterm_becomes_an_event)
{
    raise(SIGTERM);
    fixture_run(&f, stop_seen);
    CHECK_EQ(f.seen[ENV_STOP], 1);
}

TEST(stop, sigint_works_although_the_parent_ignored_it)
{
    fixture_done(&f);
    signal(SIGINT, SIG_IGN);
    fixture_init(&f, NULL);
    raise(SIGINT);
    fixture_run(&f, stop_seen);
    CHECK_EQ(f.seen[ENV_STOP], 1);
}

/* --- durable writes --- */

enum { OPS = 8 };
struct write_test {
    struct disk_op ops[OPS];
    u8 *data;
};

static void on_disk_done(struct fixture *fx, const struct env_event *ev)
{
    (void)fx;
    CHECK_EQ(ev->kind, ENV_DISK_DONE);
    CHECK_OK(ev->result);
}

static bool writes_over(struct fixture *fx) { return fx->seen[ENV_DISK_DONE] == OPS; }

static void write_and_read_back(const struct env_real_options *options)
{
    struct write_test *t = mem_zalloc(sizeof *t);
    struct file *file;
    u8 got[4096];
    size_t bytes;

    fixture_done(&f);
    fixture_init(&f, options);
    t->data = mem_alloc_aligned(4096, OPS * 4096);
    for (u32 i = 0; i < OPS; i++) memset(t->data + i * 4096, (int)('a' + i), 4096);
    CHECK_OK(f.env->ops->file_open(f.env, "wal", FILE_CREATE | FILE_DIRECT, &file));
    for (u32 i = 0; i < OPS; i++) {
        t->ops[i] = (struct disk_op){
            .file = file, .offset = i * 4096, .data = t->data + i * 4096, .bytes = 4096};
        env_disk_submit(f.env, &t->ops[i]);
    }
    f.on_event = on_disk_done;
    fixture_run(&f, writes_over);
    for (u32 i = 0; i < OPS; i++) {
        CHECK_OK(f.env->ops->file_pread(f.env, file, i * 4096, got, sizeof got, &bytes));
        CHECK_EQ(bytes, 4096);
        CHECK(mem_equal(got, t->data + i * 4096, 4096));
    }
    f.env->ops->file_close(f.env, file);
    mem_free(t->data);
    mem_free(t);
}

TEST(disk, writes_are_there_with_the_thread)
{
    write_and_read_back(&(struct env_real_options){.disk = "thread"});
    assert_string_equal(f.env->disk_how, "thread");
}

TEST(disk, writes_are_there_with_what_the_system_allows)
{
    write_and_read_back(&(struct env_real_options){.disk = "auto"});
}

TEST(disk, writes_are_there_without_o_direct)
{
    write_and_read_back(&(struct env_real_options){.disk = "thread", .buffered = true});
}

static bool at_once(struct fixture *fx)
{
    (void)fx;
    return true;
}

TEST(disk, quiesce_waits_for_writes_so_that_their_memory_can_go)
{
    u8 *data = mem_alloc_aligned(4096, MIB), got[4096];
    struct disk_op op = {.data = data, .bytes = MIB};
    size_t bytes;

    memset(data, 'q', MIB);
    CHECK_OK(f.env->ops->file_open(f.env, "wal", FILE_CREATE | FILE_DIRECT, &op.file));
    env_disk_submit(f.env, &op);
    fixture_run(&f, at_once);
    env_real_quiesce(f.env);
    mem_free(data);
    CHECK_OK(f.env->ops->file_pread(f.env, op.file, MIB - 4096, got, sizeof got, &bytes));
    CHECK_EQ(bytes, 4096);
    CHECK_EQ(got[4095], 'q');
    f.env->ops->file_close(f.env, op.file);
}

struct flag_job {
    struct env_job job;
    bool ran;
};

static void set_flag(struct env_job *job)
{
    __atomic_store_n(&CONTAINER_OF(job, struct flag_job, job)->ran, true, __ATOMIC_RELEASE);
}

/* Its wake-up is taken by the loop that waits for the write, when the threads and their lock are gone. */
TEST(disk, quiesce_waits_for_a_write_while_a_job_has_just_ended)
{
    u8 *data = mem_alloc_aligned(4096, 16 * MIB);
    struct disk_op op = {.data = data, .bytes = 16 * MIB};
    struct flag_job j = {.job = {.run = set_flag}};

    memset(data, 'q', 16 * MIB);
    CHECK_OK(f.env->ops->file_open(f.env, "wal", FILE_CREATE | FILE_DIRECT, &op.file));
    env_job_submit(f.env, &j.job);
    while (!__atomic_load_n(&j.ran, __ATOMIC_ACQUIRE)) {
    }
    env_disk_submit(f.env, &op);
    env_real_quiesce(f.env);
    mem_free(data);
    f.env->ops->file_close(f.env, op.file);
}

TEST(disk, an_unknown_choice_is_refused)
{
    struct env_real_options options = {.dir = f.dir, .disk = "tape"};
    struct env *env;
    char problem[128];

    CHECK_EQ(env_real_new(&options, &env, problem, sizeof problem), ERR_INVALID);
    assert_non_null(strstr(problem, "auto, uring or thread"));
}

/* --- jobs --- */

enum { JOBS = 20 };
struct counting_job {
    struct env_job job;
    struct order *order;
    u32 number;
};
struct order { /* the jobs of one kind run one at a time, so no lock */
    u32 next[2];
    bool broken;
};

static void count(struct env_job *job)
{
    struct counting_job *c = CONTAINER_OF(job, struct counting_job, job);
    u32 lane = job->kind;

    if (c->order->next[lane] != c->number) c->order->broken = true;
    c->order->next[lane]++;
    job->result = c->number == 3 ? ERR_IO : OK;
}

static u32 job_failures;
static void on_job_done(struct fixture *fx, const struct env_event *ev)
{
    (void)fx;
    if (ev->result) job_failures++;
}
static bool jobs_over(struct fixture *fx) { return fx->seen[ENV_JOB_DONE] == 2 * JOBS; }

TEST(jobs, of_one_kind_run_in_order_and_come_back_with_their_result)
{
    struct order order = {0};
    struct counting_job *jobs = mem_zalloc_array(2 * JOBS, sizeof *jobs);

    for (u32 i = 0; i < 2 * JOBS; i++) {
        jobs[i] = (struct counting_job){{.run = count, .kind = i % 2}, &order, i / 2};
        env_job_submit(f.env, &jobs[i].job);
    }
    f.on_event = on_job_done;
    job_failures = 0;
    fixture_run(&f, jobs_over);
    CHECK(!order.broken);
    CHECK_EQ(order.next[0], JOBS);
    CHECK_EQ(order.next[1], JOBS);
    CHECK_EQ(job_failures, 2);
    mem_free(jobs);
}

static u32 gathered_most;
static void count_all(struct env_job *job)
{
    u32 together = 0;

    for (struct env_job *j = job; j; j = j->with, together++) count(j);
    gathered_most = together > gathered_most ? together : gathered_most;
    usleep(1000); /* others come meanwhile */
}

TEST(jobs, that_gather_run_together_in_order_and_each_comes_back)
{
    struct order order = {0};
    struct counting_job *jobs = mem_zalloc_array(2 * JOBS, sizeof *jobs);

    for (u32 i = 0; i < 2 * JOBS; i++) { /* of the second kind every third does not */
        bool alone = i % 2 && i / 2 % 3 == 0;
        jobs[i] = (struct counting_job){
            {.run = alone ? count : count_all, .kind = i % 2, .gathers = !alone}, &order, i / 2};
        env_job_submit(f.env, &jobs[i].job);
    }
    f.on_event = on_job_done;
    job_failures = gathered_most = 0;
    fixture_run(&f, jobs_over);
    CHECK(!order.broken);
    CHECK_EQ(order.next[0], JOBS);
    CHECK_EQ(order.next[1], JOBS);
    CHECK_EQ(job_failures, 2);
    CHECK(gathered_most > 1);
    mem_free(jobs);
}

TEST(jobs, queued_when_the_env_ends_are_waited_for_or_dropped)
{
    struct order order = {0};
    struct counting_job job = {{.run = count}, &order, 0};

    env_job_submit(f.env, &job.job);
    env_real_free(f.env);
    CHECK(order.next[0] <= 1);
    fixture_open(&f, NULL);
}

#define WITH_ENV(group, name) cmocka_unit_test_setup_teardown(group##__##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ENV(clock, monotonic_never_goes_back_and_is_read_afresh),
        WITH_ENV(timer, a_wish_brings_a_turn_not_before_its_time),
        WITH_ENV(timer, a_nearer_wish_replaces_a_farther_one),
        WITH_ENV(timer, one_that_runs_out_before_the_poll_does_not_make_it_endless),
        WITH_ENV(turn, is_called_again_at_once_while_there_is_more),
        WITH_ENV(stop, sigterm_becomes_an_event),
        WITH_ENV(stop, sigint_works_although_the_parent_ignored_it),
        WITH_ENV(disk, writes_are_there_with_the_thread),
        WITH_ENV(disk, writes_are_there_with_what_the_system_allows),
        WITH_ENV(disk, writes_are_there_without_o_direct),
        WITH_ENV(disk, quiesce_waits_for_writes_so_that_their_memory_can_go),
        WITH_ENV(disk, quiesce_waits_for_a_write_while_a_job_has_just_ended),
        WITH_ENV(disk, an_unknown_choice_is_refused),
        WITH_ENV(jobs, of_one_kind_run_in_order_and_come_back_with_their_result),
        WITH_ENV(jobs, that_gather_run_together_in_order_and_each_comes_back),
        WITH_ENV(jobs, queued_when_the_env_ends_are_waited_for_or_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
