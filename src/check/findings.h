/* What checkers say. A violation is a sentence with the operations that prove it, as history lines. */
#pragma once

#include "check/history.h"

#define FINDINGS_TEXT_MAX (64 * KIB)

struct findings {
    u32 violations;
    u32 undecided; /* keys whose search ran into its limit */
    u64 operations[LEVEL_KINDS]; /* looked at; writes count as linearizable */
    nanos slack; /* given by the asker: how much more than its bound a stale read may be, for clocks that differ */
    u64 steps_max, steps_all_max; /* likewise: of a search, and of all together; 0: the usual limits (wgl.c) */
    u64 steps; /* that searches have taken */
    struct buf text; /* the violations, for people; bounded */
};

u64 findings_operations(const struct findings *f);
/* "linearizable: 120 operations, stale: 7 operations, 0 violations" */
void findings_summary(const struct findings *f, struct buf *out);

void findings_init(struct findings *f);
void findings_done(struct findings *f);

/* One violation; the operations at `places` (each once) are printed under it. */
void findings_violation(struct findings *f, const struct history *h, const u32 *places, u32 count,
                        const char *format, ...) PRINTF_LIKE(5, 6);
