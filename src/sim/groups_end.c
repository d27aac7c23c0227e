/* The world at rest: is everybody and everything where the map says, and does every replica hold the same? */
#include "sim/groups_internal.h"

#include "base/mem.h"
#include "sim/churn.h"

#include <stdarg.h>
#include <stdio.h>

struct rest { /* one look */
    const struct world *w;
    const struct core *map;
    u64 epoch;
    char *why;
    size_t size;
};

static bool no(struct rest *r, const char *format, ...) PRINTF_LIKE(2, 3);
static bool no(struct rest *r, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(r->why, r->size, format, args);
    va_end(args);
    return false;
}

static struct host *host_of_node(const struct world *w, node_id id)
{
    for (u32 i = 0; i < w->nodes; i++) {
        struct host *h = w->hosts[i];
        if (h->up && h->node && !node_is_joining(h->node) && node_config_of(h->node)->self == id) return h;
    }
    return NULL;
}

/* ---- nodes ---- */

static bool hosts_rest(struct rest *r)
{
    for (u32 i = 0; i < r->w->nodes; i++) {
        const struct host *h = r->w->hosts[i];
        if (h->parked) continue;
        if (!h->up || !h->node) return no(r, "n%u is down (%s)", h->id, h->failure);
        if (node_is_joining(h->node)) return no(r, "n%u has not joined", h->id);
        const struct core_node *n = core_node(r->map, node_config_of(h->node)->self);
        if (!n || n->state == CORE_REMOVED) return no(r, "n%u is no member", h->id);
        u64 epoch = cluster_epoch(node_cluster(h->node));
        if (epoch != r->epoch)
            return no(r, "n%u has map %llu, the core %llu", h->id, (unsigned long long)epoch, (unsigned long long)r->epoch);
    }
    return true;
}

static bool nodes_rest(struct rest *r)
{
    u32 count;
    const struct core_node *const *nodes = core_nodes(r->map, &count);

    for (u32 i = 0; i < count; i++) {
        const struct core_node *n = nodes[i];
        if (n->state == CORE_REMOVED) continue;
        const struct host *h = host_of_node(r->w, n->id);
        if (!h) return no(r, "node %u of the map does not run", n->id);
        if (n->state == CORE_JOINING || n->state == CORE_DRAINING)
            return no(r, "node %u is still %s", n->id, n->state == CORE_JOINING ? "joining" : "draining");
        if (!mem_equal(n->incarnation.bytes, node_identity(h->node)->incarnation, 16))
            return no(r, "node %u has another incarnation than the map says", n->id);
    }
    return true;
}

/* ---- partitions ---- */

static bool members_rest(struct rest *r, const struct core_part *p, const struct group *g)
{
    for (u32 i = 0; i < p->member_count; i++) {
        const struct core_member *m = &p->members[i];
        const struct seat *s = group_seat_known(g, m->replica);
        const struct host *h = host_of_node(r->w, m->node);
        unsigned long long part = p->id;
        if (!s || !s->on || s->gone || !h || s->host != h->id)
            return no(r, "partition %llu: replica %u does not run on node %u", part, m->replica, m->node);
        if (part_is_damaged(s->part)) return no(r, "partition %llu: replica %u is damaged", part, m->replica);
        if (part_applied(s->part) != g->count)
            return no(r, "partition %llu: replica %u has applied %llu of %llu", part, m->replica,
                      (unsigned long long)part_applied(s->part), (unsigned long long)g->count);
        const struct raft_config *c = raft_config(seat_raft(s));
        const struct raft_member *mine = raft_config_find(c, m->replica);
        if (raft_config_is_joint(c) || c->count != p->member_count || !mine || mine->roles != RAFT_VOTER)
            return no(r, "partition %llu: replica %u knows other members than the map", part, m->replica);
    }
    return true;
}

