/* Prometheus text of everything the node counts: one table per owner, base units in the names. */
#include "server/keyspace_metrics.h"
#include "server/limits.h"
#include "server/node_internal.h"

#include <inttypes.h>

static void metric(struct buf *out, const char *name, const char *type, const char *help, u64 value)
{
    buf_printf(out, "# HELP quorate_%s %s\n# TYPE quorate_%s %s\nquorate_%s %" PRIu64 "\n", name,
               help, name, type, name, value);
}

static void seconds(struct buf *out, const char *name, const char *help, nanos value)
{
    buf_printf(out, "# HELP quorate_%s %s\n# TYPE quorate_%s gauge\nquorate_%s %.6f\n", name, help,
               name, name, (double)value / 1e9);
}

#define COUNTER(name, help, value) metric(out, name, "counter", help, value)
#define GAUGE(name, help, value)   metric(out, name, "gauge", help, value)

/* Of the default keyspace's replica here, if there is one. */
static void raft_metrics(struct node *n, struct buf *out)
{
    struct part *p = node_part(n);
    struct raft *r = p ? part_raft(p) : NULL;

    GAUGE("raft_leader", "Node id of the default keyspace's known leader, 0 if none.",
          hosted_leader(parts_find(node_parts(n), PART_DEFAULT)));
    if (!r) return;
    GAUGE("raft_term", "Current term.", raft_term(r));
    GAUGE("raft_role", "0 follower, 1 pre-candidate, 2 candidate, 3 leader.", (u64)raft_role(r));
    GAUGE("raft_commit_index", "Highest index known committed.", raft_commit(r));
    GAUGE("raft_applied_index", "Highest index applied.", part_applied(p));
    GAUGE("raft_durable_index", "Highest index on this node's disk.", raft_durable(r));
    GAUGE("raft_last_index", "Highest index in the log.", raft_last(r).index);
    GAUGE("raft_tail_bytes", "Entry payload bytes kept in memory.", raft_tail_bytes(r));
    GAUGE("replica_impaired", "1 while this replica may not vote.", part_is_damaged(p));
}

struct totals { /* over the replicas here */
    struct part_stats sum;
    u64 replicas, leads, full, dirty_bytes, memory_bytes, recovering;
    nanos loss_age;
    struct store_stats store;
};

static void add_up(struct totals *t, const struct hosted *h)
{
    struct part_durability d = part_durability(h->part);
    const struct part_stats *s = part_stats(h->part);
    const struct store_stats *st = store_stats(h->store);

    t->replicas++;
    t->leads += raft_is_leader(part_raft(h->part));
    t->full += part_is_full(h->part);
    t->recovering += d.recovering;
    t->loss_age = u64_max(t->loss_age, d.age);
    t->sum.recoveries += s->recoveries;
    t->dirty_bytes += store_dirty_bytes(h->store);
    t->memory_bytes += store_memory_bytes(h->store);
    t->sum.elections += s->elections;
    t->sum.proposed += s->proposed;
    t->sum.applied += s->applied;
    t->sum.reads_lease += s->reads_lease;
    t->sum.reads_index += s->reads_index;
    t->sum.reads_near += s->reads_near;
    t->sum.duplicates += s->duplicates;
    t->sum.sessions += s->sessions;
    t->sum.ticks += s->ticks;
    t->sum.apply_stalls += s->apply_stalls;
    t->sum.queue_bytes += s->queue_bytes;
    t->sum.checkpoints += s->checkpoints;
    t->sum.snapshots_sent += s->snapshots_sent;
    t->sum.snapshots_installed += s->snapshots_installed;
    t->store.hits += st->hits;
    t->store.misses += st->misses;
    t->store.kvs_reads += st->kvs_reads;
    t->store.evicted += st->evicted;
    t->store.rows_resident += st->rows_resident;
    t->store.checkpoint_rows += st->checkpoint_rows;
    t->store.checkpoint_bytes += st->checkpoint_bytes;
}

static void totals_of(struct node *n, struct totals *t)
{
    *t = (struct totals){0};
    for (u32 i = 0; i < parts_count(node_parts(n)); i++) {
        const struct hosted *h = parts_at(node_parts(n), i);
        if (h->part) add_up(t, h);
    }
}

