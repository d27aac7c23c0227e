/* Applying committed entries, in order and exactly once: session first, then the state machine,
 * then the waiter's answer. A turn applies a bounded amount. */
#include "part/part_internal.h"

#define APPLY_ENTRIES_PER_TURN 512 /* under a millisecond: another partition has something to do, too */
#define APPLY_BYTES_PER_TURN   (4 * MIB)
#define HINTS_AHEAD            16 /* so many waits for memory overlap */

static const char session_unknown[] =
    "-SESSION unknown or expired; open a new one with Q.SESSION OPEN. Nothing was executed\r\n";
static const char session_gone[] = "-SESSION this seq was answered before and its result is not "
                                   "kept any more. Nothing was executed again\r\n";
static const char session_not_kept[] =
    "-SESSION done before; the result was longer than 1024 bytes and is not kept\r\n";
/* The same for a client without a session, whose gateway had to ask twice. */
static const char reply_not_kept[] = "-UNKNOWN the command was done, but its reply was lost on the "
                                     "way and was too long to be kept\r\n";
static const char session_too_late[] = "-SESSION EXPIRED this request was first issued longer ago "
                                       "than the session lives. Nothing was executed\r\n";
static const char session_window[] =
    "-SESSION limit=client.session-calls too far ahead of the oldest unanswered seq. Nothing was executed\r\n";
static const char session_full[] =
    "-OVERLOADED retry=1000 limit=partition.sessions the session table is full. Nothing was executed\r\n";

static err run(struct part *p, const struct entry *e, u64 ver, struct buf *reply)
{
    switch (e->op) {
    case ENTRY_SESSION_OPEN: {
        if (e->body.len != 8) return ERR_MALFORMED;
        struct reader r = reader_of(e->body);
        bool opened = session_open(p->sessions, e, reader_u64(&r));
        if (opened)
            buf_append_text(reply, "+OK\r\n");
        else
            buf_append_text(reply, session_full);
        return OK;
    }
    case ENTRY_SESSION_CLOSE:
        buf_append_text(reply, session_close(p->sessions, e) ? "+OK\r\n" : session_unknown);
        return OK;
    default: return p->machine->ops->apply(p->machine, e, ver, reply);
    }
}

static bool is_session_less(const struct entry *e)
{
    static const struct session_id none;
    return e->op == ENTRY_SESSION_OPEN || e->op == ENTRY_SESSION_CLOSE || e->op == ENTRY_TICK ||
           mem_equal(e->session.bytes, none.bytes, 16);
}

/* Said again by a later leader: nothing changes. */
static err span_apply(struct part *p, const struct entry *e)
{
    struct reader r = reader_of(e->body);
    u16 first = reader_u16(&r), last = reader_u16(&r);

    if (reader_end(&r) || !part_kv(p)) return ERR_MALFORMED;
    kv_set_slots(part_kv(p), first, last);
    return OK;
}

static err apply_operation(struct part *p, const struct entry *e, struct log_pos at, struct buf *reply,
                           enum part_status *status)
{
    switch (e->op) {
    case ENTRY_SPAN: return span_apply(p, e);
    case ENTRY_SPLIT: return split_apply(p, e, at, reply, status);
    case ENTRY_FREEZE: return merge_apply_freeze(p, e, at, reply, status);
    case ENTRY_UNFREEZE: return merge_apply_unfreeze(p, reply, status);
    case ENTRY_MERGE: return merge_apply(p, e, at, reply, status);
    default: return merge_apply_cancel(p, e, reply, status);
    }
}

/* Some entries wait on this replica alone, for what others have applied already: a checkpoint of ours, or our replica of a
 * neighbour. */
static bool is_ready(struct part *p, const struct raft_entry *re)
{
    struct entry e;

    p->merge.waits = false;
    if (re->kind != RAFT_COMMAND || LIKELY(entry_op(rcbuf_str(re->data)) < ENTRY_SPLIT)) return true;
    if (entry_decode(rcbuf_str(re->data), &e)) return true;
    if (e.op == ENTRY_SPLIT) return split_is_ready(p);
    return e.op != ENTRY_MERGE || merge_is_ready(p, &e);
}

static err apply_command(struct part *p, const struct raft_entry *re, struct buf *reply,
                         enum part_status *status)
{
    struct entry e;
    str known;

