/* Snapshots between replicas, in chunks with a small window: sent from the rows of the last
 * finished checkpoint, staged on the other side, and installed there in one atomic step. A broken
 * connection resumes at the first unacknowledged chunk; a restarted receiver asks for chunk 0
 * again. Source: Ongaro 2014 §5; the install rules answer RELIABILITY group E (stale, mixed, torn
 * installs). */
#include "part/part_internal.h"

#include <inttypes.h>
#include <stdio.h>

#define RESEND_AFTER  (500 * NANOS_MS)
#define GIVE_UP_AFTER (20 * NANOS_SEC)
#define WAIT_MORE     (300 * NANOS_MS) /* for a place among the snapshots of this node */
#define FILLERS_MAX   1024 /* at a time: it asks again */
#define WINDOW        ARRAY_LEN(((struct outgoing *)0)->window)

static u32 places(const struct part *p)
{
    return p->shipping.out ? RAFT_MEMBERS_MAX : 0;
}

static struct outgoing *outgoing_to(struct part *p, replica_id to)
{
    for (u32 i = 0; i < places(p); i++)
        if (p->shipping.out[i].to == to) return &p->shipping.out[i];
    return NULL;
}

void shipping_begin(struct part *p, replica_id to)
{
    if (outgoing_to(p, to)) return;
    if (!p->shipping.out) p->shipping.out = mem_zalloc_array(RAFT_MEMBERS_MAX, sizeof *p->shipping.out);
    struct outgoing *o = outgoing_to(p, 0);
    assert(o);
    *o = (struct outgoing){.to = to, .last_progress = p->now};
}

static void outgoing_reset_chunks(struct outgoing *o)
{
    for (u32 i = 0; i < WINDOW; i++) {
        buf_done(&o->window[i].bytes);
        o->window[i].used = false;
    }
    buf_done(&o->last_key);
    o->next_seq = o->acked_seq = o->acked_bytes = 0;
    o->read_all = o->has_marker = false;
}

static void tell(struct part *p, const char *what, replica_id peer, u64 index)
{
    char line[128];

    snprintf(line, sizeof line, "%s node=%u index=%" PRIu64, what, peer, index);
    p->host.log(p->host.context, LOG_INFO, line);
}

/* Chunks in memory and a view of the store: only so many at once of all groups of a node. */
static bool may_begin(struct part *p, struct outgoing *o)
{
    const struct raft_member *m = raft_config_find(raft_config(p->raft), o->to);

    o->node = m ? m->node : 0;
    o->waits = p->host.ship && !p->host.ship(p->host.context, o->node);
    return !o->waits;
}

static void let_go(struct part *p, struct outgoing *o)
{
    if (!o->snapshot) return;
    store_snapshot_free(o->snapshot);
    if (p->host.shipped) p->host.shipped(p->host.context, o->node);
}

static void outgoing_end(struct part *p, struct outgoing *o, bool report, bool failed)
{
    struct raft_event ev = {
        .kind = RAFT_SNAPSHOT_SENT, .peer = o->to, .index = o->index, .rejected = failed};

    tell(p, failed ? "snapshot not taken" : "snapshot taken", o->to, o->index);
    outgoing_reset_chunks(o);
    let_go(p, o);
    *o = (struct outgoing){0};
    if (!report || !raft_is_leader(p->raft)) return;
    if (!failed) p->stats.snapshots_sent++;
    log_step_or_fail(p, &ev);
}

static void send_chunk(struct part *p, struct outgoing *o, const struct sent_chunk *c)
{
    struct frame f = {.type = FRAME_SNAPSHOT_CHUNK};
    struct snapshot_chunk chunk = {.term = raft_term(p->raft),
                                   .snap_id = o->snap_id,
                                   .index = o->index,
                                   .index_term = o->index_term,
                                   .seq = c->seq,
                                   .last = c->last,
                                   .rows = buf_str(&c->bytes)};
    struct buf *out = members_begin(p, o->to, &f);

    if (!out) return;
    snapshot_chunk_encode(&chunk, out);
    p->host.peer_end(p->host.context);
}

