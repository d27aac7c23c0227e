#include "sim/observe_internal.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "part/part.h"
#include "part/session.h"
#include "sim/host.h"
#include "sim/members.h"
#include "sim/groups.h"
#include "server/parts.h"
#include "sim/disk.h"

#define DIGEST_EVERY 256      /* entries */
#define CHECK_CORE_EVERY 4    /* turns */
#define UNSAVED_CAMPAIGNS_MAX 4
#define TURNS_PER_SEC_MAX 100000

struct observer *observer_new(struct world *w)
{
    struct observer *o = mem_zalloc(sizeof *o);
    o->world = w;
    return o;
}

void observer_free(struct observer *o)
{
    if (!o) return;
    mem_free(o->entries);
    mem_free(o->digests);
    mem_free(o->ballots);
    mem_free(o->asked.keys);
    for (u32 i = 0; i <= WORLD_NODES_MAX; i++) {
        mem_free(o->promises[i].votes);
        mem_free(o->promises[i].born);
    }
    buf_done(&o->bytes);
    mem_free(o);
}

/* ---- entries ---- */

static void note_digest(struct observer *o, struct host *h, u64 index)
{
    u64 place = index / DIGEST_EVERY, digest;

    if (place >= o->digest_cap) {
        u64 cap = (place + 1) * 2;
        o->digests = mem_resize_array(o->digests, cap, sizeof *o->digests);
        memset(o->digests + o->digest_cap, 0, (cap - o->digest_cap) * sizeof *o->digests);
        o->digest_cap = cap;
    }
    if (kv_digest(part_kv(node_part(h->node)), &digest)) return; /* the node stops by itself */
    struct digest *d = &o->digests[place];
    if (d->node && d->value != digest)
        world_violation(o->world, "nodes %u and %u differ in their state at applied index %llu", d->node, h->id,
                        (unsigned long long)index);
    *d = (struct digest){.value = digest, .node = h->id};
    world_trace(o->world, digest);
}

static void on_apply(void *context, u64 index, u64 term, str entry, str reply)
{
    struct host *h = context;
    struct observer *o = h->world->observer;
    struct watched *n = &o->nodes[h->id];
    struct logged seen = {.term = term,
                             .entry_hash = hash64(entry.at, entry.len),
                             .reply_hash = hash64(reply.at, reply.len),
                             .by = h->id,
                             .at = o->bytes.len,
                             .bytes = entry.len};
    unsigned long long at = index;

    if (n->applied && index != n->applied + 1 && index <= n->applied)
        world_violation(o->world, "node %u applies index %llu again", h->id, at);
    n->applied = index;
    if (index > o->count + 1) {
        world_violation(o->world, "node %u applies index %llu, but nobody applied %llu", h->id, at,
                        (unsigned long long)o->count + 1);
        return;
    }
    if (index == o->count + 1) {
        if (o->count == o->cap) {
            o->cap = o->cap ? o->cap * 2 : 1024;
            o->entries = mem_resize_array(o->entries, o->cap, sizeof *o->entries);
        }
        buf_append_str(&o->bytes, entry);
        o->entries[o->count++] = seen;
    } else {
        const struct logged *c = &o->entries[index - 1];
        if (c->term != term || c->entry_hash != seen.entry_hash)
            world_violation(o->world, "nodes %u and %u applied different entries at index %llu (terms %llu, %llu)",
                            c->by, h->id, at, (unsigned long long)c->term, (unsigned long long)term);
        else if (c->reply_hash != seen.reply_hash)
            world_violation(o->world, "nodes %u and %u answered the entry at index %llu differently", c->by, h->id,
                            at);
    }
    if (index % DIGEST_EVERY == 0) note_digest(o, h, index);
}

/* ---- turns ---- */

static void forget_promise(struct promise *m)
{
    mem_free(m->votes);
    *m = (struct promise){.lost = u64_max(m->lost, m->durable),
                          .lost_term = u64_max(m->lost_term, m->durable_term),
                          .born = m->born};
}

