#include "wire/peer/join.h"

#include "base/assert.h"
#include "base/bytes.h"

static void put_text(struct buf *out, str s)
{
    assert(s.len <= JOIN_TEXT_MAX);
    buf_append_u8(out, (u8)s.len);
    buf_append_str(out, s);
}

static str get_text(struct reader *r)
{
    return reader_str(r, reader_u8(r));
}

void join_request_encode(const struct join_request *j, struct buf *out)
{
    buf_append(out, j->incarnation, 16);
    buf_append_u32(out, j->version_min);
    buf_append_u32(out, j->version_max);
    put_text(out, j->peer);
    put_text(out, j->redis);
    put_text(out, j->admin);
    put_text(out, j->rack);
}

err join_request_decode(str body, struct join_request *out)
{
    struct reader r = reader_of(body);
    str incarnation = reader_str(&r, 16);

    if (r.bad) return ERR_MALFORMED;
    mem_copy(out->incarnation, incarnation.at, 16);
    out->version_min = reader_u32(&r);
    out->version_max = reader_u32(&r);
    out->peer = get_text(&r);
    out->redis = get_text(&r);
    out->admin = get_text(&r);
    out->rack = get_text(&r);
    return reader_end(&r);
}

void join_reply_encode(const struct join_reply *j, struct buf *out)
{
    assert(j->member_count <= JOIN_MEMBERS_MAX);
    buf_append_u8(out, j->status);
    put_text(out, j->reason);
    buf_append(out, j->cluster_id, 16);
    buf_append_u32(out, j->node);
    buf_append_u8(out, (u8)j->member_count);
    for (u32 i = 0; i < j->member_count; i++) {
        buf_append_u32(out, j->members[i].node);
        put_text(out, j->members[i].peer);
    }
}

err join_reply_decode(str body, struct join_reply *out)
{
    struct reader r = reader_of(body);

    out->status = reader_u8(&r);
    out->reason = get_text(&r);
    str cluster = reader_str(&r, 16);
    if (r.bad) return ERR_MALFORMED;
    mem_copy(out->cluster_id, cluster.at, 16);
    out->node = reader_u32(&r);
    out->member_count = reader_u8(&r);
    if (out->member_count > JOIN_MEMBERS_MAX) return ERR_MALFORMED;
    for (u32 i = 0; i < out->member_count; i++) {
        out->members[i].node = reader_u32(&r);
        out->members[i].peer = get_text(&r);
    }
    return reader_end(&r);
}
