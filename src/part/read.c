/* Linearizable reads. Each is admitted with a target index and answered when exactly that much has
 * been applied (a read behind its connection's own writes sees them and nothing later). The lease
 * is checked in one place per turn, by a clock read after everything the reads came from was
 * received; without a lease the leader confirms itself by a ReadIndex round (Ongaro 2014 §6.4).
 * WAIT's waiters live here too. */
#include "part/part_internal.h"

#include <stdio.h>

const char read_too_long_text[] =
    "-TOOBIG limit=command.walk-time there are more keys than can be walked over in the time of one request; use SCAN\r\n";

void read_admit(struct part *p, const struct queued *q)
{
    struct queued *place = fifo_push(q->req.kind == PART_WAIT ? &p->read.waits : &p->read.ready);
    *place = *q;
}

void read_finish(struct part *p, struct queued *q, enum part_status status, const struct cost *cost, str reply)
{
    struct rcbuf *entry = q->req.entry;
    part_answer_cost(p, &q->req.from, status, 0, q->req.wants_cost ? cost : NULL, reply);
    rcbuf_unref(entry);
}

static void finish(struct part *p, struct queued *q, enum part_status status, str reply)
{
    if (q->req.kind == PART_INDEX) {
        follow_answer_index(p, q, true);
    } else if (!q->req.wants_cost) {
        read_finish(p, q, status, NULL, reply);
    } else {
        struct cost c = part_cost(p, (struct level){q->confirmed ? LEVEL_QUORUM : LEVEL_LEASE, 0}, p->apply.applied);
        c.waited_us = part_us(q->arrived, env_mono(p->env));
        c.trips = q->confirmed;
        c.flushes = q->ticked;
        read_finish(p, q, status, &c, reply);
    }
}

/* A TICK of this time that also removes what the command met expired. */
static u64 propose_tick(struct part *p, const struct entry *e, u64 now_us)
{
    struct buf body = {0};

    p->machine->ops->tick_body(p->machine, e, &body);
    u64 index = submit_tick(p, now_us, buf_str(&body));
    buf_done(&body);
    return index;
}

/* Is this the read that has run in part, and the state the same? Otherwise what it has found is void. */
static bool goes_on(struct part *p, const struct queued *q)
{
    const struct part_waiter *w = &p->read.walker, *from = &q->req.from;
    bool same = p->read.walking && w->node == from->node && w->boot == from->boot &&
                w->number == from->number && p->read.walk_applied == p->apply.applied;

    p->read.walking = false;
    if (!same) p->machine->ops->read_forget(p->machine);
    return same;
}

/* A walk over many keys is cut into pieces, a turn of the node each. Nothing is applied between them
 * (read_holds_apply), so together they are one read of one state. */
static void pause_walk(struct part *p, const struct queued *q, u64 now_us)
{
    p->read.walking = true;
    p->read.walker = q->req.from;
    p->read.walk_us = now_us;
    p->read.walk_applied = p->apply.applied;
}

err read_state(struct part *p, struct queued *q, u64 now_us, enum read_result *result)
{
    struct entry e;
    bool need_tick = false;
    const struct machine_ops *ops = p->machine->ops;
    struct buf *reply = &p->read.reply;

    if (goes_on(p, q)) now_us = p->read.walk_us;
    err failed = entry_decode(rcbuf_str(q->req.entry), &e);
    if (failed) return failed;
    *result = READ_WRONG_PLACE;
    if ((merge_is_frozen(p) || !machine_covers(p, &e)) && !MUTANT(span_not_checked_on_read)) return OK;
    *result = READ_OUT_OF_ORDER;
    if (q->req.after && !session_has_run(p->sessions, &e.session, q->req.after)) return OK;
    buf_clear(reply);
    if (q->req.kind == PART_WATCH)
        failed = ops->watch(p->machine, &e, now_us, reply);
    else
        failed = ops->read(p->machine, &e, now_us, q->req.from.number, reply, &need_tick);
    if (failed) return failed;
    *result = need_tick ? READ_NEEDS_TICK : READ_DONE;
    if (!ops->read_goes_on(p->machine)) return OK;
    pause_walk(p, q, now_us);
    *result = READ_GOES_ON;
    return OK;
}

