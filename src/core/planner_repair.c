/* Members: what is under way goes on; what is lost is made anew; who leaves is emptied; what is too
 * many goes; what shares a rack is parted. */
#include "core/planner_internal.h"

#include <stdio.h>

static unsigned long long id_of(const struct seen_part *s)
{
    return s->part->id;
}

/* ---- under way ---- */

static void undo(struct planner *p, struct seen_part *s, const struct seen_node *in)
{
    plan_add(p, s, CORE_PLAN_UNDO, CORE_WHY_PROGRESS,
             "node %u, which was to hold partition %llu, %s: the move is undone and another place "
             "chosen",
             in->node->id, id_of(s), in->alive ? "is leaving" : "is gone");
}

static void go_on(struct planner *p, struct seen_part *s)
{
    const struct core_op *op = &s->part->op;
    const struct core_member *coming = core_part_member(s->part, op->in);
    const struct seen_node *in = planner_node(p, coming->node);
    const struct core_member *out = op->out ? core_part_member(s->part, op->out) : NULL;

    if (in->leaving || in->node->state != CORE_UP || core_member_is_lost(p->core, coming)) {
        undo(p, s, in);
        return;
    }
    if (op->step != CORE_STEP_PREPARED) return;
    if (!part_caught_up(s, op->in) && !MUTANT(core_plan_swaps_unready)) return;
    if (!in->alive || !planner_quorum_holds(p, s, op->in, op->out)) {
        plan_block(
            p,
            "partition %llu waits to change its members until a majority of them is up again "
            "(%u of %u voters are): bring their nodes back",
            id_of(s), s->live, s->voters);
        return;
    }
    /* A leader that leaves hands over first: the group is not without one for an election's time.
     */
    if (out && out->replica == s->part->leader && planner_node(p, out->node)->alive &&
        plan_transfer_away(p, s, out, CORE_WHY_PROGRESS, "the leader's replica is about to leave"))
        return;
    plan_add(p, s, CORE_PLAN_SWAP, CORE_WHY_PROGRESS,
             "the new replica of partition %llu on node %u has caught up: it becomes a voter%s",
             id_of(s), in->node->id, out ? " in place of the one that leaves" : "");
}

void plan_progress(struct planner *p)
{
    for (u32 i = 0; i < p->part_count && !planner_is_full(p); i++) {
        struct seen_part *s = &p->parts[i];
        u8 step = s->part->op.step;
        if (s->part->op.kind != CORE_OP_MOVE) continue;
        if (step == CORE_STEP_BEGUN || step == CORE_STEP_PREPARED) go_on(p, s);
    }
}

/* ---- where to ---- */

/* The best node for a new replica: most racks, then least load. */
static struct seen_node *find_place(struct planner *p, const struct seen_part *s, u32 out)
{
    struct seen_node *best = NULL;
    u32 best_racks = 0;

    for (u32 i = 0; i < p->node_count; i++) {
        struct seen_node *n = &p->nodes[i];
        if (!n->placeable || !planner_has_slot(p, n) || n->room < s->weight) continue;
        if (core_part_lives_on(p->core, s->part, n->node->id)) continue;
        if (best && n->load >= best->load && best_racks >= s->wanted) continue;
        u32 racks = planner_racks_of(p, s, out, n);
        if (MUTANT(core_plan_ignores_racks)) racks = 0;
        if (best && (racks < best_racks || (racks == best_racks && n->load >= best->load)))
            continue;
        best = n;
        best_racks = racks;
    }
    return best;
}

/* Is there no node at all, whatever the throttle says? */
static bool has_no_spare(const struct planner *p, const struct seen_part *s)
{
    for (u32 i = 0; i < p->node_count; i++) {
        const struct seen_node *n = &p->nodes[i];
        if (n->placeable && n->room >= s->weight &&
            !core_part_lives_on(p->core, s->part, n->node->id))
            return false;
    }
    return true;
}

/* A node with nothing free any more ends a pass early: nobody could take anything. */
static bool nobody_takes(const struct planner *p)
{
    for (u32 i = 0; i < p->node_count; i++)
        if (p->nodes[i].placeable && planner_has_slot(p, &p->nodes[i])) return false;
    return true;
}

