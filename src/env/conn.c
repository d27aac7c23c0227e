/* One TCP connection of the real env: reading straight into the owner's `in`, sending from its
 * `out`, and the one CLOSED at its end. Callbacks record events in conn.pending, in the order of
 * enum env_event_kind, which is also the order in which a connection can see them. */
#include "env/real.h"

#include "base/assert.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

enum { KEEPALIVE_SECONDS = 60, DISCARD_BYTES_MAX = 1024 * 1024 };

err err_from_uv(int status)
{
    assert(status < 0);
    switch (status) {
    case UV_EOF: return ERR_CLOSED;
    case UV_ECANCELED: return ERR_CANCELLED;
    case UV_EAI_AGAIN:
    case UV_EAI_FAIL:
    case UV_EAI_NODATA:
    case UV_EAI_NONAME: return ERR_NOT_FOUND;
    case UV_EADDRNOTAVAIL: return ERR_INVALID;
    default: return err_from_errno(-status);
    }
}

static void conn_post(struct conn *c, enum env_event_kind kind)
{
    c->pending |= BIT(kind);
    if (list_is_empty(&c->ready)) list_push(&c->env->ready, &c->ready);
}

static void conn_touch(struct conn *c)
{
    if (list_is_empty(&c->touched)) list_push(&c->env->touched, &c->touched);
}

struct conn *conn_new(struct real_env *r)
{
    struct conn *c = mem_zalloc(sizeof *c);

    c->env = r;
    c->read_bytes = READ_BYTES_MIN;
    list_init(&c->ready);
    list_init(&c->touched);
    list_push(&r->conns, &c->all);
    uv_tcp_init(&r->loop, &c->tcp);
    c->tcp.data = c;
    return c;
}

void conn_adopt(struct conn *c, struct stream *s)
{
    assert(!c->stream);
    assert(!s->impl);
    c->stream = s;
    s->impl = c;
}

/* --- memory of idle connections --- */

static void block_lend(struct spare_blocks *spare, struct buf *b)
{
    if (b->data || spare->count == 0) return;
    b->data = spare->blocks[--spare->count];
    b->cap = READ_BYTES_MIN;
}

static void block_return(struct spare_blocks *spare, struct buf *b, bool keep)
{
    if (!b->data || b->len || (keep && b->cap <= KEPT_BYTES_MAX)) return;
    if (b->cap == READ_BYTES_MIN && spare->count < SPARE_BLOCKS_MAX) {
        spare->blocks[spare->count++] = b->data;
        *b = (struct buf){.limit = b->limit};
    } else {
        buf_done(b);
    }
}

/* --- reading --- */

static bool in_has_room(const struct conn *c)
{
    const struct buf *in = &c->stream->in;
    return !in->limit || in->len < in->limit;
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct conn *c = handle->data;
    struct buf *in = &c->stream->in;

    (void)suggested;
    assert(in_has_room(c));
    block_lend(&c->env->spare, in);
    block_lend(&c->env->spare, &c->stream->out); /* an answer is likely */
    conn_touch(c);
    size_t wanted = size_min(c->read_bytes, buf_room(in));
    out->base = (char *)buf_reserve(in, wanted);
    out->len = wanted;
}

static void reading_stop(struct conn *c)
{
    if (!c->reading) return;
    uv_read_stop((uv_stream_t *)&c->tcp);
    c->reading = false;
}

/* Large requests are read in large steps, small ones do not make every buffer large. */
static void adapt_read_size(struct conn *c, size_t offered, size_t got)
{
    if (got == offered) c->read_bytes = size_min(c->read_bytes * 2, READ_BYTES_MAX);
    else if (got < c->read_bytes / 4) c->read_bytes = size_max(c->read_bytes / 2, READ_BYTES_MIN);
}

static void on_read(uv_stream_t *handle, ssize_t got, const uv_buf_t *room)
{
    struct conn *c = handle->data;

    if (got == 0) return;
    if (got == UV_EOF) { /* perhaps only of its direction: shutdown(2), `nc -N` */
        c->ended = true;
        reading_stop(c);
        conn_post(c, ENV_ENDED);
        return;
    }
    if (got < 0) {
        conn_close(c, err_from_uv((int)got));
        return;
    }
    buf_extend(&c->stream->in, (size_t)got);
    adapt_read_size(c, room->len, (size_t)got);
    conn_post(c, ENV_RECEIVED);
    if (in_has_room(c)) return;
    c->full = true;
    reading_stop(c);
}

