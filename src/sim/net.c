#include "sim/net.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/mem.h"
#include "sim/disk.h"
#include "sim/frames.h"
#include "sim/host.h"
#include "sim/observe.h"

#include <stdio.h>

#define PORTS_MAX 32
#define SYN_TIMEOUT_MIN NANOS_SEC
#define SYN_TIMEOUT_MAX (4 * NANOS_SEC)
#define RESEND_MEAN (150 * NANOS_MS) /* after a cut heals */

struct segment {
    nanos left_at, at;
    size_t bytes;
    bool fin;
};

/* Bytes from one end to the other. `bytes` holds what has not entered the receiver's stream; its first
 * `arrived` bytes are in the receiver's kernel. */
struct pipe {
    struct buf bytes;
    struct segment *segments; /* a ring */
    u32 head, count, cap;
    size_t arrived;
    nanos last_at;
    nanos pump_at;
    bool fin_sent, fin_arrived;
    struct frames frames;
};

struct end {
    struct host *host;
    struct stream *stream; /* NULL: not accepted yet, or gone */
    bool paused, blocked;
    bool ended;   /* was told that nothing more comes */
    bool closing; /* closed here: bytes that still come are thrown away */
    bool closed;  /* ENV_CLOSED is on its way or taken, or nobody ever comes */
    bool gone;    /* nobody looks at this end any more */
    bool dead;    /* was reset before it was accepted */
};

struct conn {
    struct list link;
    struct net *net;
    u64 id;
    bool peer; /* carries peer frames */
    struct end ends[2]; /* 0 dialled */
    struct pipe pipes[2]; /* pipes[i]: sent by ends[i] */
    u32 scheduled;
};

struct port {
    u16 number;
    struct host *host;
    struct listener *listener; /* NULL: closed */
};

struct net {
    struct world *world;
    struct net_character character;
    struct list conns;
    u64 conn_count, conns_open;
    struct port ports[PORTS_MAX];
    u32 port_count;
    u16 peer_first;
    u32 peer_count;
    bool cut[WORLD_HOSTS_MAX + 1][WORLD_HOSTS_MAX + 1];
    nanos stalled[WORLD_HOSTS_MAX + 1][WORLD_HOSTS_MAX + 1];
};

/* ---- a connection's memory ---- */

static void pipe_done(struct pipe *p)
{
    buf_done(&p->bytes);
    mem_free(p->segments);
    frames_done(&p->frames);
}

static void conn_free(struct conn *c)
{
    list_remove(&c->link);
    c->net->conns_open--;
    pipe_done(&c->pipes[0]);
    pipe_done(&c->pipes[1]);
    mem_free(c);
}

static void conn_free_if_done(struct conn *c)
{
    if (c->scheduled == 0 && c->ends[0].gone && c->ends[1].gone) conn_free(c);
}

static struct conn *conn_of_stream(const struct stream *s)
{
    return s->impl;
}

static u32 side_of_stream(const struct stream *s)
{
    const struct conn *c = s->impl;
    return c->ends[1].stream == s;
}

static void schedule(struct conn *c, nanos at, enum event_kind kind, u32 side, event_fn fire)
{
    c->scheduled++;
    world_at(c->net->world, at, kind, c->ends[side].host->id, fire, c, (c->id << 1) | side);
}

/* ---- links ---- */

static nanos latency(struct net *n)
{
    struct prng *p = world_chance(n->world, CHANCE_NET);
    nanos t = n->character.latency_base + chance_exponential(p, n->character.latency_jitter);
    return prng_chance(p, n->character.slow_ppm) ? t * n->character.slow_factor : t;
}

static bool *cut_of(struct net *n, u32 from, u32 to) { return &n->cut[from][to]; }

static bool conn_is_cut(const struct conn *c, u32 from_side)
{
    return c->net->cut[c->ends[from_side].host->id][c->ends[!from_side].host->id];
}

bool net_is_cut(const struct net *n, u32 from, u32 to) { return n->cut[from][to]; }

/* ---- delivery ---- */

static void push_closed(struct conn *c, u32 side, err result)
{
    struct end *e = &c->ends[side];

    if (e->closed) return;
    e->closed = true;
    if (!e->stream) {
        e->dead = true; /* found at accept */
        return;
    }
    host_push(e->host, &(struct env_event){.kind = ENV_CLOSED, .stream = e->stream, .result = result});
}

