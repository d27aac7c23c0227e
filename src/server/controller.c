/* While this node leads the core: what is observed goes to the planner, its steps become commands of the core, and what
 * groups report of their leaders is written into the map. It remembers only what was told to it; a new leader is
 * told again. */
#include "server/cluster_internal.h"

#include "base/search.h"

#define PLAN_GAP   (100 * NANOS_MS) /* between two looks */
#define PLAN_EVERY (5 * NANOS_SEC)  /* although nothing changed */
#define SETTLE     (3 * NANOS_SEC)  /* of a new leader, before it takes silence for absence */

static void forget_groups(struct cluster *c)
{
    for (u32 i = 0; i < c->controller.group_count; i++) buf_done(&c->controller.groups[i].middle);
    c->controller.group_count = 0;
}

void controller_free(struct cluster *c)
{
    forget_groups(c);
    mem_free(c->controller.groups);
    mem_free(c->controller.node_facts);
    mem_free(c->controller.part_facts);
    mem_free(c->controller.plan);
}

/* ---- what groups report ---- */

static struct group_seen *group_of(struct cluster *c, u64 part, bool make)
{
    u32 low;

    LOWER_BOUND(low, c->controller.group_count, c->controller.groups[low].report.part < part);
    if (low < c->controller.group_count && c->controller.groups[low].report.part == part)
        return &c->controller.groups[low];
    if (!make) return NULL;
    if (c->controller.group_count == c->controller.group_cap) {
        c->controller.group_cap = c->controller.group_cap ? 2 * c->controller.group_cap : 16;
        c->controller.groups = mem_resize_array(c->controller.groups, c->controller.group_cap,
                                                sizeof *c->controller.groups);
    }
    memmove(&c->controller.groups[low + 1], &c->controller.groups[low],
            (c->controller.group_count - low) * sizeof *c->controller.groups);
    c->controller.group_count++;
    c->controller.groups[low] = (struct group_seen){.report = {.part = part}};
    return &c->controller.groups[low];
}

/* This map may be behind what the group's leader knows: it is told once. A number below the next that is in no map and is no
 * split's child is gone for good. */
static bool may_exist(const struct core *map, u64 part)
{
    const struct core_cluster *cluster = core_cluster(map); /* NULL: nothing has come of it yet */
    u32 count;

    if (core_part(map, part)) return true;
    if (MUTANT(early_report_dropped)) return false;
    if (!cluster || part >= cluster->next_part) return true;
    const struct core_part *const *parts = core_parts(map, &count);
    for (u32 i = 0; i < count; i++)
        if (parts[i]->op.kind == CORE_OP_SPLIT && parts[i]->op.other == part) return true;
    return false;
}

void controller_see(struct cluster *c, node_id from, const struct group_report *g)
{
    if (!may_exist(cluster_map(c), g->part)) return;
    struct group_seen *s = group_of(c, g->part, true);
    if (g->term < s->report.term && !MUTANT(old_report_overtakes)) return; /* an old leader's, overtaken */
    s->report = *g;
    s->from = from;
    c->controller.dirty = c->controller.is_unwritten = true;
}

void controller_see_middle(struct cluster *c, u64 part, str key)
{
    struct group_seen *s = group_of(c, part, false);

    if (!s || key.len > CORE_KEY_BYTES_MAX) return;
    buf_clear(&s->middle);
    buf_append_str(&s->middle, key);
    c->controller.dirty = true;
}

void controller_take(struct cluster *c, node_id from, str body)
{
    struct reader r = reader_of(body);
    struct group_report g;

    while (group_report_next(&r, &g)) controller_see(c, from, &g);
}

/* Who leads, into the map. Until all of it is there, it is gone through again when something was answered. */
static void write_leaders(struct cluster *c, const struct core *map)
{
    if (!c->controller.is_unwritten || !changes_has_room(c)) return;
    c->controller.is_unwritten = false;
    for (u32 i = 0; i < c->controller.group_count; i++) {
        const struct group_report *g = &c->controller.groups[i].report;
        const struct core_part *p = core_part(map, g->part);
        if (!p || g->term < p->leader_term || (g->term == p->leader_term && g->leader == p->leader)) continue;
        c->controller.is_unwritten = true;
        if (!changes_has_room(c)) return;
        if (changes_is_busy(c, g->part)) continue;
        struct core_command cmd = {
            .op = CORE_PART_LEADER, .part = g->part, .term = g->term, .replica = g->leader};
        changes_propose(c, &cmd);
    }
}

/* ---- facts ---- */

static void see_nodes(struct cluster *c, const struct core *map)
{
    struct peer_view peers[NODE_MEMBERS_MAX];
    u32 count, met = peers_view(c->peers, peers, NODE_MEMBERS_MAX);
    const struct core_node *const *nodes = core_nodes(map, &count);

    if (count > c->controller.node_cap) {
        c->controller.node_cap = count + 16;
        c->controller.node_facts = mem_resize_array(c->controller.node_facts, c->controller.node_cap,
                                                    sizeof *c->controller.node_facts);
    }
    for (u32 i = 0; i < count; i++) {
        struct core_node_fact *f = &c->controller.node_facts[i];
        *f = (struct core_node_fact){.node = nodes[i]->id,
                                     .alive = nodes[i]->id == node_config_of(c->node)->self};
        for (u32 j = 0; j < met; j++) {
            if (peers[j].id != f->node) continue;
            f->alive = peers[j].alive;
            f->silent_ms = f->alive ? 0 : peers[j].silent / NANOS_MS;
        }
    }
    c->controller.facts.nodes = c->controller.node_facts;
    c->controller.facts.node_count = count;
}