static void check_promise(struct world *w, struct host *h)
{
    struct promise *m = &w->observer->promises[h->id];
    struct part *p = node_part(h->node);
    struct raft *r = part_raft(p);
    const struct raft_hard_state *hs = raft_hard_state(r);
    u64 term = raft_term_at(r, m->durable);
    bool known = m->durable > raft_first(r).index; /* else: in the store, behind the marker */

    if (part_is_damaged(p)) { /* it says itself that it does not know what it lost, and votes no more */
        if (m->whole && (m->durable || m->term) && !disk_is_doubtful(h->disk))
            world_violation(w, "node %u finds its log damaged after a crash, though its disk has kept everything", h->id);
        forget_promise(m);
        return;
    }
    if (known && term != m->durable_term)
        world_violation(w, "node %u lost entry %llu of term %llu in a crash, though it was durable (now: term %llu)",
                        h->id, (unsigned long long)m->durable, (unsigned long long)m->durable_term,
                        (unsigned long long)term);
    if (hs->term < m->term || (hs->term == m->term && m->vote && hs->vote != m->vote))
        world_violation(w, "node %u forgot in a crash its term %llu and vote for %u: now %llu and %u", h->id,
                        (unsigned long long)m->term, m->vote, (unsigned long long)hs->term, hs->vote);
    if (hs->term < m->said_term)
        world_violation(w, "node %u spoke in term %llu and after a crash is in term %llu", h->id,
                        (unsigned long long)m->said_term, (unsigned long long)hs->term);
    if (hs->term == m->acked_term && raft_last(r).index < m->acked)
        world_violation(w, "node %u acknowledged entry %llu in term %llu, and after a crash its log ends at %llu",
                        h->id, (unsigned long long)m->acked, (unsigned long long)m->acked_term,
                        (unsigned long long)raft_last(r).index);
    m->seen_term = 0;
}

static void note_promise(struct observer *o, struct host *h)
{
    struct promise *m = &o->promises[h->id];
    const struct raft *r = part_raft(node_part(h->node));
    const struct raft_hard_state *hs = raft_hard_state(r);
    const struct wal *wal = node_wal(h->node);

    if (raft_durable(r) > raft_first(r).index) {
        m->durable = raft_durable(r);
        m->durable_term = raft_term_at(r, m->durable);
    }
    if (m->seen_term && wal_durable(wal) >= m->seen_lsn) {
        m->term = m->seen_term;
        m->vote = m->seen_vote;
        m->seen_term = 0;
    }
    if (!m->seen_term && (hs->term != m->term || hs->vote != m->vote)) {
        m->seen_term = hs->term;
        m->seen_vote = hs->vote;
        m->seen_lsn = wal_staged(wal);
    }
}

/* What a node had promised before it lost its disk, it does not know: it may not vote until it is refilled. */
static void check_emptied(struct world *w, struct host *h)
{
    struct promise *m = &w->observer->promises[h->id];

    if (m->emptied && members_are_fixed(w) && !part_is_damaged(node_part(h->node)))
        world_violation(w, "node %u has lost its disk and would vote as if it had not", h->id);
    m->emptied = false;
}

/* What a start found is durable. The log goes on at a place that it may have been at before. */
static void note_recovered(struct promise *m, const struct raft *r)
{
    mem_free(m->born);
    m->born = mem_zalloc_array(BORN_MAX, sizeof *m->born);
    for (u64 i = raft_first(r).index + 1; i <= raft_last(r).index; i++)
        m->born[i % BORN_MAX] = (struct born){.index = i, .term = raft_term_at(r, i)};
}

void observe_start(struct world *w, struct host *h)
{
    if (w->cluster) {
        groups_start(w, h);
        return;
    }
    struct part *p = node_part(h->node);
    const struct raft *r = part_raft(p);

    w->observer->nodes[h->id] = (struct watched){.turns_since = w->now,
                                                 .durable = raft_last(r).index,
                                                 .durable_term = raft_last(r).term,
                                                 .staged = wal_staged(node_wal(h->node))};
    part_observe(p, on_apply, h);
    check_promise(w, h);
    check_emptied(w, h);
    note_recovered(&w->observer->promises[h->id], r);
}

/* ---- durability ---- */

