#include "cli/http.h"

#include "base/assert.h"
#include "cli/dial.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_BYTES_MAX = 16 * 1024, REDIRECTS_MAX = 4, BODY_BYTES_MAX = 256 << 20 };

static void say(struct http_answer *out, const char *format, ...) PRINTF_LIKE(2, 3);
static void say(struct http_answer *out, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(out->problem, sizeof out->problem, format, args);
    va_end(args);
}

static bool send_all(int fd, str bytes, u32 timeout_ms)
{
    while (bytes.len) {
        if (!dial_ready(fd, POLLOUT, timeout_ms)) return false;
        ssize_t part = send(fd, bytes.at, bytes.len, MSG_NOSIGNAL);
        if (part < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (part <= 0) return false;
        bytes = str_from(bytes.at + part, bytes.len - (size_t)part);
    }
    return true;
}

static bool send_request(int fd, const struct http_request *q)
{
    struct buf text = {0};

    buf_printf(&text, "%s %s HTTP/1.1\r\nHost: %s:%u\r\nConnection: close\r\n", q->method, q->path,
               q->place.host, q->place.port);
    if (q->body.len || strcmp(q->method, "GET") != 0)
        buf_printf(&text,
                   "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n",
                   q->body.len);
    buf_append_text(&text, "\r\n");
    bool sent = send_all(fd, buf_str(&text), q->timeout_ms) && send_all(fd, q->body, q->timeout_ms);
    buf_done(&text);
    return sent;
}

/* 1: more bytes; 0: the end; -1: too late or broken. */
static int receive(int fd, struct buf *in, u32 timeout_ms)
{
    for (;;) {
        if (!dial_ready(fd, POLLIN, timeout_ms)) return -1;
        ssize_t part = recv(fd, buf_reserve(in, 64 * 1024), 64 * 1024, 0);
        if (part > 0) {
            buf_extend(in, (size_t)part);
            return 1;
        }
        if (part == 0) return 0;
        if (errno != EAGAIN && errno != EINTR) return -1;
    }
}

struct head {
    u32 status;
    bool has_length, is_chunked;
    u64 length;
    char location[512];
};

static void take_header(struct head *h, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);

    if (!colon) return;
    size_t name = (size_t)(colon - line), from = name + 1;
    while (from < len && line[from] == ' ') from++;
    const char *value = line + from;
    if (name == 14 && strncasecmp(line, "content-length", 14) == 0) {
        h->has_length = true;
        h->length = strtoull(value, NULL, 10); /* the line ends with CR */
    } else if (name == 17 && strncasecmp(line, "transfer-encoding", 17) == 0) {
        h->is_chunked = len - from >= 7 && strncasecmp(value, "chunked", 7) == 0;
    } else if (name == 8 && strncasecmp(line, "location", 8) == 0) {
        snprintf(h->location, sizeof h->location, "%.*s", (int)(len - from), value);
    }
}

/* Bytes of a whole head, 0 if it is not whole yet. */
static size_t parse_head(const struct buf *in, struct head *h)
{
    const char *at = (const char *)buf_bytes(in);
    const char *end = in->len ? memmem(at, in->len, "\r\n\r\n", 4) : NULL;

    if (!end) return 0;
    if (sscanf(at, "HTTP/1.%*1[01] %3u", &h->status) != 1) h->status = 0;
    for (const char *line = at; line < end;) {
        const char *stop = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
        take_header(h, line, (size_t)(stop - line));
        line = stop + 2;
    }
    return (size_t)(end - at) + 4;
}

struct body {
    struct http_request *q;
    struct http_answer *out;
    u64 left; /* of the chunk, or of all */
    bool is_chunked, in_chunk, ended;
};

static bool give(struct body *b, str piece)
{
    if (b->q->take && b->out->status == 200) return b->q->take(b->q->context, piece);
    if (b->out->body.len + piece.len > BODY_BYTES_MAX) return false;
    buf_append_str(&b->out->body, piece);
    return true;
}

