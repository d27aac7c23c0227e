#include "sim/faults.h"

#include "base/assert.h"
#include "base/mem.h"
#include "sim/churn.h"
#include "sim/disk.h"
#include "sim/engine.h"
#include "sim/groups.h"
#include "sim/host.h"
#include "sim/net.h"
#include "sim/observe.h"
#include "sim/partitions.h"
#include "sim/power.h"

#include <stdio.h>

#define ROWS_MAX 24
#define WALL_STEP_US_MAX 2000000
#define LEFT_OUT_ONE_IN 4 /* a kind of fault is missing in one seed of so many */
#define SKEWED_ONE_IN 8   /* ... but clocks beyond the bound, where old values may be read, are in one of so many only */
#define SKEW_PPM_MAX 200000

struct fault_row {
    const char *name;
    nanos mean; /* between two of the kind, before the seed's factor of 1/4 to 4 */
    bool (*strike)(struct world *w, struct prng *p); /* false: nothing to strike at */
};

struct faults {
    struct world *world;
    bool enabled[ROWS_MAX];
    nanos mean[ROWS_MAX];
    bool over;
    bool atlas_used; /* that node has been struck so */
    nanos restart_mean; /* of most restarts */
    u32 atlas_node; /* the only one whose disk may lose or damage what it acknowledged */
    u32 partition_number;
    u64 wall_error_us;
};

/* Even over orders of magnitude. */
static nanos spread(struct prng *p, nanos low, nanos high)
{
    u32 doublings = 0;
    while (low << (doublings + 1) <= high) doublings++;
    return prng_between(p, low, low * 2) << prng_below(p, doublings + 1);
}

/* With many groups: of any of them, often the core. */
static u32 any_leader(struct world *w) { return w->cluster ? groups_any_leader(w) : observe_leader(w); }

/* ---- processes ---- */

static struct host *any_up(struct world *w, struct prng *p)
{
    struct host *up[WORLD_NODES_MAX];
    u32 count = 0;

    for (u32 i = 0; i < w->nodes; i++)
        if (w->hosts[i]->up) up[count++] = w->hosts[i];
    return count ? up[prng_below(p, count)] : NULL;
}

/* Where entries count in memory more than a minority may not crash: one that every group can do without. */
static bool strike_spare_node(struct world *w, struct prng *p)
{
    u32 from = (u32)prng_below(p, w->nodes);

    for (u32 i = 0; i < w->nodes; i++) {
        struct host *h = w->hosts[(from + i) % w->nodes];
        if (!h->up || !groups_can_do_without(w, h)) continue;
        host_crash(h, chance_one_in(p, 2), "killed, and can be spared");
        return true;
    }
    return false;
}

static bool strike_crash(struct world *w, struct prng *p)
{
    if (w->options->memory) return strike_spare_node(w, p);
    u32 leader = any_leader(w);
    struct host *h = leader && chance_one_in(p, 2) ? w->hosts[leader - 1] : any_up(w, p);
    if (!h || !h->up) return false;
    host_crash(h, chance_one_in(p, 2), "killed");
    return true;
}

/* Dies at one of its next reads, writes or syncs, whichever that is: also while booting. */
static bool strike_io_crash(struct world *w, struct prng *p)
{
    struct host *h = w->hosts[prng_below(p, w->nodes)];
    disk_die_in(h->disk, 1 + (u32)prng_below(p, chance_one_in(p, 2) ? 30 : 300));
    return true;
}

/* Nodes lose power at the very moment at which an answer has left: what it promised must be on disks. */
static bool strike_answer_crash(struct world *w, struct prng *p)
{
    w->crash_at_answer = 1 + (u32)prng_below(p, 20);
    return true;
}

static void fire_answer_crash(struct world *w, void *context, u64 spared)
{
    (void)context;
    for (u32 i = 0; i < w->nodes; i++)
        if (w->hosts[i]->id != spared) host_crash(w->hosts[i], true, "power cut at an answer");
}

