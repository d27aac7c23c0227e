#include "wire/peer/frame.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc.h"
#include "base/mutant.h"

/* Offsets inside the header; docs/formats/peer.md draws it. */
enum {
    AT_LEN = 0,
    AT_TYPE = 4,
    AT_VERSION = 6,
    AT_FLAGS = 7,
    AT_HEADER_CRC = 8,
    AT_BODY_CRC = 12,
    AT_PART = 16,
    AT_SRC_NODE = 24,
    AT_SRC_BOOT = 28,
    AT_DST_NODE = 32,
    AT_DST_BOOT = 36,
    AT_REQ = 40,
    AT_SRC_REPL = 48,
    AT_DST_REPL = 52,
    AT_DEADLINE = 56,
    AT_MAP_EPOCH = 60,
};

size_t frame_begin(struct buf *out, const struct frame *f)
{
    size_t place = out->len;
    u8 *h = buf_reserve(out, FRAME_HEADER_BYTES);

    memset(h, 0, FRAME_HEADER_BYTES);
    put_u16(h + AT_TYPE, f->type);
    h[AT_VERSION] = FRAME_VERSION;
    put_u64(h + AT_PART, f->part);
    put_u32(h + AT_SRC_NODE, f->src_node);
    put_u32(h + AT_SRC_BOOT, f->src_boot);
    put_u32(h + AT_DST_NODE, f->dst_node);
    put_u32(h + AT_DST_BOOT, f->dst_boot);
    put_u64(h + AT_REQ, f->req);
    put_u32(h + AT_SRC_REPL, f->src_repl);
    put_u32(h + AT_DST_REPL, f->dst_repl);
    put_u32(h + AT_DEADLINE, f->deadline_ms);
    put_u32(h + AT_MAP_EPOCH, f->map_epoch);
    buf_extend(out, FRAME_HEADER_BYTES);
    return place;
}

/* The header's checksum covers it with its own field as zero; length and body checksum are inside.
 */
static u32 header_crc(const u8 *h)
{
    static const u8 zero[4];
    u32 crc = crc32c(h, AT_HEADER_CRC);
    crc = crc32c_more(crc, zero, 4);
    return crc32c_more(crc, h + AT_BODY_CRC, FRAME_HEADER_BYTES - AT_BODY_CRC);
}

void frame_end(struct buf *out, size_t place)
{
    u8 *h = buf_bytes(out) + place;
    size_t body = out->len - place - FRAME_HEADER_BYTES;

    assert(out->len >= place + FRAME_HEADER_BYTES);
    assert(body <= UINT32_MAX - FRAME_HEADER_BYTES);
    put_u32(h + AT_LEN, (u32)(FRAME_HEADER_BYTES + body));
    put_u32(h + AT_BODY_CRC, crc32c(h + FRAME_HEADER_BYTES, body));
    put_u32(h + AT_HEADER_CRC, header_crc(h));
}

enum frame_status frame_parse(str input, size_t bytes_max, struct frame *out, str *body,
                              size_t *consumed)
{
    const u8 *h = input.at;

    if (input.len < FRAME_HEADER_BYTES) return FRAME_INCOMPLETE;
    if (get_u32(h + AT_HEADER_CRC) != header_crc(h)) return FRAME_BAD;
    if (h[AT_VERSION] != FRAME_VERSION) return FRAME_BAD;
    size_t len = get_u32(h + AT_LEN);
    if (len < FRAME_HEADER_BYTES || len > bytes_max) return FRAME_BAD;
    if (input.len < len) return FRAME_INCOMPLETE;

    *body = str_from(h + FRAME_HEADER_BYTES, len - FRAME_HEADER_BYTES);
    if (get_u32(h + AT_BODY_CRC) != crc32c(body->at, body->len) && !MUTANT(frame_checksum_ignored)) return FRAME_BAD;
    *out = (struct frame){
        .type = get_u16(h + AT_TYPE),
        .part = get_u64(h + AT_PART),
        .src_node = get_u32(h + AT_SRC_NODE),
        .src_boot = get_u32(h + AT_SRC_BOOT),
        .dst_node = get_u32(h + AT_DST_NODE),
        .dst_boot = get_u32(h + AT_DST_BOOT),
        .req = get_u64(h + AT_REQ),
        .src_repl = get_u32(h + AT_SRC_REPL),
        .dst_repl = get_u32(h + AT_DST_REPL),
        .deadline_ms = get_u32(h + AT_DEADLINE),
        .map_epoch = get_u32(h + AT_MAP_EPOCH),
    };
    *consumed = len;
    return FRAME_READY;
}

void hello_encode(const struct hello *h, struct buf *out)
{
    buf_append(out, h->cluster_id, 16);
    buf_append(out, h->incarnation, 16);
    buf_append_u32(out, h->version_min);
    buf_append_u32(out, h->version_max);
    buf_append_u8(out, h->channel);
    buf_append_u8(out, h->blank);
    buf_append_u16(out, h->redis_port);
    buf_append_u16(out, h->admin_port);
    buf_append_u64(out, h->pid);
}

err hello_decode(str body, struct hello *out)
{
    struct reader r = reader_of(body);
    str cluster = reader_str(&r, 16), incarnation = reader_str(&r, 16);

    if (r.bad) return ERR_MALFORMED;
    mem_copy(out->cluster_id, cluster.at, 16);
    mem_copy(out->incarnation, incarnation.at, 16);
    out->version_min = reader_u32(&r);
    out->version_max = reader_u32(&r);
    out->channel = reader_u8(&r);
    out->blank = reader_u8(&r) != 0;
    out->redis_port = reader_u16(&r);
    out->admin_port = reader_u16(&r);
    out->pid = reader_u64(&r);
    return reader_end(&r);
}

