/* Changing the members (§4): one change at a time, proposed only after this leader has committed an
 * entry of its own term (else two leaders' changes may decide without a common member; Ongaro's
 * correction of 2015). Learners come and go in one entry, as they do not count. When voters come or
 * go, the entry is a joint configuration (§4.3), in which both halves decide; once it is committed
 * the leader appends the new one alone, whoever began the change. A leader that the new one does
 * not name goes on without counting itself until that is committed, and then hands over. Who left
 * is told so, at once and whenever it asks again, as it may never hear it from the log (§4.2.2). */
#include "raft/raft_internal.h"

#include "base/mem.h"

#include <stdio.h>

#define CATCH_UP_ROUNDS_MAX 10u

/* ---- learners */

bool change_is_caught_up(const struct raft *r, u32 slot, nanos now)
{
    const struct progress *p = &r->leading.peers[slot];
    nanos heard_at = replicate_heard_at(r, slot);
    if (!p->catching_up.done || p->impaired || p->full || !heard_at) return false;
    return now < heard_at + r->options.election_timeout_max;
}

/* A round brings over what the log held when it began; once one takes less than an election
 * timeout, the wait for this replica as a voter would be as short (§4.2.1). */
void change_note_progress(struct raft *r, u32 slot)
{
    struct progress *p = &r->leading.peers[slot];

    if (LIKELY(membership_is_voter(&r->membership, slot))) return;
    const struct raft_member *m = raft_config_find(&r->membership.config, r->membership.ids[slot]);
    if (!m || !(m->roles & RAFT_LEARNER) || p->impaired || p->catching_up.done) return;
    if (p->catching_up.target && p->match < p->catching_up.target) return;
    if (p->catching_up.target) {
        nanos took = r->now - p->catching_up.since;
        p->catching_up.rounds++;
        p->catching_up.done = took < r->options.election_timeout_min;
        if (p->catching_up.done) {
            TRACE(r, "learner %u has caught up in %u rounds", m->id, p->catching_up.rounds);
            r->out->events |= RAFT_CAUGHT_UP;
            return;
        }
        if (p->catching_up.rounds == CATCH_UP_ROUNDS_MAX)
            TRACE(r, "learner %u does not catch up in %u rounds: too slow", m->id,
                  CATCH_UP_ROUNDS_MAX);
    }
    p->catching_up.target = r->tail.last.index;
    p->catching_up.since = r->now;
}

/* ---- what a change would do */

static u8 role_in(const struct raft_config *c, replica_id id)
{
    const struct raft_member *m = raft_config_find(c, id);
    return m ? m->roles : 0;
}

static bool is_known(const u8 incarnation[16])
{
    static const u8 unknown[16];
    return !mem_equal(incarnation, unknown, sizeof unknown);
}

/* May `m` be in the next configuration, judged by its number? */
static bool number_is_right(const struct raft_config *now, const struct raft_member *m)
{
    const struct raft_member *known = raft_config_find(now, m->id);
    if (!known) return m->id >= now->next || MUTANT(replica_number_reused);
    if (known->node != m->node) return false;
    return !is_known(known->incarnation) ||
           mem_equal(known->incarnation, m->incarnation, sizeof m->incarnation);
}

static enum raft_change_reason judge_target(const struct raft_config *now,
                                            const struct raft_config *target,
                                            struct raft_change_plan *plan)
{
    if (target->count == 0 || target->count > RAFT_MEMBERS_MAX) return RAFT_CHANGE_INVALID;
    struct raft_config next = *target;
    next.recoveries = now->recoveries; /* history is not chosen */
    u64 unused = u64_max(now->next, target->members[target->count - 1].id + (u64)1);
    next.next = unused < UINT32_MAX ? (replica_id)unused : 0;
    if (!config_is_valid(&next) || raft_config_is_joint(&next)) return RAFT_CHANGE_INVALID;
    for (u32 i = 0; i < next.count; i++) {
        plan->replica = next.members[i].id;
        if (!number_is_right(now, &next.members[i])) return RAFT_CHANGE_NUMBER_USED;
    }
    plan->replica = 0;
    if (raft_config_equal(now, &next)) return RAFT_CHANGE_SAME;
    /* A number is left out, so that a group that has changed never looks like one that has not: the
     * only member left may have promised others what a founder alone cannot have. */
    if (config_is_founded(&next)) next.next++;
    plan->first = next;
    return RAFT_CHANGE_POSSIBLE;
}

