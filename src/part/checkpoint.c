/* Checkpoints: freeze the front table's dirty rows at the applied index together with the marker
 * and the sessions that changed, write them off the reactor, then let the log go. Marker <= durable
 * holds because the job waits for the log: with entries that count in memory what is applied may not be durable yet. */
#include "part/part_internal.h"

struct local_rows { /* keys and values live in one buffer until the store has copied them */
    struct part *part;
    struct kvs_row *rows;
    struct {
        size_t key_at, key_len, value_at, value_len;
        bool is_delete;
    } * places;
    size_t count, cap;
    struct buf bytes;
};

static void add_row_of(struct local_rows *l, u64 part, u8 kind, str sub, str value, bool is_delete)
{
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 16;
        l->places = mem_resize_array(l->places, l->cap, sizeof *l->places);
    }
    size_t key_at = l->bytes.len;
    store_local_key(part, kind, sub, &l->bytes);
    size_t value_at = l->bytes.len;
    buf_append_str(&l->bytes, value);
    l->places[l->count].key_at = key_at;
    l->places[l->count].key_len = value_at - key_at;
    l->places[l->count].value_at = value_at;
    l->places[l->count].value_len = value.len;
    l->places[l->count++].is_delete = is_delete;
}

static void add_row(struct local_rows *l, u8 kind, str sub, str value, bool is_delete)
{
    add_row_of(l, l->part->options.id, kind, sub, value, is_delete);
}

static void add_childs(void *context, u64 part, u8 kind, str sub, str value)
{
    add_row_of(context, part, kind, sub, value, false);
}

static void add_session(void *context, str id, str value)
{
    add_row(context, ROW_SESSION, id, value, value.at == NULL);
}

static void freeze(struct part *p)
{
    struct local_rows l = {.part = p};
    struct buf marker;

    assert(!p->checkpoint.running);
    p->checkpoint.pressed = false;
    buf_init(&l.bytes, 0);
    buf_init(&marker, 0);
    marker_encode(p, &marker);
    add_row(&l, ROW_MARKER, str_from("", 0), buf_str(&marker), false);
    if (!MUTANT(checkpoint_without_sessions))
        session_each_changed(p->sessions, false, add_session, &l);
    split_add_rows(p, add_childs, &l);
    l.rows = mem_zalloc_array(l.count, sizeof *l.rows);
    for (size_t i = 0; i < l.count; i++)
        l.rows[i] = (struct kvs_row){
            .key = str_from(buf_bytes(&l.bytes) + l.places[i].key_at, l.places[i].key_len),
            .value = str_from(buf_bytes(&l.bytes) + l.places[i].value_at, l.places[i].value_len),
            .is_delete = l.places[i].is_delete,
        };
    p->checkpoint.running_pos = (struct log_pos){p->apply.applied_term, p->apply.applied};
    p->checkpoint.running = store_freeze(p->store, l.rows, l.count);
    cut_on_freeze(p);
    if (MUTANT(log_released_before_checkpoint))
        wal_release(p->wal, p->options.id, p->apply.applied);
    p->checkpoint.running->job.owner = p;
    p->checkpoint.held = raft_durable(p->raft) < p->apply.applied && !MUTANT(checkpoint_ahead_of_log);
    p->checkpoint.wait_lsn = p->checkpoint.held ? wal_staged(p->wal) : 0;
    if (!p->checkpoint.held) env_job_submit(p->env, &p->checkpoint.running->job);
    buf_done(&marker);
    buf_done(&l.bytes);
    mem_free(l.places);
    mem_free(l.rows);
}

void checkpoint_start_held(struct part *p)
{
    if (LIKELY(!p->checkpoint.held) || wal_durable(p->wal) < p->checkpoint.wait_lsn) return;
    p->checkpoint.held = false;
    env_job_submit(p->env, &p->checkpoint.running->job);
}

static bool is_due(const struct part *p)
{
    bool installs = p->shipping.in.committing && !MUTANT(checkpoint_beside_an_install);
    if (p->checkpoint.running || installs || p->now < p->checkpoint.retry_at) return false;
    if (split_holds_checkpoints(p)) return false;
    if (p->apply.applied == p->checkpoint.marker.index) return false;
    if (cut_wants_checkpoint(p)) return true;
    if (p->checkpoint.marker.index < p->checkpoint.at_least && p->apply.applied >= p->checkpoint.at_least) return true;
    if (p->checkpoint.wanted || p->checkpoint.pressed || p->checkpoint.stopping || p->checkpoint.no_space) return true;
    return store_dirty_bytes(p->store) >= p->options.checkpoint_dirty_bytes ||
           p->now >= p->checkpoint.last_at + p->options.checkpoint_every ||
           wal_bytes_live(p->wal) > p->options.wal_bytes_max ||
           raft_tail_bytes(p->raft) > 6 * p->options.log_bytes_keep;
}

