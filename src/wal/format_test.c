/* The vectors of docs/formats/wal.md, and which unit is valid by itself. */
#include "base/test.h"

#include "base/bytes.h"
#include "base/crc.h"
#include "wal/wal_internal.h"

#include <stdio.h>

static struct wal_file_header example_file(void)
{
    struct wal_file_header h = {.reactor = 1,
                                .seq = 2,
                                .start_lsn = 0x3fff000,
                                .salt = 0x1122334455667788,
                                .bytes = 64 * MIB};
    for (u8 i = 0; i < 16; i++) h.uuid[i] = i;
    return h;
}

static const struct wal_place example_place = {0x3fff000, 0x1122334455667788};

/* A unit with an ENTRY "abc" and a HARD_STATE without payload; returns its length. */
static u32 example_unit(u8 *unit)
{
    struct wal_frame entry = {
        .type = WAL_ENTRY, .flags = 3, .part = 7, .index = 5, .term = 2, .repl = 9};
    struct wal_frame hard = {.type = WAL_HARD_STATE, .part = 7};
    str parts[2] = {STR("a"), STR("bc")};
    u32 len = WAL_UNIT_HEADER;

    wal_frame_encode(unit + len, &entry, parts, 2, 3);
    len += (u32)wal_frame_bytes(3);
    wal_frame_encode(unit + len, &hard, NULL, 0, 0);
    len += (u32)wal_frame_bytes(0);
    wal_unit_encode(unit, &(struct wal_unit_header){.lsn = example_place.lsn,
                                                    .salt = example_place.salt,
                                                    .durable = 0x3ffe000,
                                                    .epoch = 4,
                                                    .len = len,
                                                    .nframes = 2,
                                                    .prev_crc = 0xdeadbeef});
    return len;
}

static void check_hex(const u8 *bytes, size_t count, const char *hex)
{
    char *text = mem_alloc(count * 2 + 1);

    for (size_t i = 0; i < count; i++) snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    assert_string_equal(text, hex);
    mem_free(text);
}

TEST(format, the_file_header_is_the_vector_of_the_document)
{
    u8 block[4096];
    struct wal_file_header h = example_file(), back;
    bool damaged;

    wal_file_encode(&h, block);
    check_hex(block, WAL_FILE_HEADER,
              "5157414c5345470a"
              "01000000"
              "01000000"
              "000102030405060708090a0b0c0d0e0f"
              "0200000000000000"
              "00f0ff0300000000"
              "8877665544332211"
              "00400000"
              "dda250fe");
    CHECK(mem_equal(block, block + WAL_FILE_COPY_AT, WAL_FILE_HEADER));
    for (size_t i = WAL_FILE_HEADER; i < WAL_FILE_COPY_AT; i++) CHECK_EQ(block[i], 0);
    CHECK_OK(wal_file_decode(block, &back, &damaged));
    CHECK(!damaged);
    CHECK(back.seq == h.seq && back.start_lsn == h.start_lsn && back.salt == h.salt);
    CHECK(back.bytes == h.bytes && back.reactor == h.reactor);
}

TEST(format, the_unit_is_the_vector_of_the_document)
{
    u8 unit[4096];
    u32 len = example_unit(unit);

    CHECK_EQ(len, 152);
    check_hex(unit, len,
              "554e4954"
              "d63f2988"
              "00f0ff0300000000"
              "8877665544332211"
              "00e0ff0300000000"
              "04000000"
              "98000000"
              "02000000"
              "efbeadde"
              "00000000000000000000000000000000"
              "03000000"
              "01"
              "03"
              "0000"
              "0700000000000000"
              "0500000000000000"
              "02000000"
              "09000000"
              "0c42c811"
              "b73f4b36"
              "6162630000000000"
              "00000000"
              "02"
              "00"
              "0000"
              "0700000000000000"
              "0000000000000000"
              "00000000"
              "00000000"
              "dbad37e1"
              "00000000");
}

TEST(format, frames_come_back_as_they_went_in)
{
    u8 unit[4096];
    u32 len = example_unit(unit), at = WAL_UNIT_HEADER;
    struct wal_unit_header h;
    struct wal_frame f;
    str payload;

    CHECK(!wal_unit_check(unit, sizeof unit, example_place, &h));
    CHECK(h.durable == 0x3ffe000 && h.epoch == 4 && h.nframes == 2 && h.prev_crc == 0xdeadbeef);
    CHECK(wal_frame_next(unit, len, &at, &f, &payload));
    CHECK(f.type == WAL_ENTRY && f.flags == 3 && f.part == 7 && f.index == 5);
    CHECK(f.term == 2 && f.repl == 9);
    CHECK_STR(payload, "abc");
    CHECK(wal_frame_next(unit, len, &at, &f, &payload));
    CHECK_EQ(f.type, WAL_HARD_STATE);
    CHECK_EQ(payload.len, 0);
    CHECK(!wal_frame_next(unit, len, &at, &f, &payload));
}

