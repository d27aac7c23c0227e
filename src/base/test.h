/* A thin header over cmocka: TEST(group, name_as_a_sentence) { ... CHECK(...); } and TEST_MAIN. */
#pragma once

/* cmocka wants these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"

#define TEST(group, name) static void group##__##name(void **state __attribute__((unused)))
#define RUN(group, name) cmocka_unit_test(group##__##name)
#define CHECK(claim) assert_true(claim)
#define CHECK_EQ(a, b) assert_int_equal((a), (b))
#define CHECK_OK(call) assert_int_equal((call), OK)
#define CHECK_STR(s, text)                                                                         \
    do {                                                                                           \
        str check_str_ = (s);                                                                      \
        assert_int_equal(check_str_.len, sizeof(text) - 1);                                        \
        assert_memory_equal(check_str_.at, text, sizeof(text) - 1);                                \
    } while (0)

#define TEST_MAIN(...)                                                                             \
    int main(void)                                                                                 \
    {                                                                                              \
        const struct CMUnitTest tests[] = {__VA_ARGS__};                                           \
        return cmocka_run_group_tests(tests, NULL, NULL);                                          \
    }
