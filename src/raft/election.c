/* Who leads: terms, votes and their timers. Pre-vote (§9.6) keeps a returning replica from raising
 * the term of a healthy cluster; a replica that hears a live leader ignores votes, and does not
 * even adopt their term, so that leases hold (§6.4.1) and nobody can disturb (§4.2.3). A vote is a
 * promise: it leaves only after the hard state that remembers it (send_after_save), our own
 * included: the candidate counts itself when the host reports RAFT_SAVED. */
#include "raft/raft_internal.h"

#include "base/hash.h"

static const u32 may_become[RAFT_ROLES] = {
    [RAFT_FOLLOWER] = BIT(RAFT_PRECANDIDATE) | BIT(RAFT_CANDIDATE),
    [RAFT_PRECANDIDATE] = BIT(RAFT_FOLLOWER) | BIT(RAFT_PRECANDIDATE) | BIT(RAFT_CANDIDATE),
    [RAFT_CANDIDATE] = BIT(RAFT_FOLLOWER) | BIT(RAFT_PRECANDIDATE) | BIT(RAFT_LEADER),
    [RAFT_LEADER] = BIT(RAFT_FOLLOWER),
};

static void draw_deadline(struct raft *r)
{
    struct election *e = &r->election;
    const struct raft_options *o = &r->options;
    nanos wait = prng_between(&r->prng, o->election_timeout_min, o->election_timeout_max);

    if (MUTANT(election_timeout_not_random)) wait = o->election_timeout_min;
    /* A full disk takes little more than the no-op: let another replica go first. */
    if (e->disk_full) wait += o->election_timeout_max;
    e->deadline = r->now + wait;
}

static void become(struct raft *r, enum raft_role role)
{
    struct election *e = &r->election;
    assert(may_become[e->role] & BIT(role));

    enum raft_role was = e->role;
    e->role = role;
    e->granted = e->refused = 0;
    e->leader = 0;
    if (role == RAFT_FOLLOWER) {
        e->by_recovery = false;
        if (was != RAFT_PRECANDIDATE && r->out) r->out->events |= RAFT_STEPPED_DOWN;
        draw_deadline(r);
    }
    if (was == RAFT_LEADER) {
        fortify_leave(r);
        transfer_forget(r);
        read_refuse_all(r);
        membership_end_change(r);
    }
}

static void new_term(struct raft *r, u64 term, replica_id vote)
{
    struct election *e = &r->election;
    assert(term > e->hard.term || MUTANT(snapshot_lowers_term));
    e->hard.term = term;
    e->hard.vote = MUTANT(vote_not_saved) ? 0 : vote;
    e->hard.accepts = false;
    e->hard_changed = true;
    append_forget_leader(r);
}

/* Also when no configuration here says that this replica is a voter: the candidate may know a newer
 * one, and counts by it (§4.1). */
static bool may_vote(const struct raft *r)
{
    return !r->election.hard.impaired || MUTANT(impaired_replica_votes);
}

bool election_may_campaign(const struct raft *r)
{
    if (r->election.removed) return false;
    if (!may_vote(r)) return false;
    return membership_is_voter(&r->membership, r->membership.self) ||
           (membership_may_still_vote(r) && !MUTANT(who_leaves_never_campaigns));
}

void election_boot_hard_state(struct raft *r, const struct raft_hard_state *hs)
{
    r->election.hard = *hs;
}

void election_boot(struct raft *r, nanos booted_at)
{
    struct election *e = &r->election;
    r->now = booted_at;
    e->life = hash_mix(prng_next(&r->prng), booted_at) | 1;
    e->saved_term = e->hard.term;
    e->saved_memory = e->hard.memory;
    if (e->hard.memory && !e->hard.impaired && !MUTANT(memory_replica_votes_after_crash))
        e->hard.impaired = e->hard.votes_kept = true; /* entries it acknowledged may be lost; votes are not */
    if (e->hard.term < r->tail.last.term) {
        /* A log newer than the hard state: the latter, and the votes in it, were lost. */
        e->hard = (struct raft_hard_state){.term = r->tail.last.term, .impaired = true};
        e->hard_changed = true;
    }
    e->role = RAFT_FOLLOWER;

    /* Before it died this replica may have acknowledged a leader that still counts on the
     * silence. */
    if (!MUTANT(vote_right_after_restart)) e->votes_from = booted_at + r->options.lease;
    draw_deadline(r);
    bool always = config_is_founded(&r->membership.config) || MUTANT(sole_voter_leads_at_once);
    if (always && membership_is_sole_voter(&r->membership)) e->deadline = booted_at; /* nobody to wait for */
}

