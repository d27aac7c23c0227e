/* The door: one step in, checked, dispatched by kind, and closed in one order. Decides nothing
 * about Raft beyond the rule that every message obeys: a newer term is adopted, an older one is
 * answered or dropped (fig. 3.1 of the thesis). */
#include "raft/raft_internal.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>

struct raft *raft_new(const struct raft_options *o)
{
    assert(o->self != 0);
    assert(o->heartbeat_every > 0);
    assert(o->lease <= o->election_timeout_min);
    assert(o->election_timeout_min <= o->election_timeout_max);
    assert(o->heartbeat_every < o->election_timeout_min);
    assert(o->drift_ppm < 1000000);
    assert(o->inflight_messages_max > 0);

    struct raft *r = mem_zalloc(sizeof *r);
    r->options = *o;
    prng_init(&r->prng, o->seed, o->self);
    tail_init(&r->tail, (struct log_pos){0, 0});
    return r;
}

void raft_free(struct raft *r)
{
    if (!r) return;
    tail_done(&r->tail);
    read_done(r);
    replicate_done(r);
    fortify_done(&r->fortify);
    membership_done(&r->membership);
    mem_free(r);
}

void raft_boot_config(struct raft *r, const struct raft_config *c, u64 at)
{
    membership_boot(r, c, at);
}

void raft_boot_hard_state(struct raft *r, const struct raft_hard_state *hs)
{
    election_boot_hard_state(r, hs);
}

void raft_boot_snapshot(struct raft *r, struct log_pos pos)
{
    assert(r->tail.last.index == r->tail.base.index); /* before any entry */
    tail_restart(&r->tail, pos);
}

void raft_boot_entry(struct raft *r, const struct raft_entry *e)
{
    tail_append(&r->tail, e);
    membership_appended(r, e);
}

void raft_boot_done(struct raft *r, u64 applied, nanos booted_at)
{
    commit_boot(r, applied);
    election_boot(r, booted_at);
    raft_check(r);
}

void raft_trace(struct raft *r, const char *format, ...)
{
    char line[256];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    r->trace(r->trace_context, line);
}

void raft_trace_to(struct raft *r, raft_trace_fn fn, void *context)
{
    r->trace = fn;
    r->trace_context = context;
}

struct raft_message *raft_message_to(struct raft *r, struct raft_outbox *outbox, u32 kind,
                                     replica_id to)
{
    assert(outbox_has_room(outbox));
    assert(to != r->options.self);
    struct raft_message *m = &outbox->items[outbox->count++];
    *m = (struct raft_message){
        .kind = kind, .from = r->options.self, .to = to, .term = own_term(r)};
    return m;
}

/* Who asks may be a member already in a configuration that has not come here yet: it is judged by
 * its term and log alone (§4.1). Who answers must be known to count. */
static bool is_answer(const struct raft_message *m)
{
    return m->kind != RAFT_VOTE && m->kind != RAFT_APPEND && m->kind != RAFT_TIMEOUT_NOW;
}

static void on_message(struct raft *r, const struct raft_message *m)
{
    u32 from = membership_slot(&r->membership, m->from);
    if (m->to != r->options.self || m->from == r->options.self || m->from == 0) {
        TRACE(r, "message of %u to %u: not ours -> ignore", m->from, m->to);
        return;
    }
    if (m->kind == RAFT_REMOVED) { /* true for ever, whatever the term */
        election_on_removed(r, m);
        return;
    }
    if (m->kind == RAFT_DEFORTIFY || m->kind == RAFT_DEFORTIFY_REPLY) { /* of a term that may be long over */
        if (m->kind == RAFT_DEFORTIFY)
            fortify_on_release(r, m);
        else
            fortify_on_release_reply(r, m);
        return;
    }
    if (from == NO_SLOT && change_tell_removed(r, m->from)) return;
    if (from == NO_SLOT && is_answer(m)) {
        TRACE(r, "answer of %u: not a member's -> ignore", m->from);
        return;
    }
    if (m->kind == RAFT_VOTE) { /* whether its term counts depends on who is alive */
        election_on_vote(r, m);
        return;
    }
    bool promise = m->kind == RAFT_VOTE_REPLY && m->pre && m->granted; /* of a term not yet begun */
    if (m->term > own_term(r) && !promise) election_adopt_term(r, m->term, m->from);
    if (m->term < own_term(r)) {
        if (m->kind == RAFT_APPEND) append_refuse_stale(r, m);
        bool counted = (MUTANT(old_vote_reply_counted) && m->kind == RAFT_VOTE_REPLY) ||
                       (MUTANT(old_leadership_reply_counted) && m->kind == RAFT_APPEND_REPLY);
        if (!counted) return;
    }
    switch (m->kind) {
    case RAFT_VOTE_REPLY: election_on_vote_reply(r, m, from); break;
    case RAFT_APPEND: append_on_message(r, m); break;
    case RAFT_APPEND_REPLY: replicate_on_reply(r, m, from); break;
    case RAFT_TIMEOUT_NOW: transfer_on_timeout_now(r, m); break;
    case RAFT_SNAPSHOT_STATUS: snapshot_on_status(r, m, from); break;
    default: TRACE(r, "message of %u: unknown kind %u -> ignore", m->from, m->kind); break;
    }
}

