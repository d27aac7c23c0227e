/* A node: one reactor's worth of WAL, partition, peers, gateway and doors, on an env. The same
 * object runs in the real server and in the simulator; node_turn() is all of its work.
 *
 *   err e = node_new(env, &config, problem, sizeof problem, &node);   boot: blocks, replays the log
 *   for (;;) { wait for an event or the wake time;  while (node_turn(node)) {}  }
 */
#pragma once

#include "env/env.h"
#include "raft/raft.h"
#include "store/kvs.h"

struct node;
struct gateway;

#define NODE_MEMBERS_MAX 64
/* The levels of formats and commands this program serves: docs/formats/core.md. */
#ifndef QUORATE_LEVEL_MIN
#define QUORATE_LEVEL_MIN 1
#endif
#ifndef QUORATE_LEVEL_MAX
#define QUORATE_LEVEL_MAX 1
#endif
#define NODE_HOST_MAX    64
#define NODE_SEEDS_MAX   8
#define NODE_RACK_MAX    64

/* Tags of stream.kind, listener.kind, job.kind: who an event belongs to. */
enum node_owner {
    NODE_PEER_DIALLED = 1,
    NODE_PEER_ACCEPTED,
    NODE_REDIS,
    NODE_ADMIN,
    NODE_JOIN,
    NODE_WAL,
    NODE_STORE_CHECKPOINT,
    NODE_STORE_INSTALL,
};

struct node_member {
    node_id id;
    char host[NODE_HOST_MAX];
    u16 peer_port;
};

typedef err (*node_open_kvs_fn)(void *context, struct kvs **out, char *problem,
                                size_t problem_size);

struct node_config {  /* node_config_defaults fills everything; the command line changes some */
    node_id self;     /* 0: a bare start; founds a one-node cluster as node 1 */
    /* No consistent core: the default keyspace's group alone, whose members somebody else changes. For simulated
     * groups. */
    bool fixed_members;
    u32 founders; /* then: so many of the members, the first ones, found the group; 0: all */
    u32 replica;  /* then: of this node in it; 0: its own number */
    u32 member_count; /* 0: a cluster of one */
    struct node_member members[NODE_MEMBERS_MAX];
    /* As the command line named them: where they listen now, whatever the map still says. Filled by node_new. */
    u32 named_count;
    struct node_member named[NODE_MEMBERS_MAX];
    /* To join: members of the cluster to ask (their id is not looked at). Then self, member_count and the
     * cluster's id are 0 on an empty directory, and the directory's afterwards. */
    u32 seed_count;
    struct node_member seeds[NODE_SEEDS_MAX];
    char rack[NODE_RACK_MAX]; /* the failure domain, a label; empty: none */
    bool has_cluster_id; /* else: what the directory says, or derived from members / random */
    u8 cluster_id[16];
    char host[NODE_HOST_MAX]; /* where the doors listen */
    u16 redis_port, peer_port, admin_port;
    size_t memory_bytes;        /* budget of the node, split as DESIGN 1.7 */
    size_t value_bytes_max;     /* 16 MiB */
    u32 clients_max;            /* 10000 */
    u64 wal_segment_bytes;      /* 64 MiB */
    u32 wal_units_in_flight;    /* 1 or 2 */
    u64 log_bytes_max;          /* raft tail: at three quarters of it a checkpoint is due */
    size_t snapshot_chunk_bytes; /* of rows, in one frame to a peer that is refilled: 256 KiB */
    u64 checkpoint_dirty_bytes; /* checkpoint when the front table is this dirty ... */
    nanos checkpoint_every;     /* ... or this old */
    nanos election_timeout_min, election_timeout_max, heartbeat_every, lease;
    u32 drift_ppm;
    nanos request_timeout;     /* a command's time before NOQUORUM or UNKNOWN: 1.5 s */
    bool debug_commands;       /* DEBUG SLEEP and the like */
    u64 pid;                   /* for /cluster */
    node_open_kvs_fn open_kvs; /* called after the directory's lock and identity are settled */
    void *open_kvs_context;
};

/* The largest payload that an entry, and so a frame of the log, can have. */
size_t node_frame_bytes_max(const struct node_config *c);
void node_config_defaults(struct node_config *c);

/* Boot. On failure *out is NULL and problem holds one sentence with the remedy. */
MUST_USE err node_new(struct env *env, const struct node_config *config, char *problem,
                      size_t problem_size, struct node **out);