/* Ask every other voter. A real candidacy's requests wait for the own vote on disk. */
static void ask_votes(struct raft *r, bool pre)
{
    const struct membership *ms = &r->membership;
    bool at_once = pre || MUTANT(candidacy_before_saved);
    struct raft_outbox *outbox = at_once ? &r->out->send : &r->out->send_after_save;

    for (u32 slot = 0; slot < ms->count; slot++) {
        if (slot == ms->self || !membership_is_voter(ms, slot)) continue;
        struct raft_message *m = raft_message_to(r, outbox, RAFT_VOTE, ms->ids[slot]);
        m->term = own_term(r) + (pre ? 1 : 0);
        m->pre = pre;
        m->transfer = r->election.by_transfer;
        m->recover = r->election.by_recovery;
        m->prev = r->tail.last;
    }
}

static void count_votes(struct raft *r)
{
    struct election *e = &r->election;
    struct joint q = r->membership.quorum;
    if (MUTANT(joint_election_by_old_half_only) && q.outgoing)
        q = (struct joint){.voters = q.outgoing};
    if (joint_has(q, e->granted)) {
        if (e->role == RAFT_PRECANDIDATE) {
            election_campaign(r, false);
        } else {
            TRACE(r, "quorum of votes in term %" PRIu64 " -> lead", own_term(r));
            become(r, RAFT_LEADER);
            e->leader = r->options.self;
            r->out->events |= RAFT_BECAME_LEADER;
            replicate_start(r);
        }
    } else if (joint_lost(q, e->refused)) {
        TRACE(r, "refused by a quorum in term %" PRIu64 " -> follow", own_term(r));
        become(r, RAFT_FOLLOWER);
    }
}

static void campaign_before_voting(struct raft *r)
{
    struct election *e = &r->election;
    if (MUTANT(no_prevote)) {
        election_campaign(r, false);
        return;
    }
    TRACE(r, "no leader, election timeout -> pre-vote for term %" PRIu64, own_term(r) + 1);
    become(r, RAFT_PRECANDIDATE);
    e->by_transfer = e->by_recovery = false;
    e->granted = BIT(r->membership.self); /* a pre-vote promises nothing, so nothing is saved */
    draw_deadline(r);
    ask_votes(r, true);
    count_votes(r);
}

/* A replica that nobody sends to any more may have been removed without hearing of it, and one that
 * may not campaign would never learn. A leader answers this pre-vote with REMOVED; grants are not
 * counted. */
static void ask_whether_member(struct raft *r)
{
    if (r->election.removed || election_may_campaign(r)) return;
    r->election.by_transfer = false;
    ask_votes(r, true);
}

void election_on_removed(struct raft *r, const struct raft_message *m)
{
    struct election *e = &r->election;
    if (e->removed || e->role == RAFT_LEADER) return;
    TRACE(r, "%u says that entry %" PRIu64 " removed this replica -> it is no member any more",
          m->from, m->prev.index);
    e->removed = true;
    if (e->role != RAFT_FOLLOWER) become(r, RAFT_FOLLOWER);
    r->out->events |= RAFT_TOLD_REMOVED;
}

void election_members_changed(struct raft *r)
{
    struct election *e = &r->election;
    if (e->role == RAFT_PRECANDIDATE || e->role == RAFT_CANDIDATE) become(r, RAFT_FOLLOWER);
}

