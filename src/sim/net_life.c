/* How connections come into being, and how they end: ports, dialling, accepting; a host that dies, a reset. */
#include "sim/net_internal.h"

#include "base/assert.h"
#include "base/mem.h"

#define SYN_TIMEOUT_MIN NANOS_SEC
#define SYN_TIMEOUT_MAX (4 * NANOS_SEC)

/* ---- coming into being ---- */

static struct port *port_find(struct net *n, u16 number)
{
    for (u32 i = 0; i < n->port_count; i++)
        if (n->ports[i].number == number) return &n->ports[i];
    return NULL;
}

err net_listen(struct host *h, u16 number, struct listener *l)
{
    struct net *n = h->world->net;
    struct port *port = port_find(n, number);

    if (port && port->listener) return ERR_ADDRESS_IN_USE;
    if (!port) {
        assert(n->port_count < PORTS_MAX);
        port = &n->ports[n->port_count++];
        port->number = number;
        port->host = h;
    }
    assert(port->host == h);
    port->listener = l;
    l->port = number;
    l->impl = port;
    return OK;
}

void net_unlisten(struct host *h, struct listener *l)
{
    struct port *port = l->impl;
    (void)h;
    if (!port) return;
    port->listener = NULL;
    l->impl = NULL;
}

static void fire_connected(struct world *w, void *context, u64 arg)
{
    struct conn *c = context;
    struct end *e = &c->ends[0];

    (void)w;
    (void)arg;
    c->scheduled--;
    if (!e->gone && !e->closed && !e->closing)
        host_push(e->host, &(struct env_event){.kind = ENV_CONNECTED, .stream = e->stream});
    conn_free_if_done(c);
}

static void fire_dial_failed(struct world *w, void *context, u64 arg)
{
    struct conn *c = context;

    (void)w;
    (void)arg;
    c->scheduled--;
    if (!c->ends[0].gone) conn_push_closed(c, 0, ERR_REFUSED);
    conn_free_if_done(c);
}

/* The first packet of a connection reaches the other host, or not. */
static void fire_dialled(struct world *w, void *context, u64 arg)
{
    struct conn *c = context;
    struct net *n = c->net;
    struct end *to = &c->ends[1];

    c->scheduled--;
    if (c->ends[0].gone || c->ends[0].closed) {
        to->gone = to->closed = true;
    } else if (conn_is_cut(c, 0) || conn_is_cut(c, 1) || (!to->host->up && (c->id & 1))) {
        to->gone = to->closed = true; /* nothing comes back; a machine without power is as silent */
        nanos wait = chance_between(world_chance(w, CHANCE_NET), SYN_TIMEOUT_MIN, SYN_TIMEOUT_MAX);
        conn_schedule(c, w->now + wait, EVENT_CONNECTED, 0, fire_dial_failed);
    } else {
        struct port *port = port_find(n, (u16)(arg >> 1));
        if (!port || !port->listener || !to->host->up || to->gone) {
            to->gone = to->closed = true;
            conn_schedule(c, w->now + net_latency(n), EVENT_CONNECTED, 0, fire_dial_failed);
        } else {
            host_push(to->host, &(struct env_event){.kind = ENV_ACCEPTED, .listener = port->listener, .pending = c});
            conn_schedule(c, w->now + net_latency(n), EVENT_CONNECTED, 0, fire_connected);
        }
    }
    conn_free_if_done(c);
}

void net_dial(struct host *h, u16 number, struct stream *s)
{
    struct net *n = h->world->net;
    struct port *port = port_find(n, number);
    struct conn *c = mem_zalloc(sizeof *c);

    assert(!s->impl);
    c->net = n;
    c->id = ++n->conn_count;
    c->peer = number >= n->peer_first && number < n->peer_first + n->peer_count;
    c->ends[0] = (struct end){.host = h, .stream = s};
    c->ends[1] = (struct end){.host = port ? port->host : h};
    c->pipes[0].pump_at = c->pipes[1].pump_at = NANOS_NEVER;
    list_push(&n->conns, &c->link);
    n->conns_open++;
    s->impl = c;
    c->scheduled++;
    world_at(n->world, host_now(h) + net_latency(n), EVENT_DIALLED, h->id, fire_dialled, c, (u64)number << 1);
}

void net_accept(struct host *h, void *pending, struct stream *s)
{
    struct conn *c = pending;
    struct end *e = &c->ends[1];

    assert(e->host == h && !e->stream && !e->gone);
    e->stream = s;
    s->impl = c;
    if (e->dead) {
        host_push(h, &(struct env_event){.kind = ENV_CLOSED, .stream = s, .result = ERR_CLOSED});
        return;
    }
    conn_deliver(c, 0);
}

void net_refuse(struct host *h, void *pending)
{
    struct conn *c = pending;
    struct end *e = &c->ends[1];

    assert(e->host == h && !e->stream && !e->gone);
    e->gone = e->closed = true;
    conn_send_reset(c, 0);
    conn_free_if_done(c);
}

/* ---- the end of a host, and faults ---- */

/* What the process wrote after the instant of its death was never written. */
static void drop_unsent(struct pipe *p, nanos now)
{
    while (p->count > 0) {
        struct segment *s = &p->segments[(p->head + p->count - 1) % p->cap];
        if (s->left_at <= now) return;
        buf_truncate(&p->bytes, p->bytes.len - size_min(s->bytes, p->bytes.len));
        p->fin_sent = p->fin_sent && !s->fin;
        p->count--;
    }
}

static void end_down(struct conn *c, u32 side, bool silent)
{
    struct end *e = &c->ends[side];
    struct net *n = c->net;

    if (e->gone) return;
    if (e->stream) {
        e->stream->impl = NULL;
        buf_clear(&e->stream->out);
    }
    e->stream = NULL;
    e->gone = e->closed = true;
    drop_unsent(&c->pipes[side], n->world->now);
    if (silent) {
        conn_free_if_done(c);
        return;
    }
    if (prng_chance(world_chance(n->world, CHANCE_NET), 500000)) {
        if (!c->pipes[side].fin_sent) conn_push_segment(c, side, n->world->now, 0, true);
        c->pipes[side].fin_sent = true;
    } else {
        conn_send_reset(c, !side);
    }
    conn_free_if_done(c);
}

void net_host_down(struct host *h, bool silent)
{
    struct net *n = h->world->net;

    for (u32 i = 0; i < n->port_count; i++)
        if (n->ports[i].host == h) n->ports[i].listener = NULL;
    LIST_EACH_SAFE(l, &n->conns) {
        struct conn *c = CONTAINER_OF(l, struct conn, link);
        bool both = c->ends[0].host == h && c->ends[1].host == h; /* a new node dials the one it was before, at its own address */
        u32 side = c->ends[0].host == h && !c->ends[0].gone ? 0 : 1;
        if (both && side == 0 && !c->ends[1].gone) end_down(c, side++, silent); /* the other end keeps it */
        if (c->ends[side].host == h && !c->ends[side].gone) end_down(c, side, silent);
    }
}

bool net_reset_any(struct net *n)
{
    if (n->conns_open == 0) return false;
    u64 pick = prng_below(world_chance(n->world, CHANCE_FAULT), n->conns_open);
    LIST_EACH(l, &n->conns) {
        if (pick-- > 0) continue;
        struct conn *c = CONTAINER_OF(l, struct conn, link);
        conn_send_reset(c, 0);
        conn_send_reset(c, 1);
        return true;
    }
    return false;
}
