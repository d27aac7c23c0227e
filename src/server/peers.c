#include "server/peers.h"

#include "base/assert.h"
#include "base/mutant.h"
#include "server/node_internal.h"
#include "wire/peer/join.h"

#include <inttypes.h>
#include <stdio.h>

#define CHANNELS            2
#define DIAL_TIMEOUT        (1 * NANOS_SEC)
#define DIAL_BACKOFF_MIN    (50 * NANOS_MS)
#define DIAL_BACKOFF_MAX    (400 * NANOS_MS)
#define SILENCE_MAX         (2 * NANOS_SEC)
#define SUPPORT_SILENCE_MAX (600 * NANOS_MS) /* a STATUS comes back every 200 ms */
#define JOIN_TIMEOUT        (6 * NANOS_SEC)
#define QUEUE_DROPPABLE_MAX (32 * MIB)
#define QUEUE_MAX           (256 * MIB)
#define FRAMES_PER_TURN     4096
#define PARSE_FRAMES        64 /* of one connection, between two looks at the clock */
#define PARSE_TIME          (2 * NANOS_MS)
#define OVERTAKE_BYTES      (64 * KIB) /* so much before a small frame, and it takes the other channel */

enum link_state { LINK_DOWN, LINK_DIALLING, LINK_HELLO, LINK_UP, LINK_CLOSING };

struct link { /* one channel we dialled */
    struct stream stream;
    struct peer *peer;
    u8 channel;
    enum link_state state;
    nanos since, heard_at, retry_at, backoff;
    bool dirty;
};

struct peer {
    node_id id;
    struct node_member member;
    bool gone; /* no member any more: freed when its links are down */
    struct link links[CHANNELS];
    u32 boot; /* 0: not met yet */
    struct hello hello; /* its latest */
    bool blank_said;
    nanos heard_at;
    u32 map_epoch; /* of its map, as it said last: the low half */
    struct status status;
    u64 other_value_max; /* what its HELLO said when it was refused for it; 0: it was not */
};

struct inbound { /* one connection we accepted */
    struct stream stream;
    struct list link;
    struct peer *peer; /* NULL before its HELLO */
    u8 channel;
    u64 ticket; /* not 0: a stranger who waits for the answer to its JOIN */
    nanos heard_at;
    bool closing, ready;
};

struct peers {
    struct node *node;
    struct env *env;
    struct listener listener;
    bool listening;
    nanos started_at;
    struct peer_handlers handlers;
    u8 incarnation[16];
    u32 boot;
    struct peer **peer;
    u32 count, cap;
    struct list inbound;
    u64 next_ticket;
    struct prng prng;
    struct peers_stats stats;
    size_t frame_bytes_max;
    struct link *building; /* the frame under construction goes here, from frame_at on */
    size_t frame_at;
};

static const struct node_config *config(const struct peers *p)
{
    return node_config_of(p->node);
}

static struct peer *peer_find(const struct peers *p, node_id id)
{
    for (u32 i = 0; i < p->count; i++)
        if (p->peer[i]->id == id && !p->peer[i]->gone) return p->peer[i];
    return NULL;
}

static void link_close(struct peers *p, struct link *l);
static void inbound_close(struct peers *p, struct inbound *in);

static struct peer *peer_add(struct peers *p, const struct node_member *m)
{
    struct peer *q = mem_zalloc(sizeof *q);

    q->id = m->id;
    q->member = *m;
    for (u8 ch = 0; ch < CHANNELS; ch++) {
        struct link *l = &q->links[ch];
        l->peer = q;
        l->channel = ch;
        l->backoff = DIAL_BACKOFF_MIN;
        l->stream.owner = l;
        l->stream.kind = NODE_PEER_DIALLED;
        l->stream.keeps_buffers = true;
        buf_init(&l->stream.in, 4096);
        buf_init(&l->stream.out, 0);
    }
    if (p->count == p->cap) {
        p->cap = p->cap ? 2 * p->cap : 8;
        p->peer = mem_resize_array(p->peer, p->cap, sizeof(void *));
    }
    return p->peer[p->count++] = q;
}

static void peer_free(struct peer *q)
{
    for (u32 ch = 0; ch < CHANNELS; ch++) {
        buf_done(&q->links[ch].stream.in);
        buf_done(&q->links[ch].stream.out);
    }
    mem_free(q);
}

