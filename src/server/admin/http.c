/* HTTP/1.1 (RFC 9112) for GET and HEAD without a body, parsed by llhttp. Requests may be pipelined;
 * the parser is stopped after each so that the answers are written one by one. */
#include "server/admin/admin_internal.h"

#include <stdio.h>

static struct admin_client *client_of(llhttp_t *p)
{
    return p->data;
}

static int refuse(struct admin_client *c, u32 status)
{
    c->refused = status;
    return -1;
}

static int on_begin(llhttp_t *p)
{
    struct admin_client *c = client_of(p);

    c->head_bytes = 0;
    c->url_bytes = 0;
    return 0;
}

static int count_head(struct admin_client *c, size_t bytes)
{
    c->head_bytes += bytes;
    return c->head_bytes > ADMIN_HEAD_BYTES_MAX
               ? refuse(c, HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE)
               : 0;
}

static int on_url(llhttp_t *p, const char *at, size_t bytes)
{
    struct admin_client *c = client_of(p);

    if (c->url_bytes + bytes > sizeof c->url) return refuse(c, HTTP_STATUS_URI_TOO_LONG);
    mem_copy(c->url + c->url_bytes, at, bytes);
    c->url_bytes += (u32)bytes;
    return count_head(c, bytes);
}

static int on_header_bytes(llhttp_t *p, const char *at, size_t bytes)
{
    (void)at;
    return count_head(client_of(p), bytes);
}

static int on_headers_complete(llhttp_t *p)
{
    if (p->content_length > 0 || p->flags & F_CHUNKED)
        return refuse(client_of(p), HTTP_STATUS_PAYLOAD_TOO_LARGE);
    return 0;
}

static int on_complete(llhttp_t *p)
{
    client_of(p)->keep_alive = llhttp_should_keep_alive(p);
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_message_begin = on_begin,
    .on_url = on_url,
    .on_header_field = on_header_bytes,
    .on_header_value = on_header_bytes,
    .on_headers_complete = on_headers_complete,
    .on_message_complete = on_complete,
};

void admin_http_init(struct admin_client *c)
{
    llhttp_init(&c->parser, HTTP_REQUEST, &settings);
    c->parser.data = c;
}

static const char *reason_of(u32 status)
{
    static const struct {
        u32 status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {400, "Bad Request"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {431, "Request Header Fields Too Large"},
        {503, "Service Unavailable"},
    };

    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (reasons[i].status == status) return reasons[i].reason;
    return "";
}

static void write_reply(struct admin_client *c, const struct admin_reply *r, bool with_body)
{
    struct buf *out = &c->stream.out;

    buf_printf(out, "HTTP/1.1 %u %s\r\n", r->status, reason_of(r->status));
    buf_printf(out, "Content-Type: %s\r\nContent-Length: %zu\r\n", r->type, r->body.len);
    if (r->status == 405) buf_append_text(out, "Allow: GET, HEAD\r\n");
    if (!c->keep_alive)
        buf_append_text(out, "Connection: close\r\n");
    else if (c->parser.http_minor == 0)
        buf_append_text(out, "Connection: keep-alive\r\n");
    buf_append_text(out, "Cache-Control: no-store\r\n\r\n");
    if (with_body) buf_append_str(out, buf_str(&r->body));
    c->closing = !c->keep_alive;
    admin_set_deadline(c, ADMIN_IDLE_TIME);
    admin_touch(c);
}

static void answer_request(struct admin_client *c)
{
    struct admin_reply r = {.status = 200, .type = "text/plain; charset=utf-8"};
    const char *query = memchr(c->url, '?', c->url_bytes);
    str path = str_from(c->url, query ? (size_t)(query - c->url) : c->url_bytes);
    bool is_head = c->parser.method == HTTP_HEAD;

    buf_init(&r.body, 0);
    c->door->stats.requests++;
    if (c->parser.method != HTTP_GET && !is_head) {
        r.status = 405;
        buf_append_text(&r.body, "only GET and HEAD are answered here\n");
    } else {
        admin_answer(c->door, path, &r);
    }
    write_reply(c, &r, !is_head);
    buf_done(&r.body);
}

static void answer_bad(struct admin_client *c)
{
    struct admin_reply r = {.status = c->refused ? c->refused : 400,
                            .type = "text/plain; charset=utf-8"};

    buf_init(&r.body, 0);
    buf_printf(&r.body, "%s\n", reason_of(r.status));
    c->door->stats.bad_requests++;
    c->keep_alive = false;
    write_reply(c, &r, true);
    buf_done(&r.body);
    buf_clear(&c->stream.in);
}

void admin_http_work(struct admin_client *c)
{
    struct buf *in = &c->stream.in;

    while (in->len && !c->closing && !c->closed && c->stream.out.len < ADMIN_OUTPUT_PAUSE) {
        const char *from = (const char *)buf_bytes(in);
        if (!c->in_request) {
            c->in_request = true;
            admin_set_deadline(c, ADMIN_REQUEST_TIME);
        }
        llhttp_errno_t e = llhttp_execute(&c->parser, from, in->len);
        admin_touch(c); /* reading may have to be resumed */
        if (e == HPE_OK) {
            buf_clear(in);
            return;
        }
        if (e != HPE_PAUSED) {
            answer_bad(c);
            return;
        }
        buf_consume(in, (size_t)(llhttp_get_error_pos(&c->parser) - from));
        llhttp_resume(&c->parser);
        answer_request(c);
        c->in_request = false;
    }
}
