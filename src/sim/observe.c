#include "sim/observe.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "part/part.h"
#include "part/session.h"
#include "sim/host.h"
#include "sim/members.h"

#define DIGEST_EVERY 256      /* entries */
#define CHECK_CORE_EVERY 32   /* turns */
#define TURNS_PER_SEC_MAX 100000

struct committed { /* what the first node to apply an index saw there */
    u64 term, entry_hash, reply_hash;
    u32 node;
    size_t at, bytes; /* of the entry, in observer.bytes */
};

struct digest {
    u64 value;
    u32 node; /* 0: not known yet */
};

struct watched { /* one node, as of its latest turn */
    u64 term, commit, applied;
    u32 turns;
    nanos turns_since;
};

/* What a node's disk must still hold after a crash: entries that it counted as durable, and the term and vote
 * whose frames the log called durable. It outlives the node. */
struct promise {
    u64 durable, durable_term; /* the entry */
    u64 term;
    node_id vote;
    u64 seen_term; /* at an earlier turn: a promise once the log has reached seen_lsn */
    node_id seen_vote;
    u64 seen_lsn;
    u64 said_term;      /* the highest term in which it gave a vote, an acknowledgement or led, on the wire */
    u64 acked_term, acked; /* its latest acknowledgement on the wire: entries <= acked, in that term */
    u64 lost, lost_term; /* an entry it held before it lost its disk or part of it: it may have said so in time */
    bool whole;         /* at its latest turn: not damaged */
    u8 *votes;          /* owned; by term: whom it voted for, 0 unknown */
    u64 vote_cap;
};

struct observer {
    struct world *world;
    struct committed *entries; /* owned; by index - 1 */
    u64 count, cap;
    struct buf bytes;
    struct digest *digests; /* owned; by index / DIGEST_EVERY */
    u64 digest_cap;
    u32 *leaders; /* owned; by term */
    u64 leader_cap;
    u64 commit_seen; /* the highest commit index of any node so far */
    struct watched nodes[WORLD_NODES_MAX + 1];
    struct promise promises[WORLD_NODES_MAX + 1];
};

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
    mem_free(o->leaders);
    for (u32 i = 0; i <= WORLD_NODES_MAX; i++) mem_free(o->promises[i].votes);
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
    struct committed seen = {.term = term,
                             .entry_hash = hash64(entry.at, entry.len),
                             .reply_hash = hash64(reply.at, reply.len),
                             .node = h->id,
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
        const struct committed *c = &o->entries[index - 1];
        if (c->term != term || c->entry_hash != seen.entry_hash)
            world_violation(o->world, "nodes %u and %u applied different entries at index %llu (terms %llu, %llu)",
                            c->node, h->id, at, (unsigned long long)c->term, (unsigned long long)term);
        else if (c->reply_hash != seen.reply_hash)
            world_violation(o->world, "nodes %u and %u answered the entry at index %llu differently", c->node, h->id,
                            at);
    }
    if (index % DIGEST_EVERY == 0) note_digest(o, h, index);
}

/* ---- turns ---- */

