/* Inside the node: what its parts (peers, gateway, identity, metrics) share. */
#pragma once

#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "base/prng.h"
#include "part/part.h"
#include "server/admin/admin.h"
#include "server/gateway.h"
#include "server/node.h"
#include "server/parts.h"
#include "server/peers.h"
#include "server/redis/door.h"
#include "server/support.h"

/* About 50 ms of a write command's work; the same on every replica, as it decides replies. */
#define NODE_STEP_BUDGET 500000

struct identity {
    u8 cluster_id[16], incarnation[16];
    node_id node; /* 0: asks to join */
    u32 boot;   /* of this start; durable before anything is served */
    bool blank; /* the directory was made at this start */
    bool has_joined; /* its members were told to it: it is no founder's directory */
};

/* identity.c: lock the directory, read or write its identity, raise the boot epoch. */
MUST_USE err identity_open(struct env *env, struct node_config *config, char *problem,
                           size_t problem_size, struct identity *out);

/* The cluster has answered: from now on the directory is this member's. */
struct join_outcome;
MUST_USE err identity_settle(struct env *env, struct node_config *config,
                             const struct join_outcome *o, struct identity *id);

/* Addresses that were named on the command line replace those of the same nodes here. */
void identity_use_named(const struct node_config *c, struct node_member *members, u32 count);
MUST_USE err identity_write_members(struct env *env, const struct node_member *m, u32 count);

/* The node's own files: boot.c, node.c. */
struct replica_row;
struct cluster;
struct part_answer;
MUST_USE err node_boot_member(struct node *n, char *problem, size_t size);
void node_tell_start(struct node *n);
#define NODE_REMOVED_TEXT "this node was removed from the cluster; to come back, start it with an empty --dir and --join"
void node_fail(struct node *n, const char *why, err e); /* it must stop; e OK: why says it all */
bool node_is_blank(const struct node *n); /* its founding replicas have and had nothing */
void node_on_answer(void *context, const struct part_answer *a);
struct buf *node_on_peer_begin(void *context, node_id to, const struct frame *f);
void node_on_peer_end(void *context);
const u8 *node_on_incarnation(void *context, node_id node);
struct part *node_on_replica(void *context, u64 part);
bool node_on_ship(void *context, node_id to);
void node_on_shipped(void *context, node_id to);
void node_on_born(void *context, struct part *parent, u64 child);
void node_on_gone(void *context, u64 part);
void node_on_wake(void *context, u64 part);
void node_on_log(void *context, enum log_level level, const char *line);
err node_on_frame(void *context, node_id from, const struct frame *f, str body);
void node_on_lost(void *context, node_id peer, bool restarted);
void node_on_met(void *context, node_id peer, u32 boot, bool other_disk);
struct live_support node_on_support_from(void *context, node_id node);
u64 node_on_support_given(void *context, node_id node);
void node_on_join(void *context, u64 ticket, str body);
bool node_is_removed(void *context, node_id node);
void node_on_removed(void *context);

/* For the cluster's files. */
struct cluster *node_cluster(const struct node *n); /* NULL: not yet a member, or its members are fixed */
void node_place_of(u64 part, u32 *keyspace_first, u32 *keyspace_count); /* its block of store keyspaces */
MUST_USE err node_start_replica(struct node *n, const struct replica_row *row);
void node_open_gateway(struct node *n, struct hosted *h);
MUST_USE err node_set_members(struct node *n, const struct node_member *members, u32 count);

/* nearby.c: the node to ask for what any replica may answer; 0: none but the leader. */
node_id nearby_replica(struct node *n, struct hosted *h);

/* gateway.c, for the node. */
struct gateway *gateway_new(struct node *n, struct hosted *hosted, u32 boot);
void gateway_free(struct gateway *g);
void gateway_fail_all(struct gateway *g); /* the partition is gone: nothing is on the way any more */
void gateway_on_answer(struct gateway *g,
                       const struct part_answer *a); /* from this node's partition */
MUST_USE err gateway_on_reply(struct gateway *g, node_id from, const struct frame *f, str body);
void gateway_on_peer_lost(struct gateway *g, node_id peer);
void gateway_turn(struct gateway *g, nanos now);
nanos gateway_deadline(const struct gateway *g);
bool gateway_is_idle(const struct gateway *g);

/* The newest map known here, borrowed for this turn; NULL or not founded: there is none yet. */
struct core;
const struct core *node_map(const struct node *n);
struct parts *node_parts(const struct node *n);
struct cluster;
struct peers *node_peers(const struct node *n);
struct support *node_support(const struct node *n);
const struct identity *node_identity(const struct node *n);
struct cluster *node_cluster(const struct node *n); /* NULL: not yet a member of one */
