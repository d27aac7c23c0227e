/* Handing leadership over (§3.10): take no more proposals, wait until the target's disk has the
 * whole log, tell it to campaign at once. Its requests override the promise not to vote, so from
 * the moment TIMEOUT_NOW leaves this leader may rely on no lease in this term again; if nothing
 * comes of it, it steps down. */
#include "raft/raft_internal.h"

err transfer_check(const struct raft *r, replica_id target)
{
    u32 slot = membership_slot(&r->membership, target);
    if (r->election.role != RAFT_LEADER) return ERR_STALE;
    if (slot == NO_SLOT || slot == r->membership.self) return ERR_INVALID;
    if (!membership_is_voter(&r->membership, slot)) return ERR_INVALID;
    if (r->leading.peers[slot].impaired) return ERR_INVALID;
    if (r->transfer.target && r->transfer.target != target) return ERR_FULL; /* one at a time */
    return OK;
}

static void ask_target(struct raft *r)
{
    struct transfer *x = &r->transfer;
    struct raft_message *m = raft_message_to(r, &r->out->send, RAFT_TIMEOUT_NOW, x->target);
    m->prev = r->tail.last;
    x->void_lease_term = own_term(r);
}

static bool has_asked(const struct raft *r)
{
    return r->transfer.void_lease_term == own_term(r);
}

void transfer_continue(struct raft *r)
{
    struct transfer *x = &r->transfer;
    if (!x->target || has_asked(r)) return;
    u32 slot = membership_slot(&r->membership, x->target);
    if (r->leading.peers[slot].impaired) return;
    if (r->leading.peers[slot].match < r->tail.last.index) return;
    TRACE(r, "%u has the whole log -> tell it to campaign", x->target);
    ask_target(r);
}

void transfer_begin(struct raft *r, replica_id target)
{
    struct transfer *x = &r->transfer;
    if (x->target == target) return;
    TRACE(r, "transfer to %u -> no proposals", target);
    x->target = target;
    x->deadline = r->now + r->options.election_timeout_max;
    assert(!has_asked(r)); /* that transfer would have ended this leadership */
    transfer_continue(r);
}

void transfer_forget(struct raft *r)
{
    r->transfer.target = 0;
}

/* This leader's last act: whoever has most of the log should campaign at once. */
void transfer_leave(struct raft *r)
{
    replica_id best = 0;
    u64 most = 0;
    for (u32 slot = 0; slot < r->membership.count; slot++) {
        const struct progress *p = &r->leading.peers[slot];
        if (slot == r->membership.self || !membership_is_voter(&r->membership, slot)) continue;
        if (p->full || p->impaired || p->match < most) continue;
        best = r->membership.ids[slot];
        most = p->match + 1;
    }
    if (!best || !outbox_has_room(&r->out->send)) return;
    TRACE(r, "no member any more -> %u should campaign", best);
    r->transfer.target = best;
    ask_target(r);
}

bool transfer_is_likely(const struct raft *r)
{
    return r->election.disk_full && r->now < r->election.full_since + 2 * r->options.election_timeout_max &&
           joint_has(r->membership.quorum, replicate_roomy_others(r));
}

/* With a full disk: can the others commit without this one, and is that not what they said before it filled up? They
 * fill up together when they share a disk. */
static bool others_have_space(const struct raft *r)
{
    if (r->now < r->election.full_since + 2 * r->options.heartbeat_every) return false;
    return joint_has(r->membership.quorum, replicate_roomy_others(r));
}

/* A leader whose disk is full can only serve reads, and one whose disk stands still applies
 * nothing, though the others could: hand over to the most advanced of them. A stalled disk is
 * judged against theirs, so that nothing moves when all stand still. */
static void hand_over_if_disk_fails(struct raft *r)
{
    bool full = r->election.disk_full;
    replica_id best = 0;
    u64 most = full ? 0 : r->marks.durable + 1;

    if (!full && MUTANT(leads_with_a_stalled_disk)) return;
    if (r->transfer.target || (full ? !others_have_space(r) : !commit_disk_is_stalled(r))) return;
    for (u32 slot = 0; slot < r->membership.count; slot++) {
        const struct progress *p = &r->leading.peers[slot];
        if (slot == r->membership.self || !membership_is_voter(&r->membership, slot)) continue;
        if (p->full || p->impaired || !replicate_heard_recently(r, slot)) continue;
        if (p->match < most || (full && p->acked_sent <= r->election.full_since)) continue;
        best = r->membership.ids[slot];
        most = p->match + 1;
    }
    if (!best) return;
    TRACE(r, "own disk %s, that of %u works -> hand over", full ? "is full" : "stands still", best);
    transfer_begin(r, best);
}

void transfer_on_tick(struct raft *r)
{
    struct transfer *x = &r->transfer;
    if (x->target && r->now >= x->deadline) {
        if (has_asked(r)) {
            election_step_down(r, "transfer timed out after the target was told");
            return;
        }
        TRACE(r, "%u did not catch up in time -> no transfer", x->target);
        x->target = 0;
    }
    if (r->now < r->leading.heartbeat_due) return;
    if (x->target && has_asked(r)) ask_target(r); /* the first may be lost */
    hand_over_if_disk_fails(r);
}

void transfer_on_timeout_now(struct raft *r, const struct raft_message *m)
{
    const struct tail *t = &r->tail;
    bool has_last = m->prev.index <= t->base.index ||
                    (tail_has(t, m->prev.index) && tail_term_at(t, m->prev.index) == m->prev.term);
    if (r->election.leader != m->from || !election_may_campaign(r) || !has_last) {
        TRACE(r, "%u says campaign, but it does not lead, or we cannot -> ignore", m->from);
        return;
    }
    election_campaign(r, true);
}
