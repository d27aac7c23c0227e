/* Changes of members during a run (`--founders N`): N nodes found the group, the others join it; nodes are
 * added, promoted, replaced and removed at random while faults strike, and all are members at the end. */
#pragma once

#include "base/types.h"

struct world;

void members_start(struct world *w); /* nothing, unless fewer nodes found the group than there are */
bool members_are_all(const struct world *w); /* every node votes, on the disk that the members name */
/* Does a quorum of the members that this node knows, or knew at `index`, hold what `holds` says? */
typedef bool (*members_holds_fn)(const struct world *w, u32 node, u64 index, u64 term);
bool members_quorum_holds(const struct world *w, u32 node, u64 index, u64 term, members_holds_fn holds);
