#include "cli/commands.h"
#include "cli/verbs.h"

#include <stdio.h>

int version_main(int argc, char **argv)
{
    if (argc > 1) return noun_main(&version_noun, argc, argv);
    printf("quorate %s", QUORATE_VERSION);
#ifdef QUORATE_MUTANTS
    printf(" +mutants");
#endif
#ifdef QUORATE_FAULTS
    printf(" +faults");
#endif
    printf(" (%s)\n", __VERSION__);
    return 0;
}
