/* The operator of a cluster (--cluster): machines that join, are drained, removed, emptied and come again; keyspaces made
 * and dropped, their partitions split and merged; settings and rolling restarts. All of it through the cluster's own commands, asked of any live node,
 * while faults strike. */
#pragma once

#include "sim/world.h"

struct host;
struct churn;

struct churn *churn_new(struct world *w); /* before the hosts start: parks the spare ones */
void churn_free(struct churn *c);
void churn_start(struct world *w);

/* For scripts, while the operator is calm. False: nobody could be asked just now. */
bool churn_join(struct world *w);                        /* a spare machine */
bool churn_drain(struct world *w, u32 node);
bool churn_make_keyspace(struct world *w, u32 partitions);
bool churn_split(struct world *w); /* the first partition of the first keyspace made */
bool churn_merge(struct world *w); /* it and its right neighbour */
void churn_lose_disk(struct world *w, struct host *h); /* it comes back with an empty one */

/* All faults are over: what was begun is brought to its end. */
bool churn_is_done(const struct world *w);

/* A node stopped itself: was it told that it was removed? Then its machine is spare again. */
bool churn_on_removed(struct world *w, struct host *h);

/* The disk of this host, whose process is gone, is empty now: what will it be when it starts again? */
void churn_on_wiped(struct world *w, struct host *h);

/* A made keyspace for a client to use, drawn by chance; 0: there is none. */
u32 churn_keyspace(const struct world *w, struct prng *p);
bool churn_drops(const struct world *w, u32 keyspace); /* it is, or may be, on its way out */
