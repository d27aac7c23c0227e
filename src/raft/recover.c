/* An operator's word that loss is accepted. Where entries count in memory (RAFT_MEMORY) and a quorum of replicas has
 * crashed, each of those is impaired: it may lack entries that were acknowledged, nobody can be elected without them, and
 * nothing can tell what is lost. Then somebody has to say that the group shall go on with what is left.
 *
 * The replica that is told so asks all others as in a pre-vote, and waits for all that answer: one with a longer log ends
 * it, as that is the one to ask; a majority of the voters must answer, so that whatever is on the disks of a majority is in
 * the log that goes on (§5.4.1 of the paper, read from disks). It then campaigns, and impaired replicas whose votes are
 * all on disk may grant this one vote: there are no two leaders of a term here either. Its first entry is not a no-op but
 * a configuration that remembers the recovery, and waits for disks in any case. Who granted, and has that entry on disk, is
 * whole again, and so is the leader.
 *
 * Who was not asked may have applied more than was kept. It learns of the recovery from the leader's APPENDs and of no
 * leader that does not know of it: append.c, is_abandoned. */
#include "raft/raft_internal.h"

#define ASK_TIMEOUTS 10u /* messages are lost, and nodes busy after a start */

static u32 count_bits(u32 set)
{
    u32 count = 0;

    for (; set; set &= set - 1) count++;
    return count;
}

static u32 voters(const struct raft *r)
{
    return r->membership.quorum.voters | r->membership.quorum.outgoing;
}

err recover_check(const struct raft *r)
{
    const struct election *e = &r->election;

    if (e->role == RAFT_LEADER || e->leader) return ERR_STALE;
    bool counts = membership_is_voter(&r->membership, r->membership.self) || membership_may_still_vote(r);
    if (e->removed || !counts) return ERR_INVALID; /* who is about to leave may have the longest log (§4.2.2) */
    return e->hard.impaired && !e->hard.votes_kept ? ERR_INVALID : OK;
}

static void end(struct raft *r, enum raft_recovery_state state)
{
    struct recovering *rc = &r->recovering;

    rc->status.state = state;
    rc->until = 0;
}

/* Everybody has answered, or has had the time to. */
static void decide(struct raft *r)
{
    struct recovering *rc = &r->recovering;

    rc->status.heard = count_bits(r->election.granted & voters(r));
    if (joint_has(r->membership.quorum, r->election.granted)) {
        election_campaign(r, false);
        return;
    }
    TRACE(r, "%u of %u voters would go on -> not enough", rc->status.heard, rc->status.of);
    if (r->now >= rc->until) end(r, RAFT_RECOVERY_NO_QUORUM);
    election_give_up(r);
}

static void ask(struct raft *r)
{
    r->recovering.answered = BIT(r->membership.self);
    r->recovering.status.of = count_bits(voters(r));
    election_ask_for_recovery(r);
    if ((voters(r) & ~r->recovering.answered) == 0) decide(r);
}

void recover_begin(struct raft *r)
{
    struct recovering *rc = &r->recovering;

    rc->status = (struct raft_recovery_status){.state = RAFT_RECOVERY_ASKING};
    rc->until = r->now + ASK_TIMEOUTS * r->options.election_timeout_max;
    if (election_is_saved(r) && !fortify_holds(r)) ask(r);
}

bool recover_is_wanted(const struct raft *r)
{
    return r->recovering.until != 0;
}

void recover_on_tick(struct raft *r)
{
    const struct election *e = &r->election;

    if (e->role == RAFT_PRECANDIDATE && e->by_recovery)
        decide(r);
    else if (r->now < r->recovering.until)
        ask(r);
    else {
        end(r, RAFT_RECOVERY_NO_QUORUM);
        election_give_up(r);
    }
}

void recover_count(struct raft *r, const struct raft_message *m, u32 from)
{
    struct recovering *rc = &r->recovering;
    struct log_pos own = r->tail.last, its = m->hint;
    bool longer = log_pos_after(its, own);

    rc->answered |= BIT(from);
    if (!m->granted && longer) {
        TRACE(r, "%u has a longer log, " POS " -> leave it to it", m->from, POS_ARG(its));
        rc->status.longer = m->from;
        end(r, RAFT_RECOVERY_LONGER);
        election_give_up(r);
        return;
    }
    if ((voters(r) & ~rc->answered) == 0) decide(r);
}

void recover_followed(struct raft *r)
{
    if (recover_is_wanted(r)) end(r, RAFT_RECOVERY_HAS_LEADER);
}

bool recover_lets_vote(const struct raft *r, const struct raft_message *m)
{
    return m->recover && r->election.hard.votes_kept;
}

void recover_lead(struct raft *r)
{
    struct raft_config c = r->membership.config;
    struct raft_recovery recovery = {.term = own_term(r), .kept = r->tail.last};

    TRACE(r, "recovered with the log up to " POS, POS_ARG(recovery.kept));
    raft_config_recovered(&c, &recovery);
    change_append_config(r, &c);
    end(r, RAFT_RECOVERY_DONE);
    r->out->events |= RAFT_RECOVERED;
}

/* Its log equals the recovering leader's, the entry that says so is durable, and nothing that it acknowledged before is
 * expected of it any more. */
void recover_heal(struct raft *r)
{
    const struct election *e = &r->election;
    const struct raft_recoveries *l = &r->membership.config.recoveries;

    if (LIKELY(!e->hard.accepts) || !e->hard.impaired || !l->count) return;
    const struct raft_recovery *newest = &l->items[l->count - 1];
    u64 first = newest->kept.index + 1;
    bool leads = e->role == RAFT_LEADER;
    if (newest->term != own_term(r) || e->leader != e->hard.vote || r->marks.durable < first) return;
    if (leads || r->following.matched >= first) election_heal(r);
}
