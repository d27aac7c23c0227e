/* Requests on their way into the log: queued in order, stamped and proposed in one batch per turn
 * while this replica is leader with a quorum in reach, and answered when applied. A request still
 * queued can be refused for certain; once proposed, only its application or the loss of leadership
 * ends it. */
#include "part/part_internal.h"

#define PROPOSALS_PER_BATCH 1024
#define EXPIRY_EVERY        (100 * NANOS_MS)
#define EXPIRY_ROWS         64

void part_answer(struct part *p, const struct part_waiter *to, enum part_status status, u64 index,
                 str reply)
{
    part_answer_cost(p, to, status, index, NULL, reply);
}

void part_answer_cost(struct part *p, const struct part_waiter *to, enum part_status status, u64 index,
                      const struct cost *cost, str reply)
{
    if (!to->number) return;
    struct part_answer a = {.part = p->options.id,
                            .to = *to,
                            .status = status,
                            .leader = p->raft ? part_leader(p) : 0,
                            .index = index,
                            .hlc = machine_clock_hlc(p),
                            .cost = cost,
                            .reply = reply};
    p->stats.answered++;
    p->host.answer(p->host.context, &a);
}

struct cost part_cost(const struct part *p, struct level level, u64 index)
{
    return (struct cost){.level = level, .served_by = p->options.self, .term = raft_term(p->raft), .index = index};
}

u32 part_us(nanos from, nanos to)
{
    return to > from ? (u32)u64_min((to - from) / 1000, UINT32_MAX) : 0;
}

static u64 request_bytes(const struct part_request *r)
{
    return sizeof(struct queued) + (r->entry ? r->entry->len : 0);
}

/* Any replica may answer it. */
static bool is_near(const struct part_request *r)
{
    return r->kind == PART_READ && !level_is_leaders(r->level) && !r->after;
}

struct queued *submit_queue(struct part *p, struct fifo *queue, struct part_request *req)
{
    if (p->submit.queue_bytes + request_bytes(req) > p->options.queue_bytes_max) {
        struct part_waiter from = req->from;
        rcbuf_unref(req->entry);
        p->stats.queue_refused++;
        part_answer(p, &from, PART_OVERLOADED, 0, STR("partition.submit-queue"));
        return NULL;
    }
    struct queued *q = fifo_push(queue);
    q->req = *req;
    p->submit.queue_bytes += request_bytes(req);
    p->stats.queue_bytes = p->submit.queue_bytes;
    return q;
}

void submit_unqueue(struct part *p, const struct part_request *req)
{
    p->submit.queue_bytes -= request_bytes(req);
    p->stats.queue_bytes = p->submit.queue_bytes;
}

void part_submit(struct part *p, struct part_request *req)
{
    if (is_near(req)) {
        follow_admit(p, req);
        return;
    }
    struct queued *q = submit_queue(p, &p->submit.queue, req);
    if (q) q->arrived = req->wants_cost ? env_mono(p->env) : 0;
}

static void queue_pop(struct part *p)
{
    struct queued *q = fifo_first(&p->submit.queue);
    submit_unqueue(p, &q->req);
    fifo_pop(&p->submit.queue);
}

/* What has run out of time says which limit kept it waiting, if one did. */
static str reason_of(const struct part *p, enum part_status status)
{
    return status == PART_EXPIRED && p->submit.held_by ? str_of(p->submit.held_by) : str_from("", 0);
}

static void refuse(struct part *p, struct queued *q, enum part_status status)
{
    struct part_waiter from = q->req.from;
    struct rcbuf *entry = q->req.entry;

    queue_pop(p);
    rcbuf_unref(entry);
    part_answer(p, &from, status, 0, reason_of(p, status));
}

void submit_refuse_all(struct part *p, enum part_status status)
{
    while (p->submit.queue.count) refuse(p, fifo_first(&p->submit.queue), status);
    for (struct pending *n; (n = fifo_first(&p->submit.pending));) {
        struct pending lost = *n;
        fifo_pop(&p->submit.pending);
        bool behind_its_end = merge_is_frozen(p) && lost.index > p->merge.frozen_at.index;
        part_answer(p, &lost.waiter, behind_its_end ? status : PART_LOST, 0, str_from("", 0));
    }
    reads_refuse_all(p, status);
    follow_refuse_all(p, status);
}

/* Strictly greater than every stamp before it, this leader's and the log's. */
static u64 next_hlc(struct part *p, u64 us)
{
    u64 hlc = u64_max(hlc_from_us(us), p->submit.last_hlc + 1);

    hlc = u64_max(hlc, machine_clock_hlc(p) + 1);
    return p->submit.last_hlc = hlc;
}

