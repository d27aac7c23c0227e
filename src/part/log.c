/* Carrying out what the core decides: save, truncate, append into the write-ahead log; messages
 * that may leave at once, and those that wait until everything staged before them is durable. */
#include "part/part_internal.h"

#include "base/bytes.h"

#include <inttypes.h>
#include <stdio.h>

void log_send(struct part *p, const struct raft_message *m)
{
    /* An APPEND that overtakes entries would be refused; answers and votes need not wait behind what is large. */
    struct frame f = {.type = FRAME_RAFT, .may_overtake = m->kind != RAFT_APPEND};
    struct buf *out = members_begin(p, m->to, &f);

    if (!out) return;
    raft_message_encode(m, out);
    p->host.peer_end(p->host.context);
}

u64 log_stage_hard_state(struct part *p, const struct raft_hard_state *hs)
{
    u8 bytes[16] = {0};
    str payload = str_from(bytes, sizeof bytes);
    struct wal_frame f = {.type = WAL_HARD_STATE,
                          .part = p->options.id,
                          .term = (u32)hs->term,
                          .repl = p->options.replica};

    put_u64(bytes, hs->term);
    put_u32(bytes + 8, hs->vote);
    put_u32(bytes + 12, (hs->impaired ? HARD_IMPAIRED : 0) | (hs->memory ? HARD_MEMORY : 0) |
                            (hs->votes_kept ? HARD_VOTES_KEPT : 0) | (hs->accepts ? HARD_ACCEPTS : 0));
    return wal_stage(p->wal, &f, &payload, 1);
}

static void stage_save(struct part *p, const struct raft_hard_state *hs)
{
    struct staged *s = fifo_push(&p->log.staged);
    *s = (struct staged){
        .lsn = log_stage_hard_state(p, hs), .saved_term = hs->term, .saved_memory = hs->memory, .is_save = true};
}

static void stage_entries(struct part *p, u64 from, u64 to)
{
    u64 lsn = 0;

    for (u64 i = from; i <= to; i++) {
        const struct raft_entry *e = raft_entry_at(p->raft, i);
        str payload = e->data ? rcbuf_str(e->data) : str_from("", 0);
        struct wal_frame f = {.type = WAL_ENTRY,
                              .flags = (u8)e->kind,
                              .part = p->options.id,
                              .index = i,
                              .term = (u32)e->pos.term,
                              .repl = p->options.replica};
        lsn = wal_stage(p->wal, &f, &payload, 1);
    }
    struct staged *s = fifo_push(&p->log.staged);
    *s = (struct staged){.lsn = lsn, .pos = {raft_term_at(p->raft, to), to}};
}

static void stage(struct part *p, const struct raft_actions *a)
{
    if (a->save) stage_save(p, a->save);
    if (a->truncate_from) {
        struct wal_frame f = {
            .type = WAL_TRUNC_SUFFIX, .part = p->options.id, .index = a->truncate_from,
            .repl = p->options.replica};
        wal_stage(p->wal, &f, NULL, 0);
    }
    if (a->append.from) stage_entries(p, a->append.from, a->append.to);
}

static void tell(struct part *p, const char *what)
{
    char line[160];

    snprintf(line, sizeof line, "%s part=%" PRIu64 " leader=%u term=%" PRIu64 " last=%" PRIu64, what,
             p->options.id, part_leader(p), raft_term(p->raft), raft_last(p->raft).index);
    p->host.log(p->host.context, LOG_INFO, line);
}

