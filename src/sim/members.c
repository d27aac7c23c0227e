#include "sim/members.h"

#include "base/mem.h"
#include "part/part.h"
#include "server/node_internal.h"
#include "sim/disk.h"
#include "sim/engine.h"
#include "sim/faults.h"
#include "sim/host.h"
#include "sim/observe.h"

#define STEP_MEAN  (1200 * NANOS_MS)
#define STEP_CALM  (100 * NANOS_MS)
#define VOTERS_MIN 3

static struct raft *raft_of(const struct host *h) { return part_raft(node_part(h->node)); }

/* The leader whose members are those of the group: none is in a newer term, and nothing is under way. */
static struct host *settled_leader(struct world *w)
{
    u32 leader = observe_leader(w);
    if (!leader) return NULL;
    struct host *h = w->hosts[leader - 1];
    const struct raft *r = raft_of(h);
    bool settled = raft_term(r) == observe_term_max(w) && raft_config_index(r) <= raft_commit(r) &&
                   raft_term_at(r, raft_commit(r)) == raft_term(r);
    if (h->busy_until > w->now) return NULL; /* it is paused */
    return settled && !raft_config_is_joint(raft_config(r)) ? h : NULL;
}

static u32 replica_on(const struct host *h) { return h->config.replica ? h->config.replica : h->id; }

static const struct raft_member *member_on(const struct raft_config *c, u32 node)
{
    const struct raft_member *found = NULL;
    for (u32 i = 0; i < c->count; i++)
        if (c->members[i].node == node) found = &c->members[i]; /* the latest number */
    return found;
}

/* Its disk was lost, and it is no founder that would be refilled. Judged only while the node runs. */
static bool has_lost_its_disk(const struct host *h, const struct raft_member *m)
{
    static const u8 unknown[16];
    return h->up && h->node && !mem_equal(m->incarnation, unknown, 16) &&
           !mem_equal(m->incarnation, node_identity(h->node)->incarnation, 16);
}

static void ask(struct world *w, struct host *leader, const struct raft_config *target, const char *what, u32 node)
{
    struct part_waiter nobody = {0};
    struct raft_change_plan plan;
    char text[PART_CHANGE_TEXT_MAX];

    raft_change_check(raft_of(leader), target, u64_max(clocks_mono(&leader->clocks, w->now), 1), &plan);
    raft_change_text(&plan, text, sizeof text);
    world_say(w, leader, "members: %s %u: %s", what, node, text);
    leader->in_turn = true; /* as a command that its node takes at the beginning of a turn */
    leader->ahead = 0;
    part_change_members(node_part(leader->node), target, &nobody);
    leader->in_turn = false;
    leader->busy_until = u64_max(leader->busy_until, w->now + leader->ahead);
    leader->ahead = 0;
    parts_touch_all(node_parts(leader->node));
    host_turn_by(leader, leader->busy_until);
}

/* What a removed replica leaves behind is deleted, and the node starts as another replica of the group. */
static void renew(struct world *w, struct host *h, replica_id replica)
{
    h->restart_planned = true;
    host_crash(h, true, "its replica is deleted");
    disk_wipe(h->disk);
    engine_wipe(h->engine);
    observe_wiped(w, h);
    h->config.replica = replica;
    host_start_at(h, w->now + 20 * NANOS_MS);
}

static void bring_in(struct world *w, struct host *leader, struct host *h)
{
    struct raft_config target = *raft_config(raft_of(leader));
    struct raft_member m = {.id = replica_on(h), .node = h->id, .roles = RAFT_LEARNER};

    if (!h->up || !h->node) return;
    if (m.id < target.next) { /* a number is used once */
        u32 highest = target.next;
        for (u32 i = 0; i < w->nodes; i++) highest = (u32)u64_max(highest, replica_on(w->hosts[i]) + 1);
        renew(w, h, (u32)u64_max(highest, w->nodes + 1));
        return;
    }
    mem_copy(m.incarnation, node_identity(h->node)->incarnation, 16);
    if (raft_config_put(&target, &m)) ask(w, leader, &target, "learner on", h->id);
}

static struct raft_member *any_voter(struct prng *p, struct raft_config *c)
{
    u32 at = (u32)prng_below(p, raft_config_count(c, RAFT_VOTER));
    for (u32 i = 0; i < c->count; i++)
        if ((c->members[i].roles & RAFT_VOTER) && at-- == 0) return &c->members[i];
    return NULL;
}

/* The learner becomes a voter, sometimes in the place of another. */
static void promote(struct world *w, struct host *leader, replica_id id, bool replace)
{
    struct raft_config target = *raft_config(raft_of(leader));
    struct raft_member m = *raft_config_find(&target, id);
    replica_id leaves = replace ? any_voter(world_chance(w, CHANCE_MEMBERS), &target)->id : 0;

    m.roles = RAFT_VOTER;
    bool there = raft_config_put(&target, &m);
    if (leaves && there) raft_config_remove(&target, leaves);
    ask(w, leader, &target, replace ? "replace by" : "promote", id);
}

static void drop(struct world *w, struct host *leader, replica_id id)
{
    struct raft_config target = *raft_config(raft_of(leader));
    raft_config_remove(&target, id);
    ask(w, leader, &target, "remove", id);
}

