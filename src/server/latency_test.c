/* Times and refusals by keyspace and kind, in bounded memory. */
#include "server/latency.h"

#include "base/test.h"

static const enum latency_kind READ_LOCAL = (enum latency_kind)(LATENCY_READ + LEVEL_LOCAL);

TEST(latency, kinds_of_keyspaces_are_kept_apart)
{
    struct latencies l = {0};
    struct histogram h;

    latencies_add(&l, 7, LATENCY_WRITE, 10, 3);
    latencies_add(&l, 7, READ_LOCAL, 10, 5);
    latencies_add(&l, 5, READ_LOCAL, 10, 9);
    CHECK(latencies_of(&l, 5, LATENCY_WRITE) == NULL);
    CHECK(latencies_of(&l, 6, READ_LOCAL) == NULL);
    recent_read(&latencies_of(&l, 7, READ_LOCAL)->took, 11, &h);
    CHECK_EQ(histogram_quantile(&h, 500), 5);
    recent_read(&latencies_of(&l, 5, READ_LOCAL)->took, 11, &h);
    CHECK_EQ(histogram_quantile(&h, 500), 9);
    CHECK_EQ(latencies_of(&l, 7, LATENCY_WRITE)->answered, 1);
    latencies_done(&l);
}

TEST(latency, a_refusal_is_counted_by_its_name_and_is_no_price)
{
    struct latencies l = {0};
    struct histogram h;

    latencies_refuse(&l, 1, READ_LOCAL, 10, STR("-STALE the state\r\n"));
    latencies_refuse(&l, 1, READ_LOCAL, 10, STR("-STALE the state\r\n"));
    latencies_refuse(&l, 1, READ_LOCAL, 10, STR("-NOQUORUM no leader\r\n"));
    latencies_refuse(&l, 1, READ_LOCAL, 10, STR("-"));
    const struct latency *k = latencies_of(&l, 1, READ_LOCAL);
    for (u32 i = 0; i < LATENCY_REFUSALS; i++) {
        str name = str_of(latency_refusal_name(i));
        u64 meant = str_equal(name, STR("STALE")) ? 2 : str_equal(name, STR("NOQUORUM")) || str_equal(name, STR("other"));
        CHECK_EQ(k->refused[i], meant);
    }
    CHECK_EQ(k->answered, 0);
    CHECK_EQ(recent_read(&k->took, 11, &h), 0);
    latencies_done(&l);
}

TEST(latency, the_keyspace_unused_for_longest_makes_room)
{
    struct latencies l = {0};

    for (u32 i = 0; i < LATENCY_KEYSPACES_MAX; i++) latencies_add(&l, 1000 - i, LATENCY_WRITE, 100 + i, 1);
    latencies_add(&l, 1000, LATENCY_WRITE, 500, 1); /* it was the first */
    latencies_add(&l, 2000, LATENCY_WRITE, 501, 1);
    CHECK_EQ(l.count, LATENCY_KEYSPACES_MAX);
    CHECK(latencies_of(&l, 1000, LATENCY_WRITE) != NULL);
    CHECK(latencies_of(&l, 2000, LATENCY_WRITE) != NULL);
    CHECK(latencies_of(&l, 999, LATENCY_WRITE) == NULL);
    for (u32 i = 1; i < l.count; i++) CHECK(l.items[i - 1].id < l.items[i].id);
    latencies_done(&l);
}

TEST(latency, what_is_forgotten_begins_anew)
{
    struct latencies l = {0};

    latencies_add(&l, 3, LATENCY_WRITE, 10, 1);
    latencies_add(&l, 4, LATENCY_WRITE, 10, 1);
    latencies_forget(&l, 3);
    latencies_forget(&l, 9);
    CHECK(latencies_of(&l, 3, LATENCY_WRITE) == NULL);
    latencies_add(&l, 4, LATENCY_WRITE, 10, 1);
    latencies_add(&l, 3, LATENCY_WRITE, 10, 1);
    CHECK_EQ(latencies_of(&l, 4, LATENCY_WRITE)->answered, 2);
    CHECK_EQ(latencies_of(&l, 3, LATENCY_WRITE)->answered, 1);
    latencies_done(&l);
}

TEST_MAIN(RUN(latency, kinds_of_keyspaces_are_kept_apart),
          RUN(latency, a_refusal_is_counted_by_its_name_and_is_no_price),
          RUN(latency, the_keyspace_unused_for_longest_makes_room), RUN(latency, what_is_forgotten_begins_anew))
