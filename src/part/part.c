/* The door of a partition: creation, frames, jobs, the turn. It decides nothing. */
#include "part/part_internal.h"

err part_new(struct env *env, struct store *store, struct machine *machine,
             const struct part_options *options, const struct part_host *host, struct part **out)
{
    struct part *p = mem_zalloc(sizeof *p);

    p->env = env;
    p->store = store;
    p->options = *options;
    p->host = *host;
    p->machine = machine;
    p->sessions = session_table_new();
    prng_init(&p->submit.seeds, env_random(env), options->self);
    members_init(p);
    memory_init(p);
    p->raft = raft_new(&p->options.raft);
    fifo_init(&p->log.staged, sizeof(struct staged));
    fifo_init(&p->log.held, sizeof(struct held));
    fifo_init(&p->submit.queue, sizeof(struct queued));
    fifo_init(&p->submit.pending, sizeof(struct pending));
    fifo_init(&p->read.ready, sizeof(struct queued));
    fifo_init(&p->read.waits, sizeof(struct queued));
    fifo_init(&p->follow.reads, sizeof(struct queued));
    buf_init(&p->apply.reply, 0);
    buf_init(&p->read.reply, 0);
    p->joins = !options->members || options->members->count == 0;
    p->boot.config = mem_zalloc(sizeof *p->boot.config);
    if (!p->joins) *p->boot.config = *options->members;
    p->options.members = NULL;
    err e = boot_load_marker(p, p->boot.config);
    if (e) {
        part_free(p);
        return e;
    }
    *out = p;
    return OK;
}

static void drop_queued(struct fifo *f)
{
    for (size_t i = 0; i < f->count; i++) rcbuf_unref(((struct queued *)fifo_at(f, i))->req.entry);
    fifo_done(f);
}

void part_free(struct part *p)
{
    if (!p) return;
    checkpoint_found_space(p);
    shipping_free(p);
    part_cut_end(p);
    if (p->checkpoint.running) {
        err ignored = store_checkpoint_done(p->checkpoint.running);
        (void)ignored; /* going down: whatever it wrote is found at the next start */
    }
    for (u64 i = 0; i < p->boot.count; i++) rcbuf_unref(p->boot.entries[p->boot.start + i].data);
    mem_free(p->boot.entries);
    mem_free(p->boot.config);
    drop_queued(&p->submit.queue);
    drop_queued(&p->read.ready);
    drop_queued(&p->read.waits);
    drop_queued(&p->follow.reads);
    fifo_done(&p->submit.pending);
    fifo_done(&p->log.staged);
    fifo_done(&p->log.held);
    memory_done(p);
    buf_done(&p->apply.reply);
    buf_done(&p->read.reply);
    raft_free(p->raft);
    mem_free(p->scratch);
    session_table_free(p->sessions);
    p->machine->ops->free(p->machine);
    buf_done(&p->split.rows);
    mem_free(p);
}

/* A replica that joins, or a founding one that comes late, on a node where others have rows of this partition's ids: the log from
 * its beginning knows nothing of that. */
static bool needs_snapshot(const struct part *p)
{
    bool is_new = part_is_empty(p) && (p->joins || raft_last(p->raft).index == 0);

    return is_new && store_block_is_shared(p->store) && !MUTANT(joins_beside_the_child_by_log);
}

static err on_raft_frame(struct part *p, replica_id from, str body)
{
    struct raft_message m;

    err e = raft_message_decode(body, &m);
    if (e) return e;
    if (m.from != from || m.to != p->options.replica) {
        raft_message_done(&m);
        return ERR_MALFORMED;
    }
    if (m.kind == RAFT_APPEND && m.count && needs_snapshot(p)) { /* it comes when the leader's log has been cut */
        raft_message_done(&m);
        return OK;
    }
    struct raft_event ev = {.kind = RAFT_RECEIVED, .message = &m};
    if (p->shipping.in.committing) m.commit = 0; /* what is being installed is about to be more than that */
    log_step_or_fail(p, &ev);
    raft_message_done(&m);
    return OK;
}

