#include "cli/json_read.h"

#include "base/test.h"

TEST(json, reads_what_admin_doors_write)
{
    struct json j;
    static const char text[] =
        "{\"epoch\":18446744073709551,\"a\":[],\"nodes\":[{\"id\":1,\"up\":true,\"rack\":"
        "\"r\\\"1\\u00e9\"},"
        " {\"id\":22,\"up\":false,\"op\":null,\"in\":{\"deep\":[1,[2,3],4]}}] , \"last\":\"x\"}\n";

    CHECK_OK(json_parse(&j, str_of(text)));
    CHECK_EQ(json_get_u64(&j, 0, "epoch"), 18446744073709551u);
    u32 nodes = json_get(&j, 0, "nodes");
    CHECK_EQ(json_count(&j, nodes), 2);
    CHECK_EQ(json_count(&j, json_get(&j, 0, "a")), 0);
    u32 one = json_each(&j, nodes, 0), two = json_each(&j, nodes, one);
    CHECK_EQ(json_get_u64(&j, one, "id"), 1);
    CHECK(json_get_true(&j, one, "up"));
    CHECK_STR(json_get_str(&j, one, "rack"), "r\"1\xe9");
    CHECK_EQ(json_get_u64(&j, two, "id"), 22);
    CHECK(!json_get_true(&j, two, "up"));
    CHECK_EQ(json_count(&j, json_get(&j, json_get(&j, two, "in"), "deep")), 3);
    CHECK_EQ(json_each(&j, nodes, two), 0);
    CHECK_STR(json_get_str(&j, 0, "last"), "x");
    CHECK_EQ(json_get(&j, 0, "nosuch"), 0);
    CHECK_EQ(json_get_u64(&j, two, "nosuch"), 0);
    CHECK_STR(json_get_str(&j, two, "op"), "");
    json_done(&j);
}

TEST(json, refuses_what_is_none)
{
    static const char *const bad[] = {
        "",          "{",         "}",          "[1,]",      "[,1]",
        "{\"a\"}",   "{\"a\":}",  "{a:1}",      "[1 2]",     "[1]x",
        "\"\\q\"",   "\"a",       "{\"a\":1,}", "nul",       "[1}",
        "{\"a\":1]", "{\"a\" 1}", "[\"\x01\"]", "\"\\u12\"", "[[[[[[[[[[[[[[[[[[[[1"};
    struct json j;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        CHECK_EQ(json_parse(&j, str_of(bad[i])), ERR_MALFORMED);
}

TEST(json, survives_every_cut_and_every_broken_byte)
{
    static const char text[] = "{\"a\":[1,{\"b\":\"\\u0041\"},true],\"c\":{}}";
    u8 bytes[sizeof text];
    struct json j;

    for (size_t cut = 0; cut < sizeof text - 1; cut++)
        CHECK_EQ(json_parse(&j, str_from(text, cut)), ERR_MALFORMED);
    for (size_t at = 0; at < sizeof text - 1; at++) {
        for (u32 value = 0; value < 256; value++) {
            memcpy(bytes, text, sizeof text);
            bytes[at] = (u8)value;
            if (json_parse(&j, str_from(bytes, sizeof text - 1)) == OK) json_done(&j);
        }
    }
}

TEST_MAIN(RUN(json, reads_what_admin_doors_write), RUN(json, refuses_what_is_none),
          RUN(json, survives_every_cut_and_every_broken_byte))
