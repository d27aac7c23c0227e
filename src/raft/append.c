/* The follower's side of replication (§3.5): compare, cut off only what truly conflicts, append
 * what is new, and say how far this log equals the leader's. An acknowledgement of entries waits
 * for the disk (send_after_save); a heartbeat's answer need not, and promises only what is durable
 * already, so a slow disk costs a follower neither its leader's lease nor its reads. */
#include "raft/raft_internal.h"

static struct raft_message *reply_to(struct raft *r, struct raft_outbox *outbox,
                                     const struct raft_message *m)
{
    struct raft_message *reply = raft_message_to(r, outbox, RAFT_APPEND_REPLY, m->from);
    reply->sent_at = m->sent_at;
    reply->round = m->round;
    reply->prev = m->prev; /* which APPEND this answers */
    reply->impaired = r->election.hard.impaired;
    reply->life = reply->impaired ? r->election.life : 0;
    reply->disk_full = r->election.disk_full;
    reply->full = r->refused_entries || r->room == 0 || reply->disk_full;
    reply->commit = r->marks.commit;
    reply->accepts = reply->impaired && r->election.hard.accepts;
    reply->fortify = fortify_answers(r, m) && !reply->impaired;
    reply->epoch = reply->fortify ? m->epoch : 0;
    return reply;
}

/* The leader is of an older term: our term in the answer makes it step down. */
void append_refuse_stale(struct raft *r, const struct raft_message *m)
{
    TRACE(r, "append of %u in term %" PRIu64 ": old, term is %" PRIu64 " -> refuse", m->from,
          m->term, own_term(r));
    struct raft_message *reply = reply_to(r, &r->out->send_after_save, m);
    reply->rejected = true;
    reply->hint = r->tail.last;
}

static bool is_well_formed(const struct raft_message *m)
{
    u64 term = m->prev.term, index = m->prev.index;
    for (u32 i = 0; i < m->count; i++) {
        struct log_pos pos = m->entries[i].pos;
        if (pos.index != index + 1 || pos.term < term || pos.term > m->term) return false;
        term = pos.term;
        index = pos.index;
    }
    return true;
}

/* Does this log hold prev? Below base it was committed, and every leader has what was committed. */
static bool holds(const struct raft *r, struct log_pos prev)
{
    const struct tail *t = &r->tail;
    if (MUTANT(append_without_prev_check)) return prev.index <= t->last.index;
    if (prev.index < t->base.index) return true;
    if (prev.index > t->last.index) return false;
    if (tail_term_at(t, prev.index) == prev.term) return true;
    assert(prev.index > r->marks.commit); /* a leader lacks a committed entry */
    return false;
}

/* Where the leader should try next: the last entry here that could be in its log, judged by term,
 * so that a long divergence costs a round trip per term and not per entry (§5.3 of the paper). */
static struct log_pos hint_for(const struct raft *r, struct log_pos prev)
{
    const struct tail *t = &r->tail;
    if (prev.index > t->last.index) return t->last;
    u64 index = tail_last_with_term_at_most(t, prev.index, prev.term);
    index = u64_max(index, r->marks.commit);
    return (struct log_pos){tail_term_at(t, index), index};
}

static void reject(struct raft *r, const struct raft_message *m)
{
    struct log_pos hint = hint_for(r, m->prev);
    TRACE(r, "append of %u after " POS ": not in this log -> refuse, hint " POS, m->from,
          POS_ARG(m->prev), POS_ARG(hint));
    struct raft_message *reply = reply_to(r, &r->out->send_after_save, m);
    reply->rejected = true;
    reply->hint = hint;
}

static void truncate_from(struct raft *r, u64 from)
{
    assert(from > r->marks.commit); /* what is committed never goes */
    TRACE(r, "entry " POS " conflicts with the leader's -> cut off entries from %" PRIu64,
          POS_ARG(tail_at(&r->tail, from)->pos), from);
    tail_truncate(&r->tail, from);
    commit_truncated(r, from);
    membership_truncated(r);
    r->out->truncate_from = from;
    r->out->events |= RAFT_TRUNCATED;
}

/* Take the message's entries; returns the index up to which the log now equals the message. */
static u64 take_entries(struct raft *r, const struct raft_message *m)
{
    struct tail *t = &r->tail;
    u32 i = 0;

    for (; i < m->count; i++) { /* what is here already */
        struct log_pos pos = m->entries[i].pos;
        if (MUTANT(append_truncates_always) && pos.index > r->marks.commit) break;
        if (pos.index <= t->base.index) continue;
        if (pos.index > t->last.index || tail_term_at(t, pos.index) != pos.term) break;
    }
    u64 known = m->prev.index + i;
    if (i == m->count) return known;
    u64 room = commit_room(r);
    if (entry_room(&m->entries[i]) <= room) {
        if (m->entries[i].pos.index <= t->last.index) truncate_from(r, m->entries[i].pos.index);
        for (; i < m->count && entry_room(&m->entries[i]) <= room; i++) {
            room -= entry_room(&m->entries[i]);
            tail_append(t, &m->entries[i]);
            membership_appended(r, &m->entries[i]);
            commit_note_entry(r, &m->entries[i]);
        }
        commit_appended(r, m->term);
    }
    known = m->prev.index + i;
    r->refused_entries = i < m->count;
    if (r->refused_entries) TRACE(r, "no room -> refuse entries from %" PRIu64, known + 1);
    return known;
}