/* No member any more: its connections end, and with the last of them its memory. */
static void peer_retire(struct peers *p, struct peer *q)
{
    q->gone = true;
    for (u32 ch = 0; ch < CHANNELS; ch++) link_close(p, &q->links[ch]);
    LIST_EACH(l, &p->inbound)
    {
        struct inbound *in = CONTAINER_OF(l, struct inbound, link);
        if (in->peer != q) continue;
        in->peer = NULL;
        inbound_close(p, in);
    }
}

static void peers_sweep(struct peers *p)
{
    for (u32 i = 0; i < p->count; i++) {
        struct peer *q = p->peer[i];
        if (!q->gone || q->links[0].state != LINK_DOWN || q->links[1].state != LINK_DOWN) continue;
        p->peer[i--] = p->peer[--p->count];
        peer_free(q);
    }
}

static const struct node_member *member_find(const struct node_member *members, u32 count,
                                             node_id id)
{
    for (u32 i = 0; i < count; i++)
        if (members[i].id == id) return &members[i];
    return NULL;
}

void peers_set(struct peers *p, const struct node_member *members, u32 count)
{
    for (u32 i = 0; i < p->count; i++) {
        struct peer *q = p->peer[i];
        const struct node_member *m = member_find(members, count, q->id);
        if (q->gone) continue;
        if (!m) {
            peer_retire(p, q);
        } else if (strcmp(m->host, q->member.host) || m->peer_port != q->member.peer_port) {
            q->member = *m;
            for (u32 ch = 0; ch < CHANNELS; ch++) link_close(p, &q->links[ch]);
        }
    }
    for (u32 i = 0; i < count; i++)
        if (members[i].id != config(p)->self && !peer_find(p, members[i].id))
            peer_add(p, &members[i]);
}

err peers_new(struct node *n, const u8 incarnation[16], u32 boot, const struct peer_handlers *h,
              char *problem, size_t problem_size, struct peers **out)
{
    struct peers *p = mem_zalloc(sizeof *p);
    const struct node_config *c = node_config_of(n);

    p->node = n;
    p->env = node_env(n);
    p->handlers = *h;
    p->boot = boot;
    p->started_at = node_now(n);
    mem_copy(p->incarnation, incarnation, 16);
    list_init(&p->inbound);
    prng_init(&p->prng, env_random(p->env), 7);
    p->frame_bytes_max = c->value_bytes_max * 2 + 4 * MIB;
    peers_set(p, c->members, c->member_count);
    *out = p;
    p->listener = (struct listener){.owner = p, .kind = NODE_PEER_ACCEPTED};
    err e = p->env->ops->listen(p->env, c->host, c->peer_port, &p->listener);
    if (e) {
        snprintf(problem, problem_size,
                 "cannot listen on %s:%u for peers: %s (another port: --peer-port)", c->host,
                 c->peer_port, err_text(e));
        peers_free(p);
        *out = NULL;
        return e;
    }
    p->listening = true;
    return OK;
}

static void inbound_free(struct inbound *in)
{
    list_remove(&in->link);
    buf_done(&in->stream.in);
    buf_done(&in->stream.out);
    mem_free(in);
}

void peers_free(struct peers *p)
{
    if (!p) return;
    if (p->listening) p->env->ops->unlisten(p->env, &p->listener);
    for (u32 i = 0; i < p->count; i++) peer_free(p->peer[i]);
    mem_free(p->peer);
    LIST_EACH_SAFE(l, &p->inbound) inbound_free(CONTAINER_OF(l, struct inbound, link));
    mem_free(p);
}

static void put_hello(struct peers *p, struct buf *out, node_id to, u8 channel)
{
    const struct node_config *c = config(p);
    struct frame f = {
        .type = FRAME_HELLO, .src_node = c->self, .src_boot = p->boot, .dst_node = to, .req = c->value_bytes_max};
    struct hello h = {.version_min = QUORATE_LEVEL_MIN,
                      .version_max = QUORATE_LEVEL_MAX,
                      .channel = channel,
                      .blank = node_is_blank(p->node),
                      .redis_port = c->redis_port,
                      .admin_port = c->admin_port,
                      .pid = c->pid};

    mem_copy(h.cluster_id, c->cluster_id, 16);
    mem_copy(h.incarnation, p->incarnation, 16);
    size_t place = frame_begin(out, &f);
    hello_encode(&h, out);
    frame_end(out, place);
}

