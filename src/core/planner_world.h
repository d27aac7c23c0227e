/* For tests of the planner: a cluster of pretended nodes and groups that do what the map says,
 * round after round, and a judge that looks at every step on its own terms. */
#pragma once

#include "core/core_fixture.h"
#include "core/planner.h"

#include "base/prng.h"

#define WORLD_NODES 40
#define WORLD_PARTS 1024
#define ROUND_MS    30000

struct world {
    struct core_fixture f;
    struct prng r;
    bool alive[WORLD_NODES], busy[WORLD_NODES];
    u64 silent_ms[WORLD_NODES];
    u64 disk_bytes;
    u64 bytes[WORLD_PARTS]; /* by partition id */
    u64 load[WORLD_PARTS];
    u64 term[WORLD_PARTS];
    u32 catching[WORLD_PARTS]; /* rounds until the learner has caught up */
    u32 catch_up_rounds;       /* at most */
    struct core_node_fact node_facts[WORLD_NODES];
    struct core_part_fact part_facts[WORLD_PARTS];
    struct core_facts facts;
    struct core_plan plan;
    u64 moved_bytes, now_ms;
    u32 moves, transfers, steps;
    const char *broken; /* the judge's first complaint */
};

static inline void world_complain(struct world *w, const char *what)
{
    if (!w->broken) w->broken = what;
}

static inline bool world_node_lives(const struct world *w, u32 node)
{
    return node < WORLD_NODES && w->alive[node] &&
           core_node(w->f.core, node)->state != CORE_REMOVED;
}

static inline u32 world_live_voters(const struct world *w, const struct core_part *p)
{
    u32 live = 0;

    for (u32 i = 0; i < p->member_count; i++)
        live += p->members[i].role == CORE_VOTER && world_node_lives(w, p->members[i].node);
    return live;
}

static inline bool world_has_quorum(const struct world *w, const struct core_part *p)
{
    return world_live_voters(w, p) >= core_part_voters(p) / 2 + 1;
}

static inline void world_see(struct world *w)
{
    u32 nodes, parts;
    const struct core_node *const *n = core_nodes(w->f.core, &nodes);
    const struct core_part *const *p = core_parts(w->f.core, &parts);

    for (u32 i = 0; i < nodes; i++)
        w->node_facts[i] = (struct core_node_fact){.node = n[i]->id,
                                                   .alive = w->alive[n[i]->id],
                                                   .busy = w->busy[n[i]->id],
                                                   .silent_ms = w->silent_ms[n[i]->id],
                                                   .disk_bytes = w->disk_bytes};
    for (u32 i = 0; i < parts; i++) {
        struct core_part_fact *f = &w->part_facts[i];
        CHECK(p[i]->id < WORLD_PARTS);
        *f = (struct core_part_fact){
            .part = p[i]->id, .bytes = w->bytes[p[i]->id], .load = w->load[p[i]->id]};
        for (u32 m = 0; m < p[i]->member_count; m++) {
            const struct core_member *member = &p[i]->members[m];
            if (!world_node_lives(w, member->node)) continue;
            if (member->role == CORE_LEARNER && w->catching[p[i]->id]) continue;
            f->caught_up[f->caught_up_count++] = member->replica;
        }
    }
    w->facts = (struct core_facts){.nodes = w->node_facts,
                                   .node_count = nodes,
                                   .parts = w->part_facts,
                                   .part_count = parts,
                                   .paused = w->facts.paused};
}

/* ---- the judge ---- */

static inline u32 world_racks(const struct world *w, const struct core_part *p, u32 without,
                              u32 with)
{
    u32 racks = 0, nodes[CORE_MEMBERS_MAX + 1], count = 0;

    for (u32 i = 0; i < p->member_count; i++)
        if (p->members[i].replica != without) nodes[count++] = p->members[i].node;
    if (with) nodes[count++] = with;
    for (u32 i = 0; i < count; i++) {
        bool again = false;
        str rack = core_str(&core_node(w->f.core, nodes[i])->rack);
        for (u32 j = 0; j < i && !again; j++)
            again = rack.len && str_equal(rack, core_str(&core_node(w->f.core, nodes[j])->rack));
        racks += !again;
    }
    return racks;
}

static inline void world_judge_map(struct world *w)
{
    u32 parts;
    const struct core_part *const *p = core_parts(w->f.core, &parts);

    for (u32 i = 0; i < parts; i++)
        for (u32 a = 0; a < p[i]->member_count; a++)
            for (u32 b = 0; b < a; b++)
                if (p[i]->members[a].node == p[i]->members[b].node)
                    world_complain(w, "two replicas of a partition on one node");
}

