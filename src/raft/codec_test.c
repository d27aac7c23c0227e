#include "raft/raft.h"

#include "base/bytes.h"
#include "base/test.h"
#include "raft/raft_fixture.h"

#define HEADER_BYTES 96

static struct raft_message full_message(struct raft_entry *entries)
{
    entries[0] = (struct raft_entry){{3, 12}, RAFT_NOOP, NULL};
    entries[1] = (struct raft_entry){{4, 13}, RAFT_COMMAND, rcbuf_from(STR("payload"))};
    return (struct raft_message){.kind = RAFT_APPEND,
                                 .from = 1,
                                 .to = 2,
                                 .term = 4,
                                 .impaired = true,
                                 .full = true,
                                 .prev = {3, 11},
                                 .hint = {5, 6},
                                 .match = 7,
                                 .commit = 8,
                                 .round = 9,
                                 .life = 10,
                                 .sent_at = 11,
                                 .entries = entries,
                                 .count = 2};
}

static void encode_full(struct buf *b)
{
    struct raft_entry entries[2];
    struct raft_message m = full_message(entries);
    buf_init(b, 0);
    raft_message_encode(&m, b);
    rcbuf_unref(entries[1].data);
}

TEST(codec, an_epoch_of_support_takes_the_place_of_a_life)
{
    struct raft_message m = {.kind = RAFT_APPEND_REPLY, .from = 1, .to = 2, .term = 3, .commit = 5, .fortify = true, .epoch = 77}, m2;
    struct buf b = {0};
    raft_message_encode(&m, &b);
    CHECK_OK(raft_message_decode(buf_str(&b), &m2));
    CHECK(m2.fortify && m2.epoch == 77 && m2.life == 0 && m2.commit == 5);
    buf_done(&b);
}

TEST(codec, a_message_survives_its_bytes)
{
    struct raft_message m;
    struct buf b;
    encode_full(&b);
    CHECK_OK(raft_message_decode(buf_str(&b), &m));
    CHECK_EQ(m.kind, RAFT_APPEND);
    CHECK_EQ(m.from, 1);
    CHECK_EQ(m.to, 2);
    CHECK_EQ(m.term, 4);
    CHECK(m.impaired && m.full && !m.pre && !m.transfer && !m.granted && !m.rejected);
    CHECK(m.prev.term == 3 && m.prev.index == 11);
    CHECK(m.hint.term == 5 && m.hint.index == 6);
    CHECK(m.match == 7 && m.commit == 8 && m.round == 9 && m.life == 10 && m.sent_at == 11);
    CHECK_EQ(m.count, 2);
    CHECK(m.entries[0].pos.term == 3 && m.entries[0].pos.index == 12);
    CHECK_EQ(m.entries[0].kind, RAFT_NOOP);
    CHECK(!m.entries[0].data);
    CHECK(m.entries[1].pos.term == 4 && m.entries[1].pos.index == 13);
    CHECK_STR(rcbuf_str(m.entries[1].data), "payload");
    raft_message_done(&m);
    buf_done(&b);
}

TEST(codec, the_bytes_are_those_of_the_format)
{
    struct raft_message m = {
        .kind = RAFT_VOTE, .from = 1, .to = 2, .term = 3, .pre = true, .prev = {4, 5}};
    struct buf b;
    buf_init(&b, 0);
    raft_message_encode(&m, &b);
    u8 expected[HEADER_BYTES] = {RAFT_VOTE, 1};
    put_u32(expected + 8, 1);
    put_u32(expected + 12, 2);
    put_u64(expected + 16, 3);
    put_u64(expected + 24, 4);
    put_u64(expected + 32, 5);
    CHECK_EQ(b.len, HEADER_BYTES);
    assert_memory_equal(buf_bytes(&b), expected, HEADER_BYTES);
    buf_done(&b);
}

