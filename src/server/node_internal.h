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

struct identity {
    u8 cluster_id[16], incarnation[16];
    node_id node; /* 0: asks to join */
    u32 boot;   /* of this start; durable before anything is served */
    bool blank; /* the directory was made at this start */
};

/* identity.c: lock the directory, read or write its identity, raise the boot epoch. */
MUST_USE err identity_open(struct env *env, struct node_config *config, char *problem,
                           size_t problem_size, struct identity *out);

/* The cluster has answered: from now on the directory is this member's. */
struct join_outcome;
MUST_USE err identity_settle(struct env *env, struct node_config *config,
                             const struct join_outcome *o, struct identity *id);

/* gateway.c, for the node. */
struct gateway *gateway_new(struct node *n, struct hosted *hosted, u32 boot);
void gateway_free(struct gateway *g);
void gateway_on_answer(struct gateway *g,
                       const struct part_answer *a); /* from this node's partition */
MUST_USE err gateway_on_reply(struct gateway *g, node_id from, const struct frame *f, str body);
void gateway_on_peer_lost(struct gateway *g, node_id peer);
void gateway_turn(struct gateway *g, nanos now);
nanos gateway_deadline(const struct gateway *g);
bool gateway_is_idle(const struct gateway *g);

struct parts *node_parts(const struct node *n);
struct peers *node_peers(const struct node *n);
const struct identity *node_identity(const struct node *n);