/* An impaired replica is whole again once its disk holds all that a leader, confirmed by a quorum
 * without it (m->life), has committed, an entry of that leader's own term included. */
static void heal_if_refilled(struct raft *r, const struct raft_message *m)
{
    if (!r->election.hard.impaired || m->life != r->election.life) return;
    if (r->marks.counted < m->commit || r->following.matched < m->commit) return;
    if (tail_term_at(&r->tail, m->commit) != m->term) return;
    election_heal(r);
}

static void accept(struct raft *r, const struct raft_message *m, u64 covered)
{
    struct following *f = &r->following;
    bool saved = election_is_saved(r);

    f->matched = u64_max(f->matched, covered);
    assert(f->matched <= r->tail.last.index);
    commit_follow(
        r, u64_min(m->commit, MUTANT(follower_commits_own_last) ? r->tail.last.index : covered));
    heal_if_refilled(r, m);
    recover_heal(r);

    /* A term is a promise too: until it is saved even a heartbeat's answer waits. */
    bool memory = commit_counts_memory(r);
    bool at_once = ((m->count == 0 || memory) && saved) || MUTANT(ack_before_durable);
    struct raft_message *reply = reply_to(r, at_once ? &r->out->send : &r->out->send_after_save, m);
    /* With a full disk, entries may sit in the tail that were never given to the host. */
    u64 durable_then = commit_stages_upto(r);
    if (m->count == 0 && saved && !memory) durable_then = r->marks.counted;
    reply->match = u64_min(f->matched, durable_then);
    if (at_once) reply->lag = reply->match - u64_min(reply->match, r->marks.durable);
    reply->hint = (struct log_pos){tail_term_at(&r->tail, f->matched), f->matched};
    if (MUTANT(ack_own_last)) reply->match = r->tail.last.index;
}

/* Was the group recovered since, and to less than is committed here? What is committed here came before the first
 * recovery that this log does not have; whether that leader's log had it, the order of logs says (§5.4.1 of the paper). */
static bool is_abandoned(const struct raft *r, const struct raft_message *m)
{
    struct log_pos own = {tail_term_at(&r->tail, r->marks.commit), r->marks.commit};

    const struct raft_recoveries *known = &r->membership.config.recoveries;
    u64 seen = known->count ? u64_max(own.term, known->items[known->count - 1].term) : own.term;

    for (u32 i = 0; i < m->recoveries.count; i++) {
        const struct raft_recovery *recovery = &m->recoveries.items[i];
        if (recovery->term <= seen || MUTANT(abandoned_history_goes_on)) continue;
        return log_pos_after(own, recovery->kept);
    }
    return false;
}

/* It names nothing that the leader could go on from, so that the leader sends a snapshot when it has one of more. */
static void abandon(struct raft *r, const struct raft_message *m)
{
    if (!r->abandoned) {
        TRACE(r, "the group was recovered to less than " POS " -> take nothing but a snapshot",
              tail_term_at(&r->tail, r->marks.commit), r->marks.commit);
        r->abandoned = true;
        election_impair(r);
        r->out->events |= RAFT_ABANDONED;
    }
    reply_to(r, &r->out->send_after_save, m)->rejected = true;
}

void append_on_message(struct raft *r, const struct raft_message *m)
{
    if (!is_well_formed(m)) {
        TRACE(r, "append of %u: entries out of order -> ignore", m->from);
        return;
    }
    election_follow(r, m->from);
    fortify_on_append(r, m);
    if (is_abandoned(r, m)) {
        abandon(r, m);
        return;
    }
    r->abandoned = false;
    /* Every leader has what was committed before it (§3.6.1), so that much is known without
     * comparing. */
    r->following.matched = u64_max(r->following.matched, r->marks.commit);
    if (holds(r, m->prev))
        accept(r, m, take_entries(r, m));
    else
        reject(r, m);
}

/* A leader that nobody need answer does not ask: it is told of what it would want to know. */
void append_report(struct raft *r)
{
    const struct raft_message unasked = {.from = r->election.leader, .term = own_term(r)};

    if (!fortify_rests(r) || !outbox_has_room(&r->out->send)) return;
    struct raft_message *reply = reply_to(r, &r->out->send, &unasked);
    reply->match = u64_min(r->following.matched, r->marks.counted);
    reply->lag = reply->match - u64_min(reply->match, r->marks.durable);
    reply->hint = (struct log_pos){tail_term_at(&r->tail, r->following.matched), r->following.matched};
}

void append_forget_leader(struct raft *r)
{
    r->following.matched = 0;
}

void append_restored(struct raft *r, u64 index)
{
    r->following.matched = u64_max(r->following.matched, index);
}