void election_campaign(struct raft *r, bool by_transfer)
{
    struct election *e = &r->election;
    assert(election_may_campaign(r) || e->by_recovery);
    fortify_end_promise(r);
    if (e->role == RAFT_CANDIDATE) e->role = RAFT_PRECANDIDATE; /* only without pre-vote */
    become(r, RAFT_CANDIDATE);
    new_term(r, own_term(r) + 1, r->options.self);
    e->by_transfer = by_transfer;
    e->hard.accepts = e->by_recovery && e->hard.impaired;
    if (MUTANT(candidacy_before_saved)) e->granted = BIT(r->membership.self);
    TRACE(r, "campaign in term %" PRIu64 " with log " POS "%s", own_term(r), POS_ARG(r->tail.last),
          by_transfer      ? ", asked by the leader"
          : e->by_recovery ? ", the rest is given up"
                           : "");
    draw_deadline(r);
    ask_votes(r, false);
}

/* Like a pre-vote, but everybody who answers is waited for: the longest log among them shall lead. */
void election_ask_for_recovery(struct raft *r)
{
    struct election *e = &r->election;
    TRACE(r, "an operator gives up what no log has -> ask for term %" PRIu64, own_term(r) + 1);
    become(r, RAFT_PRECANDIDATE);
    e->by_transfer = false;
    e->by_recovery = true;
    e->granted = BIT(r->membership.self);
    draw_deadline(r);
    ask_votes(r, true);
}

void election_give_up(struct raft *r)
{
    if (r->election.role == RAFT_FOLLOWER)
        draw_deadline(r);
    else
        become(r, RAFT_FOLLOWER);
}

void election_on_tick(struct raft *r)
{
    struct election *e = &r->election;
    if (e->role == RAFT_LEADER || r->now < e->deadline) return;
    if (fortify_holds(r) && !MUTANT(campaigns_against_supported_leader)) {
        e->deadline = NANOS_NEVER; /* until the support is withdrawn, or the leader releases us */
        return;
    }
    /* A disk that does not answer must not raise the term again and again: its votes never leave. */
    bool saved = election_is_saved(r) || MUTANT(campaigns_with_unsaved_term);
    if (e->by_recovery || (recover_is_wanted(r) && saved)) {
        recover_on_tick(r);
        return;
    }
    if (election_may_campaign(r) && saved) {
        campaign_before_voting(r);
        return;
    }
    TRACE(r, "election timeout, but %s -> wait",
          !saved             ? "the last term is not on disk"
          : e->removed       ? "removed"
          : e->hard.impaired ? "impaired"
                             : "not a voter");
    e->leader = 0;
    draw_deadline(r);
    ask_whether_member(r);
}

/* The candidate's log must hold everything this replica may have helped to commit (§5.4.1 of the
 * paper, §3.6.1): later last term, or the same and no shorter. */
static bool log_is_current(const struct raft *r, struct log_pos candidate)
{
    struct log_pos own = r->tail.last;
    if (MUTANT(vote_without_log_check)) return true;
    if (r->election.hard.votes_kept && MUTANT(recover_takes_shorter_log)) return true;
    if (MUTANT(log_compared_by_index_first) && candidate.index != own.index)
        return candidate.index > own.index;
    return !log_pos_after(own, candidate);
}

static const char *why_refuse(const struct raft *r, const struct raft_message *m)
{
    const struct election *e = &r->election;
    if (!may_vote(r) && !recover_lets_vote(r, m)) return "impaired";
    if (m->pre) {
        if (m->term <= own_term(r)) return "old term";
    } else {
        if (m->term < own_term(r)) return "old term";
        bool spoken_for = e->hard.vote != 0 && e->hard.vote != m->from;
        if (spoken_for && !MUTANT(two_votes_in_a_term)) return "voted for another";
        if (MUTANT(repeated_vote_refused) && e->hard.vote == m->from) return "voted already";
    }
    if (!log_is_current(r, m->prev)) return "log behind";
    return NULL;
}