static void reading_resume(struct conn *c)
{
    if (c->state != CONN_OPEN || c->reading || c->paused || c->ended) return;
    if (!in_has_room(c)) return;
    c->full = false;
    int status = uv_read_start((uv_stream_t *)&c->tcp, on_room, on_read);
    if (status < 0) conn_close(c, err_from_uv(status));
    else c->reading = true;
}

/* --- sending --- */

/* Closing a socket that holds unread bytes sends a reset, which can destroy the last reply on its
 * way. */
static void discard_unread(struct conn *c)
{
    u8 scrap[16 * 1024];
    size_t total = 0;
    int fd;

    if (uv_fileno((uv_handle_t *)&c->tcp, &fd)) return;
    while (total < DISCARD_BYTES_MAX) {
        ssize_t got = recv(fd, scrap, sizeof scrap, MSG_DONTWAIT);
        if (got <= 0) return;
        total += (size_t)got;
    }
}

static void sent_all(struct conn *c)
{
    if (c->state == CONN_FLUSHING) {
        discard_unread(c);
        conn_close(c, OK);
    } else if (c->blocked) {
        c->blocked = false;
        conn_post(c, ENV_DRAINED);
    }
}

static void send_out(struct conn *c);

static void on_written(uv_write_t *write, int status)
{
    struct conn *c = write->handle->data;

    c->writing = false;
    buf_clear(&c->in_flight);
    block_return(&c->env->spare, &c->in_flight, false);
    if (c->state == CONN_CLOSING) return;
    if (status < 0) conn_close(c, err_from_uv(status));
    else send_out(c);
}

/* Hand `out` to the kernel. What it does not take becomes in_flight, and what the owner appends
 * meanwhile waits in a fresh `out` behind it, so libuv's bytes never move. */
static void send_out(struct conn *c)
{
    struct buf *out = &c->stream->out;

    assert(!c->writing);
    if (out->len) {
        uv_buf_t bytes = uv_buf_init((char *)buf_bytes(out), (u32)size_min(out->len, INT32_MAX));
        int sent = uv_try_write((uv_stream_t *)&c->tcp, &bytes, 1);
        if (sent < 0 && sent != UV_EAGAIN) {
            conn_close(c, err_from_uv(sent));
            return;
        }
        buf_consume(out, sent > 0 ? (size_t)sent : 0);
    }
    conn_touch(c);
    if (out->len == 0) {
        sent_all(c);
        return;
    }
    c->in_flight = *out;
    *out = (struct buf){.limit = c->in_flight.limit};
    c->blocked = c->writing = true;
    uv_buf_t rest = {(char *)buf_bytes(&c->in_flight), c->in_flight.len};
    int status = uv_write(&c->write, (uv_stream_t *)&c->tcp, &rest, 1, on_written);
    if (status == 0) return;
    c->writing = false;
    conn_close(c, err_from_uv(status));
}

void conn_open(struct conn *c)
{
    c->state = CONN_OPEN;
    uv_tcp_nodelay(&c->tcp, 1);
    uv_tcp_keepalive(&c->tcp, 1, KEEPALIVE_SECONDS);
    reading_resume(c);
    if (c->state == CONN_OPEN && c->stream->out.len) send_out(c); /* flushed while connecting */
}

void conn_flush(struct env *env, struct stream *s)
{
    struct conn *c = s->impl;

    (void)env;
    if (!c || c->state != CONN_OPEN) return;
    if (!c->writing && s->out.len) send_out(c);
    conn_touch(c);
    reading_resume(c);
}

void conn_pause(struct env *env, struct stream *s, bool paused)
{
    struct conn *c = s->impl;

    (void)env;
    if (!c || c->state == CONN_CLOSING || c->state == CONN_CLOSED) return;
    c->paused = paused;
    if (paused) reading_stop(c);
    else reading_resume(c);
}

