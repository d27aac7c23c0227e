/* For tests: a small world of replicas on a bad network, and what must hold in it after every step.
 * The world draws everything from one seed. Safety is checked always; after `heal` a bounded time
 * must bring a leader, a commit and equal states (liveness).
 *
 * What is checked, by the names of fig. 3.2 of the thesis: election safety, log matching, leader
 * completeness, state machine safety; and besides: a committed entry is on the disks of a majority;
 * commit and apply never go back, each index is applied once; a read index or a lease never misses
 * an acknowledged write. */
#pragma once

#include "base/buf.h"
#include "raft/cluster_host.h"

#include <stdlib.h>

#define WORLD_NODES_MAX  14u
#define WORLD_FLYING_MAX 65536u
#define WORLD_READS_MAX  4096u
#define WORLD_TERMS_MAX  4096u
#define MICROS           ((u64)1000)

struct flying { /* one message, or snapshot, on its way */
    u64 at, order;
    replica_id from, to;
    u64 from_life;
    struct buf bytes; /* an encoded raft_message; empty for a snapshot, and for: */
    struct live_message live; /* kind 0: none */
    struct snapshot snapshot;
};

struct asked_read {
    u64 must_see; /* acknowledged before the read began */
    bool open;
};

struct faults { /* drawn per seed; chances are parts per million, per message or per millisecond */
    u32 drop, duplicate, crash, wipe, cut, mend, pause, transfer, disk_full, snapshot, unreachable,
        backlog, lonely_leader, crash_at_save, crash_at_lead, disk_stall, change, kill,
        crash_at_change;
    u64 restart_after, delay_min, delay_max, disk_min, disk_max;
    u32 slow_message; /* delayed by slow_extra */
    u64 slow_extra;
};

struct world {
    u64 seed, now, order;
    struct prng prng;
    u32 nodes, founders;       /* replicas there ever were; numbers are never used again */
    struct raft_config config; /* the founding one */
    u32 members;               /* number of the newest committed configuration */
    u64 changed_at;            /* a change was proposed; 0: never */
    u64 quiet_until;           /* nobody asks anything before */
    u64 changes_from;          /* no change of members before: a machine was lost just now */
    struct faults faults;
    bool supports; /* nodes support each other: replica and node are the same here */
    bool calm;                              /* no more faults: liveness */
    bool memory; /* entries count in memory */
    u64 safe;    /* committed, and on the disks of a quorum */
    u64 recovered_in, stuck_since;
    u64 *kept, kept_last; /* terms of the log that the newest recovery went on with */
    struct host hosts[WORLD_NODES_MAX + 1]; /* by id */
    bool cut[WORLD_NODES_MAX + 1][WORLD_NODES_MAX + 1];
    bool
        report_by_staging_term; /* RAFT_PERSISTED names the term of staging, not the entry's */

    struct flying *flying; /* a heap by (at, order) */
    u32 flying_count;
    struct raft_actions *out;
    struct live_actions *live_out;
    struct buf scratch;

    struct disk_entry *committed; /* the one history */
    u64 *committed_in;            /* the term of the leader that did it */
    u64 *states;                  /* of the state machine after each committed index */
    u64 committed_last, acked_last, state_last;
    replica_id leaders[WORLD_TERMS_MAX];
    struct asked_read reads[WORLD_READS_MAX];
    u64 read_next, next_id;
    nanos election_min;

    u64 steps, elections, commits, reads_done, reads_refused, leases, installs, crashes, wipes,
        healed, truncations, transfers, changes, joint, told_removed, killed, changes_cut, fortified, withdrawn,
        quiet, recoveries, lost, left_behind, power_cuts;
};

static bool world_tracing;

#define VIOLATION(w, ...)                                                                          \
    do {                                                                                           \
        fprintf(stderr, "seed %lu, %lu us: ", (w)->seed, (w)->now / MICROS);                       \
        fprintf(stderr, __VA_ARGS__);                                                              \
        fprintf(stderr, "\n");                                                                     \
        abort();                                                                                   \
    } while (0)

static inline bool chance(struct world *w, u32 ppm)
{
    return prng_chance(&w->prng, ppm);
}

/* ---- the network */

