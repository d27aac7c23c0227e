/* See live.h. Both sides of a pair sit in one struct: what this node gave, and what it received. */
#include "live/live.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"

struct given { /* our promise to a peer */
    bool stands;
    u32 boot;      /* of the life it was made to */
    u32 withdrawn; /* w; grows, and is raised before anything that a promise forbids */
    nanos until;
};

struct received { /* a peer's promise to us */
    u32 withdrawn;
    bool known;  /* this life of it has answered */
    bool counts; /* as last told: until > now */
    nanos until, asked;
};

struct pair {
    node_id peer;
    u32 boot; /* 0: not met */
    bool shared;
    nanos ping_due;
    struct given given;
    struct received received;
};

struct live {
    struct live_options options;
    struct pair *pairs; /* owned; by peer */
    u32 count, cap, shared;
    nanos ticked_at, spared_until; /* after an absence of our own */
    struct live_stats stats;
};

struct live *live_new(const struct live_options *o)
{
    assert(o->self != 0);
    assert(o->boot != 0);
    assert(o->every > 0);
    assert(o->every < o->lease);
    assert(o->drift_ppm < 1000000);

    struct live *l = mem_zalloc(sizeof *l);
    l->options = *o;
    return l;
}

void live_free(struct live *l)
{
    if (!l) return;
    mem_free(l->pairs);
    mem_free(l);
}

/* ---- pairs ---- */

static u32 place_of(const struct live *l, node_id peer)
{
    u32 at = 0;
    while (at < l->count && l->pairs[at].peer < peer) at++;
    return at;
}

static struct pair *find(const struct live *l, node_id peer)
{
    u32 at = place_of(l, peer);
    return at < l->count && l->pairs[at].peer == peer ? &l->pairs[at] : NULL;
}

static struct pair *find_or_add(struct live *l, node_id peer)
{
    u32 at = place_of(l, peer);

    if (at < l->count && l->pairs[at].peer == peer) return &l->pairs[at];
    if (peer == 0 || peer == l->options.self || l->count == LIVE_PEERS_MAX) return NULL;
    if (l->count == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 4;
        l->pairs = mem_resize_array(l->pairs, l->cap, sizeof *l->pairs);
    }
    memmove(l->pairs + at + 1, l->pairs + at, (l->count - at) * sizeof *l->pairs);
    l->count++;
    l->pairs[at] = (struct pair){.peer = peer, .given = {.withdrawn = 1}};
    return &l->pairs[at];
}

static struct live_change *change_of(struct live_actions *out, node_id peer)
{
    for (u32 i = 0; i < out->change_count; i++)
        if (out->changes[i].peer == peer) return &out->changes[i];
    assert(out->change_count < LIVE_PEERS_MAX);
    out->changes[out->change_count] = (struct live_change){.peer = peer};
    return &out->changes[out->change_count++];
}

static void send(struct live *l, const struct pair *p, struct live_message m,
                 struct live_actions *out)
{
    assert(out->send_count < LIVE_PEERS_MAX);
    m.from = l->options.self;
    m.from_boot = l->options.boot;
    m.to = p->peer;
    m.to_boot = p->boot;
    out->send[out->send_count++] = m;
}

/* ---- what we give ---- */

static void withdraw(struct live *l, struct pair *p, struct live_actions *out)
{
    assert(p->given.stands);
    p->given.stands = false;
    if (!MUTANT(withdrawn_support_keeps_its_epoch)) p->given.withdrawn++;
    l->stats.withdrawn++;
    if (!MUTANT(withdrawn_support_not_told)) change_of(out, p->peer)->given = true;
}

/* Only who is heard is asked for a promise. */
static void ask(struct live *l, struct pair *p, bool heard, nanos now, struct live_actions *out)
{
    nanos lease = heard ? l->options.lease : 0;
    send(l, p, (struct live_message){.kind = LIVE_PING, .sent_at = now, .lease = lease}, out);
    p->ping_due = now + l->options.every;
    l->stats.pings++;
}

static void on_ping(struct live *l, struct pair *p, const struct live_message *m, nanos now,
                    struct live_actions *out)
{
    struct given *g = &p->given;

    /* The life on another disk may be at work still: one promise at a time. */
    if (g->stands && g->boot != p->boot) return;
    nanos lease = u64_min(m->lease, l->options.lease);
    if (lease) {
        g->until = g->stands ? u64_max(g->until, now + lease) : now + lease;
        g->stands = true;
        g->boot = p->boot;
    }
    send(l, p,
         (struct live_message){
             .kind = LIVE_PONG, .sent_at = m->sent_at, .lease = lease, .withdrawn = g->withdrawn},
         out);
    l->stats.pongs++;
    /* Both ask at the same time: one waking less for each. */
    if (p->shared && now + l->options.every / 2 >= p->ping_due) ask(l, p, p->received.counts, now, out);
}

/* ---- what we receive ---- */

/* The peer's promise, measured by its clock, lasts at least this long by ours. */
static nanos limit_of(const struct live_options *o, nanos lease)
{
    if (MUTANT(support_ignores_drift)) return lease;
    return lease * (1000000 - o->drift_ppm) / (1000000 + o->drift_ppm);
}

static void on_pong(struct live *l, struct pair *p, const struct live_message *m, nanos now,
                    struct live_actions *out)
{
    struct received *v = &p->received;

