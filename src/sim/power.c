#include "sim/power.h"

#include "sim/disk.h"
#include "sim/faults.h"
#include "sim/groups.h"
#include "sim/host.h"

#define OPERATOR_LOOKS_EVERY (300 * NANOS_MS) /* after one that may have taken something */
#define POWER_CUTS_APART     (4 * NANOS_SEC)

static void cut_power(struct world *w)
{
    for (u32 i = 0; i < w->nodes; i++) host_crash(w->hosts[i], true, "power cut of all");
}

static void fire_operator_looks(struct world *w, void *context, u64 arg)
{
    bool some = groups_recover_some(w, world_chance(w, CHANCE_FAULT));
    if (some) faults_heal_links(w); /* who is not asked may have more, and be abandoned: the operator sees to them */
    world_at(w, w->now + OPERATOR_LOOKS_EVERY, EVENT_MEMBERS, 0, fire_operator_looks, context, arg);
}

/* Where entries count in memory it takes some of what was acknowledged. */
static void fire_power_cut(struct world *w, void *context, u64 tries_left)
{
    if (faults_are_over(w) || w->power_cut_count == WORLD_POWER_CUTS_MAX || !groups_can_do_without(w, NULL)) return;
    if (tries_left && !groups_have_in_memory(w)) { /* nothing to lose at this moment */
        world_at(w, w->now + 5 * NANOS_MS, EVENT_CRASH, 0, fire_power_cut, context, tries_left - 1);
        return;
    }
    groups_before_power_cut(w);
    if (w->power_cut_count == 0) world_at(w, w->now + NANOS_SEC, EVENT_MEMBERS, 0, fire_operator_looks, context, 0);
    w->power_cuts[w->power_cut_count++] = w->now;
    cut_power(w);
}

/* A few times, when all is well; some disks hang before, so that more is in memory only. */
static bool strike_memory(struct world *w, struct prng *p)
{
    nanos lasts = chance_between(p, NANOS_MS, 400 * NANOS_MS);

    if (w->power_cut_count == WORLD_POWER_CUTS_MAX || w->now < w->next_power_cut) return false;
    if (w->now < 5 * NANOS_SEC || !groups_can_do_without(w, NULL)) return false; /* at first there are no keyspaces */
    w->next_power_cut = w->now + POWER_CUTS_APART; /* also when this comes to nothing: disks must not hang for ever */
    for (u32 i = 0; i < w->nodes; i++)
        if (!chance_one_in(p, 3)) disk_stall(w->hosts[i]->disk, w->now + lasts + NANOS_SEC);
    world_at(w, w->now + lasts, EVENT_CRASH, 0, fire_power_cut, w, 200);
    return true;
}

bool power_strike(struct world *w, struct prng *p)
{
    bool any = false;

    if (w->options->memory) return strike_memory(w, p);
    for (u32 i = 0; i < w->nodes; i++) any |= w->hosts[i]->up;
    cut_power(w);
    return any;
}
