#include "core/core_fixture.h"

/* The vectors of docs/formats/core.md. */
static void check_hex(const struct buf *b, const char *hex)
{
    char text[2048] = {0};

    CHECK(b->len < sizeof text / 2);
    for (size_t i = 0; i < b->len; i++) snprintf(text + 2 * i, 3, "%02x", buf_bytes(b)[i]);
    assert_string_equal(text, hex);
}

static struct core_node_spec vector_spec(void)
{
    struct core_node_spec s = {.peer = STR("h:1"),
                               .redis = STR("h:2"),
                               .admin = STR("h:3"),
                               .rack = STR("r"),
                               .version_min = 1,
                               .version_max = 2};

    for (u8 i = 0; i < 16; i++) s.incarnation.bytes[i] = i;
    return s;
}

TEST(command, has_the_bytes_of_the_format_page)
{
    struct buf b = {0};
    struct core_command join = {.op = CORE_NODE_JOIN, .nodes = {vector_spec()}};
    struct core_command create = {.op = CORE_KS_CREATE,
                                  .name = STR("orders"),
                                  .row_count = 1,
                                  .rows = {{STR("partitions"), STR("hash:8")}}};
    struct core_command begin = {.op = CORE_PART_BEGIN,
                                 .part = 2,
                                 .epoch = 9,
                                 .kind = CORE_OP_MOVE,
                                 .node = 4,
                                 .replica = 1};

    core_command_encode(&join, &b);
    check_hex(&b, "0102000102030405060708090a0b0c0d0e0f03683a3103683a3203683a33017201000000"
                  "02000000");
    buf_clear(&b);
    core_command_encode(&create, &b);
    check_hex(&b, "0107066f726465727300010a706172746974696f6e7306686173683a38");
    buf_clear(&b);
    core_command_encode(&begin, &b);
    check_hex(&b, "010b02000000000000000900000000000000010400000001000000000000000000000000000000");
    buf_done(&b);
}

TEST(command, survives_encoding_and_refuses_every_shorter_form)
{
    struct buf b = {0}, again = {0};
    struct core_command c = {.flags = 3,
                             .mask = 5,
                             .kind = 2,
                             .step = 3,
                             .uuid = {{1, 2}},
                             .version = 4,
                             .node = 5,
                             .keyspace = 6,
                             .replica = 7,
                             .part = 8,
                             .epoch = 9,
                             .other = 10,
                             .term = 11,
                             .slot = 12,
                             .key = STR("key"),
                             .name = STR("name"),
                             .node_count = 2,
                             .row_count = 2,
                             .nodes = {vector_spec(), vector_spec()},
                             .rows = {{STR("a"), STR("b")}, {STR("c"), STR("")}}};

    for (c.op = 1; c.op < CORE_OPS_END; c.op++) {
        struct core_command d;
        buf_clear(&b);
        buf_clear(&again);
        core_command_encode(&c, &b);
        CHECK_OK(core_command_decode(buf_str(&b), &d));
        core_command_encode(&d, &again);
        CHECK(str_equal(buf_str(&b), buf_str(&again)));
        for (size_t len = 0; len < b.len; len++) {
            u8 *copy = mem_copy_of(buf_bytes(&b), len ? len : 1);
            CHECK_EQ(core_command_decode(str_from(copy, len), &d), ERR_MALFORMED);
            mem_free(copy);
        }
        buf_append_u8(&b, 0);
        CHECK_EQ(core_command_decode(buf_str(&b), &d), ERR_MALFORMED);
    }
    buf_done(&b);
    buf_done(&again);
}

TEST(command, a_reply_has_the_bytes_of_the_format_page)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 1);
    struct core_command cmd = {.op = CORE_NODE_JOIN, .nodes = {vector_spec()}};
    CHECK_EQ(fixture_do(&f, &cmd), CORE_OK);
    check_hex(&f.out, "010002000000000000000000"
                      "02000000");
    fixture_done(&f);
}

