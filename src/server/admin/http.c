/* HTTP/1.1 (RFC 9112), parsed by llhttp: GET and HEAD without a body, POST with a short one of
 * parameters. Requests may be pipelined; the parser is stopped after each so that the answers are
 * written one by one. */
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
    c->body_bytes = 0;
    c->name_bytes = 0;
    c->from_browser = false;
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

static int on_header_name(llhttp_t *p, const char *at, size_t bytes)
{
    struct admin_client *c = client_of(p);

    for (size_t i = 0; i < bytes; i++) {
        if (c->name_bytes < sizeof c->name) c->name[c->name_bytes] = at[i];
        c->name_bytes += c->name_bytes <= sizeof c->name;
    }
    return count_head(c, bytes);
}

/* A browser names the page that asks; a page has nothing to command here (cross-site request
 * forgery). */
static int on_header_name_complete(llhttp_t *p)
{
    struct admin_client *c = client_of(p);

    if (str_is_word(str_from(c->name, size_min(c->name_bytes, sizeof c->name)), "origin"))
        c->from_browser = true;
    c->name_bytes = 0;
    return 0;
}

static int on_header_value(llhttp_t *p, const char *at, size_t bytes)
{
    (void)at;
    return count_head(client_of(p), bytes);
}

static int on_headers_complete(llhttp_t *p)
{
    struct admin_client *c = client_of(p);

    if (p->flags & F_CHUNKED) return refuse(c, HTTP_STATUS_LENGTH_REQUIRED);
    if (p->content_length > (p->method == HTTP_POST ? sizeof c->body : 0))
        return refuse(c, HTTP_STATUS_PAYLOAD_TOO_LARGE);
    if (p->method == HTTP_POST && c->from_browser) return refuse(c, HTTP_STATUS_FORBIDDEN);
    return 0;
}

static int on_body(llhttp_t *p, const char *at, size_t bytes)
{
    struct admin_client *c = client_of(p);

    assert(c->body_bytes + bytes <= sizeof c->body);
    mem_copy(c->body + c->body_bytes, at, bytes);
    c->body_bytes += (u32)bytes;
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
    .on_header_field = on_header_name,
    .on_header_field_complete = on_header_name_complete,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
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
        {307, "Temporary Redirect"},
        {400, "Bad Request"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {409, "Conflict"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {431, "Request Header Fields Too Large"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };

    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (reasons[i].status == status) return reasons[i].reason;
    return "";
}

static void write_reply(struct admin_client *c, const struct admin_reply *r, bool with_body)
{
    struct buf *out = &c->stream.out;

    buf_printf(out, "HTTP/1.1 %u %s\r\n", r->status, reason_of(r->status));
    buf_printf(out, "Content-Type: %s\r\n", r->type);
    if (c->rows)
        buf_append_text(out, "Transfer-Encoding: chunked\r\n");
    else
        buf_printf(out, "Content-Length: %zu\r\n", r->body.len);
    if (r->location[0]) buf_printf(out, "Location: %s\r\n", r->location);
    if (r->allow) buf_printf(out, "Allow: %s\r\n", r->allow);
    if (!c->keep_alive)
        buf_append_text(out, "Connection: close\r\n");
    else if (c->parser.http_minor == 0)
        buf_append_text(out, "Connection: keep-alive\r\n");
    buf_append_text(out, "Cache-Control: no-store\r\n\r\n");
    if (with_body) buf_append_str(out, buf_str(&r->body));
    c->closing = !c->keep_alive && !c->rows;
    admin_set_deadline(c, ADMIN_IDLE_TIME);
    admin_touch(c);
}

static bool take_params(struct admin_client *c, const char *query, struct admin_params *params)
{
    const char *end = c->url + c->url_bytes;

    if (query && !admin_params_add(params, str_from(query + 1, (size_t)(end - query - 1))))
        return false;
    return admin_params_add(params, str_from(c->body, c->body_bytes));
}

static void answer_request(struct admin_client *c)
{
    struct admin_reply reply = {.status = 200, .type = "text/plain; charset=utf-8"};
    struct admin_params params = {.count = 0};
    const char *query = memchr(c->url, '?', c->url_bytes);
    struct admin_request r = {
        .door = c->door,
        .client = c,
        .is_post = c->parser.method == HTTP_POST,
        .path = str_from(c->url, query ? (size_t)(query - c->url) : c->url_bytes),
        .params = &params,
        .reply = &reply,
    };
    bool is_answered = true;

    buf_init(&reply.body, 0);
    c->is_head = c->parser.method == HTTP_HEAD;
    c->door->stats.requests++;
    if (c->parser.method != HTTP_GET && !c->is_head && !r.is_post) {
        reply.status = 405;
        reply.allow = "GET, HEAD, POST";
        buf_append_text(&reply.body, "only GET, HEAD and POST are answered here\n");
    } else if (!take_params(c, query, &params)) {
        admin_refuse(&reply, 400, "INVALID",
                     "parameters are name=value&name=value, at most %d, with %%XX for other bytes",
                     ADMIN_PARAMS_MAX);
    } else {
        is_answered = admin_answer(&r);
    }
    if (is_answered) write_reply(c, &reply, !c->is_head);
    buf_done(&reply.body);
}

void admin_http_answered(struct admin_client *c, const struct admin_reply *r)
{
    assert(!c->ask);
    if (c->closed) return;
    c->in_request = false;
    write_reply(c, r, !c->is_head);
    if (c->ended) c->closing = true;
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

/* A block at a time, so that no turn is long; the next when the client has taken this one. */
static void go_on_with_rows(struct admin_client *c)
{
    if (c->stream.out.len >= ADMIN_OUTPUT_PAUSE || c->closed) return;
    admin_set_deadline(c, ADMIN_IDLE_TIME);
    admin_touch(c);
    if (!admin_rows_next(c)) {
        c->keep_alive = false;
    } else if (!admin_rows_ended(c)) {
        return;
    }
    admin_rows_free(c);
    c->closing = !c->keep_alive || c->ended;
}

void admin_http_work(struct admin_client *c)
{
    struct buf *in = &c->stream.in;

    if (c->rows) go_on_with_rows(c);
    while (in->len && !c->ask && !c->rows && !c->closing && !c->closed &&
           c->stream.out.len < ADMIN_OUTPUT_PAUSE) {
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
        if (c->rows && c->is_head) admin_rows_free(c);
        c->in_request = c->ask != NULL; /* its time goes on */
    }
}
