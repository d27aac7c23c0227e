/* The admin door: HTTP/1.1 on the admin port. /healthz /readyz /metrics /cluster, GET and HEAD
 * only. */
#pragma once

#include "env/env.h"
#include "server/node.h"

struct admin_door;

MUST_USE err admin_door_new(struct node *n, char *problem, size_t problem_size,
                            struct admin_door **out);
void admin_door_free(struct admin_door *d);
void admin_door_on_event(struct admin_door *d, const struct env_event *ev); /* kind NODE_ADMIN */
void admin_door_flush(struct admin_door *d);
u16 admin_door_port(const struct admin_door *d);

struct admin_door_stats {
    u64 connected, accepted, rejected, requests, bad_requests, timed_out;
};
u32 admin_connections_max(void);
const struct admin_door_stats *admin_door_stats(const struct admin_door *d);