static void fire_reset(struct world *w, void *context, u64 arg)
{
    struct conn *c = context;
    u32 side = arg & 1;

    (void)w;
    c->scheduled--;
    struct end *e = &c->ends[side];
    if (!e->closed && !e->gone && !conn_is_cut(c, !side)) {
        buf_clear(&c->pipes[!side].bytes); /* a reset throws away what was not read */
        c->pipes[!side].arrived = 0;
        push_closed(c, side, ERR_CLOSED);
    }
    conn_free_if_done(c);
}

/* Tell `side` that the connection is no more. */
static void send_reset(struct conn *c, u32 side)
{
    struct end *e = &c->ends[side];
    if (e->closed || e->gone) return;
    schedule(c, c->net->world->now + latency(c->net), EVENT_RESET, side, fire_reset);
}

static void move_out(struct conn *c, u32 from, nanos at);
static void send_fin(struct conn *c, u32 from, nanos at);

/* What has arrived goes into the receiver's stream as far as it reads. */
static void deliver(struct conn *c, u32 from)
{
    struct pipe *p = &c->pipes[from];
    struct end *to = &c->ends[!from];

    if (to->gone || to->closing || to->closed) {
        bool data = p->arrived > 0;
        buf_consume(&p->bytes, p->arrived);
        p->arrived = 0;
        if (data && to->host->up) send_reset(c, from);
        return;
    }
    if (!to->stream) return;

    struct buf *in = &to->stream->in;
    size_t room = in->limit == 0 ? SIZE_MAX : in->len < in->limit ? in->limit - in->len : 0;
    size_t bytes = to->paused ? 0 : size_min(p->arrived, room);
    if (bytes > 0) {
        buf_append(in, buf_bytes(&p->bytes), bytes);
        buf_consume(&p->bytes, bytes);
        p->arrived -= bytes;
        to->host->bytes_moved += bytes;
        host_push(to->host, &(struct env_event){.kind = ENV_RECEIVED, .stream = to->stream});
        struct end *sender = &c->ends[from];
        if (sender->blocked && sender->stream && !sender->closed)
            move_out(c, from, u64_max(c->net->world->now, sender->host->busy_until));
    }
    if (!p->fin_arrived || p->bytes.len > 0 || to->ended) return;
    to->ended = true;
    host_push(to->host, &(struct env_event){.kind = ENV_ENDED, .stream = to->stream});
}

static void pump_by(struct conn *c, u32 from, nanos at);

static void fire_pump(struct world *w, void *context, u64 arg)
{
    struct conn *c = context;
    u32 from = arg & 1;
    struct pipe *p = &c->pipes[from];

    c->scheduled--;
    if (p->pump_at <= w->now) p->pump_at = NANOS_NEVER;
    if (!conn_is_cut(c, from)) {
        while (p->count > 0 && p->segments[p->head].at <= w->now) {
            struct segment *s = &p->segments[p->head];
            p->arrived += s->bytes;
            p->fin_arrived |= s->fin;
            p->head = (p->head + 1) % p->cap;
            p->count--;
        }
        p->arrived = size_min(p->arrived, p->bytes.len); /* a reset emptied it */
        deliver(c, from);
        if (p->count > 0) pump_by(c, from, p->segments[p->head].at);
    }
    conn_free_if_done(c);
}

static void pump_by(struct conn *c, u32 from, nanos at)
{
    struct pipe *p = &c->pipes[from];
    if (at >= p->pump_at) return;
    p->pump_at = at;
    schedule(c, at, EVENT_PUMP, from, fire_pump);
}

static void push_segment(struct conn *c, u32 from, nanos left_at, size_t bytes, bool fin)
{
    struct pipe *p = &c->pipes[from];
    struct net *n = c->net;
    u32 a = c->ends[from].host->id, b = c->ends[!from].host->id;

    if (p->count == p->cap) {
        u32 cap = p->cap ? p->cap * 2 : 8;
        struct segment *segments = mem_zalloc_array(cap, sizeof *segments);
        for (u32 i = 0; i < p->count; i++) segments[i] = p->segments[(p->head + i) % p->cap];
        mem_free(p->segments);
        p->segments = segments;
        p->head = 0;
        p->cap = cap;
    }
    nanos at = u64_max(left_at + latency(n), p->last_at);
    at = u64_max(at, n->stalled[a][b]);
    p->last_at = at;
    p->segments[(p->head + p->count++) % p->cap] =
        (struct segment){.left_at = left_at, .at = at, .bytes = bytes, .fin = fin};
    pump_by(c, from, at);
}