/* It met what is over by our clock, but not by the last entry applied: once more behind a TICK of its time. */
static void read_behind_tick(struct part *p, struct queued *q, u64 now_us)
{
    struct entry e;

    err bad = entry_decode(rcbuf_str(q->req.entry), &e);
    assert(!bad); /* it was read just now */
    q->target = submit_tick_under_way(p, now_us);
    if (!q->target) q->target = propose_tick(p, &e, now_us);
    q->read_round = 0;
    q->ticked = true; /* the next time at the TICK's time: fresh expiries do not start it over */
    q->ceiling = u64_max(q->ceiling, q->target);
    if (q->target)
        read_admit(p, q);
    else
        finish(p, q, p->disk_full ? PART_DISK_FULL : PART_OVERLOADED, str_from("", 0));
}

/* Run one read on the applied state and answer it. A key whose time ran out after the last applied
 * entry must not be served and must not come back: such a read proposes a TICK of its time and runs
 * again behind it. A read behind its connection's own write needs none: it reads at that write's
 * time. */
static err run_read(struct part *p, struct queued *q)
{
    u64 clock_us = hlc_us(machine_clock_hlc(p));
    bool at_clock = q->req.after || q->ticked;
    u64 now_us = at_clock ? clock_us : u64_max(env_wall_us(p->env), clock_us);
    enum read_result result;

    if (q->req.kind == PART_INDEX) {
        follow_answer_index(p, q, merge_is_frozen(p));
        return OK;
    }
    err e = read_state(p, q, now_us, &result);
    if (e) return e;
    switch (result) {
    case READ_DONE:
        finish(p, q, PART_DONE, buf_str(&p->read.reply));
        if (p->read.reply.cap > MIB) buf_done(&p->read.reply);
        break;
    case READ_GOES_ON:
        p->read.walk_follows = false;
        *(struct queued *)fifo_push_front(&p->read.ready) = *q;
        break;
    case READ_NEEDS_TICK: read_behind_tick(p, q, now_us); break;
    case READ_WRONG_PLACE: finish(p, q, PART_WRONG_PLACE, str_from("", 0)); break;
    case READ_OUT_OF_ORDER: finish(p, q, PART_OUT_OF_ORDER, str_from("", 0)); break;
    }
    return OK;
}

/* The lease is not believed, or there is none. */
static bool needs_round(const struct queued *q, bool lease)
{
    return !lease || (q->req.level.kind == LEVEL_QUORUM && !MUTANT(quorum_read_by_lease));
}

/* The reads at the front that have reached their target; those behind one that has not keep their
 * order. */
static err run_reached(struct part *p, u64 applied, bool lease)
{
    struct queued *q;

    while ((q = fifo_first(&p->read.ready)) && q->target <= applied) {
        bool round = needs_round(q, lease);
        if (round && (!q->read_round || q->read_round > p->read.confirmed_round)) return OK;
        struct queued read = *q;
        fifo_pop(&p->read.ready);
        read.confirmed = round;
        if (round)
            p->stats.reads_index++;
        else
            p->stats.reads_lease++;
        err e = run_read(p, &read);
        if (e || p->read.walking) return e;
    }
    return OK;
}

/* A read that waits for its confirmation must not see what comes after its target, such as later writes of
 * its own connection: nothing more is applied before it has run. */
bool read_holds_apply(struct part *p)
{
    const struct queued *q = fifo_first(&p->read.ready);
    if (follow_holds_apply(p)) return true;
    return q && q->target <= p->apply.applied && raft_is_leader(p->raft) && !MUTANT(confirmed_read_runs_late);
}

err read_run_at(struct part *p, u64 applied)
{
    struct queued *q = fifo_first(&p->read.ready);

    if (LIKELY(!q || q->target > applied) || !raft_is_leader(p->raft)) return OK;
    return run_reached(p, applied, raft_lease_holds(p->raft, env_mono(p->env)));
}

