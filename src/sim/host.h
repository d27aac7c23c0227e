/* A host of the simulated world: a machine with its clocks, its CPU, its share of the network and, if it
 * is a node, a disk and an engine image. What runs on it sees only struct env, and runs in turns: a
 * turn happens at one instant of the world, but its own calls may push the host's time ahead (work,
 * blocking calls, pauses); what it sends leaves then, and its next turn starts no sooner. */
#pragma once

#include "env/env.h"
#include "server/node.h"
#include "sim/clocks.h"
#include "sim/world.h"

struct disk;
struct engine;

struct event_queue { /* a ring of events not yet taken */
    struct env_event *items;
    u32 head, count, cap;
};

struct host {
    struct env env;
    struct world *world;
    u32 id; /* 1..nodes: a node; above: a client */
    bool is_node, up;
    u32 boot; /* lives so far: events of an earlier life are void */
    struct clocks clocks;
    struct event_queue queue;

    bool in_turn;
    nanos ahead;      /* how far this turn's calls have pushed the host's own time */
    nanos busy_until; /* no turn before */
    nanos turn_at;    /* when the next turn is scheduled; NANOS_NEVER: not */
    u64 turn_number;  /* of the scheduled turn; an older event is void */
    nanos wake_mono;  /* the wish of env_wake_at */
    u64 bytes_moved;  /* by this turn, for its cost */
    bool answered;    /* a client, in this turn */
    u32 pause_in_calls; /* 0: none; else the pause below strikes at that env call */
    nanos pause;
    u64 pauses;

    bool (*turn)(struct host *h); /* the program; true: again at once */
    void *program;                /* the client's; nodes use the fields below */

    struct disk *disk;
    struct engine *engine;
    struct node *node;
    struct node_config config;
    bool parked;          /* a spare machine: it does not start */
    bool restart_planned; /* or forbidden */
    u64 start_number;     /* of the latest plan; an older event is void */
    char failure[256]; /* why the last life ended, for the trace */
};

struct host *host_new(struct world *w, u32 id, bool is_node);
void host_free(struct host *h);

/* The host's own present: the world's time plus how far the turn has run. */
static inline nanos host_now(const struct host *h) { return h->world->now + (h->in_turn ? h->ahead : 0); }

/* Every env call passes here: a pause may strike between any two of them. */
void host_call(struct host *h);

void host_push(struct host *h, const struct env_event *ev);

/* Run a turn by `at` (world time), or sooner if one is scheduled. */
void host_turn_by(struct host *h, nanos at);

/* A node's life. start: boots on its disk. crash: the process is gone; power: so is the page cache, and its
 * peers hear nothing. Both are no-ops in the wrong state. */
void host_start_at(struct host *h, nanos at); /* replaces an earlier plan */
void host_keep_down(struct host *h);          /* until the next host_start_at */
void host_crash(struct host *h, bool power, const char *why);