static void link_close(struct peers *p, struct link *l)
{
    if (l->state == LINK_DOWN || l->state == LINK_CLOSING) return;
    bool was_up = l->state == LINK_UP;
    l->state = LINK_CLOSING;
    buf_clear(&l->stream.out);
    env_close(p->env, &l->stream, false);
    if (was_up && l->channel == 0) p->handlers.on_lost(p->handlers.context, l->peer->id, false);
}

static void link_dial(struct peers *p, struct link *l, nanos now)
{
    l->state = LINK_DIALLING;
    l->since = now;
    buf_clear(&l->stream.in);
    buf_clear(&l->stream.out);
    p->env->ops->dial(p->env, l->peer->member.host, l->peer->member.peer_port, &l->stream);
}

static void link_on_closed(struct peers *p, struct link *l, nanos now)
{
    bool was_up = l->state == LINK_UP;

    l->state = LINK_DOWN;
    l->retry_at = now + prng_between(&p->prng, l->backoff / 2, l->backoff);
    l->backoff = u64_min(l->backoff * 2, DIAL_BACKOFF_MAX);
    buf_done(&l->stream.in);
    buf_done(&l->stream.out);
    if (was_up && l->channel == 0) p->handlers.on_lost(p->handlers.context, l->peer->id, false);
}

/* A peer with a new boot: whatever the old one promised to answer is gone. */
static void met(struct peers *p, struct peer *q, u32 boot, const struct hello *h, nanos now)
{
    bool same = q->boot == boot && mem_equal(q->hello.incarnation, h->incarnation, 16);
    bool other_disk = q->boot && !mem_equal(q->hello.incarnation, h->incarnation, 16);
    if (q->boot && !same) p->handlers.on_lost(p->handlers.context, q->id, true);
    if (!same) p->handlers.on_met(p->handlers.context, q->id, boot, other_disk);
    q->boot = boot;
    q->hello = *h;
    q->heard_at = now;
    q->blank_said = h->blank;
    q->status.pid = h->pid;
    q->status.redis_port = h->redis_port;
}

/* The value limit decides replies inside the replicated state, so it must be the same everywhere. 0: a node that does
 * not say. */
static bool values_fit(struct peers *p, node_id from, u64 theirs, const char *how)
{
    struct peer *q = peer_find(p, from);
    u64 ours = config(p)->value_bytes_max;

    u64 other = theirs && theirs != ours ? theirs : 0;
    bool news = other != q->other_value_max;
    q->other_value_max = other;
    if (!other) return true;
    p->stats.refused++;
    if (!news) return false;
    env_log(p->env, LOG_ERROR,
            "peer refused: --value-max must be the same on every node how=%s node=%u ours=%" PRIu64 " theirs=%" PRIu64,
            how, from, ours, theirs);
    return false;
}

static bool hello_fits(struct peers *p, const struct frame *f, const struct hello *h,
                       const char *how)
{
    const struct node_config *c = config(p);
    const char *why = NULL;

    if (!mem_equal(h->cluster_id, c->cluster_id, 16) && !MUTANT(another_cluster_accepted))
        why = "another cluster id";
    else if (f->dst_node != c->self && !MUTANT(another_node_accepted))
        why = "it wants another node id than mine";
    else if (!peer_find(p, f->src_node))
        why = "its node id is not a member";
    else if (h->version_min > QUORATE_LEVEL_MAX || h->version_max < QUORATE_LEVEL_MIN)
        why = "no common level";
    if (!why) return values_fit(p, f->src_node, f->req, how);
    p->stats.refused++;
    env_log(p->env, LOG_WARN, "peer refused: %s how=%s node=%u wants=%u", why, how, f->src_node,
            f->dst_node);
    return false;
}

/* What the other side of a link we dialled sends back: HELLO once, then STATUS, only to show that
 * the connection is whole. */
