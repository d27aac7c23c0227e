/* One row per workload of `quorate bench`. */
#pragma once

#include "base/types.h"

struct bench_result {
    u64 operations;
    nanos took;
    const char *unit; /* what one operation is */
};

struct bench_workload {
    const char *name, *what;
    /* Runs for about `budget`; false: it could not, `problem` says why. */
    bool (*run)(nanos budget, const char *dir, struct bench_result *out, char *problem,
                size_t size);
};

const struct bench_workload *bench_workloads(u32 *count);
nanos bench_now(void);
