/* How far a long command is, on standard error: a line that is drawn again on a terminal, one every
 * five seconds elsewhere. */
#pragma once

#include "base/types.h"

struct progress {
    const char *what;
    u64 all, done; /* bytes; all is a guess that may grow */
    nanos begun, shown_at;
    bool is_screen;
};

void progress_begin(struct progress *p, const char *what, u64 all);
void progress_add(struct progress *p, u64 bytes);
void progress_end(struct progress *p);