/* The key of the last row in a chunk: where the next one goes on. */
static str last_key_of(str rows)
{
    struct reader r = reader_of(rows);
    str key = str_from("", 0);

    while (reader_left(&r)) {
        u32 key_len = reader_u32(&r), value_len = reader_u32(&r);
        key = reader_str(&r, key_len);
        reader_str(&r, value_len);
        assert(!r.bad);
    }
    return key;
}

/* The marker lies before all rows of users: a snapshot in which they come without it is not what the checkpoint wrote. It
 * need not be in the first chunk: the list of extents lies before it, and both grow with the databases. */
bool shipping_lacks_marker(const struct part *p, struct outgoing *o, str chunk, bool last)
{
    struct buf marker = {0};
    struct reader r = reader_of(chunk);
    bool lacks = false;

    store_local_key(p->options.id, ROW_MARKER, str_from("", 0), &marker);
    while (!o->has_marker && !lacks && reader_left(&r)) {
        u32 key_len = reader_u32(&r), value_len = reader_u32(&r);
        str key = reader_str(&r, key_len);
        o->has_marker = str_equal(key, buf_str(&marker));
        lacks = str_compare(key, buf_str(&marker)) > 0;
        reader_str(&r, value_len);
    }
    buf_done(&marker);
    return lacks || (last && !o->has_marker);
}

static err read_chunk(struct part *p, struct outgoing *o, struct sent_chunk *c)
{
    buf_init(&c->bytes, 0);
    err e = store_snapshot_chunk(o->snapshot, buf_str(&o->last_key),
                                 p->options.snapshot_chunk_bytes, &c->bytes, &c->last);
    if (!e && shipping_lacks_marker(p, o, buf_str(&c->bytes), c->last)) {
        p->host.log(p->host.context, LOG_ERROR, "a snapshot of the store lacks the marker: the node stops before others take it over");
        e = ERR_CORRUPT;
    }
    if (e) return e;
    str key = last_key_of(buf_str(&c->bytes));
    struct buf next;
    buf_init(&next, 0);
    buf_append_str(&next, key);
    buf_done(&o->last_key);
    o->last_key = next;
    c->seq = o->next_seq++;
    c->used = true;
    o->read_all = c->last;
    return OK;
}

static err outgoing_turn(struct part *p, struct outgoing *o)
{
    if (!o->snapshot) {
        if (p->checkpoint.running || !p->checkpoint.marker.index || merge_holds_snapshots(p))
            return OK; /* rows and marker must agree */
        if (!may_begin(p, o)) return OK;
        o->last_progress = p->now;
        o->snapshot = store_snapshot_new(p->store);
        o->index = p->checkpoint.marker.index;
        o->index_term = p->checkpoint.marker.term;
        o->snap_id = (u64)p->options.boot << 32 | ++p->shipping.next_snap_id;
        tell(p, "snapshot begins", o->to, o->index);
    }
    if (p->now >= o->last_progress + GIVE_UP_AFTER) {
        outgoing_end(p, o, true, true);
        return OK;
    }
    bool resend = p->now >= o->resend_at;
    for (u32 i = 0; i < WINDOW; i++) {
        struct sent_chunk *c = &o->window[i];
        if (!c->used && !o->read_all) {
            err e = read_chunk(p, o, c);
            if (e) return e;
            send_chunk(p, o, c);
        } else if (c->used && resend) {
            send_chunk(p, o, c);
        }
    }
    if (resend) o->resend_at = p->now + RESEND_AFTER;
    return OK;
}

/* A replica that applied more than a recovery kept takes a snapshot of more only, and a group where nothing is written never
 * comes to have one: entries that do nothing. */
