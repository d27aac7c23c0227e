/* This node's part in the cluster: its copy of the map, the replicas the map puts here, its questions
 * to the consistent core, and, while it leads the core, the controller that brings the cluster to where
 * the planner wants it.
 *
 * The map is the core's own state where this node is one of its replicas, else a copy kept fresh by deltas
 * from those who are. It may be old; whoever acts on it is fenced by epochs. */
#pragma once

#include "core/core.h"
#include "core/planner.h"
#include "server/node_internal.h"

struct cluster;

struct replicas;
struct cluster *cluster_new(struct node *n, struct replicas *replicas);
void cluster_free(struct cluster *c);
void cluster_turn(struct cluster *c, nanos now); /* before the partitions' turn */
nanos cluster_deadline(const struct cluster *c);
/* FRAME_MAP_PULL to FRAME_MIDDLE. */
void cluster_on_frame(struct cluster *c, node_id from, const struct frame *f, str body);
void cluster_on_join(struct cluster *c, u64 ticket, str body);
/* Of a group's own operations: the answer to what group_ops.c asked, and a split's upper half that is durable here. */
#define CLUSTER_NUMBER (3ull << 61) /* no gateway counts so far, and others have the highest bit as well */
struct part_answer;
void cluster_on_answer(struct cluster *c, const struct part_answer *a);
void cluster_on_born(struct cluster *c, u64 parent, u64 child);
void cluster_on_lost(struct cluster *c, node_id peer); /* what was on its way to it may not have arrived */
u64 cluster_epoch(const struct cluster *c); /* of the map; 0: not founded */

/* The newest map known here. Before the cluster is founded core_cluster() of it is NULL. Borrowed for this
 * turn: any event may replace it. Never NULL. */
const struct core *cluster_map(const struct cluster *c);

/* A command of the core, on its way to the core's leader. Embedded in the asker's object, which must stay
 * until done or cluster_cancel. */
struct cluster_request {
    struct gateway_request gateway; /* first */
    /* `failed`: one sentence instead of a reply (no leader, unknown outcome); else reply holds the core's answer,
     * borrowed for the call. */
    void (*done)(struct cluster_request *r, const struct core_reply *reply, str failed);
};
void cluster_ask(struct cluster *c, struct cluster_request *r, const struct core_command *cmd,
                 nanos deadline); /* 0: the node's request timeout */
void cluster_cancel(struct cluster *c, struct cluster_request *r);

/* Ask the leader of a group to hand over to this replica. False: it is not known or not in reach. It may decline. */
bool cluster_hand_over(struct cluster *c, u64 part, u32 replica);
/* An operator accepts what a crash took from memory: the replica here shall lead, if it has the longest log. As part_recover;
 * ERR_NOT_FOUND: there is no replica of it here. */
MUST_USE err cluster_recover(struct cluster *c, u64 part);

/* What is observed, as the planner is given it. Complete only on the core's leader; elsewhere what this node
 * sees. Borrowed until the next turn. */
const struct core_facts *cluster_facts(struct cluster *c);
bool cluster_leads_core(const struct cluster *c);
node_id cluster_core_leader(const struct cluster *c); /* 0: unknown */