static bool parts_rest(struct rest *r)
{
    u32 count;
    const struct core_part *const *parts = core_parts(r->map, &count);

    for (u32 i = 0; i < count; i++) {
        const struct core_part *p = parts[i];
        const struct group *g = groups_known(r->w->groups, p->id);
        unsigned long long part = p->id;
        if (p->op.kind != CORE_OP_NONE)
            return no(r, "partition %llu: operation %u is at step %u", part, p->op.kind, p->op.step);
        if (!g) return no(r, "partition %llu has no replica", part);
        if (!groups_leader(r->w, p->id)) return no(r, "partition %llu has no leader", part);
        if (!members_rest(r, p, g)) return false;
    }
    return true;
}

/* ---- catalogs ---- */

static bool has_member(const struct core_part *p, replica_id id, node_id node)
{
    for (u32 i = 0; p && i < p->member_count; i++)
        if (p->members[i].replica == id && p->members[i].node == node) return true;
    return false;
}

static bool catalog_rests(struct rest *r, const struct host *h)
{
    const struct node *n = h->node;

    for (u32 i = 0; i < n->replicas.count; i++) {
        const struct replica_row *row = &n->replicas.rows[i];
        if (row->deleting || !has_member(core_part(r->map, row->part), row->replica, n->config.self))
            return no(r, "n%u: its catalog has replica %u of partition %llu%s, the map does not", h->id, row->replica,
                      (unsigned long long)row->part, row->deleting ? ", which is being deleted" : "");
    }
    for (u32 i = 0; i < parts_count(n->parts); i++) {
        const struct hosted *p = parts_at(n->parts, i);
        if (!core_part(r->map, p->id)) return no(r, "n%u still knows partition %llu", h->id, (unsigned long long)p->id);
        if (!p->part && p->store)
            return no(r, "n%u still deletes the rows of partition %llu", h->id, (unsigned long long)p->id);
    }
    return true;
}

static bool planner_rests(struct rest *r, const struct host *leader)
{
    struct core_plan *plan = mem_zalloc(sizeof *plan);
    bool well = true;

    core_plan_make(r->map, cluster_facts(node_cluster(leader->node)), plan);
    if (plan->count) well = no(r, "the planner wants: %s", plan->steps[0].reason);
    mem_free(plan);
    return well;
}

bool groups_converged(const struct world *w, char *why, size_t size)
{
    u32 leader = groups_leader(w, PART_CORE);
    struct rest r = {.w = w, .why = why, .size = size};

    if (!leader) return no(&r, "the core has no leader");
    const struct host *h = w->hosts[leader - 1];
    r.map = cluster_map(node_cluster(h->node));
    r.epoch = cluster_epoch(node_cluster(h->node));
    if (!r.epoch) return no(&r, "the cluster is not founded");
    if (!churn_is_done(w)) return no(&r, "the operator has not finished");
    if (!hosts_rest(&r) || !nodes_rest(&r) || !parts_rest(&r)) return false;
    for (u32 i = 0; i < w->nodes; i++)
        if (!w->hosts[i]->parked && !catalog_rests(&r, w->hosts[i])) return false;
    return planner_rests(&r, h);
}

/* ---- the states ---- */

static void compare_group(struct world *w, struct group *g)
{
    u64 first = 0, digest;
    u32 seen = 0;
    bool by_key = false;

    for (u32 i = 0; i < g->seat_count && !w->stopped; i++) {
        struct seat *s = g->seats[i];
        if (!s->on || s->gone) continue;
        if (group_digest(s->part, &digest)) {
            group_say(s, "cannot read its own state");
            return;
        }
        if (seen++ == 0) first = digest;
        by_key = part_kv(s->part) && part_span(s->part)->by_key;
        if (digest != first) group_say(s, "differs from others in its state at rest");
    }
    world_trace(w, first);
    struct witness_log log = {
        .part = g->part, .by_key = by_key, .entries = g->entries, .count = g->count, .bytes = &g->bytes, .digest = first};
    if (seen && !w->stopped && g->part != PART_CORE && !g->inherited && !g->reshaped)
        witness_run(w, &log);
}

void groups_final(struct world *w)
{
    for (u32 i = 0; i < w->groups->count && !w->stopped; i++) compare_group(w, w->groups->items[i]);
}