static void see_parts(struct cluster *c)
{
    u32 count = c->controller.group_count;

    if (count > c->controller.part_cap) {
        c->controller.part_cap = count + 16;
        c->controller.part_facts = mem_resize_array(c->controller.part_facts, c->controller.part_cap,
                                                    sizeof *c->controller.part_facts);
    }
    for (u32 i = 0; i < count; i++) {
        const struct group_report *g = &c->controller.groups[i].report;
        struct core_part_fact *f = &c->controller.part_facts[i];
        *f = (struct core_part_fact){
            .part = g->part, .bytes = g->bytes, .load = g->load, .caught_up_count = g->caught_up_count};
        for (u32 j = 0; j < g->caught_up_count && j < CORE_MEMBERS_MAX; j++) f->caught_up[j] = g->caught_up[j];
        f->middle = buf_str(&c->controller.groups[i].middle);
    }
    c->controller.facts.parts = c->controller.part_facts;
    c->controller.facts.part_count = count;
}

const struct core_facts *cluster_facts(struct cluster *c)
{
    see_nodes(c, cluster_map(c));
    see_parts(c);
    return &c->controller.facts;
}

/* ---- steps ---- */

err cluster_recover(struct cluster *c, u64 part)
{
    struct hosted *h = parts_find(c->parts, part);

    if (!h || !h->part) return ERR_NOT_FOUND;
    err e = part_recover(h->part);
    parts_touch(c->parts, h);
    return e;
}

bool cluster_hand_over(struct cluster *c, u64 part, u32 replica)
{
    struct frame f = {.type = FRAME_TRANSFER, .part = part};
    const struct group_seen *g = group_of(c, part, false);
    struct hosted *h = parts_find(c->parts, part);
    node_id leader = g ? g->from : h ? hosted_leader(h) : 0;

    if (!leader) return false;
    if (leader == node_config_of(c->node)->self) {
        if (!h || !h->part || !raft_is_leader(part_raft(h->part))) return false;
        part_transfer(h->part, replica);
        parts_touch(c->parts, h);
        return true;
    }
    struct buf *out = peers_begin(c->peers, leader, &f, true);
    if (!out) return false;
    buf_append_u32(out, replica);
    peers_end(c->peers);
    return true;
}

static void carry_out(struct cluster *c, const struct core_plan *plan)
{
    for (u32 i = 0; i < plan->count && changes_has_room(c); i++) {
        const struct core_plan_step *s = &plan->steps[i];
        struct core_command cmd;
        if (changes_is_busy(c, s->part)) continue;
        env_log(c->env, LOG_INFO, "plan: %s", s->reason);
        if (!core_plan_command(s, &cmd))
            cluster_hand_over(c, s->part, s->replica);
        else
            changes_propose(c, &cmd);
    }
    if (plan->blocked_count && strcmp(plan->blocked[0], c->controller.said)) {
        memcpy(c->controller.said, plan->blocked[0], sizeof c->controller.said);
        env_log(c->env, LOG_WARN, "plan: %s", plan->blocked[0]);
    }
}

/* Whether anything could be worth a plan before its time. */
static bool is_due(const struct cluster *c, u64 epoch)
{
    if (c->now < c->controller.next_at) return false;
    return c->now >= c->controller.plan_by || c->controller.dirty || epoch != c->controller.planned_epoch;
}

/* Nothing is forgotten here: who heard of this leader before it has taken its first turn has told it already, and will not again. */
static void begin_leading(struct cluster *c, u64 term)
{
    c->controller.leads = true;
    c->controller.term = term;
    if (MUTANT(new_core_leader_forgets_reports)) forget_groups(c);
    c->controller.is_unwritten = true;
    c->controller.said[0] = 0;
    c->controller.plan_by = c->controller.next_at = c->now + SETTLE;
}

void controller_turn(struct cluster *c)
{
    const struct core *map = cluster_map(c);
    struct hosted *h = cluster_core_hosted(c);
    u64 epoch = cluster_epoch(c);

    if (!cluster_leads_core(c) || !epoch || map != cluster_own_core(c)) {
        if (c->controller.leads) forget_groups(c);
        c->controller.leads = false;
        return;
    }
    u64 term = raft_term(part_raft(h->part));
    if (!c->controller.leads || c->controller.term != term) begin_leading(c, term);
    write_leaders(c, map);
    if (!is_due(c, epoch)) return;
    c->controller.next_at = c->now + PLAN_GAP;
    if (!list_is_empty(&c->changes.busy)) return;
    c->controller.plan_by = c->now + PLAN_EVERY;
    c->controller.dirty = false;
    c->controller.is_unwritten = true; /* the map may have changed otherwise */
    c->controller.planned_epoch = epoch;
    core_plan_make(map, cluster_facts(c), c->controller.plan);
    carry_out(c, c->controller.plan);
}

nanos controller_deadline(const struct cluster *c)
{
    if (!c->controller.leads) return NANOS_NEVER;
    if (c->controller.dirty || cluster_epoch(c) != c->controller.planned_epoch) return c->controller.next_at;
    return u64_max(c->controller.plan_by, c->controller.next_at);
}
