/* What a client sees at each level, in words: for `quorate price` and `quorate explain`. docs/consistency.md has the same at
 * length, with commands to try. */
#pragma once

#include "consistency/level.h"

struct level_words {
    const char *promise; /* a read sees ... */
    const char *trips;   /* round trips between nodes, one after the other */
    u32 sees;            /* anomalies a client can see: BIT(enum anomaly_kind) */
};
extern const struct level_words level_words[LEVEL_KINDS];

enum anomaly_kind {
    ANOMALY_HALF,    /* first: no level shows it */
    ANOMALY_OLD,
    ANOMALY_TOO_OLD, /* older than the bound of stale:MS */
    ANOMALY_BACK,
    ANOMALY_OWN,
    ANOMALY_ELSEWHERE,
    ANOMALY_APART,
    ANOMALY_KINDS
};

struct anomaly {
    const char *name, *first, *second; /* the example: two lines */
};
extern const struct anomaly anomalies[ANOMALY_KINDS];