/* No entry may count as durable before the write that holds it has ended. */
static void check_durable(struct world *w, struct host *h)
{
    struct watched *n = &w->observer->nodes[h->id];
    struct promise *m = &w->observer->promises[h->id];
    const struct raft *r = part_raft(node_part(h->node));
    const struct wal *wal = node_wal(h->node);
    u64 last = raft_last(r).index, durable = raft_durable(r), from = n->durable;

    if (raft_term_at(r, from) != n->durable_term) from = n->commit; /* what followed it may be another history */
    from = u64_max(from, raft_first(r).index);
    for (u64 i = from + 1; i <= last; i++) {
        struct born *b = &m->born[i % BORN_MAX];
        u64 term = raft_term_at(r, i);
        if (b->index != i || b->term != term) *b = (struct born){.index = i, .term = term, .after = n->staged};
        if (i <= durable && b->after && wal_durable(wal) <= b->after)
            world_violation(w, "node %u counts entry %llu of term %llu as durable before its write has ended", h->id,
                            (unsigned long long)i, (unsigned long long)term);
    }
    n->durable = durable;
    n->durable_term = raft_term_at(r, durable);
    n->staged = wal_staged(wal);
}

/* ---- turns ---- */

/* A replica whose disk does not answer cannot be elected: it must not raise its term again and again. */
static void check_campaign(struct world *w, struct host *h)
{
    struct watched *n = &w->observer->nodes[h->id];
    const struct raft *r = part_raft(node_part(h->node));
    const struct wal *wal = node_wal(h->node);
    u64 term = raft_term(r);

    if (term == n->term) return;
    bool saved = wal_durable(wal) >= n->term_staged;
    n->unsaved_campaigns = !saved && raft_role(r) == RAFT_CANDIDATE ? n->unsaved_campaigns + 1 : 0;
    n->term_staged = wal_staged(wal);
    if (n->unsaved_campaigns == UNSAVED_CAMPAIGNS_MAX)
        world_violation(w, "node %u campaigns again and again, in term %llu now, while none of its terms is on disk",
                        h->id, (unsigned long long)term);
}

/* What follows a snapshot is not older than it. */
static void check_base(struct world *w, struct host *h)
{
    struct raft *r = part_raft(node_part(h->node));
    struct log_pos first = raft_first(r);

    if (raft_last(r).index > first.index && raft_term_at(r, first.index + 1) < first.term)
        world_violation(w, "node %u has an entry of term %llu behind its snapshot of term %llu", h->id,
                        (unsigned long long)raft_term_at(r, first.index + 1), (unsigned long long)first.term);
}

static void count_turn(struct observer *o, struct host *h, struct watched *n)
{
    if (o->world->now >= n->turns_since + NANOS_SEC) {
        n->turns_since = o->world->now;
        n->turns = 0;
    }
    if (++n->turns == TURNS_PER_SEC_MAX)
        world_violation(o->world, "node %u spins: %u turns within a second", h->id, TURNS_PER_SEC_MAX);
}

static bool node_holds(const struct world *w, u32 node, u64 index, u64 term)
{
    return observe_holds(w, w->hosts[node - 1], index, term);
}

static void check_commit(struct world *w, struct host *h, u64 commit);

void observe_turn(struct world *w, struct host *h)
{
    if (w->cluster) {
        groups_turn(w, h);
        return;
    }
    struct observer *o = w->observer;
    struct watched *n = &o->nodes[h->id];
    const struct part *p = node_part(h->node);
    struct raft *r = part_raft(node_part(h->node));
    u64 term = raft_term(r), commit = raft_commit(r), applied = part_applied(p);

    count_turn(o, h, n);
    if (raft_is_leader(r)) observe_leading(o, h);
    if (term < n->term)
        world_violation(w, "node %u: its term goes back from %llu to %llu", h->id, (unsigned long long)n->term,
                        (unsigned long long)term);
    if (commit < n->commit)
        world_violation(w, "node %u: its commit index goes back from %llu to %llu", h->id,
                        (unsigned long long)n->commit, (unsigned long long)commit);
    if (applied > commit || applied > raft_durable(r))
        world_violation(w, "node %u applied %llu, but commit is %llu and durable %llu", h->id,
                        (unsigned long long)applied, (unsigned long long)commit, (unsigned long long)raft_durable(r));
    if (part_marker(p) > applied)
        world_violation(w, "node %u: its marker %llu is beyond applied %llu", h->id,
                        (unsigned long long)part_marker(p), (unsigned long long)applied);
    check_durable(w, h);
    note_promise(o, h);
    check_commit(w, h, commit);
    o->promises[h->id].whole = !part_is_damaged(p);
    if (o->promises[h->id].whole) disk_trust(h->disk);
    check_campaign(w, h);
    check_base(w, h);
    n->led_term = raft_is_leader(r) ? term : 0;
    n->term = term;
    n->commit = commit;
    n->applied = u64_max(n->applied, applied);
    if (n->turns % CHECK_CORE_EVERY == 0) raft_check(r);
}

