/* The loop of the real env: signals, the timer, completions of the disk and of jobs, and the order
 * in which a turn sees its events. libuv callbacks here set flags and no more. */
#include "env/real.h"

#include "base/assert.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>
#include <sys/resource.h>
#include <unistd.h>

/* CLOCK_BOOTTIME also counts the time a suspended machine slept, which leases must see. */
static void cpu_us(struct env *env, u64 *user, u64 *system)
{
    struct rusage used = {0};

    (void)env;
    getrusage(RUSAGE_SELF, &used);
    *user = (u64)used.ru_utime.tv_sec * 1000000 + (u64)used.ru_utime.tv_usec;
    *system = (u64)used.ru_stime.tv_sec * 1000000 + (u64)used.ru_stime.tv_usec;
}

static nanos mono_now(struct env *env)
{
    struct timespec t;
    (void)env;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (nanos)t.tv_sec * NANOS_SEC + (nanos)t.tv_nsec;
}

static u64 wall_now_us(struct env *env)
{
    struct timespec t;
    (void)env;
    clock_gettime(CLOCK_REALTIME, &t);
    return (u64)t.tv_sec * 1000000 + (u64)t.tv_nsec / 1000;
}

static u64 random_u64(struct env *env)
{
    u64 value;
    (void)env;
    while (getrandom(&value, sizeof value, 0) != sizeof value) assert(errno == EINTR);
    return value;
}

nanos env_real_mono(void)
{
    return mono_now(NULL);
}
u64 env_real_wall_us(void)
{
    return wall_now_us(NULL);
}
u64 env_real_random(void)
{
    return random_u64(NULL);
}

static void wake_at(struct env *env, nanos at) { real_of(env)->wish = at; }

/* libuv runs due timers before it polls, and then polls without a limit if none is left. The timer may be
 * early (armed for a wish that has moved since, or by the rounding of its clock), so the poll behind it
 * must not block: uv_stop ends this round, and the loop arms the timer anew. */
static void on_timer(uv_timer_t *timer)
{
    struct real_env *r = timer->data;

    r->armed = NANOS_NEVER;
    uv_stop(&r->loop);
}

static void on_signal(uv_signal_t *signal, int number)
{
    (void)number;
    ((struct real_env *)signal->data)->stop_asked = true;
}

static void on_jobs_over(uv_async_t *wake)
{
    struct real_env *r = wake->data;
    jobs_take_done(&r->jobs, &r->jobs_over);
}

static void on_disk(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    ((struct real_env *)poll->data)->disk_ready = true;
}

/* The fault counters see every durable write, so that test builds can die or fail at the k-th. */
static void submit_write(struct env *env, struct disk_op *op)
{
    struct real_env *r = real_of(env);
    const struct file *f = op->file;
    bool direct = f->direct_fd >= 0;

    assert(op->bytes > 0);
    assert(op->bytes % 4096 == 0 && op->offset % 4096 == 0 && (uintptr_t)op->data % 4096 == 0);
    if (faults_on_write(&r->faults, f->fd, op->data, op->bytes, op->offset) == FAULT_FAIL ||
        faults_on_sync(&r->faults) == FAULT_FAIL) {
        op->result = ERR_IO;
        list_push(&r->failed_ops, &op->link);
        return;
    }
    disk_submit(r->disk, op, direct ? f->direct_fd : f->fd, !direct);
    r->disk_dirty = true;
    r->disk_in_flight++;
}

static void submit_job(struct env *env, struct env_job *job)
{
    jobs_submit(&real_of(env)->jobs, job);
}

static bool disk_next_event(struct real_env *r, struct env_event *out)
{
    struct list *failed = list_first(&r->failed_ops);
    struct disk_op *op = NULL;

    if (failed) {
        op = CONTAINER_OF(failed, struct disk_op, link);
        list_remove(failed);
    } else if (r->disk_ready) {
        op = disk_next_done(r->disk);
        if (op) r->disk_in_flight--;
        else r->disk_ready = false;
    }
    if (!op) return false;
    *out = (struct env_event){.kind = ENV_DISK_DONE, .op = op, .result = op->result};
    return true;
}

static bool next_event(struct env *env, struct env_event *out)
{
    struct real_env *r = real_of(env);

    if (r->stop_asked) {
        r->stop_asked = false;
        *out = (struct env_event){.kind = ENV_STOP};
        return true;
    }
    if (disk_next_event(r, out)) return true;
    struct list *over = list_first(&r->jobs_over);
    if (over) {
        struct env_job *job = CONTAINER_OF(over, struct env_job, link);
        list_remove(over);
        *out = (struct env_event){.kind = ENV_JOB_DONE, .job = job, .result = job->result};
        return true;
    }
    return conn_next_event(r, out) || tcp_next_event(r, out);
}

static bool has_events(struct real_env *r)
{
    return r->stop_asked || r->disk_ready || !list_is_empty(&r->failed_ops) ||
           !list_is_empty(&r->jobs_over) || !list_is_empty(&r->ready) ||
           !list_is_empty(&r->arrived);
}

static const struct env_ops real_ops = {
    .mono = mono_now,
    .cpu_us = cpu_us,
    .wall_us = wall_now_us,
    .random = random_u64,
    .next_event = next_event,
    .wake_at = wake_at,
    .listen = tcp_listen,
    .unlisten = tcp_unlisten,
    .accept = tcp_accept,
    .refuse = tcp_refuse,
    .dial = tcp_dial,
    .flush = conn_flush,
    .pause = conn_pause,
    .close = conn_close_stream,
    .peer_name = conn_peer_name,
    .disk_submit = submit_write,
    .job_submit = submit_job,
    .file_open = files_open,
    .file_close = files_close,
    .file_size = files_size,
    .file_pread = files_pread,
    .file_pwrite = files_pwrite,
    .file_sync = files_sync,
    .file_truncate = files_truncate,
    .file_rename = files_rename,
    .file_unlink = files_unlink,
    .dir_make = files_dir_make,
    .dir_sync = files_dir_sync,
    .dir_list = files_dir_list,
    .dir_lock = files_dir_lock,
    .disk_space = files_disk_space,
    .log = log_write,
};