/* RFC 9112, 7.1: the size in hex, its bytes, an empty line; 0 ends it. False: not that. */
static bool take_chunk_size(struct body *b, struct buf *in, bool *is_short)
{
    const char *at = (const char *)buf_bytes(in);
    const char *end = in->len ? memmem(at, in->len, "\r\n", 2) : NULL;

    *is_short = !end;
    if (!end) return in->len < 32;
    size_t skip = (size_t)(end - at) + 2;
    if (skip == 2) { /* after the chunk before */
        buf_consume(in, 2);
        return true;
    }
    char *stop;
    b->left = strtoull(at, &stop, 16);
    if (stop == at) return false;
    b->ended = b->left == 0;
    b->in_chunk = !b->ended;
    buf_consume(in, skip);
    return true;
}

static bool take_body(struct body *b, struct buf *in)
{
    bool is_short = false;

    while (in->len && !b->ended && !is_short) {
        if (b->is_chunked && !b->in_chunk) {
            if (!take_chunk_size(b, in, &is_short)) return false;
            continue;
        }
        size_t bytes = (size_t)u64_min(in->len, b->left);
        if (!give(b, str_from(buf_bytes(in), bytes))) return false;
        buf_consume(in, bytes);
        b->left -= bytes;
        if (b->left) continue;
        b->in_chunk = false;
        b->ended = !b->is_chunked;
    }
    return true;
}

static void read_answer(int fd, struct http_request *q, struct http_answer *out, struct head *h)
{
    struct buf in = {0};
    size_t head_bytes = 0;
    int more = 1;

    while (!head_bytes && more > 0 && in.len < HEAD_BYTES_MAX) {
        more = receive(fd, &in, q->timeout_ms);
        head_bytes = parse_head(&in, h);
    }
    out->status = head_bytes ? h->status : 0;
    struct body b = {.q = q,
                     .out = out,
                     .is_chunked = h->is_chunked,
                     .left = h->has_length ? h->length : UINT64_MAX};
    b.ended = h->has_length && h->length == 0;
    if (head_bytes) buf_consume(&in, head_bytes);
    while (out->status && !b.ended && take_body(&b, &in) && !b.ended && more > 0)
        more = receive(fd, &in, q->timeout_ms);
    out->whole = b.ended || (!h->has_length && !h->is_chunked && more == 0);
    if (!out->status)
        say(out, "no HTTP answer from %s:%u within %u ms", q->place.host, q->place.port,
            q->timeout_ms);
    else if (!out->whole)
        say(out, "the answer of %s:%u broke off", q->place.host, q->place.port);
    buf_done(&in);
}

/* http://host:port/path: ask there instead. */
static bool follow(struct http_request *q, const char *location, char *path, size_t size)
{
    char host[NODE_HOST_MAX];
    unsigned port;
    int used = 0;

    _Static_assert(NODE_HOST_MAX == 64, "the width below");
    if (sscanf(location, "http://%63[^:/]:%u%n", host, &port, &used) != 2 || port > UINT16_MAX)
        return false;
    if (snprintf(path, size, "%s", location + used) >= (int)size) return false;
    snprintf(q->place.host, sizeof q->place.host, "%s", host);
    q->place.port = (u16)port;
    q->path = path;
    return true;
}

void http_ask(struct http_request *q, struct http_answer *out)
{
    char path[2048];

    *out = (struct http_answer){0};
    for (u32 i = 0; i <= REDIRECTS_MAX; i++) {
        struct head h = {0};
        int fd = dial_to(q->place.host, q->place.port, q->timeout_ms, out->problem,
                         sizeof out->problem);
        if (fd < 0) return;
        out->reached = true;
        if (send_request(fd, q))
            read_answer(fd, q, out, &h);
        else
            say(out, "%s:%u closed the connection", q->place.host, q->place.port);
        close(fd);
        if ((out->status != 307 && out->status != 308) || !follow(q, h.location, path, sizeof path))
            break;
        http_answer_done(out);
        out->reached = false;
    }
    q->path = NULL; /* it may be ours */
}

void http_answer_done(struct http_answer *a)
{
    buf_done(&a->body);
    a->status = 0;
}

u32 http_get(const char *host, u16 port, const char *path, int timeout_ms, char *body, size_t size)
{
    struct http_request q = {.method = "GET", .path = path, .timeout_ms = (u32)timeout_ms};
    struct http_answer a;

    snprintf(q.place.host, sizeof q.place.host, "%s", host);
    q.place.port = port;
    http_ask(&q, &a);
    if (size) snprintf(body, size, "%.*s", STR_ARG(buf_str(&a.body)));
    u32 status = a.status;
    http_answer_done(&a);
    return status;
}