void observe_end_of_life(struct world *w, struct host *h)
{
    if (w->cluster) groups_end_of_life(w, h);
    w->observer->nodes[h->id] = (struct watched){0};
}

void observe_wiped(struct world *w, struct host *h)
{
    struct promise *m = &w->observer->promises[h->id];
    bool promised = m->durable || m->term || m->said_term;

    if (w->cluster) {
        groups_wiped(w, h);
        return;
    }
    forget_promise(m);
    m->emptied = promised;
}

/* ---- commitment ---- */

bool observe_holds(const struct world *w, const struct host *h, u64 index, u64 term)
{
    const struct promise *m = &w->observer->promises[h->id];

    if (m->lost >= index && m->lost_term >= term) return true;
    if (!h->up || !h->node) return m->durable >= index && m->durable_term >= term;
    struct part *p = node_part(h->node);
    struct raft *r = part_raft(p);
    if (part_is_damaged(p)) return false;
    if (raft_first(r).index >= index) return true; /* in its store */
    return raft_durable(r) >= index && raft_term_at(r, index) == term;
}

/* The first node to know an index as committed: a majority must have it on disk. */
static void check_commit(struct world *w, struct host *h, u64 commit)
{
    u64 term = raft_term_at(part_raft(node_part(h->node)), commit);

    if (commit <= w->observer->commit_seen) return;
    w->observer->commit_seen = commit;
    w->observer->commit_seen_term = term;
    if (term == 0) return;
    if (!members_quorum_holds(w, h->id, commit, term, node_holds))
        world_violation(w, "node %u takes index %llu of term %llu for committed, but no majority of disks holds it",
                        h->id, (unsigned long long)commit, (unsigned long long)term);
}

bool observe_others_are_damaged(const struct world *w, u32 but)
{
    if (w->cluster) return !groups_can_do_without(w, w->hosts[but - 1]);
    for (u32 id = 1; id <= w->nodes; id++)
        if (id != but && !w->observer->promises[id].whole) return true;
    return false;
}

u32 observe_leader(const struct world *w)
{
    u32 leader = 0;
    u64 term = 0;

    if (w->cluster) return groups_leader(w, PART_DEFAULT);
    for (u32 i = 0; i < w->nodes; i++) {
        const struct host *h = w->hosts[i];
        if (!h->up || !h->node) continue;
        struct raft *r = part_raft(node_part(h->node));
        if (!raft_is_leader(r) || raft_term(r) < term) continue;
        term = raft_term(r);
        leader = h->id;
    }
    return leader;
}

u64 observe_term_max(const struct world *w)
{
    u64 term = 0;

    for (u32 i = 0; i < w->nodes; i++) {
        const struct promise *m = &w->observer->promises[i + 1];
        const struct host *h = w->hosts[i];
        if (h->up && h->node) term = u64_max(term, raft_term(part_raft(node_part(h->node))));
        term = u64_max(term, u64_max(m->term, m->seen_term));
    }
    return term;
}

u64 observe_commit(const struct world *w) { return w->observer->count; }

bool observe_converged(const struct world *w)
{
    char why[256];

    if (w->cluster) return groups_converged(w, why, sizeof why);
    for (u32 i = 0; i < w->nodes; i++) {
        const struct host *h = w->hosts[i];
        if (!h->up || !h->node || part_applied(node_part(h->node)) != w->observer->count) return false;
    }
    return observe_leader(w) != 0;
}
