/* Support between this node and those it shares a group with: carries the live core (live/live.h) over the
 * peer connections, and tells the partitions what changed. */
#pragma once

#include "live/live.h"
#include "server/node.h"
#include "wire/peer/frame.h"

struct support;

struct support *support_new(struct node *n, u32 boot);
void support_free(struct support *s);

/* Another life of a peer speaks now: before any frame of it. */
void support_on_met(struct support *s, node_id peer, u32 boot, bool other_disk);
/* FRAME_PING, FRAME_PONG. */
MUST_USE err support_on_frame(struct support *s, node_id from, const struct frame *f, str body);
void support_turn(struct support *s, nanos now);
nanos support_deadline(const struct support *s);

const struct live *support_live(const struct support *s);
