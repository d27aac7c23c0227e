/* Client histories across power cuts of all nodes, where entries count in memory (--memory). */
#pragma once

#include "sim/world.h"

/* The history of each key of such a keyspace is cut in pieces, one between two power cuts, each checked by itself: it begins
 * with one value of those before, whichever it is. Its key gets the piece's number. */
void windows_cut(struct world *w);
