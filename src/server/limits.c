/* See limits.h: the rows. */
#include "server/limits.h"

#include "base/assert.h"

#include <inttypes.h>
#include <string.h>

#define DOOR    "Redis door"
#define NODE    "node"
#define GATEWAY "gateway"
#define GROUP   "partition"
#define RAFT    "Raft"
#define PEERS   "peers"
#define WAL     "log"
#define COMMAND "commands"
#define CORE    "cluster metadata"
#define FIXED   "fixed"
#define MEMORY  "--memory"

const struct limit_row limit_rows[LIMIT_COUNT] = {
    [LIMIT_CLIENT_CONNECTIONS] = {"client.connections", "connections", DOOR, "--clients-max",
                                  "Redis connections of this node; one more is told so and closed"},
    [LIMIT_CLIENT_PIPELINE_REQUESTS] = {"client.pipeline-requests", "requests", DOOR, FIXED,
                                        "requests of one connection under way; it is not read on meanwhile"},
    [LIMIT_CLIENT_PIPELINE_BYTES] = {"client.pipeline-bytes", "bytes", DOOR, FIXED,
                                     "requests of one connection under way, and what their replies may take; it is not read on meanwhile"},
    [LIMIT_CLIENT_UNREAD] = {"client.unread-bytes", "bytes", DOOR, FIXED,
                             "replies that one client leaves unread; it is not read on meanwhile"},
    [LIMIT_CLIENT_UNREAD_DROP] = {"client.unread-drop-bytes", "bytes", DOOR, "--value-max",
                                  "replies that one client leaves unread; its connection is dropped"},
    [LIMIT_CLIENT_VALUE] = {"client.value-bytes", "bytes", DOOR, "--value-max", "one value; -TOOBIG"},
    [LIMIT_CLIENT_REQUEST] = {"client.request-bytes", "bytes", DOOR, "--value-max", "one whole request; -TOOBIG"},
    [LIMIT_CLIENT_TRANSACTION] = {"client.transaction-bytes", "bytes", DOOR, "--value-max",
                                  "what one MULTI has queued and watched; -TOOBIG"},
    [LIMIT_CLIENT_SESSION_CALLS] = {"client.session-calls", "calls", GROUP, FIXED,
                                    "calls of one client session ahead of its oldest unanswered one; -SESSION"},
    [LIMIT_PARTITION_SESSIONS] = {"partition.sessions", "sessions", GROUP, FIXED,
                                  "client sessions of one partition; -OVERLOADED"},
    [LIMIT_MEMORY_NODE] = {"memory.node", "bytes", NODE, MEMORY,
                           "what the other limits are shares of; nothing waits for this sum itself"},
    [LIMIT_MEMORY_TABLES] = {"memory.tables", "bytes", NODE, MEMORY,
                             "front tables of all partitions; above it clean rows go and checkpoints are made early"},
    [LIMIT_MEMORY_LARGE_REQUESTS] = {"memory.large-requests", "bytes", DOOR, MEMORY,
                                     "input of requests over 64 KB; one more waits, unread, for its turn"},
    [LIMIT_MEMORY_TRANSACTIONS] = {"memory.transactions", "bytes", DOOR, MEMORY,
                                   "what all MULTI of this node have queued and watched; -OVERLOADED"},
    [LIMIT_NODE_WRITES] = {"node.writes", "requests", DOOR, FIXED,
                           "writes of all connections that no partition has answered; connections are not read on meanwhile"},
    [LIMIT_NODE_OTHERS] = {"node.others", "requests", DOOR, FIXED,
                           "reads and waits of all connections that no partition has answered; they are not read on meanwhile"},
    [LIMIT_NODE_BYTES] = {"node.bytes", "bytes", DOOR, MEMORY,
                          "bytes of all requests that no partition has answered; connections are not read on meanwhile"},
    [LIMIT_KEYSPACE_SHARE] = {"keyspace.share", "percent", DOOR, FIXED,
                              "of node.writes, node.others or node.bytes by one keyspace, less beside others: it may have four times what is free; its connections are not read on, and after 100 ms -OVERLOADED"},
    [LIMIT_KEYSPACE_WINDOW] = {"keyspace.window", "bytes", DOOR, FIXED,
                               "unanswered writes of one keyspace while others are at work: twice what keeps its partitions busy; connections that write are not read on meanwhile"},
    [LIMIT_GATEWAY_WRITES] = {"gateway.writes", "requests", GATEWAY, FIXED,
                              "writes to one partition not yet answered; from half of it its connections are not read on, at it -OVERLOADED"},
    [LIMIT_GATEWAY_OTHERS] = {"gateway.others", "requests", GATEWAY, FIXED,
                              "reads and waits of one partition not yet answered; from half of it its connections are not read on, at it -OVERLOADED"},
    [LIMIT_GATEWAY_BYTES] = {"gateway.bytes", "bytes", GATEWAY, MEMORY,
                             "bytes of requests to one partition not yet answered; its connections are not read on meanwhile"},
    [LIMIT_PARTITION_QUEUE] = {"partition.submit-queue", "bytes", GROUP, MEMORY,
                               "requests that wait to enter the log of one partition led here; tried again, then -OVERLOADED"},
    [LIMIT_PARTITION_DIRTY] = {"partition.dirty-bytes", "bytes", GROUP, MEMORY,
                               "rows of one partition newer than its checkpoint; applying waits for the next one"},
    [LIMIT_RAFT_TAIL] = {"raft.tail-bytes", "bytes", RAFT, "--log-keep, --memory",
                         "entries of one partition kept in memory; writes wait for a checkpoint, then -OVERLOADED"},
    [LIMIT_RAFT_UNCOMMITTED] = {"raft.uncommitted-bytes", "bytes", RAFT, "--log-keep, --memory",
                                "entries of one partition that no majority has; writes wait, then -OVERLOADED"},
    [LIMIT_RAFT_INFLIGHT_MESSAGES] = {"raft.inflight-messages", "messages", RAFT, FIXED,
                                      "messages of one partition to one follower not yet acknowledged; that follower waits"},
    [LIMIT_RAFT_INFLIGHT_BYTES] = {"raft.inflight-bytes", "bytes", RAFT, FIXED,
                                   "their bytes; that follower waits, and the entries are kept once for all"},
    [LIMIT_RAFT_READS] = {"raft.reads", "rounds", RAFT, FIXED,
                          "rounds of reads of one partition that wait for a majority; more share the next round"},
    [LIMIT_PEER_QUEUE] = {"peer.queue-bytes", "bytes", PEERS, FIXED,
                          "bytes that wait to be sent to one node; what does not fit is not sent, and asked for again"},
    [LIMIT_PEER_REPAIRABLE] = {"peer.repairable-bytes", "bytes", PEERS, FIXED,
                               "the same for what repairs itself when lost, replication and snapshots"},
    [LIMIT_PEER_SNAPSHOTS] = {"peer.snapshots", "snapshots", PEERS, FIXED,
                              "snapshots of all partitions under way to one node; one more waits"},
    [LIMIT_NODE_SNAPSHOTS] = {"node.snapshots", "snapshots", NODE, FIXED, "the same to all nodes"},
    [LIMIT_WAL_BACKLOG] = {"wal.backlog-bytes", "bytes", WAL, "--value-max",
                           "what waits to be written to the log; writes wait, then -OVERLOADED"},
    [LIMIT_WAL_LOG] = {"wal.log-bytes", "bytes", WAL, "--wal-segment",
                       "the log on disk; from there partitions are checkpointed so that its files are free again"},
    [LIMIT_WAL_RESERVE] = {"wal.reserve-bytes", "bytes", WAL, "--wal-segment",
                           "space of the last file kept for votes and terms when the disk is full; -DISKFULL"},
    [LIMIT_COMMAND_STEPS] = {"command.steps", "steps", COMMAND, FIXED, "work of one entry of the log; -TOOBIG"},
    [LIMIT_COMMAND_REPLY] = {"command.reply-bytes", "bytes", COMMAND, "--value-max", "the reply of one request; -TOOBIG"},
    [LIMIT_COMMAND_WALK] = {"command.walk-time", "ms", COMMAND, "--request-timeout",
                            "the time of one walk over all keys, such as KEYS; -TOOBIG"},
    [LIMIT_ADMIN_CONNECTIONS] = {"admin.connections", "connections", "admin door", FIXED,
                                 "HTTP connections of this node; one more is closed"},
    [LIMIT_CLUSTER_NODES] = {"cluster.nodes", "nodes", CORE, FIXED, "nodes that the cluster's metadata can hold; a join is refused"},
    [LIMIT_CLUSTER_MEMBERS] = {"cluster.peers", "nodes", PEERS, FIXED, "nodes that this node speaks to, itself included"},
    [LIMIT_CLUSTER_KEYSPACES] = {"cluster.keyspaces", "keyspaces", CORE, FIXED, "keyspaces; making one more is refused"},
    [LIMIT_CLUSTER_GROUPS] = {"cluster.groups", "groups", CORE, FIXED,
                              "partitions of all keyspaces; a split or a keyspace more is refused"},
    [LIMIT_GROUP_REPLICAS] = {"group.replicas", "replicas", CORE, FIXED,
                              "replicas of one partition, with the one that is being added"},
};

