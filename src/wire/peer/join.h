/* JOIN: what a node without a cluster says first on a connection, and the answer. It stands where HELLO
 * stands between members. docs/formats/peer.md. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define JOIN_TEXT_MAX    255
#define JOIN_MEMBERS_MAX 64

struct join_request {
    u8 incarnation[16]; /* durable before this is sent: asking again is asking the same */
    u32 version_min, version_max;
    str peer, redis, admin, rack; /* HOST:PORT of each door; rack may be empty */
};
/* ERR_MALFORMED: not such a body. The texts are borrowed. */
void join_request_encode(const struct join_request *j, struct buf *out);
MUST_USE err join_request_decode(str body, struct join_request *out);

enum join_status {
    JOIN_DONE = 0,
    JOIN_REFUSED = 1,   /* for good: reason says why */
    JOIN_NOT_NOW = 2,   /* no leader of the cluster's metadata in reach: ask again */
};

struct join_member {
    u32 node;
    str peer; /* HOST:PORT */
};

struct join_reply {
    u8 status;
    str reason;
    u8 cluster_id[16];
    u32 node;
    u32 member_count;
    struct join_member members[JOIN_MEMBERS_MAX];
};
void join_reply_encode(const struct join_reply *j, struct buf *out);
MUST_USE err join_reply_decode(str body, struct join_reply *out);
