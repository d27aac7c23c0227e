/* Connections of commands to nodes: blocking until made, not afterwards. */
#pragma once

#include "base/types.h"

#include <stddef.h>

/* A socket, non-blocking, to a name or address; -1: problem says why. */
int dial_to(const char *host, u16 port, u32 timeout_ms, char *problem, size_t size);
bool dial_ready(int fd, short events, u32 timeout_ms); /* POLLIN, POLLOUT */