/* ---- sending ---- */

static bool shuffles(const struct conn *c)
{
    const struct net_character *ch = &c->net->character;
    return c->peer && (ch->frame_dup_ppm || ch->frame_delay_ppm);
}

static size_t copy_out(struct conn *c, u32 from, size_t bytes, nanos at)
{
    struct net_character *ch = &c->net->character;
    struct pipe *p = &c->pipes[from];
    struct buf *out = &c->ends[from].stream->out;
    size_t before = p->bytes.len;

    if (c->peer && from == 0) observe_frames(c->net->world, at, str_from(buf_bytes(out), bytes));
    if (shuffles(c)) {
        u32 faults = frames_pass(&p->frames, world_chance(c->net->world, CHANCE_FRAMES), ch, at,
                                 str_from(buf_bytes(out), bytes), &p->bytes);
        c->net->world->fault_count += faults;
    } else {
        buf_append(&p->bytes, buf_bytes(out), bytes);
    }
    buf_consume(out, bytes);
    size_t moved = p->bytes.len - before;
    world_trace_bytes(c->net->world, buf_bytes(&p->bytes) + before, moved);
    return moved;
}

/* From the stream's out into the pipe, as much as its window takes. Peers' bytes go in whole frames, which
 * is how nodes flush them: the shuffler and the observer want to see them whole. */
static void move_out(struct conn *c, u32 from, nanos at)
{
    struct net *n = c->net;
    struct end *e = &c->ends[from];
    struct pipe *p = &c->pipes[from];
    struct buf *out = &e->stream->out;
    size_t window = n->character.window_bytes;
    size_t room = p->bytes.len < window ? window - p->bytes.len : 0;
    size_t bytes = room > 0 && c->peer ? out->len : size_min(out->len, room);

    if (bytes > 0) {
        struct prng *chance = world_chance(n->world, CHANCE_NET);
        e->host->bytes_moved += bytes;
        e->host->answered |= !c->ends[!from].host->is_node;
        size_t left = copy_out(c, from, bytes, at);
        while (left > 1 && prng_chance(chance, n->character.split_ppm)) {
            size_t piece = prng_between(chance, 1, left - 1);
            push_segment(c, from, at, piece, false);
            left -= piece;
        }
        if (left > 0) push_segment(c, from, at, left, false);
    }
    if (out->len > 0) {
        e->blocked = true;
    } else if (e->blocked) {
        e->blocked = false;
        if (!e->closing) host_push(e->host, &(struct env_event){.kind = ENV_DRAINED, .stream = e->stream});
    }
    if (e->closing && out->len == 0) send_fin(c, from, at);
}

static void send_fin(struct conn *c, u32 from, nanos at)
{
    struct pipe *p = &c->pipes[from];
    if (!p->fin_sent) push_segment(c, from, at, 0, true);
    p->fin_sent = true;
    push_closed(c, from, OK);
}

/* A process that has died in this turn does nothing more. */
static bool host_is_dead(const struct host *h) { return !h->up || (h->disk && disk_is_dead(h->disk)); }

void net_flush(struct host *h, struct stream *s)
{
    if (!s->impl || host_is_dead(h)) return;
    struct conn *c = conn_of_stream(s);
    u32 side = side_of_stream(s);
    struct end *e = &c->ends[side];

    if (e->closed || e->closing) return;
    if (s->out.len > 0) move_out(c, side, host_now(h));
    if (c->pipes[!side].arrived > 0) deliver(c, !side);
}

void net_pause(struct host *h, struct stream *s, bool paused)
{
    if (!s->impl || host_is_dead(h)) return;
    struct conn *c = conn_of_stream(s);
    u32 side = side_of_stream(s);
    struct end *e = &c->ends[side];

    if (e->paused == paused) return;
    e->paused = paused;
    if (!paused && !e->closed) deliver(c, !side);
}

void net_close(struct host *h, struct stream *s, bool flush_first)
{
    if (!s->impl || host_is_dead(h)) return;
    struct conn *c = conn_of_stream(s);
    u32 side = side_of_stream(s);
    struct end *e = &c->ends[side];

    if (e->closing || e->closed) return;
    e->closing = true;
    if (!flush_first) buf_clear(&s->out);
    move_out(c, side, host_now(h));
}