void faults_on_answer(struct world *w, nanos at)
{
    struct prng *p = world_chance(w, CHANCE_FAULT);
    u64 spared = chance_one_in(p, 2) ? 0 : 1 + prng_below(p, w->nodes);
    if (!w->faults->over) world_at(w, at, EVENT_CRASH, 0, fire_answer_crash, w, spared);
}

static bool strike_transfer(struct world *w, struct prng *p)
{
    w->break_at_chunk = 1 + (u32)prng_below(p, 6);
    return true;
}

static void fire_cut_ends(struct world *w, void *context, u64 number)
{
    struct faults *f = context;
    if (number == f->partition_number) partition_heal(w);
}

static void fire_sender_dies(struct world *w, void *context, u64 arg)
{
    struct host *sender = context;
    struct prng *p = world_chance(w, CHANCE_FAULT);

    (void)arg;
    if (w->faults->over || !sender->up) return;
    host_crash(sender, chance_one_in(p, 2), "killed in a stalled transfer");
    host_start_at(sender, w->now + chance_between(p, 2 * NANOS_MS, 40 * NANOS_MS));
}

/* In the middle of a transfer its sender dies or loses its peers for a while, or the receiver dies. */
static void fire_transfer_breaks(struct world *w, void *context, u64 pair)
{
    struct faults *f = context;
    struct prng *p = world_chance(w, CHANCE_FAULT);
    struct host *from = w->hosts[(pair >> 8) - 1], *to = w->hosts[(pair & 0xff) - 1];

    if (f->over) return;
    u64 what = prng_below(p, 5);
    if (what == 4) { /* long enough for a newer snapshot, the next time */
        nanos stalls = chance_between(p, 300 * NANOS_MS, 2 * NANOS_SEC);
        net_stall(w->net, from->id, to->id, w->now + stalls);
        world_at(w, w->now + stalls, EVENT_CRASH, from->id, fire_sender_dies, from, 0);
        return;
    }
    if (what < 2) {
        host_crash(what ? from : to, chance_one_in(p, 2), "killed in a transfer");
        return;
    }
    partition_heal(w);
    partition_isolate(w, p, from->id);
    world_say(w, from, "is isolated in a transfer");
    nanos lasts = chance_between(p, 20 * NANOS_MS, 4 * from->config.election_timeout_max);
    world_at(w, w->now + lasts, EVENT_HEAL, 0, fire_cut_ends, f, ++f->partition_number);
}

void faults_on_chunk(struct world *w, u32 from, u32 to)
{
    if (w->break_at_chunk == 0 || --w->break_at_chunk > 0 || w->faults->over) return;
    nanos wait = prng_below(world_chance(w, CHANCE_FAULT), chance_one_in(world_chance(w, CHANCE_FAULT), 2)
                                                              ? 3 * NANOS_MS : 50 * NANOS_MS);
    world_at(w, w->now + wait, EVENT_CRASH, 0, fire_transfer_breaks, w->faults, (u64)from << 8 | to);
}

static bool strike_rotation_crash(struct world *w, struct prng *p)
{
    struct host *h = any_up(w, p);
    if (!h) return false;
    disk_crash_at_rotation(h->disk, spread(p, 100000, 3 * NANOS_MS));
    return true;
}

/* A clean stop, as SIGTERM asks for it: leadership moves away, the log is checkpointed. */
static bool strike_stop(struct world *w, struct prng *p)
{
    u32 leader = any_leader(w);
    struct host *h = leader && chance_one_in(p, 2) ? w->hosts[leader - 1] : any_up(w, p);
    if (!h) return false;
    world_say(w, h, "is asked to stop");
    host_push(h, &(struct env_event){.kind = ENV_STOP});
    return true;
}

