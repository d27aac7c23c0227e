/* Which replica of a partition is asked for what any of them may answer: this node's own, else in turn those that were
 * heard of lately (round robin). Whoever is silent, stopped or cut off is passed by before its connection ends. */
#include "server/cluster.h"
#include "server/node_internal.h"

#define SILENCE_MAX (450 * NANOS_MS) /* nodes speak to each other five times a second or more */

static bool is_well(const struct hosted *h)
{
    return h->part && !h->retiring && !h->was_merged && !part_is_removed(h->part) && !part_is_empty(h->part);
}

node_id nearby_replica(struct node *n, struct hosted *h)
{
    const struct cluster *c = node_cluster(n);
    const struct core *map = c ? cluster_map(c) : NULL;
    const struct core_part *p = map ? core_part(map, h->id) : NULL;

    if (is_well(h)) return node_config_of(n)->self;
    for (u32 i = 0; p && i < p->member_count; i++) {
        const struct core_member *m = &p->members[h->near_turn++ % p->member_count];
        if (m->role == CORE_VOTER && m->node != node_config_of(n)->self &&
            peers_silence(node_peers(n), m->node) < SILENCE_MAX)
            return m->node;
    }
    return 0;
}
