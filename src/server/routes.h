/* From a keyspace and a key to the partition that has it, and the way there. What the map says of a
 * keyspace is kept in a small table that is made anew when the map or the partitions of this node
 * have changed, so that a request pays for a comparison and, in a keyspace of several partitions,
 * for its key's slot. The map may be old; whoever gets the request is the one who knows.
 *
 * Whoever uses it begins with routes_look: what is found holds until the map or the partitions may
 * have changed, that is for the door's turn, or for one call of a gateway's `done`.
 *
 * Before the cluster is founded there is one keyspace, "default", of one partition, PART_DEFAULT.
 */
#pragma once

#include "core/core.h"
#include "server/parts.h"

struct routes { /* to be read through the functions below only, as the others */
    struct node *node;
    struct list keyspaces;
    u64 map_epoch, parts_epoch; /* at the last look */
    u64 version;                /* one more for each look that found a change */
};

struct route { /* a partition of the keyspace, in the order of their spans */
    u64 part;
    struct hosted *hosted; /* NULL: not looked for yet, or not here */
    u16 slot_first;        /* of a keyspace cut by slots */
};

struct keyspace_routes {
    u32 id, holders;
    u64 version;         /* of the look it was made after */
    struct hosted *only; /* the partition, where there is one only and it is known here */
    u32 count;
    bool is_range;
    struct level level; /* of its reads, unless they ask for another */
    struct route *items;
    u16 near[CORE_SLOTS / 64]; /* the route of each 64th slot: begin to look there */
    struct core_text name;
    struct list link;
};

struct routes *routes_new(struct node *n);
void routes_free(struct routes *r); /* all keyspaces must have been released */
void routes_look(struct routes *r);

/* The map; NULL before the cluster is founded. Borrowed for this turn. */
const struct core *routes_map(const struct routes *r);

/* This node is of a cluster and has no map yet: it is starting, or being founded. */
bool routes_map_is_awaited(const struct routes *r);

/* The id of the keyspace a client may use by this name, or under this number; 0: there is none. */
u32 routes_named(const struct routes *r, str name);
u32 routes_numbered(const struct routes *r, u32 id);

/* The keys of a partition, as the map has them; borrowed from it. */
static inline struct kv_span routes_span(const struct core_part *p)
{
    return (struct kv_span){
        .by_key = p->is_range, .slot_first = p->slot_first, .slot_last = p->slot_last, .from = p->from, .to = p->to};
}

/* For who uses the keyspace again and again, until routes_release. Whether there is such a one may
 * change at any time: routes_count says. */
struct keyspace_routes *routes_hold(struct routes *r, u32 id);
void routes_release(struct keyspace_routes *k); /* NULL is accepted */

void routes_refresh(struct routes *r, struct keyspace_routes *k); /* for the inline functions */

/* The partition of a keyspace that has one only; NULL: there are several, or none, or it is not
 * known here. */
static inline struct hosted *routes_only(struct routes *r, struct keyspace_routes *k)
{
    if (UNLIKELY(k->version != r->version)) routes_refresh(r, k);
    return k->only;
}

/* How many partitions; 0: there is no such keyspace (any more). */
u32 routes_count(struct routes *r, struct keyspace_routes *k);

/* The partition with this key. *part is its id, 0 if the keyspace is gone. NULL: this node has not
 * heard of that partition yet; its map or its partitions are about to change. */
struct hosted *routes_find(struct routes *r, struct keyspace_routes *k, str key, u64 *part);
/* The same by place among the partitions; `at` is below routes_count. */
struct hosted *routes_at(struct routes *r, struct keyspace_routes *k, u32 at, u64 *part);
/* By slot, in a keyspace that is cut by slots: its place among the partitions. */
u32 routes_place_of_slot(struct routes *r, struct keyspace_routes *k, u16 slot);
/* The first slot of the partition after the one with `slot`; CORE_SLOTS: it is the last. */
u32 routes_slot_after(struct routes *r, struct keyspace_routes *k, u16 slot);

/* Does the map say that this partition has the key? */
bool routes_covers(const struct routes *r, u64 part, str key);

/* Every partition of a keyspace, one after the other; what splits or merges on the way is met in
 * either form, and no span is passed by. Zero to begin; routes_walk_done at the end. */
struct route_walk {
    u32 slot;
    bool ended;
    struct buf key; /* of a key-range keyspace: where to go on */
};
bool routes_walk(struct routes *r, struct keyspace_routes *k, struct route_walk *w,
                 struct hosted **out, u64 *part);
void routes_walk_done(struct route_walk *w);

/* Who leads, as far as this node knows: its own replica, else the map, else the last one who
 * answered. 0: unknown. `part` may be gone from the map. */
node_id routes_leader(const struct routes *r, u64 part);