/* The voters that leave stay until both halves have agreed. False: too many at once. */
static bool make_joint(const struct raft_config *now, struct raft_change_plan *plan)
{
    struct raft_config *c = &plan->first;

    for (u32 i = 0; i < c->count; i++)
        plan->joining += c->members[i].roles == RAFT_VOTER &&
                         !(role_in(now, c->members[i].id) & RAFT_VOTER);
    for (u32 i = 0; i < now->count; i++)
        plan->leaving += (now->members[i].roles & RAFT_VOTER) &&
                         role_in(c, now->members[i].id) != RAFT_VOTER;
    plan->joint = plan->joining || plan->leaving;
    for (u32 i = 0; plan->joint && i < now->count; i++) {
        struct raft_member m = now->members[i];
        if (!(m.roles & RAFT_VOTER)) continue;
        const struct raft_member *stays = raft_config_find(c, m.id);
        if (stays) m = *stays;
        m.roles = (u8)((stays ? stays->roles : 0) | RAFT_OUTGOING);
        if (!raft_config_put(c, &m)) return false;
    }
    return true;
}

static bool is_live(const struct raft *r, replica_id id, nanos now)
{
    u32 slot = membership_slot(&r->membership, id);
    if (id == r->options.self) return true;
    if (slot == NO_SLOT) return false;
    const struct progress *p = &r->leading.peers[slot];
    if (!membership_is_voter(&r->membership, slot)) return change_is_caught_up(r, slot, now);
    nanos heard_at = replicate_heard_at(r, slot);
    return !p->impaired && heard_at && now < heard_at + r->options.election_timeout_max;
}

static bool has_quorum_of(const struct raft *r, const struct raft_config *c, u8 role, nanos now,
                          struct raft_change_plan *plan)
{
    plan->of = raft_config_count(c, role);
    plan->live = plan->needed = 0;
    if (plan->of == 0) return true;
    plan->needed = majority_of(plan->of);
    for (u32 i = 0; i < c->count; i++)
        plan->live += (c->members[i].roles & role) && is_live(r, c->members[i].id, now);
    return plan->live >= plan->needed;
}

static enum raft_change_reason judge_leader(const struct raft *r)
{
    const struct membership *m = &r->membership;
    bool open = membership_index(m) > r->marks.commit || raft_config_is_joint(&m->config);

    if (r->election.role != RAFT_LEADER) return RAFT_CHANGE_NOT_LEADER;
    if (r->transfer.target) return RAFT_CHANGE_HANDING_OVER;
    if (!commit_has_own_term(r) && !MUTANT(change_before_own_term_commit))
        return RAFT_CHANGE_TERM_NOT_BEGUN;
    if (MUTANT(change_before_own_term_commit)) open = m->previous != NULL;
    if (open && !MUTANT(second_change_before_first_commits)) return RAFT_CHANGE_UNDER_WAY;
    if (r->election.disk_full) return RAFT_CHANGE_DISK_FULL;
    return RAFT_CHANGE_POSSIBLE;
}

void raft_change_check(const struct raft *r, const struct raft_config *target, nanos now,
                       struct raft_change_plan *out)
{
    const struct raft_config *current = &r->membership.config;

    *out = (struct raft_change_plan){.reason = judge_leader(r)};
    if (out->reason) return;
    out->reason = judge_target(current, target, out);
    if (out->reason) return;
    if (!make_joint(current, out)) {
        out->reason = RAFT_CHANGE_INVALID;
        return;
    }
    out->leader_leaves = !(role_in(&out->first, r->options.self) & RAFT_VOTER);
    bool lives = has_quorum_of(r, &out->first, RAFT_OUTGOING, now, out);
    lives = lives && has_quorum_of(r, &out->first, RAFT_VOTER, now, out);
    if (!lives) out->reason = RAFT_CHANGE_NO_QUORUM;
}

enum raft_change_reason change_refusal(const struct raft *r, const struct raft_config *target,
                                       nanos now)
{
    struct raft_change_plan plan;
    raft_change_check(r, target, now, &plan);
    return plan.reason;
}

