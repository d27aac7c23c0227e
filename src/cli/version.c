#include "cli/commands.h"

#include <stdio.h>

int version_main(int argc, char **argv)
{
    if (argc > 1) {
        printf(
            "Usage: quorate version\n\nPrint the version, and what the binary was built with.\n\n"
            "Example:\n  quorate version\n");
        (void)argv;
        return 0;
    }
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
