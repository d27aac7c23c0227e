#include "check/fixture.h"

#include "base/prng.h"

TEST(register, accepts_reads_of_the_latest_write)
{
    ACCEPTS(check_register, GET(1, NULL, 0, 1), SET(1, "a", 2, 3), GET(2, "a", 4, 5), SET(2, "b", 6, 7),
            GET(1, "b", 8, 9));
}

TEST(register, accepts_either_value_while_a_write_is_under_way)
{
    ACCEPTS(check_register, SET(1, "a", 0, 1), SET(1, "b", 2, 10), GET(2, "a", 3, 4), GET(3, "b", 5, 6));
    ACCEPTS(check_register, SET(1, "a", 0, 10), SET(2, "b", 0, 10), GET(3, "a", 11, 12));
    ACCEPTS(check_register, SET(1, "a", 0, 10), SET(2, "b", 0, 10), GET(3, "b", 11, 12));
}

TEST(register, rejects_a_stale_read)
{
    REJECTS(check_register, SET(1, "a", 0, 1), SET(1, "b", 2, 3), GET(2, "a", 4, 5));
}

TEST(register, rejects_reads_that_go_back_during_a_write)
{
    REJECTS(check_register, SET(1, "a", 0, 1), SET(1, "b", 2, 20), GET(2, "b", 3, 4), GET(3, "a", 5, 6));
}

TEST(register, rejects_a_lost_write)
{
    REJECTS(check_register, SET(1, "a", 0, 1), GET(2, NULL, 2, 3));
    REJECTS(check_register, SET(1, "a", 0, 1), SET(2, "b", 2, 3), SET(3, "c", 4, 5), GET(2, "b", 6, 7));
}

TEST(register, rejects_two_values_at_once)
{
    REJECTS(check_register, SET(1, "a", 0, 10), SET(2, "b", 0, 10), GET(3, "a", 11, 12), GET(3, "b", 13, 14),
            GET(3, "a", 15, 16));
}

TEST(register, lets_an_unknown_write_happen_late_or_never)
{
    ACCEPTS(check_register, SET(1, "a", 0, 1), SET(1, "b", 2, OPEN), GET(2, "a", 10, 11), GET(2, "a", 20, 21));
    ACCEPTS(check_register, SET(1, "a", 0, 1), SET(1, "b", 2, OPEN), GET(2, "a", 10, 11), GET(2, "b", 20, 21));
    REJECTS(check_register, SET(1, "a", 0, 1), SET(1, "b", 2, OPEN), GET(2, "b", 10, 11), GET(2, "a", 20, 21));
}

TEST(register, rejects_the_value_of_a_failed_write)
{
    ACCEPTS(check_register, SET(1, "a", 0, 1), SET_FAILED(1, "b", 2, 3), GET(2, "a", 4, 5));
    REJECTS(check_register, SET(1, "a", 0, 1), SET_FAILED(1, "b", 2, 3), GET(2, "b", 4, 5));
}

TEST(register, rejects_values_from_nowhere_and_from_the_future)
{
    REJECTS(check_register, SET(1, "a", 0, 1), GET(2, "z", 2, 3));
    REJECTS(check_register, GET(2, "a", 0, 1), SET(1, "a", 2, 3));
}

TEST(session, rejects_a_pipeline_that_reads_before_its_own_write)
{
    ACCEPTS(check_session, SET(1, "a", 0, 5), SET(1, "b", 10, 20), GET(1, "b", 10, 20));
    REJECTS(check_session, SET(1, "a", 0, 5), SET(1, "b", 10, 20), GET(1, "a", 10, 20));
    REJECTS(check_session, SET(1, "a", 0, 5), GET(1, NULL, 1, 6));
}

TEST(session, rejects_a_pipeline_whose_writes_changed_places)
{
    ACCEPTS(check_session, SET(1, "a", 10, 20), SET(1, "b", 10, 20), GET(2, "a", 15, 16), GET(2, "b", 21, 22));
    REJECTS(check_session, SET(1, "a", 10, 20), SET(1, "b", 10, 20), GET(1, "a", 21, 22));
    REJECTS(check_session, SET(1, "a", 10, 20), SET(1, "b", 10, 20), GET(2, "b", 15, 16), GET(2, "a", 21, 22));
    ACCEPTS(check_session, SET(1, "a", 10, OPEN), SET(1, "b", 10, 20), GET(2, "b", 15, 16), GET(2, "a", 21, 22));
}

/* The naive model: small random histories, made by a register that works or by one that sometimes
 * answers from its past, must get the verdict of the search. */
TEST(register, agrees_with_the_search_on_random_histories)
{
    static const char *const values[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
    struct prng p;
    u32 rejected = 0;

    prng_init(&p, 42, 0);
    for (u32 round = 0; round < 4000; round++) {
        struct op ops[12];
        const char *now = NULL, *before = NULL;
        u32 writes = 0, count = (u32)prng_between(&p, 4, 12);
        for (u32 i = 0; i < count; i++) {
            nanos at = 10 * (i + 1);
            nanos from = at - prng_below(&p, 25) % at, to = at + prng_below(&p, 25);
            bool open = prng_below(&p, 6) == 0;
            if (prng_below(&p, 2) && writes < ARRAY_LEN(values)) {
                before = now;
                ops[i] = (struct op)SET(i, values[writes], from, open ? OPEN : to);
                if (!open || prng_below(&p, 2)) now = values[writes];
                writes++;
            } else {
                bool stale = prng_below(&p, 5) == 0;
                ops[i] = (struct op)GET(i, stale ? before : now, from, to);
            }
        }
        bool bad = violations_of(check_register, ops, count) > 0;
        CHECK_EQ(bad, violations_of(check_wgl, ops, count) > 0);
        rejected += bad;
    }
    CHECK(rejected > 200);
    CHECK(rejected < 3800);
}

TEST_MAIN(RUN(register, accepts_reads_of_the_latest_write),
          RUN(register, accepts_either_value_while_a_write_is_under_way), RUN(register, rejects_a_stale_read),
          RUN(register, rejects_reads_that_go_back_during_a_write), RUN(register, rejects_a_lost_write),
          RUN(register, rejects_two_values_at_once), RUN(register, lets_an_unknown_write_happen_late_or_never),
          RUN(register, rejects_the_value_of_a_failed_write),
          RUN(register, rejects_values_from_nowhere_and_from_the_future),
          RUN(session, rejects_a_pipeline_that_reads_before_its_own_write),
          RUN(session, rejects_a_pipeline_whose_writes_changed_places),
          RUN(register, agrees_with_the_search_on_random_histories))