static void part_metrics(const struct totals *t, struct buf *out)
{
    const struct part_stats *s = &t->sum;

    GAUGE("replicas", "Replicas of partitions on this node.", t->replicas);
    GAUGE("partitions_led", "Partitions that this node leads.", t->leads);
    COUNTER("raft_elections_total", "Elections won by this node.", s->elections);
    COUNTER("raft_proposed_total", "Entries proposed by this node as leader.", s->proposed);
    COUNTER("raft_applied_total", "Entries applied.", s->applied);
    COUNTER("reads_lease_total", "Linearizable reads served under the lease.", s->reads_lease);
    COUNTER("reads_index_total", "Linearizable reads confirmed by a ReadIndex round.",
            s->reads_index);
    COUNTER("reads_near_total", "Reads answered by a replica here as one that need not lead.", s->reads_near);
    COUNTER("session_duplicates_total", "Requests answered from the session table.", s->duplicates);
    GAUGE("sessions", "Sessions in the tables.", s->sessions);
    COUNTER("expiry_ticks_total", "TICK entries proposed.", s->ticks);
    GAUGE("group_loss_window_ms", "Age of the oldest acknowledged entry that is not on the disks of a majority, of groups led here.",
          t->loss_age / NANOS_MS);
    GAUGE("replicas_recovering", "Replicas that crashed while entries counted in memory and are not whole again.", t->recovering);
    COUNTER("memory_loss_recoveries_total", "Groups that went on here, by an operator's word, without what was in memory only.",
            s->recoveries);
    COUNTER("apply_stalls_total", "Times apply waited for a checkpoint.", s->apply_stalls);
    GAUGE("submit_queue_bytes", "Requests waiting to be proposed.", s->queue_bytes);
    COUNTER("checkpoints_total", "Checkpoints finished.", s->checkpoints);
    COUNTER("snapshots_sent_total", "Snapshots sent to followers.", s->snapshots_sent);
    COUNTER("snapshots_installed_total", "Snapshots installed here.", s->snapshots_installed);
}

static void wal_metrics(struct node *n, const struct totals *t, struct buf *out)
{
    const struct wal_stats *s = wal_stats(node_wal(n));

    COUNTER("wal_units_total", "Durable log writes.", s->units);
    COUNTER("wal_written_bytes_total", "Bytes written to the log, padding included.", s->bytes);
    COUNTER("wal_frames_total", "Frames staged.", s->frames);
    GAUGE("wal_segments", "Log files.", s->segments);
    COUNTER("wal_recycled_total", "Log files used again.", s->recycled);
    GAUGE("wal_live_bytes", "Log kept for recovery.", wal_bytes_live(node_wal(n)));
    GAUGE("wal_full", "1 while the log has no next file.", s->full);
    GAUGE("disk_full", "1 while this node takes no writes for want of space, in its log or its store.",
          s->full || t->full);
    GAUGE("wal_direct_refused",
          "1 if the file system refused O_DIRECT (buffered writes with fdatasync).",
          node_env(n)->direct_refused);
    seconds(out, "wal_last_write_seconds", "Latest log write, submit to durable.",
            s->last_write_ns);
    seconds(out, "wal_max_write_seconds", "Slowest log write since start.", s->max_write_ns);
}

static void store_metrics(const struct totals *t, struct buf *out)
{
    const struct store_stats *s = &t->store;

    GAUGE("store_memory_bytes", "Front tables.", t->memory_bytes);
    GAUGE("store_dirty_bytes", "Rows newer than the last checkpoint.", t->dirty_bytes);
    GAUGE("store_rows_resident", "Rows in the front tables.", s->rows_resident);
    COUNTER("store_hits_total", "Reads served by the front table.", s->hits);
    COUNTER("store_misses_total", "Reads that found no row.", s->misses);
    COUNTER("store_engine_reads_total", "Reads that went to the storage engine.", s->kvs_reads);
    COUNTER("store_evicted_total", "Clean rows evicted.", s->evicted);
    COUNTER("store_checkpoint_rows_total", "Rows written by checkpoints.", s->checkpoint_rows);
    COUNTER("store_checkpoint_bytes_total", "Bytes written by checkpoints.", s->checkpoint_bytes);
}

static void gateways_add_up(struct node *n, struct gateway_stats *sum)
{
    *sum = (struct gateway_stats){0};
    for (u32 i = 0; i < parts_count(node_parts(n)); i++) {
        const struct gateway_stats *g = gateway_stats(parts_at(node_parts(n), i)->gateway);
        sum->requests += g->requests;
        sum->forwarded += g->forwarded;
        sum->retried += g->retried;
        sum->near += g->near;
        sum->stale += g->stale;
        sum->noquorum += g->noquorum;
        sum->unknown += g->unknown;
        sum->overloaded += g->overloaded;
        sum->inflight += g->inflight;
        sum->inflight_bytes += g->inflight_bytes;
    }
}

