#include "cli/node_settings.h"

#include "base/assert.h"
#include "cli/values.h"
#include "server/join.h"
#include "wal/wal.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool seeds_from(const char *join, struct node_config *c, char *problem, size_t size)
{
    str rest = str_of(join);

    while (rest.len) {
        size_t end = 0;
        while (end < rest.len && rest.at[end] != ',') end++;
        struct node_member *m = &c->seeds[c->seed_count];
        if (c->seed_count == NODE_SEEDS_MAX ||
            !address_parse(str_from(rest.at, end), m->host, &m->peer_port)) {
            snprintf(problem, size,
                     "--join %s: give the peer addresses of up to %d members, as HOST:PORT,HOST:PORT",
                     join, NODE_SEEDS_MAX);
            return false;
        }
        c->seed_count++;
        end += end < rest.len;
        rest = str_from(rest.at + end, rest.len - end);
    }
    return true;
}

static bool members_from(const struct settings *s, struct node_config *c, char *problem,
                         size_t size)
{
    const char *peers = settings_text(s, SET_PEERS), *why;
    u64 self = settings_is_set(s, SET_NODE) ? settings_number(s, SET_NODE) : 0;
    bool found = false;

    if (settings_text(s, SET_JOIN)) {
        if (!peers && !self) return seeds_from(settings_text(s, SET_JOIN), c, problem, size);
        snprintf(problem, size,
                 "--join lets the cluster give this node its id and its members: leave out --node "
                 "and --peers");
        return false;
    }
    if (!peers) {
        if (self > 1) {
            snprintf(problem, size,
                     "--node %lu: a node other than 1 belongs to a cluster; name its members with "
                     "--peers",
                     self);
            return false;
        }
        return true; /* a bare start founds a cluster of one */
    }
    bool ok = value_peers(peers, c->members, &c->member_count, &why);
    assert(ok); /* checked while reading */
    c->self = (node_id)self;
    if (self == 0) {
        snprintf(problem, size, "--peers: say with --node which of them this node is");
        return false;
    }
    for (u32 i = 0; i < c->member_count; i++) {
        if (c->members[i].id != c->self) continue;
        found = true;
        snprintf(c->host, sizeof c->host, "%s", c->members[i].host);
        c->peer_port = c->members[i].peer_port;
    }
    if (!found) snprintf(problem, size, "--node %lu is not among --peers %s", self, peers);
    return found;
}

static bool addresses_from(const struct settings *s, struct node_config *c, char *problem,
                           size_t size)
{
    const char *host = settings_text(s, SET_HOST);

    if (host && strlen(host) >= sizeof c->host) {
        snprintf(problem, size, "--host %s is too long", host);
        return false;
    }
    if (host) snprintf(c->host, sizeof c->host, "%s", host);
    c->redis_port = (u16)settings_number(s, SET_REDIS_PORT);
    c->admin_port = (u16)settings_number(s, SET_ADMIN_PORT);
    if (settings_is_set(s, SET_PEER_PORT)) c->peer_port = (u16)settings_number(s, SET_PEER_PORT);
    if (c->redis_port != c->admin_port && c->redis_port != c->peer_port &&
        c->admin_port != c->peer_port)
        return true;
    snprintf(problem, size,
             "--redis-port %u, --peer-port %u and --admin-port %u must be three different ports",
             c->redis_port, c->peer_port, c->admin_port);
    return false;
}

/* The lease is shorter than the shortest election by a bound on clock drift; both keep the ratio of
 * the defaults, so that one knob cannot make leases unsafe. */
static bool timing_from(const struct settings *s, struct node_config *c, char *problem, size_t size)
{
    c->request_timeout = settings_duration(s, SET_REQUEST_TIMEOUT);
    if (settings_is_set(s, SET_ELECTION_TIMEOUT)) {
        nanos asked = settings_duration(s, SET_ELECTION_TIMEOUT), usual = c->election_timeout_min;
        assert(usual > 0);
        c->election_timeout_max = (nanos)((unsigned __int128)c->election_timeout_max * asked /
                                          usual);
        c->lease = (nanos)((unsigned __int128)c->lease * asked / usual);
        c->heartbeat_every = (nanos)((unsigned __int128)c->heartbeat_every * asked / usual);
        c->election_timeout_min = asked;
    }
    if (settings_is_set(s, SET_HEARTBEAT)) c->heartbeat_every = settings_duration(s, SET_HEARTBEAT);
    if (c->heartbeat_every * 3 <= c->election_timeout_min) return true;
    snprintf(problem, size,
             "--heartbeat %lums is too slow for --election-timeout %lums: a follower must hear "
             "three times",
             c->heartbeat_every / NANOS_MS, c->election_timeout_min / NANOS_MS);
    return false;
}

/* An entry is in one file of the log. */
static bool log_holds_values(const struct node_config *c, char *problem, size_t size)
{
    u64 enough = MIB;

    if (wal_segment_holds(c->wal_segment_bytes, node_frame_bytes_max(c))) return true;
    while (!wal_segment_holds(enough, node_frame_bytes_max(c))) enough *= 2;
    snprintf(problem, size,
             "--wal-segment %luKB is too small for --value-max %luKB: take --wal-segment %luMB, or a smaller --value-max",
             c->wal_segment_bytes / KIB, c->value_bytes_max / KIB, enough / MIB);
    return false;
}

bool node_config_from(const struct settings *s, struct node_config *c, char *problem, size_t size)
{
    const char *cluster_id = settings_text(s, SET_CLUSTER_ID);

    node_config_defaults(c);
    if (!members_from(s, c, problem, size) || !addresses_from(s, c, problem, size) ||
        !timing_from(s, c, problem, size))
        return false;
    const char *rack = settings_text(s, SET_RACK);
    if (rack && strlen(rack) >= sizeof c->rack) {
        snprintf(problem, size, "--rack %s is longer than %d bytes", rack, NODE_RACK_MAX - 1);
        return false;
    }
    if (rack) snprintf(c->rack, sizeof c->rack, "%s", rack);
    if (cluster_id) c->has_cluster_id = value_cluster_id(cluster_id, c->cluster_id);
    c->memory_bytes = settings_bytes(s, SET_MEMORY);
    c->value_bytes_max = settings_bytes(s, SET_VALUE_MAX);
    c->clients_max = (u32)settings_number(s, SET_CLIENTS_MAX);
    c->wal_segment_bytes = settings_bytes(s, SET_WAL_SEGMENT);
    if (settings_is_set(s, SET_LOG_KEEP)) c->log_bytes_max = settings_bytes(s, SET_LOG_KEEP);
    if (settings_is_set(s, SET_CHECKPOINT_DIRTY))
        c->checkpoint_dirty_bytes = settings_bytes(s, SET_CHECKPOINT_DIRTY);
    if (settings_is_set(s, SET_CHECKPOINT_EVERY))
        c->checkpoint_every = settings_duration(s, SET_CHECKPOINT_EVERY);
    c->debug_commands = settings_switch(s, SET_DEBUG_COMMANDS);
    c->pid = (u64)getpid();
    if (c->wal_segment_bytes & (c->wal_segment_bytes - 1)) {
        snprintf(problem, size, "--wal-segment %s is not a power of two; take 64MB",
                 settings_text(s, SET_WAL_SEGMENT));
        return false;
    }
    return log_holds_values(c, problem, size);
}
