/* Reads that any replica may answer, the leader among them: `follower`, `stale:MS`, `sequential`, `session` and `local`
 * (consistency/level.h).
 *
 * One mechanism tells a replica how far it is: a round asks the leader for an index, as ReadIndex does for the leader's own
 * reads (Ongaro 2014 §6.4). All that was acknowledged before the round began, by this replica's clock, is at or below the
 * answer; when so much is applied, the state is that fresh. A `follower` read waits for a round that began after it came; reads
 * that come while one is out share the next, so that the leader answers one question a round trip, however many readers there
 * are. A `stale:MS` read takes the newest round that is applied, and the age of the state is measured from its beginning:
 * by one clock, so no clocks need agree (closed timestamps would need them to). While such reads come, rounds
 * are begun without being asked for, so that the bound holds on for MS when the leader is cut off.
 *
 * `sequential` and `session` reads name a hybrid time that the state must have reached: what their client has seen or written. */
#include "part/part_internal.h"

#include <stdio.h>

#define ASK_AGAIN     (60 * NANOS_MS)  /* a question or its answer was lost */
#define ASK_LATER     (10 * NANOS_MS)  /* the leader refused, or nobody knows it */
#define NEAR_PATIENCE (150 * NANOS_MS) /* then the leader itself is to answer */
#define KEEP_FRESH    (10 * NANOS_SEC) /* after the latest stale:MS read */
#define KEEP_MIN      (5 * NANOS_MS)
#define FRESH_ENOUGH  (10 * NANOS_MS) /* a stale:MS read of an older state has the next find a fresher one */

/* ---- how fresh the state is ---- */

static void note_applied(struct part *p)
{
    u32 done = 0;

    while (done < p->follow.mark_count && p->follow.marks[done].index <= p->apply.applied)
        p->follow.fresh_at = p->follow.marks[done++].at;
    if (!done) return;
    p->follow.mark_count -= done;
    memmove(p->follow.marks, p->follow.marks + done, p->follow.mark_count * sizeof p->follow.marks[0]);
}

/* What the leader answered is committed: no need to wait until it says so in an APPEND. */
static void learn_commit(struct part *p)
{
    if (!p->follow.mark_count || raft_is_leader(p->raft)) return;
    const struct fresh_mark *newest = &p->follow.marks[p->follow.mark_count - 1];
    struct raft_event ev = {.kind = RAFT_COMMITTED, .pos = {newest->term, newest->index}};
    if (newest->index > raft_commit(p->raft)) log_step_or_fail(p, &ev);
}

/* A leader under its lease needs to ask nobody. */
static bool leads_now(struct part *p)
{
    nanos now = env_mono(p->env);

    if (!raft_is_leader(p->raft) || !raft_lease_holds(p->raft, now)) return false;
    p->follow.fresh_at = now;
    p->follow.mark_count = 0;
    return true;
}

/* By our clock, which may be slow by its drift. */
static nanos age_of_state(const struct part *p, nanos now)
{
    if (!p->follow.fresh_at) return NANOS_NEVER;
    nanos age = now - u64_min(now, p->follow.fresh_at);
    return MUTANT(stale_bound_ignores_drift) ? age : age + age * p->options.raft.drift_ppm / 1000000 * 2;
}

/* ---- rounds ---- */

static bool keeps_fresh(const struct part *p)
{
    return p->now < p->follow.keep_until;
}

static nanos next_keep(const struct part *p)
{
    return p->follow.began + p->follow.keep_every;
}

static bool wants_round(struct part *p)
{
    for (size_t i = 0; i < p->follow.reads.count; i++) {
        const struct queued *q = fifo_at(&p->follow.reads, i);
        if (q->read_round > p->follow.round) return true;
    }
    if (p->follow.refresh) return true;
    return keeps_fresh(p) && p->now >= next_keep(p);
}

static void send_question(struct part *p, replica_id leader)
{
    struct frame f = {.type = FRAME_READ_INDEX, .req = p->follow.round, .may_overtake = true};

    p->follow.asked = leader;
    p->follow.ask_again_at = p->now + ASK_AGAIN;
    if (members_begin(p, leader, &f)) p->host.peer_end(p->host.context);
}

/* A question that is out is repeated under its number and its beginning; a new one begins when it is answered. */
static void ask(struct part *p)
{
    replica_id leader = raft_leader(p->raft);
    bool again = p->follow.asking && (p->now >= p->follow.ask_again_at || leader != p->follow.asked);

    if (!leader || leader == p->options.replica) return;
    if (again) {
        send_question(p, leader);
    } else if (!p->follow.asking && p->now >= p->follow.ask_again_at && wants_round(p)) {
        p->follow.asking = true;
        p->follow.refresh = false;
        p->follow.round++;
        p->follow.began = env_mono(p->env);
        send_question(p, leader);
    }
}