static bool leader_has_slot(const struct planner *p, const struct seen_part *s)
{
    const struct core_member *leader = core_part_member(s->part, s->part->leader);

    return !leader || planner_has_slot(p, planner_node(p, leader->node));
}

/* ---- lost replicas ---- */

static const struct core_member *gone_member(const struct planner *p, const struct seen_part *s)
{
    for (u32 i = 0; i < s->part->member_count; i++) {
        const struct core_member *m = &s->part->members[i];
        if (planner_node(p, m->node)->gone || core_member_is_lost(p->core, m)) return m;
    }
    return NULL;
}

static void loss_text(const struct planner *p, const struct core_member *lost, char *out, size_t size)
{
    const struct seen_node *n = planner_node(p, lost->node);
    char silent[32];

    duration_text(n->silent_ms, silent, sizeof silent);
    if (n->node->state == CORE_REMOVED)
        snprintf(out, size, "was removed");
    else if (core_member_is_lost(p->core, lost))
        snprintf(out, size, "has another disk than before");
    else
        snprintf(out, size, "has been silent for %s, longer than replace-after", silent);
}

static void repair(struct planner *p, struct seen_part *s)
{
    const struct core_member *lost = gone_member(p, s);

    if (!lost && s->voters >= s->wanted) return;
    if (lost && s->voters > s->wanted) return; /* the surplus pass takes it away */
    if (!planner_quorum_holds(p, s, 0, 0)) {
        plan_block(
            p,
            "partition %llu has %u of %u voters up and cannot change its members: bring a node "
            "back, its data is on those that are down",
            id_of(s), s->live, s->voters);
        return;
    }
    struct seen_node *to = leader_has_slot(p, s) ? find_place(p, s, lost ? lost->replica : 0)
                                                 : NULL;
    if (!to) {
        if (has_no_spare(p, s))
            plan_block(p,
                       "partition %llu has %u of the %u replicas it should have and no spare node "
                       "with room: join a node, or set replicas lower",
                       id_of(s), lost ? s->voters - 1 : s->voters, s->wanted);
        return;
    }
    struct core_plan_step *step;
    if (!lost) {
        step = plan_add(p, s, CORE_PLAN_MOVE, CORE_WHY_REPAIR,
                        "partition %llu has %u of %u replicas: node %u gets one", id_of(s),
                        s->voters, s->wanted, to->node->id);
    } else {
        char why[96];
        loss_text(p, lost, why, sizeof why);
        step = plan_add(p, s, CORE_PLAN_MOVE, CORE_WHY_REPAIR,
                        "node %u %s: its replica of partition %llu is made anew on node %u",
                        lost->node, why, id_of(s), to->node->id);
    }
    plan_move(p, s, step, to, lost);
}

/* First those that the next loss would stop. */
void plan_repairs(struct planner *p)
{
    for (u32 margin = 0; margin <= CORE_VOTERS_MAX; margin++) {
        for (u32 i = 0; i < p->part_count; i++) {
            struct seen_part *s = &p->parts[i];
            u32 needed = s->voters / 2 + 1, spare = s->live > needed ? s->live - needed : 0;
            if (s->taken || spare != margin) continue;
            if (planner_is_full(p)) return;
            repair(p, s);
        }
    }
}

/* ---- drains ---- */

static void empty_one(struct planner *p, struct seen_part *s, const struct core_member *m)
{
    if (!planner_quorum_holds(p, s, 0, 0) || !leader_has_slot(p, s)) return;
    if (!planner_has_slot(p, planner_node(p, m->node))) return;
    struct seen_node *to = find_place(p, s, m->replica);
    if (!to) {
        if (has_no_spare(p, s))
            plan_block(
                p,
                "node %u cannot be emptied: partition %llu has no other node with room; join "
                "one, or undrain it",
                m->node, id_of(s));
        return;
    }
    struct core_plan_step *step = plan_add(
        p, s, CORE_PLAN_MOVE, CORE_WHY_DRAIN,
        "node %u is being drained: its replica of partition %llu goes to node %u", m->node,
        id_of(s), to->node->id);
    plan_move(p, s, step, to, m);
}