static bool strike_pause(struct world *w, struct prng *p)
{
    u32 leader = any_leader(w);
    struct host *h = leader && chance_one_in(p, 2) ? w->hosts[leader - 1] : any_up(w, p);
    if (!h || !h->up) return false;
    nanos lasts = chance_one_in(p, 2) ? chance_between(p, NANOS_MS, 200 * NANOS_MS)
                                      : chance_between(p, 200 * NANOS_MS, 5 * NANOS_SEC);
    if (chance_one_in(p, 2)) { /* between two calls of some turn soon */
        h->pause_in_calls = 1 + (u32)prng_below(p, 60);
        h->pause = lasts;
        return true;
    }
    world_say(w, h, "paused for %llu us", (unsigned long long)(lasts / 1000));
    h->busy_until = u64_max(h->busy_until, w->now + lasts);
    h->pauses++;
    return true;
}

static bool strike_wipe(struct world *w, struct prng *p)
{
    struct host *atlas = w->hosts[w->faults->atlas_node - 1], *h = atlas;

    if (w->cluster && !disk_is_corrupted(atlas->disk)) h = w->hosts[prng_below(p, w->nodes)];
    if (h->parked || observe_others_are_damaged(w, h->id)) return false;
    w->faults->atlas_used = true;
    if (h->up) host_crash(h, true, "disk lost");
    world_say(w, h, "its disk is empty now");
    disk_wipe(h->disk);
    engine_wipe(h->engine);
    observe_wiped(w, h);
    if (w->cluster) churn_on_wiped(w, h);
    return true;
}

/* ---- the network ---- */

static void fire_partition_end(struct world *w, void *context, u64 number)
{
    struct faults *f = context;
    if (number != f->partition_number) return;
    world_say(w, NULL, "partition heals");
    partition_heal(w);
}

static bool strike_partition(struct world *w, struct prng *p)
{
    struct faults *f = w->faults;
    partition_heal(w);
    const char *shape = partition_cut(w, p, any_leader(w));
    nanos lasts = chance_between(p, 20 * NANOS_MS, NANOS_SEC) + chance_exponential(p, 1500 * NANOS_MS);
    world_say(w, NULL, "partition: %s, for %llu us", shape, (unsigned long long)(lasts / 1000));
    world_at(w, w->now + lasts, EVENT_HEAL, 0, fire_partition_end, f, ++f->partition_number);
    return true;
}

/* The leader is cut from all but one, and that one is killed while it still owes the leader its silence, and is back
 * at once: the others have long been asking it for its vote. */
static void fire_hub_restarts(struct world *w, void *context, u64 number)
{
    struct faults *f = w->faults;
    struct host *hub = context;

    if (f->over || number != f->partition_number || !hub->up) return;
    u32 leader = any_leader(w);
    if (leader && leader != hub->id) partition_hub(w, leader, leader); /* which it does not hear again */
    host_crash(hub, chance_one_in(world_chance(w, CHANCE_FAULT), 2), "killed while it follows a leader");
    host_start_at(hub, w->now + chance_between(world_chance(w, CHANCE_FAULT), 2 * NANOS_MS, 60 * NANOS_MS));
}

static bool strike_hub(struct world *w, struct prng *p)
{
    struct faults *f = w->faults;
    u32 leader = any_leader(w);

    if (!leader || w->nodes < 3) return false;
    u32 hub = 1 + (leader - 1 + 1 + (u32)prng_below(p, w->nodes - 1)) % w->nodes;
    nanos patience = w->hosts[0]->config.election_timeout_max;
    nanos strikes = w->now + chance_between(p, patience, 3 * patience);
    partition_heal(w);
    partition_hub(w, leader, hub);
    world_say(w, w->hosts[hub - 1], "is all that the leader reaches");
    f->partition_number++;
    world_at(w, strikes, EVENT_CRASH, hub, fire_hub_restarts, w->hosts[hub - 1], f->partition_number);
    world_at(w, strikes + 2 * patience, EVENT_HEAL, 0, fire_partition_end, f, f->partition_number);
    return true;
}

