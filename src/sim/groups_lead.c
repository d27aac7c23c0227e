/* Who leads a group, by what right, and what it believes of the others. */
#include "sim/groups_internal.h"

#include "base/mem.h"
#include "sim/clocks.h"
#include "sim/faults.h"

bool seat_holds(const struct seat *s, u64 index, u64 term)
{
    if (s->lost >= index && s->lost_term >= term) return true;
    if (!s->on) return s->durable >= index && s->durable_term >= term;
    struct raft *r = seat_raft(s);
    if (part_is_damaged(s->part)) return false;
    if (raft_first(r).index >= index) return true; /* in its store */
    u64 counted = raft_is_volatile(r) ? raft_last(r).index : raft_durable(r);
    return counted >= index && raft_term_at(r, index) == term;
}

static bool disk_holds(const struct seat *s, u64 index, u64 term)
{
    if (!s->on || part_is_damaged(s->part)) return false;
    struct raft *r = seat_raft(s);
    return raft_first(r).index >= index || (raft_durable(r) >= index && raft_term_at(r, index) == term);
}

typedef bool (*holds_fn)(const struct seat *s, u64 index, u64 term);

static bool majority_holds(const struct group *g, const struct raft_config *c, u8 role, struct log_pos at, holds_fn holds)
{
    u32 copies = 0, of = raft_config_count(c, role);

    for (u32 i = 0; i < c->count; i++) {
        const struct seat *s = (c->members[i].roles & role) ? group_seat_known(g, c->members[i].id) : NULL;
        copies += s && holds(s, at.index, at.term);
    }
    return of == 0 || 2 * copies > of;
}

static bool quorum_holds(const struct group *g, const struct raft_config *c, struct log_pos at, holds_fn holds)
{
    return majority_holds(g, c, RAFT_VOTER, at, holds) && majority_holds(g, c, RAFT_OUTGOING, at, holds);
}

bool group_quorum_holds(const struct group *g, const struct raft *r, u64 index, u64 term)
{
    const struct raft_config *newest = raft_config(r);
    struct raft_config then;

    if (newest->count == 0) return true; /* it does not know who the members are, and takes a leader's word */
    raft_config_at(r, index, &then);
    struct log_pos at = {.index = index, .term = term};
    return quorum_holds(g, newest, at, seat_holds) || quorum_holds(g, &then, at, seat_holds);
}

bool group_disks_hold(const struct group *g, const struct raft *r, u64 index, u64 term)
{
    return quorum_holds(g, raft_config(r), (struct log_pos){.index = index, .term = term}, disk_holds);
}

/* ---- a new leader ---- */

static bool majority_voted(const struct seat *leader, const struct raft_config *c, u8 role, u64 term)
{
    u32 votes = 0, of = raft_config_count(c, role);

    for (u32 i = 0; i < c->count; i++) {
        const struct seat *s = (c->members[i].roles & role) ? group_seat_known(leader->group, c->members[i].id) : NULL;
        votes += s && (s == leader || (term < s->vote_cap && s->votes[term] == leader->replica));
    }
    return of == 0 || 2 * votes > of;
}

static bool was_elected(const struct seat *s, u64 term)
{
    const struct raft *r = seat_raft(s);
    struct raft_config before;

    raft_config_at(r, raft_commit(r), &before);
    const struct raft_config *configs[] = {raft_config(r), &before};
    for (u32 i = 0; i < ARRAY_LEN(configs); i++)
        if (majority_voted(s, configs[i], RAFT_VOTER, term) && majority_voted(s, configs[i], RAFT_OUTGOING, term))
            return true;
    return false;
}

/* Somebody is elected: who led before may not answer reads by its lease any more. */
static void check_leases(const struct seat *leader, u64 term)
{
    const struct group *g = leader->group;

    if (faults_skew_clocks(g->world)) return;
    for (u32 i = 0; i < g->seat_count; i++) {
        struct seat *s = g->seats[i];
        if (!s->on || s == leader) continue;
        struct host *h = seat_host(s);
        if (h->in_turn || raft_term(seat_raft(s)) >= term) continue;
        if (!raft_lease_holds(seat_raft(s), clocks_mono(&h->clocks, g->world->now))) continue;
        group_say(s, "holds a lease in term %llu although replica %u leads term %llu",
                  (unsigned long long)raft_term(seat_raft(s)), leader->replica, (unsigned long long)term);
    }
}

static void check_new_leader(struct seat *s, u64 term)
{
    struct group *g = s->group;
    const struct raft *r = seat_raft(s);

    world_say(g->world, seat_host(s), "leads partition %llu in term %llu", (unsigned long long)g->part,
              (unsigned long long)term);
    if (s->gone) group_say(s, "leads term %llu although it was deleted or lost", (unsigned long long)term);
    if (!was_elected(s, term)) group_say(s, "leads term %llu without a majority's votes", (unsigned long long)term);
    group_recovered(s);
    if (g->commit_seen_term && g->commit_seen_term < term && raft_first(r).index < g->commit_seen &&
        raft_term_at(r, g->commit_seen) != g->commit_seen_term)
        group_say(s, "leads term %llu without the committed entry %llu of term %llu", (unsigned long long)term,
                  (unsigned long long)g->commit_seen, (unsigned long long)g->commit_seen_term);
    check_leases(s, term);
}

