/* One seed from beginning to end. */
#pragma once

#include "sim/options.h"

#define RUN_TEXT_MAX 8192

struct run_result {
    u64 seed, trace_hash, events, operations, faults, violations, undecided;
    u64 splits, merges, moves;
    nanos simulated;
    char text[RUN_TEXT_MAX]; /* the violations, for people */
};

/* A world that is ready to start, and its end; for who runs it in another way than run_seed does. */
struct world;
struct world *run_begin(const struct sim_options *options, u64 seed);
void run_end(struct world *w);

void run_seed(const struct sim_options *options, u64 seed, struct run_result *out);
