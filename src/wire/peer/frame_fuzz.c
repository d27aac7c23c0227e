/* Frames and their bodies from arbitrary bytes: no crash, no read past the end. The checksums are
 * mended first, or a fuzzer would never come past them. */
#include "wire/peer/frame.h"
#include "wire/peer/join.h"
#include "wire/peer/map.h"

#include "base/assert.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void decode_all(str body)
{
    struct hello h;
    struct status s;
    struct forward f;
    struct forward_reply r;
    struct snapshot_chunk c;
    struct snapshot_ack a;
    struct ping p;
    struct read_index_reply i;
    struct join_request j;
    struct join_reply k;
    struct map_pull m;
    struct group_report g;
    bool any = hello_decode(body, &h) == OK;

    any |= status_decode(body, &s) == OK;
    any |= forward_decode(body, &f) == OK && f.entry.len <= body.len;
    any |= forward_reply_decode(body, &r) == OK && r.reply.len <= body.len;
    any |= snapshot_chunk_decode(body, &c) == OK && c.rows.len <= body.len;
    any |= snapshot_ack_decode(body, &a) == OK;
    any |= read_index_reply_decode(body, &i) == OK;
    any |= ping_decode(body, &p) == OK;
    any |= pong_decode(body, &p) == OK;
    any |= join_request_decode(body, &j) == OK && j.rack.len <= body.len;
    any |= join_reply_decode(body, &k) == OK && k.member_count <= JOIN_MEMBERS_MAX;
    any |= map_pull_decode(body, &m) == OK;
    for (struct reader rows = reader_of(body); group_report_next(&rows, &g);)
        any |= g.caught_up_count <= REPORT_CAUGHT_UP_MAX;
    (void)any;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct buf b = {0};
    struct frame f;
    str body;
    size_t consumed;

    decode_all(str_from(data, size));
    (void)frame_parse(str_from(data, size), MIB, &f, &body, &consumed);
    buf_append(&b, data, size);
    if (size >= FRAME_HEADER_BYTES) {
        frame_end(&b, 0);
        enum frame_status s = frame_parse(buf_str(&b), 64 * MIB, &f, &body, &consumed);
        assert(s != FRAME_INCOMPLETE);
        if (s == FRAME_READY) assert(consumed == size);
    }
    buf_done(&b);
    return 0;
}