static void go_beyond(struct part *p, u64 index)
{
    u64 last = raft_last(p->raft).index;

    if (MUTANT(abandoned_replica_waits_for_writes)) return;
    for (u32 i = 0; i < FILLERS_MAX && last + i <= index && submit_filler(p); i++) {}
    p->checkpoint.at_least = u64_max(p->checkpoint.at_least, index + 1);
}

err shipping_on_ack(struct part *p, replica_id from, str body)
{
    struct snapshot_ack a;
    struct outgoing *o = outgoing_to(p, from);

    err e = snapshot_ack_decode(body, &a);
    if (e) return e;
    if (!o || !o->snapshot || a.snap_id != o->snap_id || a.term > raft_term(p->raft)) return OK;
    o->last_progress = p->now;
    if (a.status == SNAPSHOT_REFUSED && a.next_seq) go_beyond(p, a.next_seq);
    if (a.status != SNAPSHOT_WANT) {
        outgoing_end(p, o, true, a.status == SNAPSHOT_REFUSED);
        return OK;
    }
    if (a.next_seq < o->acked_seq) { /* the receiver lost what it had */
        outgoing_reset_chunks(o);
        return OK;
    }
    o->acked_seq = a.next_seq;
    o->resend_at = p->now + RESEND_AFTER;
    for (u32 i = 0; i < WINDOW; i++) {
        struct sent_chunk *c = &o->window[i];
        if (!c->used || c->seq >= a.next_seq || c->last)
            continue; /* the last one is kept: it asks for the end */
        o->acked_bytes += c->bytes.len;
        buf_done(&c->bytes);
        c->used = false;
    }
    return OK;
}

u64 part_snapshot_sent(const struct part *p, replica_id to)
{
    for (u32 i = 0; i < places(p); i++)
        if (p->shipping.out[i].to == to) return p->shipping.out[i].acked_bytes;
    return 0;
}

static void ack(struct part *p, replica_id to, u64 snap_id, u64 next_seq, u8 status)
{
    struct frame f = {.type = FRAME_SNAPSHOT_ACK};
    struct snapshot_ack a = {
        .term = raft_term(p->raft), .snap_id = snap_id, .next_seq = next_seq, .status = status};
    struct buf *out = members_begin(p, to, &f);

    if (!out) return;
    snapshot_ack_encode(&a, out);
    p->host.peer_end(p->host.context);
}

static void incoming_abort(struct part *p)
{
    struct incoming *in = &p->shipping.in;

    assert(!in->committing);
    if (in->install) store_install_abort(in->install);
    *in = (struct incoming){0};
}

static err incoming_begin(struct part *p, replica_id from, const struct snapshot_chunk *c)
{
    struct incoming *in = &p->shipping.in;

    incoming_abort(p);
    err e = store_install_new(p->store, &in->install);
    if (e) return e;
    in->from = from;
    in->snap_id = c->snap_id;
    in->index = c->index;
    in->index_term = c->index_term;
    return OK;
}

static bool is_stale(struct part *p, u64 index)
{
    return index <= raft_commit(p->raft) && !MUTANT(stale_snapshot_installed);
}

/* We have that much already, unless what we have is not the group's: then one of more. */
static void answer_stale(struct part *p, replica_id to, u64 snap_id)
{
    bool more = raft_is_abandoned(p->raft);
    ack(p, to, snap_id, more ? raft_commit(p->raft) : 0, more ? SNAPSHOT_REFUSED : SNAPSHOT_INSTALLED);
}

