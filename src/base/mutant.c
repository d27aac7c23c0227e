#include "base/mutant.h"

#ifdef QUORATE_MUTANTS
enum mutant mutant_active = MUTANT_NONE;
#endif