void plan_drains(struct planner *p)
{
    if (nobody_takes(p)) return;
    for (u32 i = 0; i < p->part_count && !planner_is_full(p); i++) {
        struct seen_part *s = &p->parts[i];
        if (s->voters > s->wanted) continue;
        for (u32 m = 0; m < s->part->member_count && !s->taken; m++) {
            const struct seen_node *n = planner_node(p, s->part->members[m].node);
            if (n->leaving && !n->gone) empty_one(p, s, &s->part->members[m]);
        }
    }
}

/* ---- too many ---- */

/* How gladly it is given up: gone, silent, leaving, sharing a rack, on the fullest node. */
static u32 gladness(struct planner *p, const struct seen_part *s, const struct core_member *m)
{
    const struct seen_node *n = planner_node(p, m->node);
    u32 all = planner_racks_of(p, s, 0, NULL);

    bool gone = n->gone || core_member_is_lost(p->core, m);

    return (gone ? 8u : 0) + (n->alive ? 0 : 4u) + (n->leaving ? 2u : 0) +
           (planner_racks_of(p, s, m->replica, NULL) == all ? 1u : 0);
}

void plan_surplus(struct planner *p)
{
    for (u32 i = 0; i < p->part_count && !planner_is_full(p); i++) {
        struct seen_part *s = &p->parts[i];
        const struct core_member *victim = NULL;
        u32 best = 0;
        if (s->taken || s->voters <= s->wanted) continue;
        for (u32 j = 0; j < s->part->member_count; j++) {
            const struct core_member *m = &s->part->members[j];
            u32 glad = gladness(p, s, m);
            u64 load = planner_node(p, m->node)->load;
            if (victim && glad < best) continue;
            if (victim && glad == best && load <= planner_node(p, victim->node)->load) continue;
            victim = m;
            best = glad;
        }
        if (!planner_quorum_holds(p, s, 0, victim->replica)) {
            plan_block(
                p,
                "partition %llu has %u of %u voters up and cannot give one up: bring a node back",
                id_of(s), s->live, s->voters);
            continue;
        }
        if (victim->replica == s->part->leader && planner_node(p, victim->node)->alive &&
            plan_transfer_away(p, s, victim, CORE_WHY_SURPLUS, "the leader's replica is to go"))
            continue;
        struct core_plan_step *step = plan_add(
            p, s, CORE_PLAN_REMOVE, CORE_WHY_SURPLUS,
            "partition %llu has %u replicas and should have %u: the one on node %u goes", id_of(s),
            s->voters, s->wanted, victim->node);
        step->replica = victim->replica;
        struct seen_node *n = planner_node(p, victim->node);
        n->load -= u64_min(n->load, s->weight);
    }
}

/* ---- racks ---- */

static void part_racks(struct planner *p, struct seen_part *s, u32 racks)
{
    const struct core_member *from = NULL;
    struct seen_node *to = NULL;

    if (!leader_has_slot(p, s)) return;
    for (u32 i = 0; i < s->part->member_count; i++) {
        const struct core_member *m = &s->part->members[i];
        const struct seen_node *n = planner_node(p, m->node);
        if (!planner_has_slot(p, n)) continue;
        if (planner_racks_of(p, s, m->replica, NULL) < racks) continue; /* alone in its rack */
        if (from && n->load <= planner_node(p, from->node)->load) continue;
        struct seen_node *place = find_place(p, s, m->replica);
        if (!place || planner_racks_of(p, s, m->replica, place) <= racks) continue;
        from = m;
        to = place;
    }
    if (!from) return;
    struct core_plan_step *step = plan_add(
        p, s, CORE_PLAN_MOVE, CORE_WHY_RACK,
        "two replicas of partition %llu share a rack: the one on node %u goes to node %u in "
        "another",
        id_of(s), from->node, to->node->id);
    plan_move(p, s, step, to, from);
}

void plan_racks(struct planner *p)
{
    if (MUTANT(core_plan_ignores_racks) || nobody_takes(p)) return;
    for (u32 i = 0; i < p->part_count && !planner_is_full(p); i++) {
        struct seen_part *s = &p->parts[i];
        if (s->taken || s->live < s->voters || s->voters != s->wanted) continue;
        u32 racks = planner_racks_of(p, s, 0, NULL);
        if (racks < s->voters && racks < p->racks_usable) part_racks(p, s, racks);
    }
}
