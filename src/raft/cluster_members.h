/* For tests: an operator that changes the members of a world at random, and machines that are lost
 * for ever. It asks whoever leads, or believes so; what the core refuses must be what it said it
 * would. */
#pragma once

#include "raft/cluster_faults.h"

static inline bool is_up(const struct world *w, const struct host *h)
{
    return h->raft && h->paused_until <= w->now;
}

static inline void draw_changes(struct world *w)
{
    struct faults *f = &w->faults;
    f->change = pick(w, 3) ? 1000 + pick(w, 60000) : 20 + pick(w, 50);
    f->kill = maybe(w, 500);
    f->crash_at_change = maybe(w, 300000);
}

static inline u32 count_role(const struct raft_config *c, u8 role)
{
    return raft_config_count(c, role);
}

static inline struct raft_member *any_member(struct world *w, struct raft_config *c, u8 role)
{
    u32 at = pick(w, u64_max(count_role(c, role), 1) & UINT32_MAX);
    for (u32 i = 0; i < c->count; i++)
        if ((c->members[i].roles & role) && at-- == 0) return &c->members[i];
    return NULL;
}

static inline void add_learner(struct world *w, struct raft_config *c)
{
    replica_id id = w->nodes + 1;
    if (id > WORLD_NODES_MAX || count_role(c, RAFT_LEARNER) >= 2) return;
    raft_config_put(c,
                    &(struct raft_member){.id = id, .node = 1 + pick(w, 5), .roles = RAFT_LEARNER});
}

static inline void promote(struct world *w, struct raft_config *c)
{
    struct raft_member *m = any_member(w, c, RAFT_LEARNER);
    if (m) m->roles = RAFT_VOTER;
}

static inline void drop(struct world *w, struct raft_config *c, u8 role)
{
    const struct raft_member *m = any_member(w, c, role);
    if (m) raft_config_remove(c, m->id);
}

/* A step that an operator may take; several at once are one change as well. */
static inline void draw_change(struct world *w, struct raft_config *c)
{
    switch (pick(w, 8)) {
    case 0:
    case 1: add_learner(w, c); break;
    case 2: promote(w, c); break;
    case 3:
        if (count_role(c, RAFT_VOTER) > 2 || pick(w, 4) == 0) drop(w, c, RAFT_VOTER);
        break;
    case 4: /* replace */
        promote(w, c);
        drop(w, c, RAFT_VOTER);
        break;
    case 5: /* anybody may be anything */
        for (u32 i = 0; i < c->count; i++)
            c->members[i].roles = pick(w, 3) ? RAFT_VOTER : RAFT_LEARNER;
        break;
    case 6: drop(w, c, pick(w, 3) ? RAFT_LEARNER : RAFT_VOTER); break;
    case 7: /* replace all who can be replaced */
        promote(w, c);
        promote(w, c);
        drop(w, c, RAFT_VOTER);
        drop(w, c, RAFT_VOTER);
        add_learner(w, c);
        break;
    }
}

static inline void start_newcomers(struct world *w, const struct raft_config *c)
{
    replica_id id = w->nodes + 1;
    if (!raft_config_find(c, id)) return;
    struct host *h = &w->hosts[id];
    w->nodes = id;
    host_init(h, id);
    h->disk.hard.impaired = false; /* its number is new: it cannot have promised anything */
    h->options = draw_options(w, id);
    h->clock_offset = pick(w, 1000000) * NANOS_MS;
    h->drift_ppm = (i64)pick(w, 3) * 10000 - 10000;
    h->restart_at = w->now + pick(w, 200) * NANOS_MS;
}

static inline void change_members(struct world *w)
{
    struct host *h = &w->hosts[1 + pick(w, w->nodes)];

    if (chance(w, w->faults.kill) && h->raft && can_bear_a_loss(w)) {
        h->gone = true; /* with its disk; nobody tells */
        crash(w, h);
        w->killed++;
        w->changes_from = w->now + 2 * NANOS_SEC;
        return;
    }
    if (!chance(w, w->faults.change * 20) || !is_up(w, h) || !raft_is_leader(h->raft)) return;
    if (w->now < w->changes_from) return;
    struct raft_config target = *raft_config(h->raft);
    draw_change(w, &target);
    struct raft_change_plan plan;
    raft_change_check(h->raft, &target, host_clock(h, w->now), &plan);
    struct raft_event ev = {.kind = RAFT_CHANGE, .config = &target};
    u64 last = raft_last(h->raft).index;
    bool taken = world_step(w, h, &ev) == OK;
    if (taken != (plan.reason == RAFT_CHANGE_POSSIBLE))
        VIOLATION(w, "a change was %s, but the check said %d", taken ? "taken" : "refused",
                  (int)plan.reason);
    if (!taken) return;
    w->changed_at = w->now;
    assert(h->dies || raft_entry_at(h->raft, last + 1)->kind == RAFT_CONFIG);
    start_newcomers(w, &target);
}
