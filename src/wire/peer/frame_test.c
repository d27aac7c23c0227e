#include "wire/peer/frame.h"
#include "wire/peer/join.h"

#include "base/test.h"

static struct frame sample(void)
{
    return (struct frame){.type = FRAME_FORWARD,
                          .part = 2,
                          .src_node = 1,
                          .src_boot = 7,
                          .dst_node = 3,
                          .dst_boot = 9,
                          .req = 77,
                          .deadline_ms = 1500};
}

static void build(struct buf *out, str body)
{
    struct frame f = sample();
    size_t place = frame_begin(out, &f);
    buf_append_str(out, body);
    frame_end(out, place);
}

TEST(frame, comes_back_as_it_was_sent_behind_other_bytes)
{
    struct buf b = {0};
    struct frame f;
    str body;
    size_t consumed;

    build(&b, STR("first"));
    build(&b, STR("second"));
    CHECK_EQ(frame_parse(buf_str(&b), MIB, &f, &body, &consumed), FRAME_READY);
    CHECK_STR(body, "first");
    CHECK_EQ(consumed, FRAME_HEADER_BYTES + 5);
    CHECK_EQ(f.req, 77);
    CHECK_EQ(f.src_boot, 7);
    CHECK_EQ(f.dst_boot, 9);
    buf_consume(&b, consumed);
    CHECK_EQ(frame_parse(buf_str(&b), MIB, &f, &body, &consumed), FRAME_READY);
    CHECK_STR(body, "second");
    buf_done(&b);
}

TEST(frame, waits_for_its_last_byte)
{
    struct buf b = {0};
    struct frame f;
    str body;
    size_t consumed;

    build(&b, STR("body"));
    for (size_t len = 0; len < b.len; len++)
        CHECK_EQ(frame_parse(str_from(buf_bytes(&b), len), MIB, &f, &body, &consumed),
                 FRAME_INCOMPLETE);
    buf_done(&b);
}

TEST(frame, any_flipped_bit_is_noticed)
{
    struct buf b = {0};
    struct frame f;
    str body;
    size_t consumed;

    build(&b, STR("some body"));
    for (size_t bit = 0; bit < b.len * 8; bit++) {
        buf_bytes(&b)[bit / 8] ^= (u8)(1 << (bit % 8));
        CHECK(frame_parse(buf_str(&b), MIB, &f, &body, &consumed) != FRAME_READY);
        buf_bytes(&b)[bit / 8] ^= (u8)(1 << (bit % 8));
    }
    buf_done(&b);
}

TEST(frame, a_length_over_the_limit_is_refused_before_it_is_waited_for)
{
    struct buf b = {0};
    struct frame f;
    str body;
    size_t consumed;

    build(&b, STR("0123456789"));
    CHECK_EQ(frame_parse(str_from(buf_bytes(&b), FRAME_HEADER_BYTES), 70, &f, &body, &consumed),
             FRAME_BAD);
    buf_done(&b);
}

TEST(frame, bodies_come_back_and_trailing_bytes_are_refused)
{
    struct buf b = {0};
    struct hello h = {.version_min = 1, .version_max = 1, .channel = 1, .blank = true, .pid = 5},
                 h2;
    struct status s = {.role = 3,
                       .leader = 2,
                       .term = 9,
                       .commit = 8,
                       .applied = 7,
                       .redis_port = 6379},
                  s2;
    struct snapshot_ack a = {.term = 1, .snap_id = 2, .next_seq = 3, .status = 1}, a2;

    h.cluster_id[3] = 4;
    hello_encode(&h, &b);
    CHECK_OK(hello_decode(buf_str(&b), &h2));
    CHECK(mem_equal(&h, &h2, offsetof(struct hello, version_min)));
    CHECK(h2.blank && h2.channel == 1 && h2.pid == 5);
    buf_append_u8(&b, 0);
    CHECK_EQ(hello_decode(buf_str(&b), &h2), ERR_MALFORMED);

    buf_clear(&b);
    status_encode(&s, &b);
    CHECK_OK(status_decode(buf_str(&b), &s2));
    CHECK(s2.role == 3 && s2.leader == 2 && s2.applied == 7);

    buf_clear(&b);
    snapshot_ack_encode(&a, &b);
    CHECK_OK(snapshot_ack_decode(buf_str(&b), &a2));
    CHECK(a2.next_seq == 3 && a2.status == 1);
    CHECK_EQ(snapshot_ack_decode(str_from(buf_bytes(&b), b.len - 1), &a2), ERR_MALFORMED);

    struct ping p = {.sent_at = 1, .lease = 2, .withdrawn = 3}, p2;
    buf_clear(&b);
    pong_encode(&p, &b);
    CHECK_OK(pong_decode(buf_str(&b), &p2));
    CHECK(p2.sent_at == 1 && p2.lease == 2 && p2.withdrawn == 3);
    CHECK_EQ(ping_decode(buf_str(&b), &p2), ERR_MALFORMED);
    buf_clear(&b);
    ping_encode(&p, &b);
    CHECK_OK(ping_decode(buf_str(&b), &p2));
    CHECK(p2.sent_at == 1 && p2.lease == 2 && p2.withdrawn == 0);
    buf_done(&b);
}

