#include "sim/workload/table.h"

static const struct workload *const rows[] = {
    &workload_registers, &workload_counters,  &workload_transfers, &workload_watchers,
    &workload_pipelines, &workload_expiry, &workload_plain, &workload_mixture, &workload_wide,
    &workload_spread, &workload_levels,
};

const struct workload *workload_at(u32 row) { return row < ARRAY_LEN(rows) ? rows[row] : NULL; }
