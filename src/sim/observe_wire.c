/* What nodes promise each other on the wire: votes, acknowledgements, silence for a leader's lease. Frames pass
 * here as they leave, before anything befalls them. */
#include "sim/observe_internal.h"

#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "sim/faults.h"
#include "sim/groups.h"
#include "sim/net.h"
#include "server/parts.h"

#define LATENCY_MAX (2 * NANOS_SEC) /* of a frame that nothing holds back */

enum { /* docs/formats/peer.md */
    AT_LEN = 0,
    AT_TYPE = 4,
    AT_PART = 16,
    AT_SRC = 24, /* node, and behind it its boot */
    AT_DST = 32,
    AT_REQ = 40,
    AT_KIND = 64,
    AT_FLAGS = 65,
    AT_FROM = 72,
    AT_TO = 76,
    AT_TERM = 80,
    AT_PREV = 88,
    AT_MATCH = 120,
    AT_SENT_AT = 152,
};
enum { FLAG_PRE = 1, FLAG_TRANSFER = 2, FLAG_GRANTED = 4, FLAG_REJECTED = 8, FLAG_IMPAIRED = 16 };

/* A majority has voted: every one of them was free to, so nobody may answer reads by a lease any more. */
static void check_leases(struct world *w, node_id candidate, u64 term, nanos at)
{
    if (faults_skew_clocks(w)) return;
    for (u32 i = 0; i < w->nodes; i++) {
        struct host *h = w->hosts[i];
        if (!h->up || !h->node || h->in_turn || h->id == candidate) continue;
        struct raft *r = part_raft(node_part(h->node));
        if (raft_term(r) >= term || !raft_lease_holds(r, clocks_mono(&h->clocks, at))) continue;
        world_violation(w, "node %u is elected in term %llu while the lease of node %u in term %llu holds", candidate,
                        (unsigned long long)term, h->id, (unsigned long long)raft_term(r));
    }
}

static void note_ballot(struct world *w, node_id from, node_id to, u64 term, nanos at)
{
    const struct promise *m = &w->observer->promises[from];
    struct ballot *b = observe_ballot(w->observer, term);
    bool elected = is_majority(w, b->voters[to]);

    b->voters[to] |= (u8)BIT(from);
    if (!b->by_transfer && term > m->silent_term && at < m->silent_until && !faults_skew_clocks(w))
        world_violation(w, "node %u votes for %u in term %llu, %llu us before the end of its silence for leader %u of term %llu",
                        from, to, (unsigned long long)term, (unsigned long long)((m->silent_until - at) / 1000),
                        m->silent_for, (unsigned long long)m->silent_term);
    if (!elected && is_majority(w, b->voters[to])) check_leases(w, to, term, at);
}

static void note_vote(struct world *w, node_id from, node_id to, u64 term, nanos at)
{
    struct promise *m = &w->observer->promises[from];

    if (term >= m->vote_cap) {
        u64 cap = (term + 1) * 2;
        m->votes = mem_resize_array(m->votes, cap, sizeof *m->votes);
        memset(m->votes + m->vote_cap, 0, cap - m->vote_cap);
        m->vote_cap = cap;
    }
    if (m->votes[term] && m->votes[term] != to)
        world_violation(w, "node %u votes for %u and for %u in term %llu", from, m->votes[term], to,
                        (unsigned long long)term);
    m->votes[term] = (u8)to;
    m->said_term = u64_max(m->said_term, term);
    note_ballot(w, from, to, term, at);
}

/* Its answer to the same candidate cannot change while its log is no newer: the first one may have been lost. A
 * request of an earlier term that comes late is refused in the term of today: that proves nothing. */