static bool link_frame(struct peers *p, struct link *l, const struct frame *f, str body, nanos now)
{
    struct hello h;

    l->heard_at = now;
    if (l->state == LINK_UP) return f->type == FRAME_STATUS && f->src_node == l->peer->id;
    if (f->type == FRAME_JOIN_REPLY && f->dst_node == config(p)->self && f->src_node == l->peer->id) {
        p->handlers.on_removed(p->handlers.context);
        return false;
    }
    if (f->type != FRAME_HELLO || hello_decode(body, &h) || !hello_fits(p, f, &h, "dialled") ||
        f->src_node != l->peer->id)
        return false;
    met(p, l->peer, f->src_boot, &h, now);
    l->state = LINK_UP;
    l->backoff = DIAL_BACKOFF_MIN;
    p->stats.connects++;
    env_log(p->env, LOG_INFO, "peer connected node=%u channel=%u boot=%u", l->peer->id, l->channel,
            f->src_boot);
    return true;
}

static void link_parse(struct peers *p, struct link *l, nanos now)
{
    struct frame f;
    str body;
    size_t consumed;

    while (l->state == LINK_HELLO || l->state == LINK_UP) {
        enum frame_status s = frame_parse(buf_str(&l->stream.in), l->stream.in.limit, &f, &body,
                                          &consumed);
        if (s == FRAME_INCOMPLETE) break;
        if (s == FRAME_BAD || !link_frame(p, l, &f, body, now)) {
            link_close(p, l);
            return;
        }
        buf_consume(&l->stream.in, consumed);
    }
    p->env->ops->pause(p->env, &l->stream, false);
}

static void inbound_close(struct peers *p, struct inbound *in)
{
    if (in->closing) return;
    in->closing = true;
    env_close(p->env, &in->stream, false);
}

/* A node of this cluster that was removed, and may not have heard of it. */
static void tell_refused(struct peers *p, struct inbound *in, node_id node)
{
    struct frame f = {.type = FRAME_JOIN_REPLY, .src_node = config(p)->self, .src_boot = p->boot, .dst_node = node};
    struct join_reply r = {.status = JOIN_REFUSED, .reason = STR("it was removed from the cluster")};

    if (!p->handlers.is_removed(p->handlers.context, node) || MUTANT(removed_node_not_told)) return;
    size_t place = frame_begin(&in->stream.out, &f);
    join_reply_encode(&r, &in->stream.out);
    frame_end(&in->stream.out, place);
    env_flush(p->env, &in->stream);
}

static bool inbound_hello(struct peers *p, struct inbound *in, const struct frame *f, str body,
                          nanos now)
{
    struct hello h;

    if (f->type != FRAME_HELLO || hello_decode(body, &h)) return false;
    if (!hello_fits(p, f, &h, "accepted")) {
        if (mem_equal(h.cluster_id, config(p)->cluster_id, 16)) tell_refused(p, in, f->src_node);
        return false;
    }
    in->peer = peer_find(p, f->src_node);
    in->channel = h.channel;
    met(p, in->peer, f->src_boot, &h, now);
    put_hello(p, &in->stream.out, in->peer->id, h.channel);
    env_flush(p->env, &in->stream);
    return true;
}

static void inbound_join(struct peers *p, struct inbound *in, str body)
{
    in->ticket = ++p->next_ticket;
    p->handlers.on_join(p->handlers.context, in->ticket, body);
}

void peers_answer_join(struct peers *p, u64 ticket, const struct join_reply *r)
{
    struct frame f = {.type = FRAME_JOIN_REPLY, .src_node = config(p)->self, .src_boot = p->boot};

    LIST_EACH(l, &p->inbound)
    {
        struct inbound *in = CONTAINER_OF(l, struct inbound, link);
        if (in->ticket != ticket || in->closing) continue;
        size_t place = frame_begin(&in->stream.out, &f);
        join_reply_encode(r, &in->stream.out);
        frame_end(&in->stream.out, place);
        env_flush(p->env, &in->stream);
        in->closing = true;
        env_close(p->env, &in->stream, true);
        return;
    }
}

static bool inbound_frame(struct peers *p, struct inbound *in, const struct frame *f, str body,
                          nanos now)
{
    struct peer *q = in->peer;

    if (f->src_node != q->id || f->dst_node != config(p)->self) return false;
    if ((f->dst_boot != p->boot || f->src_boot != q->boot) &&
        !MUTANT(frames_of_old_boots_accepted)) {
        p->stats.dropped_stale++;
        return false;
    }
    q->heard_at = now;
    if (f->type == FRAME_STATUS) {
        struct status s;
        if (status_decode(body, &s)) return false;
        q->map_epoch = f->map_epoch;
        q->status = s;
        q->blank_said = s.blank;
        return true;
    }
    return p->handlers.on_frame(p->handlers.context, q->id, f, body) == OK;
}

