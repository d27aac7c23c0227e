/* The node: the turn that does all its work, and what its parts ask of it. See node.h. */
#include "server/node_state.h"
#include "wire/peer/join.h"

#include <inttypes.h>
#include <stdio.h>

#define EVENTS_PER_TURN 4096
#define STATUS_EVERY    (200 * NANOS_MS)
#define STOP_WAIT       (3 * NANOS_SEC)

void node_fail(struct node *n, const char *why, err e)
{
    if (n->failed) return;
    n->failed = true;
    snprintf(n->failure, sizeof n->failure, "%s%s%s", why, e ? ": " : "", e ? err_text(e) : "");
    env_log(n->env, LOG_ERROR, "node stops: %s", n->failure);
}

/* ---- what the partition and the peers ask of the node ---- */

static void answer_peer(struct node *n, const struct part_answer *a)
{
    /* Numbers begin anew in each life of a node: an answer is for the life that asked. */
    struct frame f = {
        .type = FRAME_FORWARD_REPLY, .part = a->part, .req = a->to.number, .dst_boot = a->to.boot};
    struct forward_reply r = {
        .status = (u8)a->status, .leader = a->leader, .index = a->index, .hlc = a->hlc, .reply = a->reply};
    struct buf *out = peers_begin(n->peers, a->to.node, &f, false), cost = {0};

    if (!out) return; /* its gateway asks again, or answers UNKNOWN */
    if (a->cost) cost_encode(a->cost, &cost);
    r.cost = buf_str(&cost);
    forward_reply_encode(&r, out);
    buf_done(&cost);
    peers_end(n->peers);
}

void node_on_answer(void *context, const struct part_answer *a)
{
    struct node *n = context;
    if (a->to.node == n->config.self && (a->to.number & CLUSTER_NUMBER) == CLUSTER_NUMBER)
        cluster_on_answer(n->cluster, a);
    else if (a->to.node == n->config.self)
        gateway_on_answer(parts_find(n->parts, a->part)->gateway, a);
    else
        answer_peer(n, a);
}

struct buf *node_on_peer_begin(void *context, node_id to, const struct frame *f)
{
    struct node *n = context;
    return peers_begin(n->peers, to, f, true);
}

void node_on_peer_end(void *context)
{
    struct node *n = context;
    peers_end(n->peers);
}

const u8 *node_on_incarnation(void *context, node_id node)
{
    struct node *n = context;
    return node == n->config.self ? n->identity.incarnation : peers_incarnation(n->peers, node);
}

struct live_support node_on_support_from(void *context, node_id node)
{
    struct node *n = context;
    return live_received(support_live(n->support), node);
}

u64 node_on_support_given(void *context, node_id node)
{
    struct node *n = context;
    return live_given(support_live(n->support), node);
}

void node_on_met(void *context, node_id peer, u32 boot, bool other_disk)
{
    struct node *n = context;
    support_on_met(n->support, peer, boot, other_disk);
}

struct part *node_on_replica(void *context, u64 part)
{
    struct node *n = context;
    struct hosted *h = parts_find(n->parts, part);
    return h && !h->retiring ? h->part : NULL;
}

bool node_on_ship(void *context, node_id to)
{
    struct node *n = context;
    return shipments_begin(parts_shipments(n->parts), to);
}

void node_on_shipped(void *context, node_id to)
{
    struct node *n = context;
    shipments_end(parts_shipments(n->parts), to);
}

void node_on_born(void *context, struct part *parent, u64 child)
{
    struct node *n = context;
    if (n->cluster) cluster_on_born(n->cluster, part_id(parent), child);
}

void node_on_gone(void *context, u64 part)
{
    struct node *n = context;
    struct hosted *h = parts_find(n->parts, part);
    if (h && h->part) h->was_merged = true;
    if (h) parts_touch(n->parts, h);
}

void node_on_wake(void *context, u64 part)
{
    struct node *n = context;
    struct hosted *h = parts_find(n->parts, part);
    if (h) parts_touch(n->parts, h);
}

void node_on_log(void *context, enum log_level level, const char *line)
{
    struct node *n = context;
    env_log(n->env, level, "%s", line);
}

