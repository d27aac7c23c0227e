#include "cli/clocks.h"

#include "base/prng.h"
#include "base/test.h"

#define AHEAD ((i64)5 * (i64)NANOS_SEC) /* our clock, of the node's */

TEST(clocks, bounds_come_from_when_it_was_asked_and_answered)
{
    struct clocks c = {0};
    i64 low, high;

    CHECK(clocks_see(&c, 1000000, 6 * NANOS_SEC - 300000, 6 * NANOS_SEC + 200000));
    clocks_bounds(&c, 6 * NANOS_SEC + 200000, &low, &high);
    CHECK_EQ(low, AHEAD - 301000);
    CHECK_EQ(high, AHEAD + 200000);
    CHECK(clocks_see(&c, 1001000, 6 * NANOS_SEC + 900000, 6 * NANOS_SEC + 90000000)); /* a slow answer says little */
    clocks_bounds(&c, 6 * NANOS_SEC + 90000000, &low, &high);
    CHECK(low > AHEAD - 200000);
    CHECK(high < AHEAD + 300000);
}

TEST(clocks, a_jump_is_noticed_and_begins_anew)
{
    struct clocks c = {0};
    i64 low, high;

    CHECK(clocks_see(&c, 1000000, 6 * NANOS_SEC, 6 * NANOS_SEC + 1000000));
    CHECK(!clocks_see(&c, 9000000, 7 * NANOS_SEC, 7 * NANOS_SEC + 1000000));
    clocks_bounds(&c, 7 * NANOS_SEC + 1000000, &low, &high);
    CHECK_EQ(high, -2 * (i64)NANOS_SEC + 1000000);
    CHECK(clocks_see(&c, 9500000, 7 * NANOS_SEC + 500000000, 7 * NANOS_SEC + 501000000));
}

/* Whatever the network does and however the clocks drift within the bound, the true difference lies between. */
TEST(clocks, bounds_always_hold)
{
    struct prng p;

    prng_init(&p, 7, 0);
    for (u32 round = 0; round < 200; round++) {
        struct clocks c = {0};
        i64 drift_ppm = (i64)prng_below(&p, 600) - 300;
        nanos now = 100 * NANOS_SEC;
        for (u32 i = 0; i < 60; i++) {
            i64 low, high;
            nanos asked = now, told = asked + prng_below(&p, 2000000), answered = told + prng_below(&p, 2000000);
            i64 node = (i64)told - AHEAD + (i64)(told - 100 * NANOS_SEC) / 1000000 * drift_ppm;
            CHECK(clocks_see(&c, (u64)node / 1000, asked, answered));
            now = answered + prng_below(&p, 400000000);
            clocks_bounds(&c, now, &low, &high);
            i64 truth = AHEAD - (i64)(now - 100 * NANOS_SEC) / 1000000 * drift_ppm;
            CHECK(low <= truth);
            CHECK(high >= truth);
        }
    }
}

TEST_MAIN(RUN(clocks, bounds_come_from_when_it_was_asked_and_answered), RUN(clocks, a_jump_is_noticed_and_begins_anew),
          RUN(clocks, bounds_always_hold))