static void check_refusal(struct world *w, node_id from, node_id to, u64 term, nanos at)
{
    const struct promise *m = &w->observer->promises[from];
    struct part *p = node_part(w->hosts[from - 1]->node);
    struct log_pos last = raft_last(part_raft(p));
    nanos late = CHANCE_EXPONENTIAL_MAX * net_character(w->net)->frame_delay_mean;

    if (term >= m->vote_cap || m->votes[term] != to || part_is_damaged(p)) return;
    for (u64 t = term; t-- > 0;) {
        nanos asked = observe_ballot(w->observer, t)->asked_at[to];
        if (asked && asked + late + LATENCY_MAX > at) return;
    }
    struct log_pos asked = observe_ballot(w->observer, term)->asked_with[to];
    if (last.term < asked.term || (last.term == asked.term && last.index <= asked.index))
        world_violation(w, "node %u refuses node %u the vote that it gave it in term %llu", from, to,
                        (unsigned long long)term);
}

/* An acknowledgement is also a promise: to elect nobody else for a lease, counted from when the leader sent what
 * it answers, by a clock as slow as allowed. */
static void note_silence(struct world *w, node_id from, node_id to, u64 term, nanos sent_at)
{
    struct promise *m = &w->observer->promises[from];
    const struct host *leader = w->hosts[to - 1];
    const struct node_config *c = &leader->config;
    nanos lease = c->lease * (1000000 - c->drift_ppm) / (1000000 + c->drift_ppm);
    nanos until = clocks_when(&leader->clocks, sent_at + lease);

    if (until <= m->silent_until) return;
    m->silent_until = until;
    m->silent_term = term;
    m->silent_for = to;
}

/* While leader and follower are in the same term, what the follower acknowledges is in the leader's log. */
static void check_acknowledged(struct world *w, node_id from, node_id to, u64 term, u64 match)
{
    const struct host *follower = w->hosts[from - 1], *leader = w->hosts[to - 1];

    if (!leader->up || !leader->node || leader->in_turn) return;
    const struct raft *f = part_raft(node_part(follower->node)), *l = part_raft(node_part(leader->node));
    u64 here = raft_term_at(f, match), there = raft_term_at(l, match);
    if (!raft_is_leader(l) || raft_term(l) != term || raft_term(f) != term || match <= raft_first(f).index) return;
    if (here == 0 || (there && here != there))
        world_violation(w, "node %u acknowledges entry %llu of term %llu to node %u, leader of term %llu, where it is of "
                        "term %llu", from, (unsigned long long)match, (unsigned long long)here, to,
                        (unsigned long long)term, (unsigned long long)there);
}

static void note_acknowledgement(struct world *w, node_id from, node_id to, u64 term, const u8 *f)
{
    struct promise *m = &w->observer->promises[from];
    u64 match = get_u64(f + AT_MATCH);

    if (!(f[AT_FLAGS] & FLAG_IMPAIRED)) note_silence(w, from, to, term, get_u64(f + AT_SENT_AT));
    if (match == 0) return;
    check_acknowledged(w, from, to, term, match);
    m->said_term = u64_max(m->said_term, term);
    if (term > m->acked_term || (term == m->acked_term && match > m->acked)) m->acked = match;
    m->acked_term = u64_max(m->acked_term, term);
}

/* Who campaigns has asked a majority before whether it would vote for it (§9.6): it does not raise the term in
 * vain. Unless its leader told it to. */
static void note_campaign(struct world *w, node_id from, u64 term, struct log_pos log, u8 flags, nanos at)
{
    struct ballot *b = observe_ballot(w->observer, term);

    b->by_transfer |= (flags & FLAG_TRANSFER) != 0;
    if (!b->asked_at[from]) b->asked_at[from] = at;
    b->asked_with[from] = log;
    if (!(flags & FLAG_TRANSFER) && !is_majority(w, b->hopes[from] | (u8)BIT(from)))
        world_violation(w, "node %u campaigns in term %llu, but no majority has said that it would vote for it", from,
                        (unsigned long long)term);
    note_vote(w, from, from, term, at);
}

