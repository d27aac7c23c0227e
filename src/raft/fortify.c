/* Doing without heartbeats. A leader whose peer's node supports its own (live/live.h) asks the
 * peer, in the APPENDs it sends anyhow, to rest on that: a fortification is (group, term, epoch of
 * the support). The peer's promise: while its node's support stands in that epoch it neither votes
 * nor campaigns, and owns no timer. It ends by
 *
 *   - withdrawal, which raises the epoch before anybody is told, so that the leader's belief is
 * void;
 *   - a leader of a later term: who elected that one had withdrawn, and every lease needs one of
 * them;
 *   - release by the leader that it was given to, which has left leadership (RAFT_DEFORTIFY,
 * repeated until it is acknowledged or the epoch is another: only then can nothing rest on it any
 * more);
 *   - a vote for that very leader, or one that it asked for (§3.10), for which it gave up its
 * lease.
 *
 * It outlives a change of term: the leader may count on it without knowing. A leader that everybody
 * has fortified, and that has nothing to tell anybody, has no timer either: the group is quiet.
 * Peers that do not fortify (disconnected, impaired, full, behind) get heartbeats as ever. */
#include "raft/raft_internal.h"

#include "base/mem.h"

static struct raft_support support_from(const struct raft *r, replica_id id)
{
    const struct raft_liveness *l = &r->options.liveness;
    return l->from ? l->from(l->context, id) : (struct raft_support){0};
}

static u64 support_given(const struct raft *r, replica_id id)
{
    const struct raft_liveness *l = &r->options.liveness;
    return l->given ? l->given(l->context, id) : 0;
}

/* ---- the follower ---- */

static void forget_promise(struct raft *r)
{
    r->fortify.promise.leader = 0;
}

bool fortify_holds(const struct raft *r)
{
    const struct fortify *f = &r->fortify;
    return f->promise.leader && support_given(r, f->promise.leader) == f->promise.epoch;
}

bool fortify_forbids_vote(const struct raft *r, const struct raft_message *m)
{
    if (MUTANT(vote_against_supported_leader)) return false;
    return fortify_holds(r) && m->from != r->fortify.promise.leader;
}

bool fortify_rests(const struct raft *r)
{
    const struct fortify *f = &r->fortify;
    return fortify_holds(r) && f->promise.term == own_term(r) &&
           f->promise.leader == r->election.leader;
}

void fortify_follow(struct raft *r, replica_id leader)
{
    struct fortify *f = &r->fortify;
    if (f->promise.leader != leader || f->promise.term != own_term(r)) forget_promise(r);
}

void fortify_end_promise(struct raft *r)
{
    forget_promise(r);
}

void fortify_on_append(struct raft *r, const struct raft_message *m)
{
    struct fortify *f = &r->fortify;
    const struct election *e = &r->election;

    if (!m->fortify || e->hard.impaired || e->removed || e->disk_full) return;
    if (m->term <= f->released_term) return; /* a late message of one that has left leadership */
    if (!m->epoch || support_given(r, m->from) != m->epoch) return;
    bool news = f->promise.leader != m->from || f->promise.epoch != m->epoch;
    f->promise.leader = m->from;
    f->promise.term = m->term;
    f->promise.epoch = m->epoch;
    if (news)
        TRACE(r, "leader %u rests on the support of its node in epoch %" PRIx64 " -> no timer",
              m->from, m->epoch);
    election_rest(r);
}

bool fortify_answers(const struct raft *r, const struct raft_message *m)
{
    const struct fortify *f = &r->fortify;
    return m->fortify && m->term == own_term(r) && !r->election.disk_full &&
           f->promise.leader == m->from && f->promise.term == m->term &&
           f->promise.epoch == m->epoch;
}

static void on_withdrawn(struct raft *r)
{
    if (!r->fortify.promise.leader || fortify_holds(r)) return;
    TRACE(r, "support of the node of %u is withdrawn -> campaign soon", r->fortify.promise.leader);
    forget_promise(r);
    election_wake(r);
}

void fortify_on_release(struct raft *r, const struct raft_message *m)
{
    struct fortify *f = &r->fortify;
    u64 term = m->prev.term;

    f->released_term = u64_max(f->released_term, term);
    if (f->promise.leader == m->from && f->promise.term <= term) {
        TRACE(r, "%u has left leadership of term %" PRIu64 " -> campaign soon", m->from, term);
        forget_promise(r);
        election_wake(r);
    }
    if (!outbox_has_room(&r->out->send)) return; /* it repeats itself */
    raft_message_to(r, &r->out->send, RAFT_DEFORTIFY_REPLY, m->from)->prev.term = term;
}

/* ---- the leader ---- */

void fortify_begin(struct raft *r)
{
    r->fortify.led_term = own_term(r);
    forget_promise(r);
}

void fortify_ask(struct raft *r, u32 slot, struct raft_message *m)
{
    struct progress *p = &r->leading.peers[slot];

    if (p->impaired || r->transfer.target || r->transfer.void_lease_term == own_term(r)) return;
    struct raft_support s = support_from(r, r->membership.ids[slot]);
    if (!s.epoch || s.until <= r->now) return;
    m->fortify = true;
    m->epoch = p->asked_epoch = s.epoch;
}

void fortify_on_reply(struct raft *r, u32 slot, const struct raft_message *m)
{
    struct progress *p = &r->leading.peers[slot];

    p->commit = u64_max(p->commit, m->commit);
    p->fortified = m->fortify && !p->impaired ? m->epoch : 0;
}

