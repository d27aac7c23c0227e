/* What requests of each keyspace cost lately, as this node's clients see it: from a request's dispatch at the door to its
 * answer there, by kind: writes, and reads at each level. The door keeps it (redis/slot.c); `quorate price`, Q.EXPLAIN
 * and /metrics tell it.
 *
 * A node may have thousands of keyspaces that nobody uses: memory is taken at the first request of a kind, for
 * LATENCY_KEYSPACES_MAX keyspaces at most; the one unused for longest makes room for another. */
#pragma once

#include "base/histogram.h"
#include "base/str.h"
#include "consistency/level.h"

#define LATENCY_KEYSPACES_MAX 100u

enum latency_kind { LATENCY_WRITE, LATENCY_READ /* + enum level_kind */, LATENCY_KINDS = LATENCY_READ + LEVEL_KINDS };

/* Names of refusals: docs/formats/errors.md. A name not listed is counted as the last. */
#define LATENCY_REFUSALS 7

struct latency {
    u64 answered, refused[LATENCY_REFUSALS]; /* since they were first used here */
    struct recent took;                      /* what was answered; a refusal is no price */
};

struct latency_keyspace {
    u32 id;
    nanos used_at;
    struct latency *kinds[LATENCY_KINDS]; /* NULL: never used */
};

struct latencies { /* zero is empty; latencies_done frees what it has */
    struct latency_keyspace *items; /* by id */
    u32 count, latest;              /* latest: where the last one was found */
};

void latencies_done(struct latencies *l);
void latencies_add(struct latencies *l, u32 keyspace, enum latency_kind kind, nanos now, u64 us);
/* `error` begins with "-NAME ". */
void latencies_refuse(struct latencies *l, u32 keyspace, enum latency_kind kind, nanos now, str error);
/* The keyspace is gone. */
void latencies_forget(struct latencies *l, u32 keyspace);
/* NULL: nothing of it was asked, or that is forgotten. */
const struct latency *latencies_of(const struct latencies *l, u32 keyspace, enum latency_kind kind);

const char *latency_refusal_name(u32 refusal);
const char *latency_kind_name(enum latency_kind kind); /* write, lease, quorum ... */