err checkpoint_turn(struct part *p)
{
    checkpoint_start_held(p);
    if (is_due(p)) freeze(p);
    /* What a snapshot under way has kept may go when it ends, though nothing new is checkpointed.
     */
    if (p->checkpoint.wanted || raft_tail_bytes(p->raft) > 6 * p->options.log_bytes_keep) checkpoint_compact(p);
    return OK;
}

bool checkpoint_owns(const struct part *p, const struct env_job *job)
{
    return p->checkpoint.running && &p->checkpoint.running->job == job;
}

/* Drop entries the store holds durably, but keep some for followers that are a little behind, and
 * what a running snapshot transfer still needs, unless a write waits for that room. */
void checkpoint_compact(struct part *p)
{
    u64 to = raft_first(p->raft).index, limit = p->checkpoint.marker.index,
        bytes = raft_tail_bytes(p->raft);

    if (bytes <= 7 * p->options.log_bytes_keep && !p->checkpoint.wanted) limit = u64_min(limit, shipping_pins(p));
    p->checkpoint.wanted = false; /* who still finds no room says so again */
    u64 floor = u64_min(merge_log_floor(p), p->apply.reported);
    limit = u64_max(u64_min(limit, p->apply.reported), floor);
    while (to < limit && (to < floor || bytes > p->options.log_bytes_keep)) {
        const struct raft_entry *e = raft_entry_at(p->raft, ++to);
        bytes -= u64_min(bytes, e->data ? e->data->len : 0);
    }
    if (to == raft_first(p->raft).index) return;
    struct raft_event ev = {.kind = RAFT_COMPACT, .index = to};
    log_step_or_fail(p, &ev);
}

void checkpoint_found_space(struct part *p)
{
    if (p->checkpoint.no_space) wal_hold(p->wal, false);
    p->checkpoint.no_space = false;
}

/* Most groups are at rest by their checkpoint, and there may be thousands: their queues begin anew. Those of the log do
 * at each of its writes. */
static void trim_queues(struct part *p)
{
    fifo_trim(&p->submit.queue);
    fifo_trim(&p->submit.pending);
    fifo_trim(&p->read.ready);
    fifo_trim(&p->read.waits);
}

err checkpoint_on_job(struct part *p)
{
    struct store_checkpoint *c = p->checkpoint.running;
    struct log_pos pos = p->checkpoint.running_pos;

    p->checkpoint.running = NULL;
    p->checkpoint.last_at = p->now;
    err e = store_checkpoint_done(c);
    if (e == ERR_NO_SPACE) {
        p->host.log(p->host.context, LOG_ERROR,
                    "checkpoint found no space; it is tried again, the log keeps what it needs");
        session_changes_failed(p->sessions);
        p->checkpoint.retry_at = p->now + NANOS_SEC;
        p->checkpoint.stopping = false;
        if (!p->checkpoint.no_space) wal_hold(p->wal, true); /* or it takes what space there is, and nothing is released */
        p->checkpoint.no_space = true;
        cut_on_checkpoint(p, pos.index, false);
        return OK;
    }
    if (e) return e;
    assert(pos.index > p->checkpoint.marker.index);
    assert(pos.index <= raft_durable(p->raft));
    p->checkpoint.marker = pos;
    cut_on_checkpoint(p, pos.index, true);
    checkpoint_found_space(p);
    p->stats.checkpoints++;
    struct wal_frame f = {
        .type = WAL_CKPT, .part = p->options.id, .index = pos.index, .term = (u32)pos.term,
        .repl = p->options.replica};
    wal_stage(p->wal, &f, NULL, 0);
    wal_release(p->wal, p->options.id, pos.index);
    split_on_checkpoint(p, pos.index);
    merge_on_checkpoint(p, pos.index);
    checkpoint_compact(p);
    trim_queues(p);
    return OK;
}

/* Half, so that whatever has been taken already finds its place, and no single entry can be too large for the rest. */
bool checkpoint_lacks_space(const struct part *p)
{
    return p->checkpoint.no_space && (store_dirty_bytes(p->store) > p->options.dirty_bytes_max / 2 ||
                                      raft_tail_bytes(p->raft) > p->options.raft.tail_bytes_max / 2);
}

void part_checkpoint(struct part *p)
{
    p->checkpoint.pressed = true;
}

bool part_stopping(struct part *p)
{
    p->checkpoint.stopping = true;
    part_set_memory(p, false); /* and the next start may know that nothing is in doubt */
    return !raft_is_volatile(p->raft) && !p->checkpoint.running && !p->shipping.in.committing &&
           p->apply.applied == p->checkpoint.marker.index;
}
