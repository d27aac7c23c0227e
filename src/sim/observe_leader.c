/* Who leads, by what right, and what it believes of the others. */
#include "sim/observe_internal.h"

#include "base/mem.h"

#define LEADS_ALONE 3 /* election timeouts */

struct ballot *observe_ballot(struct observer *o, u64 term)
{
    if (term >= o->ballot_cap) {
        u64 cap = (term + 1) * 2;
        o->ballots = mem_resize_array(o->ballots, cap, sizeof *o->ballots);
        memset(o->ballots + o->ballot_cap, 0, (cap - o->ballot_cap) * sizeof *o->ballots);
        o->ballot_cap = cap;
    }
    return &o->ballots[term];
}

static void check_new_leader(struct observer *o, struct host *h, u64 term)
{
    const struct raft *r = part_raft(node_part(h->node));
    u8 voters = (u8)(observe_ballot(o, term)->voters[h->id] | BIT(h->id));

    world_say(o->world, h, "leads term %llu", (unsigned long long)term);
    if (!is_majority(o->world, voters))
        world_violation(o->world, "node %u leads term %llu with %d votes", h->id, (unsigned long long)term,
                        __builtin_popcount(voters));
    if (o->commit_seen_term && o->commit_seen_term < term && raft_first(r).index < o->commit_seen &&
        raft_term_at(r, o->commit_seen) != o->commit_seen_term)
        world_violation(o->world, "node %u leads term %llu without the committed entry %llu of term %llu", h->id,
                        (unsigned long long)term, (unsigned long long)o->commit_seen,
                        (unsigned long long)o->commit_seen_term);
}

static void note_leader(struct observer *o, struct host *h, u64 term)
{
    struct ballot *b = observe_ballot(o, term);

    if (!b->leader) check_new_leader(o, h, term);
    if (b->leader && b->leader != h->id)
        world_violation(o->world, "nodes %u and %u both lead term %llu", b->leader, h->id, (unsigned long long)term);
    b->leader = h->id;
}

/* Copies of an entry of an earlier term prove nothing: a leader commits by counting only in its own (§3.6.2). */
static void check_leaders_commit(struct observer *o, struct host *h, u64 term, u64 commit)
{
    const struct watched *n = &o->nodes[h->id];
    const struct raft *r = part_raft(node_part(h->node));

    if (n->led_term == term && commit > n->commit && raft_term_at(r, commit) != term)
        world_violation(o->world, "node %u, leader of term %llu, commits index %llu of term %llu by counting", h->id,
                        (unsigned long long)term, (unsigned long long)commit,
                        (unsigned long long)raft_term_at(r, commit));
}

/* What a leader believes a peer to hold, it holds: unless that peer has gone on to a newer term or is down. */
static void check_matches(struct observer *o, struct host *h, u64 term)
{
    struct world *w = o->world;
    struct watched *n = &o->nodes[h->id];
    const struct raft *r = part_raft(node_part(h->node));
    bool same = n->led_term == term;

    for (u32 i = 0; i < w->nodes; i++) {
        const struct host *peer = w->hosts[i];
        struct raft_peer_status s;
        if (peer == h || !raft_peer_status(r, peer->id, &s)) continue;
        if (!same) n->led_life[peer->id] = peer->boot;
        bool in_one_life = n->led_life[peer->id] == peer->boot && !s.impaired;
        if (same && in_one_life && s.match < n->match[peer->id])
            world_violation(w, "node %u, leader of term %llu, forgets that node %u has entries up to %llu: now %llu",
                            h->id, (unsigned long long)term, peer->id, (unsigned long long)n->match[peer->id],
                            (unsigned long long)s.match);
        bool news = !same || s.match > n->match[peer->id];
        n->match[peer->id] = s.match;
        if (!news || s.impaired || !peer->up || !peer->node || raft_term(part_raft(node_part(peer->node))) != term)
            continue;
        u64 at = raft_term_at(r, s.match);
        if (at && !observe_holds(w, peer, s.match, at))
            world_violation(w, "node %u, leader of term %llu, takes node %u to hold entry %llu of term %llu, but it does not",
                            h->id, (unsigned long long)term, peer->id, (unsigned long long)s.match,
                            (unsigned long long)at);
    }
}

/* §6.2: who leads hears of a majority. */
static void check_heard(struct observer *o, struct host *h, u64 term)
{
    struct watched *n = &o->nodes[h->id];
    const struct raft *r = part_raft(node_part(h->node));
    nanos now = node_now(h->node), patience = LEADS_ALONE * h->config.election_timeout_max;
    u8 heard = (u8)BIT(h->id);

    if (n->led_term != term) {
        n->led_since = now;
        n->alone_since = 0;
    }
    for (u32 i = 0; i < o->world->nodes; i++) {
        struct raft_peer_status s;
        if (raft_peer_status(r, i + 1, &s) && !s.impaired && s.heard_at + patience > now) heard |= (u8)BIT(i + 1);
    }
    if (is_majority(o->world, heard) || n->led_since + patience > now) n->alone_since = 0;
    else if (n->alone_since == 0) n->alone_since = now;
    if (n->alone_since && n->alone_since + h->config.election_timeout_min <= now)
        world_violation(o->world, "node %u still leads term %llu, though no majority has answered it for %llu ms", h->id,
                        (unsigned long long)term, (unsigned long long)(patience / NANOS_MS));
}

void observe_leading(struct observer *o, struct host *h)
{
    const struct raft *r = part_raft(node_part(h->node));
    u64 term = raft_term(r);

    note_leader(o, h, term);
    check_leaders_commit(o, h, term, raft_commit(r));
    check_matches(o, h, term);
    check_heard(o, h, term);
}
