/* Frames between nodes: a 64-byte header that names sender and receiver, their boots and the
 * partition, then a body. Both carry checksums. docs/formats/peer.md. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define FRAME_HEADER_BYTES 64
#define FRAME_VERSION      2

enum frame_type {
    FRAME_HELLO = 1,
    FRAME_STATUS = 2,
    FRAME_RAFT = 3, /* body: raft_message_encode */
    FRAME_FORWARD = 4,
    FRAME_FORWARD_REPLY = 5,
    FRAME_SNAPSHOT_CHUNK = 6,
    FRAME_SNAPSHOT_ACK = 7,
    FRAME_JOIN = 8, /* wire/peer/join.h: in place of HELLO */
    FRAME_JOIN_REPLY = 9,
    FRAME_MAP_PULL = 10, /* wire/peer/map.h, from here on */
    FRAME_MAP = 11,
    FRAME_REPORT = 12,
    FRAME_TRANSFER = 13, /* part; body: replica:u32 that is to lead it */
    FRAME_MIDDLE = 14,   /* part; body: a key that halves it, for who leads the core */
    FRAME_PING = 16, /* support between nodes: live/live.h */
    FRAME_PONG = 17,
    FRAME_READ_INDEX = 18, /* replica -> its leader; req: the round. Body empty */
    FRAME_READ_INDEX_REPLY = 19,
};

struct frame {
    u16 type;
    u64 part;
    u32 src_node, src_boot, dst_node, dst_boot; /* dst_boot 0: not known yet (HELLO) */
    u32 src_repl, dst_repl;
    u64 req; /* HELLO: the sender's value limit */
    u32 deadline_ms, map_epoch;
    bool may_overtake; /* not on the wire: small, and its order among other frames does not matter */
};

/* Begin a frame at the end of out; append the body; frame_end fills in length and checksums.
 * Returns the place to hand to frame_end. */
size_t frame_begin(struct buf *out, const struct frame *f);
void frame_end(struct buf *out, size_t place);

enum frame_status { FRAME_INCOMPLETE, FRAME_READY, FRAME_BAD };

/* One frame from the front of input; body is borrowed. bytes_max bounds header + body. */
enum frame_status frame_parse(str input, size_t bytes_max, struct frame *out, str *body,
                              size_t *consumed);

/* HELLO: the first frame in each direction of a connection. */
struct hello {
    u8 cluster_id[16], incarnation[16];
    u32 version_min, version_max;
    u8 channel; /* 0 protocol, 1 bulk */
    bool blank; /* my log is and was empty */
    u16 redis_port, admin_port;
    u64 pid;
};
void hello_encode(const struct hello *h, struct buf *out);
MUST_USE err hello_decode(str body, struct hello *out);

struct status { /* what a node tells the others of itself, several times a second */
    u32 role, leader;
    u64 pid, term, commit, applied;
    u16 redis_port;
    bool blank;
};
void status_encode(const struct status *s, struct buf *out);
MUST_USE err status_decode(str body, struct status *out);

struct forward { /* a client's command on its way to the leader */
    u8 kind;     /* enum part_kind */
    bool wants_cost;
    u64 level;   /* of a read: level_to_u64 */
    u64 floor;   /* a hybrid time: the state must not be older; 0: any */
    u64 after;   /* the connection's latest write under way; 0: none */
    u64 index;
    u32 replicas;
    str entry;
};
void forward_encode(const struct forward *f, struct buf *out);
MUST_USE err forward_decode(str body, struct forward *out);

struct forward_reply {
    u8 status; /* enum part_status */
    u32 leader;
    u64 index;
    u64 hlc;  /* of the state that answered */
    str cost; /* cost_encode; empty: not asked for */
    str reply;
};
void forward_reply_encode(const struct forward_reply *f, struct buf *out);
MUST_USE err forward_reply_decode(str body, struct forward_reply *out);

struct read_index_reply { /* of the round in req */
    bool refused;
    u64 index, term; /* all that was acknowledged before the round began is at or below this entry, which is committed */
};
void read_index_reply_encode(const struct read_index_reply *r, struct buf *out);
MUST_USE err read_index_reply_decode(str body, struct read_index_reply *out);

struct ping { /* and PONG, which alone has `withdrawn` */
    nanos sent_at, lease;
    u32 withdrawn;
};
void ping_encode(const struct ping *p, struct buf *out);
MUST_USE err ping_decode(str body, struct ping *out);
void pong_encode(const struct ping *p, struct buf *out);
MUST_USE err pong_decode(str body, struct ping *out);

struct snapshot_chunk {
    u64 term, snap_id, index, index_term, seq; /* chunks of a snapshot count from 0 */
    bool last;
    str rows; /* store_snapshot_chunk's bytes */
};
void snapshot_chunk_encode(const struct snapshot_chunk *c, struct buf *out);
MUST_USE err snapshot_chunk_decode(str body, struct snapshot_chunk *out);

enum snapshot_ack_status { SNAPSHOT_WANT = 0, SNAPSHOT_INSTALLED = 1, SNAPSHOT_REFUSED = 2 };
struct snapshot_ack {
    u64 term, snap_id, next_seq;
    u8 status;
};
void snapshot_ack_encode(const struct snapshot_ack *a, struct buf *out);
MUST_USE err snapshot_ack_decode(str body, struct snapshot_ack *out);