err part_on_frame(struct part *p, node_id from, const struct frame *f, str body)
{
    replica_id sender;

    p->now = env_mono(p->env);
    if (p->merge.absorbed || !members_accept(p, from, f, &sender)) return OK;
    switch (f->type) {
    case FRAME_RAFT: return on_raft_frame(p, sender, body);
    case FRAME_READ_INDEX: follow_on_asked(p, sender, f); return OK;
    case FRAME_READ_INDEX_REPLY: return follow_on_index(p, sender, f, body);
    case FRAME_SNAPSHOT_CHUNK: return shipping_on_chunk(p, sender, body);
    case FRAME_SNAPSHOT_ACK: return shipping_on_ack(p, sender, body);
    default: return ERR_MALFORMED;
    }
}

void part_on_peer_lost(struct part *p, node_id peer, bool restarted)
{
    p->now = env_mono(p->env);
    members_on_peer_lost(p, peer, restarted);
}

void part_on_founding(struct part *p)
{
    struct raft_event ev = {.kind = RAFT_FOUNDING};

    p->now = env_mono(p->env);
    log_step_or_fail(p, &ev);
}

static void watch_space(struct part *p)
{
    bool full = p->log_full || checkpoint_lacks_space(p);
    struct raft_event ev = {.kind = RAFT_DISK_FULL, .full = full};

    if (full == p->disk_full) return;
    if (!p->log_full)
        p->host.log(p->host.context, full ? LOG_ERROR : LOG_INFO,
                    full ? "no space for checkpoints: read-only until space returns" : "space again: writes go on");
    p->disk_full = full;
    log_step_or_fail(p, &ev);
}

bool part_is_full(const struct part *p)
{
    return p->disk_full;
}

void part_on_disk_full(struct part *p, bool full)
{
    p->now = env_mono(p->env);
    p->log_full = full;
    watch_space(p);
}

void part_resign(struct part *p)
{
    replica_id best = 0;
    u64 best_match = 0;

    const struct raft_config *c = raft_config(p->raft);
    for (u32 i = 0; i < c->count; i++) {
        struct raft_peer_status s;
        replica_id id = c->members[i].id;
        if (!(c->members[i].roles & RAFT_VOTER) || !raft_peer_status(p->raft, id, &s)) continue;
        if (s.state == 1 && s.match >= best_match) {
            best = id;
            best_match = s.match;
        }
    }
    if (best && raft_is_leader(p->raft)) part_transfer(p, best);
}

void part_transfer(struct part *p, replica_id to)
{
    struct raft_event ev = {.kind = RAFT_TRANSFER, .peer = to};

    p->now = env_mono(p->env);
    err e = log_step(p, &ev);
    (void)e; /* refused: not leader any more, or who is meant cannot lead; whoever wanted it looks again */
}

err part_on_job(struct part *p, struct env_job *job)
{
    p->now = env_mono(p->env);
    if (checkpoint_owns(p, job)) return checkpoint_on_job(p);
    assert(shipping_owns(p, job));
    return shipping_on_job(p);
}

static bool tick_is_due(const struct part *p)
{
    return p->now >= raft_deadline(p->raft) && !members_is_silent(p);
}

/* Its neighbour has taken it in: it only waits to be freed. */
static err absorbed_turn(struct part *p, bool *more)
{
    submit_refuse_all(p, PART_WRONG_PLACE);
    checkpoint_start_held(p);
    if (store_tidy(p->store, 256)) *more = true;
    return p->failed;
}

err part_turn(struct part *p, bool *more)
{
    p->now = env_mono(p->env);
    if (p->merge.absorbed) return absorbed_turn(p, more);
    err e = p->failed;
    if (!e) e = log_advance(p);
    if (!e && tick_is_due(p)) {
        struct raft_event ev = {.kind = RAFT_TICK};
        log_step_or_fail(p, &ev);
    }
    if (!e) watch_space(p);
    if (!e) memory_turn(p);
    cut_turn(p);
    if (!e) e = submit_turn(p, more);
    if (!e && !p->shipping.in.committing) e = apply_turn(p, more);
    bool held = read_holds_apply(p);
    if (!e && !p->shipping.in.committing) e = follow_turn(p); /* before: what the leader answers itself goes on there */
    if (!e) e = read_turn(p);
    if (p->read.walking) *more = true;
    if (held && !read_holds_apply(p)) *more = true; /* what it held back can be applied now */
    if (!e) e = checkpoint_turn(p);
    if (!e) e = shipping_turn(p);
    if (!e) split_turn(p);
    if (!e) merge_turn(p);
    if (!e && store_tidy(p->store, 256)) *more = true;
    return e ? e : p->failed;
}

