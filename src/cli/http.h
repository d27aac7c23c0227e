/* A small blocking HTTP/1.1 client, to ask admin doors. One connection per request; host is a name
 * or an address. */
#pragma once

#include "base/buf.h"
#include "server/node.h"

struct http_place {
    char host[NODE_HOST_MAX];
    u16 port;
};

/* Takes pieces of a body as they come; false: enough. */
typedef bool (*http_take_fn)(void *context, str piece);

struct http_request {
    struct http_place place; /* follows redirects: afterwards, who answered */
    const char *method;      /* GET, POST */
    const char *path;        /* with query */
    str body;
    u32 timeout_ms;    /* without a byte from the other end */
    http_take_fn take; /* NULL: into answer */
    void *context;
};

struct http_answer {
    u32 status;      /* 0: nobody answered, or not with HTTP; problem says why */
    bool reached; /* somebody took the connection, and perhaps the request */
    bool whole;      /* the body arrived to its end */
    struct buf body; /* the caller's: http_answer_done */
    char problem[256];
};
void http_ask(struct http_request *q, struct http_answer *out);
void http_answer_done(struct http_answer *a);

/* The status, and the body as text cut at size; 0 if nobody answers within timeout_ms. */
u32 http_get(const char *host, u16 port, const char *path, int timeout_ms, char *body, size_t size);
