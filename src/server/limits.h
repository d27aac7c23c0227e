/* Every limit of a node has a row here: its name, what it bounds, who owns it and where it is changed. Values, use
 * and how often it was reached stay with their owners; limits_now.c reads them there when somebody asks (GET /v1/limits,
 * `quorate limits`, /metrics). An error that a limit causes carries its name: `limit=NAME` (docs/formats/errors.md). */
#pragma once

#include "base/buf.h"

enum limit_id {
    LIMIT_NONE,
    LIMIT_CLIENT_CONNECTIONS,
    LIMIT_CLIENT_PIPELINE_REQUESTS,
    LIMIT_CLIENT_PIPELINE_BYTES,
    LIMIT_CLIENT_UNREAD,
    LIMIT_CLIENT_UNREAD_DROP,
    LIMIT_CLIENT_VALUE,
    LIMIT_CLIENT_REQUEST,
    LIMIT_CLIENT_TRANSACTION,
    LIMIT_CLIENT_SESSION_CALLS,
    LIMIT_PARTITION_SESSIONS,
    LIMIT_MEMORY_NODE,
    LIMIT_MEMORY_TABLES,
    LIMIT_MEMORY_LARGE_REQUESTS,
    LIMIT_MEMORY_TRANSACTIONS,
    LIMIT_NODE_WRITES,
    LIMIT_NODE_OTHERS,
    LIMIT_NODE_BYTES,
    LIMIT_KEYSPACE_SHARE,
    LIMIT_KEYSPACE_WINDOW,
    LIMIT_GATEWAY_WRITES,
    LIMIT_GATEWAY_OTHERS,
    LIMIT_GATEWAY_BYTES,
    LIMIT_PARTITION_QUEUE,
    LIMIT_PARTITION_DIRTY,
    LIMIT_RAFT_TAIL,
    LIMIT_RAFT_UNCOMMITTED,
    LIMIT_RAFT_INFLIGHT_MESSAGES,
    LIMIT_RAFT_INFLIGHT_BYTES,
    LIMIT_RAFT_READS,
    LIMIT_PEER_QUEUE,
    LIMIT_PEER_REPAIRABLE,
    LIMIT_PEER_SNAPSHOTS,
    LIMIT_NODE_SNAPSHOTS,
    LIMIT_WAL_BACKLOG,
    LIMIT_WAL_LOG,
    LIMIT_WAL_RESERVE,
    LIMIT_COMMAND_STEPS,
    LIMIT_COMMAND_REPLY,
    LIMIT_COMMAND_WALK,
    LIMIT_ADMIN_CONNECTIONS,
    LIMIT_CLUSTER_NODES,
    LIMIT_CLUSTER_MEMBERS,
    LIMIT_CLUSTER_KEYSPACES,
    LIMIT_CLUSTER_GROUPS,
    LIMIT_GROUP_REPLICAS,
    LIMIT_COUNT,
};

struct limit_row {
    const char *name; /* dotted, lower case; it never changes its meaning */
    const char *unit; /* bytes, requests ... */
    const char *owner;
    const char *change; /* the flag or setting that changes it, or "fixed" */
    const char *what;   /* what it bounds, and what happens there */
};
extern const struct limit_row limit_rows[LIMIT_COUNT]; /* of LIMIT_NONE: all NULL */

enum limit_id limit_find(str name); /* LIMIT_NONE: there is none of that name */
/* The limit that an error names. */
enum limit_id limit_of_error(str reply);

struct limit_now {
    u64 value, use, reached;
    bool has_use; /* false: what it bounds is over as soon as it has begun, such as the size of one request */
};
/* One of those that a limit is for: the row tells of the one that uses most. */
static inline void limit_see(struct limit_now *l, u64 value, u64 use)
{
    l->value = value;
    l->use = u64_max(l->use, use);
    l->has_use = true;
}

struct limits_now {
    struct limit_now at[LIMIT_COUNT];
};
struct node;
void node_limits(struct node *n, struct limits_now *out);
/* Three families of metrics, a label for each limit. */
void limits_put_metrics(const struct limits_now *l, struct buf *out);