void submit_on_became_leader(struct part *p)
{
    struct raft *r = p->raft;

    p->submit.tick_index = p->submit.tick_us = 0;
    p->submit.next_expiry_at = p->now + EXPIRY_EVERY;
    for (u64 i = raft_last(r).index; i > raft_first(r).index && i > p->apply.applied; i--) {
        const struct raft_entry *re = raft_entry_at(r, i);
        struct entry e;
        if (re->kind != RAFT_COMMAND || entry_decode(rcbuf_str(re->data), &e)) continue;
        p->submit.last_hlc = u64_max(p->submit.last_hlc, e.hlc);
        return;
    }
}

static void remember(struct part *p, const struct pending *who, u64 index, u64 term)
{
    const struct part_waiter *w = &who->waiter;
    struct pending *last = p->submit.pending.count
                               ? fifo_at(&p->submit.pending, p->submit.pending.count - 1)
                               : NULL;
    assert(!last || last->index < index);
    if (!w->number) return;
    if (MUTANT(reply_before_commit)) part_answer(p, w, PART_DONE, index, STR("+OK\r\n"));
    struct pending *n = fifo_push(&p->submit.pending);
    *n = *who;
    n->index = index;
    n->term = term;
    n->proposed_at = who->wants_cost ? env_mono(p->env) : 0;
}

/* Propose a batch. ERR_FULL: none was taken, the requests stay queued. */
static err propose(struct part *p, struct raft_proposal *batch, const struct pending *who, u32 count)
{
    u64 first = raft_last(p->raft).index + 1, term = raft_term(p->raft);
    struct raft_event ev = {.kind = RAFT_PROPOSE, .proposals = batch, .count = count};

    err e = log_step(p, &ev);
    if (e) return e;
    p->stats.proposed += count;
    for (u32 i = 0; i < count; i++) {
        remember(p, &who[i], first + i, term);
        rcbuf_unref(batch[i].data); /* the core holds its own */
    }
    return OK;
}

u64 submit_tick_under_way(const struct part *p, u64 now_us)
{
    return p->submit.tick_index > p->apply.applied && p->submit.tick_us >= now_us
               ? p->submit.tick_index
               : 0;
}

/* An entry of the partition itself, stamped so. An err: refused by the core. */
static err propose_own(struct part *p, u8 op, u64 hlc, str body, const struct part_waiter *from, u64 *index)
{
    struct buf bytes;
    struct entry e = {.apply_ver = ENTRY_APPLY_VER, .op = op, .body = body};

    buf_init(&bytes, 0);
    entry_encode_header(&e, &bytes);
    buf_append_str(&bytes, body);
    struct rcbuf *data = rcbuf_from(buf_str(&bytes));
    buf_done(&bytes);
    entry_stamp(data->data, data->len, hlc, 0);
    struct raft_proposal proposal = {.kind = RAFT_COMMAND, .data = data};
    struct pending who = {.waiter = *from};
    *index = raft_last(p->raft).index + 1;
    err failed = propose(p, &proposal, &who, 1);
    if (failed) rcbuf_unref(data);
    return failed;
}

bool submit_operation_ok(struct part *p, u8 op, str body, const struct part_waiter *from)
{
    u64 index;

    p->now = env_mono(p->env);
    if (!raft_is_leader(p->raft) || cut_holds_writes(p)) return false;
    return !propose_own(p, op, next_hlc(p, env_wall_us(p->env)), body, from, &index);
}

void submit_operation(struct part *p, u8 op, str body, const struct part_waiter *from)
{
    if (submit_operation_ok(p, op, body, from)) return;
    part_answer(p, from, raft_is_leader(p->raft) ? PART_OVERLOADED : PART_NOT_LEADER, 0, str_from("", 0));
}

static u64 propose_tick(struct part *p, u64 hlc, str body)
{
    static const struct part_waiter nobody;
    static const u8 no_keys[4];
    u64 index;

    if (body.len == 0) body = str_from(no_keys, 4);
    if (propose_own(p, ENTRY_TICK, hlc, body, &nobody, &index)) return 0;
    p->stats.ticks++;
    return index;
}

u64 submit_filler(struct part *p)
{
    return cut_holds_writes(p) ? 0 : propose_tick(p, next_hlc(p, env_wall_us(p->env)), str_from("", 0));
}

u64 submit_tick(struct part *p, u64 now_us, str body)
{
    if (cut_holds_writes(p)) return 0;
    u64 index = propose_tick(p, next_hlc(p, u64_max(env_wall_us(p->env), now_us)), body);
    if (!index) return 0;
    p->submit.tick_index = index;
    p->submit.tick_us = now_us;
    return index;
}

u64 submit_last_hlc(const struct part *p)
{
    return u64_max(p->submit.last_hlc, machine_clock_hlc(p));
}

u64 submit_barrier(struct part *p, u64 hlc)
{
    assert(hlc > submit_last_hlc(p));
    p->submit.last_hlc = hlc;
    return propose_tick(p, hlc, str_from("", 0));
}

