/* `quorate price --probe`: reads at each level, as a client of each node sees them. */
#pragma once

#include "cli/look.h"
#include "cli/prices.h"

#define PROBE_READS 200 /* of each level, over all nodes together */

/* Reads a key that is not there; what the doors say it took (Q.EXPLAIN) comes into `probed`. Nodes that do not answer are
 * passed by. False: none has answered; problem says why. */
bool probe_take(const struct look *l, struct prices *out, char *problem, size_t size);