void status_encode(const struct status *s, struct buf *out)
{
    buf_append_u32(out, s->role);
    buf_append_u32(out, s->leader);
    buf_append_u64(out, s->pid);
    buf_append_u64(out, s->term);
    buf_append_u64(out, s->commit);
    buf_append_u64(out, s->applied);
    buf_append_u16(out, s->redis_port);
    buf_append_u8(out, s->blank);
}

err status_decode(str body, struct status *out)
{
    struct reader r = reader_of(body);

    out->role = reader_u32(&r);
    out->leader = reader_u32(&r);
    out->pid = reader_u64(&r);
    out->term = reader_u64(&r);
    out->commit = reader_u64(&r);
    out->applied = reader_u64(&r);
    out->redis_port = reader_u16(&r);
    out->blank = reader_u8(&r) != 0;
    return reader_end(&r);
}

void forward_encode(const struct forward *f, struct buf *out)
{
    buf_append_u8(out, f->kind);
    buf_append_u8(out, f->wants_cost);
    buf_append_u64(out, f->level);
    buf_append_u64(out, f->floor);
    buf_append_u64(out, f->after);
    buf_append_u64(out, f->index);
    buf_append_u32(out, f->replicas);
    buf_append_str(out, f->entry);
}

err forward_decode(str body, struct forward *out)
{
    struct reader r = reader_of(body);

    out->kind = reader_u8(&r);
    out->wants_cost = reader_u8(&r) != 0;
    out->level = reader_u64(&r);
    out->floor = reader_u64(&r);
    out->after = reader_u64(&r);
    out->index = reader_u64(&r);
    out->replicas = reader_u32(&r);
    out->entry = reader_str(&r, reader_left(&r));
    return reader_end(&r);
}

void forward_reply_encode(const struct forward_reply *f, struct buf *out)
{
    buf_append_u8(out, f->status);
    buf_append_u32(out, f->leader);
    buf_append_u64(out, f->index);
    buf_append_u64(out, f->hlc);
    buf_append_u8(out, (u8)f->cost.len);
    buf_append_str(out, f->cost);
    buf_append_str(out, f->reply);
}

err forward_reply_decode(str body, struct forward_reply *out)
{
    struct reader r = reader_of(body);

    out->status = reader_u8(&r);
    out->leader = reader_u32(&r);
    out->index = reader_u64(&r);
    out->hlc = reader_u64(&r);
    out->cost = reader_str(&r, reader_u8(&r));
    out->reply = reader_str(&r, reader_left(&r));
    return reader_end(&r);
}

void read_index_reply_encode(const struct read_index_reply *ri, struct buf *out)
{
    buf_append_u8(out, ri->refused);
    buf_append_u64(out, ri->index);
    buf_append_u64(out, ri->term);
}

err read_index_reply_decode(str body, struct read_index_reply *out)
{
    struct reader r = reader_of(body);

    out->refused = reader_u8(&r) != 0;
    out->index = reader_u64(&r);
    out->term = reader_u64(&r);
    return reader_end(&r);
}

void ping_encode(const struct ping *p, struct buf *out)
{
    buf_append_u64(out, p->sent_at);
    buf_append_u64(out, p->lease);
}

err ping_decode(str body, struct ping *out)
{
    struct reader r = reader_of(body);

    out->sent_at = reader_u64(&r);
    out->lease = reader_u64(&r);
    out->withdrawn = 0;
    return reader_end(&r);
}

void pong_encode(const struct ping *p, struct buf *out)
{
    ping_encode(p, out);
    buf_append_u32(out, p->withdrawn);
}

err pong_decode(str body, struct ping *out)
{
    struct reader r = reader_of(body);

    out->sent_at = reader_u64(&r);
    out->lease = reader_u64(&r);
    out->withdrawn = reader_u32(&r);
    return reader_end(&r);
}

void snapshot_chunk_encode(const struct snapshot_chunk *c, struct buf *out)
{
    buf_append_u64(out, c->term);
    buf_append_u64(out, c->snap_id);
    buf_append_u64(out, c->index);
    buf_append_u64(out, c->index_term);
    buf_append_u64(out, c->seq);
    buf_append_u8(out, c->last);
    buf_append_str(out, c->rows);
}

err snapshot_chunk_decode(str body, struct snapshot_chunk *out)
{
    struct reader r = reader_of(body);

    out->term = reader_u64(&r);
    out->snap_id = reader_u64(&r);
    out->index = reader_u64(&r);
    out->index_term = reader_u64(&r);
    out->seq = reader_u64(&r);
    out->last = reader_u8(&r) != 0;
    out->rows = reader_str(&r, reader_left(&r));
    return reader_end(&r);
}

void snapshot_ack_encode(const struct snapshot_ack *a, struct buf *out)
{
    buf_append_u64(out, a->term);
    buf_append_u64(out, a->snap_id);
    buf_append_u64(out, a->next_seq);
    buf_append_u8(out, a->status);
}

err snapshot_ack_decode(str body, struct snapshot_ack *out)
{
    struct reader r = reader_of(body);

    out->term = reader_u64(&r);
    out->snap_id = reader_u64(&r);
    out->next_seq = reader_u64(&r);
    out->status = reader_u8(&r);
    return reader_end(&r);
}