void raft_change_text(const struct raft_change_plan *p, char *out, size_t size)
{
    switch (p->reason) {
    case RAFT_CHANGE_POSSIBLE:
        snprintf(out, size, "%s: %u voters come, %u leave, %u of %u are live%s",
                 p->joint ? "in two steps" : "at once", p->joining, p->leaving, p->live, p->of,
                 p->leader_leaves ? "; the leader hands over at the end" : "");
        break;
    case RAFT_CHANGE_SAME: snprintf(out, size, "these are the members already"); break;
    case RAFT_CHANGE_INVALID:
        snprintf(out, size,
                 "no such group can be: 1 to %d members, each voter or learner, at "
                 "least one voter",
                 RAFT_MEMBERS_MAX);
        break;
    case RAFT_CHANGE_NUMBER_USED:
        snprintf(out, size, "replica number %u was given out before, to another node or disk",
                 p->replica);
        break;
    case RAFT_CHANGE_NOT_LEADER: snprintf(out, size, "not the leader"); break;
    case RAFT_CHANGE_HANDING_OVER: snprintf(out, size, "leadership is being handed over"); break;
    case RAFT_CHANGE_UNDER_WAY: snprintf(out, size, "an earlier change is not finished"); break;
    case RAFT_CHANGE_TERM_NOT_BEGUN:
        snprintf(out, size, "this leader has not committed an entry of its term yet");
        break;
    case RAFT_CHANGE_DISK_FULL: snprintf(out, size, "the leader's disk is full"); break;
    case RAFT_CHANGE_NO_QUORUM:
        snprintf(out, size,
                 "would lose its quorum: needs %u of %u voters live and caught up, has "
                 "%u",
                 p->needed, p->of, p->live);
        break;
    }
}

/* ---- doing it */

void change_append_config(struct raft *r, const struct raft_config *c)
{
    struct buf bytes = {0};
    raft_config_encode(c, &bytes);
    struct rcbuf *data = rcbuf_from(buf_str(&bytes));
    buf_done(&bytes);
    replicate_append_own(r, RAFT_CONFIG, data);
    rcbuf_unref(data);
    commit_appended(r, own_term(r));
}

static void append_change(struct raft *r, const struct raft_config *c)
{
    membership_begin_change(r);
    change_append_config(r, c);
}

void change_begin(struct raft *r, const struct raft_config *target)
{
    struct raft_change_plan plan;
    raft_change_check(r, target, r->now, &plan);
    assert(plan.reason == RAFT_CHANGE_POSSIBLE);
    TRACE(r, "change of members, %s -> entry %" PRIu64, plan.joint ? "joint" : "learners only",
          r->tail.last.index + 1);
    append_change(r, &plan.first);
}

static void tell_removed(struct raft *r, replica_id id)
{
    if (!outbox_has_room(&r->out->send)) return; /* it will ask */
    TRACE(r, "%u is no member any more -> tell it", id);
    struct raft_message *m = raft_message_to(r, &r->out->send, RAFT_REMOVED, id);
    m->prev.index = membership_index(&r->membership);
}

bool change_tell_removed(struct raft *r, replica_id id)
{
    const struct membership *m = &r->membership;
    if (r->election.role != RAFT_LEADER || !commit_has_own_term(r)) return false;
    if (r->marks.commit < membership_index(m)) return false; /* it may be taken back */
    if (id >= m->config.next || raft_config_find(&m->config, id)) return false;
    tell_removed(r, id);
    return true;
}

static void leave_joint(struct raft *r)
{
    struct raft_config c = {.next = r->membership.config.next, .recoveries = r->membership.config.recoveries};
    for (u32 i = 0; i < r->membership.config.count; i++) {
        struct raft_member m = r->membership.config.members[i];
        m.roles = (u8)(m.roles & ~RAFT_OUTGOING);
        bool kept = !m.roles || raft_config_put(&c, &m);
        assert(kept);
    }
    TRACE(r, "the joint configuration is committed -> leave it by entry %" PRIu64,
          r->tail.last.index + 1);
    append_change(r, &c);
}

/* The change this leader appended is committed: who left is served no more. */
static void end_change(struct raft *r)
{
    if (!r->membership.previous) return;
    struct raft_config previous = *r->membership.previous;
    for (u32 i = 0; i < previous.count; i++)
        if (!raft_config_find(&r->membership.config, previous.members[i].id) &&
            previous.members[i].id != r->options.self)
            tell_removed(r, previous.members[i].id);
    membership_end_change(r);
}

static void hand_over(struct raft *r)
{
    replicate_heartbeats(r); /* they say what is committed */
    transfer_leave(r);
    election_step_down(r, "the members are others now");
}

void change_advance(struct raft *r, u64 commit_before)
{
    struct membership *m = &r->membership;

    if (MUTANT(config_applied_at_commit_only)) membership_take_effect(r);
    u64 index = membership_index(m);
    bool committed = r->marks.commit >= index;
    if (MUTANT(joint_left_before_commit) && m->previous) committed = true;
    if (!committed) return;
    if (commit_before < index && !m->quorum.outgoing) r->out->events |= RAFT_CONFIG_COMMITTED;
    if (r->election.role != RAFT_LEADER || !commit_has_own_term(r)) return;
    end_change(r);
    if (m->quorum.outgoing) {
        if (!r->transfer.target && !r->election.disk_full) leave_joint(r);
    } else if (!membership_is_voter(m, m->self)) {
        hand_over(r);
    }
}
