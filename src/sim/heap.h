/* Events of the simulated world, ordered by (time, sequence number): what was scheduled first fires
 * first among equals, so a run never depends on how the heap is built. */
#pragma once

#include "base/types.h"

struct world;

enum event_kind { /* for the trace; the numbers are part of every trace hash */
    EVENT_TURN = 1,
    EVENT_PUMP,
    EVENT_DIALLED,
    EVENT_CONNECTED,
    EVENT_RESET,
    EVENT_DISK,
    EVENT_JOB_RUN,
    EVENT_JOB_DONE,
    EVENT_START,
    EVENT_CRASH,
    EVENT_FAULT,
    EVENT_HEAL,
    EVENT_PHASE,
    EVENT_MEMBERS,
};

typedef void (*event_fn)(struct world *w, void *context, u64 arg);

struct event {
    nanos at;
    u64 seq;
    enum event_kind kind;
    u32 actor; /* host id, or 0 */
    event_fn fire;
    void *context;
    u64 arg;
};

struct heap {
    struct event *items; /* owned */
    u32 count, cap;
};

void heap_done(struct heap *h);
void heap_push(struct heap *h, const struct event *e);
bool heap_pop(struct heap *h, struct event *out);
