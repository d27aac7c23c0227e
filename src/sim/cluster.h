/* What a seed's cluster is made of: nodes with limits small enough to be reached, and clients. */
#pragma once

#include "sim/world.h"

void cluster_make_nodes(struct world *w);
void cluster_make_clients(struct world *w);
void cluster_start(struct world *w);