/* Thousands of groups may speak at once: what keeps the nodes' support alive must not wait for all of them. */
static bool has_had_its_turn(const struct peers *p, u32 frames, nanos began)
{
    if (frames == FRAMES_PER_TURN) return true;
    return frames && frames % PARSE_FRAMES == 0 && env_mono(p->env) > began + PARSE_TIME;
}

static void inbound_parse(struct peers *p, struct inbound *in, nanos now)
{
    nanos began = env_mono(p->env);
    u32 frames = 0;

    in->ready = false;
    while (!in->closing) {
        struct frame f;
        str body;
        size_t consumed;
        if (has_had_its_turn(p, frames++, began)) {
            in->ready = true;
            return;
        }
        enum frame_status s = frame_parse(buf_str(&in->stream.in), p->frame_bytes_max, &f, &body,
                                          &consumed);
        if (s == FRAME_INCOMPLETE) break;
        bool ok = s == FRAME_READY;
        if (ok && !in->peer && !in->ticket && f.type == FRAME_JOIN)
            inbound_join(p, in, body);
        else if (ok)
            ok = in->peer ? inbound_frame(p, in, &f, body, now)
                          : inbound_hello(p, in, &f, body, now);
        if (!ok) {
            if (s == FRAME_BAD) p->stats.bad_frames++;
            inbound_close(p, in);
            return;
        }
        in->heard_at = now;
        p->stats.frames_in++;
        p->stats.bytes_in += consumed;
        buf_consume(&in->stream.in, consumed);
    }
    if (in->closing) return; /* it was answered and has to go */
    if (in->stream.in.len == 0 && in->stream.in.cap > MIB) buf_done(&in->stream.in);
    p->env->ops->pause(p->env, &in->stream, false);
}

static void accept_one(struct peers *p, void *pending, nanos now)
{
    struct inbound *in = mem_zalloc(sizeof *in);

    in->heard_at = now;
    in->stream.owner = in;
    in->stream.kind = NODE_PEER_ACCEPTED;
    in->stream.keeps_buffers = true;
    buf_init(&in->stream.in, p->frame_bytes_max + MIB);
    buf_init(&in->stream.out, 0);
    list_push(&p->inbound, &in->link);
    p->env->ops->accept(p->env, pending, &in->stream);
}

static void dialled_event(struct peers *p, struct link *l, const struct env_event *ev, nanos now)
{
    switch (ev->kind) {
    case ENV_CONNECTED:
        if (l->state != LINK_DIALLING) break;
        l->state = LINK_HELLO;
        put_hello(p, &l->stream.out, l->peer->id, l->channel);
        env_flush(p->env, &l->stream);
        break;
    case ENV_RECEIVED: link_parse(p, l, now); break;
    case ENV_ENDED: link_close(p, l); break;
    case ENV_CLOSED: link_on_closed(p, l, now); break;
    default: break;
    }
}

static void accepted_event(struct peers *p, struct inbound *in, const struct env_event *ev,
                           nanos now)
{
    if (ev->kind == ENV_RECEIVED) {
        in->heard_at = now; /* also in the middle of a large frame */
        if (!in->closing) inbound_parse(p, in, now);
    } else if (ev->kind == ENV_ENDED) {
        inbound_close(p, in);
    } else if (ev->kind == ENV_CLOSED) {
        struct peer *q = in->channel == 0 ? in->peer : NULL;
        inbound_free(in);
        if (q) p->handlers.on_lost(p->handlers.context, q->id, false);
    }
}

void peers_on_event(struct peers *p, const struct env_event *ev)
{
    nanos now = node_now(p->node);

    if (ev->kind == ENV_ACCEPTED)
        accept_one(p, ev->pending, now);
    else if (ev->stream->kind == NODE_PEER_DIALLED)
        dialled_event(p, ev->stream->owner, ev, now);
    else
        accepted_event(p, ev->stream->owner, ev, now);
}

