/* The leader of a group carries out what the map says is under way there, step by step: a learner is added, voters
 * change jointly, a replica goes; each step is told to the core when it is committed. Nothing is remembered: what
 * is to be done next follows from the map and the members there are, so any leader goes on where another stopped. */
#include "server/cluster_internal.h"

#define LOOK_EVERY (50 * NANOS_MS)

struct group { /* one look at it */
    struct cluster *cluster;
    const struct core_part *map;
    struct part *part;
    const struct raft_config *config;
};

static bool has(const struct group *g, replica_id id, u8 roles)
{
    const struct raft_member *m = raft_config_find(g->config, id);
    return m && (m->roles & roles);
}

static void tell_core(struct group *g, u8 op, u8 step)
{
    struct core_command cmd = {.op = op, .part = g->map->id, .epoch = g->map->epoch, .step = step};
    changes_propose(g->cluster, &cmd);
}

static const struct core_member *member_of(const struct group *g, replica_id id)
{
    for (u32 i = 0; i < g->map->member_count; i++)
        if (g->map->members[i].replica == id) return &g->map->members[i];
    return NULL;
}

static void change(struct group *g, const struct raft_config *target)
{
    static const struct part_waiter nobody;
    part_change_members(g->part, target, &nobody);
    parts_touch(g->cluster->parts, parts_find(g->cluster->parts, g->map->id));
}

static void put(struct group *g, struct raft_config *target, replica_id id, u8 role)
{
    const struct core_member *m = member_of(g, id);
    struct raft_member r = {.id = id, .node = m->node, .roles = role};

    mem_copy(r.incarnation, m->incarnation.bytes, 16);
    raft_config_put(target, &r);
}

static void add_learner(struct group *g)
{
    struct raft_config target = *g->config;

    if (has(g, g->map->op.in, RAFT_LEARNER | RAFT_VOTER)) {
        tell_core(g, CORE_PART_STEP, CORE_STEP_PREPARED);
        return;
    }
    put(g, &target, g->map->op.in, RAFT_LEARNER);
    change(g, &target);
}

static void swap(struct group *g)
{
    struct raft_config target = *g->config;
    u32 in = g->map->op.in, out = g->map->op.out;

    if (has(g, in, RAFT_VOTER) && !raft_config_find(g->config, out)) {
        tell_core(g, CORE_PART_DONE, 0);
        return;
    }
    put(g, &target, in, RAFT_VOTER);
    raft_config_remove(&target, out);
    change(g, &target);
}

static void take_out(struct group *g, replica_id id)
{
    struct raft_config target = *g->config;

    if (!raft_config_find(g->config, id)) {
        tell_core(g, CORE_PART_DONE, 0);
        return;
    }
    raft_config_remove(&target, id);
    change(g, &target);
}

static void step(struct group *g)
{
    const struct core_op *op = &g->map->op;

    if (op->kind == CORE_OP_REMOVE) {
        take_out(g, op->out);
    } else if (op->kind == CORE_OP_SPLIT) {
        reshape_split(g->cluster, g->map, g->part);
    } else if (op->kind == CORE_OP_MERGE) {
        reshape_merge(g->cluster, g->map, g->part);
    } else if (op->kind == CORE_OP_MOVE) {
        switch (op->step) {
        case CORE_STEP_BEGUN: add_learner(g); break;
        case CORE_STEP_SWAP: swap(g); break;
        case CORE_STEP_UNDO: take_out(g, op->in); break;
        default: break; /* it catches up; the controller says when */
        }
    }
}

/* Only the leader that the map knows: so the map has always heard of a leader before members come or go. */
static bool is_led_here(const struct group *g)
{
    struct raft *r = part_raft(g->part);

    if (MUTANT(operation_of_an_unknown_leader)) return raft_is_leader(r);
    return raft_is_leader(r) && g->map->leader == raft_leader(r) && g->map->leader_term == raft_term(r);
}

static bool is_settled(const struct group *g)
{
    if (MUTANT(step_told_before_commit)) return !raft_config_is_joint(g->config);
    return !raft_config_is_joint(g->config) &&
           raft_config_index(part_raft(g->part)) <= raft_commit(part_raft(g->part));
}

void group_ops_turn(struct cluster *c)
{
    const struct core *map = cluster_map(c);

    if (!c->residents.op_count || c->now < c->ops.next_at) return;
    c->ops.next_at = c->now + LOOK_EVERY;
    for (u32 i = 0; i < c->residents.op_count && changes_has_room(c); i++) {
        struct hosted *h = parts_find(c->parts, c->residents.ops[i]);
        struct group g = {.cluster = c, .map = core_part(map, c->residents.ops[i])};
        if (!h || !h->part || !g.map || changes_is_busy(c, h->id)) continue;
        g.part = h->part;
        g.config = raft_config(part_raft(h->part));
        if (is_led_here(&g) && is_settled(&g)) step(&g);
    }
}