static void note_raft_frame(struct world *w, const u8 *f, nanos at)
{
    node_id from = get_u32(f + AT_FROM), to = get_u32(f + AT_TO);
    u64 term = get_u64(f + AT_TERM);
    u8 flags = f[AT_FLAGS];

    if (from == 0 || from > w->nodes || to == 0 || to > w->nodes || !w->hosts[from - 1]->node) return;
    struct log_pos prev = {get_u64(f + AT_PREV), get_u64(f + AT_PREV + 8)};
    if (f[AT_KIND] == RAFT_VOTE && !(flags & FLAG_PRE)) note_campaign(w, from, term, prev, flags, at);
    if (f[AT_KIND] == RAFT_VOTE_REPLY && (flags & FLAG_PRE) && (flags & FLAG_GRANTED))
        observe_ballot(w->observer, term)->hopes[to] |= (u8)BIT(from);
    if (f[AT_KIND] == RAFT_VOTE_REPLY && !(flags & FLAG_PRE)) {
        if (flags & FLAG_GRANTED)
            note_vote(w, from, to, term, at);
        else
            check_refusal(w, from, to, term, at);
    }
    if (f[AT_KIND] == RAFT_APPEND_REPLY && !(flags & FLAG_REJECTED)) note_acknowledgement(w, from, to, term, f);
}

/* ---- requests and answers ---- */

/* Node, boot, partition and number; `side` is the header's place of the node that asked. */
static u64 asked_key(const u8 *f, u32 side)
{
    u64 who = hash_mix(hash_mix(get_u32(f + side), get_u32(f + side + 4)), get_u64(f + AT_PART));
    return hash_mix(who, get_u64(f + AT_REQ)) | 1;
}

static u64 *asked_find(const struct asked *a, u64 key)
{
    u64 at = key >> 1 & (a->cap - 1);
    while (a->keys[at] && a->keys[at] != key) at = (at + 1) & (a->cap - 1);
    return &a->keys[at];
}

static void note_asked(struct asked *a, u64 key)
{
    if (2 * (a->count + 1) > a->cap) {
        struct asked grown = {.cap = a->cap ? a->cap * 2 : 4096, .count = a->count};
        grown.keys = mem_zalloc_array(grown.cap, sizeof *grown.keys);
        for (u64 i = 0; i < a->cap; i++)
            if (a->keys[i]) *asked_find(&grown, a->keys[i]) = a->keys[i];
        mem_free(a->keys);
        *a = grown;
    }
    u64 *place = asked_find(a, key);
    a->count += *place == 0;
    *place = key;
}

static void check_answer(struct world *w, const u8 *f)
{
    const struct asked *a = &w->observer->asked;

    if (a->cap == 0 || *asked_find(a, asked_key(f, AT_DST)) == 0)
        world_violation(w, "node %u answers node %u in its life %u, which never asked that", get_u32(f + AT_SRC),
                        get_u32(f + AT_DST), get_u32(f + AT_DST + 4));
}

void observe_frames(struct world *w, nanos at, str frames)
{
    while (frames.len >= FRAME_HEADER_BYTES) {
        size_t len = get_u32(frames.at + AT_LEN);
        if (len < FRAME_HEADER_BYTES || len > frames.len) return;
        u16 type = get_u16(frames.at + AT_TYPE);
        bool watched = !w->cluster && get_u64(frames.at + AT_PART) == PART_DEFAULT; /* the group whose members are looked at */
        if (w->cluster && type == FRAME_RAFT && len >= AT_SENT_AT + 8) groups_raft_frame(w, frames.at, at);
        if (watched && type == FRAME_RAFT && len >= AT_SENT_AT + 8) note_raft_frame(w, frames.at, at);
        if (type == FRAME_FORWARD) note_asked(&w->observer->asked, asked_key(frames.at, AT_SRC));
        if (type == FRAME_FORWARD_REPLY) check_answer(w, frames.at);
        if (watched && type == FRAME_SNAPSHOT_CHUNK) faults_on_chunk(w, get_u32(frames.at + AT_SRC), get_u32(frames.at + AT_DST));
        frames = str_from(frames.at + len, frames.len - len);
    }
}

