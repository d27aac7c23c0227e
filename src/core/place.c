/* Where the replicas of new partitions go: on nodes that are up, no two on one node, in different
 * racks as far as there are racks, on the emptiest first. Balance later is the planner's. */
#include "core/core_internal.h"

struct seat {
    struct core_node *node;
    u32 rack;
    u32 replicas, firsts;
    bool taken; /* for the partition being placed */
};

struct core_placer {
    struct seat **seats; /* fewest replicas first */
    struct seat *all;
    u32 *rack_used; /* by the partition being placed */
    u32 count, racks;
};

u32 core_rack_numbers(const struct core *c, u32 *out)
{
    const struct core_node **of_rack = mem_zalloc_array(c->node_count + 1, sizeof *of_rack);
    u32 racks = 0;

    for (u32 i = 0; i < c->node_count; i++) {
        const struct core_node *n = c->nodes[i];
        u32 r = racks;
        if (n->rack.len)
            for (r = 0; r < racks; r++)
                if (str_equal(core_str(&of_rack[r]->rack), core_str(&n->rack))) break;
        if (r == racks) of_rack[racks++] = n;
        out[i] = r;
    }
    mem_free((void *)of_rack);
    return racks;
}

/* Where it belongs by its replicas, behind its equals. */
static void take_place(struct core_placer *p, struct seat *s, u32 at, u32 end)
{
    for (; at + 1 < end && p->seats[at + 1]->replicas <= s->replicas; at++)
        p->seats[at] = p->seats[at + 1];
    p->seats[at] = s;
}

struct core_placer *core_placer_new(const struct core *c)
{
    struct core_placer *p = mem_zalloc(sizeof *p);
    u32 *racks = mem_zalloc_array(c->node_count + 1, sizeof *racks);
    u32 rack_count = core_rack_numbers(c, racks);

    p->all = mem_zalloc_array(c->node_count + 1, sizeof *p->all);
    p->seats = mem_zalloc_array(c->node_count + 1, sizeof *p->seats);
    p->rack_used = mem_zalloc_array(rack_count + 1, sizeof *p->rack_used);
    for (u32 i = 0; i < c->node_count; i++) {
        struct core_node *n = c->nodes[i];
        if (n->state != CORE_UP) continue;
        struct seat *s = &p->all[p->count];
        *s = (struct seat){.node = n, .rack = racks[i], .replicas = n->replicas};
        p->racks += !p->rack_used[s->rack];
        p->rack_used[s->rack] = 1;
        u32 at = p->count++;
        for (; at > 0 && p->seats[at - 1]->replicas > s->replicas; at--)
            p->seats[at] = p->seats[at - 1];
        p->seats[at] = s;
    }
    memset(p->rack_used, 0, rack_count * sizeof *p->rack_used);
    mem_free(racks);
    return p;
}

void core_placer_free(struct core_placer *p)
{
    mem_free(p->seats);
    mem_free(p->all);
    mem_free(p->rack_used);
    mem_free(p);
}

/* The place in the order of the best one: in the least used rack, and there the emptiest. */
static u32 best_seat(const struct core_placer *p, u32 chosen)
{
    u32 best = p->count, best_used = UINT32_MAX;

    for (u32 i = 0; i < p->count; i++) {
        const struct seat *s = p->seats[i];
        u32 used = p->rack_used[s->rack];
        if (s->taken || used >= best_used) continue;
        best = i;
        best_used = used;
        if (used <= chosen / p->racks) break; /* no rack is used less */
    }
    return best;
}

u32 core_placer_next(struct core_placer *p, u32 want, struct core_node **out)
{
    struct seat *chosen[CORE_VOTERS_MAX];
    u32 count = 0, first = 0;

    assert(want <= CORE_VOTERS_MAX);
    while (count < want) {
        u32 at = best_seat(p, count);
        if (at == p->count) break;
        struct seat *s = p->seats[at];
        s->taken = true;
        s->replicas++;
        p->rack_used[s->rack]++;
        take_place(p, s, at, p->count);
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