/* The leader's disk stalls with entries in flight, and it is cut off: others go on, and overwrite those entries before
 * its disk has told of them. */
static bool strike_stuck_leader(struct world *w, struct prng *p)
{
    struct faults *f = w->faults;
    u32 leader = any_leader(w);

    if (!leader) return false;
    struct host *h = w->hosts[leader - 1];
    nanos patience = h->config.election_timeout_max;
    nanos heals = w->now + chance_between(p, 2 * patience, 4 * patience);
    partition_heal(w);
    partition_isolate(w, p, leader);
    disk_stall(h->disk, chance_one_in(p, 4) ? w->now : heals + chance_between(p, 0, patience));
    world_say(w, h, "is cut off, and its disk stalls");
    world_at(w, heals, EVENT_HEAL, 0, fire_partition_end, f, ++f->partition_number);
    return true;
}

static bool strike_stall(struct world *w, struct prng *p)
{
    u32 from = 1 + (u32)prng_below(p, w->host_count), to = 1 + (u32)prng_below(p, w->nodes);
    if (from == to) return false;
    nanos until = w->now + chance_exponential(p, 500 * NANOS_MS);
    net_stall(w->net, from, to, until);
    if (chance_one_in(p, 2)) net_stall(w->net, to, from, until);
    return true;
}

static bool strike_reset(struct world *w, struct prng *p)
{
    (void)p;
    return net_reset_any(w->net);
}

/* ---- disks and clocks ---- */

static bool strike_slow_disk(struct world *w, struct prng *p)
{
    struct host *h = any_up(w, p);
    if (!h) return false;
    nanos lasts = chance_one_in(p, 4) ? chance_exponential(p, 3 * NANOS_SEC) : chance_exponential(p, 300 * NANOS_MS);
    world_say(w, h, "disk stalls for %llu us", (unsigned long long)(lasts / 1000));
    disk_stall(h->disk, w->now + lasts);
    return true;
}

static bool strike_eio(struct world *w, struct prng *p)
{
    struct host *h = any_up(w, p);
    if (!h) return false;
    disk_fail_next_write(h->disk);
    return true;
}

static void fire_reads_mend(struct world *w, void *context, u64 arg)
{
    struct host *h = context;
    (void)w;
    (void)arg;
    disk_fail_reads(h->disk, 0);
}

static bool strike_read_eio(struct world *w, struct prng *p)
{
    struct host *h = w->hosts[prng_below(p, w->nodes)];
    /* Some blocks on the atlas node: it may take them for damage. Elsewhere the whole device. */
    bool some = h->id == w->faults->atlas_node;
    if (some && observe_others_are_damaged(w, h->id)) return false;
    w->faults->atlas_used |= some;
    disk_fail_reads(h->disk, some ? (u32)prng_between(p, 1000, 200000) : 1000000);
    world_at(w, w->now + chance_exponential(p, 2 * NANOS_SEC), EVENT_HEAL, h->id, fire_reads_mend, h, 0);
    return true;
}

static void fire_room_returns(struct world *w, void *context, u64 arg)
{
    struct host *h = context;
    (void)arg;
    if (disk_is_full(h->disk)) world_say(w, h, "disk has room again");
    disk_set_full(h->disk, false);
}

static bool strike_full(struct world *w, struct prng *p)
{
    u32 one = 1 + (u32)prng_below(p, w->nodes);
    bool all = chance_one_in(p, 4); /* they share a device */

    for (u32 i = 0; i < w->nodes; i++) {
        struct host *h = w->hosts[i];
        if (!all && h->id != one) continue;
        world_say(w, h, "disk is full");
        disk_set_full(h->disk, true);
        world_at(w, w->now + chance_between(p, 100 * NANOS_MS, 5 * NANOS_SEC), EVENT_HEAL, h->id, fire_room_returns,
                 h, 0);
    }
    return true;
}

