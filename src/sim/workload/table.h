/* The workloads: a file and a row each. */
#pragma once

#include "sim/client.h"

extern const struct workload workload_registers; /* SET, GET, MGET on a few hot keys */
extern const struct workload workload_counters;  /* Q.SESSION CALL ... INCR, repeated until answered */
extern const struct workload workload_plain;     /* INCR without a session, each node as it comes */
extern const struct workload workload_transfers; /* MULTI/EXEC: sums stay, a text grows */
extern const struct workload workload_expiry;    /* SET PX: not gone early, not served late, never back */
extern const struct workload workload_pipelines; /* many commands at once, answers in order */
extern const struct workload workload_watchers;  /* WATCH as compare-and-set, among GETSET, SETNX, DEL */
extern const struct workload workload_wide;      /* more and larger values than the front table holds */
extern const struct workload workload_mixture;   /* many commands, only for replicas to agree on */
extern const struct workload workload_spread;    /* SET, GET over the partitions of made keyspaces */

extern const struct workload workload_levels;    /* GET at every level, sessions over connections by their token */

/* NULL: no such row. */
const struct workload *workload_at(u32 row);
