/* Bytes and leaders evenly, with a dead band: a move must gain more than it costs and more than a
 * twentieth of the mean, so the sum of squares falls with every move, and the planner comes to
 * rest. */
#include "core/planner_internal.h"

#define DEAD_BAND_PARTS 20 /* of the mean */

/* Which partitions each node holds: a list of indexes, node after node. */
struct holdings {
    u32 *first; /* by node index, one more at the end */
    u32 *part;
};

static void holdings_make(const struct planner *p, struct holdings *h)
{
    u32 *fill = mem_zalloc_array(p->node_count + 1, sizeof *fill), total = 0;

    h->first = mem_zalloc_array(p->node_count + 1, sizeof *h->first);
    for (u32 i = 0; i < p->node_count; i++) {
        h->first[i] = fill[i] = total;
        total += p->nodes[i].node->replicas;
    }
    h->first[p->node_count] = total;
    h->part = mem_zalloc_array(total + 1, sizeof *h->part);
    for (u32 i = 0; i < p->part_count; i++) {
        const struct core_part *part = p->parts[i].part;
        for (u32 m = 0; m < part->member_count; m++) {
            u32 at = (u32)(planner_node(p, part->members[m].node) - p->nodes);
            h->part[fill[at]++] = i;
        }
    }
    mem_free(fill);
}

static void holdings_done(struct holdings *h)
{
    mem_free(h->first);
    mem_free(h->part);
}

static u64 dead_band(const struct planner *p)
{
    return MUTANT(core_plan_never_rests) ? 0 : p->mean_load / DEAD_BAND_PARTS;
}

/* Would both be nearer to the mean? */
static bool gains(const struct planner *p, const struct seen_node *from, const struct seen_node *to,
                  u64 weight)
{
    if (MUTANT(core_plan_never_rests)) return from->load >= to->load && from != to;
    if (from->load <= p->mean_load || to->load >= p->mean_load) return false;
    return from->load - to->load > weight + dead_band(p);
}

/* Nodes that may take something, least loaded first. */
static u32 takers(const struct planner *p, struct seen_node **out)
{
    u32 count = 0;

    for (u32 i = 0; i < p->node_count; i++) {
        struct seen_node *n = &p->nodes[i];
        if (!n->placeable || !planner_has_slot(p, n)) continue;
        u32 at = count++;
        for (; at > 0 && out[at - 1]->load > n->load; at--) out[at] = out[at - 1];
        out[at] = n;
    }
    return count;
}

static struct seen_node *find_taker(struct planner *p, const struct seen_part *s,
                                    const struct core_member *m, struct seen_node *const *list,
                                    u32 count)
{
    const struct seen_node *from = planner_node(p, m->node);
    u32 racks = planner_racks_of(p, s, 0, NULL);

    for (u32 i = 0; i < count; i++) {
        struct seen_node *to = list[i];
        if (!gains(p, from, to, s->weight)) return NULL; /* the later ones gain less */
        if (core_part_member_on(s->part, to->node->id) || to->room < s->weight) continue;
        if (planner_racks_of(p, s, m->replica, to) >= racks) return to;
    }
    return NULL;
}

static bool may_move(const struct planner *p, const struct seen_part *s)
{
    const struct core_member *leader = core_part_member(s->part, s->part->leader);

    if (s->taken || !s->fact || s->live < s->voters || s->voters != s->wanted) return false;
    return !leader || planner_has_slot(p, planner_node(p, leader->node));
}

/* One replica off this node; false: none can go. */
static bool relieve(struct planner *p, const struct holdings *h, struct seen_node *from,
                    struct seen_node *const *list, u32 count)
{
    u32 at = (u32)(from - p->nodes);

    for (u32 i = h->first[at]; i < h->first[at + 1]; i++) {
        struct seen_part *s = &p->parts[h->part[i]];
        if (!may_move(p, s)) continue;
        const struct core_member *m = core_part_member_on(s->part, from->node->id);
        struct seen_node *to = find_taker(p, s, m, list, count);
        if (!to) continue;
        struct core_plan_step *step = plan_add(
            p, s, CORE_PLAN_MOVE, CORE_WHY_BALANCE,
            "node %u holds %llu MiB and node %u %llu MiB (mean %llu): partition %llu moves",
            from->node->id, (unsigned long long)(from->load >> 20), to->node->id,
            (unsigned long long)(to->load >> 20), (unsigned long long)(p->mean_load >> 20),
            (unsigned long long)s->part->id);
        plan_move(p, s, step, to, m);
        return true;
    }
    return false;
}