err shipping_on_chunk(struct part *p, replica_id from, str body)
{
    struct incoming *in = &p->shipping.in;
    struct snapshot_chunk c;

    err e = snapshot_chunk_decode(body, &c);
    if (e) return e;
    if (c.term < raft_term(p->raft)) {
        ack(p, from, c.snap_id, 0, SNAPSHOT_REFUSED);
        return OK;
    }
    if (c.term > raft_term(p->raft)) return OK; /* its heartbeat brings the term first */
    bool same = in->install && in->from == from &&
                (in->snap_id == c.snap_id || MUTANT(chunks_of_two_snapshots_mixed));
    if (in->committing || in->waiting) {
        if (same) ack(p, from, c.snap_id, in->next_seq, SNAPSHOT_WANT);
        return OK;
    }
    if (is_stale(p, c.index)) {
        incoming_abort(p);
        answer_stale(p, from, c.snap_id);
        return OK;
    }
    if (!same) {
        if (c.seq == 0)
            e = incoming_begin(p, from, &c);
        else
            ack(p, from, c.snap_id, 0, SNAPSHOT_WANT);
        if (e == ERR_NO_SPACE) ack(p, from, c.snap_id, 0, SNAPSHOT_REFUSED);
        if (e || c.seq) return e == ERR_NO_SPACE ? OK : e;
    }
    if (c.seq == in->next_seq) {
        e = store_install_chunk(in->install, c.rows);
        if (e == ERR_NO_SPACE || e == ERR_STALE || e == ERR_MALFORMED) {
            incoming_abort(p);
            ack(p, from, c.snap_id, 0, SNAPSHOT_REFUSED); /* another replica here may give its rows up later */
            return e == ERR_MALFORMED ? e : OK;
        }
        if (e) {
            p->failed = e;
            return OK;
        }
        in->next_seq++;
        if (c.last) {
            in->waiting = true;
            in->wait_lsn = wal_staged(p->wal);
        }
    }
    ack(p, from, c.snap_id, in->next_seq, SNAPSHOT_WANT);
    return OK;
}

/* Partitions here that the snapshot shows to be merged into this one: they stop before their rows go. */
static bool victims_are_still(struct part *p, bool still)
{
    const struct store_victims *v = store_install_victims(p->shipping.in.install);
    bool all = true;

    for (u32 i = 0; i < v->count; i++) {
        struct part *other = p->host.replica ? p->host.replica(p->host.context, v->part[i]) : NULL;
        if (!other) continue;
        other->merge.absorbed = still;
        all &= part_may_be_freed(other);
    }
    return all;
}

static void incoming_turn(struct part *p)
{
    struct incoming *in = &p->shipping.in;

    bool writes = p->checkpoint.running && !MUTANT(install_beside_a_checkpoint);
    if (!in->waiting || writes || wal_durable(p->wal) < in->wait_lsn) return;
    if (is_stale(p, in->index)) {
        replica_id from = in->from;
        u64 snap_id = in->snap_id;
        incoming_abort(p);
        answer_stale(p, from, snap_id);
        return;
    }
    if (!store_install_may_commit(in->install)) {
        replica_id from = in->from;
        u64 snap_id = in->snap_id;
        incoming_abort(p);
        ack(p, from, snap_id, 0, SNAPSHOT_REFUSED);
        return;
    }
    if (!victims_are_still(p, true)) return;
    struct wal_frame f = {.type = WAL_SNAP_BEGIN,
                          .part = p->options.id,
                          .index = in->index,
                          .term = (u32)in->index_term,
                          .repl = p->options.replica};
    wal_stage(p->wal, &f, NULL, 0);
    in->waiting = false;
    in->committing = true;
    store_install_prepare(in->install);
    in->install->job.owner = p;
    env_job_submit(p->env, &in->install->job);
}

bool shipping_owns(const struct part *p, const struct env_job *job)
{
    return p->shipping.in.install && &p->shipping.in.install->job == job;
}

