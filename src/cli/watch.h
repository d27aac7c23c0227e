/* What the nodes of a cluster tell of sampled requests, gathered for `quorate check --online`: who they are, what each told
 * since the last time, and how their clocks stand to ours. */
#pragma once

#include "check/online.h"
#include "cli/clocks.h"
#include "cli/http.h"

#define WATCH_NODES_MAX  64
#define WATCH_SEEDS_MAX  8

struct watch_node {
    u64 id, boot, started, since;
    struct http_place place;
    bool met;  /* boot, started and since are known */
    bool dead; /* nobody listens there, or it has been silent for long, to the other nodes as well */
    bool listed; /* it is of the cluster, by the latest list */
    struct clocks clocks;
    nanos told_to;      /* everything up to here, of our clock, has been told */
    nanos silent_since; /* 0: it answers */
};

struct watch {
    struct http_place seeds[WATCH_SEEDS_MAX];
    u32 seed_count;
    u32 rate;
    struct watch_node nodes[WATCH_NODES_MAX];
    u32 count;
    struct online *online;
    nanos listed_at, asked_at; /* when the nodes were last listed, and told to go on sampling */
    char problem[256];
};

/* Ask every node once, and tell the checker what they say. false: no node answers; problem says why. */
bool watch_look(struct watch *w);
/* Up to here everything has been told by all; 0: some node has not told anything yet. */
nanos watch_mark(const struct watch *w);
void watch_alert(struct watch *w, str text, str key, const char *level);
void watch_end(struct watch *w); /* the nodes need not sample any more */
