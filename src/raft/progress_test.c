#include "raft/progress.h"

#include "base/test.h"

static struct progress replicating(u64 next)
{
    struct progress p;
    progress_init(&p, 4);
    progress_reset(&p, next);
    progress_become_replicate(&p, next);
    return p;
}

TEST(progress, a_probe_is_one_message)
{
    struct progress p;
    progress_init(&p, 4);
    progress_reset(&p, 7);
    CHECK_EQ(p.state, PROGRESS_PROBE);
    CHECK_EQ(p.next, 7);
    CHECK_EQ(progress_window(&p, 100), 100);
    p.paused = true;
    CHECK_EQ(progress_window(&p, 100), 0);
    progress_done(&p);
}

TEST(progress, the_window_shrinks_with_what_is_sent_and_grows_with_what_is_acknowledged)
{
    struct progress p = replicating(1);
    progress_sent(&p, 3, 60);
    CHECK_EQ(p.next, 4);
    CHECK_EQ(progress_window(&p, 100), 40);
    progress_sent(&p, 5,
                  60); /* the last one may be larger than what is left: replicate.c decides */
    CHECK_EQ(progress_window(&p, 100), 0);
    progress_acked(&p, 4); /* covers the first message, and half of the second */
    CHECK_EQ(p.match, 4);
    CHECK_EQ(progress_window(&p, 100), 40);
    progress_acked(&p, 5);
    CHECK_EQ(progress_window(&p, 100), 100);
    progress_check(&p, 5);
    progress_done(&p);
}

TEST(progress, the_ring_wraps_and_fills)
{
    struct progress p = replicating(1);
    u64 acked = 0;
    for (u64 i = 1; i <= 50; i++) {
        while (progress_window(&p, 1000) == 0) progress_acked(&p, ++acked);
        progress_sent(&p, i, i % 7);
        progress_check(&p, i);
    }
    CHECK_EQ(p.ring_count, 4);
    progress_done(&p);
}

TEST(progress, a_change_of_state_forgets_what_is_in_flight)
{
    struct progress p = replicating(1);
    progress_sent(&p, 3, 60);
    progress_acked(&p, 1);
    progress_become_probe(&p, 2);
    CHECK_EQ(p.ring_count, 0);
    CHECK_EQ(p.inflight_bytes, 0);
    CHECK_EQ(p.match, 1);
    progress_become_snapshot(&p, 5);
    CHECK_EQ(progress_window(&p, 100), 0);
    progress_check(&p, 3);
    progress_done(&p);
}

TEST(progress, match_only_grows_and_next_stays_above_it)
{
    struct progress p = replicating(1);
    progress_sent(&p, 8, 1);
    progress_acked(&p, 6);
    progress_acked(&p, 2);
    CHECK_EQ(p.match, 6);
    progress_become_probe(&p, 7);
    progress_acked(&p, 8);
    CHECK_EQ(p.next, 9);
    progress_done(&p);
}

TEST_MAIN(RUN(progress, a_probe_is_one_message),
          RUN(progress, the_window_shrinks_with_what_is_sent_and_grows_with_what_is_acknowledged),
          RUN(progress, the_ring_wraps_and_fills),
          RUN(progress, a_change_of_state_forgets_what_is_in_flight),
          RUN(progress, match_only_grows_and_next_stays_above_it))
