/* The gateway takes commands from a door and brings them to the leader, wherever it is: directly
 * into this node's partition, or over the peer connection. It numbers them (node, boot, counter),
 * so that what it sends again after a change of leader runs once (Fowler's Idempotent Receiver). It
 * answers every request exactly once, within its deadline: a reply, or -NOQUORUM    certainly not
 * done, not in any log -UNKNOWN     may be done -OVERLOADED retry=MS   a limit is reached, not done
 * docs/formats/errors.md. */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "base/types.h"
#include "consistency/cost.h"
#include "server/limits.h"

struct gateway;

enum gateway_kind {
    GATEWAY_WRITE = 1, /* entry: to be logged; op is any */
    GATEWAY_READ,      /* entry: COMMAND or EXEC of reads only */
    GATEWAY_WATCH, /* entry: a COMMAND whose args are keys; reply: per key exists:u8 ver:u64le */
    GATEWAY_WAIT,  /* index, replicas: reply is the number of other nodes that have it on disk */
};

/* The program order of one client connection: a read sees the connection's earlier writes and none
 * of its later ones. Zero to start. */
struct gateway_order {
    u64 last_write; /* the gateway's number of this connection's latest write */
    u64 held_in;    /* the gateway's pass in which one of its requests was held back */
    u64 seen_hlc;   /* the latest state it has seen or made: `sequential` and `session` reads see no older one */
    u32 flying;     /* sent and not answered */
    u32 near;       /* of these, at a replica that need not lead, and bound to the order */
    u64 waits_in;   /* the gateway's pass in which one of its requests could not be sent */
    bool near_here; /* all of those at this node's own */
    bool lost;      /* what it has seen before is not known: its next such read is the leader's */
};

struct gateway_reply {
    str bytes;   /* RESP in the request's form (WATCH: binary); borrowed for the call */
    u64 index;   /* a write's log index, for WAIT; 0 otherwise */
    const struct cost *cost; /* if it was wanted and somebody served it; borrowed */
    bool failed; /* NOQUORUM, UNKNOWN, OVERLOADED: bytes is that error */
    struct rcbuf *moved; /* failed, not done, because `moved` said so: the entry, ready for another gateway; borrowed */
};

struct gateway_request { /* embedded in the door's own request object, which must stay until done */
    enum gateway_kind kind;
    struct rcbuf *entry;         /* the gateway takes over this reference */
    struct gateway_order *order; /* may die before the request: set order = NULL then */
    nanos deadline; /* 0: the node's request_timeout from now. WAIT: when to answer with what there
                       is */
    u64 index;      /* WAIT */
    u32 replicas;   /* WAIT */
    struct level level; /* READ */
    bool wants_cost;
    void (*done)(struct gateway_request *req, const struct gateway_reply *reply);
    /* The partition refuses the request because its keys are not there. Does the map say the same? NULL: not known;
     * then, and while it does not, the request is offered again until its time is up. */
    bool (*moved)(const struct gateway_request *req);

    /* the gateway's */
    u64 number, after, serial, first_hlc;
    u32 state, have; /* have: of a WAIT, what was last counted */
    bool sent, in_log_maybe, owned_session;
    bool to_leader; /* a read that other replicas may answer, but none could */
    bool counted;   /* in its order's `near` */
    struct buf stale; /* what its replica said, that was too old for it: its error if the leader says nothing */
    node_id at;     /* the replica that was asked; 0: whoever leads */
    nanos asked_at; /* here */
    nanos sent_at;  /* to it */
    u64 floor;      /* the hlc its state must have reached */
    enum limit_id limit; /* that its latest refusal named */
    struct list link;
};

/* Never calls done before it returns. The entry's session fields are filled in unless the door set
 * a client session (session != 0) itself. */
void gateway_submit(struct gateway *g, struct gateway_request *req);

/* A request under way gets less time than it had. */
void gateway_hasten(struct gateway *g, struct gateway_request *req, nanos deadline);

/* The client is gone: done will not be called, the memory is the caller's again. A write already
 * sent goes on; its outcome is nobody's. */
void gateway_cancel(struct gateway *g, struct gateway_request *req);

/* Which of the gateway's own limits (requests and bytes in flight) keeps a door from reading its
 * connections now; LIMIT_NONE: none. */
enum limit_id gateway_full(const struct gateway *g);
void gateway_limits(const struct gateway *g, struct limits_now *out); /* of all gateways asked so, the greatest */

/* That a write took lately, from gateway_submit to its answer; NANOS_NEVER: none was answered. */
nanos gateway_least_delay(const struct gateway *g);

struct gateway_stats {
    u64 requests, forwarded, retried, near, stale, noquorum, unknown, overloaded, inflight, inflight_bytes;
};
const struct gateway_stats *gateway_stats(const struct gateway *g);