TEST(format, any_flipped_bit_of_a_unit_is_noticed)
{
    u8 unit[4096] = {0};
    u32 len = example_unit(unit);
    struct wal_unit_header h;

    for (u32 bit = 0; bit < len * 8; bit++) {
        unit[bit / 8] ^= (u8)(1u << bit % 8);
        CHECK(wal_unit_check(unit, sizeof unit, example_place, &h) != NULL);
        unit[bit / 8] ^= (u8)(1u << bit % 8);
    }
    CHECK(!wal_unit_check(unit, sizeof unit, example_place, &h));
}

TEST(format, a_unit_is_valid_only_at_its_place_and_in_its_use_of_the_file)
{
    u8 unit[4096] = {0};
    struct wal_unit_header h;
    struct wal_place elsewhere = {example_place.lsn + 4096, example_place.salt};
    struct wal_place later_use = {example_place.lsn, example_place.salt + 1};

    example_unit(unit);
    CHECK(wal_unit_check(unit, sizeof unit, elsewhere, &h) != NULL);
    CHECK(wal_unit_check(unit, sizeof unit, later_use, &h) != NULL);
    CHECK(!wal_unit_is_trace(unit, sizeof unit, later_use));
    CHECK(wal_unit_is_trace(unit, sizeof unit, example_place));
}

/* A unit whose checksum is right and whose words are not: written by a bug or on purpose. */
static const char *check_with(u32 at, u32 value)
{
    u8 unit[8192] = {0};
    struct wal_unit_header h;

    example_unit(unit);
    put_u32(unit + at, value);
    u32 len = get_u32(unit + 36);
    if (len >= 64 && len <= sizeof unit) put_u32(unit + 4, crc32c(unit + 8, len - 8));
    return wal_unit_check(unit, sizeof unit, example_place, &h);
}

TEST(format, words_that_contradict_each_other_make_no_unit)
{
    CHECK(!check_with(32, 4));        /* the epoch as it was: the helper itself is fine */
    CHECK(check_with(36, 0) != NULL); /* length */
    CHECK(check_with(36, 63) != NULL);
    CHECK(check_with(36, 8193) != NULL);
    CHECK(check_with(36, UINT32_MAX) != NULL);
    CHECK(check_with(36, 160) != NULL); /* more bytes than frames */
    CHECK(check_with(40, 1) != NULL);   /* fewer frames than bytes */
    CHECK(check_with(40, 3) != NULL);
    CHECK(check_with(40, UINT32_MAX) != NULL);
    CHECK(check_with(24, 0x4000000) != NULL); /* durable beyond itself */
    CHECK(check_with(48, 1) != NULL);         /* reserved */
}

TEST(format, a_frame_length_beyond_the_unit_is_refused)
{
    static const u32 lengths[] = {4, 8, 9, 4096, 0x7fffffff, 0xfffffff8, 0xffffffff};

    for (u32 i = 0; i < ARRAY_LEN(lengths); i++) {
        u8 unit[4096] = {0};
        struct wal_unit_header h;
        u32 len = example_unit(unit);
        u8 *f = unit + len - WAL_FRAME_HEADER; /* the last frame */
        put_u32(f, lengths[i]);
        put_u32(f + 32, crc32c_more(crc32c(f, 32), f + 36, 4));
        put_u32(unit + 4, crc32c(unit + 8, len - 8));
        CHECK(wal_unit_check(unit, sizeof unit, example_place, &h) != NULL);
    }
}

TEST(format, a_file_header_survives_the_loss_of_either_copy)
{
    struct wal_file_header h = example_file(), back;
    bool damaged;

    for (u32 copy = 0; copy < 2; copy++) {
        for (u32 at = 0; at < WAL_FILE_HEADER; at++) {
            u8 block[4096];
            wal_file_encode(&h, block);
            block[copy * WAL_FILE_COPY_AT + at] ^= 0x40;
            CHECK_OK(wal_file_decode(block, &back, &damaged));
            CHECK(damaged);
            CHECK(back.seq == h.seq && back.salt == h.salt);
            block[(1 - copy) * WAL_FILE_COPY_AT + at] ^= 0x40;
            CHECK_EQ(wal_file_decode(block, &back, &damaged), ERR_CORRUPT);
        }
    }
}

TEST_MAIN(RUN(format, the_file_header_is_the_vector_of_the_document),
          RUN(format, the_unit_is_the_vector_of_the_document),
          RUN(format, frames_come_back_as_they_went_in),
          RUN(format, any_flipped_bit_of_a_unit_is_noticed),
          RUN(format, a_unit_is_valid_only_at_its_place_and_in_its_use_of_the_file),
          RUN(format, words_that_contradict_each_other_make_no_unit),
          RUN(format, a_frame_length_beyond_the_unit_is_refused),
          RUN(format, a_file_header_survives_the_loss_of_either_copy))
