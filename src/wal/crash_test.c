/* Every crash point of a scripted workload: the world ends at the k-th change, for every k, and
 * what was pending is lost, kept, reordered or torn. Then again during recovery, and once more
 * after new work. */
#include "wal/wal_test_script.h"

#define TURNS 60
#ifndef SEEDS
#define SEEDS 6
#endif

static void verdict_is_good(struct rig *r, u64 seed, u64 k, enum fake_crash_mode mode,
                            const char *when)
{
    const char *wrong = rig_verdict(r);

    if (!wrong) return;
    fail_msg("%s (seed %llu, crash at %llu, mode %d, %s)", wrong, (unsigned long long)seed,
             (unsigned long long)k, (int)mode, when);
}

static struct rig *rig_for(u64 seed)
{
    struct rig *r = rig_new(seed);

    if (seed % 3 == 0) r->config.units_in_flight_max = 1;
    return r;
}

static u64 steps_of_clean_run(u64 seed, u64 *recycled)
{
    struct rig *r = rig_for(seed);

    CHECK_OK(rig_open(r));
    CHECK_OK(script_run(r, TURNS));
    u64 steps = r->f->steps;
    CHECK(wal_stats(r->w)->segments >= 2);
    *recycled += wal_stats(r->w)->recycled;
    rig_free(r);
    return steps;
}

/* Open, with the world ending `crash_in` times during the opening, at steps 1, 2, 3 ... */
static void reopen(struct rig *r, enum fake_crash_mode mode, u64 crashes)
{
    for (u64 k = 1; k <= crashes; k++) {
        r->f->crash_at = k;
        if (rig_open(r) == OK) break;
        CHECK(r->f->crashed);
        fake_crash(r->f, mode);
    }
    if (r->w) return;
    r->f->crash_at = 0;
    CHECK_OK(rig_open(r));
}

static void run_until_crash(u64 seed, u64 k, enum fake_crash_mode mode)
{
    struct rig *r = rig_for(seed);

    r->f->crash_at = k;
    err e = rig_open(r);
    if (!e) e = script_run(r, TURNS);
    if (r->w)
        rig_crash(r, mode);
    else
        fake_crash(r->f, mode);
    (void)e;

    reopen(r, mode, k % 12);
    verdict_is_good(r, seed, k, mode, "after the crash");
    r->f->crash_at = 0;
    CHECK_OK(script_run(r, TURNS / 3));
    rig_crash(r, (enum fake_crash_mode)((mode + k) % FAKE_CRASH_MODES));

    CHECK_OK(rig_open(r));
    verdict_is_good(r, seed, k, mode, "after new work and a second crash");
    CHECK_OK(rig_prove(r));
    rig_crash(r, FAKE_LOSE);
    CHECK_OK(rig_open(r));
    verdict_is_good(r, seed, k, mode, "after everything was durable");
    rig_free(r);
}

static void every_crash_point(enum fake_crash_mode mode)
{
    u64 recycled = 0;

    for (u64 seed = 1; seed <= SEEDS; seed++) {
        u64 steps = steps_of_clean_run(seed, &recycled);
        CHECK(steps > 50);
        for (u64 k = 1; k <= steps + 1; k++) run_until_crash(seed, k, mode);
    }
    CHECK(recycled > 0); /* else the scripts are too short to say anything of it */
}

TEST(crash, keeps_every_promise_when_pending_writes_are_lost)
{
    every_crash_point(FAKE_LOSE);
}
TEST(crash, keeps_every_promise_when_pending_writes_survive)
{
    every_crash_point(FAKE_KEEP);
}
TEST(crash, keeps_every_promise_when_later_writes_survive_alone)
{
    every_crash_point(FAKE_REORDER);
}
TEST(crash, keeps_every_promise_when_writes_are_torn)
{
    every_crash_point(FAKE_TEAR);
}

/* kill -9, an open that reads what only caches hold, and then the power cut. */
TEST(crash, what_was_replayed_stays_though_only_a_cache_held_it)
{
    for (u64 seed = 1; seed <= 40; seed++) {
        struct rig *r = rig_new(seed);
        CHECK_OK(rig_open(r));
        CHECK_OK(script_run(r, 20));
        rig_kill(r);
        CHECK_OK(rig_open(r));
        verdict_is_good(r, seed, 0, FAKE_LOSE, "after the kill");
        r->acked = r->count ? r->frames[r->count - 1].id : 0; /* replayed: the owner acts on it */
        rig_crash(r, FAKE_LOSE);
        CHECK_OK(rig_open(r));
        verdict_is_good(r, seed, 0, FAKE_LOSE, "after the power cut");
        rig_free(r);
    }
}

/* A k-th change that fails ends the log or is told; whatever follows, no promise is broken. */
static void every_failure(err with)
{
    for (u64 seed = 1; seed <= SEEDS; seed++) {
        u64 recycled = 0, steps = steps_of_clean_run(seed, &recycled);
        for (u64 k = 1; k <= steps; k++) {
            struct rig *r = rig_for(seed);
            r->f->fail_at = k;
            r->f->fail_with = with;
            err e = rig_open(r);
            if (!e) e = script_run(r, TURNS);
            if (r->w && e) {
                u64 durable = wal_durable(r->w);
                CHECK_EQ(wal_room(r->w), 0);
                CHECK(wal_stage(r->w, &(struct wal_frame){.type = WAL_ENTRY}, NULL, 0) ==
                      UINT64_MAX);
                rig_flush(r);
                CHECK(wal_durable(r->w) == durable);
            }
            if (r->w)
                rig_crash(r, FAKE_TEAR);
            else
                fake_crash(r->f, FAKE_TEAR);
            CHECK_OK(rig_open(r));
            verdict_is_good(r, seed, k, FAKE_TEAR, "after a failed step");
            rig_free(r);
        }
    }
}

TEST(crash, a_failing_kth_write_or_sync_loses_nothing)
{
    every_failure(ERR_IO);
}
TEST(crash, no_space_at_the_kth_write_loses_nothing)
{
    every_failure(ERR_NO_SPACE);
}

TEST_MAIN(RUN(crash, keeps_every_promise_when_pending_writes_are_lost),
          RUN(crash, keeps_every_promise_when_pending_writes_survive),
          RUN(crash, keeps_every_promise_when_later_writes_survive_alone),
          RUN(crash, keeps_every_promise_when_writes_are_torn),
          RUN(crash, what_was_replayed_stays_though_only_a_cache_held_it),
          RUN(crash, a_failing_kth_write_or_sync_loses_nothing),
          RUN(crash, no_space_at_the_kth_write_loses_nothing))