static err check_proposals(const struct raft *r, const struct raft_event *ev)
{
    u64 bytes = 0;
    for (u32 i = 0; i < ev->count; i++) {
        if (ev->proposals[i].kind == RAFT_CONFIG) return ERR_UNSUPPORTED;
        if (ev->proposals[i].data) bytes += ev->proposals[i].data->len;
    }
    if (r->election.role != RAFT_LEADER || r->transfer.target) return ERR_STALE;
    if (r->election.disk_full && r->marks.staged < r->tail.last.index) return ERR_FULL;
    if (r->election.disk_full && bytes + (u64)ev->count * RAFT_ENTRY_ROOM > ev->room) return ERR_FULL;
    u64 held = raft_tail_bytes(r), open = replicate_uncommitted_bytes(r);
    if (held > 0 && held + bytes > r->options.tail_bytes_max) return ERR_FULL;
    if (open > 0 && open + bytes > r->options.uncommitted_bytes_max) return ERR_FULL;
    return OK;
}

static err check_change(const struct raft *r, const struct raft_event *ev)
{
    switch (change_refusal(r, ev->config, u64_max(r->now, ev->now))) {
    case RAFT_CHANGE_POSSIBLE: return OK;
    case RAFT_CHANGE_NOT_LEADER:
    case RAFT_CHANGE_HANDING_OVER: return ERR_STALE;
    case RAFT_CHANGE_SAME:
    case RAFT_CHANGE_INVALID:
    case RAFT_CHANGE_NUMBER_USED: return ERR_INVALID;
    case RAFT_CHANGE_UNDER_WAY:
    case RAFT_CHANGE_TERM_NOT_BEGUN:
    case RAFT_CHANGE_DISK_FULL:
    case RAFT_CHANGE_NO_QUORUM: return ERR_FULL;
    }
    return ERR_INVALID;
}

/* What is refused is refused before anything changes. */
static err admit(const struct raft *r, const struct raft_event *ev)
{
    switch (ev->kind) {
    case RAFT_PROPOSE: return check_proposals(r, ev);
    case RAFT_READ:
        if (r->election.role != RAFT_LEADER) return ERR_STALE;
        return read_has_room(r) ? OK : ERR_FULL;
    case RAFT_TRANSFER: return transfer_check(r, ev->peer);
    case RAFT_RESTORED: return snapshot_check_restored(r, ev);
    case RAFT_CHANGE: return check_change(r, ev);
    case RAFT_RECOVER: return recover_check(r);
    default: return OK;
    }
}

static void dispatch(struct raft *r, const struct raft_event *ev)
{
    switch (ev->kind) {
    case RAFT_TICK:
        replicate_on_tick(r);
        election_on_tick(r);
        break;
    case RAFT_RECEIVED: on_message(r, ev->message); break;
    case RAFT_PROPOSE: replicate_propose(r, ev); break;
    case RAFT_PERSISTED: commit_on_persisted(r, ev->pos); break;
    case RAFT_SAVED:
        r->election.saved_memory = ev->saved_memory;
        election_on_saved(r, ev->saved_term);
        break;
    case RAFT_APPLIED: commit_on_applied(r, ev->index); break;
    case RAFT_COMMITTED: commit_on_told(r, ev->pos); break;
    case RAFT_READ: read_begin(r, ev->context); break;
    case RAFT_COMPACT: snapshot_on_compact(r, ev->index); break;
    case RAFT_RESTORED: snapshot_on_restored(r, ev); break;
    case RAFT_TRANSFER: transfer_begin(r, ev->peer); break;
    case RAFT_UNREACHABLE: replicate_on_unreachable(r, ev->peer, ev->rejected); break;
    case RAFT_SNAPSHOT_SENT: snapshot_on_sent(r, ev); break;
    case RAFT_DISK_FULL: election_on_disk_full(r, ev->full); break;
    case RAFT_FOUNDING: election_on_founding(r); break;
    case RAFT_CHANGE: change_begin(r, ev->config); break;
    case RAFT_SUPPORT: fortify_on_support(r, ev->peer); break;
    case RAFT_MEMORY: election_on_memory(r, ev->full); break;
    case RAFT_RECOVER: recover_begin(r); break;
    }
}