/* Its node's support of ours, if it has fortified this leader under it. */
static struct raft_support support_of(const struct raft *r, u32 slot)
{
    const struct progress *p = &r->leading.peers[slot];
    struct raft_support none = {0};

    if (!p->fortified || p->impaired) return none;
    struct raft_support s = support_from(r, r->membership.ids[slot]);
    return s.epoch == p->fortified || MUTANT(fortification_of_an_old_epoch_counted) ? s : none;
}

nanos fortify_until(const struct raft *r, u32 slot)
{
    return support_of(r, slot).until;
}

nanos fortify_heard_at(const struct raft *r, u32 slot)
{
    return support_of(r, slot).asked;
}

bool fortify_is_settled(const struct raft *r, u32 slot)
{
    const struct progress *p = &r->leading.peers[slot];
    u64 last = r->tail.last.index;

    if (!p->fortified || p->full || p->disk_full || p->state != PROGRESS_REPLICATE) return false;
    if (p->match != last || p->on_disk != last) return false;
    if (p->commit < r->marks.commit && !MUTANT(quiet_before_commit_is_known)) return false;
    return fortify_until(r, slot) > r->now;
}

/* Nothing to send, nothing to wait for, and everybody will wake up by themselves. */
bool fortify_is_quiet(const struct raft *r)
{
    const struct membership *ms = &r->membership;

    if (!r->options.liveness.from) return false;
    if (r->marks.commit < r->tail.last.index || r->marks.durable < r->tail.last.index) return false;
    if (r->transfer.target || r->transfer.void_lease_term == own_term(r)) return false;
    if (ms->previous || ms->quorum.outgoing || r->election.disk_full || read_is_asking(r))
        return false;
    for (u32 slot = 0; slot < ms->count; slot++)
        if (slot != ms->self && !fortify_is_settled(r, slot)) return false;
    return true;
}

/* ---- leaving leadership ---- */

void fortify_release(struct raft *r, replica_id id, u64 epoch)
{
    struct fortify *f = &r->fortify;

    if (!epoch || MUTANT(leaves_without_releasing)) return;
    u32 at = 0;
    if (!f->releases) f->releases = mem_zalloc_array(RAFT_SLOTS_MAX, sizeof *f->releases);
    while (at < f->release_count && f->releases[at].to != id) at++;
    if (at == RAFT_SLOTS_MAX) {
        memmove(f->releases, f->releases + 1, (RAFT_SLOTS_MAX - 1) * sizeof *f->releases);
        at--;
    } else if (at == f->release_count) {
        f->release_count++;
    }
    f->releases[at].to = id;
    f->releases[at].epoch = epoch;
    f->releases[at].term = f->led_term;
    f->release_due = 0;
}

void fortify_leave(struct raft *r)
{
    for (u32 slot = 0; slot < r->membership.count; slot++) {
        struct progress *p = &r->leading.peers[slot];
        if (slot != r->membership.self) fortify_release(r, r->membership.ids[slot], p->asked_epoch);
        p->asked_epoch = p->fortified = 0;
    }
}

void fortify_done(struct fortify *f)
{
    mem_free(f->releases);
    f->releases = NULL;
}

static void drop_release(struct fortify *f, u32 at)
{
    f->releases[at] = f->releases[--f->release_count];
    if (!f->release_count) fortify_done(f);
}

void fortify_on_release_reply(struct raft *r, const struct raft_message *m)
{
    struct fortify *f = &r->fortify;
    for (u32 i = 0; i < f->release_count; i++)
        if (f->releases[i].to == m->from && f->releases[i].term <= m->prev.term)
            drop_release(f, i--);
}

void fortify_finish_step(struct raft *r)
{
    struct fortify *f = &r->fortify;
    bool reached = false;

    if (LIKELY(!f->release_count) || r->now < f->release_due) return;
    for (u32 i = 0; i < f->release_count; i++) {
        struct raft_support s = support_from(r, f->releases[i].to);
        if (s.epoch != f->releases[i].epoch) { /* its node has withdrawn since, or started again */
            drop_release(f, i--);
            continue;
        }
        if (s.until <= r->now)
            continue; /* it comes free by itself, or the host tells that it is in reach again */
        reached = true;
        if (!outbox_has_room(&r->out->send)) break;
        raft_message_to(r, &r->out->send, RAFT_DEFORTIFY, f->releases[i].to)->prev.term =
            f->releases[i].term;
    }
    f->release_due = reached ? r->now + r->options.heartbeat_every : NANOS_NEVER;
}

nanos fortify_deadline(const struct raft *r)
{
    return r->fortify.release_count ? r->fortify.release_due : NANOS_NEVER;
}

/* ---- what the host tells ---- */

/* A node withdrew our support or began to give it anew: a leader asks at once, so that its lease
 * goes on. */
static void ask_again(struct raft *r, replica_id id)
{
    u32 slot = membership_slot(&r->membership, id);
    if (r->election.role != RAFT_LEADER || slot == NO_SLOT || slot == r->membership.self) return;
    struct raft_support s = support_from(r, id);
    if (!s.epoch || s.until <= r->now || s.epoch == r->leading.peers[slot].fortified) return;
    if (outbox_has_room(&r->out->send)) replicate_heartbeat(r, slot);
}

void fortify_on_support(struct raft *r, replica_id id)
{
    on_withdrawn(r);
    r->fortify.release_due = r->now;
    ask_again(r, id);
}
