/* How many snapshots leave this node at once, of all its groups: each holds chunks and a view of the store, and a node that
 * was away or is slow needs one of every group it has. A slow one takes only its own places. */
#pragma once

#include "server/node.h"

#define SHIPMENTS_TO_ONE_MAX 4u /* under way to one node */
#define SHIPMENTS_MAX        32u

struct shipments { /* zero to start */
    u32 total;
    struct {
        node_id to;
        u32 count; /* 0: the place is free */
    } each[SHIPMENTS_MAX];
    u64 waits_for_one, waits_for_all; /* times one had to wait */
};

/* One more may begin, and counts until it is ended. */
bool shipments_begin(struct shipments *s, node_id to);
void shipments_end(struct shipments *s, node_id to);
u32 shipments_most(const struct shipments *s); /* to any one node */