static void actions_clear(struct raft_actions *out)
{
    out->send.count = out->send_after_save.count = 0; /* the items are large: leave them */
    out->save = NULL;
    out->truncate_from = 0;
    out->append.from = out->append.to = out->apply.from = out->apply.to = 0;
    out->read_count = 0;
    out->snapshot_to = 0;
    out->events = 0;
}

err raft_step(struct raft *r, const struct raft_event *ev, struct raft_actions *out)
{
    actions_clear(out);
    err e = admit(r, ev);
    if (e) return e;

    replica_id leader = r->election.leader;
    u64 commit = r->marks.commit;
    r->now = u64_max(r->now, ev->now);
    r->out = out;
    r->more = false;
    r->room = ev->room;
    r->refused_entries = false;

    dispatch(r, ev);
    bool open = r->membership.previous || r->membership.quorum.outgoing;
    if (r->marks.commit != commit || open) change_advance(r, commit);
    if (r->election.role == RAFT_LEADER) replicate_pump(r);
    read_finish_step(r);
    commit_finish_step(r);
    replicate_finish_step(r);
    fortify_finish_step(r);
    if (r->election.role != RAFT_LEADER) replicate_done(r);
    election_finish_step(r);
    out->save = election_to_save(r);
    if (r->election.leader != leader) out->events |= RAFT_LEADER_CHANGED;

    r->out = NULL;
    return OK;
}

nanos raft_deadline(const struct raft *r)
{
    if (r->more) return r->now;
    nanos due = fortify_deadline(r);
    if (r->election.role != RAFT_LEADER) return u64_min(due, r->election.deadline);
    due = u64_min(due, u64_min(r->leading.heartbeat_due, read_deadline(r)));
    return r->transfer.target ? u64_min(due, r->transfer.deadline) : due;
}

bool raft_is_leader(const struct raft *r)
{
    return r->election.role == RAFT_LEADER;
}
enum raft_role raft_role(const struct raft *r)
{
    return r->election.role;
}
u64 raft_term(const struct raft *r)
{
    return own_term(r);
}
replica_id raft_leader(const struct raft *r)
{
    return r->election.leader;
}
struct log_pos raft_last(const struct raft *r)
{
    return r->tail.last;
}
struct log_pos raft_first(const struct raft *r)
{
    return r->tail.base;
}
u64 raft_commit(const struct raft *r)
{
    return r->marks.commit;
}
u64 raft_durable(const struct raft *r)
{
    return r->marks.durable;
}
bool raft_is_volatile(const struct raft *r)
{
    return r->election.hard.memory || r->election.saved_memory;
}
bool raft_counts_memory(const struct raft *r)
{
    return commit_counts_memory(r);
}
struct raft_recovery_status raft_recovery_status(const struct raft *r)
{
    return r->recovering.status;
}
u64 raft_term_at(const struct raft *r, u64 index)
{
    return tail_term_at(&r->tail, index);
}
const struct raft_entry *raft_entry_at(const struct raft *r, u64 index)
{
    return tail_at(&r->tail, index);
}
const struct raft_config *raft_config(const struct raft *r)
{
    return &r->membership.config;
}
u64 raft_config_index(const struct raft *r)
{
    return membership_index(&r->membership);
}
void raft_config_at(const struct raft *r, u64 index, struct raft_config *out)
{
    membership_at(r, index, out);
}
bool raft_config_before(const struct raft *r, struct raft_config *out)
{
    if (!r->membership.change_count) return false;
    membership_at(r, membership_index(&r->membership) - 1, out);
    return true;
}
bool raft_is_removed(const struct raft *r)
{
    return r->election.removed;
}
bool raft_is_abandoned(const struct raft *r)
{
    return r->abandoned;
}
const struct raft_hard_state *raft_hard_state(const struct raft *r)
{
    return &r->election.hard;
}
u64 raft_tail_bytes(const struct raft *r)
{
    return r->tail.last_bytes - r->tail.base_bytes;
}