static bool strike_corrupt(struct world *w, struct prng *p)
{
    struct host *h = w->hosts[w->faults->atlas_node - 1];
    if (observe_others_are_damaged(w, h->id) || !disk_flip_bits(h->disk, p)) return false;
    w->faults->atlas_used = true;
    world_say(w, h, "a bit of its log is flipped");
    if (chance_one_in(p, 2)) host_crash(h, chance_one_in(p, 2), "killed"); /* to read it soon */
    return true;
}

static bool strike_clock(struct world *w, struct prng *p)
{
    struct host *h = w->hosts[prng_below(p, w->nodes)];
    i64 step = (i64)prng_below(p, 2 * WALL_STEP_US_MAX) - WALL_STEP_US_MAX;
    h->clocks.wall_steps_us += step;
    w->faults->wall_error_us += (u64)(step < 0 ? -step : step);
    world_say(w, h, "wall clock steps by %lld us", (long long)step);
    return true;
}

static const struct fault_row rows[] = {
    {"crash", 4 * NANOS_SEC, strike_crash},
    {"power", 25 * NANOS_SEC, power_strike},
    {"io-crash", 10 * NANOS_SEC, strike_io_crash},
    {"answer-crash", 12 * NANOS_SEC, strike_answer_crash},
    {"transfer", 5 * NANOS_SEC, strike_transfer},
    {"rotate-crash", 15 * NANOS_SEC, strike_rotation_crash},
    {"stop", 15 * NANOS_SEC, strike_stop},
    {"pause", 4 * NANOS_SEC, strike_pause},
    {"wipe", 60 * NANOS_SEC, strike_wipe},
    {"partition", 4 * NANOS_SEC, strike_partition},
    {"hub", 12 * NANOS_SEC, strike_hub},
    {"stuck-leader", 12 * NANOS_SEC, strike_stuck_leader},
    {"stall", 2 * NANOS_SEC, strike_stall},
    {"reset", 3 * NANOS_SEC, strike_reset},
    {"slow-disk", 6 * NANOS_SEC, strike_slow_disk},
    {"eio", 30 * NANOS_SEC, strike_eio},
    {"read-eio", 40 * NANOS_SEC, strike_read_eio},
    {"full", 20 * NANOS_SEC, strike_full},
    {"corrupt", 20 * NANOS_SEC, strike_corrupt},
    {"clock", 8 * NANOS_SEC, strike_clock},
    {"frames", 0, NULL}, /* duplicated and reordered peer frames: net_character */
    {"ghosts", 0, NULL}, /* frames of former connections and lives: net_character */
    {"drift", 0, NULL},  /* clocks that run fast or slow */
    {"skew", 0, NULL},   /* monotonic clocks that run faster and slower than leases allow for */
};
_Static_assert(ARRAY_LEN(rows) <= ROWS_MAX, "faults.enabled is long enough");

const char *faults_name(u32 row) { return row < ARRAY_LEN(rows) ? rows[row].name : NULL; }

static u32 row_named(const char *name)
{
    u32 row = 0;
    while (strcmp(rows[row].name, name) != 0) row++;
    return row;
}

/* ---- the schedule ---- */

static void fire_fault(struct world *w, void *context, u64 row)
{
    struct faults *f = context;
    struct prng *p = world_chance(w, CHANCE_FAULT);

    if (f->over) return;
    if (rows[row].strike(w, p)) w->fault_count++;
    world_at(w, w->now + chance_exponential(p, f->mean[row]), EVENT_FAULT, 0, fire_fault, f, row);
}

void faults_start(struct world *w)
{
    struct faults *f = w->faults;
    struct prng *p = world_chance(w, CHANCE_FAULT);

    for (u32 row = 0; row < ARRAY_LEN(rows); row++)
        if (f->enabled[row] && rows[row].strike)
            world_at(w, w->now + chance_exponential(p, f->mean[row]), EVENT_FAULT, 0, fire_fault, f, row);
}

