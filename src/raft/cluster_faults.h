/* For tests: what kind of world a seed is: its faults and its replicas' options. */
#pragma once

#include "raft/cluster_world.h"

static inline u32 pick(struct world *w, u32 count)
{
    return (u32)prng_below(&w->prng, count);
}

static inline u32 maybe(struct world *w, u32 most)
{
    return pick(w, 4) == 0 ? 0 : pick(w, most + 1);
}

/* Each seed is one kind of world. */
enum profile { MIXED, HARSH, STORM, TIGHT };

static inline enum profile profile_of(u64 seed)
{
    static const enum profile by_seed[8] = {TIGHT, MIXED, STORM, STORM, TIGHT, MIXED, HARSH, STORM};
    const char *forced = getenv("RAFT_PROFILE");
    return forced ? (enum profile)atoi(forced) : by_seed[seed % 8];
}

static inline void draw_mixed(struct world *w, struct faults *f)
{
    f->drop = maybe(w, 200000);
    f->duplicate = maybe(w, 100000);
    f->crash = maybe(w, 2000);
    f->wipe = maybe(w, 300000); /* of the crashes that may */
    f->restart_after = 500 * NANOS_MS;
    f->cut = maybe(w, 3000);
    f->mend = 2000 + pick(w, 20000);
    f->pause = maybe(w, 1000);
    f->transfer = maybe(w, 3000);
    f->disk_full = maybe(w, 1500);
    f->snapshot = maybe(w, 10000);
    f->unreachable = maybe(w, 2000);
    f->backlog = maybe(w, 20000);
    f->disk_stall = maybe(w, 3000);
    f->delay_min = 50 * MICROS;
    f->delay_max = pick(w, 3) ? 500 * MICROS : pick(w, 20000) * MICROS + f->delay_min;
    f->slow_message = maybe(w, 100000);
    f->slow_extra = pick(w, 1000) * NANOS_MS;
    f->disk_min = 20 * MICROS;
    f->disk_max = pick(w, 3) ? 300 * MICROS : pick(w, 50000) * MICROS + f->disk_min;
}

/* Elections without end: replicas fall and rise at once, answers come late, disks are slow. */
static inline void draw_storm(struct world *w, struct faults *f)
{
    f->crash = 1000 + pick(w, 10000);
    f->crash_at_save = maybe(w, 300000);
    f->crash_at_lead = maybe(w, 700000);
    f->lonely_leader = maybe(w, 5000);
    f->restart_after = (1 + pick(w, 40)) * NANOS_MS;
    f->wipe = maybe(w, 20000);
    f->cut = pick(w, 20000);
    f->mend = 2000 + pick(w, 30000);
    f->duplicate = pick(w, 300000);
    f->slow_message = pick(w, 500000);
    f->slow_extra = pick(w, 400) * NANOS_MS;
    f->snapshot = maybe(w, 50000);
    f->disk_max = (1 + pick(w, 60)) * NANOS_MS;
    f->delay_max = (1 + pick(w, 5)) * NANOS_MS;
}

/* Lonely leaders, clocks that differ, and the next leader comes as early as it can. */
static inline void draw_tight(struct world *w, struct faults *f)
{
    *f = (struct faults){.delay_min = 20 * MICROS,
                         .delay_max = 100 * MICROS,
                         .disk_min = 10 * MICROS,
                         .disk_max = 40 * MICROS,
                         .restart_after = 2 * NANOS_MS};
    f->lonely_leader = 1000 + pick(w, 5000);
    f->mend = 2000 + pick(w, 5000);
    f->crash = maybe(w, 10000);
    f->cut = maybe(w, 10000);
    f->slow_message = maybe(w, 30000);
    f->slow_extra = 200 * NANOS_MS;
    f->transfer = maybe(w, 5000);
}

static inline void draw_faults(struct world *w)
{
    struct faults *f = &w->faults;
    draw_mixed(w, f);
    switch (profile_of(w->seed)) {
    case MIXED: break;
    case HARSH:
        f->crash *= 5;
        f->cut *= 5;
        f->snapshot *= 5;
        f->transfer *= 3;
        break;
    case STORM: draw_storm(w, f); break;
    case TIGHT: draw_tight(w, f); break;
    }
}

static inline struct raft_options draw_options(struct world *w, replica_id self)
{
    nanos min = 150 * NANOS_MS;
    enum profile profile = profile_of(w->seed);
    bool tight = profile == TIGHT; /* elections right after leases end */
    return (struct raft_options){
        .self = self,
        .seed = w->seed * 100 + self,
        .election_timeout_min = min,
        .election_timeout_max = tight                             ? min + 4 * NANOS_MS
                                : profile == STORM && w->seed % 2 ? min + 20 * NANOS_MS
                                                                  : 2 * min,
        .heartbeat_every = 30 * NANOS_MS,
        .lease = profile == STORM && w->seed % 3 ? min / 16 : min,
        .drift_ppm = 10000,
        .inflight_messages_max = 1 + pick(w, 8),
        .inflight_bytes_max = 100 + pick(w, 2000),
        .append_bytes_max = 1 + (profile == STORM ? pick(w, 30) : pick(w, 500)),
        .tail_bytes_max = 100000,
        .uncommitted_bytes_max = 1000 + pick(w, 5000),
    };
}
