/* What checkers say. A violation is a sentence with the operations that prove it, as history lines. */
#pragma once

#include "check/history.h"

#define FINDINGS_TEXT_MAX (64 * KIB)

struct findings {
    u32 violations;
    u32 undecided; /* keys whose search ran into its limit */
    u64 operations; /* looked at */
    struct buf text; /* the violations, for people; bounded */
};

void findings_init(struct findings *f);
void findings_done(struct findings *f);

/* One violation; the operations at `places` (each once) are printed under it. */
void findings_violation(struct findings *f, const struct history *h, const u32 *places, u32 count,
                        const char *format, ...) PRINTF_LIKE(5, 6);
