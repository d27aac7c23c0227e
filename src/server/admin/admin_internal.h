/* Inside the admin door. */
#pragma once

#include "base/assert.h"
#include "base/buf.h"
#include "server/admin/admin.h"

#include <llhttp.h>

#define ADMIN_CONNECTIONS_MAX 64u
#define ADMIN_HEAD_BYTES_MAX  (8 * KIB) /* request line and headers */
#define ADMIN_URL_BYTES_MAX   1024
#define ADMIN_OUTPUT_PAUSE    (256 * KIB) /* no further pipelined request is answered above it */
#define ADMIN_REQUEST_TIME                                                                         \
    (10 * NANOS_SEC) /* from a request's first byte, or the connect, to its end */
#define ADMIN_IDLE_TIME (60 * NANOS_SEC) /* from a reply to the next request's first byte */

/* http.c writes it: one connection. */
struct admin_client {
    struct stream stream; /* kind NODE_ADMIN, owner this client */
    struct admin_door *door;
    struct list all, dirty;
    llhttp_t parser;
    size_t head_bytes;
    u32 url_bytes;
    char url[ADMIN_URL_BYTES_MAX];
    u32 refused; /* the status a callback of the parser refused with; 0: none */
    bool keep_alive;
    bool in_request; /* a first byte of the next request was seen */
    bool closing;    /* after what is in out */
    bool closed;     /* env_close was called */
    nanos deadline;
};

/* door.c writes it. */
struct admin_door {
    struct node *node;
    struct env *env;
    struct listener listener;
    bool listening;
    struct list clients, dirty;
    nanos next_look; /* the earliest deadline, or earlier */
    struct admin_door_stats stats;
};

struct admin_reply {
    u32 status;
    const char *type;
    struct buf body;
};

void admin_http_init(struct admin_client *c);
/* Parse the input and answer what is complete, as far as the output has room. */
void admin_http_work(struct admin_client *c);
void admin_touch(struct admin_client *c);
void admin_set_deadline(struct admin_client *c, nanos from_now);

/* routes.c: the answer to a path. `path` has no query. */
void admin_answer(struct admin_door *d, str path, struct admin_reply *out);

/* cluster.c: the body of /cluster. */
void admin_cluster_json(struct admin_door *d, struct buf *out);
