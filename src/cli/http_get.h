/* A small blocking HTTP/1.0 GET, for the demo to ask its nodes' admin doors. */
#pragma once

#include "base/types.h"

#include <stddef.h>

/* The status, and the body as text cut at size; 0 if nobody answers within timeout_ms. host is
 * numeric. */
u32 http_get(const char *host, u16 port, const char *path, int timeout_ms, char *body, size_t size);