/* The writes at the front have to wait for a limit of this partition or of the log. */
static void held_by(struct part *p, const char *limit, u64 *count)
{
    p->submit.held_by = limit;
    *count += 1;
}

static void note_full_core(struct part *p, size_t bytes)
{
    const struct raft_options *o = &p->options.raft;

    p->checkpoint.wanted = raft_tail_bytes(p->raft) + bytes > o->tail_bytes_max;
    if (p->checkpoint.wanted)
        held_by(p, "raft.tail-bytes", &p->stats.tail_full);
    else
        held_by(p, "raft.uncommitted-bytes", &p->stats.uncommitted_full);
}

/* Writes at the front of the queue that can go together, with the reads between them admitted at
 * their place. Returns how many writes were proposed. */
static err propose_some(struct part *p, bool *progress)
{
    struct raft_proposal batch[PROPOSALS_PER_BATCH];
    struct pending who[PROPOSALS_PER_BATCH];
    u32 count = 0;
    size_t bytes = 0, room = wal_room(p->wal);
    u64 now_us = env_wall_us(p->env);

    for (size_t i = 0; i < p->submit.queue.count && count < PROPOSALS_PER_BATCH; i++) {
        struct queued *q = fifo_at(&p->submit.queue, i);
        if (q->req.kind != PART_WRITE) break;
        if (p->now >= q->req.deadline) break;
        bytes += q->req.entry->len + 128;
        if (bytes > room && !count && !wal_stats(p->wal)->full) held_by(p, "wal.backlog-bytes", &p->stats.wal_short);
        if (bytes > room || (count && bytes > 8 * MIB)) break;
        entry_stamp(q->req.entry->data, q->req.entry->len, next_hlc(p, now_us),
                    prng_next(&p->submit.seeds));
        batch[count] = (struct raft_proposal){.kind = RAFT_COMMAND, .data = q->req.entry};
        who[count++] = (struct pending){.waiter = q->req.from, .wants_cost = q->req.wants_cost, .queued_at = q->arrived};
    }
    if (!count) return OK;
    err e = propose(p, batch, who, count);
    if (e == ERR_FULL) note_full_core(p, bytes);
    if (e) return e == ERR_FULL || e == ERR_STALE ? OK : e;
    for (u32 i = 0; i < count; i++) queue_pop(p);
    p->submit.held_by = NULL;
    *progress = true;
    return OK;
}

/* May writes enter the log now? Without a quorum in reach they would only become UNKNOWN. */
static bool accepts_writes(struct part *p)
{
    return raft_lease_holds(p->raft, env_mono(p->env));
}

static void admit_read(struct part *p, struct queued *q)
{
    struct queued moved = *q;

    moved.target = p->apply.applied;
    if (q->req.after && p->submit.pending.count && !MUTANT(read_overtakes_own_write)) {
        struct pending *last = fifo_at(&p->submit.pending, p->submit.pending.count - 1);
        moved.target = u64_max(moved.target, last->index);
    }
    moved.ceiling = u64_max(moved.target, raft_last(p->raft).index);
    queue_pop(p);
    read_admit(p, &moved);
}

static void find_expired(struct part *p, bool *more)
{
    struct buf body;
    u32 found = 0;

    if (p->now < p->submit.next_expiry_at) return;
    p->submit.next_expiry_at = merge_is_frozen(p) ? p->now + EXPIRY_EVERY : NANOS_NEVER;
    if (merge_is_frozen(p)) return;
    submit_look_for_expiry(p);
    if (p->submit.next_expiry_at == NANOS_NEVER) return;
    if (raft_last(p->raft).index > p->apply.applied + 4096) return; /* busy: expiry can wait */
    buf_init(&body, 0);
    u64 now_us = u64_max(env_wall_us(p->env), hlc_us(machine_clock_hlc(p)));
    err e = p->machine->ops->find_expired(p->machine, now_us, EXPIRY_ROWS, &body, &found);
    if (e) p->failed = e;
    if (!e && found && submit_tick(p, now_us, buf_str(&body)) && found > EXPIRY_ROWS / 4) {
        p->submit.next_expiry_at = p->now + 5 * NANOS_MS;
        *more = false;
    }
    buf_done(&body);
}