TEST(frame, an_index_to_read_at_comes_back)
{
    struct read_index_reply r = {.refused = true, .index = 77, .term = 5}, r2;
    struct buf b = {0};

    read_index_reply_encode(&r, &b);
    CHECK_OK(read_index_reply_decode(buf_str(&b), &r2));
    CHECK(r2.refused && r2.index == 77 && r2.term == 5);
    for (size_t cut = 0; cut < b.len; cut++)
        CHECK_EQ(read_index_reply_decode(str_from(buf_bytes(&b), cut), &r2), ERR_MALFORMED);
    buf_done(&b);
}

TEST(frame, forwards_and_chunks_carry_the_rest_as_their_payload)
{
    struct buf b = {0};
    struct forward f = {.kind = 1, .wants_cost = true, .level = 3, .floor = 7, .after = 12,
                        .index = 3, .replicas = 2, .entry = STR("entry")},
                   f2;
    struct forward_reply r = {.status = 6, .leader = 1, .index = 4, .hlc = 9, .cost = STR("cost"),
                              .reply = STR("+OK\r\n")},
                         r2;
    struct snapshot_chunk c = {.term = 1,
                               .snap_id = 2,
                               .index = 3,
                               .seq = 5,
                               .last = true,
                               .rows = STR("rows")},
                          c2;

    forward_encode(&f, &b);
    CHECK_OK(forward_decode(buf_str(&b), &f2));
    CHECK(f2.after == 12 && f2.replicas == 2 && f2.wants_cost && f2.level == 3 && f2.floor == 7);
    CHECK_STR(f2.entry, "entry");
    buf_clear(&b);
    forward_reply_encode(&r, &b);
    CHECK_OK(forward_reply_decode(buf_str(&b), &r2));
    CHECK(r2.status == 6 && r2.index == 4 && r2.hlc == 9);
    CHECK_STR(r2.cost, "cost");
    CHECK_STR(r2.reply, "+OK\r\n");
    buf_clear(&b);
    snapshot_chunk_encode(&c, &b);
    CHECK_OK(snapshot_chunk_decode(buf_str(&b), &c2));
    CHECK(c2.last && c2.seq == 5);
    CHECK_STR(c2.rows, "rows");
    buf_done(&b);
}

TEST(frame, a_join_and_its_answer_come_back)
{
    struct join_request j = {.incarnation = {1, 2}, .version_min = 1, .version_max = 2,
                             .peer = STR("h:7379"), .redis = STR("h:6379"), .admin = STR("h:8379"),
                             .rack = STR("")},
                        j2;
    struct join_reply k = {.status = JOIN_DONE, .reason = STR("ok"), .cluster_id = {9}, .node = 4,
                           .member_count = 2, .members = {{1, STR("a:1")}, {2, STR("b:2")}}},
                      k2;
    struct buf b = {0};

    join_request_encode(&j, &b);
    CHECK_OK(join_request_decode(buf_str(&b), &j2));
    CHECK(j2.incarnation[1] == 2 && j2.version_max == 2 && j2.rack.len == 0);
    CHECK_STR(j2.admin, "h:8379");
    for (size_t cut = 0; cut < b.len; cut++)
        CHECK_EQ(join_request_decode(str_from(buf_bytes(&b), cut), &j2), ERR_MALFORMED);
    buf_clear(&b);
    join_reply_encode(&k, &b);
    CHECK_OK(join_reply_decode(buf_str(&b), &k2));
    CHECK(k2.node == 4 && k2.member_count == 2 && k2.members[1].node == 2);
    CHECK_STR(k2.members[1].peer, "b:2");
    for (size_t cut = 0; cut < b.len; cut++)
        CHECK_EQ(join_reply_decode(str_from(buf_bytes(&b), cut), &k2), ERR_MALFORMED);
    buf_done(&b);
}

TEST_MAIN(RUN(frame, a_join_and_its_answer_come_back),
          RUN(frame, comes_back_as_it_was_sent_behind_other_bytes),
          RUN(frame, waits_for_its_last_byte), RUN(frame, any_flipped_bit_is_noticed),
          RUN(frame, a_length_over_the_limit_is_refused_before_it_is_waited_for),
          RUN(frame, bodies_come_back_and_trailing_bytes_are_refused),
          RUN(frame, an_index_to_read_at_comes_back),
          RUN(frame, forwards_and_chunks_carry_the_rest_as_their_payload))
