/* The Redis door: client connections, their RESP bytes and back-pressure, and the commands about
 * the connection itself. Data commands go to the gateway as entries. */
#pragma once

#include "env/env.h"
#include "server/node.h"

struct latencies;
struct redis_door;

MUST_USE err redis_door_new(struct node *n, char *problem, size_t problem_size,
                            struct redis_door **out);
void redis_door_free(struct redis_door *d);

/* Events whose listener or stream has kind NODE_REDIS. */
void redis_door_on_event(struct redis_door *d, const struct env_event *ev);

/* Parse and dispatch what connections hold (bounded work); true if more is ready. */
bool redis_door_turn(struct redis_door *d);
/* End of the turn: send the replies that are ready, drop slow and dead connections. */
void redis_door_flush(struct redis_door *d);
nanos redis_door_deadline(const struct redis_door *d);

/* A clean stop: accept no more, finish what is under way; true when nothing is. */
bool redis_door_stopping(struct redis_door *d);

/* The port bound: config.redis_port, or what the system chose for 0. */
u16 redis_door_port(const struct redis_door *d);

/* What requests cost lately; borrowed for this turn. */
const struct latencies *redis_door_latencies(const struct redis_door *d);
/* Tell of the requests of every rate-th key for so many seconds (0: no more), and what was told: members of a JSON
 * object, events from number `since` on. docs/operations. */
void redis_door_sample(struct redis_door *d, u32 rate, u32 seconds);
void redis_door_sampled(struct redis_door *d, u64 since, struct buf *out);

struct redis_door_stats {
    u64 connected, accepted, rejected, commands, bytes_in, bytes_out, protocol_errors;
    /* at the limits */
    u64 too_big;              /* requests refused with TOOBIG */
    u64 pipeline_pauses;      /* times a connection was not parsed on: too much under way, ... */
    u64 output_pauses;        /* ... replies not read, ... */
    u64 gateway_pauses;       /* ... the whole node full */
    u64 output_dropped;       /* connections dropped: replies never read */
    u64 input_waits;          /* large requests that waited for memory */
    u64 input_dropped;        /* connections dropped: they held that memory and sent nothing */
    u64 transactions_refused; /* OVERLOADED: MULTI holds too much memory */
};
const struct redis_door_stats *redis_door_stats(const struct redis_door *d);
/* The rows that are counted here: its own limits, and those that errors name which clients were told. */
struct limits_now;
void redis_door_limits(const struct redis_door *d, struct limits_now *out);
