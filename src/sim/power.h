/* A power cut of all nodes. */
#pragma once

#include "sim/world.h"

/* A kind of fault. Where entries count in memory: a few times only, when all replicas are whole, at a moment when something is
 * not on the disks of a majority; then an operator has groups that stay down recovered (groups_loss.c). */
bool power_strike(struct world *w, struct prng *p);
