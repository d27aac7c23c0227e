/* One simulated world: its time, its events, its hosts, and what is counted about it. Everything that
 * happens is an event of the heap; every event enters the trace hash, and so do the bytes it moves. */
#pragma once

#include "sim/chance.h"
#include "sim/heap.h"
#include "sim/options.h"

#define WORLD_HOSTS_MAX 40
#define WORLD_NODES_MAX 7
#define WORLD_VIOLATIONS_MAX 8
#define WORLD_POWER_CUTS_MAX 3

struct host;
struct net;
struct faults;
struct observer;
struct groups;
struct churn;
struct history;
struct client;

struct world {
    const struct sim_options *options;
    u64 seed;
    nanos now;
    u64 seq; /* events scheduled so far */
    u64 trace_hash, events;
    struct heap heap;
    struct prng chance[CHANCE_COUNT];

    struct host *hosts[WORLD_HOSTS_MAX]; /* [0..nodes): nodes 1.., then clients */
    u32 nodes, host_count;
    bool cluster; /* the real one: nodes join and leave. Else one group of members that only members.c changes */
    u32 founders; /* of the cluster: the first hosts */

    struct net *net;
    struct faults *faults;
    struct observer *observer; /* of the group whose members are fixed */
    struct groups *groups;     /* with a cluster: of all its groups */
    struct churn *churn;
    struct history *history;
    struct client *clients[WORLD_HOSTS_MAX];
    u32 client_count;
    u8 *keys_seen; /* owned: which of the first text_count texts of the history are keys; made for the audit */
    u32 text_count;

    u32 avoided; /* the node that stays away while the others must serve; clients leave it alone; 0: none */
    u32 break_at_chunk;  /* 0: no; else this many chunks of snapshots from now, the transfer is disturbed */
    u32 crash_at_answer; /* 0: no; else this many answers from now, nodes lose power as it leaves */

    nanos power_cuts[WORLD_POWER_CUTS_MAX]; /* of all nodes, where entries count in memory: acknowledged writes may be lost */
    u32 power_cut_count;
    nanos next_power_cut; /* not before */

    bool stopped; /* at the first violation: what follows is noise */
    u64 fault_count;
    u64 split_count, merge_count, move_count; /* of a cluster's partitions, carried out */
    u32 violation_count;
    char *violations[WORLD_VIOLATIONS_MAX]; /* owned */
};

struct world *world_new(const struct sim_options *options, u64 seed);
void world_free(struct world *w);

/* Schedule. `context` must live until the event fires: hosts, the net and its counted connections do.
 * An event of a host's earlier life is told by `arg` or by the context, never cancelled. */
void world_at(struct world *w, nanos at, enum event_kind kind, u32 actor, event_fn fire,
              void *context, u64 arg);

/* Fire events until the world's time is `until`, or a violation stops it. */
void world_run(struct world *w, nanos until);

/* Fold one value into the trace hash. Never a pointer. */
void world_trace(struct world *w, u64 value);
void world_trace_bytes(struct world *w, const void *data, size_t bytes);

/* A broken promise. Printed, counted, and the end of the run. */
void world_violation(struct world *w, const char *format, ...) PRINTF_LIKE(2, 3);

/* One line of the run, only with --verbose: "12.345678901 n1 ...". host may be NULL. */
void world_say(struct world *w, const struct host *h, const char *format, ...) PRINTF_LIKE(3, 4);

static inline struct prng *world_chance(struct world *w, enum chance c) { return &w->chance[c]; }
