#include "wire/peer/map.h"

void map_pull_encode(const struct map_pull *p, struct buf *out)
{
    buf_append_u8(out, p->pages);
    buf_append_u8(out, p->kind);
    buf_append_u64(out, p->since);
    buf_append_u64(out, p->id);
}

err map_pull_decode(str body, struct map_pull *out)
{
    struct reader r = reader_of(body);

    out->pages = reader_u8(&r) != 0;
    out->kind = reader_u8(&r);
    out->since = reader_u64(&r);
    out->id = reader_u64(&r);
    return reader_end(&r);
}

void group_report_encode(const struct group_report *g, struct buf *out)
{
    buf_append_u64(out, g->part);
    buf_append_u64(out, g->term);
    buf_append_u32(out, g->leader);
    buf_append_u64(out, g->bytes);
    buf_append_u64(out, g->load);
    buf_append_u8(out, (u8)g->caught_up_count);
    for (u32 i = 0; i < g->caught_up_count; i++) buf_append_u32(out, g->caught_up[i]);
}

bool group_report_next(struct reader *r, struct group_report *out)
{
    if (r->bad || !reader_left(r)) return false;
    *out = (struct group_report){.part = reader_u64(r)};
    out->term = reader_u64(r);
    out->leader = reader_u32(r);
    out->bytes = reader_u64(r);
    out->load = reader_u64(r);
    out->caught_up_count = reader_u8(r);
    if (out->caught_up_count > REPORT_CAUGHT_UP_MAX) r->bad = true;
    for (u32 i = 0; i < out->caught_up_count && !r->bad; i++) out->caught_up[i] = reader_u32(r);
    return !r->bad;
}