static void forget_promise(struct promise *m)
{
    mem_free(m->votes);
    *m = (struct promise){.lost = u64_max(m->lost, m->durable), .lost_term = u64_max(m->lost_term, m->durable_term)};
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

void observe_start(struct world *w, struct host *h)
{
    struct part *p = node_part(h->node);
    w->observer->nodes[h->id] = (struct watched){.turns_since = w->now};
    part_observe(p, on_apply, h);
    check_promise(w, h);
}

static void note_leader(struct observer *o, struct host *h, u64 term)
{
    if (term >= o->leader_cap) {
        u64 cap = (term + 1) * 2;
        o->leaders = mem_resize_array(o->leaders, cap, sizeof *o->leaders);
        memset(o->leaders + o->leader_cap, 0, (cap - o->leader_cap) * sizeof *o->leaders);
        o->leader_cap = cap;
    }
    if (!o->leaders[term]) world_say(o->world, h, "leads term %llu", (unsigned long long)term);
    if (o->leaders[term] && o->leaders[term] != h->id)
        world_violation(o->world, "nodes %u and %u both lead term %llu", o->leaders[term], h->id,
                        (unsigned long long)term);
    o->leaders[term] = h->id;
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

static void check_commit(struct world *w, struct host *h, u64 commit);

void observe_turn(struct world *w, struct host *h)
{
    struct observer *o = w->observer;
    struct watched *n = &o->nodes[h->id];
    const struct part *p = node_part(h->node);
    struct raft *r = part_raft(node_part(h->node));
    u64 term = raft_term(r), commit = raft_commit(r), applied = part_applied(p);

    count_turn(o, h, n);
    if (raft_is_leader(r)) note_leader(o, h, term);
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
    note_promise(o, h);
    check_commit(w, h, commit);
    o->promises[h->id].whole = !part_is_damaged(p);
    n->term = term;
    n->commit = commit;
    n->applied = u64_max(n->applied, applied);
    if (n->turns % CHECK_CORE_EVERY == 0) raft_check(r);
}

void observe_end_of_life(struct world *w, struct host *h) { w->observer->nodes[h->id] = (struct watched){0}; }

void observe_wiped(struct world *w, struct host *h) { forget_promise(&w->observer->promises[h->id]); }

/* ---- the wire ---- */

enum { AT_LEN = 0, AT_TYPE = 4, AT_KIND = 64, AT_FLAGS = 65, AT_FROM = 72, AT_TO = 76, AT_TERM = 80, AT_MATCH = 120 };
enum { FLAG_PRE = 1, FLAG_GRANTED = 4, FLAG_REJECTED = 8 }; /* docs/formats/peer.md */

static void note_vote(struct world *w, node_id from, node_id to, u64 term)
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
}

static void note_raft_frame(struct world *w, const u8 *f)
{
    node_id from = get_u32(f + AT_FROM), to = get_u32(f + AT_TO);
    u64 term = get_u64(f + AT_TERM), match = get_u64(f + AT_MATCH);
    u8 flags = f[AT_FLAGS];

    if (from == 0 || from > w->nodes) return;
    struct promise *m = &w->observer->promises[from];
    if (f[AT_KIND] == RAFT_VOTE && !(flags & FLAG_PRE)) note_vote(w, from, from, term);
    if (f[AT_KIND] == RAFT_VOTE_REPLY && (flags & FLAG_GRANTED) && !(flags & FLAG_PRE)) note_vote(w, from, to, term);
    if (f[AT_KIND] != RAFT_APPEND_REPLY || (flags & FLAG_REJECTED) || match == 0) return;
    m->said_term = u64_max(m->said_term, term);
    if (term > m->acked_term || (term == m->acked_term && match > m->acked)) m->acked = match;
    m->acked_term = u64_max(m->acked_term, term);
}

void observe_frames(struct world *w, str frames)
{
    while (frames.len >= FRAME_HEADER_BYTES) {
        size_t len = get_u32(frames.at + AT_LEN);
        if (len < FRAME_HEADER_BYTES || len > frames.len) return;
        if (get_u16(frames.at + AT_TYPE) == FRAME_RAFT && len > AT_MATCH + 8) note_raft_frame(w, frames.at);
        frames = str_from(frames.at + len, frames.len - len);
    }
}

/* ---- commitment ---- */

/* Does this node's disk hold the entry, as far as an omniscient observer can tell? */
static bool holds(const struct world *w, u32 node, u64 index, u64 term)
{
    const struct host *h = w->hosts[node - 1];
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
    if (term == 0) return;
    if (!members_quorum_holds(w, h->id, commit, term, holds))
        world_violation(w, "node %u takes index %llu of term %llu for committed, but no majority of disks holds it",
                        h->id, (unsigned long long)commit, (unsigned long long)term);
}

bool observe_others_are_damaged(const struct world *w, u32 but)
{
    for (u32 id = 1; id <= w->nodes; id++)
        if (id != but && !w->observer->promises[id].whole) return true;
    return false;
}

u32 observe_leader(const struct world *w)
{
    u32 leader = 0;
    u64 term = 0;

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
    for (u32 i = 0; i < w->nodes; i++) {
        const struct host *h = w->hosts[i];
        if (!h->up || !h->node || part_applied(node_part(h->node)) != w->observer->count) return false;
    }
    return observe_leader(w) != 0;
}

/* ---- the witness ---- */

struct replay {
    struct kvs_image *image;
    struct kvs *kvs;
    struct store *store;
    struct kv *kv;
    struct session_table *sessions;
};

/* The partition's rule for one entry, on a state that never crashes, checkpoints, evicts or moves. Entries that
 * the sessions do not let run have a fixed refusal as their answer: *ran is false. */
static err replay_one(struct replay *r, const struct entry *e, u64 index, struct buf *reply, bool *ran)
{
    static const struct session_id none;
    bool has_session = e->op != ENTRY_SESSION_OPEN && e->op != ENTRY_SESSION_CLOSE && e->op != ENTRY_TICK &&
                       !mem_equal(e->session.bytes, none.bytes, sizeof none.bytes);
    str known;

    *ran = true;
    if (e->op == ENTRY_SESSION_OPEN) {
        struct reader body = reader_of(e->body);
        *ran = session_open(r->sessions, e, reader_u64(&body));
        buf_append_text(reply, "+OK\r\n");
        return OK;
    }
    if (e->op == ENTRY_SESSION_CLOSE) {
        *ran = session_close(r->sessions, e);
        buf_append_text(reply, "+OK\r\n");
        return OK;
    }
    if (has_session) {
        enum session_verdict v = session_judge(r->sessions, e, &known);
        if (v == SESSION_KNOWN) {
            buf_append_str(reply, known);
            return OK;
        }
        *ran = v == SESSION_RUN;
        if (!*ran) return OK;
    }
    err failed = kv_apply(r->kv, e, index, reply);
    if (!failed && has_session) session_keep(r->sessions, e, buf_str(reply));
    return failed;
}

static bool replay_entry(struct world *w, struct replay *r, u64 index, struct buf *reply)
{
    struct observer *o = w->observer;
    const struct committed *c = &o->entries[index - 1];
    struct entry e;
    bool ran;

    str bytes = str_from(buf_bytes(&o->bytes) + c->at, c->bytes);
    if (bytes.len == 0 || entry_decode(bytes, &e)) return true; /* a no-op or a configuration */
    buf_clear(reply);
    if (replay_one(r, &e, index, reply, &ran)) {
        world_violation(w, "the entry at index %llu cannot be applied again", (unsigned long long)index);
        return false;
    }
    if (ran && hash64(buf_bytes(reply), reply->len) != c->reply_hash) {
        world_violation(w, "replaying the log from its beginning answers index %llu with '%.*s', node %u said otherwise",
                        (unsigned long long)index, (int)size_min(reply->len, 60), (const char *)buf_bytes(reply),
                        c->node);
        return false;
    }
    (void)store_tidy(r->store, 4);
    return true;
}

static void witness(struct world *w, u64 live_digest)
{
    struct replay r = {.image = kvs_image_new()};
    struct store_options so = {.part = 2, .memory_bytes_max = 1024 * MIB};
    struct kv_options ko = {.value_bytes_max = w->hosts[0]->config.value_bytes_max, .step_budget = 0};
    struct buf reply = {0};
    u64 digest = 0;
    bool well = true;

    r.kvs = kvs_memory_open(r.image);
    r.store = store_new(r.kvs, &so);
    r.kv = kv_new(r.store, &ko);
    r.sessions = session_table_new();
    for (u64 index = 1; index <= w->observer->count && well; index++) well = replay_entry(w, &r, index, &reply);
    if (well && (kv_digest(r.kv, &digest) || digest != live_digest))
        world_violation(w, "replaying the log from its beginning ends in another state than the replicas'");
    session_table_free(r.sessions);
    kv_free(r.kv);
    store_free(r.store);
    r.kvs->ops->close(r.kvs);
    kvs_image_free(r.image);
    buf_done(&reply);
}

void observe_final(struct world *w)
{
    u64 first = 0;

    for (u32 i = 0; i < w->nodes && !w->stopped; i++) {
        u64 digest;
        if (kv_digest(part_kv(node_part(w->hosts[i]->node)), &digest)) {
            world_violation(w, "node %u cannot read its own state", i + 1);
            return;
        }
        if (i == 0) first = digest;
        if (digest != first)
            world_violation(w, "nodes 1 and %u differ in their state at rest, applied index %llu", i + 1,
                            (unsigned long long)w->observer->count);
    }
    world_trace(w, first);
    if (!w->stopped) witness(w, first);
}