static struct seen_node *fullest(const struct planner *p, const bool *tried)
{
    struct seen_node *best = NULL;

    for (u32 i = 0; i < p->node_count; i++) {
        struct seen_node *n = &p->nodes[i];
        if (tried[i] || !n->alive || n->leaving || !planner_has_slot(p, n)) continue;
        if (!best || n->load > best->load) best = n;
    }
    return best;
}

void plan_balance(struct planner *p)
{
    struct holdings h;
    bool *tried = mem_zalloc_array(p->node_count + 1, sizeof *tried);
    struct seen_node **list = mem_zalloc_array(p->node_count + 1, sizeof *list);
    u32 count = takers(p, list);

    holdings_make(p, &h);
    while (!planner_is_full(p) && count) {
        struct seen_node *from = fullest(p, tried);
        /* If the fullest gains nothing from the emptiest, nobody does. */
        if (!from || !gains(p, from, list[0], 0)) break;
        if (relieve(p, &h, from, list, count))
            count = takers(p, list);
        else
            tried[from - p->nodes] = true;
    }
    holdings_done(&h);
    mem_free(list);
    mem_free(tried);
}

/* ---- leaders ---- */

static const struct core_member *leader_of(const struct planner *p, const struct seen_part *s)
{
    const struct core_member *m = core_part_member(s->part, s->part->leader);

    return m && planner_node(p, m->node)->alive ? m : NULL;
}

static void hand_over(struct planner *p, struct seen_part *s, const struct core_member *from,
                      const struct core_member *to, enum core_plan_why why, const char *reason)
{
    struct core_plan_step *step = plan_add(
        p, s, CORE_PLAN_TRANSFER, why, "%s: leadership of partition %llu goes from node %u to %u",
        reason, (unsigned long long)s->part->id, from->node, to->node);

    step->replica = to->replica;
    planner_node(p, from->node)->leaders--;
    planner_node(p, to->node)->leaders++;
}

static bool may_lead(const struct planner *p, const struct seen_part *s,
                     const struct core_member *m)
{
    const struct seen_node *n = planner_node(p, m->node);

    return m->role == CORE_VOTER && n->alive && !n->leaving && part_caught_up(s, m->replica);
}

static void balance_leader(struct planner *p, struct seen_part *s, const struct core_member *from,
                           u32 dead)
{
    const struct core_member *best = NULL;

    for (u32 i = 0; i < s->part->member_count; i++) {
        const struct core_member *m = &s->part->members[i];
        if (m == from || !may_lead(p, s, m)) continue;
        if (!best || planner_node(p, m->node)->leaders < planner_node(p, best->node)->leaders)
            best = m;
    }
    if (!best) return;
    if (planner_node(p, from->node)->leaders < planner_node(p, best->node)->leaders + 2 + dead)
        return;
    hand_over(p, s, from, best, CORE_WHY_BALANCE, "leaders are spread evenly");
}

void plan_leaders(struct planner *p)
{
    u32 total = 0, usable = 0;

    for (u32 i = 0; i < p->node_count; i++) {
        total += p->nodes[i].leaders;
        usable += p->nodes[i].placeable;
    }
    u32 dead = usable ? total / usable / 10 : 0;
    for (u32 i = 0; i < p->part_count && !planner_is_full(p); i++) {
        struct seen_part *s = &p->parts[i];
        const struct core_member *from = leader_of(p, s), *pinned;
        if (s->taken || !from) continue;
        if (planner_node(p, from->node)->leaving &&
            plan_transfer_away(p, s, from, CORE_WHY_DRAIN, "the leader's node is being drained"))
            continue;
        pinned = s->part->prefer_node ? core_part_member_on(s->part, s->part->prefer_node) : NULL;
        if (pinned && may_lead(p, s, pinned)) {
            if (pinned != from) hand_over(p, s, from, pinned, CORE_WHY_PIN, "it is pinned there");
            continue;
        }
        balance_leader(p, s, from, dead);
    }
}
