#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void assert_failed(const char *claim, const char *file, int line)
{
    fprintf(stderr, "assertion failed: %s (%s:%d)\n", claim, file, line);
    fflush(stderr);
    abort();
}

void panic(const char *format, ...)
{
    va_list args;
    fputs("panic: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    fflush(stderr);
    _Exit(70); /* EX_SOFTWARE; no atexit handler may touch the disk now */
}
