/* The vectors of docs/formats/keys.md. */
#include "base/test.h"
#include "store/store_internal.h"

struct vector {
    const char *key;
    u16 slot;
    u64 hash48;
};

static const struct vector vectors[] = {
    {"", 0, 0x800538d394c2},
    {"foo", 12182, 0x5f64077e7d8a},
    {"123456789", 12739, 0xb18b67a17dff},
    {"{user1000}.following", 3443, 0x3a54c0f468a5},
    {"{user1000}.followers", 3443, 0x2c2288f41abb},
    {"a{}b", 13694, 0x3ace9d77f222},
    {"foo{{bar}}zap", 4015, 0x658bcb4093fd},
};

TEST(keys, positions_are_those_of_the_format_page)
{
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        str key = str_of(vectors[i].key);
        CHECK_EQ(store_slot(key), vectors[i].slot);
        CHECK_EQ(store_position(key), (u64)vectors[i].slot << 48 | vectors[i].hash48);
    }
}

static u16 slot_bit_by_bit(str key)
{
    u32 crc = 0;
    for (size_t i = 0; i < key.len; i++) {
        crc ^= (u32)key.at[i] << 8;
        for (int bit = 0; bit < 8; bit++) crc = (crc & 0x8000) ? (crc << 1) ^ 0x1021 : crc << 1;
    }
    return crc & (STORE_SLOTS - 1);
}

TEST(keys, the_slot_is_the_checksum_at_every_length)
{
    u8 bytes[64];
    for (u32 i = 0; i < sizeof bytes; i++) bytes[i] = (u8)(i * 37 + (i ^ 0xa5));
    for (u32 from = 0; from < 8; from++)
        for (size_t len = 0; from + len <= sizeof bytes; len++) {
            str key = str_from(bytes + from, len);
            CHECK_EQ(store_slot(key), slot_bit_by_bit(key));
        }
}

TEST(keys, only_the_first_tag_counts_and_only_if_it_holds_a_byte)
{
    CHECK_EQ(store_slot(STR("x{abc}y{def}")), store_slot(STR("abc")));
    CHECK_EQ(store_slot(STR("foo{{bar}}zap")), store_slot(STR("{bar")));
    CHECK(store_slot(STR("a{}{abc}")) != store_slot(STR("abc"))); /* empty: the whole key counts */
    CHECK(store_slot(STR("a{abc")) != store_slot(STR("abc")));
    CHECK(store_slot(STR("}abc{")) != store_slot(STR("abc")));
}

TEST(keys, a_head_key_is_zone_keyspace_position_and_the_raw_key)
{
    struct buf b = {0};
    head_key_append(&b, 7, store_position(STR("foo")), STR("foo"));
    CHECK_STR(buf_str(&b), "\x10\x00\x00\x00\x07\x2f\x96\x5f\x64\x07\x7e\x7d\x8a"
                           "foo");
    CHECK(head_key_is_of(buf_str(&b), 7));
    CHECK(!head_key_is_of(buf_str(&b), 8));
    buf_done(&b);
}

TEST(keys, a_local_key_is_zone_part_kind_and_sub)
{
    struct buf b = {0};
    store_local_key(0x0102030405060708, 2, STR("sess"), &b);
    CHECK_STR(buf_str(&b), "\x01\x01\x02\x03\x04\x05\x06\x07\x08\x02sess");
    buf_done(&b);
}

TEST(keys, the_bounds_of_a_keyspace_enclose_its_rows_and_no_others)
{
    static const u32 ids[] = {0, 1, 255, 256, UINT32_MAX - 1, UINT32_MAX};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        struct buf start = {0}, end = {0}, first = {0}, last = {0};
        keyspace_start_put(&start, ids[i]);
        keyspace_end_put(&end, ids[i]);
        head_key_append(&first, ids[i], 0, (str){0});
        head_key_append(&last, ids[i], POSITION_MAX, STR("\xff\xff"));
        CHECK(str_compare(buf_str(&start), buf_str(&first)) < 0);
        CHECK(str_compare(buf_str(&last), buf_str(&end)) < 0);
        if (i > 0 && ids[i] == ids[i - 1] + 1) {
            struct buf before = {0};
            keyspace_end_put(&before, ids[i - 1]);
            CHECK(str_equal(buf_str(&before), buf_str(&start)));
            buf_done(&before);
        }
        buf_done(&start);
        buf_done(&end);
        buf_done(&first);
        buf_done(&last);
    }
}

TEST(keys, a_key_of_another_partition_or_at_a_wrong_position_is_foreign)
{
    struct buf b = {0};
    store_local_key(3, 1, (str){0}, &b);
    CHECK(local_key_is_of(buf_str(&b), 3));
    CHECK(!local_key_is_of(buf_str(&b), 4));
    CHECK(!local_key_is_of(str_from(buf_bytes(&b), b.len - 1), 3));
    buf_clear(&b);
    head_key_append(&b, 1, store_position(STR("k")), STR("k"));
    CHECK(head_key_is_good(buf_str(&b), false));
    buf_bytes(&b)[6] ^= 1;
    CHECK(!head_key_is_good(buf_str(&b), false));
    CHECK(!head_key_is_good(STR(""), false));
    CHECK(!head_key_is_good(STR("\x80whatever"), true));
    buf_done(&b);
}

TEST_MAIN(RUN(keys, positions_are_those_of_the_format_page),
          RUN(keys, the_slot_is_the_checksum_at_every_length),
          RUN(keys, only_the_first_tag_counts_and_only_if_it_holds_a_byte),
          RUN(keys, a_head_key_is_zone_keyspace_position_and_the_raw_key),
          RUN(keys, a_local_key_is_zone_part_kind_and_sub),
          RUN(keys, the_bounds_of_a_keyspace_enclose_its_rows_and_no_others),
          RUN(keys, a_key_of_another_partition_or_at_a_wrong_position_is_foreign))