static void ask_round(struct part *p)
{
    struct raft_event ev = {.kind = RAFT_READ, .context = ++p->read.next_round};

    for (size_t i = 0; i < p->read.ready.count; i++) {
        struct queued *q = fifo_at(&p->read.ready, i);
        if (!q->read_round) q->read_round = p->read.next_round;
    }
    err e = log_step(p, &ev);
    if (e == ERR_FULL) p->stats.reads_full++;
    if (e) read_on_leadership_end(p);
}

void read_on_confirmed(struct part *p, const struct raft_read_done *done)
{
    if (!done->refused) {
        p->read.confirmed_round = u64_max(p->read.confirmed_round, done->context);
        for (size_t i = 0; i < p->read.ready.count; i++) {
            struct queued *q = fifo_at(&p->read.ready, i);
            if (q->read_round && q->read_round <= done->context)
                q->target = u64_max(q->target, u64_min(done->index, q->ceiling));
        }
        return;
    }
    for (size_t i = 0; i < p->read.ready.count; i++) {
        struct queued *q = fifo_at(&p->read.ready, i);
        if (q->read_round && q->read_round <= done->context) q->read_round = 0; /* ask again */
    }
    p->read.confirmed_round = u64_max(p->read.confirmed_round, done->context);
}

void read_on_leadership_end(struct part *p)
{
    if (raft_is_leader(p->raft)) return;
    p->read.confirmed_round = p->read.next_round;
    reads_refuse_all(p, PART_NOT_LEADER);
}

void reads_refuse_all(struct part *p, enum part_status status)
{
    struct queued *q;

    if (!follow_holds_apply(p)) {
        p->read.walking = false;
        p->machine->ops->read_forget(p->machine);
    }
    while ((q = fifo_first(&p->read.ready))) {
        struct queued read = *q;
        fifo_pop(&p->read.ready);
        finish(p, &read, status, str_from("", 0));
    }
    while ((q = fifo_first(&p->read.waits))) {
        struct queued wait = *q;
        fifo_pop(&p->read.waits);
        part_answer(p, &wait.req.from, status, 0, str_from("", 0));
    }
}

static void expire_reads(struct part *p)
{
    size_t n = p->read.ready.count;

    for (size_t i = 0; i < n; i++) {
        struct queued q = *(struct queued *)fifo_first(&p->read.ready);
        fifo_pop(&p->read.ready);
        if (p->now >= q.req.deadline && p->read.walking && i == 0) {
            p->read.walking = false;
            finish(p, &q, PART_DONE, str_of(read_too_long_text));
        } else if (p->now >= q.req.deadline) {
            finish(p, &q, PART_EXPIRED, str_from("", 0));
        } else {
            read_admit(p, &q);
        }
    }
}

void wait_turn(struct part *p)
{
    size_t n = p->read.waits.count;

    for (size_t i = 0; i < n; i++) {
        struct queued q = *(struct queued *)fifo_first(&p->read.waits);
        fifo_pop(&p->read.waits);
        u32 have = q.req.index ? raft_replicas_with(p->raft, q.req.index)
                               : raft_config_count(raft_config(p->raft), RAFT_VOTER) - 1; /* nothing to wait for */
        if (have < q.req.replicas && p->now < q.req.deadline) {
            read_admit(p, &q);
            continue;
        }
        char text[24];
        int len = snprintf(text, sizeof text, ":%u\r\n", have);
        part_answer(p, &q.req.from, PART_DONE, 0, str_from(text, (size_t)len));
    }
}

err read_turn(struct part *p)
{
    if (!raft_is_leader(p->raft)) {
        read_on_leadership_end(p);
        return OK;
    }
    wait_turn(p);
    if (!p->read.ready.count) return OK;

    bool lease = raft_lease_holds(p->raft, env_mono(p->env)) || MUTANT(read_without_lease);
    err e = run_reached(p, p->apply.applied, lease);
    if (e) return e;
    struct queued *q = fifo_first(&p->read.ready);
    if (q && p->now >= q->req.deadline) expire_reads(p);
    q = fifo_first(&p->read.ready);
    if (q && needs_round(q, lease) && p->read.confirmed_round == p->read.next_round) ask_round(p);
    return OK;
}
