#include "server/redis/redis_internal.h"

#include "base/test.h"

TEST(reply_split, measures_every_type)
{
    static const char *const values[] = {
        "+OK\r\n",
        "-ERR x\r\n",
        ":-5\r\n",
        "$3\r\nabc\r\n",
        "$0\r\n\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "_\r\n",
        ",3.14\r\n",
        "#t\r\n",
        "(123456789012345678901234567890\r\n",
        "=7\r\ntxt:abc\r\n",
        "!5\r\nERR x\r\n",
        "*2\r\n:1\r\n*1\r\n$2\r\n\r\n\r\n",
        "%2\r\n+a\r\n:1\r\n+b\r\n*0\r\n",
        "~1\r\n$1\r\na\r\n",
        ">1\r\n+a\r\n",
        "|1\r\n+k\r\n+v\r\n:7\r\n",
        "*2\r\n$-1\r\n*-1\r\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        struct buf b = {0};
        size_t len = strlen(values[i]);
        buf_append_text(&b, values[i]);
        buf_append_text(&b, "+behind\r\n");
        CHECK_EQ(redis_value_length(buf_str(&b)), len);
        for (size_t cut = 0; cut < len; cut++)
            CHECK_EQ(redis_value_length(str_from(values[i], cut)), 0);
        buf_done(&b);
    }
}

TEST(reply_split, finds_no_value_in_nonsense)
{
    static const char *const nonsense[] = {"",
                                           "x",
                                           "\r\n",
                                           "?1\r\n",
                                           "$x\r\n",
                                           "*99999999999999999999\r\n",
                                           "%9223372036854775807\r\n",
                                           "$9223372036854775807\r\n",
                                           "+OK\n"};

    for (size_t i = 0; i < ARRAY_LEN(nonsense); i++)
        CHECK_EQ(redis_value_length(str_of(nonsense[i])), 0);
}

TEST(reply_split, is_not_deeper_than_the_input_is_long)
{
    struct buf deep = {0};

    for (u32 i = 0; i < 100000; i++) buf_append_text(&deep, "*1\r\n");
    buf_append_text(&deep, ":1\r\n");
    CHECK_EQ(redis_value_length(buf_str(&deep)), deep.len);
    buf_done(&deep);
}

TEST_MAIN(RUN(reply_split, measures_every_type), RUN(reply_split, finds_no_value_in_nonsense),
          RUN(reply_split, is_not_deeper_than_the_input_is_long))