void net_peer_name(struct host *h, struct stream *s, char *out, size_t size)
{
    (void)h;
    struct conn *c = conn_of_stream(s);
    if (!c) {
        snprintf(out, size, "gone");
        return;
    }
    u32 other = !side_of_stream(s);
    snprintf(out, size, "10.0.0.%u:%llu", c->ends[other].host->id,
             (unsigned long long)(20000 + c->id % 40000));
}

void net_closed_taken(struct stream *s)
{
    struct conn *c = conn_of_stream(s);
    if (!c) return;
    struct end *e = &c->ends[side_of_stream(s)];
    s->impl = NULL;
    e->stream = NULL;
    e->gone = true;
    conn_free_if_done(c);
}

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
    if (!c->ends[0].gone) push_closed(c, 0, ERR_REFUSED);
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
        schedule(c, w->now + wait, EVENT_CONNECTED, 0, fire_dial_failed);
    } else {
        struct port *port = port_find(n, (u16)(arg >> 1));
        if (!port || !port->listener || !to->host->up || to->gone) {
            to->gone = to->closed = true;
            schedule(c, w->now + latency(n), EVENT_CONNECTED, 0, fire_dial_failed);
        } else {
            host_push(to->host, &(struct env_event){.kind = ENV_ACCEPTED, .listener = port->listener, .pending = c});
            schedule(c, w->now + latency(n), EVENT_CONNECTED, 0, fire_connected);
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
    world_at(n->world, host_now(h) + latency(n), EVENT_DIALLED, h->id, fire_dialled, c, (u64)number << 1);
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
    deliver(c, 0);
}

void net_refuse(struct host *h, void *pending)
{
    struct conn *c = pending;
    struct end *e = &c->ends[1];

    assert(e->host == h && !e->stream && !e->gone);
    e->gone = e->closed = true;
    send_reset(c, 0);
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
        if (!c->pipes[side].fin_sent) push_segment(c, side, n->world->now, 0, true);
        c->pipes[side].fin_sent = true;
    } else {
        send_reset(c, !side);
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
        for (u32 side = 0; side < 2; side++)
            if (c->ends[side].host == h && !c->ends[side].gone) {
                end_down(c, side, silent);
                break; /* c may be freed; no host dials itself */
            }
    }
}

void net_cut(struct net *n, u32 from, u32 to, bool cut)
{
    if (*cut_of(n, from, to) == cut) return;
    *cut_of(n, from, to) = cut;
    if (cut) return;
    LIST_EACH(l, &n->conns) {
        struct conn *c = CONTAINER_OF(l, struct conn, link);
        for (u32 side = 0; side < 2; side++) {
            if (c->ends[side].host->id != from || c->ends[!side].host->id != to) continue;
            if (c->pipes[side].count == 0) continue;
            nanos resend = chance_exponential(world_chance(n->world, CHANCE_NET), RESEND_MEAN);
            c->pipes[side].pump_at = NANOS_NEVER;
            pump_by(c, side, n->world->now + resend);
        }
    }
}

void net_heal(struct net *n)
{
    for (u32 a = 1; a <= n->world->host_count; a++)
        for (u32 b = 1; b <= n->world->host_count; b++) {
            net_cut(n, a, b, false);
            n->stalled[a][b] = 0;
        }
}

void net_stall(struct net *n, u32 from, u32 to, nanos until)
{
    n->stalled[from][to] = u64_max(n->stalled[from][to], until);
}

bool net_reset_any(struct net *n)
{
    if (n->conns_open == 0) return false;
    u64 pick = prng_below(world_chance(n->world, CHANCE_FAULT), n->conns_open);
    LIST_EACH(l, &n->conns) {
        if (pick-- > 0) continue;
        struct conn *c = CONTAINER_OF(l, struct conn, link);
        send_reset(c, 0);
        send_reset(c, 1);
        return true;
    }
    return false;
}

struct net *net_new(struct world *w)
{
    struct net *n = mem_zalloc(sizeof *n);
    n->world = w;
    list_init(&n->conns);
    return n;
}

void net_free(struct net *n)
{
    if (!n) return;
    while (!list_is_empty(&n->conns))
        conn_free(CONTAINER_OF(n->conns.next, struct conn, link));
    mem_free(n);
}

struct net_character *net_character(struct net *n) { return &n->character; }

void net_set_peer_ports(struct net *n, u16 first, u32 count)
{
    n->peer_first = first;
    n->peer_count = count;
}