/* The new rows are durable: the state machine, the sessions and the log start again behind them. */
static err restart_from_marker(struct part *p, replica_id leader)
{
    split_forget(p); /* the child's leader has its rows */
    struct raft_config config = {0};
    err e = boot_load_marker(p, &config);
    if (!e && p->checkpoint.marker.index == 0) e = ERR_CORRUPT; /* a snapshot has a marker */
    if (e) return e;
    struct log_pos pos = p->checkpoint.marker;
    struct wal_frame f = {
        .type = WAL_SNAP_DONE, .part = p->options.id, .index = pos.index, .term = (u32)pos.term,
        .repl = p->options.replica};
    wal_stage(p->wal, &f, NULL, 0);
    wal_release(p->wal, p->options.id, pos.index);
    checkpoint_found_space(p); /* what it wanted to write is in there */
    struct raft_event ev = {
        .kind = RAFT_RESTORED, .pos = pos, .config = &config, .peer = leader};
    /* Refused if this replica came to lead and commit past the snapshot meanwhile: the rows are the
     * snapshot's already, so the node starts again from them. */
    e = log_step(p, &ev);
    if (e) return e;
    p->stats.snapshots_installed++;
    tell(p, "snapshot installed", leader, pos.index);
    return OK;
}

/* Not while entries of the old log are on their way to the disk: the core could not tell the report of one from that of
 * the same entry, sent again behind the snapshot, and would have to take neither. */
static err install_end(struct part *p)
{
    struct incoming in = p->shipping.in;

    if (!in.committed || p->log.staged.count) return OK;
    struct store_victims gone = *store_install_victims(in.install);
    if (in.install->job.result) victims_are_still(p, false);
    p->shipping.in = (struct incoming){0};
    err e = store_install_done(in.install);
    for (u32 i = 0; i < gone.count && !e; i++) merge_release(p, gone.part[i]);
    if (e == ERR_NO_SPACE) {
        ack(p, in.from, in.snap_id, 0, SNAPSHOT_REFUSED);
        return OK;
    }
    if (e) return e;
    e = restart_from_marker(p, in.from);
    if (!e) ack(p, in.from, in.snap_id, 0, SNAPSHOT_INSTALLED);
    return e;
}

err shipping_on_job(struct part *p)
{
    p->shipping.in.committed = true;
    return install_end(p);
}

/* Most partitions send no snapshot most of the time. */
static void forget_places(struct part *p)
{
    for (u32 i = 0; i < places(p); i++)
        if (p->shipping.out[i].to) return;
    mem_free(p->shipping.out);
    p->shipping.out = NULL;
}

err shipping_turn(struct part *p)
{
    bool leader = raft_is_leader(p->raft);

    for (u32 i = 0; i < places(p); i++) {
        struct outgoing *o = &p->shipping.out[i];
        if (!o->to) continue;
        if (!leader) {
            outgoing_end(p, o, false, true);
            continue;
        }
        err e = outgoing_turn(p, o);
        if (e) return e;
    }
    forget_places(p);
    incoming_turn(p);
    return install_end(p);
}

void shipping_on_peer_lost(struct part *p, replica_id peer)
{
    struct outgoing *o = outgoing_to(p, peer);
    if (o) o->resend_at = p->now; /* the next connection goes on where the last one broke */
}

u64 shipping_pins(const struct part *p)
{
    u64 lowest = UINT64_MAX;
    for (u32 i = 0; i < places(p); i++)
        if (p->shipping.out[i].to && p->shipping.out[i].snapshot)
            lowest = u64_min(lowest, p->shipping.out[i].index);
    return lowest;
}

nanos shipping_deadline(const struct part *p)
{
    nanos at = NANOS_NEVER;
    for (u32 i = 0; i < places(p); i++) {
        const struct outgoing *o = &p->shipping.out[i];
        if (o->to)
            at = u64_min(at, o->snapshot ? u64_max(o->resend_at, p->now + NANOS_MS)
                                         : p->now + (o->waits ? WAIT_MORE : 20 * NANOS_MS));
    }
    return at;
}

void shipping_free(struct part *p)
{
    for (u32 i = 0; i < places(p); i++) {
        struct outgoing *o = &p->shipping.out[i];
        if (!o->to) continue;
        outgoing_reset_chunks(o);
        let_go(p, o);
    }
    mem_free(p->shipping.out);
    if (p->shipping.in.install) store_install_abort(p->shipping.in.install);
}