/* The ways for one node to stay away: no power, a disk that never answers, no links. */
static void keep_away(struct world *w, struct host *h)
{
    w->avoided = h->id;
    switch (prng_below(world_chance(w, CHANCE_SWARM), 3)) {
    case 0:
        world_say(w, h, "stays without power");
        host_keep_down(h);
        break;
    case 1:
        world_say(w, h, "stays with a disk that does not answer");
        disk_stall(h->disk, NANOS_NEVER);
        break;
    default:
        world_say(w, h, "stays without links");
        for (u32 other = 1; other <= w->host_count; other++) {
            if (other == h->id) continue;
            net_cut(w->net, h->id, other, true);
            net_cut(w->net, other, h->id, true);
        }
    }
}

void faults_heal_links(struct world *w)
{
    w->faults->partition_number++;
    net_heal(w->net);
}

void faults_heal(struct world *w, bool keep_one)
{
    struct faults *f = w->faults;
    struct prng *p = world_chance(w, CHANCE_SWARM);

    f->over = true;
    w->crash_at_answer = w->break_at_chunk = 0;
    world_say(w, NULL, "all faults end");
    struct net_character *c = net_character(w->net);
    c->frame_dup_ppm = c->frame_delay_ppm = c->slow_ppm = c->ghost_ppm = 0;
    faults_heal_links(w);
    w->avoided = 0;
    for (u32 i = 0; i < w->nodes; i++) {
        struct host *h = w->hosts[i];
        disk_die_in(h->disk, 0);
        disk_mend(h->disk);
        h->pause_in_calls = 0;
    }
    /* One whose disk has lost something is no good for the others' quorum: it is the one. */
    u32 away = f->atlas_used ? f->atlas_node : 1 + (u32)prng_below(p, w->nodes);
    bool one_may_go = keep_one && w->nodes >= 3 && !w->options->founders && !w->cluster && chance_one_in(p, 2);
    if (one_may_go && !observe_others_are_damaged(w, away)) keep_away(w, w->hosts[away - 1]);
    for (u32 i = 0; i < w->nodes; i++)
        if (w->hosts[i]->id != w->avoided) host_start_at(w->hosts[i], w->now);
}

bool faults_are_over(const struct world *w) { return w->faults->over; }

void faults_plan_restart(struct world *w, struct host *h)
{
    struct prng *p = world_chance(w, CHANCE_CRASH);
    nanos wait = chance_one_in(p, 10) ? chance_between(p, NANOS_SEC, 10 * NANOS_SEC)
                                      : chance_exponential(p, w->faults->restart_mean);
    if (w->faults->over) wait = 50 * NANOS_MS;
    host_start_at(h, w->now + wait);
}

bool faults_skew_clocks(const struct world *w) { return w->faults->enabled[row_named("skew")]; }

u64 faults_wall_error_us(const struct world *w) { return w->faults->wall_error_us; }

/* ---- what a seed is made of ---- */

static void draw_network(struct faults *f, struct prng *p)
{
    struct net_character *c = net_character(f->world->net);

    *c = (struct net_character){
        .latency_base = spread(p, 20000, 2 * NANOS_MS),
        .latency_jitter = spread(p, 10000, 4 * NANOS_MS),
        .slow_ppm = chance_one_in(p, 2) ? 0 : (u32)prng_below(p, 10000),
        .slow_factor = (u32)prng_between(p, 5, 100),
        .split_ppm = chance_one_in(p, 3) ? 0 : (u32)prng_below(p, 200000),
        .window_bytes = (size_t)spread(p, 4 * KIB, MIB),
    };
    if (f->enabled[row_named("frames")]) {
        c->frame_dup_ppm = (u32)prng_below(p, 80000);
        c->frame_delay_ppm = (u32)prng_below(p, 40000);
        c->frame_delay_mean = spread(p, 5 * NANOS_MS, 600 * NANOS_MS);
    }
    if (f->enabled[row_named("ghosts")]) c->ghost_ppm = (u32)spread(p, 50, 5000);
}

