#include "sim/net_internal.h"

#include "base/assert.h"
#include "base/mem.h"
#include "sim/disk.h"
#include "sim/observe.h"

#include <stdio.h>

#define RESEND_MEAN (150 * NANOS_MS) /* after a cut heals */

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

void conn_free_if_done(struct conn *c)
{
    if (c->scheduled == 0 && c->ends[0].gone && c->ends[1].gone) conn_free(c);
}

static u32 side_of_stream(const struct stream *s)
{
    const struct conn *c = s->impl;
    return c->ends[1].stream == s;
}

void conn_schedule(struct conn *c, nanos at, enum event_kind kind, u32 side, event_fn fire)
{
    c->scheduled++;
    world_at(c->net->world, at, kind, c->ends[side].host->id, fire, c, (c->id << 1) | side);
}

/* ---- links ---- */

nanos net_latency(struct net *n)
{
    struct prng *p = world_chance(n->world, CHANCE_NET);
    nanos t = n->character.latency_base + chance_exponential(p, n->character.latency_jitter);
    return prng_chance(p, n->character.slow_ppm) ? t * n->character.slow_factor : t;
}

static bool *cut_of(struct net *n, u32 from, u32 to) { return &n->cut[from][to]; }

bool conn_is_cut(const struct conn *c, u32 from_side)
{
    return c->net->cut[c->ends[from_side].host->id][c->ends[!from_side].host->id];
}

bool net_is_cut(const struct net *n, u32 from, u32 to) { return n->cut[from][to]; }

/* ---- delivery ---- */

void conn_push_closed(struct conn *c, u32 side, err result)
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
        conn_push_closed(c, side, ERR_CLOSED);
    }
    conn_free_if_done(c);
}

/* Tell `side` that the connection is no more. */
void conn_send_reset(struct conn *c, u32 side)
{
    struct end *e = &c->ends[side];
    if (e->closed || e->gone) return;
    conn_schedule(c, c->net->world->now + net_latency(c->net), EVENT_RESET, side, fire_reset);
}

static void move_out(struct conn *c, u32 from, nanos at);
static void send_fin(struct conn *c, u32 from, nanos at);

/* A frame of another life that lies behind the receiver, on a connection that it keeps, was taken. */
static void check_stale(struct conn *c, u32 from)
{
    struct pipe *p = &c->pipes[from];
    const struct end *to = &c->ends[!from];

    if (p->stale_end == 0 || p->given - to->stream->in.len < p->stale_end) return;
    world_violation(c->net->world, "node %u took a frame of another life from node %u", to->host->id,
                    c->ends[from].host->id);
}

/* What has arrived goes into the receiver's stream as far as it reads. */
void conn_deliver(struct conn *c, u32 from)
{
    struct pipe *p = &c->pipes[from];
    struct end *to = &c->ends[!from];

    if (to->gone || to->closing || to->closed) {
        bool data = p->arrived > 0;
        buf_consume(&p->bytes, p->arrived);
        p->arrived = 0;
        if (data && to->host->up) conn_send_reset(c, from);
        return;
    }
    if (!to->stream) return;
    check_stale(c, from);

    struct buf *in = &to->stream->in;
    size_t room = in->limit == 0 ? SIZE_MAX : in->len < in->limit ? in->limit - in->len : 0;
    size_t bytes = to->paused ? 0 : size_min(p->arrived, room);
    if (bytes > 0) {
        buf_append(in, buf_bytes(&p->bytes), bytes);
        buf_consume(&p->bytes, bytes);
        p->arrived -= bytes;
        p->given += bytes;
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
        conn_deliver(c, from);
        if (p->count > 0) pump_by(c, from, p->segments[p->head].at);
    }
    conn_free_if_done(c);
}

static void pump_by(struct conn *c, u32 from, nanos at)
{
    struct pipe *p = &c->pipes[from];
    if (at >= p->pump_at) return;
    p->pump_at = at;
    conn_schedule(c, at, EVENT_PUMP, from, fire_pump);
}

void conn_push_segment(struct conn *c, u32 from, nanos left_at, size_t bytes, bool fin)
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
    nanos at = u64_max(left_at + net_latency(n), p->last_at);
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

static void haunt(struct conn *c, str frames)
{
    struct net *n = c->net;
    struct prng *p = world_chance(n->world, CHANCE_FRAMES);
    const struct host *a = c->ends[0].host, *b = c->ends[1].host;
    struct pipe *pipe = &c->pipes[0];

    if (n->character.ghost_ppm == 0) return;
    ghosts_keep(n->ghosts, p, a->id, a->boot, b->id, b->boot, frames);
    if (pipe->frames.left > 0 || pipe->stale_end || !prng_chance(p, n->character.ghost_ppm)) return;
    size_t before = pipe->bytes.len;
    enum ghost raised = ghosts_raise(n->ghosts, p, a->id, a->boot, b->id, b->boot, frames, &pipe->bytes);
    if (raised == GHOST_NONE) return;
    n->world->fault_count++;
    if (raised == GHOST_OF_ANOTHER_LIFE) pipe->stale_end = pipe->entered + (pipe->bytes.len - before);
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
    p->entered += p->bytes.len - before;
    if (c->peer && from == 0) {
        size_t live = p->bytes.len;
        haunt(c, str_from(buf_bytes(out), bytes));
        p->entered += p->bytes.len - live;
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
            conn_push_segment(c, from, at, piece, false);
            left -= piece;
        }
        if (left > 0) conn_push_segment(c, from, at, left, false);
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
    if (!p->fin_sent) conn_push_segment(c, from, at, 0, true);
    p->fin_sent = true;
    conn_push_closed(c, from, OK);
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
    if (c->pipes[!side].arrived > 0) conn_deliver(c, !side);
}

void net_pause(struct host *h, struct stream *s, bool paused)
{
    if (!s->impl || host_is_dead(h)) return;
    struct conn *c = conn_of_stream(s);
    u32 side = side_of_stream(s);
    struct end *e = &c->ends[side];

    if (e->paused == paused) return;
    e->paused = paused;
    if (!paused && !e->closed) conn_deliver(c, !side);
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

/* ---- faults, and the net itself ---- */

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

struct net *net_new(struct world *w)
{
    struct net *n = mem_zalloc(sizeof *n);
    n->world = w;
    list_init(&n->conns);
    n->ghosts = ghosts_new();
    return n;
}

void net_free(struct net *n)
{
    if (!n) return;
    while (!list_is_empty(&n->conns))
        conn_free(CONTAINER_OF(n->conns.next, struct conn, link));
    ghosts_free(n->ghosts);
    mem_free(n);
}

struct net_character *net_character(struct net *n) { return &n->character; }

void net_set_peer_ports(struct net *n, u16 first, u32 count)
{
    n->peer_first = first;
    n->peer_count = count;
}
