/* Listening, accepting and dialling. Accepted connections wait as ENV_ACCEPTED until the node takes
 * or refuses them; a host name is resolved off the loop. */
#include "env/real.h"

#include "base/assert.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>

enum { BACKLOG = 1024 };

/* A numeric address, or the name's; IPv4 first, because that is what `localhost` means to most. */
static err address_now(const char *host, u16 port, struct sockaddr_storage *out)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found, *best;
    char service[8];

    snprintf(service, sizeof service, "%u", port);
    if (getaddrinfo(host, service, &hints, &found)) return ERR_NOT_FOUND;
    best = found;
    for (struct addrinfo *a = found; a; a = a->ai_next) {
        if (a->ai_family != AF_INET) continue;
        best = a;
        break;
    }
    mem_copy(out, best->ai_addr, best->ai_addrlen);
    freeaddrinfo(found);
    return OK;
}

static bool address_is_numeric(const char *host, u16 port, struct sockaddr_storage *out)
{
    return uv_ip4_addr(host, port, (struct sockaddr_in *)(void *)out) == 0 ||
           uv_ip6_addr(host, port, (struct sockaddr_in6 *)(void *)out) == 0;
}

static u16 bound_port(const uv_tcp_t *tcp)
{
    struct sockaddr_storage address;
    int bytes = sizeof address;

    if (uv_tcp_getsockname(tcp, (struct sockaddr *)&address, &bytes)) return 0;
    if (address.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)&address)->sin6_port);
    return ntohs(((const struct sockaddr_in *)(const void *)&address)->sin_port);
}

/* --- listening --- */

static void on_arrival(uv_stream_t *handle, int status)
{
    struct listening *l = handle->data;
    struct real_env *r = l->env;

    if (status < 0) { /* out of file descriptors: libuv sheds the connection */
        if (l->accept_failures++ % 1000 == 0)
            env_log(&r->env, LOG_WARN,
                    "accept failed port=%u failures=%lu reason=\"%s\" remedy=\"raise the open-file "
                    "limit\"",
                    l->listener->port, l->accept_failures, uv_strerror(status));
        return;
    }
    struct conn *c = conn_new(r);
    status = uv_accept(handle, (uv_stream_t *)&c->tcp);
    if (status < 0) {
        conn_close(c, err_from_uv(status));
        return;
    }
    c->state = CONN_ARRIVED;
    c->listening = l;
    list_push(&r->arrived, &c->ready);
}

static void on_unlistened(uv_handle_t *handle) { mem_free(handle->data); }

err tcp_listen(struct env *env, const char *host, u16 port, struct listener *l)
{
    struct real_env *r = real_of(env);
    struct sockaddr_storage address;
    int status;

    assert(!l->impl);
    err e = address_now(host, port, &address);
    if (e) return e;

    struct listening *impl = mem_zalloc(sizeof *impl);
    impl->env = r;
    impl->listener = l;
    uv_tcp_init(&r->loop, &impl->tcp);
    impl->tcp.data = impl;
    list_push(&r->listening, &impl->all);
    status = uv_tcp_bind(&impl->tcp, (const struct sockaddr *)&address, 0); /* sets SO_REUSEADDR */
    if (!status) status = uv_listen((uv_stream_t *)&impl->tcp, BACKLOG, on_arrival);
    if (status) {
        if (status != UV_EADDRINUSE)
            env_log(env, LOG_ERROR, "listen failed host=%s port=%u reason=\"%s\"", host, port,
                    uv_strerror(status));
        list_remove(&impl->all);
        uv_close((uv_handle_t *)&impl->tcp, on_unlistened);
        return err_from_uv(status);
    }
    l->port = bound_port(&impl->tcp);
    l->impl = impl;
    return OK;
}

static void listening_close(struct listening *l)
{
    struct real_env *r = l->env;

    LIST_EACH_SAFE(at, &r->arrived)
    {
        struct conn *c = CONTAINER_OF(at, struct conn, ready);
        if (c->listening != l) continue;
        list_remove(&c->ready);
        conn_close(c, ERR_CANCELLED);
    }
    l->listener = NULL;
    list_remove(&l->all);
    uv_close((uv_handle_t *)&l->tcp, on_unlistened);
}

void tcp_unlisten(struct env *env, struct listener *l)
{
    (void)env;
    if (!l->impl) return;
    listening_close(l->impl);
    l->impl = NULL;
}

void tcp_close_all(struct real_env *r)
{
    LIST_EACH_SAFE(at, &r->listening) listening_close(CONTAINER_OF(at, struct listening, all));
}

bool tcp_next_event(struct real_env *r, struct env_event *out)
{
    struct list *at = list_first(&r->arrived);

    if (!at) return false;
    struct conn *c = CONTAINER_OF(at, struct conn, ready);
    list_remove(at);
    *out = (struct env_event){
        .kind = ENV_ACCEPTED, .listener = c->listening->listener, .pending = c};
    return true;
}

void tcp_accept(struct env *env, void *pending, struct stream *s)
{
    struct conn *c = pending;

    (void)env;
    assert(c->state == CONN_ARRIVED);
    c->listening = NULL;
    conn_adopt(c, s);
    conn_open(c);
}

void tcp_refuse(struct env *env, void *pending)
{
    struct conn *c = pending;

    (void)env;
    assert(c->state == CONN_ARRIVED);
    c->listening = NULL;
    conn_close(c, ERR_REFUSED);
}

/* --- dialling --- */

static void on_connected(uv_connect_t *connect, int status)
{
    struct conn *c = connect->handle->data;

    if (c->state != CONN_CONNECTING) return; /* closed meanwhile */
    if (status < 0) {
        conn_close(c, err_from_uv(status));
        return;
    }
    c->pending |= BIT(ENV_CONNECTED);
    if (list_is_empty(&c->ready)) list_push(&c->env->ready, &c->ready);
    conn_open(c);
}

static void dial_address(struct conn *c, const struct sockaddr *address)
{
    c->state = CONN_CONNECTING;
    int status = uv_tcp_connect(&c->connect, &c->tcp, address, on_connected);
    if (status < 0) conn_close(c, err_from_uv(status));
}

static void on_resolved(uv_getaddrinfo_t *resolve, int status, struct addrinfo *found)
{
    struct conn *c = resolve->data;
    struct addrinfo *best = found;

    c->resolving = false;
    for (struct addrinfo *a = found; a; a = a->ai_next) {
        if (a->ai_family != AF_INET) continue;
        best = a;
        break;
    }
    if (c->state == CONN_RESOLVING) {
        if (status < 0) conn_close(c, err_from_uv(status));
        else dial_address(c, best->ai_addr);
    }
    uv_freeaddrinfo(found);
    conn_free_if_over(c);
}

void tcp_dial(struct env *env, const char *host, u16 port, struct stream *s)
{
    struct real_env *r = real_of(env);
    struct conn *c = conn_new(r);
    struct sockaddr_storage address;
    char service[8];

    conn_adopt(c, s);
    if (address_is_numeric(host, port, &address)) {
        dial_address(c, (const struct sockaddr *)&address);
        return;
    }
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    snprintf(service, sizeof service, "%u", port);
    c->state = CONN_RESOLVING;
    c->resolving = true;
    c->resolve.data = c;
    int status = uv_getaddrinfo(&r->loop, &c->resolve, on_resolved, host, service, &hints);
    if (status == 0) return;
    c->resolving = false;
    conn_close(c, err_from_uv(status));
}
