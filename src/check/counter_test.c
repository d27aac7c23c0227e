#include "check/fixture.h"

TEST(counter, accepts_sums_in_order)
{
    ACCEPTS(check_counter, INCR(1, "1", 0, 5), INCR(2, "2", 1, 6), GET(3, "2", 7, 8), INCR(1, "3", 9, 10));
    ACCEPTS(check_counter, INCR(1, "2", 0, 5), INCR(2, "1", 1, 6), GET(3, NULL, 0, 1));
}

TEST(counter, rejects_an_increment_executed_twice)
{
    REJECTS(check_counter, INCR(1, "1", 0, 1), INCR(1, "3", 2, 3));
}

TEST(counter, lets_unknown_increments_fill_gaps_but_not_from_the_future)
{
    ACCEPTS(check_counter, INCR(1, "1", 0, 1), INCR(2, NULL, 1, OPEN), INCR(1, "3", 2, 3));
    ACCEPTS(check_counter, INCR(1, "1", 0, 1), INCR(2, NULL, 1, OPEN), INCR(1, "2", 2, 3));
    REJECTS(check_counter, INCR(1, "1", 0, 1), INCR(1, "3", 2, 3), INCR(2, NULL, 4, OPEN));
    REJECTS(check_counter, INCR(1, "1", 0, 1), INCR(2, NULL, 1, OPEN), INCR(1, "4", 2, 3));
}

TEST(counter, rejects_a_lost_increment)
{
    REJECTS(check_counter, INCR(1, "1", 0, 1), INCR(2, "1", 2, 3));
    REJECTS(check_counter, INCR(1, "1", 0, 1), GET(2, "0", 2, 3));
    REJECTS(check_counter, INCR(1, "1", 0, 1), INCR(1, "2", 2, 3), GET(2, "1", 4, 5));
}

TEST(counter, rejects_an_order_against_real_time)
{
    REJECTS(check_counter, INCR(1, "2", 0, 1), INCR(2, "1", 2, 3));
}

TEST(append, accepts_texts_in_the_order_of_their_answers)
{
    ACCEPTS(check_append, APPEND(1, "ab", "2", 0, 5), APPEND(2, "cd", "4", 1, 6), GET(3, "abcd", 7, 8));
    ACCEPTS(check_append, APPEND(1, "ab", "2", 0, 5), APPEND(2, "xy", NULL, 1, OPEN), APPEND(1, "cd", "6", 6, 7),
            GET(3, "abxycd", 8, 9));
}

TEST(append, rejects_lost_doubled_moved_and_failed_texts)
{
    REJECTS(check_append, APPEND(1, "ab", "2", 0, 5), GET(3, NULL, 7, 8));
    REJECTS(check_append, APPEND(1, "ab", "2", 0, 5), GET(3, "abab", 7, 8));
    REJECTS(check_append, APPEND(1, "ab", "2", 0, 5), APPEND(1, "cd", "4", 6, 7), GET(3, "cdab", 8, 9));
    REJECTS(check_append, APPEND(1, "ab", "2", 0, 5), APPEND_FAILED(1, "cd", 6, 7), GET(3, "abcd", 8, 9));
    REJECTS(check_append, APPEND(1, "ab", "2", 0, 5), APPEND(2, "cd", "2", 0, 5));
    REJECTS(check_append, APPEND(1, "ab", NULL, 0, OPEN), GET(3, "abab", 7, 8));
}

TEST(append, rejects_reads_that_disagree)
{
    REJECTS(check_append, APPEND(1, "a", NULL, 0, OPEN), APPEND(2, "b", NULL, 0, OPEN), GET(3, "a", 7, 8),
            GET(3, "ba", 9, 10));
}

TEST_MAIN(RUN(counter, accepts_sums_in_order), RUN(counter, rejects_an_increment_executed_twice),
          RUN(counter, lets_unknown_increments_fill_gaps_but_not_from_the_future),
          RUN(counter, rejects_a_lost_increment), RUN(counter, rejects_an_order_against_real_time),
          RUN(append, accepts_texts_in_the_order_of_their_answers),
          RUN(append, rejects_lost_doubled_moved_and_failed_texts), RUN(append, rejects_reads_that_disagree))
