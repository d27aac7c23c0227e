/* See cost.h. docs/formats/peer.md has the bytes. */
#include "consistency/cost.h"

void cost_encode(const struct cost *c, struct buf *out)
{
    buf_append_u64(out, level_to_u64(c->level));
    buf_append_u32(out, (u32)c->served_by);
    buf_append_u64(out, c->term);
    buf_append_u64(out, c->index);
    buf_append_u64(out, c->stale_us);
    buf_append_u32(out, c->queued_us);
    buf_append_u32(out, c->replicated_us);
    buf_append_u32(out, c->waited_us);
    buf_append_u16(out, c->trips);
    buf_append_u16(out, c->flushes);
    buf_append_u8(out, c->in_memory);
    buf_append_u8(out, c->node_count);
    for (u32 i = 0; i < c->node_count; i++) buf_append_u32(out, (u32)c->nodes[i]);
}

err cost_decode(str bytes, struct cost *out)
{
    struct reader r = reader_of(bytes);

    *out = (struct cost){0};
    bool known = level_from_u64(reader_u64(&r), &out->level);
    out->served_by = reader_u32(&r);
    out->term = reader_u64(&r);
    out->index = reader_u64(&r);
    out->stale_us = reader_u64(&r);
    out->queued_us = reader_u32(&r);
    out->replicated_us = reader_u32(&r);
    out->waited_us = reader_u32(&r);
    out->trips = reader_u16(&r);
    out->flushes = reader_u16(&r);
    out->in_memory = reader_u8(&r) != 0;
    u32 count = reader_u8(&r);
    if (!known || count > COST_NODES_MAX) return ERR_MALFORMED;
    out->node_count = (u8)count;
    for (u32 i = 0; i < count; i++) out->nodes[i] = reader_u32(&r);
    return reader_end(&r);
}
