/* Mutants prove the checkers. MUTANT(name) marks the place of a known mistake; it is constant false
 * in a normal build, and in a -DQUORATE_MUTANTS build true when that mutant is switched on.
 * Every name is one row of sim/mutants.def. */
#pragma once

#include "base/types.h"

#ifdef QUORATE_MUTANTS
enum mutant {
    MUTANT_NONE,
#define MUTANT_ROW(name, kind, breaks) MUTANT_##name,
#include "sim/mutants.def"
#undef MUTANT_ROW
    MUTANT_COUNT
};
extern enum mutant mutant_active; /* set once, before any node exists: by QUORATE_MUTANT=name, or by ... */
bool mutant_choose(const char *name); /* false: no such row */
#define MUTANT(name) (mutant_active == MUTANT_##name)
#else
#define MUTANT(name) false
#endif
