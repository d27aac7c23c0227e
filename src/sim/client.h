/* A simulated client: a program on the same env as a node. It keeps one connection to some node, lets
 * its workload put commands on it, matches replies to commands in order, and writes down what it asked and
 * learned. When the connection breaks or a reply does not come, the outcome stays unknown. */
#pragma once

#include "check/history.h"
#include "sim/host.h"
#include "sim/reply.h"

#define CLIENT_CALLS_MAX 64
#define NO_PLACE UINT32_MAX

struct client;

struct workload { /* one row of workload/table.c */
    const char *name;
    size_t state_bytes; /* of client.state, zeroed at the start */
    u8 db;              /* selected on each new connection */
    /* Instead: a database or keyspace for this connection. */
    u32 (*choose_db)(struct client *c);
    /* The client is connected and idle: put commands on the connection. */
    void (*turn)(struct client *c);
    /* A reply to the command with this tag. */
    void (*reply)(struct client *c, u32 tag, u32 place, const struct reply *r);
    /* The connection is gone; commands without reply will get none. NULL: nothing to do. */
    void (*lost)(struct client *c);
};

struct call {
    u32 tag, place;
    nanos sent_at;
};

struct client {
    struct host *host;
    u32 number; /* from 1 */
    const struct workload *workload;
    void *state; /* owned */
    struct prng chance;
    struct stream stream;
    enum { CLIENT_DOWN, CLIENT_DIALLING, CLIENT_UP, CLIENT_CLOSING } link;
    u32 node; /* connected to */
    u32 db;   /* selected on this connection */
    nanos retry_at, next_at, think_mean;
    struct call calls[CLIENT_CALLS_MAX]; /* a ring */
    u32 head, count;
    u64 values; /* unique values made so far */
    struct reply_reader reader;
    bool stopping; /* finish what is under way, begin nothing */
    bool auditing;
    u32 audit_next;
};

struct client *client_new(struct world *w, u32 number, const struct workload *workload, nanos think_mean);
void client_free(struct client *c);
void client_start(struct client *c);
bool client_is_idle(const struct client *c);
/* From now on: read every key of the history once, on a new connection. */
void client_audit(struct client *c);

/* The made keyspace that this key says it is in; 0: none. */
u32 client_db_of_key(str key);

/* For workloads. */
struct history *client_history(struct client *c);
nanos client_now(const struct client *c);
u32 client_key(struct client *c, const char *format, ...) PRINTF_LIKE(2, 3); /* an interned text */
u32 client_unique(struct client *c); /* a value nobody else ever writes */
u32 client_unique_padded(struct client *c, u64 pad);
str client_text(struct client *c, u32 id);

/* Open an operation in the history. */
u32 client_op(struct client *c, enum history_op op, u32 key, u32 value, u32 expect);
/* Put a command on the connection. place NO_PLACE: not an operation of the history. */
void client_send(struct client *c, u32 tag, u32 place, u32 argc, const str *argv);
#define CLIENT_SEND(c, tag, place, ...)                                                            \
    do {                                                                                           \
        const str client_argv_[] = {__VA_ARGS__};                                                  \
        client_send(c, tag, place, ARRAY_LEN(client_argv_), client_argv_);                         \
    } while (0)

void client_hang_up(struct client *c); /* and dial again: what is under way has no outcome */

/* What a reply says of its command. An error that no client of ours should ever see is a violation. */
enum history_outcome client_outcome(struct client *c, const struct reply *r);
/* Close an operation by its reply. Bulk, integer and null replies become its result. */
void client_close_op(struct client *c, u32 place, const struct reply *r);
u32 client_result(struct client *c, const struct reply *r);

/* Values carry padding on the wire: "id" or "id:N:" and N times 'x'. */
str client_pad(struct client *c, u32 value, struct buf *scratch);