    err failed = entry_decode(rcbuf_str(re->data), &e);
    if (failed) return failed;
    if (e.op >= ENTRY_SPLIT) return apply_operation(p, &e, re->pos, reply, status);
    if (merge_is_frozen(p) && !MUTANT(frozen_partition_writes)) {
        *status = PART_WRONG_PLACE; /* and not even the session hears of it: its state is the left's by now, or soon */
        return OK;
    }
    if (is_session_less(&e)) {
        if (machine_covers(p, &e)) return run(p, &e, re->pos.index, reply);
        *status = PART_WRONG_PLACE;
        return OK;
    }

    switch (session_judge(p->sessions, &e, &known)) {
    case SESSION_KNOWN:
        buf_append_str(reply, known);
        p->stats.duplicates++;
        return OK;
    case SESSION_NOT_KEPT:
        buf_append_text(reply, session_is_client(&e.session) ? session_not_kept : reply_not_kept);
        return OK;
    case SESSION_GONE: buf_append_text(reply, session_gone); return OK;
    case SESSION_UNKNOWN: buf_append_text(reply, session_unknown); return OK;
    case SESSION_TOO_LATE: buf_append_text(reply, session_too_late); return OK;
    case SESSION_WINDOW: buf_append_text(reply, session_window); return OK;
    case SESSION_ORDER: *status = PART_OUT_OF_ORDER; return OK;
    case SESSION_RUN: break;
    }
    if (!machine_covers(p, &e)) { /* what ran before the split was told above */
        *status = PART_WRONG_PLACE;
        return OK;
    }
    failed = run(p, &e, re->pos.index, reply);
    if (!failed) session_keep(p->sessions, &e, buf_str(reply));
    return failed;
}

static err apply_one(struct part *p, u64 index)
{
    const struct raft_entry *re = raft_entry_at(p->raft, index);
    struct buf *reply = &p->apply.reply;

    enum part_status status = PART_DONE;

    assert(re->pos.index == p->apply.applied + 1);
    buf_clear(reply);
    if (re->kind == RAFT_COMMAND) {
        err e = apply_command(p, re, reply, &status);
        if (e) return e;
    }
    p->apply.applied = index;
    p->apply.applied_term = re->pos.term;
    p->stats.applied++;
    if (p->observer) {
        str entry = re->data ? rcbuf_str(re->data) : str_from("", 0);
        p->observer(p->observer_context, index, re->pos.term, entry, buf_str(reply));
    }
    cut_on_applied(p, index, re->pos.term);
    submit_answer_pending(p, index, re->pos.term, status, buf_str(reply));
    if (reply->cap > MIB) buf_done(reply);
    return read_run_at(p, index);
}

static void hint(struct part *p, u64 index)
{
    const struct raft_entry *re = raft_entry_at(p->raft, index);
    struct entry e;

    if (re->kind != RAFT_COMMAND || !p->machine->ops->prefetch) return;
    if (!entry_decode(rcbuf_str(re->data), &e)) p->machine->ops->prefetch(p->machine, &e);
}

err apply_turn(struct part *p, bool *more)
{
    u64 entries = 0, bytes = 0, unhinted = p->apply.applied + 1;

    while (p->apply.applied < p->apply.target && !read_holds_apply(p) && !cut_holds_apply(p)) {
        if (store_dirty_bytes(p->store) > p->options.dirty_bytes_max) {
            if (!p->apply.stalled) p->stats.apply_stalls++;
            p->apply.stalled = true; /* until the running checkpoint gives memory back */
            break;
        }
        p->apply.stalled = false;
        if (entries == APPLY_ENTRIES_PER_TURN || bytes > APPLY_BYTES_PER_TURN) {
            *more = true;
            break;
        }
        while (unhinted <= u64_min(p->apply.target, p->apply.applied + HINTS_AHEAD))
            hint(p, unhinted++);
        const struct raft_entry *re = raft_entry_at(p->raft, p->apply.applied + 1);
        if (UNLIKELY(!is_ready(p, re))) break;
        bytes += re->data ? re->data->len : 0;
        entries++;
        err e = apply_one(p, p->apply.applied + 1);
        if (e) return e;
    }
    u64 known = u64_min(p->apply.applied, p->apply.released);
    if (known > p->apply.reported) {
        struct raft_event ev = {.kind = RAFT_APPLIED, .index = known};
        p->apply.reported = known;
        log_step_or_fail(p, &ev);
        submit_look_for_expiry(p);
    }
    return OK;
}