    if (m->to_boot != l->options.boot || m->sent_at > now) return; /* of an earlier life of ours */
    if (v->known && m->withdrawn < v->withdrawn && !MUTANT(support_of_an_old_epoch_counted)) return;
    bool news = !v->known || m->withdrawn != v->withdrawn;
    nanos from = MUTANT(support_counted_from_receipt) ? now : m->sent_at;
    nanos until = from + limit_of(&l->options, u64_min(m->lease, l->options.lease));
    v->until = news ? until : u64_max(v->until, until);
    v->asked = news ? m->sent_at : u64_max(v->asked, m->sent_at);
    v->withdrawn = m->withdrawn;
    v->known = true;
    bool counts = v->until > now;
    l->stats.lost += v->counts && !counts;
    if (news || counts != v->counts) change_of(out, p->peer)->received = true;
    v->counts = counts;
    if (!m->lease && p->shared) ask(l, p, true, now, out);
}

static void forget_received(struct pair *p, struct live_actions *out)
{
    if (p->received.known) change_of(out, p->peer)->received = true;
    p->received = (struct received){0};
}

/* ---- events ---- */

/* Another life of a peer. On the same disk the earlier one is over, and with it whatever it
 * believed. */
static void on_met(struct live *l, const struct live_event *ev, struct live_actions *out)
{
    struct pair *p = find_or_add(l, ev->peer);

    if (!p || (p->boot == ev->boot && !ev->other_disk)) return;
    if (p->boot && ev->boot < p->boot && !ev->other_disk)
        return; /* a late word of the one before */
    forget_received(p, out);
    if (p->given.stands && !ev->other_disk) withdraw(l, p, out);
    if (ev->other_disk && p->given.stands)
        p->given.boot = 0; /* to nobody any more, until its time */
    p->boot = ev->boot;
}

static void on_share(struct live *l, const struct live_event *ev)
{
    struct pair *p = find_or_add(l, ev->peer);

    if (!p || p->shared == ev->shared) return;
    p->shared = ev->shared;
    l->shared = l->shared + (ev->shared ? 1u : 0) - (ev->shared ? 0 : 1u);
}

static void on_message(struct live *l, const struct live_message *m, nanos now,
                       struct live_actions *out)
{
    struct pair *p = find(l, m->from);

    if (!p || m->to != l->options.self || m->from_boot != p->boot) return;
    if (m->kind == LIVE_PING) on_ping(l, p, m, now, out);
    if (m->kind == LIVE_PONG) on_pong(l, p, m, now, out);
}

/* Who was away itself reads what has come meanwhile before it takes silence for an end. A promise may always last
 * longer. */
static void note_absence(struct live *l, nanos now)
{
    if (l->ticked_at && now > l->ticked_at + 2 * l->options.every) l->spared_until = now + l->options.every;
    l->ticked_at = now;
}

static bool is_over(const struct live *l, const struct pair *p, nanos now)
{
    return p->given.stands && now >= p->given.until && now >= l->spared_until;
}

static void on_tick(struct live *l, nanos now, struct live_actions *out)
{
    note_absence(l, now);
    for (u32 i = 0; i < l->count; i++) {
        struct pair *p = &l->pairs[i];
        if (is_over(l, p, now)) withdraw(l, p, out);
        if (p->received.counts && now >= p->received.until) {
            p->received.counts = false;
            l->stats.lost++;
            change_of(out, p->peer)->received = true;
        }
        if (p->shared && p->boot && now >= p->ping_due) ask(l, p, p->received.counts, now, out);
    }
}

void live_step(struct live *l, const struct live_event *ev, struct live_actions *out)
{
    out->send_count = out->change_count = 0;
    switch (ev->kind) {
    case LIVE_TICK: on_tick(l, ev->now, out); break;
    case LIVE_MET: on_met(l, ev, out); break;
    case LIVE_SHARE: on_share(l, ev); break;
    case LIVE_RECEIVED: on_message(l, ev->message, ev->now, out); break;
    }
}

nanos live_deadline(const struct live *l)
{
    nanos at = NANOS_NEVER;

    for (u32 i = 0; i < l->count; i++) {
        const struct pair *p = &l->pairs[i];
        if (p->shared && p->boot) at = u64_min(at, p->ping_due);
        if (p->given.stands) at = u64_min(at, u64_max(p->given.until, l->spared_until));
        if (p->received.counts) at = u64_min(at, p->received.until);
    }
    return at;
}

void live_check(const struct live *l)
{
    u32 shared = 0;

    for (u32 i = 0; i < l->count; i++) {
        const struct pair *p = &l->pairs[i];
        assert(i == 0 || l->pairs[i - 1].peer < p->peer);
        assert(p->peer != l->options.self);
        assert(p->given.withdrawn > 0);
        assert(!p->received.counts || p->received.known);
        shared += p->shared;
    }
    assert(shared == l->shared);
}

/* ---- questions ---- */

static u64 epoch_of(u32 boot, u32 withdrawn)
{
    return (u64)boot << 32 | withdrawn;
}

u64 live_given(const struct live *l, node_id peer)
{
    const struct pair *p = find(l, peer);
    return p && p->given.stands ? epoch_of(l->options.boot, p->given.withdrawn) : 0;
}

struct live_support live_received(const struct live *l, node_id peer)
{
    const struct pair *p = find(l, peer);
    if (!p || !p->received.known) return (struct live_support){0};
    return (struct live_support){.epoch = epoch_of(p->boot, p->received.withdrawn),
                                 .until = p->received.until,
                                 .asked = p->received.asked};
}

const struct live_stats *live_stats(const struct live *l)
{
    return &l->stats;
}
