/* Where entries count in memory a power cut of all nodes may take what was acknowledged, and an operator says that the
 * groups shall go on with what is left: but nothing that was on the disks of a majority, and of groups whose entries
 * count on disks nothing at all. */
#include "sim/groups_internal.h"

#include "server/cluster.h"

/* ---- before ---- */

/* Committed entries that a majority has on disk are the first of all committed ones. What the leader tells clients that a power
 * cut could take is all behind them. */
static void note_disks(struct group *g)
{
    struct seat *leader = group_leader(g);

    g->all_lost_power = true;
    g->on_disk = g->inherited;
    if (!leader) return; /* it was dropped */
    u64 low = g->inherited, high = u64_min(g->count, g->commit_seen);
    while (low < high) {
        u64 middle = high - (high - low) / 2;
        if (group_disks_hold(g, seat_raft(leader), middle, g->entries[middle - 1].term))
            low = middle;
        else
            high = middle - 1;
    }
    g->on_disk = low;
    u64 safe = u64_min(raft_disk_reached(seat_raft(leader)), high);
    if (safe > low)
        group_say(leader, "tells that the entries up to %llu are safe, but only those up to %llu are on the disks of a majority",
                  (unsigned long long)safe, (unsigned long long)low);
}

void groups_before_power_cut(struct world *w)
{
    for (u32 i = 0; i < w->groups->count; i++) {
        struct group *g = w->groups->items[i];
        note_disks(g);
        if (g->on_disk == g->count || !group_leader(g)) continue;
        world_say(w, NULL, "partition %llu has applied %llu, on the disks of a majority are %llu", (unsigned long long)g->part,
                  (unsigned long long)g->count, (unsigned long long)g->on_disk);
    }
}

bool groups_have_in_memory(const struct world *w)
{
    for (u32 i = 0; i < w->groups->count; i++) {
        const struct group *g = w->groups->items[i];
        const struct seat *leader = group_leader(g);
        if (!leader || g->count <= g->inherited) continue;
        if (!group_disks_hold(g, seat_raft(leader), g->count, g->entries[g->count - 1].term)) return true;
    }
    return false;
}

/* ---- the operator ---- */

static bool is_recovering(const struct seat *s)
{
    const struct raft_hard_state *hs = raft_hard_state(seat_raft(s));
    return hs->impaired && hs->votes_kept;
}

static bool may_ask(const struct seat *s)
{
    return s->on && !s->gone && seat_host(s)->busy_until <= s->group->world->now;
}

/* Nobody can be elected, as a majority is in doubt; and nobody is away, who may have more. */
static bool needs_recovery(const struct group *g)
{
    u32 replicas = 0, away = 0, recovering = 0;

    if (!g->all_lost_power || group_leader(g)) return false;
    for (u32 i = 0; i < g->seat_count; i++) {
        const struct seat *s = g->seats[i];
        if (!s->host || s->gone) continue;
        replicas++;
        away += !s->on;
        recovering += s->on && is_recovering(s);
    }
    return recovering && 2 * recovering >= replicas && !away;
}

/* As `quorate group recover` does it, who is said to have a longer log is asked next, be it whole; else anybody that is not. */
static struct seat *whom_to_ask(const struct group *g, struct prng *p)
{
    struct seat *found[16];
    u32 count = 0;

    if (!needs_recovery(g)) return NULL;
    for (u32 i = 0; i < g->seat_count && count < ARRAY_LEN(found); i++)
        if (may_ask(g->seats[i]) && is_recovering(g->seats[i])) found[count++] = g->seats[i];
    if (count == 0) return NULL;
    struct seat *s = found[prng_below(p, count)];
    struct raft_recovery_status status = raft_recovery_status(seat_raft(s));
    struct seat *longer = status.state == RAFT_RECOVERY_LONGER ? group_seat_known(g, status.longer) : NULL;
    return longer && may_ask(longer) ? longer : s;
}

static void ask(struct seat *s)
{
    struct world *w = s->group->world;
    struct host *h = seat_host(s);

    if (raft_recovery_status(seat_raft(s)).state == RAFT_RECOVERY_ASKING) return;
    world_say(w, h, "operator: recover partition %llu, accept the loss", (unsigned long long)s->group->part);
    h->in_turn = true; /* as a request that its node takes at the beginning of a turn */
    h->ahead = 0;
    err e = cluster_recover(node_cluster(h->node), s->group->part);
    h->in_turn = false;
    h->busy_until = u64_max(h->busy_until, w->now + h->ahead);
    h->ahead = 0;
    host_turn_by(h, h->busy_until);
    if (e && e != ERR_STALE && e != ERR_INVALID) group_say(s, "cannot be recovered: %s", err_text(e));
}

bool groups_recover_some(struct world *w, struct prng *p)
{
    bool some = false;

    for (u32 i = 0; i < w->groups->count && !w->stopped; i++) {
        struct seat *s = whom_to_ask(w->groups->items[i], p);
        if (s) ask(s);
        some |= s != NULL;
    }
    return some;
}

/* ---- after ---- */

static void forget_behind(struct group *g, u64 index)
{
    u64 term = index > g->inherited ? g->entries[index - 1].term : 0;

    if (g->commit_seen > index) {
        g->commit_seen = index;
        g->commit_seen_term = term;
    }
    for (u64 place = index / GROUP_DIGEST_EVERY + 1; place < g->digest_cap; place++) g->digests[place].by = 0;
    g->count = index;
}

void group_recovered(struct seat *s)
{
    struct group *g = s->group;
    const struct raft *r = seat_raft(s);
    const struct raft_recoveries *l = &raft_config(r)->recoveries;
    const struct raft_recovery *newest = l->count ? &l->items[l->count - 1] : NULL;

    if (!newest || newest->term != raft_term(r)) return;
    if (!g->all_lost_power) group_say(s, "leads by an operator's word, but no majority of its group was ever down");
    u64 kept = u64_min(g->count, newest->kept.index), first = u64_max(raft_first(r).index, g->inherited);
    while (kept > first && raft_term_at(r, kept) != g->entries[kept - 1].term) kept--;
    world_say(g->world, seat_host(s), "partition %llu goes on with %llu of %llu entries", (unsigned long long)g->part,
              (unsigned long long)kept, (unsigned long long)g->count);
    if (kept < g->on_disk)
        group_say(s, "is recovered with the entries up to %llu, but those up to %llu were on the disks of a majority",
                  (unsigned long long)kept, (unsigned long long)g->on_disk);
    forget_behind(g, kept);
}