nanos part_deadline(const struct part *p)
{
    if (p->merge.absorbed) return NANOS_NEVER;
    nanos at = u64_min(shipping_deadline(p), cut_deadline(p));
    bool wants_checkpoint = (p->checkpoint.wanted || p->checkpoint.pressed) &&
                            p->apply.applied > p->checkpoint.marker.index && !p->checkpoint.running;
    bool held = p->apply.applied < p->apply.target && !p->shipping.in.committing; /* by a job, or a neighbour */
    if (held || p->split.child || p->merge.right || wants_checkpoint || p->merge.waits || p->merge.waiter.number ||
        (p->merge.at <= p->checkpoint.marker.index && raft_first(p->raft).index < p->merge.at))
        at = u64_min(at, p->now + 5 * NANOS_MS);
    if (!members_is_silent(p)) at = u64_min(at, raft_deadline(p->raft));

    if (p->apply.applied > p->checkpoint.marker.index && !p->checkpoint.running &&
        !p->shipping.in.committing)
        at = u64_min(at, u64_max(p->checkpoint.last_at + p->options.checkpoint_every,
                                 p->checkpoint.retry_at));
    if (raft_is_leader(p->raft)) at = u64_min(at, p->submit.next_expiry_at);
    at = u64_min(at, follow_deadline(p));
    if (p->submit.queue.count || p->read.ready.count || p->read.waits.count)
        at = u64_min(at, p->now + 10 * NANOS_MS);
    return at;
}

bool part_waits_for_log(const struct part *p)
{
    return p->log.staged.count || p->log.held.count || p->shipping.in.waiting || p->checkpoint.held;
}

u64 part_id(const struct part *p)
{
    return p->options.id;
}
struct raft *part_raft(struct part *p)
{
    return p->raft;
}
struct kv *part_kv(struct part *p)
{
    return kv_machine_kv(p->machine);
}
struct store *part_store(struct part *p)
{
    return p->store;
}
u64 part_applied(const struct part *p)
{
    return p->apply.applied;
}
u64 part_marker(const struct part *p)
{
    return p->checkpoint.marker.index;
}
const struct part_options *part_options(const struct part *p)
{
    return &p->options;
}
const struct part_stats *part_stats(struct part *p)
{
    p->stats.sessions = session_count(p->sessions);
    p->stats.client_sessions = session_clients(p->sessions);
    members_count(p);
    return &p->stats;
}
bool part_may_be_freed(const struct part *p)
{
    return !p->checkpoint.running && !p->shipping.in.committing &&
           !store_checkpoint_running(p->store);
}

struct machine *part_machine(struct part *p)
{
    return p->machine;
}

#define ROW_BYTES_GUESS 128
#define ROW_HEAD_BYTES  64 /* beside key and value */

/* By the number of keys: nobody counts their bytes yet. */
u64 part_bytes(struct part *p)
{
    struct kv *kv = part_kv(p);

    if (kv && kv_span(kv)->by_key) return kv_bytes(kv) + kv_key_count(kv) * ROW_HEAD_BYTES;
    return kv ? kv_key_count(kv) * ROW_BYTES_GUESS : 0;
}

bool part_is_damaged(const struct part *p)
{
    return raft_hard_state(p->raft)->impaired;
}

bool part_is_blank(const struct part *p)
{
    return raft_last(p->raft).index == 0 && p->checkpoint.marker.index == 0;
}

void part_observe(struct part *p, part_observer_fn fn, void *context)
{
    p->observer = fn;
    p->observer_context = context;
}

bool part_is_empty(const struct part *p)
{
    return p->checkpoint.marker.index == 0 && p->apply.applied == 0;
}