/* --- the end --- */

void conn_free_if_over(struct conn *c)
{
    if (!c->handle_closed || c->resolving || c->stream) return;
    buf_done(&c->in_flight);
    list_remove(&c->all);
    list_remove(&c->ready);
    list_remove(&c->touched);
    mem_free(c);
}

static void on_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;

    c->handle_closed = true;
    c->state = CONN_CLOSED;
    if (c->stream) conn_post(c, ENV_CLOSED);
    conn_free_if_over(c);
}

void conn_close(struct conn *c, err result)
{
    if (c->state == CONN_CLOSING || c->state == CONN_CLOSED) return;
    c->reading = false;
    c->state = CONN_CLOSING;
    c->result = result;
    if (c->resolving) uv_cancel((uv_req_t *)&c->resolve); /* its callback comes either way */
    uv_close((uv_handle_t *)&c->tcp, on_closed);
}

void conn_close_stream(struct env *env, struct stream *s, bool flush_first)
{
    struct conn *c = s->impl;

    (void)env;
    if (!c || c->state == CONN_CLOSING || c->state == CONN_CLOSED) {
        if (c)
            c->pending &= BIT(ENV_CLOSED); /* what came before the close is not wanted any more */
        return;
    }
    c->pending = 0;
    list_remove(&c->ready);
    reading_stop(c);
    if (!flush_first || (c->state != CONN_OPEN && c->state != CONN_FLUSHING)) {
        conn_close(c, OK);
        return;
    }
    bool already = c->state == CONN_FLUSHING;
    c->state = CONN_FLUSHING;
    if (!already && !c->writing) send_out(c);
}

void conn_peer_name(struct env *env, struct stream *s, char *out, size_t size)
{
    struct conn *c = s->impl;
    struct sockaddr_storage address;
    int bytes = sizeof address;
    char host[INET6_ADDRSTRLEN] = "?";
    u16 port;

    (void)env;
    if (!c || c->state >= CONN_CLOSING ||
        uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&address, &bytes)) {
        snprintf(out, size, "?");
    } else if (address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)&address;
        uv_ip6_name(v6, host, sizeof host);
        port = ntohs(v6->sin6_port);
        snprintf(out, size, "[%s]:%u", host, port);
    } else {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)&address;
        uv_ip4_name(v4, host, sizeof host);
        port = ntohs(v4->sin_port);
        snprintf(out, size, "%s:%u", host, port);
    }
}

void conn_forget_owners(struct real_env *r)
{
    LIST_EACH_SAFE(at, &r->conns)
    {
        struct conn *c = CONTAINER_OF(at, struct conn, all);
        bool over = c->handle_closed && !c->resolving;
        reading_stop(c);
        c->stream = NULL;
        if (over) conn_free_if_over(c);
        else conn_close(c, ERR_CANCELLED);
    }
}

/* --- the turn's side --- */

bool conn_next_event(struct real_env *r, struct env_event *out)
{
    struct list *at;

    while ((at = list_first(&r->ready))) {
        struct conn *c = CONTAINER_OF(at, struct conn, ready);
        if (c->pending == 0) {
            list_remove(&c->ready);
            continue;
        }
        enum env_event_kind kind = (enum env_event_kind)__builtin_ctz(c->pending);
        c->pending &= ~BIT(kind);
        if (!c->pending) list_remove(&c->ready);
        *out = (struct env_event){.kind = kind, .stream = c->stream};
        if (kind == ENV_CLOSED) {
            out->result = c->result;
            c->stream->impl = NULL;
            c->stream = NULL;
            conn_free_if_over(c);
        }
        return true;
    }
    return false;
}

void conn_settle(struct real_env *r)
{
    LIST_EACH_SAFE(at, &r->touched)
    {
        struct conn *c = CONTAINER_OF(at, struct conn, touched);
        if (c->stream && c->state != CONN_CLOSED) {
            reading_resume(c);
            block_return(&r->spare, &c->stream->in, c->stream->keeps_buffers);
            block_return(&r->spare, &c->stream->out, c->stream->keeps_buffers);
        }
        if (!c->full) list_remove(&c->touched);
    }
}