static void link_turn(struct peers *p, struct link *l, nanos now)
{
    switch (l->state) {
    case LINK_DOWN:
        if (now >= l->retry_at && !l->peer->gone) link_dial(p, l, now);
        break;
    case LINK_DIALLING:
    case LINK_HELLO:
        if (now >= l->since + DIAL_TIMEOUT) link_close(p, l);
        break;
    case LINK_UP: /* a silent peer's connection may be half open: begin again rather than wait for
                     TCP */
        if (now >= l->heard_at + SILENCE_MAX) link_close(p, l);
        break;
    case LINK_CLOSING: break;
    }
}

static nanos patience_with(const struct inbound *in)
{
    if (in->ticket) return JOIN_TIMEOUT;
    return in->peer ? SILENCE_MAX : DIAL_TIMEOUT;
}

void peers_turn(struct peers *p, nanos now)
{
    peers_sweep(p);
    for (u32 i = 0; i < p->count; i++)
        for (u32 ch = 0; ch < CHANNELS; ch++) link_turn(p, &p->peer[i]->links[ch], now);
    LIST_EACH_SAFE(l, &p->inbound)
    {
        struct inbound *in = CONTAINER_OF(l, struct inbound, link);
        if (in->ready && !in->closing) inbound_parse(p, in, now);
        if (now >= in->heard_at + patience_with(in)) inbound_close(p, in);
    }
}

void peers_flush(struct peers *p)
{
    for (u32 i = 0; i < p->count; i++)
        for (u32 ch = 0; ch < CHANNELS; ch++) {
            struct link *l = &p->peer[i]->links[ch];
            if (!l->dirty) continue;
            l->dirty = false;
            if (l->state == LINK_UP) env_flush(p->env, &l->stream);
        }
}

nanos peers_deadline(const struct peers *p)
{
    nanos at = NANOS_NEVER;

    for (u32 i = 0; i < p->count; i++)
        for (u32 ch = 0; ch < CHANNELS; ch++) {
            const struct link *l = &p->peer[i]->links[ch];
            if (l->state == LINK_DOWN && !l->peer->gone) at = u64_min(at, l->retry_at);
            if (l->state == LINK_DIALLING || l->state == LINK_HELLO)
                at = u64_min(at, l->since + DIAL_TIMEOUT);
            if (l->state == LINK_UP) at = u64_min(at, l->heard_at + SILENCE_MAX);
        }
    LIST_EACH(n, &p->inbound)
    {
        const struct inbound *in = CONTAINER_OF(n, struct inbound, link);
        if (in->ready) return 0;
        at = u64_min(at, in->heard_at + patience_with(in));
    }
    return at;
}

static struct link *link_for(struct peers *p, node_id to, const struct frame *f)
{
    struct peer *q = peer_find(p, to);
    struct link *protocol = q ? &q->links[0] : NULL, *bulk = q ? &q->links[1] : NULL;

    if (!q || (f->type == FRAME_SNAPSHOT_CHUNK && !MUTANT(snapshots_before_heartbeats))) return bulk;
    bool waits = protocol->stream.out.len > OVERTAKE_BYTES && bulk->stream.out.len < protocol->stream.out.len;
    /* Support of nodes must not wait for what their groups say, here or where it is read; nor outlive the way that these
     * take. */
    if (f->type == FRAME_PING || f->type == FRAME_PONG) {
        bool whole = env_mono(p->env) <= protocol->heard_at + SUPPORT_SILENCE_MAX;
        if (protocol->state != LINK_UP || !whole) return NULL;
        if (bulk->state == LINK_UP && bulk->stream.out.len <= OVERTAKE_BYTES) return bulk;
    }
    return f->may_overtake && waits && bulk->state == LINK_UP ? bulk : protocol;
}

struct buf *peers_begin(struct peers *p, node_id to, const struct frame *f, bool may_drop)
{
    struct link *l = link_for(p, to, f);

    if (!l || l->state != LINK_UP) return NULL;
    if (f->dst_boot && f->dst_boot != l->peer->boot && !MUTANT(answer_sent_to_a_new_life)) return NULL;
    if (l->stream.out.len > (may_drop ? QUEUE_DROPPABLE_MAX : QUEUE_MAX) && !MUTANT(peer_queue_without_limit)) {
        p->stats.dropped_full++;
        p->stats.dropped_repairable += may_drop;
        return NULL;
    }
    struct frame full = *f;
    full.src_node = config(p)->self;
    full.src_boot = p->boot;
    full.dst_node = to;
    full.dst_boot = l->peer->boot;
    assert(!p->building);
    p->building = l;
    p->frame_at = frame_begin(&l->stream.out, &full);
    l->dirty = true;
    return &l->stream.out;
}

