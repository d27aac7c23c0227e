/* A node whose directory belongs to no cluster asks a member for a node id: JOIN on a connection to one of
 * the seeds, again and again until one answers. Its incarnation is durable already, so that asking twice
 * makes one node. wire/peer/join.h has the bytes. */
#pragma once

#include "server/node.h"

struct joiner;

struct join_outcome {
    bool done;
    u8 cluster_id[16];
    node_id node;
    u32 member_count;
    struct node_member members[NODE_MEMBERS_MAX];
    char refusal[256]; /* not empty: the cluster will not have this node, and says why */
};

struct joiner *joiner_new(struct node *n, const u8 incarnation[16]);
void joiner_free(struct joiner *j);
void joiner_on_event(struct joiner *j, const struct env_event *ev);
void joiner_turn(struct joiner *j, nanos now);
nanos joiner_deadline(const struct joiner *j);
const struct join_outcome *joiner_outcome(const struct joiner *j);

/* HOST:PORT, the host in brackets if it holds colons. */
MUST_USE bool address_parse(str text, char host[NODE_HOST_MAX], u16 *port);
/* The same, printed; out is borrowed. */
str address_print(char *out, size_t size, const char *host, u16 port);