static err on_forward(struct node *n, struct hosted *h, node_id from, const struct frame *f,
                      str body)
{
    struct forward fw;

    err e = forward_decode(body, &fw);
    if (e) return e;
    struct level level;
    if (fw.kind < PART_WRITE || fw.kind > PART_WAIT || !level_from_u64(fw.level, &level)) return ERR_MALFORMED;
    if (fw.kind != PART_WAIT) {
        struct entry checked;
        if (entry_decode(fw.entry, &checked)) return ERR_MALFORMED;
    }
    if (!h || !h->part) { /* whoever asks has an old map */
        struct part_answer a = {.part = f->part,
                                .to = {from, f->src_boot, f->req},
                                .status = PART_NOT_LEADER,
                                .leader = h ? h->leader_hint : 0};
        answer_peer(n, &a);
        return OK;
    }
    struct part_request req = {.kind = (enum part_kind)fw.kind,
                               .from = {from, f->src_boot, f->req},
                               .entry = fw.entry.len ? rcbuf_from(fw.entry) : NULL,
                               .after = fw.after,
                               .deadline = n->now + (nanos)f->deadline_ms * NANOS_MS,
                               .index = fw.index,
                               .replicas = fw.replicas,
                               .level = level,
                               .floor = fw.floor,
                               .wants_cost = fw.wants_cost};
    part_submit(h->part, &req);
    return OK;
}

err node_on_frame(void *context, node_id from, const struct frame *f, str body)
{
    struct node *n = context;

    struct hosted *h = f->part ? parts_find(n->parts, f->part) : NULL;
    if (h) parts_touch(n->parts, h);
    switch (f->type) {
    case FRAME_MAP_PULL:
    case FRAME_MAP:
    case FRAME_REPORT:
    case FRAME_TRANSFER:
    case FRAME_MIDDLE:
        if (n->cluster) cluster_on_frame(n->cluster, from, f, body);
        return OK;
    case FRAME_PING:
    case FRAME_PONG: return support_on_frame(n->support, from, f, body);
    case FRAME_FORWARD: return on_forward(n, h, from, f, body);
    case FRAME_FORWARD_REPLY: return h && h->gateway ? gateway_on_reply(h->gateway, from, f, body) : OK;
    default: return h && h->part ? part_on_frame(h->part, from, f, body) : OK;
    }
}

void node_on_lost(void *context, node_id peer, bool restarted)
{
    struct node *n = context;
    for (u32 i = 0; i < parts_count(n->parts); i++) {
        struct hosted *h = parts_at(n->parts, i);
        if (h->part) part_on_peer_lost(h->part, peer, restarted);
        if (h->gateway) gateway_on_peer_lost(h->gateway, peer);
        parts_touch(n->parts, h);
    }
    if (n->cluster) cluster_on_lost(n->cluster, peer);
}

bool node_is_removed(void *context, node_id node)
{
    const struct node *n = context;
    const struct core_node *row = n->cluster ? core_node(cluster_map(n->cluster), node) : NULL;

    return row && row->state == CORE_REMOVED;
}

void node_on_removed(void *context)
{
    node_fail(context, NODE_REMOVED_TEXT, OK);
}

void node_on_join(void *context, u64 ticket, str body)
{
    struct node *n = context;
    struct join_reply r = {.status = JOIN_REFUSED, .reason = STR("the members of this cluster are fixed")};

    if (n->cluster)
        cluster_on_join(n->cluster, ticket, body);
    else
        peers_answer_join(n->peers, ticket, &r);
}

/* ---- the turn ---- */

static void take_disk(struct node *n, const struct env_event *ev)
{
    err e = wal_on_disk_done(n->wal, ev->op, n->now);
    if (e)
        node_fail(
            n,
            "a write to the log failed, what is on disk is unknown; check the disk and start again",
            e);
}

static void take_job(struct node *n, const struct env_event *ev)
{
    if (wal_owns_job(n->wal, ev->job)) {
        err e = wal_on_job_done(n->wal, ev->job, n->now);
        if (e) node_fail(n, "the log cannot prepare its next file", e);
        return;
    }
    err e = parts_on_job(n->parts, ev->job);
    if (e) node_fail(n, "writing the state store failed", e);
}

