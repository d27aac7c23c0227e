/* Writes in a pipeline over one Redis connection: each is sent again until it is acknowledged, so
 * they must be such that order and repetition do not matter (SETs of different keys). */
#pragma once

#include "base/buf.h"
#include "cli/http.h"

struct loader_pending;
struct loader {
    struct http_place place;
    int fd;
    struct buf out, in;
    struct loader_pending *ring; /* sent and not answered, oldest first */
    u32 first, count;
    struct loader_pending *again; /* answered with something to be tried again */
    u32 again_count;
    u64 pending_bytes, written, repeated;
    u32 patience; /* pieces of time without progress so far */
    u64 db;       /* SELECTed on every new connection */
    char problem[512];
};

void loader_open(struct loader *l, const struct http_place *redis, u64 db);
void loader_close(struct loader *l);
/* Takes the bytes of one command. False: it failed for good. */
bool loader_put(struct loader *l, struct buf *command);
bool loader_drain(struct loader *l); /* all are acknowledged */

/* One command and its reply, an integer or a status, in a connection of its own. False: problem. */
bool redis_ask(const struct http_place *redis, u64 db, const char *command, i64 *number,
               char *problem, size_t size);