void peers_end(struct peers *p)
{
    assert(p->building);
    frame_end(&p->building->stream.out, p->frame_at);
    if (p->building->channel) p->stats.bytes_bulk += p->building->stream.out.len - p->frame_at;
    p->building = NULL;
    p->stats.frames_out++;
}

bool peers_is_connected(const struct peers *p, node_id to)
{
    const struct peer *q = peer_find(p, to);
    return q && q->links[0].state == LINK_UP;
}

nanos peers_silence(const struct peers *p, node_id of)
{
    const struct peer *q = peer_find(p, of);
    nanos now = node_now(p->node);

    if (!q || !q->heard_at || q->links[0].state != LINK_UP) return NANOS_NEVER;
    return now - u64_min(now, q->heard_at);
}

const u8 *peers_incarnation(const struct peers *p, node_id of)
{
    const struct peer *q = peer_find(p, of);
    return q && q->boot ? q->hello.incarnation : NULL;
}

/* Over every connection and in both directions: each end of each can then tell by itself that it is
 * whole. */
void peers_send_status(struct peers *p, const struct status *s, u64 map_epoch)
{
    struct frame f = {.type = FRAME_STATUS,
                      .src_node = config(p)->self,
                      .src_boot = p->boot,
                      .map_epoch = (u32)map_epoch};

    for (u32 i = 0; i < p->count; i++)
        for (u32 ch = 0; ch < CHANNELS; ch++) {
            struct link *l = &p->peer[i]->links[ch];
            if (l->state != LINK_UP || l->stream.out.len > QUEUE_DROPPABLE_MAX) continue;
            f.dst_node = l->peer->id;
            f.dst_boot = l->peer->boot;
            size_t place = frame_begin(&l->stream.out, &f);
            status_encode(s, &l->stream.out);
            frame_end(&l->stream.out, place);
            l->dirty = true;
        }
    LIST_EACH(n, &p->inbound)
    {
        struct inbound *in = CONTAINER_OF(n, struct inbound, link);
        if (!in->peer || in->closing || in->stream.out.len > 64 * KIB) continue;
        f.dst_node = in->peer->id;
        f.dst_boot = in->peer->boot;
        size_t place = frame_begin(&in->stream.out, &f);
        status_encode(s, &in->stream.out);
        frame_end(&in->stream.out, place);
        env_flush(p->env, &in->stream);
    }
}

bool peers_all_met(const struct peers *p)
{
    for (u32 i = 0; i < p->count; i++)
        if (!p->peer[i]->gone && !p->peer[i]->boot) return false;
    return true;
}

bool peers_all_blank(const struct peers *p)
{
    for (u32 i = 0; i < p->count; i++)
        if (!p->peer[i]->gone && (!p->peer[i]->boot || !p->peer[i]->blank_said)) return false;
    return true;
}

u32 peers_view(const struct peers *p, struct peer_view *out, u32 max)
{
    nanos now = env_mono(p->env);
    u32 n = 0;

    for (u32 i = 0; i < p->count && n < max; i++) {
        if (p->peer[i]->gone) continue;
        out[n++] = (struct peer_view){
            .id = p->peer[i]->id,
            .alive = p->peer[i]->heard_at && now < p->peer[i]->heard_at + SILENCE_MAX,
            .silent = now - u64_max(p->peer[i]->heard_at, p->started_at),
            .boot = p->peer[i]->boot,
            .map_epoch = p->peer[i]->map_epoch,
            .hello = p->peer[i]->boot ? &p->peer[i]->hello : NULL,
            .status = p->peer[i]->status,
            .other_value_max = p->peer[i]->other_value_max,
        };
    }
    return n;
}

const struct peers_stats *peers_stats(const struct peers *p)
{
    return &p->stats;
}

void peers_queues(const struct peers *p, struct peers_queues *out)
{
    *out = (struct peers_queues){.bytes_max = QUEUE_MAX, .repairable_bytes_max = QUEUE_DROPPABLE_MAX};
    for (u32 i = 0; i < p->count; i++)
        for (u32 ch = 0; ch < CHANNELS; ch++)
            out->fullest = u64_max(out->fullest, p->peer[i]->links[ch].stream.out.len);
}
