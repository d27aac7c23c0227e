#include "wire/resp/resp.h"

#include "base/test.h"

#include <stdio.h>

/* Parse everything in `bytes`; the story of it: arguments in brackets, '!' and a problem, or '.' for
 * an unfinished rest. `piece` bytes arrive at a time. */
static void story_of(str bytes, size_t piece, size_t bulk_max, size_t request_max, struct buf *out)
{
    struct resp_parser p;
    size_t from = 0, have = 0;

    resp_parser_init(&p, bulk_max, request_max);
    for (;;) {
        size_t consumed = 0;
        enum resp_status s = resp_parse(&p, str_from(bytes.at + from, have), &consumed);
        if (s == RESP_BAD) {
            buf_printf(out, "!%s", p.problem);
            break;
        }
        if (s == RESP_INCOMPLETE) {
            if (from + have == bytes.len) {
                if (have) buf_append_text(out, ".");
                break;
            }
            have += size_min(piece, bytes.len - from - have);
            continue;
        }
        for (u32 i = 0; i < p.argc; i++) {
            buf_append_text(out, "[");
            buf_append_str(out, p.args[i]);
            buf_append_text(out, "]");
        }
        buf_append_text(out, ";");
        from += consumed;
        have -= consumed;
    }
    buf_append_u8(out, 0);
    resp_parser_done(&p);
}

#define STORY(input, expected) STORY_LIMITED(input, 1024, 0, expected)
#define STORY_LIMITED(input, bulk_max, request_max, expected)                                      \
    do {                                                                                           \
        for (size_t piece_ = 1; piece_ < 40; piece_ += piece_ < 8 ? 1 : 31) {                      \
            struct buf story_;                                                                     \
            buf_init(&story_, 0);                                                                  \
            story_of(STR(input), piece_, bulk_max, request_max, &story_);                          \
            assert_string_equal((const char *)buf_bytes(&story_), expected);                       \
            buf_done(&story_);                                                                     \
        }                                                                                          \
    } while (0)

TEST(parser, reads_a_request_of_bulks)
{
    STORY("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nhello\r\n", "[SET][k][hello];");
}

TEST(parser, reads_requests_behind_each_other)
{
    STORY("*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n", "[PING];[GET][k];[PING];");
}

TEST(parser, keeps_any_byte_of_an_argument)
{
    STORY("*2\r\n$4\r\na\r\nb\r\n$0\r\n\r\n", "[a\r\nb][];");
}

TEST(parser, skips_empty_requests)
{
    STORY("*0\r\n*-1\r\n\r\n  \r\n\nPING\r\n", ";;;;;[PING];");
}

TEST(parser, waits_for_the_rest)
{
    STORY("*2\r\n$3\r\nGET\r\n$5\r\nhel", ".");
    STORY("*2\r\n$3\r\nGET\r\n$5\r\nhello\r", ".");
    STORY("*2\r\n$3\r", ".");
    STORY("*", ".");
    STORY("PIN", ".");
}

TEST(parser, refuses_a_count_that_is_no_number)
{
    STORY("*x\r\n", "!invalid multibulk length");
    STORY("*\r\n", "!invalid multibulk length");
    STORY("*01\r\n$4\r\nPING\r\n", "!invalid multibulk length");
    STORY("* 1\r\n", "!invalid multibulk length");
    STORY("*1048577\r\n", "!invalid multibulk length");
    STORY("*99999999999999999999999\r\n", "!invalid multibulk length");
}

TEST(parser, refuses_a_bulk_length_that_is_no_number_or_too_large)
{
    STORY("*1\r\n$x\r\n", "!invalid bulk length");
    STORY("*1\r\n$-1\r\n", "!invalid bulk length");
    STORY("*1\r\n$\r\n", "!invalid bulk length");
    STORY("*1\r\n$1025\r\n", "!invalid bulk length");
    STORY("*1\r\n$1024\r\n", ".");
    STORY("*1\r\n$123456789012345\r\n", "!invalid bulk length");
}

TEST(parser, refuses_an_argument_without_dollar)
{
    STORY("*1\r\n:4\r\n", "!expected '$', got ':'");
    STORY("*1\r\nPING\r\n", "!expected '$', got 'P'");
    STORY("*1\r\n\r\n", "!expected '$', got '\r'");
}

TEST(parser, refuses_a_request_larger_than_its_limit)
{
    STORY_LIMITED("*2\r\n$2\r\nab\r\n$40\r\n", 100, 40, "!too big request");
    STORY_LIMITED("GET 123456789012345678901234567890\r\n", 100, 16, "!too big request");
}

