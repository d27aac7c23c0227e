#include "base/mutant.h"

#ifdef QUORATE_MUTANTS
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum mutant mutant_active = MUTANT_NONE;

bool mutant_choose(const char *name)
{
    static const char *const names[] = {
        "",
#define MUTANT_ROW(row, kind, breaks) #row,
#include "sim/mutants.def"
#undef MUTANT_ROW
    };
    for (u32 i = 1; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i], name) == 0) {
            mutant_active = (enum mutant)i;
            return true;
        }
    return false;
}

/* Every program of such a build can be asked to make a mistake, unit tests included. */
__attribute__((constructor)) static void choose_from_environment(void)
{
    const char *name = getenv("QUORATE_MUTANT");

    if (!name || mutant_choose(name)) return;
    fprintf(stderr, "QUORATE_MUTANT=%s: no such row in src/sim/mutants.def\n", name);
    exit(2);
}
#else
typedef int mutant_none; /* a file is not empty */
#endif