/* The order of effects is the contract of raft_actions. */
static void carry_out(struct part *p, const struct raft_actions *a)
{
    for (u32 i = 0; i < a->send.count; i++) log_send(p, &a->send.items[i]);
    stage(p, a);

    u64 lsn = wal_staged(p->wal);
    bool at_once = wal_durable(p->wal) >= lsn || MUTANT(messages_leave_before_save);
    if (raft_counts_memory(p->raft) && MUTANT(hard_state_not_durable_in_memory_mode)) at_once = true;
    for (u32 i = 0; i < a->send_after_save.count; i++) {
        const struct raft_message *m = &a->send_after_save.items[i];
        assert(m->count == 0); /* entries would have to be kept with it */
        if (at_once) {
            log_send(p, m);
            continue;
        }
        struct held *h = fifo_push(&p->log.held);
        *h = (struct held){.lsn = lsn, .message = *m};
    }
    if (a->apply.from) {
        assert(a->apply.from == p->apply.released + 1);
        p->apply.released = a->apply.to;
        p->apply.target = u64_max(p->apply.target, a->apply.to);
    }
    if (a->events & RAFT_BECAME_LEADER) p->stats.elections++;
    if (a->events & (RAFT_STEPPED_DOWN | RAFT_TRUNCATED)) p->submit.ended_leadership = true;
    if (a->events & RAFT_BECAME_LEADER) submit_on_became_leader(p);
    for (u32 i = 0; i < a->read_count; i++) read_on_confirmed(p, &a->reads[i]);
    if (a->snapshot_to) shipping_begin(p, a->snapshot_to);
    if ((a->events & RAFT_LEADER_CHANGED) && raft_leader(p->raft)) tell(p, raft_is_leader(p->raft) ? "leads" : "follows");
    if (a->events) members_on_events(p, a->events);
    if (a->events & (RAFT_RECOVERED | RAFT_ABANDONED)) memory_on_events(p, a->events);
    if (a->events & RAFT_HEALED) tell(p, "replica healed");
}

/* A follower with a backlog refuses entries for now; the leader sends them again. A backlog is what applying and
 * checkpoints will make smaller: a long tail that nobody has confirmed needs the leader's entries. */
static bool has_backlog(const struct part *p)
{
    bool shrinks = raft_commit(p->raft) > p->apply.applied ||
                   p->checkpoint.marker.index < p->apply.applied || p->checkpoint.running;
    bool is_long = raft_tail_bytes(p->raft) >= 2 * p->options.raft.tail_bytes_max;

    return p->shipping.in.committing || (is_long && shrinks);
}

/* Actions are large, so partitions share them; a step within another one's effects has its own. */
static struct raft_actions *take_actions(struct raft_actions **scratch)
{
    struct raft_actions *a = *scratch;

    *scratch = NULL;
    return a ? a : mem_zalloc(sizeof *a);
}

static void give_actions(struct raft_actions **scratch, struct raft_actions *a)
{
    if (*scratch)
        mem_free(a);
    else
        *scratch = a;
}

err log_step(struct part *p, struct raft_event *ev)
{
    struct raft_actions **scratch = p->host.scratch ? p->host.scratch : &p->scratch;
    _Static_assert(RAFT_ENTRY_ROOM >= WAL_FRAME_OVERHEAD, "an entry takes no more than the core counts");
    ev->now = p->now;
    ev->room = has_backlog(p) ? 0 : wal_space(p->wal);
    struct raft_actions *actions = take_actions(scratch);
    err e = raft_step(p->raft, ev, actions);
    if (!e) carry_out(p, actions);
    give_actions(scratch, actions);
    if (e) return e;
    if (p->submit.ended_leadership) {
        p->submit.ended_leadership = false;
        submit_on_leadership_end(p);
        read_on_leadership_end(p);
    }
    return OK;
}

void log_step_or_fail(struct part *p, struct raft_event *ev)
{
    err e = log_step(p, ev);
    assert(e == OK); /* only proposals, reads and transfers may be refused */
}

err log_advance(struct part *p)
{
    u64 durable = wal_durable(p->wal);
    struct log_pos pos = {0, 0};
    bool saved = false, saved_memory = false;
    u64 saved_term = 0;

    if (durable == p->log.durable_seen) return OK;
    p->log.durable_seen = durable;
    for (struct staged *s; (s = fifo_first(&p->log.staged)) && s->lsn <= durable;
         fifo_pop(&p->log.staged)) {
        if (s->is_save) {
            saved = true;
            saved_term = s->saved_term;
            saved_memory = s->saved_memory;
        } else {
            pos = s->pos;
        }
    }
    if (saved) {
        struct raft_event ev = {.kind = RAFT_SAVED, .saved_term = saved_term, .saved_memory = saved_memory};
        log_step_or_fail(p, &ev);
    }
    if (pos.index) {
        struct raft_event ev = {.kind = RAFT_PERSISTED, .pos = pos};
        log_step_or_fail(p, &ev);
    }
    for (struct held *h; (h = fifo_first(&p->log.held)) && h->lsn <= durable;
         fifo_pop(&p->log.held))
        log_send(p, &h->message);
    fifo_trim(&p->log.staged); /* at once: thousands of elections wait for one write, and others use their memory next */
    fifo_trim(&p->log.held);
    return OK;
}
