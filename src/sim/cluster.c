#include "sim/cluster.h"

#include "base/assert.h"
#include "sim/churn.h"
#include "sim/client.h"
#include "sim/disk.h"
#include "sim/engine.h"
#include "sim/faults.h"
#include "sim/host.h"
#include "sim/members.h"
#include "sim/net.h"
#include "sim/workload/table.h"

#include <stdio.h>

#define REDIS_PORT 6379
#define PEER_PORT 7379
#define ADMIN_PORT 8379

/* Segments, tails and checkpoints so small that a minute sees many of each. */
static void draw_config(struct prng *p, struct node_config *c)
{
    node_config_defaults(c);
    c->value_bytes_max = chance_one_in(p, 2) ? 64 * KIB : 32 * KIB;
    c->snapshot_chunk_bytes = (size_t)prng_between(p, 1, 2) << (11 + prng_below(p, 7)); /* 2 KB to 256 KB */
    c->memory_bytes = (size_t)prng_between(p, 6, 12) << (16 + prng_below(p, 5)); /* 400 KB to 12 MB */
    c->wal_segment_bytes = (u64)prng_between(p, 3, 6) * 512 * KIB; /* the smallest that holds the largest entry */
    c->wal_units_in_flight = (u32)prng_between(p, 1, 2);
    c->log_bytes_max = (u64)prng_between(p, 1, 8) * 64 * KIB;
    c->checkpoint_dirty_bytes = (u64)prng_between(p, 16, 256) * KIB;
    c->checkpoint_every = chance_between(p, 500 * NANOS_MS, 20 * NANOS_SEC);
    c->election_timeout_min = (nanos)prng_between(p, 2, 6) * 100 * NANOS_MS;
    c->election_timeout_max = c->election_timeout_min * (chance_one_in(p, 2) ? 105 : 200) / 100;
    c->heartbeat_every = c->election_timeout_min / prng_between(p, 4, 8);
    /* A lease that often lapses between heartbeats: reads must ask. */
    c->lease = chance_one_in(p, 3) ? chance_between(p, c->heartbeat_every * 3 / 2, c->heartbeat_every * 5 / 2)
                                   : c->election_timeout_min;
    c->clients_max = 64;
    c->debug_commands = false;
}

void cluster_make_nodes(struct world *w)
{
    struct prng *p = world_chance(w, CHANCE_SWARM);
    struct node_config common;

    assert(w->nodes <= WORLD_NODES_MAX);
    draw_config(p, &common);
    const struct sim_config *mine = w->options->config;
    bool racks = w->cluster && chance_one_in(p, 3) && !mine;
    common.member_count = w->founders;
    for (u32 i = 0; i < w->founders; i++) {
        common.members[i] = (struct node_member){.id = i + 1, .peer_port = (u16)(PEER_PORT + i)};
        snprintf(common.members[i].host, NODE_HOST_MAX, "10.0.0.%u", i + 1);
    }
    for (u32 i = 0; i < w->nodes; i++) {
        struct host *h = host_new(w, i + 1, true);
        h->config = common;
        h->config.self = i < w->founders ? i + 1 : 0;
        if (mine && mine->rack_count)
            snprintf(h->config.rack, sizeof h->config.rack, "%.63s", mine->racks[i % mine->rack_count]);
        if (racks) snprintf(h->config.rack, sizeof h->config.rack, "r%u", i % 3);
        snprintf(h->config.host, NODE_HOST_MAX, "10.0.0.%u", i + 1);
        h->config.redis_port = (u16)(REDIS_PORT + i);
        h->config.peer_port = (u16)(PEER_PORT + i);
        h->config.admin_port = (u16)(ADMIN_PORT + i);
        h->config.open_kvs = engine_open;
        h->config.founders = w->cluster ? 0 : w->options->founders;
        h->config.fixed_members = !w->cluster && (w->options->founders || w->nodes > 3); /* more would give up replicas */
        w->hosts[w->host_count++] = h;
    }
    net_set_peer_ports(w->net, PEER_PORT, w->nodes);
}

void cluster_make_clients(struct world *w)
{
    struct prng *p = world_chance(w, CHANCE_SWARM);
    const struct workload *chosen[16];
    u32 count = 0, clients = (u32)prng_between(p, 4, 8);

    if (w->cluster && (!w->options->workloads || sim_list_has(w->options->workloads, "spread")))
        chosen[count++] = &workload_spread;
    for (u32 row = 0; workload_at(row); row++) {
        if (workload_at(row) == &workload_spread) continue; /* without a cluster there is one keyspace */
        bool drawn = chance_one_in(p, 2);
        const char *list = w->options->workloads;
        if (list ? sim_list_has(list, workload_at(row)->name) : drawn) chosen[count++] = workload_at(row);
    }
    if (count == 0) chosen[count++] = &workload_registers;
    nanos think = chance_between(p, 2 * NANOS_MS, 40 * NANOS_MS);
    for (u32 i = 0; i < clients; i++) {
        bool in_memory = w->options->memory && i % 2; /* what a power cut takes must have been written just then */
        const struct workload *k = in_memory ? &workload_spread : chosen[i % count];
        w->clients[w->client_count++] = client_new(w, i + 1, k, think);
    }
    for (u32 i = 0; i < w->nodes; i++) w->hosts[i]->config.open_kvs_context = w->hosts[i]->engine;
}

void cluster_start(struct world *w)
{
    struct prng *p = world_chance(w, CHANCE_SWARM);

    for (u32 i = 0; i < w->nodes; i++) host_start_at(w->hosts[i], prng_below(p, 300 * NANOS_MS));
    if (w->cluster) churn_start(w);
    for (u32 i = 0; i < w->client_count; i++) client_start(w->clients[i]);
    faults_start(w);
    members_start(w);
}
