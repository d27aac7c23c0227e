/* For tests: RAFT_MUTANT=name switches a mutant on, in a build that has them. */
#pragma once

#include "base/mutant.h"

#include <stdlib.h>
#include <string.h>

static inline void choose_mutant(void)
{
#ifdef QUORATE_MUTANTS
    static const char *const names[] = {
        "",
#define MUTANT_ROW(name, kind, breaks) #name,
#include "sim/mutants.def"
#undef MUTANT_ROW
    };
    const char *name = getenv("RAFT_MUTANT");
    for (u32 i = 1; name && i < MUTANT_COUNT; i++)
        if (strcmp(name, names[i]) == 0) mutant_active = (enum mutant)i;
#endif
}