TEST(codec, every_flipped_bit_of_an_entry_is_found)
{
    struct raft_message m;
    struct buf b;
    encode_full(&b);
    for (size_t bit = HEADER_BYTES * 8; bit < b.len * 8; bit++) {
        buf_bytes(&b)[bit / 8] ^= (u8)(1u << (bit % 8));
        CHECK(raft_message_decode(buf_str(&b), &m) != OK);
        buf_bytes(&b)[bit / 8] ^= (u8)(1u << (bit % 8));
    }
    buf_done(&b);
}

TEST(codec, an_entry_does_not_pass_at_another_index)
{
    struct raft_message m;
    struct buf b;
    encode_full(&b);
    put_u64(buf_bytes(&b) + 32, 10); /* prev.index */
    CHECK_EQ(raft_message_decode(buf_str(&b), &m), ERR_CHECKSUM);
    buf_done(&b);
}

TEST(codec, a_body_is_exactly_as_long_as_it_says)
{
    struct raft_message m;
    struct buf b;
    encode_full(&b);
    for (size_t len = 0; len < b.len; len++)
        CHECK(raft_message_decode(str_from(buf_bytes(&b), len), &m) != OK);
    buf_append_u8(&b, 0);
    CHECK_EQ(raft_message_decode(buf_str(&b), &m), ERR_MALFORMED);
    buf_done(&b);
}

TEST(codec, unknown_kinds_flags_and_counts_are_refused)
{
    u8 bytes[HEADER_BYTES] = {0};
    struct raft_message m;
    bytes[0] = 0;
    CHECK_EQ(raft_message_decode(str_from(bytes, sizeof bytes), &m), ERR_MALFORMED);
    bytes[0] = RAFT_DEFORTIFY_REPLY + 1;
    CHECK_EQ(raft_message_decode(str_from(bytes, sizeof bytes), &m), ERR_MALFORMED);
    bytes[0] = RAFT_VOTE;
    CHECK_OK(raft_message_decode(str_from(bytes, sizeof bytes), &m));
    bytes[1] = 128;
    CHECK_EQ(raft_message_decode(str_from(bytes, sizeof bytes), &m), ERR_MALFORMED);
    bytes[1] = 0;
    bytes[4] = 1; /* an entry in a vote */
    CHECK_EQ(raft_message_decode(str_from(bytes, sizeof bytes), &m), ERR_MALFORMED);
    bytes[0] = RAFT_APPEND;
    memset(bytes + 4, 255, 4); /* four billion entries in no bytes */
    CHECK_EQ(raft_message_decode(str_from(bytes, sizeof bytes), &m), ERR_MALFORMED);
}

TEST(codec, an_entry_of_members_holds_a_possible_configuration)
{
    struct raft_config c = config_of("123:145+6");
    struct buf payload = {0}, b = {0};
    struct raft_message m;
    raft_config_encode(&c, &payload);
    for (u32 damage = 0; damage < 2; damage++) {
        struct rcbuf *data = rcbuf_from(buf_str(&payload));
        data->data[0] = (u8)(data->data[0] + damage); /* the checksum is right all the same */
        struct raft_entry e = {{1, 1}, RAFT_CONFIG, data};
        buf_clear(&b);
        raft_message_encode(&(struct raft_message){.kind = RAFT_APPEND, .entries = &e, .count = 1},
                            &b);
        CHECK_EQ(raft_message_decode(buf_str(&b), &m), damage ? ERR_MALFORMED : OK);
        if (!damage) raft_message_done(&m);
        rcbuf_unref(data);
    }
    buf_done(&payload);
    buf_done(&b);
}

TEST_MAIN(RUN(codec, an_epoch_of_support_takes_the_place_of_a_life), RUN(codec, a_message_survives_its_bytes), RUN(codec, the_bytes_are_those_of_the_format),
          RUN(codec, every_flipped_bit_of_an_entry_is_found),
          RUN(codec, an_entry_does_not_pass_at_another_index),
          RUN(codec, a_body_is_exactly_as_long_as_it_says),
          RUN(codec, an_entry_of_members_holds_a_possible_configuration),
          RUN(codec, unknown_kinds_flags_and_counts_are_refused))