TEST(parser, refuses_lines_without_an_end)
{
    static const char *const first[] = {"*", "*1\r\n$", "G"};
    static const char *const expected[] = {"!too big mbulk count string",
                                           "!too big bulk count string",
                                           "!too big inline request"};

    for (u32 i = 0; i < 3; i++) {
        struct buf in, story;
        buf_init(&in, 0);
        buf_init(&story, 0);
        buf_append_text(&in, first[i]);
        while (in.len < RESP_INLINE_MAX + 100) buf_append_u8(&in, '1');
        story_of(buf_str(&in), 1000, 1 << 20, 0, &story);
        assert_string_equal((const char *)buf_bytes(&story), expected[i]);
        buf_done(&in);
        buf_done(&story);
    }
}

TEST(parser, takes_an_inline_line_of_just_the_limit)
{
    struct buf in, story;

    buf_init(&in, 0);
    buf_init(&story, 0);
    while (in.len < RESP_INLINE_MAX) buf_append_u8(&in, 'x');
    buf_append_u8(&in, '\n');
    story_of(buf_str(&in), 999, 1 << 20, 0, &story);
    CHECK_EQ(story.len, RESP_INLINE_MAX + 4); /* [ ] ; and the terminator */
    buf_done(&in);
    buf_done(&story);
}

TEST(parser, splits_inline_words_as_redis_does)
{
    STORY("SET k v\r\n", "[SET][k][v];");
    STORY("  SET\tk   v  \n", "[SET][k][v];");
    STORY("SET k \"a b\"\r\n", "[SET][k][a b];");
    STORY("SET k \"\\x41\\n\\\"\\q\"\r\n", "[SET][k][A\n\"q];");
    STORY("SET k \"\\xZZ\"\r\n", "[SET][k][xZZ];");
    STORY("SET k 'it\\'s \\n'\r\n", "[SET][k][it's \\n];");
    STORY("SET k \"\" ''\r\n", "[SET][k][][];");
    STORY("SET k a\"b c\"\r\n", "[SET][k][ab c];");
    STORY("a\vb\fc\r\n", "[a\vb\fc];");
}

TEST(parser, refuses_unbalanced_quotes)
{
    STORY("SET k \"a\r\n", "!unbalanced quotes in request");
    STORY("SET k 'a\r\n", "!unbalanced quotes in request");
    STORY("SET k \"a\"b\r\n", "!unbalanced quotes in request");
    STORY("SET k 'a'b\r\n", "!unbalanced quotes in request");
    STORY("SET k \"a\\\"\r\n", "!unbalanced quotes in request");
}

TEST(parser, knows_how_much_a_large_argument_still_needs)
{
    struct resp_parser p;
    size_t consumed;
    str start = STR("*2\r\n$3\r\nGET\r\n$1000\r\nabc");

    resp_parser_init(&p, 4096, 0);
    CHECK_EQ(resp_parse(&p, start, &consumed), RESP_INCOMPLETE);
    CHECK_EQ(resp_parser_needs(&p, start.len), 1000 + 2 - 3);
    resp_parser_done(&p);
}

TEST(parser, reads_many_arguments_and_gives_the_room_back)
{
    struct resp_parser p;
    struct buf in;
    size_t consumed;

    buf_init(&in, 0);
    buf_printf(&in, "*%d\r\n", 10000);
    for (u32 i = 0; i < 10000; i++) buf_append_text(&in, "$1\r\nx\r\n");
    resp_parser_init(&p, 4096, 0);
    CHECK_EQ(resp_parse(&p, buf_str(&in), &consumed), RESP_REQUEST);
    CHECK_EQ(consumed, in.len);
    CHECK_EQ(p.argc, 10000);
    CHECK_STR(p.args[9999], "x");
    CHECK_EQ(resp_parse(&p, STR("*1\r\n$1\r\ny\r\n"), &consumed), RESP_REQUEST);
    CHECK_EQ(p.argc, 1);
    CHECK(p.arg_cap < 100);
    resp_parser_done(&p);
    buf_done(&in);
}

TEST_MAIN(RUN(parser, reads_a_request_of_bulks), RUN(parser, reads_requests_behind_each_other),
          RUN(parser, keeps_any_byte_of_an_argument), RUN(parser, skips_empty_requests),
          RUN(parser, waits_for_the_rest), RUN(parser, refuses_a_count_that_is_no_number),
          RUN(parser, refuses_a_bulk_length_that_is_no_number_or_too_large),
          RUN(parser, refuses_an_argument_without_dollar),
          RUN(parser, refuses_a_request_larger_than_its_limit),
          RUN(parser, refuses_lines_without_an_end),
          RUN(parser, takes_an_inline_line_of_just_the_limit),
          RUN(parser, splits_inline_words_as_redis_does), RUN(parser, refuses_unbalanced_quotes),
          RUN(parser, knows_how_much_a_large_argument_still_needs),
          RUN(parser, reads_many_arguments_and_gives_the_room_back))
