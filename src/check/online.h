/* Checking live traffic: operations of sampled keys arrive as they begin and end, at nodes that each tell of their own
 * (docs/operations). Nothing is known of what was before; keys are forgotten and met again; values repeat. So what is
 * checked is a window of one key at a time:
 *
 * A window begins at an anchor: an operation that tells the value when it took effect. What was over before is
 * outside; writes that overlap the anchor, or whose outcome is unknown, may happen inside or not at all. It ends at the watermark, up to where all nodes have told everything. Windows move on: a later anchor
 * takes the place of the first. What cannot be explained without knowing more (a value that nobody in the window
 * wrote, a key that may have run out of time, a write that is not understood) ends a window, and is no alarm: an
 * alarm is a window of which every order of operations is wrong.
 *
 * Times are nanoseconds of the watcher's clock, already widened by what is not known of a node's clock. */
#pragma once

#include "check/findings.h"

#define ONLINE_OTHER      HISTORY_OPS /* a write, but not understood: the value after it is not known */
#define ONLINE_VALUE_MAX  64
#define ONLINE_KEYS_MAX   4096u
#define ONLINE_OPS_MAX    200000u
#define ONLINE_WINDOW_OPS 200u /* more: the window is to move on */
#define ONLINE_WINDOW_AGE (10 * NANOS_SEC)
#define ONLINE_SETTLED    (30 * NANOS_SEC) /* a write of unknown outcome happens by then or never */

struct online;

struct online *online_new(void);
void online_free(struct online *o);

struct online_value {
    bool is_null;
    u8 len;
    char text[ONLINE_VALUE_MAX];
};

struct online_begin {
    u64 source, id; /* operations with the same are one request, of several keys */
    u32 op;         /* enum history_op but APPEND and CAS, or ONLINE_OTHER */
    str key;        /* empty: all keys; only of OTHER */
    struct online_value value;
    u32 client;
    struct level level;
    nanos at;
};
void online_begin(struct online *o, const struct online_begin *b);
void online_end(struct online *o, u64 source, u64 id, enum history_outcome outcome, struct online_value result, nanos at);

/* Something was missed: forget all; windows may begin from `until` on. */
void online_forget(struct online *o, nanos until);

/* All that happened up to here has been told: check what is new. Violations are told in f; returns how many keys
 * have one; `key` is the last one's, good until the next call. */
u32 online_check(struct online *o, nanos watermark, struct findings *f, str *key);

struct online_stats {
    u64 operations;  /* told */
    u64 checked;     /* of these, in a window that was checked */
    u64 unexplained; /* windows ended by what they could not explain */
    u64 undecided;   /* windows with too many overlapping operations */
    u64 forgotten;   /* times everything was forgotten */
    u32 keys;
};
const struct online_stats *online_stats(const struct online *o);