static void answer_vote(struct raft *r, const struct raft_message *m)
{
    struct election *e = &r->election;
    const char *refuse = why_refuse(r, m);
    bool at_once = m->pre || MUTANT(vote_leaves_before_saved);

    TRACE(r, "%s of %u for term %" PRIu64 ": %s (" POS " against own " POS ") -> %s",
          m->pre ? "pre-vote" : "vote", m->from, m->term, refuse ? refuse : "log current",
          POS_ARG(m->prev), POS_ARG(r->tail.last), refuse ? "refuse" : "grant");

    if (!refuse && !m->pre) {
        e->hard.vote = MUTANT(vote_not_saved) ? 0 : m->from;
        e->hard.accepts = m->recover && e->hard.impaired;
        e->hard_changed = true;
        fortify_end_promise(r);
        draw_deadline(r); /* only a granted vote gives the candidate time (§3.4) */
    }
    struct raft_outbox *outbox = at_once ? &r->out->send : &r->out->send_after_save;
    struct raft_message *reply = raft_message_to(r, outbox, RAFT_VOTE_REPLY, m->from);
    reply->pre = m->pre;
    reply->granted = !refuse;
    reply->recover = m->recover;
    if (m->recover && refuse) reply->hint = r->tail.last;
    if (m->pre && !refuse) reply->term = m->term;
}

void election_on_vote(struct raft *r, const struct raft_message *m)
{
    struct election *e = &r->election;
    bool promised = r->now < e->votes_from || e->role == RAFT_LEADER || fortify_forbids_vote(r, m);

    if (promised && !m->transfer && !MUTANT(vote_against_live_leader)) {
        TRACE(r, "%s of %u for term %" PRIu64 ": a leader is, or may be, alive -> ignore",
              m->pre ? "pre-vote" : "vote", m->from, m->term);
        return;
    }
    if (m->term > own_term(r) && (!m->pre || MUTANT(prevote_raises_term)))
        election_adopt_term(r, m->term, m->from);
    answer_vote(r, m);
}

void election_on_vote_reply(struct raft *r, const struct raft_message *m, u32 from)
{
    struct election *e = &r->election;
    bool counts;

    if (m->pre)
        counts = e->role == RAFT_PRECANDIDATE && m->recover == e->by_recovery &&
                 (!m->granted || m->term == own_term(r) + 1);
    else
        counts = e->role == RAFT_CANDIDATE &&
                 (m->term == own_term(r) || MUTANT(old_vote_reply_counted));
    if (!counts) {
        TRACE(r, "vote reply of %u for term %" PRIu64 ": not asking that -> ignore", m->from,
              m->term);
        return;
    }
    if (MUTANT(vote_counted_twice) && m->granted && (e->granted & BIT(from)))
        e->granted |= ~e->granted & (e->granted + 1);
    if (m->granted)
        e->granted |= BIT(from);
    else
        e->refused |= BIT(from);
    if (m->pre && e->by_recovery)
        recover_count(r, m, from);
    else
        count_votes(r);
}

void election_on_saved(struct raft *r, u64 term)
{
    struct election *e = &r->election;
    assert(term <= own_term(r) || MUTANT(snapshot_lowers_term));
    e->saved_term = u64_max(e->saved_term, term);
    if (e->role != RAFT_CANDIDATE || term != own_term(r)) return;
    e->granted |= BIT(r->membership.self); /* a candidate's first save in its term is its vote */
    count_votes(r);
}

void election_adopt_term(struct raft *r, u64 term, replica_id because_of)
{
    struct election *e = &r->election;
    assert(term > own_term(r));
    TRACE(r, "term %" PRIu64 " of %u is newer than %" PRIu64 " -> adopt it", term, because_of,
          own_term(r));
    new_term(r, term, 0);
    if (MUTANT(leader_keeps_role_in_newer_term) && e->role == RAFT_LEADER) return;
    if (e->role != RAFT_FOLLOWER) become(r, RAFT_FOLLOWER);
    e->leader = 0;
    if (MUTANT(timer_reset_by_any_term)) draw_deadline(r);
}

void election_raise_term(struct raft *r, u64 term)
{
    if (MUTANT(snapshot_lowers_term) ? term != own_term(r) : term > own_term(r)) {
        new_term(r, term, 0);
        if (r->election.role != RAFT_FOLLOWER) become(r, RAFT_FOLLOWER);
        r->election.leader = 0;
    }
}