static inline void world_judge_step(struct world *w, const struct core_plan_step *s)
{
    const struct core_part *p = core_part(w->f.core, s->part);
    u64 replace_after = core_cluster(w->f.core)->settings[CORE_REPLACE_AFTER_S] * 1000;

    if (w->facts.paused && s->kind != CORE_PLAN_SWAP && s->kind != CORE_PLAN_UNDO &&
        s->why != CORE_WHY_PROGRESS)
        world_complain(w, "something begins while the planner is paused");
    if (s->kind == CORE_PLAN_MOVE) {
        const struct core_node *to = core_node(w->f.core, s->node);
        if (to->state != CORE_UP || !w->alive[to->id])
            world_complain(w, "a move to a node that is not up");
        if (w->busy[to->id]) world_complain(w, "a move to a node that takes nothing now");
        if (!world_has_quorum(w, p)) world_complain(w, "a move in a group without a quorum");
        if (s->why == CORE_WHY_REPAIR && s->replica) {
            u32 from = core_part_member(p, s->replica)->node;
            if (core_node(w->f.core, from)->state != CORE_REMOVED &&
                w->silent_ms[from] <= replace_after)
                world_complain(w, "a replica is replaced before replace-after");
        }
        w->moves++;
        w->moved_bytes += s->bytes;
    }
    if (s->kind == CORE_PLAN_SWAP) {
        const struct core_member *in = core_part_member(p, p->op.in);
        u32 live = world_live_voters(w, p) + world_node_lives(w, in->node);
        u32 voters = core_part_voters(p) + 1;
        if (p->op.out) {
            voters--;
            live -= world_node_lives(w, core_part_member(p, p->op.out)->node);
        }
        if (w->catching[p->id]) world_complain(w, "a replica that has not caught up is to vote");
        if (!world_has_quorum(w, p) || live < voters / 2 + 1)
            world_complain(w, "voters are changed without a majority before or after");
    }
    if (s->kind == CORE_PLAN_REMOVE) {
        u32 wanted = (u32)core_keyspace(w->f.core, p->keyspace)->settings[CORE_REPLICAS];
        u32 live = world_live_voters(w, p) -
                   world_node_lives(w, core_part_member(p, s->replica)->node);
        if (core_part_voters(p) <= wanted) world_complain(w, "a replica too many is removed");
        if (!world_has_quorum(w, p) || live < (core_part_voters(p) - 1) / 2 + 1)
            world_complain(w, "a removal without a majority before or after");
    }
    if (s->kind == CORE_PLAN_TRANSFER) {
        if (!world_node_lives(w, core_part_member(p, s->replica)->node))
            world_complain(w, "leadership to a dead node");
        w->transfers++;
    }
    if (strlen(s->reason) < 20) world_complain(w, "a step without a reason");
}

/* Before a move begins: how many go to that node, and in all? Groups that stand still do not count.
 */
static inline void world_judge_throttle(struct world *w, u32 node)
{
    u32 parts, here = 0, all = 0;
    const struct core_part *const *p = core_parts(w->f.core, &parts);
    const u64 *settings = core_cluster(w->f.core)->settings;

    for (u32 i = 0; i < parts; i++) {
        if (p[i]->op.kind != CORE_OP_MOVE || !world_has_quorum(w, p[i])) continue;
        here += core_part_member(p[i], p[i]->op.in)->node == node;
        all++;
    }
    if (here >= settings[CORE_MOVES_PER_NODE])
        world_complain(w, "a node takes part in too many moves");
    if (all >= settings[CORE_MOVES_AT_ONCE]) world_complain(w, "too many moves at once");
}

/* ---- the groups do what the map says ---- */

static inline void world_report(struct world *w, u64 part, u8 op, u8 step)
{
    enum core_status s = DO(&w->f, .op = op, .part = part, .epoch = part_epoch(&w->f, part),
                            .step = step);
    if (s != CORE_OK) world_complain(w, "the core refuses a group's report");
}

