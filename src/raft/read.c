/* Linearizable reads without the log (§6.4). ReadIndex: a read remembers the commit index of its
 * arrival and waits until a quorum has answered an APPEND sent after that; reads that arrive while
 * such a round is out share the next one. Every APPEND carries the newest round, so a lost one
 * costs nothing but time. Lease (§6.4.1): while a quorum's promise not to vote, counted from when
 * we *sent* what it answered and shortened by the drift of both clocks, has not run out, no round
 * is needed. Where a peer's node supports ours and the peer rests on it, that promise counts (fortify.c).
 *
 * Either way the leader must know what earlier leaders committed: by having committed an entry of its own term, or
 * all that its log held when it was elected. */
#include "raft/raft_internal.h"

#include "base/mem.h"

static struct read_waiting *waiting_at(struct reads *q, u32 i)
{
    return &q->waiting[(q->head + i) & (q->cap - 1)];
}

static void grow(struct reads *q)
{
    u32 cap = q->cap ? 2 * q->cap : 16;
    struct read_waiting *waiting = mem_zalloc_array(cap, sizeof *waiting);

    for (u32 i = 0; i < q->count; i++) waiting[i] = *waiting_at(q, i);
    mem_free(q->waiting);
    q->waiting = waiting;
    q->cap = cap;
    q->head = 0;
}

void read_done(struct raft *r)
{
    mem_free(r->reads.waiting);
}

void read_trim(struct raft *r)
{
    if (r->reads.count || !r->reads.cap) return;
    mem_free(r->reads.waiting);
    r->reads.waiting = NULL;
    r->reads.cap = r->reads.head = 0;
}

bool read_has_room(const struct raft *r)
{
    return r->reads.count < RAFT_READS_WAITING_MAX;
}

bool read_is_asking(const struct raft *r)
{
    return r->reads.count || r->reads.round != r->reads.confirmed;
}

/* The newest round that a quorum has answered. */
static u64 confirmed_round(const struct raft *r)
{
    const struct membership *ms = &r->membership;
    u64 answered[RAFT_SLOTS_MAX];

    if (MUTANT(read_without_quorum)) return r->reads.round;
    for (u32 slot = 0; slot < ms->count; slot++) {
        const struct progress *p = &r->leading.peers[slot];
        answered[slot] = p->impaired ? 0 : p->acked_round;
    }
    answered[ms->self] = r->reads.round;
    return membership_supported(ms, answered);
}

static void let_heal(struct raft *r)
{
    for (u32 slot = 0; slot < r->membership.count; slot++) {
        struct progress *p = &r->leading.peers[slot];
        if (!p->impaired || p->may_heal || p->heal_round > r->reads.confirmed) continue;
        p->may_heal = true;
        p->heal_from = r->now;
    }
}

static bool has_unasked(struct reads *q)
{
    return q->count > q->refused && waiting_at(q, q->count - 1)->round > q->round;
}

static void update_confirmed(struct raft *r)
{
    u64 confirmed = confirmed_round(r);
    if (confirmed > r->reads.confirmed) r->reads.confirmed = confirmed;
    let_heal(r);
}

void read_begin_round(struct raft *r)
{
    r->reads.round++;
    update_confirmed(r); /* a sole voter needs no answer */
}

static void ask_now(struct raft *r)
{
    read_begin_round(r);
    replicate_heartbeats(r);
}

void read_begin(struct raft *r, u64 context)
{
    struct reads *q = &r->reads;
    assert(r->election.role == RAFT_LEADER);
    assert(q->count < RAFT_READS_WAITING_MAX);

    if (q->count == q->cap) grow(q);
    *waiting_at(q, q->count) = (struct read_waiting){
        .context = context,
        .index = MUTANT(read_before_own_term_commit)
                     ? r->marks.commit
                     : u64_max(r->marks.commit, r->leading.term_start - 1),
        .round = q->round + (MUTANT(read_counts_older_ack) ? 0 : 1),
        .deadline = r->now + r->options.election_timeout_max,
    };
    q->count++;
    if (q->round == q->confirmed && has_unasked(q)) ask_now(r);
}

void read_on_reply(struct raft *r)
{
    struct reads *q = &r->reads;
    update_confirmed(r);
    if (q->round == q->confirmed && has_unasked(q)) ask_now(r);
}

void read_on_tick(struct raft *r)
{
    struct reads *q = &r->reads;
    u32 late = q->refused;
    update_confirmed(r); /* who did not answer may be no member any more */
    while (late < q->count && waiting_at(q, late)->deadline <= r->now) late++;
    if (late > q->refused)
        TRACE(r, "%u reads found no quorum in time -> refuse", late - q->refused);
    q->refused = late;
    /* The round under way may be lost; heartbeats are about to leave and can carry the next. */
    if (r->now >= r->leading.heartbeat_due && has_unasked(q)) read_begin_round(r);
}

void read_refuse_all(struct raft *r)
{
    r->reads.refused = r->reads.count;
}

static bool is_ready(const struct raft *r, const struct read_waiting *w)
{
    if (w->round > r->reads.confirmed) return false;
    return commit_is_current(r) || MUTANT(read_before_own_term_commit);
}

void read_finish_step(struct raft *r)
{
    struct reads *q = &r->reads;
    struct raft_actions *out = r->out;

    while (q->count > 0) {
        const struct read_waiting *w = waiting_at(q, 0);
        bool refused = q->refused > 0;
        if (!refused && !is_ready(r, w)) return;
        if (out->read_count == RAFT_READS_MAX) {
            r->more = true;
            return;
        }
        out->reads[out->read_count++] = (struct raft_read_done){w->context, refused ? 0 : w->index,
                                                                refused};
        if (refused) q->refused--;
        q->head = (q->head + 1) & (q->cap - 1);
        q->count--;
    }
}

nanos read_deadline(const struct raft *r)
{
    return r->reads.count ? r->reads.waiting[r->reads.head].deadline : NANOS_NEVER;
}

/* The follower's promise of `lease`, measured by its clock, lasts at least this long by ours. */
static nanos lease_limit(const struct raft_options *o)
{
    if (MUTANT(lease_ignores_drift)) return o->lease;
    return o->lease * (1000000 - o->drift_ppm) / (1000000 + o->drift_ppm);
}

bool raft_lease_holds(const struct raft *r, nanos now)
{
    const struct membership *ms = &r->membership;
    const struct transfer *x = &r->transfer;
    u64 until[RAFT_SLOTS_MAX];

    if (r->election.role != RAFT_LEADER) return false;
    /* The answer comes from the applied state, so that must hold all that earlier leaders
     * acknowledged. */
    bool current = r->marks.applied + 1 >= r->leading.term_start;
    if (!current && !MUTANT(read_before_own_term_commit)) return false;
    if ((x->target || x->void_lease_term == own_term(r)) && !MUTANT(transfer_keeps_lease))
        return false;

    for (u32 slot = 0; slot < ms->count; slot++) {
        const struct progress *p = &r->leading.peers[slot];
        until[slot] = p->acked && !p->impaired ? p->acked_sent + lease_limit(&r->options) : 0;
        until[slot] = u64_max(until[slot], fortify_until(r, slot));
    }
    until[ms->self] = NANOS_NEVER;
    return membership_supported(ms, until) > now;
}
