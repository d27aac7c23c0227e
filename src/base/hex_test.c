#include "base/hex.h"

#include "base/test.h"

TEST(hex, reads_what_it_wrote)
{
    u8 bytes[256], back[256];
    struct buf text = {0};

    for (u32 i = 0; i < 256; i++) bytes[i] = (u8)(255 - i);
    hex_append(&text, bytes, sizeof bytes);
    CHECK_EQ(text.len, 512);
    CHECK(hex_read(buf_str(&text), back, sizeof back));
    CHECK(mem_equal(bytes, back, sizeof back));
    buf_done(&text);
}

TEST(hex, refuses_what_is_no_digit_or_too_much_or_too_little)
{
    u8 out[2];

    CHECK(hex_read(STR("aF09"), out, 2));
    CHECK_EQ(out[0], 0xaf);
    CHECK_EQ(out[1], 9);
    CHECK(!hex_read(STR("aF0"), out, 2));
    CHECK(!hex_read(STR("aF090"), out, 2));
    CHECK(!hex_read(STR("aF0g"), out, 2));
    CHECK(!hex_read(STR("a F0"), out, 2));
    CHECK_EQ(hex_digit('@'), -1);
    CHECK_EQ(hex_digit('`'), -1);
}

TEST_MAIN(RUN(hex, reads_what_it_wrote), RUN(hex, refuses_what_is_no_digit_or_too_much_or_too_little))