static inline void world_run_group(struct world *w, u64 id)
{
    const struct core_part *p = core_part(w->f.core, id);

    if (!p || !world_has_quorum(w, p)) return;
    const struct core_member *leader = core_part_member(p, p->leader);
    if (!leader || !world_node_lives(w, leader->node)) {
        u32 pick = (u32)prng_below(&w->r, p->member_count);
        for (u32 i = 0; i < p->member_count; i++) {
            leader = &p->members[(pick + i) % p->member_count];
            if (leader->role == CORE_VOTER && world_node_lives(w, leader->node)) break;
        }
        CHECK_EQ(DO(&w->f, .op = CORE_PART_LEADER, .part = id, .term = ++w->term[id],
                    .replica = leader->replica),
                 CORE_OK);
        return;
    }
    if (w->catching[id]) {
        if (!world_node_lives(w, core_part_member(p, p->op.in)->node)) return;
        w->catching[id]--;
        return;
    }
    switch (p->op.kind) {
    case CORE_OP_MOVE:
        if (p->op.step == CORE_STEP_BEGUN) {
            if (!world_node_lives(w, core_part_member(p, p->op.in)->node)) return;
            w->catching[id] = (u32)prng_below(&w->r, w->catch_up_rounds + 1);
            world_report(w, id, CORE_PART_STEP, CORE_STEP_PREPARED);
        } else if (p->op.step != CORE_STEP_PREPARED) {
            world_report(w, id, CORE_PART_DONE, 0);
        }
        break;
    case CORE_OP_REMOVE: world_report(w, id, CORE_PART_DONE, 0); break;
    case CORE_OP_SPLIT:
    case CORE_OP_MERGE:
        if (p->op.step == CORE_STEP_BEGUN) {
            world_report(w, id, CORE_PART_STEP, CORE_STEP_PREPARED);
        } else {
            u64 other = p->op.other;
            bool splits = p->op.kind == CORE_OP_SPLIT;
            world_report(w, id, CORE_PART_DONE, 0);
            if (splits) {
                w->bytes[other] = w->bytes[id] / 2;
                w->bytes[id] -= w->bytes[other];
                w->term[other] = 0;
            } else {
                w->bytes[id] += w->bytes[other];
            }
        }
        break;
    default: break;
    }
}

static inline void world_carry_out(struct world *w, const struct core_plan_step *s)
{
    struct core_command cmd;

    world_judge_step(w, s);
    if (s->kind == CORE_PLAN_MOVE) world_judge_throttle(w, s->node);
    w->steps++;
    if (core_plan_command(s, &cmd)) {
        if (fixture_do(&w->f, &cmd) != CORE_OK)
            world_complain(w, "the core refuses a planned step");
        if (s->kind == CORE_PLAN_UNDO) w->catching[s->part] = 0;
        return;
    }
    CHECK_EQ(DO(&w->f, .op = CORE_PART_LEADER, .part = s->part, .term = ++w->term[s->part],
                .replica = s->replica),
             CORE_OK);
}

static inline bool world_is_at_rest(const struct world *w)
{
    u32 parts;
    const struct core_part *const *p = core_parts(w->f.core, &parts);

    if (w->plan.count) return false;
    for (u32 i = 0; i < parts; i++)
        if (p[i]->op.kind && world_has_quorum(w, p[i])) return false;
    return true;
}

static inline void world_round(struct world *w)
{
    u32 parts;

    w->now_ms += ROUND_MS;
    for (u32 i = 0; i < WORLD_NODES; i++)
        w->silent_ms[i] = w->alive[i] ? 0 : w->silent_ms[i] + ROUND_MS;
    world_see(w);
    core_plan_make(w->f.core, &w->facts, &w->plan);
    for (u32 i = 0; i < w->plan.count; i++) world_carry_out(w, &w->plan.steps[i]);
    core_parts(w->f.core, &parts);
    for (u32 i = parts; i-- > 0;) { /* merges take the later ones away */
        u32 left;
        const struct core_part *const *p = core_parts(w->f.core, &left);
        if (i < left) world_run_group(w, p[i]->id);
    }
    world_judge_map(w);
}

/* Rounds until nothing is planned or under way; max: it did not come to rest. */
static inline u32 world_settle(struct world *w, u32 max)
{
    u32 rounds = 0, quiet = 0;

    while (rounds < max && quiet < 2 && !w->broken) {
        world_round(w);
        rounds++;
        quiet = world_is_at_rest(w) ? quiet + 1 : 0;
    }
    return rounds;
}

static inline void world_init(struct world *w, u64 seed, u32 founders)
{
    memset(w, 0, sizeof *w);
    prng_init(&w->r, seed, 9);
    fixture_init(&w->f);
    found(&w->f, founders);
    for (u32 i = 1; i <= founders; i++) w->alive[i] = true;
    w->catch_up_rounds = 2;
}

static inline void world_done(struct world *w)
{
    fixture_done(&w->f);
}

static inline u32 world_join(struct world *w, const char *rack)
{
    u32 count;

    core_nodes(w->f.core, &count);
    u32 id = join(&w->f, (u8)(count + 1), rack);
    CHECK(id < WORLD_NODES);
    w->alive[id] = true;
    return id;
}

/* Bytes of the replicas on a node. */
static inline u64 world_node_bytes(const struct world *w, u32 node)
{
    u32 parts;
    u64 sum = 0;
    const struct core_part *const *p = core_parts(w->f.core, &parts);

    for (u32 i = 0; i < parts; i++)
        if (core_part_member_on(p[i], node)) sum += w->bytes[p[i]->id];
    return sum;
}

static inline u32 world_leaders(const struct world *w, u32 node)
{
    u32 parts, leaders = 0;
    const struct core_part *const *p = core_parts(w->f.core, &parts);

    for (u32 i = 0; i < parts; i++) {
        const struct core_member *m = core_part_member(p[i], p[i]->leader);
        leaders += m && m->node == node;
    }
    return leaders;
}
