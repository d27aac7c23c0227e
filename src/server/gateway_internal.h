/* Inside the gateway: its state, and what its three files ask of each other. */
#pragma once

#include "base/mutant.h"
#include "kv/entry.h"
#include "server/node_internal.h"
#include "server/window.h"

enum request_state { REQUEST_WAITING = 1, REQUEST_SENT };

struct gateway_slot { /* a request, or the orphan of one whose client is gone */
    struct gateway_request *req;
    nanos deadline;
    u32 generation;
    bool used;
};

struct gateway {
    struct node *node;
    struct hosted *hosted; /* whose leader the requests go to */
    struct env *env;
    struct session_id session;
    u32 boot;
    nanos now;
    struct gateway_slot *writes; /* ring, number & (writes_cap - 1) */
    u32 writes_cap;
    u64 base, next; /* unanswered writes are within [base, next) */
    struct gateway_slot *others;
    u32 others_cap, first_generation;
    u32 *free_others, free_count;
    struct list waiting; /* REQUEST_WAITING, oldest first */
    struct list sent;    /* REQUEST_SENT, oldest first */
    struct list near;    /* REQUEST_SENT, to a replica whether it leads or not */
    u64 serial, pass;
    struct gateway_request *returned; /* the latest one that came back */
    node_id target;                   /* the leader requests go to now; 0: none */
    u32 probe;                        /* where to ask next for a leader */
    nanos retry_at; /* a refused request waits this long before it is offered again */
    nanos next_sweep;
    bool look_again; /* a write was answered: who was held behind it may go */
    nanos earliest;   /* no request under way has a deadline before */
    nanos wall_at;    /* the turn wall_us was read in */
    u64 wall_us;
    size_t bytes_max;
    struct delay delay; /* of writes, from when they were asked here */
    struct gateway_stats stats;
};

static inline bool gateway_is_write(const struct gateway_request *r)
{
    return r->kind == GATEWAY_WRITE;
}

/* --- gateway_numbers.c: two tables, and the numbers that name a request in them --- */

/* false: the table is full. */
bool gateway_take_number(struct gateway *g, struct gateway_request *r);
struct gateway_slot *gateway_slot_of(struct gateway *g, u64 number); /* NULL: it was answered */
void gateway_slot_release(struct gateway *g, u64 number);

/* --- gateway_order.c: when a request may be sent, by what else of its connection is under way --- */

/* The connection's latest write, if it is still under way: what this request must come after. 0: none. */
u64 gateway_order_pending(struct gateway *g, const struct gateway_request *r);
/* The same, as far as whom it is sent to has to know. */
u64 gateway_order_after(struct gateway *g, const struct gateway_request *r);
/* A replica that need not lead may be asked. */
bool gateway_may_go_near(struct gateway *g, const struct gateway_request *r);
/* Not in this pass. */
bool gateway_must_hold(struct gateway *g, struct gateway_request *r);
/* It cannot be sent again: it would see what its connection wrote later. */
bool gateway_order_is_broken(const struct gateway_request *r);
/* Of a client's own session: its entry names the call that it must come after. */
void gateway_order_name_call(struct gateway *g, struct gateway_request *r);
/* It is sent, and it is not any more. */
void gateway_order_leave(struct gateway_request *r);
void gateway_order_return(struct gateway_request *r);
/* Has the connection seen more than the leader's answer, of this hybrid time, knows? */
bool gateway_order_is_ahead(const struct gateway_request *r, u64 hlc);
void gateway_order_note_seen(struct gateway_request *r, u64 hlc);
