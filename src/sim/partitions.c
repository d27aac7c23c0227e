#include "sim/partitions.h"

#include "sim/host.h"
#include "sim/net.h"

static void cut_pair(struct world *w, u32 a, u32 b)
{
    net_cut(w->net, a, b, true);
    net_cut(w->net, b, a, true);
}

static void cut_all_nodes(struct world *w)
{
    for (u32 a = 1; a <= w->nodes; a++)
        for (u32 b = a + 1; b <= w->nodes; b++) cut_pair(w, a, b);
}

static void join_pair(struct world *w, u32 a, u32 b)
{
    net_cut(w->net, a, b, false);
    net_cut(w->net, b, a, false);
}

static u32 any_node(struct world *w, struct prng *p) { return 1 + (u32)prng_below(p, w->nodes); }

static u32 any_node_but(struct world *w, struct prng *p, u32 but)
{
    u32 node = 1 + (u32)prng_below(p, w->nodes - 1);
    return node < but ? node : node + 1;
}

/* One node alone; its clients, half of the time, keep their connections to it. */
void partition_isolate(struct world *w, struct prng *p, u32 node)
{
    bool clients_too = chance_one_in(p, 3);
    for (u32 other = 1; other <= w->host_count; other++)
        if (other != node && (other <= w->nodes || clients_too)) cut_pair(w, node, other);
}

static void halves(struct world *w, struct prng *p)
{
    u64 side = prng_next(p);
    for (u32 a = 1; a <= w->nodes; a++)
        for (u32 b = a + 1; b <= w->nodes; b++)
            if ((side >> a & 1) != (side >> b & 1)) cut_pair(w, a, b);
}

static void one_way(struct world *w, struct prng *p)
{
    u32 from = any_node(w, p);
    bool to_all = chance_one_in(p, 2);
    bool inward = chance_one_in(p, 2);
    u32 only = any_node_but(w, p, from);

    for (u32 to = 1; to <= w->nodes; to++)
        if (to != from && (to_all || to == only)) net_cut(w->net, inward ? to : from, inward ? from : to, true);
}

/* Everyone reaches only the hub, and the hub is not the leader: the leader has no quorum, the hub has. */
static void quorum_loss(struct world *w, struct prng *p, u32 leader)
{
    u32 hub = leader ? any_node_but(w, p, leader) : any_node(w, p);
    cut_all_nodes(w);
    for (u32 a = 1; a <= w->nodes; a++)
        if (a != hub) join_pair(w, a, hub);
}

/* As before, and the old leader is cut off completely: only the hub can lead, perhaps behind in its log. */
static void constrained(struct world *w, struct prng *p, u32 leader)
{
    if (!leader) leader = any_node(w, p);
    u32 hub = any_node_but(w, p, leader);
    cut_all_nodes(w);
    for (u32 a = 1; a <= w->nodes; a++)
        if (a != hub && a != leader) join_pair(w, a, hub);
}

/* A line in random order: neighbours only. */
static void chained(struct world *w, struct prng *p)
{
    u32 order[WORLD_NODES_MAX];

    for (u32 i = 0; i < w->nodes; i++) order[i] = i + 1;
    for (u32 i = w->nodes - 1; i > 0; i--) {
        u32 k = (u32)prng_below(p, i + 1), kept = order[i];
        order[i] = order[k];
        order[k] = kept;
    }
    cut_all_nodes(w);
    for (u32 i = 0; i + 1 < w->nodes; i++) join_pair(w, order[i], order[i + 1]);
}

/* Clients lose sight of one node. */
static void clients_cut(struct world *w, struct prng *p)
{
    u32 node = any_node(w, p);
    for (u32 c = w->nodes + 1; c <= w->host_count; c++)
        if (chance_one_in(p, 2)) cut_pair(w, c, node);
}

void partition_hub(struct world *w, u32 leader, u32 hub)
{
    for (u32 a = 1; a <= w->nodes; a++)
        if (a != leader && a != hub) cut_pair(w, leader, a);
}

const char *partition_cut(struct world *w, struct prng *p, u32 leader)
{
    switch (prng_below(p, 8)) {
    case 0: partition_isolate(w, p, leader ? leader : any_node(w, p)); return "isolate the leader";
    case 1: partition_isolate(w, p, any_node(w, p)); return "isolate a node";
    case 2: halves(w, p); return "halves";
    case 3: one_way(w, p); return "one-way";
    case 4: quorum_loss(w, p, leader); return "quorum-loss";
    case 5: constrained(w, p, leader); return "constrained";
    case 6: chained(w, p); return "chained";
    default: clients_cut(w, p); return "clients";
    }
}

void partition_heal(struct world *w)
{
    for (u32 a = 1; a <= w->host_count; a++)
        for (u32 b = 1; b <= w->host_count; b++)
            if (a != b) net_cut(w->net, a, b, false);
}