/* One step towards all nodes voting; false: there is none to take. */
static bool repair(struct world *w, struct host *leader, bool may_replace)
{
    const struct raft_config *c = raft_config(raft_of(leader));
    struct raft_peer_status s;

    for (u32 i = 0; i < c->count; i++) {
        const struct raft_member *m = &c->members[i];
        if (m->node != leader->id && has_lost_its_disk(w->hosts[m->node - 1], m)) {
            drop(w, leader, m->id);
            return true;
        }
        if (!(m->roles & RAFT_LEARNER) || !raft_peer_status(raft_of(leader), m->id, &s) || !s.caught_up) continue;
        promote(w, leader, m->id, may_replace && chance_one_in(world_chance(w, CHANCE_MEMBERS), 2));
        return true;
    }
    for (u32 i = 0; i < w->nodes; i++) {
        if (member_on(c, i + 1)) continue;
        bring_in(w, leader, w->hosts[i]);
        return true;
    }
    return false;
}

/* Somebody asks although a change is under way, or the leader is new: the core must refuse, or do it well. */
static void hasty_step(struct world *w)
{
    struct prng *p = world_chance(w, CHANCE_MEMBERS);
    u32 leader = observe_leader(w);
    if (!leader || w->hosts[leader - 1]->busy_until > w->now) return;
    struct host *h = w->hosts[leader - 1];
    struct raft_config target = {.next = raft_config(raft_of(h))->next};
    for (u32 i = 0; i < raft_config(raft_of(h))->count; i++) {
        struct raft_member m = raft_config(raft_of(h))->members[i];
        m.roles = (u8)(m.roles & ~RAFT_OUTGOING);
        bool there = m.roles && raft_config_put(&target, &m);
        (void)there;
    }
    if (raft_config_count(&target, RAFT_VOTER) <= VOTERS_MIN) return;
    replica_id leaves = any_voter(p, &target)->id;
    raft_config_remove(&target, leaves);
    ask(w, h, &target, "hastily remove", leaves);
}

static void step(struct world *w)
{
    struct prng *p = world_chance(w, CHANCE_MEMBERS);
    struct host *leader = settled_leader(w);

    if (!leader) {
        if (!faults_are_over(w)) hasty_step(w);
        return;
    }
    struct raft_config c = *raft_config(raft_of(leader));
    bool over = faults_are_over(w);
    if (!over && chance_one_in(p, 3) && raft_config_count(&c, RAFT_VOTER) > VOTERS_MIN) {
        drop(w, leader, any_voter(p, &c)->id);
        return;
    }
    (void)repair(w, leader, !over);
}

static void fire_step(struct world *w, void *context, u64 arg)
{
    (void)arg;
    if (faults_are_over(w) && members_are_all(w)) return;
    step(w);
    nanos wait = faults_are_over(w) ? STEP_CALM : chance_exponential(world_chance(w, CHANCE_MEMBERS), STEP_MEAN);
    if (!settled_leader(w) && chance_one_in(world_chance(w, CHANCE_MEMBERS), 2))
        wait = chance_exponential(world_chance(w, CHANCE_MEMBERS), 3 * NANOS_MS); /* before it is finished */
    world_at(w, w->now + wait, EVENT_MEMBERS, 0, fire_step, context, 0);
}

void members_start(struct world *w)
{
    u32 founders = w->cluster ? 0 : w->options->founders;
    if (founders && founders < w->nodes) world_at(w, w->now + NANOS_SEC, EVENT_MEMBERS, 0, fire_step, w, 0);
}

bool members_are_all(const struct world *w)
{
    u32 leader = observe_leader(w);
    if (!leader) return false;
    const struct raft_config *c = raft_config(raft_of(w->hosts[leader - 1]));
    for (u32 i = 0; i < w->nodes; i++) {
        const struct raft_member *m = member_on(c, i + 1);
        if (!m || m->roles != RAFT_VOTER || has_lost_its_disk(w->hosts[i], m)) return false;
    }
    return c->count == w->nodes;
}

static bool majority_holds(const struct world *w, const struct raft_config *c, u8 role, u64 index, u64 term,
                           members_holds_fn holds)
{
    u32 copies = 0, of = raft_config_count(c, role);
    for (u32 i = 0; i < c->count; i++)
        if (c->members[i].roles & role) copies += holds(w, c->members[i].node, index, term);
    return of == 0 || 2 * copies > of;
}

bool members_quorum_holds(const struct world *w, u32 node, u64 index, u64 term, members_holds_fn holds)
{
    const struct raft *r = raft_of(w->hosts[node - 1]);
    struct raft_config then;
    const struct raft_config *newest = raft_config(r);

    if (newest->count == 0) return true; /* it does not know who the members are, and takes a leader's word */
    raft_config_at(r, index, &then);
    bool now = majority_holds(w, newest, RAFT_VOTER, index, term, holds) &&
               majority_holds(w, newest, RAFT_OUTGOING, index, term, holds);
    return now || (majority_holds(w, &then, RAFT_VOTER, index, term, holds) &&
                   majority_holds(w, &then, RAFT_OUTGOING, index, term, holds));
}