static void note_leader(struct seat *s, u64 term)
{
    struct group *g = s->group;

    if (term >= g->leader_cap) {
        u64 cap = (term + 1) * 2;
        g->leaders = mem_resize_array(g->leaders, cap, sizeof *g->leaders);
        memset(g->leaders + g->leader_cap, 0, (cap - g->leader_cap) * sizeof *g->leaders);
        g->leader_cap = cap;
    }
    if (!g->leaders[term]) check_new_leader(s, term);
    if (g->leaders[term] && g->leaders[term] != s->replica)
        group_say(s, "leads term %llu, and so does replica %u", (unsigned long long)term, g->leaders[term]);
    g->leaders[term] = s->replica;
}

/* ---- what it believes ---- */

static struct believed *believed_of(struct seat *s, replica_id id)
{
    struct believed *free = NULL;

    for (u32 i = 0; i < ARRAY_LEN(s->believed); i++) {
        if (s->believed[i].id == id) return &s->believed[i];
        if (!s->believed[i].id && !free) free = &s->believed[i];
    }
    if (!free) free = &s->believed[id % ARRAY_LEN(s->believed)];
    *free = (struct believed){.id = id};
    return free;
}

/* What a leader believes a replica to hold, it holds: unless that one has gone on to a newer term or is down. */
static void check_match(struct seat *s, replica_id id, u64 term)
{
    struct raft_peer_status status;
    const struct raft *r = seat_raft(s);

    if (id == s->replica || !raft_peer_status(r, id, &status)) return;
    struct believed *b = believed_of(s, id);
    bool news = s->led_term != term || status.match > b->match;
    b->match = status.match;
    const struct seat *peer = group_seat_known(s->group, id);
    if (!news || !status.match || status.impaired || !peer || !peer->on || raft_term(seat_raft(peer)) != term) return;
    u64 at = raft_term_at(r, status.match);
    if (at && !seat_holds(peer, status.match, at))
        group_say(s, "leader of term %llu, takes replica %u to hold entry %llu of term %llu, but it does not",
                  (unsigned long long)term, id, (unsigned long long)status.match, (unsigned long long)at);
}

void group_leading(struct seat *s)
{
    const struct raft *r = seat_raft(s);
    const struct raft_config *c = raft_config(r);
    u64 term = raft_term(r), commit = raft_commit(r);

    note_leader(s, term);
    /* Copies of an entry of an earlier term prove nothing: a leader commits by counting only in its own (§3.6.2). */
    if (s->led_term == term && commit > s->commit && raft_term_at(r, commit) && raft_term_at(r, commit) != term)
        group_say(s, "leader of term %llu, commits index %llu of term %llu by counting", (unsigned long long)term,
                  (unsigned long long)commit, (unsigned long long)raft_term_at(r, commit));
    for (u32 i = 0; i < c->count; i++) check_match(s, c->members[i].id, term);
}

/* ---- for the faults ---- */

struct seat *group_leader(const struct group *g)
{
    struct seat *leader = NULL;

    for (u32 i = 0; i < g->seat_count; i++) {
        struct seat *s = g->seats[i];
        if (!s->on || s->gone || !raft_is_leader(seat_raft(s))) continue;
        if (!leader || raft_term(seat_raft(s)) >= raft_term(seat_raft(leader))) leader = s;
    }
    return leader;
}

u32 groups_leader(const struct world *w, u64 part)
{
    const struct group *g = groups_known(w->groups, part);
    const struct seat *leader = g ? group_leader(g) : NULL;

    return leader ? leader->host : 0;
}

u32 groups_any_leader(struct world *w)
{
    struct prng *p = world_chance(w, CHANCE_FAULT);

    if (w->groups->count == 0) return 0;
    u64 part = chance_one_in(p, 3) ? PART_CORE : w->groups->items[prng_below(p, w->groups->count)]->part;
    return groups_leader(w, part);
}

/* Of every member that the newest leader's configuration names, on other hosts: whole, running, nothing under way. */
static bool group_can_do_without(const struct group *g, const struct host *h)
{
    const struct seat *leader = group_leader(g);

    if (!leader) {
        for (u32 i = 0; i < g->seat_count; i++)
            if (g->seats[i]->on || (g->seats[i]->host && !g->seats[i]->gone)) return false;
        return true; /* it was dropped */
    }
    const struct raft *r = seat_raft(leader);
    const struct raft_config *c = raft_config(r);
    u32 voters = 0, good = 0;
    if (raft_config_is_joint(c) || raft_config_index(r) > raft_commit(r)) return false;
    for (u32 i = 0; i < c->count; i++) {
        const struct raft_member *m = &c->members[i];
        const struct seat *s = group_seat_known(g, m->id);
        if (!(m->roles & RAFT_VOTER)) continue;
        voters++;
        if (!s || (h && s->host == h->id)) continue;
        if (!s->on || s->gone || !s->whole || part_is_damaged(s->part)) return false;
        if (node_is_stopping(seat_host(s)->node)) return false; /* if its disk hangs, it ends like a crash */
        good++;
    }
    return 2 * good > voters;
}

bool groups_can_do_without(const struct world *w, const struct host *h)
{
    for (u32 i = 0; i < w->groups->count; i++)
        if (!group_can_do_without(w->groups->items[i], h)) return false;
    return w->groups->count > 0;
}
