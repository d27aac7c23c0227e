/* Who supports whom, as a pure core: one heartbeat for a pair of nodes, however many groups they
 * share. Events in, actions out, no clock, socket or memory of its own making.
 *
 * Node R asks every node it shares a group with for support (PING, every `every`). S answers PONG
 * and promises to go on until `lease` after the receipt, by its own clock; R counts from when it
 * *sent* the PING, shortened by the drift of both clocks. So whatever R believes lies inside what S
 * has promised (Gray and Cheriton 1989), and no clocks need agree.
 *
 * A promise has a name, its epoch: (boot of R, boot of S, w). S withdraws it only by raising w,
 * after its time; until then it stands, however late. What R was told under one epoch is void under
 * the next. A Raft group in which S follows R rests on this: a fortification names the epoch
 * (raft.h), and S neither votes nor campaigns there while the epoch stands. (CockroachDB's store
 * liveness is the model.)
 *
 * Who hears no answer asks for nothing: its PINGs then only knock (lease 0), until one is answered.
 * So a node that cannot hear S does not hold S to a promise it cannot use, and S comes free by
 * itself.
 *
 * A node that starts again has forgotten what it promised: its groups must not vote for `lease`
 * after the start, which raft_boot_done sees to. So a node promises no more than its own `lease`.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

#define LIVE_PEERS_MAX 256

enum live_message_kind { LIVE_PING = 1, LIVE_PONG };

struct live_message {
    u32 kind;
    node_id from, to;
    u32 from_boot, to_boot;
    nanos sent_at; /* PING: by the clock of who asks; PONG: echoed */
    nanos lease;   /* PING: asked for; PONG: promised from the receipt; 0: nothing, a knock and its
                      answer */
    u32 withdrawn; /* PONG: w, how often support of this node was withdrawn */
};

enum live_event_kind {
    LIVE_TICK,     /* time passed */
    LIVE_MET,      /* peer, boot, other_disk: this life of it is the one that speaks now */
    LIVE_SHARE,    /* peer, shared: we have, or no longer have, a group in common */
    LIVE_RECEIVED, /* message */
};

struct live_event {
    nanos now; /* read after the message was received */
    enum live_event_kind kind;
    const struct live_message *message;
    node_id peer;
    u32 boot;
    bool other_disk; /* boots of different disks do not compare: the earlier life may still be at
                        work */
    bool shared;
};

struct live_change {
    node_id peer;
    bool given;    /* our support of it was withdrawn */
    bool received; /* its support of us ended, began, or has another epoch */
};

struct live_actions {
    struct live_message send[LIVE_PEERS_MAX];
    u32 send_count;
    struct live_change
        changes[LIVE_PEERS_MAX]; /* to be told to the groups before anything else reaches them */
    u32 change_count;
};

struct live_options {
    node_id self;
    u32 boot; /* of this node: durable, and greater at each start */
    nanos every, lease;
    u32 drift_ppm;
};

struct live;
struct live *live_new(const struct live_options *options);
void live_free(struct live *l);

void live_step(struct live *l, const struct live_event *ev, struct live_actions *out);
nanos live_deadline(const struct live *l);
void live_check(const struct live *l);

/* The epoch in which this node supports the peer now; 0: it does not. */
u64 live_given(const struct live *l, node_id peer);

struct live_support {
    u64 epoch;   /* 0: none yet, of this life of the peer */
    nanos until; /* by our clock; compare with a reading taken after the last receive */
    nanos asked; /* when the PING was sent that the newest PONG answered */
};
struct live_support live_received(const struct live *l, node_id peer);

struct live_stats {
    u64 pings, pongs, withdrawn, lost;
};
const struct live_stats *live_stats(const struct live *l);
