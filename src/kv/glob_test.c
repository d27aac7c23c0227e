#include "kv/kv_fixture.h"

/* What Redis itself says to many patterns is in tests/redis/golden/glob.txt. */

static bool match(const char *pattern, const char *text)
{
    return glob_match(str_of(pattern), str_of(text));
}

TEST(glob, matches_stars_and_question_marks)
{
    CHECK(match("*", "anything"));
    CHECK(match("*", ""));
    CHECK(match("", ""));
    CHECK(!match("", "a"));
    CHECK(!match("?", ""));
    CHECK(match("h*o", "hello"));
    CHECK(match("*ell*", "hello"));
    CHECK(!match("*ell", "hello"));
    CHECK(match("h?l?o", "hello"));
}

TEST(glob, matches_brackets)
{
    CHECK(match("h[ae]llo", "hallo"));
    CHECK(!match("h[^ae]llo", "hallo"));
    CHECK(match("h[a-c]llo", "hbllo"));
    CHECK(match("h[c-a]llo", "hbllo"));
    CHECK(match("h[\\]]llo", "h]llo"));
    CHECK(!match("[]", "]"));
    CHECK(!match("[", "["));
    CHECK(match("[^", "x"));
    CHECK(match("[abc", "c"));
}

TEST(glob, takes_escaped_bytes_as_they_are)
{
    CHECK(match("\\*", "*"));
    CHECK(!match("\\*", "x"));
    CHECK(match("a\\", "a\\"));
}

TEST(glob, reads_nothing_behind_the_pattern)
{
    static const char *const patterns[] = {"[", "[^", "[a-", "[\\", "\\", "*[", "*\\", "[a\\"};

    for (u32 i = 0; i < ARRAY_LEN(patterns); i++) { /* each alone in a block, for the sanitizer */
        size_t len = strlen(patterns[i]);
        u8 *copy = mem_copy_of(patterns[i], len);
        (void)glob_match(str_from(copy, len), STR("some text"));
        (void)glob_match(str_from(copy, len), STR(""));
        mem_free(copy);
    }
}

/* Trying every star anew takes longer than the universe has. */
TEST(glob, is_not_slowed_down_by_many_stars)
{
    struct buf pattern = {0}, text = {0};

    for (u32 i = 0; i < 500; i++) buf_append_text(&pattern, "*a");
    buf_append_text(&pattern, "*b");
    for (u32 i = 0; i < 5000; i++) buf_append_text(&text, "a");
    CHECK(!glob_match(buf_str(&pattern), buf_str(&text)));
    buf_append_text(&text, "b");
    CHECK(glob_match(buf_str(&pattern), buf_str(&text)));
    buf_done(&pattern);
    buf_done(&text);
}

TEST_MAIN(RUN(glob, matches_stars_and_question_marks), RUN(glob, matches_brackets),
          RUN(glob, takes_escaped_bytes_as_they_are), RUN(glob, reads_nothing_behind_the_pattern),
          RUN(glob, is_not_slowed_down_by_many_stars))