static void take_stream(struct node *n, const struct env_event *ev, u32 kind)
{
    switch (kind) {
    case NODE_PEER_DIALLED:
    case NODE_PEER_ACCEPTED: peers_on_event(n->peers, ev); break;
    case NODE_REDIS: redis_door_on_event(n->redis, ev); break;
    case NODE_ADMIN: admin_door_on_event(n->admin, ev); break;
    case NODE_JOIN:
        if (n->joiner) joiner_on_event(n->joiner, ev);
        break;
    default: panic("an event without an owner: kind %u", kind);
    }
}

static void take(struct node *n, const struct env_event *ev)
{
    switch (ev->kind) {
    case ENV_DISK_DONE: take_disk(n, ev); break;
    case ENV_JOB_DONE: take_job(n, ev); break;
    case ENV_STOP:
        if (!n->stop_asked_at) n->stop_asked_at = n->now;
        break;
    case ENV_ACCEPTED: take_stream(n, ev, ev->listener->kind); break;
    default: take_stream(n, ev, ev->stream->kind); break;
    }
}

static bool take_events(struct node *n)
{
    struct env_event ev;

    for (u32 i = 0; i < EVENTS_PER_TURN; i++) {
        if (n->failed || !env_next_event(n->env, &ev)) return false;
        take(n, &ev);
    }
    return true;
}

static void tell_status(struct node *n)
{
    struct part *p = n->main->part;
    struct status s = {.leader = hosted_leader(n->main),
                       .pid = n->config.pid,
                       .redis_port = n->config.redis_port,
                       .blank = node_is_blank(n)};

    if (n->now < n->next_status_at) return;
    n->next_status_at = n->now + STATUS_EVERY;
    if (p) {
        s.role = (u32)raft_role(part_raft(p));
        s.term = raft_term(part_raft(p));
        s.commit = raft_commit(part_raft(p));
        s.applied = part_applied(p);
    }
    peers_send_status(n->peers, &s, n->cluster ? cluster_epoch(n->cluster) : 0);
}

bool node_is_blank(const struct node *n)
{
    const struct hosted *core = parts_find(n->parts, PART_CORE);

    if (!n->founds || !n->main->part || !part_is_blank(n->main->part)) return false;
    return !n->cluster || (core->part && part_is_blank(core->part));
}

static void found(struct node *n, struct hosted *h)
{
    if (h->founded || !part_is_damaged(h->part)) return;
    h->founded = true;
    part_on_founding(h->part);
    parts_touch(n->parts, h);
}

/* Blank replicas may vote once every member has said that it is blank as well; those of the core and of the default
 * keyspace in one step, so that no crash leaves one founded and the other not. */
static void watch_founding(struct node *n)
{
    if (!node_is_blank(n) || !peers_all_blank(n->peers)) return;
    found(n, n->main);
    if (n->cluster) found(n, parts_find(n->parts, PART_CORE));
}

/* Hand over what this node leads. */
static void resign_all(struct node *n)
{
    for (u32 i = 0; i < parts_count(n->parts); i++) {
        struct hosted *h = parts_at(n->parts, i);
        if (!h->part || !raft_is_leader(part_raft(h->part))) continue;
        part_resign(h->part);
        parts_touch(n->parts, h);
    }
}

static void watch_disk(struct node *n)
{
    bool full = wal_stats(n->wal)->full;

    if (full == n->was_full) return;
    n->was_full = full;
    env_log(n->env, full ? LOG_ERROR : LOG_INFO,
            full ? "disk full: read-only until space returns"
                 : "disk has space again: writes go on");
    for (u32 i = 0; i < parts_count(n->parts); i++)
        if (parts_at(n->parts, i)->part) part_on_disk_full(parts_at(n->parts, i)->part, full);
    parts_touch_all(n->parts);
}

/* What holds old files of the log back is checkpointed, however little happens to it. */
static void watch_log(struct node *n)
{
    if (n->now < n->next_log_look || wal_bytes_live(n->wal) <= 16 * n->config.wal_segment_bytes) return;
    n->next_log_look = n->now + 100 * NANOS_MS;
    n->log_looks++;
    parts_touch_all(n->parts);
}

static bool parts_are_stopping(struct node *n)
{
    bool stopped = true;

    for (u32 i = 0; i < parts_count(n->parts); i++)
        if (parts_at(n->parts, i)->part) stopped &= part_stopping(parts_at(n->parts, i)->part);
    parts_touch_all(n->parts);
    return stopped;
}

