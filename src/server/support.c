#include "server/support.h"

#include "server/node_internal.h"

#define LOOK_EVERY (1 * NANOS_SEC) /* for who shares a group with this node */

struct support {
    struct node *node;
    struct env *env;
    struct live *live;
    u32 boot;
    node_id shared[LIVE_PEERS_MAX]; /* as the core knows */
    u32 shared_count;
    nanos look_at;
    u64 turns_seen; /* of partitions, by the latest look */
    struct live_actions out;
};

struct support *support_new(struct node *n, u32 boot)
{
    const struct node_config *c = node_config_of(n);
    struct live_options o = {.self = c->self,
                             .boot = boot,
                             .every = c->heartbeat_every,
                             .lease = c->lease,
                             .drift_ppm = c->drift_ppm};
    struct support *s = mem_zalloc(sizeof *s);

    s->node = n;
    s->env = node_env(n);
    s->boot = boot;
    s->live = live_new(&o);
    s->turns_seen = UINT64_MAX;
    return s;
}

void support_free(struct support *s)
{
    if (!s) return;
    live_free(s->live);
    mem_free(s);
}

const struct live *support_live(const struct support *s)
{
    return s->live;
}

static void send(struct support *s, const struct live_message *m)
{
    bool ping = m->kind == LIVE_PING;
    struct frame f = {.type = ping ? FRAME_PING : FRAME_PONG, .dst_boot = m->to_boot, .may_overtake = true};
    struct buf *out = peers_begin(node_peers(s->node), m->to, &f, true);

    if (!out) return; /* not connected: as if it were lost */
    struct ping body = {.sent_at = m->sent_at, .lease = m->lease, .withdrawn = m->withdrawn};
    if (ping)
        ping_encode(&body, out);
    else
        pong_encode(&body, out);
    peers_end(node_peers(s->node));
}

/* Only groups with a replica on that node look twice. */
static void tell_parts(struct support *s, node_id peer)
{
    struct parts *ps = node_parts(s->node);

    for (u32 i = 0; i < parts_count(ps); i++) {
        struct hosted *h = parts_at(ps, i);
        if (h->part && part_on_support(h->part, peer)) parts_touch(ps, h);
    }
}

static void step(struct support *s, struct live_event ev)
{
    ev.now = env_mono(s->env); /* after whatever was received */
    live_step(s->live, &ev, &s->out);
    for (u32 i = 0; i < s->out.send_count; i++) send(s, &s->out.send[i]);
    for (u32 i = 0; i < s->out.change_count; i++) tell_parts(s, s->out.changes[i].peer);
}

void support_on_met(struct support *s, node_id peer, u32 boot, bool other_disk)
{
    step(s, (struct live_event){.kind = LIVE_MET, .peer = peer, .boot = boot, .other_disk = other_disk});
}

err support_on_frame(struct support *s, node_id from, const struct frame *f, str body)
{
    bool is_ping = f->type == FRAME_PING;
    struct ping p;

    err e = is_ping ? ping_decode(body, &p) : pong_decode(body, &p);
    if (e) return e;
    struct live_message m = {.kind = is_ping ? LIVE_PING : LIVE_PONG,
                             .from = from,
                             .to = node_config_of(s->node)->self,
                             .from_boot = f->src_boot,
                             .to_boot = f->dst_boot,
                             .sent_at = p.sent_at,
                             .lease = p.lease,
                             .withdrawn = p.withdrawn};
    step(s, (struct live_event){.kind = LIVE_RECEIVED, .message = &m});
    return OK;
}

/* ---- who shares a group with this node ---- */

static bool contains(const node_id *set, u32 count, node_id id)
{
    for (u32 i = 0; i < count; i++)
        if (set[i] == id) return true;
    return false;
}

static u32 collect(struct support *s, node_id *out)
{
    struct parts *ps = node_parts(s->node);
    u32 count = 0;

    for (u32 i = 0; i < parts_count(ps); i++) {
        struct part *p = parts_at(ps, i)->part;
        if (!p) continue;
        const struct raft_config *c = raft_config(part_raft(p));
        for (u32 j = 0; j < c->count; j++) {
            node_id id = c->members[j].node;
            if (id == node_config_of(s->node)->self || contains(out, count, id)) continue;
            if (count < LIVE_PEERS_MAX) out[count++] = id;
        }
    }
    return count;
}

static void look(struct support *s)
{
    node_id now[LIVE_PEERS_MAX];
    u64 turns = parts_turns(node_parts(s->node));

    if (turns == s->turns_seen) return; /* members change by turns */
    s->turns_seen = turns;
    u32 count = collect(s, now);
    for (u32 i = 0; i < s->shared_count; i++)
        if (!contains(now, count, s->shared[i]))
            step(s, (struct live_event){.kind = LIVE_SHARE, .peer = s->shared[i], .shared = false});
    for (u32 i = 0; i < count; i++)
        if (!contains(s->shared, s->shared_count, now[i]))
            step(s, (struct live_event){.kind = LIVE_SHARE, .peer = now[i], .shared = true});
    mem_copy(s->shared, now, count * sizeof now[0]);
    s->shared_count = count;
}

void support_turn(struct support *s, nanos now)
{
    if (now >= s->look_at) {
        s->look_at = now + LOOK_EVERY;
        look(s);
    }
    if (now >= live_deadline(s->live)) step(s, (struct live_event){.kind = LIVE_TICK});
}

nanos support_deadline(const struct support *s)
{
    return u64_min(live_deadline(s->live), s->look_at);
}
