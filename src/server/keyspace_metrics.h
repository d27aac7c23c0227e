/* Prometheus text of what requests cost, by keyspace and kind. At most LATENCY_KEYSPACES_MAX keyspaces have lines, those used last. */
#pragma once

#include "base/buf.h"
#include "core/core.h"
#include "server/latency.h"

/* map: for names; NULL before the founding. */
void keyspace_metrics(const struct latencies *l, const struct core *map, nanos now, struct buf *out);
