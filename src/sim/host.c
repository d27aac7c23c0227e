#include "sim/host.h"

#include "base/assert.h"
#include "base/mem.h"
#include "sim/disk.h"
#include "sim/engine.h"
#include "sim/faults.h"
#include "sim/net.h"

#include <stdio.h>

#define TURN_COST 1000       /* ns, and ... */
#define BYTES_PER_NS 6       /* ... 6 GB/s for what it moves */
#define CLOCK_READ_COST 30   /* so that a fresh reading is a later one */
#define QUEUE_START 16

static struct host *host_of(struct env *env) { return CONTAINER_OF(env, struct host, env); }

void host_call(struct host *h)
{
    if (!h->in_turn || h->pause_in_calls == 0) return;
    if (--h->pause_in_calls > 0) return;
    world_say(h->world, h, "paused %llu us inside a turn", (unsigned long long)(h->pause / 1000));
    h->ahead += h->pause;
    h->pauses++;
}

static nanos op_mono(struct env *env)
{
    struct host *h = host_of(env);
    host_call(h);
    if (h->in_turn) h->ahead += CLOCK_READ_COST;
    return clocks_mono(&h->clocks, host_now(h));
}

static u64 op_wall_us(struct env *env)
{
    struct host *h = host_of(env);
    host_call(h);
    return clocks_wall_us(&h->clocks, host_now(h));
}

static u64 op_random(struct env *env)
{
    return prng_next(world_chance(host_of(env)->world, CHANCE_NODE));
}

void host_push(struct host *h, const struct env_event *ev)
{
    struct event_queue *q = &h->queue;

    if (q->count == q->cap) {
        u32 cap = q->cap ? q->cap * 2 : QUEUE_START;
        struct env_event *items = mem_zalloc_array(cap, sizeof *items);
        for (u32 i = 0; i < q->count; i++) items[i] = q->items[(q->head + i) % q->cap];
        mem_free(q->items);
        *q = (struct event_queue){.items = items, .count = q->count, .cap = cap};
    }
    q->items[(q->head + q->count++) % q->cap] = *ev;
    host_turn_by(h, h->world->now);
}

static bool op_next_event(struct env *env, struct env_event *out)
{
    struct host *h = host_of(env);
    struct event_queue *q = &h->queue;

    host_call(h);
    if (q->count == 0) return false;
    *out = q->items[q->head];
    q->head = (q->head + 1) % q->cap;
    q->count--;
    world_trace(h->world, ((u64)h->id << 32) | ((u64)out->kind << 16) | out->result);
    if (out->kind == ENV_CLOSED) net_closed_taken(out->stream);
    return true;
}

static void op_wake_at(struct env *env, nanos at)
{
    struct host *h = host_of(env);
    h->wake_mono = at;
    if (!h->in_turn) host_turn_by(h, u64_max(h->world->now, clocks_when(&h->clocks, at)));
}

/* ---- turns ---- */

static void fire_turn(struct world *w, void *context, u64 number)
{
    struct host *h = context;

    if (number != h->turn_number || !h->up) return;
    h->turn_at = NANOS_NEVER;
    if (w->now < h->busy_until) {
        host_turn_by(h, h->busy_until);
        return;
    }

    u32 boot = h->boot;
    h->in_turn = true;
    h->ahead = 0;
    h->bytes_moved = 0;
    h->answered = false;
    bool more = h->turn(h);
    h->in_turn = false;
    if (h->boot != boot) return; /* it died in this turn */

    h->busy_until = w->now + h->ahead + TURN_COST + h->bytes_moved / BYTES_PER_NS;
    h->ahead = 0;
    if (h->answered && h->is_node && w->crash_at_answer > 0 && --w->crash_at_answer == 0)
        faults_on_answer(w, h->busy_until);
    if (more || h->queue.count > 0) host_turn_by(h, h->busy_until);
    nanos wake = clocks_when(&h->clocks, h->wake_mono);
    if (wake != NANOS_NEVER) host_turn_by(h, u64_max(wake, h->busy_until));
}

void host_turn_by(struct host *h, nanos at)
{
    if (!h->up || h->in_turn) return; /* the end of a turn looks by itself */
    if (at < h->busy_until) at = h->busy_until;
    if (at < h->world->now) at = h->world->now;
    if (at >= h->turn_at) return;
    h->turn_at = at;
    world_at(h->world, at, EVENT_TURN, h->id, fire_turn, h, ++h->turn_number);
}

/* ---- jobs ---- */

