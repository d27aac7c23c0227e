/* A world of plain hosts whose program is the test itself: no nodes, no clients. */
#pragma once

#include "base/test.h"
#include "sim/disk.h"
#include "sim/faults.h"
#include "sim/host.h"
#include "sim/net.h"
#include "sim/observe.h"

#define FIXTURE_HOSTS 3

struct fixture {
    struct sim_options options;
    struct world *w;
    struct host *hosts[FIXTURE_HOSTS + 1]; /* from 1 */
};

static inline bool fixture_program(struct host *h)
{
    (void)h; /* events wait until the test takes them */
    return false;
}

static inline void fixture_init(struct fixture *f, u64 seed)
{
    static const struct disk_character character = {
        .write_base = 100000, .write_jitter = 100000, .call_base = 1000, .power_keep_ppm = 500000};

    *f = (struct fixture){0};
    sim_options_defaults(&f->options);
    f->options.faults = "none";
    f->w = world_new(&f->options, seed);
    f->w->net = net_new(f->w);
    f->w->observer = observer_new(f->w);
    *net_character(f->w->net) =
        (struct net_character){.latency_base = 50000, .latency_jitter = 100000, .window_bytes = 64 * KIB};
    for (u32 i = 1; i <= FIXTURE_HOSTS; i++) {
        struct host *h = f->hosts[i] = f->w->hosts[f->w->host_count++] = host_new(f->w, i, true);
        h->disk = disk_new(h, &character);
        h->turn = fixture_program;
        h->up = true;
        h->restart_planned = true; /* nobody restarts it but the test */
    }
}

static inline void fixture_done(struct fixture *f)
{
    net_free(f->w->net);
    observer_free(f->w->observer);
    for (u32 i = 1; i <= FIXTURE_HOSTS; i++) host_free(f->hosts[i]);
    world_free(f->w);
}

static inline void fixture_run(struct fixture *f, nanos lasts) { world_run(f->w, f->w->now + lasts); }

/* The next event of this kind of a host; others before it are dropped. */
static inline bool fixture_take(struct host *h, enum env_event_kind kind, struct env_event *out)
{
    while (env_next_event(&h->env, out))
        if (out->kind == kind) return true;
    return false;
}
