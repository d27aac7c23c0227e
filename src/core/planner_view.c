/* One look at the cluster: who lives, who leaves, who holds how much once everything under way has
 * ended. */
#include "core/planner_internal.h"

#include "base/search.h"

#define WEIGHT_LEAST  (4 * MIB) /* of an empty partition: it costs something too */
#define DISK_FULL_PCT 85        /* no replica goes where the disk would be fuller */

static const struct core_node_fact *node_fact(const struct core_facts *f, u32 node)
{
    u32 low;

    LOWER_BOUND(low, f->node_count, f->nodes[low].node < node);
    return low < f->node_count && f->nodes[low].node == node ? &f->nodes[low] : NULL;
}

struct seen_node *planner_node(const struct planner *p, u32 id)
{
    assert(id < p->core->cluster.next_node);
    return &p->nodes[p->index_of[id]];
}

bool planner_lives(const struct planner *p, const struct core_member *m)
{
    return planner_node(p, m->node)->alive && !core_member_is_lost(p->core, m);
}

static void see_node(struct planner *p, struct seen_node *n, const struct core_node *node, u32 rack)
{
    const struct core_node_fact *f = node_fact(p->facts, node->id);
    u64 replace_after_ms = p->core->cluster.settings[CORE_REPLACE_AFTER_S] * 1000;

    n->node = node;
    n->rack = rack;
    n->alive = f && f->alive && node->state != CORE_REMOVED;
    n->silent_ms = f && !f->alive ? f->silent_ms : 0;
    n->gone = node->state == CORE_REMOVED || (f && !f->alive && f->silent_ms > replace_after_ms);
    if (MUTANT(core_plan_replaces_at_once)) n->gone = !n->alive;
    n->leaving = n->gone || node->state == CORE_DRAINING || node->state == CORE_DRAINED;
    n->placeable = n->alive && node->state == CORE_UP && !f->busy;
    n->room = UINT64_MAX;
    if (f && f->disk_bytes) {
        u64 limit = f->disk_bytes / 100 * DISK_FULL_PCT;
        n->room = f->disk_used < limit ? limit - f->disk_used : 0;
    }
}

/* The facts come in the order of the partitions: one pass for both. */
static void see_part(struct planner *p, struct seen_part *s, const struct core_part *part, u32 *at)
{
    const struct core_facts *f = p->facts;

    while (*at < f->part_count && f->parts[*at].part < part->id) ++*at;
    s->part = part;
    s->fact = *at < f->part_count && f->parts[*at].part == part->id ? &f->parts[*at] : NULL;
    s->weight = WEIGHT_LEAST + (s->fact ? s->fact->bytes : 0);
    s->wanted = (u32)core_find_keyspace(p->core, part->keyspace)->settings[CORE_REPLICAS];
    s->taken = part->op.kind != CORE_OP_NONE;
    const struct core_op *op = &part->op;
    u32 goes = op->kind == CORE_OP_NONE ? 0 : op->step == CORE_STEP_UNDO ? op->in : op->out;
    for (u32 i = 0; i < part->member_count; i++) {
        const struct core_member *m = &part->members[i];
        struct seen_node *n = planner_node(p, m->node);
        if (m->role == CORE_VOTER) {
            s->voters++;
            s->live += planner_lives(p, m);
        }
        if (m->replica != goes) n->load += s->weight;
        if (m->replica == part->leader) n->leaders++;
    }
}

static void see_move(struct planner *p, const struct seen_part *s)
{
    const struct core_op *op = &s->part->op;

    if (op->kind != CORE_OP_MOVE) return;
    p->out->moves_running++;
    /* A group without a quorum moves nothing for now; were it counted, it would keep the places
     * from those whose repair is possible. */
    if (s->live < s->voters / 2 + 1) return;
    struct seen_node *in = planner_node(p, core_part_member(s->part, op->in)->node);
    const struct core_member *leader = core_part_member(s->part, s->part->leader);
    in->moving++;
    if (op->out) planner_node(p, core_part_member(s->part, op->out)->node)->moving++;
    if (leader && leader->replica != op->out) planner_node(p, leader->node)->moving++;
    p->moves++;
    if (op->step == CORE_STEP_UNDO) return;
    if (in->room != UINT64_MAX) in->room -= u64_min(in->room, s->weight);
    if (op->step != CORE_STEP_SWAP && !part_caught_up(s, op->in))
        p->out->bytes_running += s->weight;
}

