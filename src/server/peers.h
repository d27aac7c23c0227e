/* Connections between nodes. Each node dials every other one, twice: a protocol channel and a bulk
 * channel (snapshots), so that a heartbeat never waits behind a chunk. A node sends on what it
 * dialled and receives on what it accepted. A HELLO in each direction names cluster, node, boot and
 * incarnation. */
#pragma once

#include "server/node.h"
#include "wire/peer/frame.h"

struct peers;

struct peer_handlers { /* calls into the node, within its turn */
    void *context;
    /* a frame whose sender, receiver and boots were checked; ERR_MALFORMED closes the connection */
    err (*on_frame)(void *context, node_id from, const struct frame *f, str body);
    /* the way to or from a peer broke: what was under way may be lost */
    void (*on_lost)(void *context, node_id peer, bool restarted);
    /* it speaks in another life now; other_disk: boots do not compare with the one before */
    void (*on_met)(void *context, node_id peer, u32 boot, bool other_disk);
    /* a stranger asks to join; answer with peers_answer_join, any time later */
    void (*on_join)(void *context, u64 ticket, str body);
    /* Was this node a member once? Then it is told so. And the other side of that. */
    bool (*is_removed)(void *context, node_id node);
    void (*on_removed)(void *context);
};

MUST_USE err peers_new(struct node *n, const u8 incarnation[16], u32 boot,
                       const struct peer_handlers *h, char *problem, size_t problem_size,
                       struct peers **out);
void peers_free(struct peers *p);
/* Who is in the cluster now (this node too, or not). Connections to others end; a changed address is
 * dialled anew. */
void peers_set(struct peers *p, const struct node_member *members, u32 count);
void peers_on_event(struct peers *p, const struct env_event *ev);
void peers_turn(struct peers *p, nanos now); /* dial, parse, time out */
void peers_flush(struct peers *p);
nanos peers_deadline(const struct peers *p);

/* Room for one frame to a peer; NULL if it is not connected or its queue is full. Append the body,
 * then peers_end. `may_drop`: repairable traffic, refused early so that it never fills the queue.
 * f->dst_boot: only if the peer is still in that life; 0: in whichever. */
struct buf *peers_begin(struct peers *p, node_id to, const struct frame *f, bool may_drop);
void peers_end(struct peers *p);
/* The stranger may have gone: nothing happens then. */
struct join_reply;
void peers_answer_join(struct peers *p, u64 ticket, const struct join_reply *r);
const u8 *peers_incarnation(const struct peers *p, node_id of); /* 16 bytes; NULL: not met yet */
bool peers_is_connected(const struct peers *p, node_id to);
nanos peers_silence(const struct peers *p, node_id of); /* since it was last heard; NANOS_NEVER: never, or not connected */

void peers_send_status(struct peers *p, const struct status *s, u64 map_epoch);
bool peers_all_met(const struct peers *p);   /* a HELLO of every other member has come */
bool peers_all_blank(const struct peers *p); /* every other member has said its log is empty */

struct peer_view {
    node_id id;
    bool alive;
    nanos silent; /* since it was last heard; if never, since this node's start */
    u32 boot;
    u32 map_epoch;             /* the low half of its map's epoch */
    const struct hello *hello; /* its latest, borrowed for the turn; NULL: not met */
    struct status status; /* the latest heard */
    u64 other_value_max;  /* not 0: refused, because its --value-max is this and not ours */
};
u32 peers_view(const struct peers *p, struct peer_view *out, u32 max);

struct peers_stats {
    u64 frames_in, frames_out, bytes_in, bytes_out, bytes_bulk, dropped_full, dropped_repairable, dropped_stale, bad_frames,
        connects, refused;
};
const struct peers_stats *peers_stats(const struct peers *p);
/* Bytes that wait to be sent to one node, at most, and on the fullest way now. */
struct peers_queues {
    u64 bytes_max, repairable_bytes_max, fullest;
};
void peers_queues(const struct peers *p, struct peers_queues *out);