static void door_metrics(struct node *n, struct buf *out)
{
    const struct redis_door_stats *d = redis_door_stats(node_redis_door(n));
    struct gateway_stats ways, *g = &ways;
    const struct peers_stats *p = peers_stats(node_peers(n));
    const struct live_stats *l = live_stats(support_live(node_support(n)));

    gateways_add_up(n, g);
    GAUGE("redis_connected_clients", "Redis connections open.", d->connected);
    COUNTER("redis_connections_total", "Redis connections accepted.", d->accepted);
    COUNTER("redis_rejected_total", "Redis connections refused at the limit.", d->rejected);
    COUNTER("redis_commands_total", "Redis commands received.", d->commands);
    COUNTER("redis_in_bytes_total", "Bytes from Redis clients.", d->bytes_in);
    COUNTER("redis_out_bytes_total", "Bytes to Redis clients.", d->bytes_out);
    COUNTER("redis_protocol_errors_total", "Connections closed for malformed input.",
            d->protocol_errors);
    COUNTER("redis_too_big_total", "Requests refused with TOOBIG at the door.", d->too_big);
    COUNTER("redis_pipeline_pauses_total", "Times a connection was not read on: too much of it under way.",
            d->pipeline_pauses);
    COUNTER("redis_output_pauses_total", "Times a connection was not read on: its replies were not read.",
            d->output_pauses);
    COUNTER("redis_gateway_pauses_total", "Times a connection was not read on: the node was full.",
            d->gateway_pauses);
    COUNTER("redis_output_dropped_total", "Connections dropped: replies never read.",
            d->output_dropped);
    COUNTER("redis_input_waits_total", "Large requests that waited for memory.", d->input_waits);
    COUNTER("redis_input_dropped_total", "Connections dropped: they held memory and sent nothing.",
            d->input_dropped);
    COUNTER("redis_transactions_refused_total", "MULTI refused: transactions hold too much memory.",
            d->transactions_refused);
    COUNTER("gateway_requests_total", "Commands taken by the gateway.", g->requests);
    COUNTER("gateway_forwarded_total", "Commands sent to another node.", g->forwarded);
    COUNTER("gateway_retried_total", "Commands offered again.", g->retried);
    COUNTER("gateway_near_total", "Reads given to a replica whether it leads or not.", g->near);
    COUNTER("gateway_stale_total", "STALE answers.", g->stale);
    COUNTER("gateway_noquorum_total", "NOQUORUM answers.", g->noquorum);
    COUNTER("gateway_unknown_total", "UNKNOWN answers.", g->unknown);
    COUNTER("gateway_overloaded_total", "OVERLOADED answers.", g->overloaded);
    GAUGE("gateway_inflight", "Commands not yet answered.", g->inflight);
    GAUGE("gateway_inflight_bytes", "Bytes of commands not yet answered.", g->inflight_bytes);
    COUNTER("peer_frames_in_total", "Frames from other nodes.", p->frames_in);
    COUNTER("peer_frames_out_total", "Frames to other nodes.", p->frames_out);
    COUNTER("peer_in_bytes_total", "Bytes from other nodes.", p->bytes_in);
    COUNTER("peer_bulk_bytes_total", "Bytes to other nodes on the bulk channel: snapshots.", p->bytes_bulk);
    COUNTER("peer_dropped_full_total", "Frames dropped at a full queue.", p->dropped_full);
    COUNTER("peer_dropped_stale_total", "Frames of an older boot dropped.", p->dropped_stale);
    COUNTER("peer_bad_frames_total", "Malformed frames; their connections were closed.",
            p->bad_frames);
    COUNTER("peer_connects_total", "Connections made to other nodes.", p->connects);
    COUNTER("peer_refused_total", "Peers refused at HELLO.", p->refused);
    COUNTER("support_pings_total", "Other nodes asked for support.", l->pings);
    COUNTER("support_given_total", "Answers to other nodes' PINGs.", l->pongs);
    COUNTER("support_withdrawn_total", "Promises to other nodes that ended: they fell silent, or started again.", l->withdrawn);
    COUNTER("support_lost_total", "Times another node's support of this one ran out.", l->lost);
}

void node_metrics(struct node *n, struct buf *out)
{
    struct node_view v;
    struct totals t;
    struct limits_now limits;

    node_view(n, &v);
    totals_of(n, &t);
    GAUGE("up", "1 while the node runs.", 1);
    GAUGE("serving", "1 while a leader is known and reachable.", v.serving);
    COUNTER("checker_violations_total", "Consistency violations that checkers of live traffic told.",
            node_alerts(n));
    GAUGE("node_boot", "Starts of this directory.", v.boot);
    seconds(out, "uptime_seconds", "Since this start.", env_mono(node_env(n)) - v.started_at);
    raft_metrics(n, out);
    part_metrics(&t, out);
    wal_metrics(n, &t, out);
    store_metrics(&t, out);
    door_metrics(n, out);
    GAUGE("replication_lag_ms", "The age of the oldest entry that a member of a group led here lacks.", node_replication_lag_ms(n));
    keyspace_metrics(redis_door_latencies(node_redis_door(n)), node_map(n), node_now(n), out);
    node_limits(n, &limits);
    limits_put_metrics(&limits, out);
}