struct job_run {
    struct host *host;
    struct env_job *job;
    u32 boot;
};

static void fire_job_done(struct world *w, void *context, u64 arg)
{
    struct job_run *r = context;
    (void)w;
    (void)arg;
    if (r->boot == r->host->boot && r->host->up)
        host_push(r->host, &(struct env_event){.kind = ENV_JOB_DONE, .job = r->job});
    mem_free(r);
}

/* The job's own calls push `ahead`: that is how long it lasts, at the reactor's side nothing. */
static void fire_job_run(struct world *w, void *context, u64 arg)
{
    struct job_run *r = context;
    struct host *h = r->host;

    (void)arg;
    if (r->boot != h->boot || !h->up) {
        mem_free(r);
        return;
    }
    nanos before = h->ahead;
    h->ahead = 0;
    r->job->run(r->job);
    nanos lasted = h->ahead;
    h->ahead = before;
    if (disk_is_dead(h->disk)) {
        mem_free(r);
        host_crash(h, chance_one_in(world_chance(w, CHANCE_CRASH), 2), "died inside a job");
        return;
    }
    world_at(w, w->now + lasted + disk_job_delay(h->disk), EVENT_JOB_DONE, h->id, fire_job_done, r, 0);
}

static void op_job_submit(struct env *env, struct env_job *job)
{
    struct host *h = host_of(env);
    struct job_run *r = mem_zalloc(sizeof *r);

    host_call(h);
    *r = (struct job_run){.host = h, .job = job, .boot = h->boot};
    world_at(h->world, host_now(h) + disk_job_delay(h->disk), EVENT_JOB_RUN, h->id, fire_job_run, r, 0);
}

/* ---- connections ---- */

static err op_listen(struct env *env, const char *host, u16 port, struct listener *l)
{
    (void)host; /* ports are unique in the world: a port is an address */
    return net_listen(host_of(env), port, l);
}

static void op_unlisten(struct env *env, struct listener *l) { net_unlisten(host_of(env), l); }
static void op_accept(struct env *env, void *pending, struct stream *s) { net_accept(host_of(env), pending, s); }
static void op_refuse(struct env *env, void *pending) { net_refuse(host_of(env), pending); }

static void op_dial(struct env *env, const char *host, u16 port, struct stream *s)
{
    (void)host;
    host_call(host_of(env));
    net_dial(host_of(env), port, s);
}

static void op_flush(struct env *env, struct stream *s)
{
    host_call(host_of(env));
    net_flush(host_of(env), s);
}

static void op_pause(struct env *env, struct stream *s, bool paused) { net_pause(host_of(env), s, paused); }

static void op_close(struct env *env, struct stream *s, bool flush_first)
{
    host_call(host_of(env));
    net_close(host_of(env), s, flush_first);
}

static void op_peer_name(struct env *env, struct stream *s, char *out, size_t size)
{
    net_peer_name(host_of(env), s, out, size);
}

static void op_log(struct env *env, enum log_level level, const char *line)
{
    static const char *const names[] = {"ERROR", "WARN", "INFO", "DEBUG"};
    struct host *h = host_of(env);
    world_say(h->world, h, "%s %s", names[level], line);
}

static void ops_fill(struct env_ops *ops)
{
    *ops = (struct env_ops){
        .mono = op_mono,
        .wall_us = op_wall_us,
        .random = op_random,
        .next_event = op_next_event,
        .wake_at = op_wake_at,
        .listen = op_listen,
        .unlisten = op_unlisten,
        .accept = op_accept,
        .refuse = op_refuse,
        .dial = op_dial,
        .flush = op_flush,
        .pause = op_pause,
        .close = op_close,
        .peer_name = op_peer_name,
        .job_submit = op_job_submit,
        .log = op_log,
    };
    disk_ops_fill(ops);
}

struct host *host_new(struct world *w, u32 id, bool is_node)
{
    struct host *h = mem_zalloc(sizeof *h);
    struct env_ops *ops = mem_zalloc(sizeof *ops);

    ops_fill(ops);
    h->env.ops = ops;
    h->env.disk_how = "sim";
    h->world = w;
    h->id = id;
    h->is_node = is_node;
    h->turn_at = NANOS_NEVER;
    h->wake_mono = NANOS_NEVER;
    return h;
}

void host_free(struct host *h)
{
    if (!h) return;
    engine_free(h->engine);
    disk_free(h->disk);
    mem_free(h->queue.items);
    mem_free((void *)h->env.ops);
    mem_free(h);
}
