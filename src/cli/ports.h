/* Who holds a port: so that "address in use" can name the process and the flag that helps. */
#pragma once

#include "base/types.h"

/* Could a listener be bound there now? host is numeric or a name; "" or an unknown one: true, the
 * real attempt will say more. */
bool port_is_free(const char *host, u16 port);

/* "redis-server, pid 123", or "another process" where the system does not show it. */
void port_holder(u16 port, char *out, size_t size);