/* By these a node may die whatever the others do: not where a minority is all that may. */
static const char kills[] = "io-crash,answer-crash,transfer,rotate-crash,wipe,hub,eio,read-eio,full,corrupt";

struct faults *faults_new(struct world *w)
{
    struct faults *f = mem_zalloc(sizeof *f);
    struct prng *p = world_chance(w, CHANCE_SWARM);
    const char *list = w->options->faults;

    f->world = w;
    f->atlas_node = 1 + (u32)prng_below(p, w->nodes);
    f->wall_error_us = 500000;
    for (u32 row = 0; row < ARRAY_LEN(rows); row++) {
        bool drawn = !chance_one_in(p, LEFT_OUT_ONE_IN);
        nanos mean = rows[row].mean ? spread(p, rows[row].mean / 4, rows[row].mean * 4) : 0;
        if (w->options->memory && rows[row].strike == strike_crash) mean /= 8; /* mostly nobody can be spared */
        if (w->options->memory && rows[row].strike == power_strike) mean /= 32;
        f->enabled[row] = list ? sim_list_has(list, rows[row].name) : drawn;
        f->mean[row] = mean;
    }
    for (u32 row = 0; row < ARRAY_LEN(rows) && w->options->memory; row++)
        f->enabled[row] &= !sim_list_has(kills, rows[row].name);
    u32 skew = row_named("skew");
    if (!list) f->enabled[skew] = chance_one_in(p, SKEWED_ONE_IN);
    f->restart_mean = spread(p, 10 * NANOS_MS, 1200 * NANOS_MS);
    draw_network(f, p);
    nanos slowest_write = chance_one_in(p, 3) ? 20 * NANOS_MS : NANOS_MS;
    bool slow_jobs = chance_one_in(p, 3), buffered = chance_one_in(p, 3);
    for (u32 i = 0; i < w->nodes; i++) {
        struct host *h = w->hosts[i];
        struct disk_character c = {.write_base = spread(p, 40000, slowest_write),
                                   .write_jitter = spread(p, 40000, 2 * slowest_write),
                                   .call_base = spread(p, 2000, 50000),
                                   .slow_ppm = chance_one_in(p, 2) ? 0 : (u32)prng_below(p, 5000),
                                   .power_keep_ppm = (u32)prng_between(p, 50000, 950000),
                                   .job_mean = spread(p, 2 * NANOS_MS, slow_jobs ? 400 * NANOS_MS : 20 * NANOS_MS),
                                   .buffered = buffered};
        bool drifts = f->enabled[row_named("drift")];
        h->disk = disk_new(h, &c);
        h->engine = engine_new(h->disk);
        clocks_init(&h->clocks, world_chance(w, CHANCE_CLOCK), drifts ? h->config.drift_ppm : 0, f->wall_error_us);
        if (f->enabled[skew]) clocks_skew(&h->clocks, world_chance(w, CHANCE_CLOCK), SKEW_PPM_MAX);
    }
    return f;
}

void faults_free(struct faults *f) { mem_free(f); }

void faults_say(const struct faults *f)
{
    const struct net_character *c = net_character(f->world->net);

    for (u32 row = 0; row < ARRAY_LEN(rows); row++)
        if (f->enabled[row])
            world_say(f->world, NULL, "fault %s every %llu ms", rows[row].name,
                      (unsigned long long)(f->mean[row] / NANOS_MS));
    world_say(f->world, NULL, "latency %llu+%llu us, window %zu, disk that may lose: node %u",
              (unsigned long long)(c->latency_base / 1000), (unsigned long long)(c->latency_jitter / 1000),
              c->window_bytes, f->atlas_node);
}
