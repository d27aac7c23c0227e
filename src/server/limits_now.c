/* What each limit of a node is, how much of it is used and how often it was reached, read where it is kept. Of what
 * bounds each partition, follower or connection alone: the greatest use of any, and how often it was reached in all. */
#include "server/limits.h"

#include "core/core.h"
#include "part/session.h"
#include "server/admin/admin.h"
#include "server/node_state.h"

static void set(struct limits_now *out, enum limit_id id, u64 value, u64 use, u64 reached)
{
    out->at[id] = (struct limit_now){.value = value, .use = use, .reached = out->at[id].reached + reached, .has_use = true};
}

static void most(struct limits_now *out, enum limit_id id, u64 value, u64 use, u64 reached)
{
    struct limit_now *l = &out->at[id];

    *l = (struct limit_now){u64_max(l->value, value), u64_max(l->use, use), l->reached + reached, true};
}

static void see_followers(struct raft *r, const struct raft_options *o, struct limits_now *out)
{
    const struct raft_config *c = raft_config(r);
    struct raft_peer_status s;

    for (u32 i = 0; i < c->count; i++) {
        if (!raft_peer_status(r, c->members[i].id, &s)) continue;
        most(out, LIMIT_RAFT_INFLIGHT_MESSAGES, o->inflight_messages_max, s.inflight, 0);
        most(out, LIMIT_RAFT_INFLIGHT_BYTES, o->inflight_bytes_max, s.inflight_bytes, 0);
    }
}

static void see_replica(struct hosted *h, struct limits_now *out)
{
    const struct part_options *o = part_options(h->part);
    const struct part_stats *s = part_stats(h->part);
    struct raft *r = part_raft(h->part);
    struct raft_pressure p;

    raft_pressure(r, &p);
    most(out, LIMIT_PARTITION_QUEUE, o->queue_bytes_max, s->queue_bytes, s->queue_refused);
    most(out, LIMIT_PARTITION_DIRTY, o->dirty_bytes_max, store_dirty_bytes(h->store), s->apply_stalls);
    most(out, LIMIT_PARTITION_SESSIONS, SESSION_CLIENTS_MAX, s->client_sessions, 0);
    most(out, LIMIT_RAFT_TAIL, o->raft.tail_bytes_max, raft_tail_bytes(r), s->tail_full);
    most(out, LIMIT_RAFT_UNCOMMITTED, o->raft.uncommitted_bytes_max, p.uncommitted_bytes, s->uncommitted_full);
    most(out, LIMIT_RAFT_INFLIGHT_MESSAGES, o->raft.inflight_messages_max, 0, p.windows_of_messages);
    most(out, LIMIT_RAFT_INFLIGHT_BYTES, o->raft.inflight_bytes_max, 0, p.windows_of_bytes);
    most(out, LIMIT_RAFT_READS, p.reads_waiting_max, p.reads_waiting, s->reads_full);
    most(out, LIMIT_WAL_BACKLOG, 0, 0, s->wal_short);
    see_followers(r, &o->raft, out);
}

static void see_wal(const struct node *n, struct limits_now *out)
{
    struct wal_pressure p;

    wal_pressure(n->wal, &p);
    most(out, LIMIT_WAL_BACKLOG, p.backlog_bytes_max, p.backlog_bytes, 0);
    set(out, LIMIT_WAL_LOG, 16 * n->config.wal_segment_bytes, wal_bytes_live(n->wal), n->log_looks);
    out->at[LIMIT_WAL_RESERVE] = (struct limit_now){.value = p.reserve_bytes, .reached = wal_stats(n->wal)->times_full};
}

static void see_peers(const struct node *n, struct limits_now *out)
{
    const struct peers_stats *s = peers_stats(n->peers);
    struct peers_queues q;

    peers_queues(n->peers, &q);
    set(out, LIMIT_PEER_QUEUE, q.bytes_max, q.fullest, s->dropped_full - s->dropped_repairable);
    set(out, LIMIT_PEER_REPAIRABLE, q.repairable_bytes_max, q.fullest, s->dropped_repairable);
    const struct shipments *ships = parts_shipments(n->parts);
    set(out, LIMIT_PEER_SNAPSHOTS, SHIPMENTS_TO_ONE_MAX, shipments_most(ships), ships->waits_for_one);
    set(out, LIMIT_NODE_SNAPSHOTS, SHIPMENTS_MAX, ships->total, ships->waits_for_all);
    set(out, LIMIT_CLUSTER_MEMBERS, NODE_MEMBERS_MAX, n->config.member_count, 0);
}

static void see_map(const struct node *n, struct limits_now *out)
{
    const struct core *map = node_map(n);
    u32 nodes = 0, keyspaces = 0, parts = 0;

    if (map) {
        core_nodes(map, &nodes);
        core_keyspaces(map, &keyspaces);
        core_parts(map, &parts);
    }
    set(out, LIMIT_CLUSTER_NODES, CORE_NODES_MAX, nodes, 0);
    set(out, LIMIT_CLUSTER_KEYSPACES, CORE_KEYSPACES_MAX, keyspaces, 0);
    set(out, LIMIT_CLUSTER_GROUPS, CORE_PARTS_MAX, parts, 0);
    out->at[LIMIT_GROUP_REPLICAS].value = CORE_MEMBERS_MAX;
}

static void see_commands(const struct node *n, struct limits_now *out)
{
    out->at[LIMIT_CLIENT_SESSION_CALLS].value = SESSION_CLIENT_WINDOW;
    out->at[LIMIT_COMMAND_STEPS].value = NODE_STEP_BUDGET;
    out->at[LIMIT_COMMAND_REPLY].value = 2 * n->config.value_bytes_max + 2 * MIB;
    out->at[LIMIT_COMMAND_WALK].value = n->config.request_timeout / NANOS_MS;
}

void node_limits(struct node *n, struct limits_now *out)
{
    u64 budget, used, exceeded;

    *out = (struct limits_now){0};
    if (n->joiner) return;
    redis_door_limits(n->redis, out);
    for (u32 i = 0; i < parts_count(n->parts); i++) {
        struct hosted *h = parts_at(n->parts, i);
        if (h->part) see_replica(h, out);
        if (h->gateway) gateway_limits(h->gateway, out);
    }
    parts_budget(n->parts, &budget, &used, &exceeded);
    set(out, LIMIT_MEMORY_TABLES, budget, used, exceeded);
    set(out, LIMIT_MEMORY_NODE, n->config.memory_bytes, node_memory_used(n), 0);
    see_wal(n, out);
    see_peers(n, out);
    see_map(n, out);
    see_commands(n, out);
    set(out, LIMIT_ADMIN_CONNECTIONS, admin_connections_max(), admin_door_stats(n->admin)->connected,
        admin_door_stats(n->admin)->rejected);
}