TEST(rows, have_the_bytes_of_the_format_page)
{
    struct buf b = {0};
    struct core_cluster cluster = {.uuid = {{0xAB}},
                                   .version = 1,
                                   .epoch = 2,
                                   .next_node = 3,
                                   .next_keyspace = 4,
                                   .next_part = 5,
                                   .next_id = {1, 1001},
                                   .settings = {300, 2, 64, 0, 1 << 30, 1 << 27, 0}};
    struct core_node node = {.id = 1,
                             .incarnation = {{0xCD}},
                             .peer = {3, "h:1"},
                             .redis = {3, "h:2"},
                             .admin = {3, "h:3"},
                             .rack = {1, "r"},
                             .version_min = 1,
                             .version_max = 2,
                             .state = CORE_UP,
                             .changed = 7};
    struct core_keyspace ks = {
        .id = 2, .name = {7, "default"}, .settings = {3, 1, 0, 0, 16 << 20}, .changed = 1};
    struct core_part part = {
        .id = 2,
        .keyspace = 2,
        .slot_last = 16383,
        .epoch = 8,
        .changed = 9,
        .next_replica = 3,
        .member_count = 2,
        .members = {{1, 1, {{0xCD}}, CORE_VOTER}, {2, 4, {{0xEF}}, CORE_LEARNER}},
        .leader_term = 5,
        .leader = 1,
        .op = {.kind = CORE_OP_MOVE, .step = 1, .in = 2, .out = 1, .begun = 8}};

    core_cluster_encode(&cluster, &b);
    check_hex(&b, "01ab000000000000000000000000000000010000000200000000000000030000000400000005"
                  "00000000000000020100000000000000e903000000000000072c010000000000000200000000"
                  "0000004000000000000000000000000000000000000040000000000000000800000000000000"
                  "0000000000");
    buf_clear(&b);
    core_node_encode(&node, &b);
    check_hex(&b, "0101000000cd0000000000000000000000000000000207000000000000000100000002000000"
                  "03683a3103683a3203683a330172");
    buf_clear(&b);
    core_keyspace_encode(&ks, &b);
    check_hex(&b, "01020000000100000000000000000764656661756c7406030000000000000001000000000000"
                  "000000000000000000000000000000000000000001000000000000000000000000");
    buf_clear(&b);
    core_part_encode(&part, &b);
    check_hex(&b, "0102000000000000000200000008000000000000000900000000000000000000ff3f03000000"
                  "020100000001000000cd000000000000000000000000000000020200000004000000ef000000"
                  "0000000000000000000000000105000000000000000100000000000000010102000000010000"
                  "000000000000000000000000000800000000000000");
    buf_done(&b);
}

TEST(rows, survive_encoding_and_refuse_every_shorter_form)
{
    struct buf b = {0}, again = {0};
    struct core_part part = {.id = 2,
                             .keyspace = 3,
                             .is_range = true,
                             .from = STR("a"),
                             .to = STR("m"),
                             .next_replica = 2,
                             .member_count = 1,
                             .members = {{1, 1, {{0xCD}}, CORE_VOTER}},
                             .op = {.kind = CORE_OP_SPLIT, .step = 2, .other = 9, .key = STR("c")}};
    struct core_part got;

    core_part_encode(&part, &b);
    CHECK_OK(core_part_decode(buf_str(&b), &got));
    core_part_encode(&got, &again);
    CHECK(str_equal(buf_str(&b), buf_str(&again)));
    core_part_done(&got);
    for (size_t len = 1; len < b.len; len++) {
        CHECK_EQ(core_part_decode(str_from(buf_bytes(&b), len), &got), ERR_CORRUPT);
        core_part_done(&got);
    }
    part.to = STR("a"); /* an empty range */
    buf_clear(&b);
    core_part_encode(&part, &b);
    CHECK_EQ(core_part_decode(buf_str(&b), &got), ERR_CORRUPT);
    buf_done(&b);
    buf_done(&again);
}

TEST_MAIN(RUN(command, has_the_bytes_of_the_format_page),
          RUN(command, survives_encoding_and_refuses_every_shorter_form),
          RUN(command, a_reply_has_the_bytes_of_the_format_page),
          RUN(rows, have_the_bytes_of_the_format_page),
          RUN(rows, survive_encoding_and_refuse_every_shorter_form))
