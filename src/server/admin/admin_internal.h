/* Inside the admin door. */
#pragma once

#include "base/assert.h"
#include "base/buf.h"
#include "server/admin/admin.h"
#include "server/cluster.h"

#include <llhttp.h>

#define ADMIN_CONNECTIONS_MAX 64u
#define ADMIN_HEAD_BYTES_MAX  (8 * KIB) /* request line and headers */
#define ADMIN_URL_BYTES_MAX   1024
#define ADMIN_BODY_BYTES_MAX  (8 * KIB) /* of a POST: parameters */
#define ADMIN_PARAMS_MAX      40
#define ADMIN_OUTPUT_PAUSE    (256 * KIB) /* no further pipelined request is answered above it */
#define ADMIN_REQUEST_TIME                                                                         \
    (10 * NANOS_SEC) /* from a request's first byte, or the connect, to its end */
#define ADMIN_IDLE_TIME (60 * NANOS_SEC) /* from a reply to the next request's first byte */

struct admin_ask;
struct admin_rows;

/* http.c writes it: one connection. */
struct admin_client {
    struct stream stream; /* kind NODE_ADMIN, owner this client */
    struct admin_door *door;
    struct list all, dirty;
    llhttp_t parser;
    size_t head_bytes;
    u32 url_bytes, body_bytes, name_bytes;
    char name[8]; /* of the header that arrives */
    bool from_browser;
    char url[ADMIN_URL_BYTES_MAX];
    char body[ADMIN_BODY_BYTES_MAX];
    u32 refused; /* the status a callback of the parser refused with; 0: none */
    bool keep_alive, is_head;
    bool in_request; /* a first byte of the next request was seen */
    bool ended;      /* the client sends no more */
    bool closing;    /* after what is in out */
    bool closed;     /* env_close was called */
    struct admin_ask *ask; /* the answer to this request waits for the core; nothing more is parsed until then */
    struct admin_rows *rows; /* the answer is a stream of rows; the same */
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
    const char *allow; /* of a 405 */
    char location[CORE_TEXT_BYTES_MAX + ADMIN_URL_BYTES_MAX + 16]; /* of a 307 */
    struct buf body;
};

/* name=value pairs of the query and of a POST's body, decoded; params.c. */
struct admin_params {
    struct admin_param {
        str name, value;
        bool used;
    } rows[ADMIN_PARAMS_MAX];
    u32 count;
    char text[ADMIN_URL_BYTES_MAX + ADMIN_BODY_BYTES_MAX];
};

/* Append the pairs of an encoded text; false: too many, or a broken escape. */
bool admin_params_add(struct admin_params *p, str encoded);
/* The value of a name, marked as used; empty `at` if it is not there. */
str admin_param(struct admin_params *p, const char *name);
bool admin_param_is_given(struct admin_params *p, const char *name);
/* One that nobody asked for; empty if there is none. */
str admin_param_unknown(const struct admin_params *p);

/* One request, for the handlers. */
struct admin_request {
    struct admin_door *door;
    struct admin_client *client; /* who waits for it */
    bool is_post;
    str path;          /* without query */
    str name;          /* what `*` of the route stands for */
    struct admin_params *params;
    struct admin_reply *reply;
};

void admin_http_init(struct admin_client *c);
/* Parse the input and answer what is complete, as far as the output has room. */
void admin_http_work(struct admin_client *c);
/* The answer to the request that waited. */
void admin_http_answered(struct admin_client *c, const struct admin_reply *r);
void admin_touch(struct admin_client *c);
void admin_set_deadline(struct admin_client *c, nanos from_now);

/* routes.c. False: the client's `ask` answers later. */
bool admin_answer(struct admin_request *r);

/* cluster.c: the body of /cluster. */
void admin_cluster_json(struct admin_door *d, struct buf *out);

/* json.c */
void json_put(struct buf *out, str s); /* a string in quotes */
void json_put_name(struct buf *out, bool *first, const char *name); /* ,"name": */
void json_put_text(struct buf *out, bool *first, const char *name, str value);
void json_put_number(struct buf *out, bool *first, const char *name, u64 value);
void json_put_bool(struct buf *out, bool *first, const char *name, bool value);
/* {"error":NAME,"reason":SENTENCE} with that status. */
void admin_refuse(struct admin_reply *r, u32 status, const char *error, const char *format, ...)
    PRINTF_LIKE(4, 5);

/* map_json.c: the map as people read it. NULL and a refusal while this node has none. */
const struct core *admin_map(struct admin_request *r);
void admin_get_keyspaces(struct admin_request *r);
void admin_get_keyspace(struct admin_request *r);
void admin_get_nodes(struct admin_request *r);
void admin_get_groups(struct admin_request *r);
void admin_get_settings(struct admin_request *r);
void admin_get_summary(struct admin_request *r);

void admin_get_local(struct admin_request *r); /* local_json.c */
void admin_get_price(struct admin_request *r); /* price_json.c */
void admin_get_limits(struct admin_request *r); /* limits_json.c */

/* sample_json.c: for `quorate check --online` */
void admin_get_sample(struct admin_request *r);
void admin_post_sample(struct admin_request *r);
void admin_post_alert(struct admin_request *r);

/* backup_json.c */
void admin_get_backup(struct admin_request *r);
void admin_post_backup_hold(struct admin_request *r);
void admin_post_backup_cut(struct admin_request *r);
void admin_post_backup_end(struct admin_request *r);
void admin_get_rows(struct admin_request *r);
/* The next block of the client's stream of rows, as a chunk. False: it broke off. */
bool admin_rows_next(struct admin_client *c);
bool admin_rows_ended(const struct admin_client *c);
void admin_rows_free(struct admin_client *c);

/* plan_json.c */
void admin_get_plan(struct admin_request *r);
void admin_dry_run(struct admin_request *r, const struct core *map, const struct core_command *cmd);

/* ask.c: a command on its way to the core. */
void admin_ask_core(struct admin_request *r, const struct core_command *cmd);
void admin_ask_drop(struct admin_client *c); /* the client is gone */
void admin_put_core_reply(struct admin_reply *out, const struct core_command *cmd, const struct core_reply *reply);