void raft_pressure(const struct raft *r, struct raft_pressure *out)
{
    *out = (struct raft_pressure){.uncommitted_bytes = replicate_uncommitted_bytes(r),
                                  .reads_waiting = r->reads.count,
                                  .reads_waiting_max = RAFT_READS_WAITING_MAX,
                                  .windows_of_messages = r->leading.windows_of_messages,
                                  .windows_of_bytes = r->leading.windows_of_bytes};
}

bool raft_peer_status(const struct raft *r, replica_id peer, struct raft_peer_status *out)
{
    u32 slot = membership_slot(&r->membership, peer);
    if (r->election.role != RAFT_LEADER || slot == NO_SLOT || slot == r->membership.self)
        return false;
    const struct progress *p = &r->leading.peers[slot];
    *out = (struct raft_peer_status){
        .match = p->match,
        .next = p->next,
        .state = (u32)p->state,
        .inflight = p->ring_count,
        .inflight_bytes = p->inflight_bytes,
        .heard_at = replicate_heard_at(r, slot),
        .impaired = p->impaired,
        .caught_up = change_is_caught_up(r, slot, r->now),
        .catch_up_rounds = p->catching_up.rounds,
    };
    return true;
}

u32 raft_replicas_with(const struct raft *r, u64 index)
{
    u32 count = 0;
    if (r->election.role != RAFT_LEADER) return 0;
    for (u32 slot = 0; slot < r->membership.count; slot++) {
        const struct progress *p = &r->leading.peers[slot];
        if (slot == r->membership.self || !membership_is_voter(&r->membership, slot)) continue;
        if (!p->impaired && p->match >= index) count++;
    }
    return count;
}

bool raft_is_read_only(const struct raft *r)
{
    return r->election.role == RAFT_LEADER && replicate_is_read_only(r) && !transfer_is_likely(r);
}

static void check_leader(const struct raft *r)
{
    assert(r->election.leader == r->options.self);
    assert(r->leading.term_start <= r->tail.last.index);
    assert(r->tail.last.term == own_term(r)); /* its no-op at least */
    assert(!r->election.hard.impaired || r->election.by_recovery);
    assert(!r->membership.previous || membership_index(&r->membership) <= r->tail.last.index);
    for (u32 slot = 0; slot < r->membership.count; slot++)
        if (slot != r->membership.self) progress_check(&r->leading.peers[slot], r->tail.last.index);
}

void raft_check(const struct raft *r)
{
    const struct marks *k = &r->marks;
    const struct tail *t = &r->tail;
    const struct election *e = &r->election;

    assert(t->base.index <= k->applied);
    assert(k->applied <= k->applying);
    assert(k->applying <= k->commit);
    assert(k->applying <= k->counted);
    assert(k->durable <= k->counted);
    assert(k->counted <= k->staged);
    assert(k->staged <= t->last.index);
    assert(k->commit <= t->last.index);
    assert(t->last.term <= e->hard.term);
    assert(r->following.matched <= t->last.index);
    assert(e->saved_term <= e->hard.term);
    assert(r->reads.refused <= r->reads.count);
    assert(r->reads.confirmed <= r->reads.round);
    assert(e->role != RAFT_FOLLOWER || r->reads.count == r->reads.refused);

    assert(!r->membership.previous || e->role == RAFT_LEADER);
    assert(membership_index(&r->membership) <= t->last.index || !r->membership.change_count);
    /* Terms do not go back: the newest entries; tail_append asserts it for each. */
    u64 from = t->last.index > t->base.index + 16 ? t->last.index - 16 : t->base.index;
    for (u64 i = from; i < t->last.index; i++) assert(tail_term_at(t, i) <= tail_term_at(t, i + 1));
    if (e->role == RAFT_LEADER) check_leader(r);
    if (e->role == RAFT_CANDIDATE) assert(e->hard.vote == r->options.self);
    assert(e->role == RAFT_LEADER || e->deadline != NANOS_NEVER || r->fortify.promise.leader);
}