/* What is to be moved and is not under way, for an estimate. */
static void count_wanted(struct planner *p)
{
    u64 total = 0, surplus = 0;
    u32 count = 0;

    for (u32 i = 0; i < p->part_count; i++) {
        const struct seen_part *s = &p->parts[i];
        if (s->taken) continue;
        if (s->voters < s->wanted) p->out->bytes_wanted += (s->wanted - s->voters) * s->weight;
        for (u32 m = 0; m < s->part->member_count; m++)
            if (planner_node(p, s->part->members[m].node)->leaving)
                p->out->bytes_wanted += s->weight;
    }
    for (u32 i = 0; i < p->node_count; i++) {
        if (!p->nodes[i].placeable) continue;
        total += p->nodes[i].load;
        count++;
    }
    p->mean_load = count ? total / count : 0;
    for (u32 i = 0; i < p->node_count; i++) {
        const struct seen_node *n = &p->nodes[i];
        if (n->placeable && n->load > p->mean_load) surplus += n->load - p->mean_load;
    }
    if (surplus > total / 20) p->out->bytes_wanted += surplus;
}

void planner_look(struct planner *p)
{
    const struct core *c = p->core;
    u32 *racks = mem_zalloc_array(c->node_count + 1, sizeof *racks), fact = 0;
    u32 rack_count = core_rack_numbers(c, racks);

    p->node_count = c->node_count;
    p->part_count = c->part_count;
    p->nodes = mem_zalloc_array(p->node_count + 1, sizeof *p->nodes);
    p->parts = mem_zalloc_array(p->part_count + 1, sizeof *p->parts);
    p->rack_mark = mem_zalloc_array(rack_count + 1, sizeof *p->rack_mark);
    p->index_of = mem_zalloc_array((size_t)c->cluster.next_node + 1, sizeof *p->index_of);
    for (u32 i = 0; i < p->node_count; i++) {
        p->index_of[c->nodes[i]->id] = i;
        see_node(p, &p->nodes[i], c->nodes[i], racks[i]);
    }
    for (u32 i = 0; i < p->part_count; i++) see_part(p, &p->parts[i], c->parts[i], &fact);
    for (u32 i = 0; i < p->part_count; i++) see_move(p, &p->parts[i]);
    p->mark++;
    for (u32 i = 0; i < p->node_count; i++) {
        const struct seen_node *n = &p->nodes[i];
        if (!n->placeable || p->rack_mark[n->rack] == p->mark) continue;
        p->rack_mark[n->rack] = p->mark;
        p->racks_usable++;
    }
    count_wanted(p);
    mem_free(racks);
}

void planner_done(struct planner *p)
{
    mem_free(p->nodes);
    mem_free(p->parts);
    mem_free(p->rack_mark);
    mem_free(p->index_of);
}

bool part_caught_up(const struct seen_part *s, u32 replica)
{
    if (!s->fact) return false;
    for (u32 i = 0; i < s->fact->caught_up_count; i++)
        if (s->fact->caught_up[i] == replica) return true;
    return false;
}

/* Does a majority of the voters live, before and after `in` (0: nobody) came and `out` went? A
 * change is decided by both, so it needs both. */
bool planner_quorum_holds(const struct planner *p, const struct seen_part *s, u32 in, u32 out)
{
    u32 voters = s->voters, live = s->live;

    if (MUTANT(core_plan_without_quorum)) return true;
    if (s->live < s->voters / 2 + 1) return false;
    if (in) {
        voters++;
        live += planner_lives(p, core_part_member(s->part, in));
    }
    if (out) {
        const struct core_member *m = core_part_member(s->part, out);
        if (m->role == CORE_VOTER) {
            voters--;
            live -= planner_lives(p, m);
        }
    }
    return voters > 0 && live >= voters / 2 + 1;
}

/* On how many racks are the members, without one replica and with one more node? */
u32 planner_racks_of(struct planner *p, const struct seen_part *s, u32 without,
                     const struct seen_node *with)
{
    u32 racks = 0;

    p->mark++;
    for (u32 i = 0; i < s->part->member_count; i++) {
        const struct core_member *m = &s->part->members[i];
        u32 rack = planner_node(p, m->node)->rack;
        if (m->replica == without || p->rack_mark[rack] == p->mark) continue;
        p->rack_mark[rack] = p->mark;
        racks++;
    }
    return racks + (with && p->rack_mark[with->rack] != p->mark);
}

bool planner_is_full(const struct planner *p)
{
    return p->out->count >= CORE_PLAN_STEPS_MAX;
}

bool planner_has_slot(const struct planner *p, const struct seen_node *n)
{
    const u64 *settings = p->core->cluster.settings;

    if (MUTANT(core_plan_ignores_throttle)) return true;
    return n->moving < settings[CORE_MOVES_PER_NODE] && p->moves < settings[CORE_MOVES_AT_ONCE];
}