static inline bool flies_before(const struct flying *a, const struct flying *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static inline void fly(struct world *w, struct flying f)
{
    if (w->flying_count == WORLD_FLYING_MAX) {
        buf_done(&f.bytes);
        return;
    }
    f.order = w->order++;
    u32 i = w->flying_count++;
    for (; i > 0 && flies_before(&f, &w->flying[(i - 1) / 2]); i = (i - 1) / 2)
        w->flying[i] = w->flying[(i - 1) / 2];
    w->flying[i] = f;
}

static inline struct flying land(struct world *w)
{
    struct flying first = w->flying[0], last = w->flying[--w->flying_count];
    u32 i = 0;
    for (;;) {
        u32 child = 2 * i + 1;
        if (child >= w->flying_count) break;
        if (child + 1 < w->flying_count && flies_before(&w->flying[child + 1], &w->flying[child]))
            child++;
        if (!flies_before(&w->flying[child], &last)) break;
        w->flying[i] = w->flying[child];
        i = child;
    }
    w->flying[i] = last;
    return first;
}

static inline u64 flight_time(struct world *w)
{
    const struct faults *f = &w->faults;
    u64 t = prng_between(&w->prng, f->delay_min, f->delay_max);
    if (!w->calm && chance(w, f->slow_message)) t += prng_below(&w->prng, f->slow_extra + 1);
    return t;
}

static inline void world_send(struct world *w, struct host *from, replica_id to, str bytes)
{
    u32 copies = 1;
    if (w->cut[from->id][to]) return;
    if (!w->calm && chance(w, w->faults.drop)) return;
    if (!w->calm && chance(w, w->faults.duplicate)) copies = 2;
    for (u32 i = 0; i < copies; i++) {
        struct flying f = {
            .at = w->now + flight_time(w), .from = from->id, .to = to, .from_life = from->life};
        buf_append_str(&f.bytes, bytes);
        fly(w, f);
    }
}

/* ---- checks */

/* The newest members that a replica's log names, found without asking the core. */
static inline struct raft_config members_at(const struct world *w, const struct host *h, u64 index)
{
    const struct raft *r = h->raft;
    struct raft_config c = {.next = 1};
    for (u64 i = u64_min(index, raft_last(r).index); i > raft_first(r).index; i--) {
        const struct raft_entry *e = raft_entry_at(r, i);
        if (e->kind != RAFT_CONFIG) continue;
        err failed = raft_config_decode(rcbuf_str(e->data), &c);
        assert(failed == OK);
        return c;
    }
    /* Committed, so it is in the one history; or older than any change. */
    for (u64 i = u64_min(raft_first(r).index, w->committed_last); i > 0; i--)
        if (w->committed[i].id & CONFIG_ID) return known_configs[w->committed[i].id & ~CONFIG_ID];
    return w->config;
}

static inline void check_members(struct world *w, const struct host *h)
{
    if (h->lost) return; /* its history is another one */
    if (raft_config(h->raft)->count == 0) return; /* joins, and has not heard of any */
    struct raft_config c = members_at(w, h, UINT64_MAX);
    if (!raft_config_equal(&c, raft_config(h->raft)))
        VIOLATION(w, "node %u counts by other members than its log's newest", h->id);
}

/* Its memory, or what it was before a crash after which it may not vote. */
static inline bool holds_in_memory(const struct host *h, u64 index, u64 term)
{
    const struct raft *r = h->raft;
    if (!h->disk.hard.memory) return false;
    return !r || raft_hard_state(r)->impaired || index <= raft_first(r).index || raft_term_at(r, index) == term;
}

static inline bool is_on_majority(const struct world *w, const struct raft_config *c, u8 role,
                                  u64 index, u64 term)
{
    u32 copies = 0, of = raft_config_count(c, role);
    for (u32 i = 0; i < c->count; i++) {
        if (!(c->members[i].roles & role)) continue;
        const struct disk *d = &w->hosts[c->members[i].id].disk;
        /* A disk that died since may have held it: that is why it may not vote. */
        copies += disk_holds(d, index, term) || d->hard.impaired || holds_in_memory(&w->hosts[c->members[i].id], index, term);
    }
    return of == 0 || copies > of / 2;
}

static inline bool is_on_quorum(const struct world *w, const struct raft_config *c, u64 index,
                                u64 term)
{
    return is_on_majority(w, c, RAFT_VOTER, index, term) &&
           is_on_majority(w, c, RAFT_OUTGOING, index, term);
}

/* What a recovery gave up is not history any more. Who has it goes on with nothing that came after. */
static inline bool is_lost(const struct world *w, struct host *h, u64 index)
{
    u64 term = raft_term_at(h->raft, index);
    if (term < w->recovered_in && (index > w->kept_last || w->kept[index] != term)) h->lost = true;
    if (h->lost && term >= w->recovered_in)
        VIOLATION(w, "node %u goes on with %lu/%lu on top of what was given up", h->id, term, index);
    return h->lost;
}

static inline void check_history(struct world *w, struct host *h, u64 index)
{
    const struct raft *r = h->raft;
    if (index <= raft_first(r).index || is_lost(w, h, index)) return;
    const struct raft_entry *e = raft_entry_at(r, index);
    struct disk_entry entry = {e->pos.term, entry_id(e)};

    if (index <= w->committed_last) {
        if (w->committed[index].term != entry.term || w->committed[index].id != entry.id)
            VIOLATION(w, "node %u has %lu/%lu committed, but it was %lu/%lu", h->id, entry.term,
                      index, w->committed[index].term, index);
        return;
    }
    assert(index == w->committed_last + 1);
    /* A change is committed by its own members, others perhaps by those of a later one. */
    struct raft_config then = members_at(w, h, index), newest = members_at(w, h, UINT64_MAX);
    bool held = is_on_quorum(w, &then, index, entry.term);
    if (!held && !(entry.id & CONFIG_ID)) held = is_on_quorum(w, &newest, index, entry.term);
    if (!held)
        VIOLATION(w, "node %u committed %lu/%lu, which is not on the disks of a quorum", h->id,
                  entry.term, index);
    if (entry.id & CONFIG_ID) {
        w->members = (u32)(entry.id & ~CONFIG_ID);
        w->changes++;
        w->joint += raft_config_is_joint(&known_configs[w->members]);
    }
    w->committed[index] = entry;
    w->committed_in[index] = raft_term(r);
    w->committed_last = index;
    w->commits++;
}

static inline void check_leader(struct world *w, struct host *h)
{
    const struct raft *r = h->raft;
    u64 term = raft_term(r);
    assert(term < WORLD_TERMS_MAX);
    w->elections++;
    if (w->leaders[term] && w->leaders[term] != h->id)
        VIOLATION(w, "two leaders in term %lu: %u and %u", term, w->leaders[term], h->id);
    w->leaders[term] = h->id;
    for (u64 i = raft_first(r).index + 1; i <= w->committed_last; i++) {
        if (w->committed_in[i] > term)
            return; /* a late winner of an old term: it can commit nothing */
        if (raft_term_at(r, i) != w->committed[i].term)
            VIOLATION(w, "leader %u of term %lu lacks the committed %lu/%lu", h->id, term,
                      w->committed[i].term, i);
    }
}

/* Log matching: where two logs agree at an index, they agree below it. */
static inline void check_log_matching(struct world *w, const struct raft *a, const struct raft *b)
{
    u64 low = u64_max(raft_first(a).index, raft_first(b).index);
    u64 high = u64_min(raft_last(a).index, raft_last(b).index);
    bool same = false;
    for (u64 i = high; i > low; i--) {
        bool here = raft_term_at(a, i) == raft_term_at(b, i);
        if (same && !here) VIOLATION(w, "logs agree above %lu but not there", i);
        same = same || here;
    }
}

static inline void apply_range(struct world *w, struct host *h, u64 from, u64 to)
{
    if (from != h->applied + 1)
        VIOLATION(w, "node %u applies %lu after %lu", h->id, from, h->applied);
    for (u64 i = from; i <= to; i++) {
        const struct raft_entry *e = raft_entry_at(h->raft, i);
        check_history(w, h, i);
        if (h->lost) continue;
        if (i > w->committed_last) VIOLATION(w, "node %u applies uncommitted %lu", h->id, i);
        if (!w->memory && !disk_holds(&h->disk, i, e->pos.term))
            VIOLATION(w, "node %u applies %lu, which its disk may lose", h->id, i);
        h->state = state_after(h->state, e->pos, entry_id(e));
        w->state_last = u64_max(w->state_last, i);
        if (!w->states[i]) w->states[i] = h->state; /* the first to get there */
        if (w->states[i] != h->state) VIOLATION(w, "node %u diverged at %lu", h->id, i);
        if (raft_is_leader(h->raft)) w->acked_last = u64_max(w->acked_last, i);
    }
    h->applied = to;
}

static inline bool is_on_disks(const struct world *w, const struct raft_config *c, u8 role, u64 index, u64 term)
{
    u32 copies = 0, of = raft_config_count(c, role);
    for (u32 i = 0; i < c->count; i++)
        if (c->members[i].roles & role) copies += disk_holds(&w->hosts[c->members[i].id].disk, index, term);
    return of == 0 || copies > of / 2;
}

/* By the members that were; those of a change are on disk before they count. */
static inline void note_safe(struct world *w)
{
    const struct raft_config *c = w->members ? &known_configs[w->members] : &w->config;
    for (; w->safe < w->committed_last; w->safe++) {
        u64 index = w->safe + 1, term = w->committed[index].term;
        if (!is_on_disks(w, c, RAFT_VOTER, index, term) || !is_on_disks(w, c, RAFT_OUTGOING, index, term)) return;
    }
}

/* Has it committed, or in its snapshot, what the log that goes on does not have? What it has is known to be committed. */
static inline void judge_lost(struct world *w, struct host *h, u64 *committed)
{
    struct log_pos has = h->disk.snapshot.pos;
    if (h->raft && h->commit_seen > has.index) has = (struct log_pos){raft_term_at(h->raft, h->commit_seen), h->commit_seen};
    bool lost = has.index && (has.index > w->kept_last || w->kept[has.index] != has.term);
    w->left_behind += lost && !h->lost;
    h->lost = lost;
    if (!lost) *committed = u64_max(*committed, has.index);
}

/* An operator let the group go on with this leader's log: what is committed and not in it is lost. */
static inline void world_recovered(struct world *w, struct host *h)
{
    const struct raft_recoveries *l = &raft_config(h->raft)->recoveries;
    u64 kept = l->items[l->count - 1].kept.index, common = u64_min(kept, w->committed_last);
    while (common > raft_first(h->raft).index && raft_term_at(h->raft, common) != w->committed[common].term) common--;
    if (common < w->safe)
        VIOLATION(w, "node %u recovers with %lu/%lu, but %lu was on the disks of a quorum", h->id,
                  l->items[l->count - 1].kept.term, kept, w->safe);
    for (u64 i = 1; i <= kept; i++)
        w->kept[i] = i > raft_first(h->raft).index ? raft_term_at(h->raft, i) : w->committed[i].term;
    w->kept_last = kept;
    for (; w->state_last > common; w->state_last--) w->states[w->state_last] = 0;
    w->recoveries++;
    w->lost += w->committed_last - common;
    w->recovered_in = raft_term(h->raft);
    for (u32 id = 1; id <= w->nodes; id++) judge_lost(w, &w->hosts[id], &common);
    for (u64 i = u64_max(w->committed_last, raft_first(h->raft).index) + 1; i <= common; i++) {
        const struct raft_entry *e = raft_entry_at(h->raft, i); /* an earlier recovery had given it up, and came to nothing */
        w->committed[i] = (struct disk_entry){e->pos.term, entry_id(e)};
        w->committed_in[i] = w->recovered_in;
    }
    w->committed_last = common;
    w->acked_last = u64_min(w->acked_last, common);
    for (u32 i = 0; i < WORLD_READS_MAX; i++) w->reads[i].must_see = u64_min(w->reads[i].must_see, common);
}

static inline void check_reads(struct world *w, struct host *h, const struct raft_actions *out)
{
    for (u32 i = 0; i < out->read_count; i++) {
        const struct raft_read_done *d = &out->reads[i];
        struct asked_read *q = &w->reads[d->context % WORLD_READS_MAX];
        if (!q->open) VIOLATION(w, "node %u answers a read twice", h->id);
        q->open = false;
        if (d->refused) {
            w->reads_refused++;
            continue;
        }
        w->reads_done++;
        if (d->index < q->must_see)
            VIOLATION(w, "stale read at node %u: index %lu, but %lu was acknowledged before", h->id,
                      d->index, q->must_see);
    }
}

/* ---- stepping */

static inline err world_step(struct world *w, struct host *h, struct raft_event *ev);

static inline void world_report(struct world *w, struct host *h, enum raft_event_kind kind,
                                struct raft_event ev)
{
    ev.kind = kind;
    err e = world_step(w, h, &ev);
    assert(e == OK || e == ERR_STALE || e == ERR_FULL || e == ERR_INVALID);
}

static inline void world_offer_snapshot(struct world *w, struct host *h, replica_id to)
{
    struct flying f = {.at = w->now + flight_time(w) * 5,
                       .from = h->id,
                       .to = to,
                       .from_life = h->life,
                       .snapshot = h->disk.snapshot};
    bool lost = w->cut[h->id][to] || (!w->calm && chance(w, w->faults.drop * 2));
    if (!lost) fly(w, f);
    world_report(w, h, RAFT_SNAPSHOT_SENT,
                 (struct raft_event){.peer = to, .index = f.snapshot.pos.index, .rejected = lost});
}

static inline void hold_or_send(struct world *w, struct host *h, const struct raft_outbox *outbox,
                                bool hold)
{
    for (u32 i = 0; i < outbox->count; i++) {
        buf_clear(&w->scratch);
        raft_message_encode(&outbox->items[i], &w->scratch);
        replica_id to = outbox->items[i].to;
        if (!hold || h->ops_done == h->ops_staged) {
            world_send(w, h, to, buf_str(&w->scratch));
            continue;
        }
        assert(h->held_to - h->held_from < HOST_HELD_MAX);
        struct held *held = &h->held[h->held_to++ % HOST_HELD_MAX];
        *held = (struct held){.after = h->ops_staged, .to = to};
        buf_append_str(&held->bytes, buf_str(&w->scratch));
    }
}

static inline void carry_out(struct world *w, struct host *h)
{
    struct raft_actions *out = w->out;
    struct raft *r = h->raft;

    hold_or_send(w, h, &out->send, false);
    host_stage_actions(h, out);
    hold_or_send(w, h, &out->send_after_save, true);

    for (u32 i = 0; i < out->send.count; i++)
        w->fortified += out->send.items[i].kind == RAFT_APPEND_REPLY && out->send.items[i].fortify;
    if (out->events & RAFT_RECOVERED) world_recovered(w, h);
    if (out->events & RAFT_BECAME_LEADER) check_leader(w, h);
    if (out->events & RAFT_HEALED) w->healed++;
    if (out->truncate_from) w->truncations++;
    if (out->truncate_from && (out->events & RAFT_CONFIG_CHANGED)) w->changes_cut++;
    if (out->events & RAFT_TOLD_REMOVED) {
        if (!w->members || raft_config_find(&known_configs[w->members], h->id))
            VIOLATION(w, "node %u is told that it is no member, but it is", h->id);
        w->told_removed++;
        h->dies = h->gone = true;
    }
    if (raft_commit(r) < h->commit_seen)
        VIOLATION(w, "commit of node %u went back to %lu", h->id, raft_commit(r));
    for (u64 i = h->commit_seen + 1; i <= raft_commit(r); i++) check_history(w, h, i);
    h->commit_seen = raft_commit(r);
    check_reads(w, h, out);

    u64 from = out->apply.from, to = out->apply.to;
    replica_id snapshot_to = out->snapshot_to;
    if (from) {
        apply_range(w, h, from, to);
        world_report(w, h, RAFT_APPLIED, (struct raft_event){.index = to});
    }
    if (snapshot_to) world_offer_snapshot(w, h, snapshot_to);
}

/* ---- support between nodes */

static inline void fly_live(struct world *w, struct host *h, const struct live_message *m)
{
    if (w->cut[h->id][m->to] || (!w->calm && chance(w, w->faults.drop))) return;
    fly(w, (struct flying){.at = w->now + flight_time(w), .from = h->id, .to = m->to, .from_life = h->life, .live = *m});
}

static inline void world_live(struct world *w, struct host *h, struct live_event ev)
{
    struct live_actions *out = w->live_out;
    if (!h->live) return;
    ev.now = host_clock(h, w->now);
    live_step(h->live, &ev, out);
    live_check(h->live);
    for (u32 i = 0; i < out->send_count; i++) fly_live(w, h, &out->send[i]);
    for (u32 i = 0; i < out->change_count; i++) {
        w->withdrawn += out->changes[i].given;
        world_report(w, h, RAFT_SUPPORT, (struct raft_event){.peer = out->changes[i].peer});
    }
}

static inline void world_meet(struct world *w, struct host *h, replica_id peer, u32 boot)
{
    world_live(w, h, (struct live_event){.kind = LIVE_SHARE, .peer = peer, .shared = true});
    world_live(w, h, (struct live_event){.kind = LIVE_MET, .peer = peer, .boot = boot});
}

static inline u32 boot_of(const struct host *h)
{
    return (u32)h->life + 1;
}

/* Before the replica of this start exists. */
static inline void live_boot(struct world *w, struct host *h)
{
    struct live_options o = {.self = h->id,
                             .boot = boot_of(h),
                             .every = u64_min(h->options.heartbeat_every, h->options.lease / 3),
                             .lease = h->options.lease,
                             .drift_ppm = h->options.drift_ppm};
    if (!w->supports) return;
    h->live = live_new(&o);
    h->options.liveness = (struct raft_liveness){.context = h, .from = support_from, .given = support_given};
}

static inline void live_meet_all(struct world *w, struct host *h)
{
    for (replica_id id = 1; id <= w->nodes; id++)
        if (id != h->id) world_meet(w, h, id, boot_of(&w->hosts[id]));
}

static inline void print_trace(void *context, const char *line)
{
    struct world *w = context;
    printf("%8lu us   %s\n", w->now / MICROS, line);
}

static inline err world_step(struct world *w, struct host *h, struct raft_event *ev)
{
    ev->now = host_clock(h, w->now);
    ev->room = h->backlog ? 0 : h->full ? h->room : UINT64_MAX;
    if (world_tracing) printf("%8lu us %u event %d\n", w->now / MICROS, h->id, (int)ev->kind);
    err e = raft_step(h->raft, ev, w->out);
    raft_check(h->raft);
    w->steps++;
    if (e) return e;
    if (w->out->save && !w->calm && chance(w, w->faults.crash_at_save)) h->dies = true;
    bool leads = w->out->events & RAFT_BECAME_LEADER;
    if (leads && !w->calm && chance(w, w->faults.crash_at_lead)) h->dies = true;
    bool changes = w->out->events & (RAFT_CONFIG_CHANGED | RAFT_CONFIG_COMMITTED);
    if (changes && !w->calm && chance(w, w->faults.crash_at_change)) h->dies = true;
    if (changes) check_members(w, h);
    carry_out(w, h);
    return OK;
}

/* Does any log hold a change that may still come to be? */
static inline bool has_open_change(const struct world *w)
{
    if (w->changed_at && w->now < w->changed_at + 2 * NANOS_SEC) return true; /* on its way */
    for (u32 id = 1; id <= w->nodes; id++) {
        const struct host *h = &w->hosts[id];
        if (h->gone) continue;
        if (h->raft && raft_config_index(h->raft) > raft_commit(h->raft)) return true;
        for (u64 i = h->disk.last; i > w->committed_last; i--)
            if (h->disk.log[i].id & CONFIG_ID) return true;
    }
    return false;
}

/* Is nothing under way, everyone whole, and would the group go on without any one of them? */
static inline bool can_bear_a_loss(const struct world *w)
{
    const struct raft_config *c = w->members ? &known_configs[w->members] : &w->config;
    if (raft_config_is_joint(c) || raft_config_count(c, RAFT_VOTER) < 3) return false;
    for (u32 id = 1; id <= w->nodes; id++) {
        const struct host *h = &w->hosts[id];
        if (h->disk.hard.impaired) return false;
    }
    if (has_open_change(w)) return false;
    for (u32 i = 0; i < c->count; i++)
        if (w->hosts[c->members[i].id].gone) return false;
    return true;
}

static inline void crash(struct world *w, struct host *h)
{
    h->dies = false;
    u64 under_way = h->ops_staged - h->ops_done;
    host_crash(h, chance(w, 500000) ? 0 : prng_below(&w->prng, under_way + 1));
    h->restart_at = w->now + prng_below(&w->prng, w->faults.restart_after + 1);
    w->crashes++;

    if (h->gone) return;

    /* Whole disks die at most one at a time and only in clusters that can bear it; and the others
     * must be able to tell: all healthy. One that is no founder is replaced, not refilled. */
    if (w->committed_last == 0 || h->id > w->founders || !can_bear_a_loss(w)) return;
    if (!chance(w, w->faults.wipe)) return;
    host_wipe(h);
    w->wipes++;
    w->changes_from = w->now + 2 * NANOS_SEC;
}

/* ---- disks */

static inline void disk_start(struct world *w, struct host *h)
{
    if (h->write_upto || h->ops_done == h->ops_staged) return;
    h->write_upto = h->ops_staged;
    h->write_ends_at = w->now + prng_between(&w->prng, w->faults.disk_min, w->faults.disk_max);
    if (!w->calm && chance(w, w->faults.disk_stall))
        h->write_ends_at += prng_below(&w->prng, 3000) * NANOS_MS;
}

static inline void disk_finish(struct world *w, struct host *h)
{
    struct log_pos persisted = {0, 0};
    struct raft_hard_state saved = {0};
    u64 compacted = 0;

    for (; h->ops_done < h->write_upto; h->ops_done++) {
        const struct disk_op *op = &h->ops[h->ops_done % HOST_OPS_MAX];
        disk_do(&h->disk, op);
        if (op->kind == DISK_APPEND)
            persisted = (struct log_pos){w->report_by_staging_term ? op->staged_in : op->entry.term,
                                         op->index};
        if (op->kind == DISK_SAVE) saved = op->hard;
        if (op->kind == DISK_COMPACT) compacted = op->index;
    }
    h->write_upto = 0;
    while (h->held_from < h->held_to &&
           h->held[h->held_from % HOST_HELD_MAX].after <= h->ops_done) {
        struct held *held = &h->held[h->held_from++ % HOST_HELD_MAX];
        world_send(w, h, held->to, buf_str(&held->bytes));
        buf_done(&held->bytes);
    }
    if (saved.term)
        world_report(w, h, RAFT_SAVED,
                     (struct raft_event){.saved_term = saved.term, .saved_memory = saved.memory});
    if (persisted.index) world_report(w, h, RAFT_PERSISTED, (struct raft_event){.pos = persisted});
    if (compacted) world_report(w, h, RAFT_COMPACT, (struct raft_event){.index = compacted});
}

/* A snapshot arrived whole: install it durably behind everything staged, then say so. The core must
 * refuse one that is old. */
static inline void install(struct world *w, struct host *h, const struct flying *f)
{
    if (h->ops_done != h->ops_staged) return; /* busy: the leader tries again */
    struct raft_config config = known_configs[f->snapshot.config];
    struct raft_event ev = {
        .kind = RAFT_RESTORED, .pos = f->snapshot.pos, .peer = f->from, .config = &config};
    struct disk disk = h->disk;
    u64 applied = h->applied, state = h->state;
    disk_install(&h->disk, &f->snapshot);
    h->applied = f->snapshot.pos.index;
    h->state = f->snapshot.state;
    if (world_step(w, h, &ev) != OK) {
        h->disk = disk;
        h->applied = applied;
        h->state = state;
        return;
    }
    u64 upto = f->snapshot.pos.index, term = f->snapshot.pos.term;
    if (upto > w->kept_last ? term >= w->recovered_in : w->kept[upto] == term) h->lost = false;
    if (f->snapshot.pos.index < applied)
        VIOLATION(w, "node %u went back to an old snapshot", h->id);
    if (h->commit_seen < f->snapshot.pos.index) VIOLATION(w, "install left commit behind");
    w->installs++;
}