void follow_on_asked(struct part *p, replica_id from, const struct frame *f)
{
    struct queued q = {.req = {.kind = PART_INDEX,
                               .from = {.number = f->req},
                               .deadline = p->now + ASK_AGAIN,
                               .replicas = from},
                       .target = p->apply.applied,
                       .ceiling = raft_last(p->raft).index};

    if (!raft_is_leader(p->raft) && !MUTANT(follower_gives_index))
        follow_answer_index(p, &q, true);
    else if (MUTANT(index_given_without_lease) || MUTANT(follower_gives_index))
        follow_answer_index(p, &q, false);
    else
        read_admit(p, &q); /* and is confirmed as any read is: by the lease, or a quorum */
}

void follow_answer_index(struct part *p, const struct queued *q, bool refused)
{
    struct frame f = {.type = FRAME_READ_INDEX_REPLY, .req = q->req.from.number, .may_overtake = true};
    struct read_index_reply r = {.refused = refused, .index = p->apply.applied, .term = p->apply.applied_term};
    struct buf *out = members_begin(p, q->req.replicas, &f);

    if (!out) return; /* it asks again */
    read_index_reply_encode(&r, out);
    p->host.peer_end(p->host.context);
}

static void on_answered(struct part *p, u64 index, u64 term)
{
    struct fresh_mark mark = {.at = p->follow.began, .index = index, .term = term};

    if (p->follow.mark_count == ARRAY_LEN(p->follow.marks)) p->follow.mark_count--; /* apply is slow: keep the oldest */
    p->follow.marks[p->follow.mark_count++] = mark;
    for (size_t i = 0; i < p->follow.reads.count; i++) {
        struct queued *q = fifo_at(&p->follow.reads, i);
        bool covered = q->read_round == p->follow.round || (MUTANT(round_counts_for_later_reads) && !q->confirmed);
        if (!covered) continue;
        q->target = index;
        q->confirmed = true;
    }
}

err follow_on_index(struct part *p, replica_id from, const struct frame *f, str body)
{
    struct read_index_reply r;

    err e = read_index_reply_decode(body, &r);
    if (e) return e;
    if (!p->follow.asking || f->req != p->follow.round || from != p->follow.asked) return OK; /* late */
    if (r.refused) {
        p->follow.ask_again_at = u64_min(p->follow.ask_again_at, p->now + ASK_LATER);
        return OK;
    }
    p->follow.asking = false;
    p->follow.ask_again_at = 0;
    on_answered(p, r.index, r.term);
    return OK;
}

/* ---- reads ---- */

void follow_admit(struct part *p, struct part_request *req)
{
    nanos now = env_mono(p->env);

    struct queued *q = submit_queue(p, &p->follow.reads, req);
    if (!q) return;
    q->arrived = now;
    if (req->level.kind != LEVEL_STALE) return;
    p->follow.keep_every = u64_max((nanos)req->level.ms * NANOS_MS / 4, KEEP_MIN);
    p->follow.keep_until = now + KEEP_FRESH;
}

static struct cost cost_of(struct part *p, const struct queued *q)
{
    nanos now = env_mono(p->env), age = age_of_state(p, now);
    struct cost c = part_cost(p, q->req.level, p->apply.applied);

    c.waited_us = part_us(q->arrived, now);
    c.trips = q->confirmed;
    c.stale_us = level_is_linearizable(q->req.level) ? 0 : age == NANOS_NEVER ? COST_UNKNOWN : age / 1000;
    return c;
}

static void answer(struct part *p, struct queued *q, enum part_status status, str reply)
{
    struct cost c = {0};

    if (q->req.wants_cost) c = cost_of(p, q);
    submit_unqueue(p, &q->req);
    read_finish(p, q, status, &c, reply);
}

static void answer_stale(struct part *p, struct queued *q)
{
    nanos age = age_of_state(p, env_mono(p->env));
    char text[240], old[48];

    if (age == NANOS_NEVER)
        snprintf(old, sizeof old, "of unknown age");
    else
        snprintf(old, sizeof old, "%llu ms old", (unsigned long long)(age / NANOS_MS));
    int len = snprintf(text, sizeof text,
                       "-STALE the state of the replica that was asked is %s, at most %u ms was asked for, and the leader "
                       "does not answer; ask another node, for a larger bound, or AT local\r\n",
                       old, q->req.level.ms);
    answer(p, q, PART_STALE, str_from(text, (size_t)len));
}

enum verdict { SERVE, WAIT, LEADER, TOO_OLD };

static enum verdict judge(struct part *p, struct queued *q)
{
    nanos now = env_mono(p->env);
    bool late = now >= q->arrived + NEAR_PATIENCE;
    u64 bound = (u64)q->req.level.ms * NANOS_MS;

    switch (q->req.level.kind) {
    case LEVEL_FOLLOWER:
        if (q->confirmed && (q->target <= p->apply.applied || MUTANT(follower_serves_before_applied))) return SERVE;
        if (!q->read_round) q->read_round = p->follow.round + 1;
        return late ? LEADER : WAIT;
    case LEVEL_STALE:
        if (age_of_state(p, now) <= bound || MUTANT(stale_bound_ignored)) return SERVE;
        if (!q->read_round) q->read_round = p->follow.round + 1;
        return late ? TOO_OLD : WAIT;
    case LEVEL_SEQUENTIAL:
    case LEVEL_SESSION:
        if (machine_clock_hlc(p) >= q->req.floor || MUTANT(floor_ignored)) return SERVE;
        return late ? LEADER : WAIT;
    default: return SERVE;
    }
}

