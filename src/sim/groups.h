/* What an omniscient observer checks of every group of a cluster whose nodes come and go. All is kept by
 * (partition, replica number): a node may hold one replica of a group today and another tomorrow, and a machine
 * may be another node after its disk was lost. observe.c watches the one group of fixed members, closer. */
#pragma once

#include "base/str.h"
#include "sim/world.h"

struct host;
struct groups;
struct part;

struct groups *groups_new(struct world *w);
void groups_free(struct groups *g);

/* Each replica that this host runs, as of its latest turn or start. */
void groups_start(struct world *w, struct host *h);
void groups_turn(struct world *w, struct host *h);
void groups_end_of_life(struct world *w, struct host *h);
/* Its disk was lost: what its replicas promised is not known to them any more. */
void groups_wiped(struct world *w, struct host *h);
void groups_raft_frame(struct world *w, const u8 *frame, nanos at); /* as it leaves */

struct part *groups_part(const struct host *h, u64 part); /* NULL: no replica there, or the host is down */
u32 groups_leader(const struct world *w, u64 part); /* the host that leads it in the highest term; 0: none is up */
u32 groups_any_leader(struct world *w);             /* of a group drawn by chance; 0: none is up */

/* Could this host lose its disk, and every group still has a majority of replicas that have lost nothing? NULL: are all
 * replicas whole, and each group led, with nothing under way? */
bool groups_can_do_without(const struct world *w, const struct host *h);

/* All nodes are about to lose power (groups_loss.c): what must be there afterwards? */
void groups_before_power_cut(struct world *w);
/* Is there an applied entry that is not on the disks of a majority? */
bool groups_have_in_memory(const struct world *w);
/* The operator looks after it: some group that nobody leads is told to go on with what is left. */
bool groups_recover_some(struct world *w, struct prng *p);

/* At rest: the members are those of the map, everything committed is applied, nothing is under way, the catalogs say
 * what the map says, and the planner wants nothing. Else false, and why. */
bool groups_converged(const struct world *w, char *why, size_t size);
void groups_final(struct world *w); /* digests equal, and the log run again gives the same */
