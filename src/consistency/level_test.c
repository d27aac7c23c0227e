/* Levels as words and numbers. */
#include "consistency/level.h"

#include "base/test.h"

TEST(level, a_level_is_printed_as_it_is_read)
{
    static const char *const texts[] = {"lease", "quorum", "follower", "stale:500ms", "sequential", "session", "local"};

    for (u8 kind = 0; kind < LEVEL_KINDS; kind++) {
        struct level l, again;
        struct buf out = {0};
        CHECK(level_parse(str_of(texts[kind]), &l));
        CHECK_EQ(l.kind, kind);
        level_print(l, &out);
        CHECK(str_equal(buf_str(&out), str_of(texts[kind])));
        CHECK(level_from_u64(level_to_u64(l), &again));
        CHECK(level_equal(l, again));
        buf_done(&out);
    }
}

TEST(level, words_may_be_in_any_case_and_ms_is_optional)
{
    struct level l;

    CHECK(level_parse(STR("FOLLOWER"), &l));
    CHECK_EQ(l.kind, LEVEL_FOLLOWER);
    CHECK(level_parse(STR("Stale:20"), &l));
    CHECK_EQ(l.ms, 20);
}

TEST(level, what_is_no_level_is_refused)
{
    static const char *const texts[] = {"",         "eventual", "stale",      "stale:",           "stale:0",
                                        "stale:-1", "stale:ms", "stale:5s",   "stale:3600001",    "lease:5",
                                        "leases",   "leas",     "stale:1 ms", "stale:99999999999"};
    struct level l;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) CHECK(!level_parse(str_of(texts[i]), &l));
    CHECK(!level_from_u64(LEVEL_KINDS, &l));
    CHECK(!level_from_u64(LEVEL_STALE, &l));            /* without its time */
    CHECK(!level_from_u64(LEVEL_LEASE | 5 << 8, &l));   /* with one it cannot have */
    CHECK(!level_from_u64(LEVEL_STALE | 1ull << 40, &l));
}

TEST(level, from_the_weakest_each_has_a_stronger_one_up_to_quorum)
{
    enum level_kind kind = LEVEL_LOCAL;
    u32 steps = 0;

    for (; level_stronger(kind) != LEVEL_KINDS; steps++) {
        CHECK_EQ(level_weaker(level_stronger(kind)), kind);
        kind = level_stronger(kind);
    }
    CHECK_EQ(steps, 5);
    CHECK_EQ(kind, LEVEL_QUORUM);
    CHECK_EQ(level_weaker(LEVEL_LOCAL), LEVEL_KINDS);
    CHECK_EQ(level_stronger(LEVEL_SEQUENTIAL), LEVEL_FOLLOWER);
    CHECK_EQ(level_weaker(LEVEL_SEQUENTIAL), LEVEL_STALE);
}

TEST_MAIN(RUN(level, from_the_weakest_each_has_a_stronger_one_up_to_quorum),
          RUN(level, a_level_is_printed_as_it_is_read),
          RUN(level, words_may_be_in_any_case_and_ms_is_optional),
          RUN(level, what_is_no_level_is_refused))
