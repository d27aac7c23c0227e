/* Shapes of network partitions among the nodes: whole, one-way, and the three partial topologies of
 * OmniPaxos (Ng et al. 2023, §2): quorum-loss, constrained and chained election. */
#pragma once

#include "sim/world.h"

/* Draw a shape, cut its links, and say its name; leader 0: unknown. */
const char *partition_cut(struct world *w, struct prng *p, u32 leader);
/* Undo every cut between nodes, and between nodes and clients. */
void partition_heal(struct world *w);
void partition_hub(struct world *w, u32 leader, u32 hub); /* the leader reaches the hub only, the hub reaches all */
void partition_isolate(struct world *w, struct prng *p, u32 node); /* perhaps not from clients */