/* A signal ignored or blocked in the parent (a script's background job) must reach us all the same.
 */
static void signals_take(struct real_env *r)
{
    sigset_t wanted;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    pthread_sigmask(SIG_UNBLOCK, &wanted, NULL);
    uv_signal_init(&r->loop, &r->terminate);
    uv_signal_init(&r->loop, &r->interrupt);
    r->terminate.data = r->interrupt.data = r;
    uv_signal_start(&r->terminate, on_signal, SIGTERM);
    uv_signal_start(&r->interrupt, on_signal, SIGINT);
}

static err disk_start(struct real_env *r, const char *choice, char *problem, size_t problem_size)
{
    int event_fd;
    err e = disk_open(choice ? choice : "auto", &event_fd, &r->disk, problem, problem_size);
    if (e) return e;

    r->env.disk_how = disk_how(r->disk);
    uv_poll_init(&r->loop, &r->disk_poll, event_fd);
    r->disk_poll.data = r;
    uv_poll_start(&r->disk_poll, UV_READABLE, on_disk);
    return OK;
}

static void loop_start(struct real_env *r)
{
    if (uv_loop_init(&r->loop)) panic("libuv: no event loop; raise the open-file limit");
    uv_timer_init(&r->loop, &r->timer);
    uv_async_init(&r->loop, &r->job_wake, on_jobs_over);
    r->timer.data = r->job_wake.data = r;
    signals_take(r);
}

err env_real_new(const struct env_real_options *options, struct env **out, char *problem,
                 size_t problem_size)
{
    struct real_env *r = mem_zalloc(sizeof *r);

    *out = NULL;
    r->env.ops = &real_ops;
    r->env.disk_how = "none";
    r->wish = r->armed = NANOS_NEVER;
    r->log = (struct log_sink){options->log_fd ? options->log_fd : STDERR_FILENO,
                               options->log_level};
    list_init(&r->conns);
    list_init(&r->ready);
    list_init(&r->touched);
    list_init(&r->arrived);
    list_init(&r->listening);
    list_init(&r->failed_ops);
    list_init(&r->jobs_over);
    faults_init(&r->faults);
    loop_start(r);
    jobs_init(&r->jobs, &r->job_wake);

    if (problem_size) problem[0] = 0;
    err e = files_init(r, options, problem, problem_size);
    if (!e && !options->read_only) e = disk_start(r, options->disk, problem, problem_size);
    if (e) {
        env_real_free(&r->env);
        return e;
    }
    *out = &r->env;
    return OK;
}

/* An armed timer that fires too early costs one empty round; restarting it each turn costs more. */
static void timer_arm(struct real_env *r, nanos now)
{
    if (r->wish >= r->armed) return;
    u64 ms = (r->wish - now + NANOS_MS - 1) / NANOS_MS;
    uv_update_time(&r->loop);
    uv_timer_start(&r->timer, on_timer, ms, 0);
    r->armed = r->wish;
}

void env_real_run(struct env *env, env_turn_fn turn, void *context)
{
    struct real_env *r = real_of(env);
    bool more = true;

    r->run_ends = false;
    while (!r->run_ends) {
        if (!more && r->wish != NANOS_NEVER) {
            nanos now = mono_now(env);
            if (r->wish <= now) more = true;
            else timer_arm(r, now);
        }
        uv_run(&r->loop, more ? UV_RUN_NOWAIT : UV_RUN_ONCE);
        bool due = r->wish != NANOS_NEVER && mono_now(env) >= r->wish;
        if (!more && !due && !has_events(r)) continue;
        if (due) r->wish = NANOS_NEVER; /* a wish is good for one turn */
        more = turn(context);
        if (r->disk_dirty) disk_kick(r->disk);
        r->disk_dirty = false;
        conn_settle(r);
        more = more || has_events(r);
    }
}

void env_real_stop(struct env *env) { real_of(env)->run_ends = true; }

void env_real_quiesce(struct env *env)
{
    struct real_env *r = real_of(env);
    struct env_event dropped;

    jobs_done(&r->jobs);
    if (r->disk_dirty) disk_kick(r->disk);
    r->disk_dirty = false;
    while (r->disk_in_flight) {
        if (!disk_next_event(r, &dropped)) uv_run(&r->loop, UV_RUN_ONCE);
    }
}

static void close_handle(uv_handle_t *handle)
{
    if (handle->loop && !uv_is_closing(handle)) uv_close(handle, NULL);
}

void env_real_free(struct env *env)
{
    if (!env) return;
    struct real_env *r = real_of(env);

    env_real_quiesce(env);
    conn_forget_owners(r);
    tcp_close_all(r);
    if (r->disk) close_handle((uv_handle_t *)&r->disk_poll);
    close_handle((uv_handle_t *)&r->timer);
    close_handle((uv_handle_t *)&r->job_wake);
    close_handle((uv_handle_t *)&r->terminate);
    close_handle((uv_handle_t *)&r->interrupt);
    while (uv_run(&r->loop, UV_RUN_DEFAULT)) {
    }
    int busy = uv_loop_close(&r->loop);
    assert(busy == 0);
    assert(list_is_empty(&r->conns));
    for (u32 i = 0; i < r->spare.count; i++) mem_free(r->spare.blocks[i]);
    disk_close(r->disk);
    files_done(r);
    mem_free(r);
}
