#include "check/fixture.h"

#include <stdio.h>

TEST(wgl, follows_set_get_del_and_their_answers)
{
    ACCEPTS(check_wgl, SET(1, "a", 0, 1), DEL(2, "1", 2, 3), DEL(2, "0", 4, 5), GET(1, NULL, 6, 7),
            SETNX(1, "b", "1", 8, 9), SETNX(2, "c", "0", 10, 11), GETSET(1, "d", "b", 12, 13), GET(2, "d", 14, 15));
    REJECTS(check_wgl, SET(1, "a", 0, 1), DEL(2, "0", 2, 3));
    REJECTS(check_wgl, SETNX(1, "b", "1", 0, 1), SETNX(2, "c", "1", 2, 3));
    REJECTS(check_wgl, SET(1, "a", 0, 1), GETSET(1, "d", NULL, 2, 3));
}

TEST(wgl, lets_one_of_two_racing_cas_win)
{
    ACCEPTS(check_wgl, SET(1, "a", 0, 1), CAS(1, "a", "b", "1", 2, 9), CAS(2, "a", "c", "0", 2, 9), GET(3, "b", 10, 11));
    REJECTS(check_wgl, SET(1, "a", 0, 1), CAS(1, "a", "b", "1", 2, 9), CAS(2, "a", "c", "1", 2, 9));
}

TEST(wgl, keeps_unknown_operations_open)
{
    ACCEPTS(check_wgl, SET(1, "a", 0, 1), DEL(2, NULL, 2, OPEN), GET(1, "a", 4, 5), GET(1, NULL, 6, 7),
            SET(1, "b", 8, 9), GET(1, "b", 10, 11));
    REJECTS(check_wgl, SET(1, "a", 0, 1), DEL(2, NULL, 2, OPEN), GET(1, NULL, 6, 7), GET(1, "a", 8, 9));
    ACCEPTS(check_wgl, CAS(1, "x", "y", NULL, 0, OPEN), SET(2, "x", 1, 2), GET(2, "x", 3, 4), GET(2, "y", 5, 6));
    REJECTS(check_wgl, CAS(1, "z", "y", NULL, 0, OPEN), SET(2, "x", 1, 2), GET(2, "y", 5, 6));
}

TEST(wgl, forgets_failed_operations)
{
    REJECTS(check_wgl, SET_FAILED(1, "a", 0, 1), GET(1, "a", 2, 3));
    ACCEPTS(check_wgl, SET_FAILED(1, "a", 0, 1), GET(1, NULL, 2, 3));
}

TEST(wgl, adds_numbers_where_increments_meet_sets)
{
    ACCEPTS(check_wgl, SET(1, "-2", 0, 1), INCR(1, "-1", 2, 3), INCR(1, "0", 4, 5), DEL(2, "1", 6, 7), INCR(2, "1", 8, 9));
    REJECTS(check_wgl, SET(1, "5", 0, 1), INCR(1, "7", 2, 3));
}

TEST(check, gives_each_key_to_its_checker)
{
    const struct op ops[] = {
        {1, HISTORY_SET, "r", "a", NULL, NULL, 0, 1, HISTORY_OK, PLAIN},
        {1, HISTORY_INCR, "c", NULL, NULL, "1", 2, 3, HISTORY_OK, PLAIN},
        {1, HISTORY_APPEND, "l", "xy", NULL, "2", 4, 5, HISTORY_OK, PLAIN},
        {1, HISTORY_SETNX, "w", "v", NULL, "1", 6, 7, HISTORY_OK, PLAIN},
        {2, HISTORY_GET, "r", NULL, NULL, NULL, 8, 9, HISTORY_OK, PLAIN},  /* lost */
        {2, HISTORY_INCR, "c", NULL, NULL, "1", 8, 9, HISTORY_OK, PLAIN},  /* twice */
        {2, HISTORY_GET, "l", NULL, NULL, "yx", 8, 9, HISTORY_OK, PLAIN},  /* other text */
        {2, HISTORY_SETNX, "w", "v", NULL, "1", 8, 9, HISTORY_OK, PLAIN}, /* again */
    };
    struct history h;
    struct findings f;

    history_of(&h, ops, ARRAY_LEN(ops));
    findings_init(&f);
    check_history(&h, &f);
    CHECK_EQ(f.violations, 4);
    CHECK_EQ(findings_operations(&f), 8);
    CHECK_EQ(f.undecided, 0);
    findings_done(&f);
    history_done(&h);
}

/* A key whose operations overlap in too many ways: no order explains the last, but to see that takes all of them. */
static void add_hard_key(struct history *h, const char *key)
{
    u32 k = intern_text(h, key), place;
    char value[8];

    for (u32 i = 0; i < 20; i++) {
        snprintf(value, sizeof value, "%u", i);
        place = history_open(h, i, HISTORY_SET, k, intern_text(h, value), HISTORY_NULL, i);
        history_close(h, place, HISTORY_OK, HISTORY_NULL, 1000);
    }
    place = history_open(h, 99, HISTORY_CAS, k, intern_text(h, "0"), intern_text(h, "elsewhere"), 50);
    history_close(h, place, HISTORY_OK, intern_text(h, "1"), 1000);
}

TEST(check, bounds_the_search_of_all_keys_together)
{
    struct history h;
    struct findings f;
    char key[8];

    history_init(&h);
    findings_init(&f);
    f.steps_all_max = 50000;
    for (u32 i = 0; i < 40; i++) {
        snprintf(key, sizeof key, "h%u", i);
        add_hard_key(&h, key);
    }
    u32 easy = intern_text(&h, "easy"); /* looked at last, when nothing is left */
    for (u32 i = 0; i < 2; i++)
        history_close(&h, history_open(&h, 1, HISTORY_SETNX, easy, intern_text(&h, "v"), HISTORY_NULL, 2000 + 10 * i),
                      HISTORY_OK, intern_text(&h, "1"), 2001 + 10 * i);
    history_sort(&h);
    check_history(&h, &f);
    CHECK_EQ(f.undecided, 40);
    CHECK_EQ(f.violations, 1); /* set twice where it was absent */
    CHECK(f.steps >= f.steps_all_max);
    CHECK(f.steps <= f.steps_all_max + 17 * (u64)h.count);
    findings_done(&f);
    history_done(&h);
}

TEST_MAIN(RUN(wgl, follows_set_get_del_and_their_answers), RUN(wgl, lets_one_of_two_racing_cas_win),
          RUN(wgl, keeps_unknown_operations_open), RUN(wgl, forgets_failed_operations),
          RUN(wgl, adds_numbers_where_increments_meet_sets), RUN(check, gives_each_key_to_its_checker),
          RUN(check, bounds_the_search_of_all_keys_together))
