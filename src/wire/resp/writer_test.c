#include "wire/resp/resp.h"

#include "base/test.h"

#include <math.h>

/* What one writer call appends under RESP2 and under RESP3. */
#define WRITES(call, resp2, resp3)                                                                 \
    do {                                                                                           \
        struct buf out_;                                                                           \
        struct resp_writer writer_ = {&out_, 2};                                                   \
        struct resp_writer *w = &writer_;                                                          \
        buf_init(&out_, 0);                                                                        \
        call;                                                                                      \
        CHECK_STR(buf_str(&out_), resp2);                                                          \
        buf_clear(&out_);                                                                          \
        writer_.proto = 3;                                                                         \
        call;                                                                                      \
        CHECK_STR(buf_str(&out_), resp3);                                                          \
        buf_done(&out_);                                                                           \
    } while (0)

TEST(writer, writes_what_both_versions_share)
{
    WRITES(resp_simple(w, "OK"), "+OK\r\n", "+OK\r\n");
    WRITES(resp_integer(w, 0), ":0\r\n", ":0\r\n");
    WRITES(resp_integer(w, -10), ":-10\r\n", ":-10\r\n");
    WRITES(resp_integer(w, INT64_MIN), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n");
    WRITES(resp_integer(w, INT64_MAX), ":9223372036854775807\r\n", ":9223372036854775807\r\n");
    WRITES(resp_bulk(w, STR("hello world")), "$11\r\nhello world\r\n", "$11\r\nhello world\r\n");
    WRITES(resp_bulk(w, STR("")), "$0\r\n\r\n", "$0\r\n\r\n");
    WRITES(resp_bulk_integer(w, -7), "$2\r\n-7\r\n", "$2\r\n-7\r\n");
    WRITES(resp_array(w, 12), "*12\r\n", "*12\r\n");
}

TEST(writer, writes_an_error_as_one_line)
{
    WRITES(resp_error(w, "ERR a\r\nb\n"), "-ERR a  b\r\n", "-ERR a  b\r\n");
    WRITES(resp_errorf(w, "ERR no %s %d\n", "x\ny", 3), "-ERR no x y 3\r\n", "-ERR no x y 3\r\n");
}

TEST(writer, writes_what_resp2_lacks_as_redis_does)
{
    WRITES(resp_null(w), "$-1\r\n", "_\r\n");
    WRITES(resp_null_array(w), "*-1\r\n", "_\r\n");
    WRITES(resp_map(w, 2), "*4\r\n", "%2\r\n");
    WRITES(resp_set(w, 2), "*2\r\n", "~2\r\n");
    WRITES(resp_push(w, 2), "*2\r\n", ">2\r\n");
    WRITES(resp_bool(w, true), ":1\r\n", "#t\r\n");
    WRITES(resp_bool(w, false), ":0\r\n", "#f\r\n");
    WRITES(resp_verbatim_txt(w, STR("hi")), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n");
}

TEST(writer, writes_doubles_with_seventeen_digits)
{
    WRITES(resp_double(w, 3), "$1\r\n3\r\n", ",3\r\n");
    WRITES(resp_double(w, 0.1), "$19\r\n0.10000000000000001\r\n", ",0.10000000000000001\r\n");
    WRITES(resp_double(w, INFINITY), "$3\r\ninf\r\n", ",inf\r\n");
    WRITES(resp_double(w, -INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n");
    WRITES(resp_double(w, NAN), "$3\r\nnan\r\n", ",nan\r\n");
}

TEST_MAIN(RUN(writer, writes_what_both_versions_share), RUN(writer, writes_an_error_as_one_line),
          RUN(writer, writes_what_resp2_lacks_as_redis_does),
          RUN(writer, writes_doubles_with_seventeen_digits))