static void say_unclean_stop(struct node *n)
{
    u32 count = 0;

    for (u32 i = 0; i < parts_count(n->parts); i++) {
        struct part *p = parts_at(n->parts, i)->part;
        count += p && raft_is_volatile(part_raft(p));
    }
    env_log(n->env, LOG_WARN, "node stops before the disk has all: the next start replays its log%s",
            count ? ", and replicas whose entries count in memory have to be refilled" : "");
}

static void watch_stop(struct node *n)
{
    if (!n->stop_asked_at || n->stopped) return;
    if (!n->resigned) resign_all(n);
    n->resigned = true;
    bool idle = redis_door_stopping(n->redis);
    bool late = n->now >= n->stop_asked_at + STOP_WAIT;
    if (!idle && !late) return;
    n->stopped = parts_are_stopping(n);
    if (n->stopped || n->now < n->stop_asked_at + 2 * STOP_WAIT) return;
    say_unclean_stop(n);
    n->stopped = true;
}

static void set_wake(struct node *n)
{
    nanos at = parts_deadline(n->parts);

    at = u64_min(at, wal_deadline(n->wal));
    at = u64_min(at, peers_deadline(n->peers));
    at = u64_min(at, support_deadline(n->support));
    at = u64_min(at, redis_door_deadline(n->redis));
    at = u64_min(at, n->next_status_at);
    if (n->cluster) at = u64_min(at, cluster_deadline(n->cluster));
    if (n->stop_asked_at) at = u64_min(at, n->now + 20 * NANOS_MS);
    env_wake_at(n->env, at);
}

/* The turn of a node that is no member yet: ask, and become one. */
static bool join_turn(struct node *n)
{
    char problem[sizeof n->failure] = "";
    const struct join_outcome *o = joiner_outcome(n->joiner);

    joiner_turn(n->joiner, n->now);
    env_wake_at(n->env, joiner_deadline(n->joiner));
    if (n->stop_asked_at) n->stopped = true;
    if (o->refusal[0]) {
        n->failed = true;
        snprintf(n->failure, sizeof n->failure, "%s", o->refusal);
    }
    if (!o->done) return false;
    env_log(n->env, LOG_INFO, "joined as node %u", o->node);
    err e = identity_settle(n->env, &n->config, o, &n->identity);
    n->identity.has_joined = true;
    if (!e) e = node_boot_member(n, problem, sizeof problem);
    if (e) {
        node_fail(n, problem[0] ? problem : "cannot become a member", e);
        return false;
    }
    joiner_free(n->joiner); /* its connection was closed before its reply counted */
    n->joiner = NULL;
    node_tell_start(n);
    return true;
}

bool node_turn(struct node *n)
{
    bool more;

    if (n->failed || n->stopped) return false;
    n->now = env_mono(n->env);
    more = take_events(n);
    if (n->joiner) return join_turn(n);
    support_turn(n->support, n->now);
    peers_turn(n->peers, n->now);
    more |= redis_door_turn(n->redis);
    watch_founding(n);
    watch_disk(n);
    watch_log(n);
    if (n->cluster) cluster_turn(n->cluster, n->now);
    if (n->failed) return false;
    err e = parts_turn(n->parts, n->now, &more);
    if (e) {
        node_fail(n, "the partition cannot go on", e);
        return false;
    }
    tell_status(n);
    wal_flush(n->wal, n->now);
    peers_flush(n->peers);
    redis_door_flush(n->redis);
    admin_door_flush(n->admin);
    watch_stop(n);
    set_wake(n);
    return more && !n->stopped;
}

/* ---- for the cluster's files ---- */

err node_set_members(struct node *n, const struct node_member *members, u32 count)
{
    struct node_config *c = &n->config;
    bool same = count == c->member_count;

    for (u32 i = 0; i < count && same; i++)
        same = members[i].id == c->members[i].id && members[i].peer_port == c->members[i].peer_port &&
               strcmp(members[i].host, c->members[i].host) == 0;
    if (same) return OK;
    c->member_count = count;
    for (u32 i = 0; i < count; i++) c->members[i] = members[i];
    peers_set(n->peers, members, count);
    return identity_write_members(n->env, members, count);
}