enum limit_id limit_find(str name)
{
    for (u32 id = LIMIT_NONE + 1; id < LIMIT_COUNT; id++)
        if (str_equal(name, str_of(limit_rows[id].name))) return (enum limit_id)id;
    return LIMIT_NONE;
}

enum limit_id limit_of_error(str reply)
{
    static const char mark[] = " limit=";
    const u8 *end = reply.at + reply.len;
    const u8 *at = memmem(reply.at, size_min(reply.len, 64), mark, sizeof mark - 1);

    if (!at) return LIMIT_NONE;
    at += sizeof mark - 1;
    size_t len = 0;
    while (at + len < end && at[len] > ' ') len++;
    return limit_find(str_from(at, len));
}

static void family(const struct limits_now *l, struct buf *out, const char *name, const char *type, const char *help,
                   u64 (*of)(const struct limit_now *))
{
    buf_printf(out, "# HELP quorate_limit_%s %s\n# TYPE quorate_limit_%s %s\n", name, help, name, type);
    for (u32 id = LIMIT_NONE + 1; id < LIMIT_COUNT; id++)
        buf_printf(out, "quorate_limit_%s{limit=\"%s\"} %" PRIu64 "\n", name, limit_rows[id].name, of(&l->at[id]));
}

static u64 value_of(const struct limit_now *l)
{
    return l->value;
}
static u64 use_of(const struct limit_now *l)
{
    return l->use;
}
static u64 reached_of(const struct limit_now *l)
{
    return l->reached;
}

void limits_put_metrics(const struct limits_now *l, struct buf *out)
{
    family(l, out, "value", "gauge", "The limit.", value_of);
    family(l, out, "use", "gauge", "What it bounds, now; of those for each one, the greatest.", use_of);
    family(l, out, "reached_total", "counter", "Times it was reached: something was refused or had to wait.", reached_of);
}
