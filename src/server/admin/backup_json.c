/* /v1/backup: hold, cut, state, end; and the rows of a group's cut, block by block as the client
 * takes them. */
#include "server/admin/admin_internal.h"

#include "base/bytes.h"
#include "base/crc.h"
#include "base/mem.h"
#include "part/part.h"
#include "server/backup.h"

#define BLOCK_BYTES (256 * KIB)

struct list_writer {
    struct buf *out;
    u32 count;
};

static void put_group(void *context, const struct backup_group *g)
{
    static const char *const states[] = {"none", "held", "logged", "writing", "ready", "failed"};
    struct list_writer *w = context;
    bool first = true;

    if (w->count++) buf_append_u8(w->out, ',');
    buf_append_u8(w->out, '{');
    json_put_number(w->out, &first, "group", g->group);
    json_put_text(w->out, &first, "state", str_of(states[g->state]));
    json_put_number(w->out, &first, "hlc", g->hlc);
    json_put_number(w->out, &first, "stamp", g->stamp);
    json_put_number(w->out, &first, "index", g->index);
    buf_append_u8(w->out, '}');
}

static struct list_writer begin(struct admin_request *r)
{
    bool first = true;

    r->reply->type = "application/json";
    buf_append_u8(&r->reply->body, '{');
    json_put_number(&r->reply->body, &first, "node", node_config_of(r->door->node)->self);
    json_put_name(&r->reply->body, &first, "groups");
    buf_append_u8(&r->reply->body, '[');
    return (struct list_writer){.out = &r->reply->body};
}

static bool take_u64(struct admin_request *r, const char *name, u64 *out)
{
    i64 n;
    str text = admin_param(r->params, name);

    if (str_to_i64(text, &n) && n > 0) {
        *out = (u64)n;
        return true;
    }
    admin_refuse(r->reply, 400, "INVALID", "%s=NUMBER is needed", name);
    return false;
}

void admin_post_backup_hold(struct admin_request *r)
{
    u64 id, for_ms;

    if (!take_u64(r, "id", &id) || !take_u64(r, "for-ms", &for_ms)) return;
    struct list_writer w = begin(r);
    node_backup_hold(r->door->node, id, u64_min(for_ms, 1000000) * NANOS_MS, put_group, &w);
    buf_append_text(w.out, "]}\n");
}

void admin_post_backup_cut(struct admin_request *r)
{
    u64 id, stamp;

    if (!take_u64(r, "id", &id) || !take_u64(r, "stamp", &stamp)) return;
    struct list_writer w = begin(r);
    node_backup_cut(r->door->node, id, stamp, put_group, &w);
    buf_append_text(w.out, "]}\n");
}

void admin_get_backup(struct admin_request *r)
{
    struct list_writer w = begin(r);

    node_backup_state(r->door->node, put_group, &w);
    buf_append_text(w.out, "]}\n");
}

void admin_post_backup_end(struct admin_request *r)
{
    node_backup_end(r->door->node);
    struct list_writer w = begin(r);
    buf_append_text(w.out, "]}\n");
}

/* ---- rows ---- */

struct admin_rows {
    u64 group, stamp;
    struct buf cursor;
    u64 rows, bytes; /* so far, of rows */
    bool ended;
};

void admin_get_rows(struct admin_request *r)
{
    struct admin_rows *rows;
    i64 group;
    u64 stamp;

    if (!str_to_i64(r->name, &group) || group <= 0) {
        admin_refuse(r->reply, 400, "INVALID", "%.*s is not the number of a group",
                     STR_ARG(r->name));
        return;
    }
    if (!take_u64(r, "stamp", &stamp)) return;
    rows = mem_zalloc(sizeof *rows);
    rows->group = (u64)group;
    rows->stamp = stamp;
    r->client->rows = rows;
    r->reply->type = "application/octet-stream";
}

/* A block of the file: docs/formats/backup.md. The last one has no rows, and the totals. */
static void put_block(struct buf *out, u32 rows, str payload)
{
    u8 head[12];

    put_u32(head, (u32)payload.len);
    put_u32(head + 4, rows);
    put_u32(head + 8, crc32c_more(crc32c(head, 8), payload.at, payload.len));
    buf_printf(out, "%zx\r\n", sizeof head + payload.len);
    buf_append(out, head, sizeof head);
    buf_append_str(out, payload);
    buf_append_text(out, "\r\n");
}

bool admin_rows_next(struct admin_client *c)
{
    struct admin_rows *s = c->rows;
    struct buf block = {0};
    u32 rows = 0;
    bool last;

    err e = node_backup_rows(c->door->node, s->group, s->stamp, &s->cursor, BLOCK_BYTES, &block,
                             &rows, &last);
    if (!e && rows) put_block(&c->stream.out, rows, buf_str(&block));
    s->rows += rows;
    s->bytes += block.len;
    buf_done(&block);
    if (e) return false; /* the body breaks off: who reads it sees that */
    s->ended = last;
    if (!last) return true;
    u8 totals[16];
    put_u64(totals, s->rows);
    put_u64(totals + 8, s->bytes);
    put_block(&c->stream.out, 0, str_from(totals, sizeof totals));
    buf_append_text(&c->stream.out, "0\r\n\r\n");
    return true;
}

bool admin_rows_ended(const struct admin_client *c)
{
    return c->rows->ended;
}

void admin_rows_free(struct admin_client *c)
{
    if (!c->rows) return;
    buf_done(&c->rows->cursor);
    mem_free(c->rows);
    c->rows = NULL;
}