/* Keys whose time is over by our clock but not by the log's: only the leader may say so, and see to it that they do not come
 * back. Levels that may lag see the log's time. */
static err serve(struct part *p, struct queued *q, bool *goes_on)
{
    u64 clock_us = hlc_us(machine_clock_hlc(p));
    enum read_result result;

    err e = read_state(p, q, u64_max(env_wall_us(p->env), clock_us), &result);
    if (!e && result == READ_NEEDS_TICK && q->req.level.kind != LEVEL_FOLLOWER) e = read_state(p, q, clock_us, &result);
    if (e) return e;
    p->stats.reads_near++;
    if (q->req.level.kind == LEVEL_STALE) p->follow.refresh |= age_of_state(p, env_mono(p->env)) > FRESH_ENOUGH;
    switch (result) {
    case READ_DONE: answer(p, q, PART_DONE, buf_str(&p->read.reply)); break;
    case READ_WRONG_PLACE: answer(p, q, PART_WRONG_PLACE, str_from("", 0)); break;
    case READ_GOES_ON:
        p->read.walk_follows = *goes_on = true;
        *(struct queued *)fifo_push_front(&p->follow.reads) = *q;
        break;
    default: answer(p, q, PART_NOT_LEADER, str_from("", 0)); break;
    }
    return OK;
}

static void to_leader_here(struct part *p, struct queued *q)
{
    submit_unqueue(p, &q->req);
    q->target = p->apply.applied;
    q->read_round = 0;
    q->confirmed = false;
    q->ceiling = raft_last(p->raft).index;
    read_admit(p, q);
}

/* Its time is up. A walk over many keys that was under way is told why. */
static void expire(struct part *p, struct queued *q)
{
    if (follow_holds_apply(p)) {
        p->read.walking = false;
        p->machine->ops->read_forget(p->machine);
        answer(p, q, PART_DONE, str_of(read_too_long_text));
    } else {
        answer(p, q, PART_EXPIRED, str_from("", 0));
    }
}

/* Of no group any more, not in it yet, or holding what a recovery gave up: its state is no answer to anything. */
static bool is_outside(const struct part *p)
{
    return members_is_silent(p) || part_is_removed(p) || raft_is_abandoned(p->raft) || p->apply.applied == 0;
}

static err look_at(struct part *p, struct queued *q, bool leads, bool *goes_on)
{
    if (p->now >= q->req.deadline) {
        expire(p, q);
        return OK;
    }
    if (is_outside(p)) {
        answer(p, q, PART_NOT_LEADER, str_from("", 0));
        return OK;
    }
    if (leads && !p->read.walking) {
        to_leader_here(p, q);
        return OK;
    }
    switch (judge(p, q)) {
    case SERVE: return serve(p, q, goes_on);
    case WAIT: *(struct queued *)fifo_push(&p->follow.reads) = *q; break;
    case LEADER: answer(p, q, PART_NOT_LEADER, str_from("", 0)); break;
    case TOO_OLD: answer_stale(p, q); break;
    }
    return OK;
}

bool follow_holds_apply(const struct part *p)
{
    return p->read.walking && p->read.walk_follows;
}

err follow_turn(struct part *p)
{
    bool goes_on = false;

    if (!p->follow.reads.count && !keeps_fresh(p)) return OK;
    bool leads = leads_now(p);
    learn_commit(p);
    note_applied(p);
    for (size_t n = p->follow.reads.count; n > 0 && !goes_on; n--) {
        struct queued q = *(struct queued *)fifo_first(&p->follow.reads);
        fifo_pop(&p->follow.reads);
        err e = look_at(p, &q, leads, &goes_on);
        if (e) return e;
    }
    if (!p->follow.reads.count) p->read.walk_follows = false;
    if (!leads) ask(p);
    return OK;
}

void follow_refuse_all(struct part *p, enum part_status status)
{
    for (struct queued *first; (first = fifo_first(&p->follow.reads));) {
        struct queued q = *first;
        fifo_pop(&p->follow.reads);
        answer(p, &q, status, str_from("", 0));
    }
}

nanos follow_deadline(const struct part *p)
{
    nanos at = NANOS_NEVER;

    if (p->follow.reads.count) at = p->now + 10 * NANOS_MS;
    if (!keeps_fresh(p) || raft_is_leader(p->raft)) return at;
    nanos next = p->follow.asking ? p->follow.ask_again_at : u64_max(next_keep(p), p->follow.ask_again_at);
    bool can_ask = raft_leader(p->raft) && !p->shipping.in.committing;
    return u64_min(at, can_ask ? next : p->now + ASK_LATER);
}
