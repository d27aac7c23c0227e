/* One key of the online checker: online_key.c. */
#pragma once

#include "check/online.h"

struct online_op {
    u64 serial;
    u32 op, client;
    struct level level;
    enum history_outcome outcome;
    struct online_value value, result;
    nanos invoked, returned; /* returned NANOS_NEVER: it has not, or its outcome is unknown */
};

struct online_key {
    u8 *name; /* owned */
    size_t name_len;
    struct online_op *ops; /* owned, in the order they were told */
    u32 count, cap;
    nanos valid_from; /* no window begins before */
    bool has_window, is_new;
    u64 anchor;                /* the window's: serial of the operation it began with, ... */
    nanos begun, from;         /* ... which was invoked, and had returned */
    struct online_value start; /* the value then */
    nanos plain_from;          /* from then on it is known to have no time to live; NANOS_NEVER: it is not */
    nanos checked_to;
};

/* The window ends; the next one begins at `from` or later. */
void online_key_break(struct online_key *k, nanos from);
void online_key_check(struct online_key *k, nanos watermark, struct findings *f, struct online_stats *stats);
