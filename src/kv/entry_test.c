#include "kv/entry.h"

#include "base/test.h"

/* The vector of docs/formats/entry.md. */
static const u8 vector[] = {
    1,    1, 1, 0, 0x16, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 8,   0, 0, 0,   0,   0,   0,
    0,    1, 0, 0, 0,    2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,   5, 0, 0,   0,   0,   0,
    0,    0, 6, 0, 0,    0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0,   0,
    /* body */
    0x00, 3, 0, 0, 0,    3, 0, 0, 0, 'S', 'E', 'T', 1, 0, 0, 0, 'a', 1, 0, 0, 0, 'b',
};
_Static_assert(sizeof vector == ENTRY_HEADER_BYTES + 0x16, "as the format page says");

static void encode_vector(struct buf *out)
{
    str args[] = {STR("SET"), STR("a"), STR("b")};
    struct session_id session = {{1, 0, 0, 0, 2}};
    struct entry e = {.apply_ver = 1, .op = ENTRY_COMMAND};

    entry_encode_header(&e, out);
    entry_encode_command(0, args, 3, out);
    entry_finish(buf_bytes(out), out->len);
    entry_set_session(buf_bytes(out), &session, 5, 6, 4, 0);
    entry_stamp(buf_bytes(out), out->len, 7, 8);
}

TEST(entry, encodes_the_vector_of_the_format_page)
{
    struct buf b = {0};

    encode_vector(&b);
    CHECK_EQ(b.len, sizeof vector);
    assert_memory_equal(buf_bytes(&b), vector, sizeof vector);
    buf_done(&b);
}

TEST(entry, decodes_the_vector_of_the_format_page)
{
    struct entry e;
    struct entry_command c;

    CHECK_OK(entry_decode(str_from(vector, sizeof vector), &e));
    CHECK_EQ(e.apply_ver, 1);
    CHECK_EQ(e.op, ENTRY_COMMAND);
    CHECK_EQ(e.flags, 0);
    CHECK_EQ(e.hlc, 7);
    CHECK_EQ(e.seed, 8);
    CHECK_EQ(e.session.bytes[0], 1);
    CHECK_EQ(e.session.bytes[4], 2);
    CHECK_EQ(e.seq, 5);
    CHECK_EQ(e.first_hlc, 6);
    CHECK_EQ(e.acked, 4);
    CHECK_EQ(e.after, 0);
    struct reader r = reader_of(e.body);
    CHECK_OK(entry_decode_command(&r, &c));
    CHECK_EQ(reader_left(&r), 0);
    CHECK_EQ(c.db, 0);
    CHECK_EQ(c.argc, 3);
    CHECK_STR(c.argv[0], "SET");
    CHECK_STR(c.argv[2], "b");
    entry_command_done(&c);
}

TEST(entry, refuses_every_shorter_vector)
{
    for (size_t len = 0; len < sizeof vector; len++) {
        struct entry e;
        u8 *copy = mem_copy_of(vector, len ? len : 1);
        CHECK_EQ(entry_decode(str_from(copy, len), &e), ERR_MALFORMED);
        mem_free(copy);
    }
}

TEST(entry, refuses_an_unknown_format_or_operation)
{
    struct entry e;
    u8 bytes[sizeof vector];

    memcpy(bytes, vector, sizeof vector);
    bytes[0] = 2;
    CHECK_EQ(entry_decode(str_from(bytes, sizeof bytes), &e), ERR_UNSUPPORTED);
    bytes[0] = 1;
    bytes[2] = 0;
    CHECK_EQ(entry_decode(str_from(bytes, sizeof bytes), &e), ERR_UNSUPPORTED);
    bytes[2] = ENTRY_SPAN + 1;
    CHECK_EQ(entry_decode(str_from(bytes, sizeof bytes), &e), ERR_UNSUPPORTED);
}

TEST(entry, carries_the_order_of_a_connections_writes)
{
    struct entry e = {.apply_ver = 1, .op = ENTRY_TICK, .seq = 10, .acked = 3, .after = 9}, got;
    struct buf b = {0};

    entry_encode_header(&e, &b);
    CHECK_OK(entry_decode(buf_str(&b), &got));
    CHECK_EQ(got.seq, 10);
    CHECK_EQ(got.acked, 3);
    CHECK_EQ(got.after, 9);
    buf_bytes(&b)[56] = 11; /* further back than there is */
    CHECK_EQ(entry_decode(buf_str(&b), &got), ERR_MALFORMED);
    buf_bytes(&b)[56] = 7;
    buf_bytes(&b)[60] = 11;
    CHECK_EQ(entry_decode(buf_str(&b), &got), ERR_MALFORMED);
    buf_done(&b);
}

TEST(entry, carries_many_and_empty_arguments)
{
    struct buf b = {0};
    str args[40];
    struct entry_command c;

    for (u32 i = 0; i < 40; i++) args[i] = i % 2 ? STR("") : STR("value");
    entry_encode_command(15, args, 40, &b);
    struct reader r = reader_of(buf_str(&b));
    CHECK_OK(entry_decode_command(&r, &c));
    CHECK_EQ(c.db, 15);
    CHECK_EQ(c.argc, 40);
    for (u32 i = 0; i < 40; i++) CHECK(str_equal(c.argv[i], args[i]));
    entry_command_done(&c);
    buf_done(&b);
}

TEST(entry, refuses_commands_whose_counts_lie)
{
    static const u8 no_arguments[] = {0, 0, 0, 0, 0};
    static const u8 too_many[] = {0, 255, 255, 255, 255, 1, 0, 0, 0, 'a'};
    static const u8 too_long[] = {0, 1, 0, 0, 0, 2, 0, 0, 0, 'a'};
    struct entry_command c;
    struct reader r = reader_of(str_from(no_arguments, sizeof no_arguments));

    CHECK_EQ(entry_decode_command(&r, &c), ERR_MALFORMED);
    r = reader_of(str_from(too_many, sizeof too_many));
    CHECK_EQ(entry_decode_command(&r, &c), ERR_MALFORMED);
    r = reader_of(str_from(too_long, sizeof too_long));
    CHECK_EQ(entry_decode_command(&r, &c), ERR_MALFORMED);
}

TEST_MAIN(RUN(entry, encodes_the_vector_of_the_format_page),
          RUN(entry, decodes_the_vector_of_the_format_page), RUN(entry, refuses_every_shorter_vector),
          RUN(entry, refuses_an_unknown_format_or_operation),
          RUN(entry, carries_the_order_of_a_connections_writes),
          RUN(entry, carries_many_and_empty_arguments),
          RUN(entry, refuses_commands_whose_counts_lie))
