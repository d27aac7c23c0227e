/* A host's two clocks. The monotonic one starts anywhere and drifts within rho, or beyond it where a seed wants
 * leases to be wrong; the wall clock, which somebody disciplines, drifts within rho, has its own error and may step. */
#pragma once

#include "base/prng.h"
#include "base/types.h"

struct clocks {
    nanos mono_base;
    i64 drift_ppm;     /* of the wall clock, and of the monotonic one without skew_ppm */
    i64 skew_ppm;      /* what the monotonic clock drifts beyond rho; 0: it does not */
    u64 wall_base_us;  /* unix time at the world's start, with this host's error */
    i64 wall_steps_us; /* sum of all steps so far */
};

/* drift_ppm_max: the rho that leases are proven for. wall_error_us_max: offset of the wall clock. */
void clocks_init(struct clocks *c, struct prng *p, u64 drift_ppm_max, u64 wall_error_us_max);

/* From the world's start the monotonic clock runs wrong by up to so much. */
void clocks_skew(struct clocks *c, struct prng *p, u64 skew_ppm_max);

nanos clocks_mono(const struct clocks *c, nanos world_time);
u64 clocks_wall_us(const struct clocks *c, nanos world_time);

/* The first world time at which the monotonic clock shows `mono`; NANOS_NEVER stays itself. */
nanos clocks_when(const struct clocks *c, nanos mono);
