/* What an omniscient observer checks while the cluster runs (white box): at most one leader per term, the
 * same entry at the same index everywhere, commit and applied never go back in a life, answers equal
 * on every replica, digests of the whole state equal at equal indexes, sessions executed once. */
#pragma once

#include "base/str.h"
#include "sim/world.h"

struct host;
struct observer;

struct observer *observer_new(struct world *w);
void observer_free(struct observer *o);

void observe_start(struct world *w, struct host *h);
void observe_turn(struct world *w, struct host *h);
void observe_end_of_life(struct world *w, struct host *h);
void observe_wiped(struct world *w, struct host *h);

/* Whole peer frames on their way into the network at this time: what they promise is remembered. */
void observe_frames(struct world *w, nanos at, str frames);

/* Does a node other than this one not vote because its disk lost something, or is still blank? */
bool observe_others_are_damaged(const struct world *w, u32 but);

u32 observe_leader(const struct world *w); /* the node that leads the highest term; 0: none is up */
u64 observe_term_max(const struct world *w); /* that any node is in, or would be in after a restart */
u64 observe_commit(const struct world *w); /* the highest index any node has applied */

/* Have all nodes applied everything any of them knows to be committed? */
bool observe_converged(const struct world *w);
/* At rest: every replica's state has the same digest, and a fresh state machine that runs the
 * log from its beginning gives the same answers and the same digest (the index witness). */
void observe_final(struct world *w);