/* A new partition does not know its slots yet: the first leader says them, and writes wait for that. */
static bool waits_for_span(struct part *p)
{
    static const struct part_waiter nobody;
    struct buf body = {0};
    const struct part_options *o = &p->options;

    if (LIKELY(!o->slot_last || !part_kv(p) || !kv_is_unbounded(part_kv(p)))) return false;
    if (o->slot_first == 0 && o->slot_last == KV_SLOTS - 1) return false;
    if (p->submit.span_index > p->apply.applied && p->submit.span_term == raft_term(p->raft)) return true;
    buf_append_u16(&body, o->slot_first);
    buf_append_u16(&body, o->slot_last);
    err e = propose_own(p, ENTRY_SPAN, next_hlc(p, env_wall_us(p->env)), buf_str(&body), &nobody, &p->submit.span_index);
    p->submit.span_term = e ? 0 : raft_term(p->raft); /* refused: it is tried again */
    buf_done(&body);
    return true;
}

void submit_look_for_expiry(struct part *p)
{
    const struct machine_ops *ops = p->machine->ops;

    if (p->submit.next_expiry_at != NANOS_NEVER || !ops->may_expire || !ops->may_expire(p->machine)) return;
    p->submit.next_expiry_at = p->now + EXPIRY_EVERY;
}

err submit_turn(struct part *p, bool *more)
{
    bool leader = raft_is_leader(p->raft);
    bool accepts = leader && accepts_writes(p) && !cut_holds_writes(p);

    if (accepts && waits_for_span(p)) accepts = false;
    if (!accepts || !p->submit.queue.count) p->submit.held_by = NULL;
    if (p->apply.stalled) p->submit.held_by = "partition.dirty-bytes";

    while (p->submit.queue.count) {
        struct queued *q = fifo_first(&p->submit.queue);
        if (!leader) {
            refuse(p, q, PART_NOT_LEADER);
        } else if (merge_is_frozen(p) && !MUTANT(frozen_partition_writes)) {
            refuse(p, q, PART_WRONG_PLACE);
        } else if (p->now >= q->req.deadline) {
            refuse(p, q, PART_EXPIRED);
        } else if (q->req.kind != PART_WRITE) {
            admit_read(p, q);
        } else if (raft_is_read_only(p->raft)) {
            refuse(p, q, PART_DISK_FULL);
        } else {
            bool progress = false;
            if (!accepts || p->apply.stalled) break;
            err e = propose_some(p, &progress);
            if (e) return e;
            if (!progress) break; /* a limit: the queue waits, its deadlines run */
        }
    }
    if (accepts && !p->disk_full && !raft_is_read_only(p->raft))
        find_expired(p, more);
    else if (p->now >= p->submit.next_expiry_at)
        p->submit.next_expiry_at = p->now + EXPIRY_EVERY;
    return OK;
}

/* Who has it on disk when it is answered: at least a majority. */
static struct cost write_cost(struct part *p, const struct pending *n)
{
    struct cost c = part_cost(p, (struct level){LEVEL_LEASE, 0}, n->index);
    const struct raft_config *members = raft_config(p->raft);

    c.queued_us = part_us(n->queued_at, n->proposed_at);
    c.replicated_us = part_us(n->proposed_at, env_mono(p->env));
    c.trips = raft_config_count(members, RAFT_VOTER) > 1;
    for (u32 i = 0; i < members->count && c.node_count < COST_NODES_MAX; i++) {
        const struct raft_member *m = &members->members[i];
        struct raft_peer_status s;
        bool has = m->id == p->options.replica
                       ? raft_durable(p->raft) >= n->index
                       : raft_peer_status(p->raft, m->id, &s) && s.match >= n->index;
        if (has) c.nodes[c.node_count++] = m->node;
    }
    c.in_memory = raft_counts_memory(p->raft);
    c.flushes = c.in_memory ? 0 : c.node_count;
    return c;
}

static void answer_done(struct part *p, const struct pending *n, enum part_status status, str reply)
{
    if (LIKELY(!n->wants_cost)) {
        part_answer(p, &n->waiter, status, n->index, reply);
        return;
    }
    struct cost c = write_cost(p, n);
    part_answer_cost(p, &n->waiter, status, n->index, &c, reply);
}

void submit_answer_pending(struct part *p, u64 index, u64 term, enum part_status status, str reply)
{
    struct pending *n;

    while ((n = fifo_first(&p->submit.pending)) && n->index <= index) {
        struct pending done = *n;
        fifo_pop(&p->submit.pending);
        if (done.index == index && done.term == term) {
            answer_done(p, &done, status, reply);
        } else {
            part_answer(p, &done.waiter, PART_LOST, 0, str_from("", 0));
        }
    }
}

/* Not leader any more: what was proposed may or may not commit, nobody here can tell. */
void submit_on_leadership_end(struct part *p)
{
    struct pending *n;

    if (raft_is_leader(p->raft)) return;
    while ((n = fifo_first(&p->submit.pending))) {
        struct pending lost = *n;
        fifo_pop(&p->submit.pending);
        part_answer(p, &lost.waiter,
                    MUTANT(lost_leadership_means_failed) ? PART_NOT_LEADER : PART_LOST, 0,
                    str_from("", 0));
    }
}