void election_follow(struct raft *r, replica_id leader)
{
    struct election *e = &r->election;
    assert(e->role != RAFT_LEADER); /* else two leaders share a term */
    if (e->role != RAFT_FOLLOWER) become(r, RAFT_FOLLOWER);
    assert(e->leader == 0 || e->leader == leader);
    if (e->leader != leader) TRACE(r, "leader of term %" PRIu64 " is %u", own_term(r), leader);
    e->leader = leader;
    recover_followed(r);
    e->votes_from = u64_max(e->votes_from, r->now + r->options.lease);
    fortify_follow(r, leader);
    if (fortify_rests(r) && !MUTANT(campaigns_against_supported_leader))
        e->deadline = NANOS_NEVER;
    else
        draw_deadline(r);
}

void election_rest(struct raft *r)
{
    assert(r->election.role == RAFT_FOLLOWER);
    if (!MUTANT(campaigns_against_supported_leader)) r->election.deadline = NANOS_NEVER;
}

/* Everybody who followed wakes at about the same time, and needs the others' nodes to have given up as well. */
void election_wake(struct raft *r)
{
    struct election *e = &r->election;
    const struct raft_options *o = &r->options;
    nanos most = o->election_timeout_max - o->election_timeout_min;

    if (e->deadline != NANOS_NEVER || e->role == RAFT_LEADER) return;
    nanos wait = prng_between(&r->prng, u64_min(o->heartbeat_every / 3, most / 4), most);
    if (e->disk_full) wait += o->election_timeout_max;
    e->deadline = u64_max(r->now, e->votes_from) + wait;
}

void election_step_down(struct raft *r, const char *why)
{
    assert(r->election.role == RAFT_LEADER);
    TRACE(r, "%s -> step down in term %" PRIu64, why, own_term(r));
    become(r, RAFT_FOLLOWER);
}

void election_heal(struct raft *r)
{
    struct election *e = &r->election;
    assert(e->hard.impaired);
    assert(e->leader != 0);
    TRACE(r, "refilled by leader %u -> healed, and its voter in term %" PRIu64, e->leader,
          own_term(r));
    e->hard.impaired = e->hard.votes_kept = e->hard.accepts = false;
    e->hard.vote = e->leader; /* whoever had the lost vote of this term did not need it */
    e->hard_changed = true;
    r->out->events |= RAFT_HEALED;
}

void election_on_founding(struct raft *r)
{
    struct election *e = &r->election;
    if (!e->hard.impaired || r->tail.last.index > 0) return;
    if (e->hard.votes_kept && e->hard.term > 0) return; /* it lost what was in memory: not so blank after all */
    TRACE(r, "every member is blank -> a new cluster, this replica may vote");
    e->hard.impaired = e->hard.votes_kept = e->hard.accepts = false;
    e->hard_changed = true;
    r->out->events |= RAFT_HEALED;
    if (membership_is_sole_voter(&r->membership)) e->deadline = r->now;
}

void election_on_disk_full(struct raft *r, bool full)
{
    if (r->election.disk_full == full) return;
    TRACE(r, full ? "disk full -> write only what finds room" : "disk has room again");
    if (full) r->election.full_since = r->now;
    r->election.disk_full = full;
    if (full) append_report(r);
}

void election_impair(struct raft *r)
{
    struct election *e = &r->election;
    assert(e->role == RAFT_FOLLOWER);
    e->hard.impaired = true;
    e->hard.votes_kept = e->hard.accepts = false;
    e->hard_changed = true;
}

void election_on_memory(struct raft *r, bool wanted)
{
    if (r->election.wants_memory != wanted) TRACE(r, "entries count %s", wanted ? "in memory" : "on disk");
    r->election.wants_memory = wanted;
}

/* The flag goes up before anything counts in memory; when it goes down, what counted so lies before it in the log on disk. Each
 * only when the one before is saved, so that what is on disk is never older than what counts. */
void election_finish_step(struct raft *r)
{
    struct election *e = &r->election;

    if (e->hard.memory != e->saved_memory || e->hard.memory == e->wants_memory) return;
    e->hard.memory = e->wants_memory;
    e->hard_changed = true;
}

bool election_is_saved(const struct raft *r)
{
    return r->election.saved_term == own_term(r) && !r->election.hard_changed;
}

const struct raft_hard_state *election_to_save(struct raft *r)
{
    bool changed = r->election.hard_changed;
    r->election.hard_changed = false;
    return changed ? &r->election.hard : NULL;
}
