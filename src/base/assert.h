/* Assertions stay on in every build. panic() is for broken promises of the world (a failed fsync,
 * no memory): better down than wrong. Both end the process; a durable log makes that safe. */
#pragma once

#include "base/types.h"

NORETURN void assert_failed(const char *claim, const char *file, int line);

/* Stop the process with one line on stderr: "panic: <message>". */
NORETURN void panic(const char *format, ...) PRINTF_LIKE(1, 2);

#undef assert
#define assert(claim) (LIKELY(claim) ? (void)0 : assert_failed(#claim, __FILE__, __LINE__))
