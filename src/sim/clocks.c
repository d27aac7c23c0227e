#include "sim/clocks.h"

#include "base/assert.h"

#define PPM 1000000
#define WALL_START_US 1700000000000000ull

static i64 signed_draw(struct prng *p, u64 max)
{
    return (i64)prng_below(p, 2 * max + 1) - (i64)max;
}

void clocks_init(struct clocks *c, struct prng *p, u64 drift_ppm_max, u64 wall_error_us_max)
{
    c->mono_base = prng_between(p, NANOS_SEC, 1000000 * NANOS_SEC);
    c->drift_ppm = signed_draw(p, drift_ppm_max);
    if (prng_below(p, 2)) c->drift_ppm = c->drift_ppm < 0 ? -(i64)drift_ppm_max : (i64)drift_ppm_max;
    c->wall_base_us = WALL_START_US + (u64)signed_draw(p, wall_error_us_max);
    c->wall_steps_us = 0;
    c->skew_ppm = 0;
}

void clocks_skew(struct clocks *c, struct prng *p, u64 skew_ppm_max)
{
    assert(skew_ppm_max < PPM / 2);
    c->skew_ppm = prng_below(p, 2) ? (i64)skew_ppm_max : signed_draw(p, skew_ppm_max);
    if (prng_below(p, 2)) c->skew_ppm = -c->skew_ppm;
}

static nanos elapsed(i64 ppm, nanos t)
{
    return (nanos)((i64)t + (i64)(t / PPM) * ppm + (i64)(t % PPM) * ppm / PPM);
}

static i64 mono_ppm(const struct clocks *c) { return c->drift_ppm + c->skew_ppm; }

nanos clocks_mono(const struct clocks *c, nanos world_time)
{
    return c->mono_base + elapsed(mono_ppm(c), world_time);
}

u64 clocks_wall_us(const struct clocks *c, nanos world_time)
{
    return c->wall_base_us + (u64)c->wall_steps_us + elapsed(c->drift_ppm, world_time) / 1000;
}

nanos clocks_when(const struct clocks *c, nanos mono)
{
    if (mono == NANOS_NEVER) return NANOS_NEVER;
    if (mono <= c->mono_base) return 0;
    nanos wanted = mono - c->mono_base;
    if (wanted > UINT64_MAX / 4) return NANOS_NEVER;
    nanos t = (nanos)((unsigned __int128)wanted * PPM / (u64)(PPM + mono_ppm(c)));
    t = t > 2 ? t - 2 : 0;
    while (elapsed(mono_ppm(c), t) < wanted) t++;
    return t;
}
