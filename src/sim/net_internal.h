/* Shared by net.c (bytes on their way), net_life.c (connections begin and end) and ghosts.c (frames of former
 * connections). */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "sim/frames.h"
#include "sim/ghosts.h"
#include "sim/host.h"
#include "sim/net.h"

#define PORTS_MAX 32

struct segment {
    nanos left_at, at;
    size_t bytes;
    bool fin;
};

/* Bytes from one end to the other. `bytes` holds what has not entered the receiver's stream; its first
 * `arrived` bytes are in the receiver's kernel. */
struct pipe {
    struct buf bytes;
    struct segment *segments; /* a ring */
    u32 head, count, cap;
    size_t arrived;
    nanos last_at;
    nanos pump_at;
    bool fin_sent, fin_arrived;
    struct frames frames;
    u64 entered, given; /* bytes so far: into this pipe, into the receiver's stream */
    u64 stale_end;      /* a frame of another life ends there: it must end the connection; 0: none */
};

struct end {
    struct host *host;
    struct stream *stream; /* NULL: not accepted yet, or gone */
    bool paused, blocked;
    bool ended;   /* was told that nothing more comes */
    bool closing; /* closed here: bytes that still come are thrown away */
    bool closed;  /* ENV_CLOSED is on its way or taken, or nobody ever comes */
    bool gone;    /* nobody looks at this end any more */
    bool dead;    /* was reset before it was accepted */
};

struct conn {
    struct list link;
    struct net *net;
    u64 id;
    bool peer; /* carries peer frames */
    struct end ends[2]; /* 0 dialled */
    struct pipe pipes[2]; /* pipes[i]: sent by ends[i] */
    u32 scheduled;
};

struct port {
    u16 number;
    struct host *host;
    struct listener *listener; /* NULL: closed */
};

struct net {
    struct world *world;
    struct net_character character;
    struct list conns;
    u64 conn_count, conns_open;
    struct port ports[PORTS_MAX];
    u32 port_count;
    u16 peer_first;
    u32 peer_count;
    bool cut[WORLD_HOSTS_MAX + 1][WORLD_HOSTS_MAX + 1];
    nanos stalled[WORLD_HOSTS_MAX + 1][WORLD_HOSTS_MAX + 1];
    struct ghosts *ghosts;
};

void conn_free_if_done(struct conn *c);
static inline struct conn *conn_of_stream(const struct stream *s) { return s->impl; }
void conn_schedule(struct conn *c, nanos at, enum event_kind kind, u32 side, event_fn fire);
bool conn_is_cut(const struct conn *c, u32 from_side);
nanos net_latency(struct net *n);

void conn_push_closed(struct conn *c, u32 side, err result); /* ENV_CLOSED for the host of that side */
void conn_send_reset(struct conn *c, u32 side); /* tell `side` that the connection is no more */
void conn_deliver(struct conn *c, u32 from); /* what has arrived goes into the receiver's stream as far as it reads */
void conn_push_segment(struct conn *c, u32 from, nanos left_at, size_t bytes, bool fin);
