/* Where the replicas of new partitions go: on nodes that are up, no two on one node, in different racks as
 * far as there are racks, on the emptiest first. Balance later is the planner's. */
#include "core/core_internal.h"

struct seat {
    struct core_node *node;
    u32 rack;
    u32 replicas, firsts;
    bool taken; /* for the partition being placed */
};

struct core_placer {
    struct seat *seats;
    u32 *rack_used; /* by the partition being placed */
    u32 count;
};

u32 core_rack_numbers(const struct core *c, u32 *out)
{
    const struct core_node *of_rack[2 * CORE_NODES_MAX + 8];
    u32 racks = 0;

    for (u32 i = 0; i < c->node_count; i++) {
        const struct core_node *n = c->nodes[i];
        u32 r = racks;
        if (n->rack.len)
            for (r = 0; r < racks; r++)
                if (str_equal(core_str(&of_rack[r]->rack), core_str(&n->rack))) break;
        assert(r < ARRAY_LEN(of_rack));
        if (r == racks) of_rack[racks++] = n;
        out[i] = r;
    }
    return racks;
}

struct core_placer *core_placer_new(const struct core *c)
{
    struct core_placer *p = mem_zalloc(sizeof *p);
    u32 *racks = mem_zalloc_array(c->node_count + 1, sizeof *racks);
    u32 rack_count = core_rack_numbers(c, racks);

    p->seats = mem_zalloc_array(c->node_count + 1, sizeof *p->seats);
    p->rack_used = mem_zalloc_array(rack_count + 1, sizeof *p->rack_used);
    for (u32 i = 0; i < c->node_count; i++) {
        struct core_node *n = c->nodes[i];
        if (n->state != CORE_UP) continue;
        p->seats[p->count++] =
            (struct seat){.node = n, .rack = racks[i], .replicas = n->replicas};
    }
    mem_free(racks);
    return p;
}

void core_placer_free(struct core_placer *p)
{
    mem_free(p->seats);
    mem_free(p->rack_used);
    mem_free(p);
}

static struct seat *best_seat(struct core_placer *p)
{
    struct seat *best = NULL;

    for (u32 i = 0; i < p->count; i++) {
        struct seat *s = &p->seats[i];
        if (s->taken) continue;
        u32 used = p->rack_used[s->rack], best_used = best ? p->rack_used[best->rack] : 0;
        if (!best || used < best_used || (used == best_used && s->replicas < best->replicas))
            best = s;
    }
    return best;
}

u32 core_placer_next(struct core_placer *p, u32 want, struct core_node **out)
{
    struct seat *chosen[CORE_VOTERS_MAX];
    u32 count = 0, first = 0;

    assert(want <= CORE_VOTERS_MAX);
    while (count < want) {
        struct seat *s = best_seat(p);
        if (!s) break;
        s->taken = true;
        s->replicas++;
        p->rack_used[s->rack]++;
        chosen[count++] = s;
    }
    for (u32 i = 0; i < count; i++) {
        chosen[i]->taken = false;
        p->rack_used[chosen[i]->rack]--;
        if (chosen[i]->firsts < chosen[first]->firsts) first = i;
    }
    for (u32 i = 0; i < count; i++) out[i] = chosen[(first + i) % count]->node;
    if (count) chosen[first]->firsts++;
    return count;
}