/* Take all events, do all work, submit and flush. true: call again at once (more is ready). */
bool node_turn(struct node *n);

/* Why the node must stop now (a failed disk, corruption); NULL while it is well. The process exits
 * with an error, the simulator crashes the node. */
const char *node_failure(const struct node *n);
bool node_is_joining(const struct node *n); /* it serves nothing yet */
bool node_is_stopping(const struct node *n);
bool node_stopped(const struct node *n); /* a clean stop (ENV_STOP) has finished */
void node_free(struct node *n);

/* A replica that lost what it promised stores entries but does not vote until it is refilled. */
enum node_health { HEALTH_UNKNOWN, HEALTH_OK, HEALTH_IMPAIRED };

struct node_peer_view { /* what this node knows of a member (itself included) */
    node_id id;
    bool alive;
    u32 role; /* enum raft_role */
    enum node_health health; /* a leader knows everybody's, others their own */
    u64 pid, term, commit, applied, boot;
    u16 redis_port;
    u64 other_value_max; /* not 0: it is refused, because its --value-max is this and not ours */
};

struct node_view { /* for INFO, ROLE, /cluster, /readyz */
    node_id self, leader;
    u8 cluster_id[16];
    u32 boot;
    bool serving; /* a leader is known and reachable */
    u32 member_count;
    struct node_peer_view members[NODE_MEMBERS_MAX];
    nanos started_at;
};
void node_view(const struct node *n, struct node_view *out);

/* What a node knows of itself and of the groups it has a replica of: status.c. */
struct node_local {
    node_id self;
    nanos uptime;
    u64 clients, commands, bytes_in, bytes_out, overloaded, unknown, noquorum;
    u64 memory_used, memory_bytes, log_bytes;
    u64 disk_free, disk_bytes; /* 0: not known */
    nanos log_write, log_write_age, log_write_max;
    bool disk_full;
    u32 group_count;
};
struct node_group_peer { /* of a group that is led here */
    u32 replica;
    node_id node;
    u64 behind;        /* entries */
    u64 behind_ms;     /* the age of the oldest entry it lacks; 0: none is known */
    u64 snapshot_sent; /* bytes so far, of one under way */
    bool learner, impaired, snapshot;
};
struct node_group {
    u64 id;
    u32 role; /* enum raft_role */
    node_id leader;
    u64 term, commit, applied, last, bytes;
    u64 proposed, reads, entries_applied; /* since the start */
    bool impaired;
    bool has_lease;  /* it leads, and a quorum stands by it now */
    bool full;       /* takes no writes: no space */
    u64 last_term;
    bool memory, recovering, abandoned; /* struct part_durability */
    u64 loss_entries;                   /* a leader's: what a power cut everywhere would lose now */
    nanos loss_age;
    u32 recovery; /* enum raft_recovery_state, of what an operator asked for */
    u32 recovery_heard, recovery_of;
    u32 peer_count;
    struct node_group_peer peers[RAFT_MEMBERS_MAX];
};
void node_local(const struct node *n, struct node_local *out);
/* The i-th of group_count; false: it went, or there is only the way to it. */
bool node_group(const struct node *n, u32 i, struct node_group *out);

u64 node_replication_lag_ms(const struct node *n); /* of members of groups led here; 0: none is behind, or none is known */

struct env *node_env(const struct node *n);
const struct node_config *node_config_of(const struct node *n);
struct gateway *node_gateway(const struct node *n);
struct part *node_part(const struct node *n);
struct wal *node_wal(const struct node *n);
/* A node that is no founder knows neither keyspaces nor partitions until somebody has told it the map. */
bool node_knows_map(const struct node *n);
nanos node_now(const struct node *n); /* the turn's time; lease decisions never use it */
size_t node_memory_used(const struct node *n);

/* Redis and admin doors (server/redis/door.h, server/admin/admin.h), for their own use. */
struct redis_door *node_redis_door(const struct node *n);
struct admin_door *node_admin_door(const struct node *n);

/* A checker of live traffic found a violation: it is logged as an error, and counted. */
void node_alert(struct node *n, str text, str key, str level);
u64 node_alerts(const struct node *n);

/* Prometheus text of everything the node counts. */
void node_metrics(struct node *n, struct buf *out);
