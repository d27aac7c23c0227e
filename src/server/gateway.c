/* See gateway.h. Requests not yet handed to a leader or a replica wait in one list, in order. */
#include "server/gateway_internal.h"

#include "base/bytes.h"

#include <stdio.h>

#define GRACE       (150 * NANOS_MS) /* the partition expires what it queues; we wait a little longer */
#define RETRY_AFTER (20 * NANOS_MS)
#define NEAR_PATIENCE (300 * NANOS_MS) /* twice what a replica lets a read wait */
#define STALE_PATIENCE (500 * NANOS_MS)
#define WAIT_SLICE  NANOS_SEC
#define LARGE_BYTES MIB
#define LARGE_BYTES_PER_SECOND (16 * MIB) /* what a busy machine moves at least, through all three nodes */

static size_t request_bytes(const struct gateway_request *r)
{
    return sizeof *r + (r->entry ? r->entry->len : 0);
}

struct gateway *gateway_new(struct node *n, struct hosted *hosted, u32 boot)
{
    struct gateway *g = mem_zalloc(sizeof *g);

    g->node = n;
    g->hosted = hosted;
    g->env = node_env(n);
    g->boot = boot;
    put_u32(g->session.bytes, node_config_of(n)->self);
    put_u32(g->session.bytes + 4, boot);
    /* A node that lost its disk counts its boots from 1 again and must not meet its old session. */
    mem_copy(g->session.bytes + 8, node_identity(n)->incarnation, 8);
    /* A session to each partition: a split gives the child the sessions of its parent, and numbers of two gateways in one
     * session would be taken for each other. */
    put_u64(g->session.bytes + 8, get_u64(g->session.bytes + 8) ^ hosted->id);
    g->session.bytes[15] &= 0x7f; /* a client's session has this bit */
    /* Numbers begin at a random place: an answer meant for a node's earlier life on a lost disk, which
     * counted its boots from 1 as well, finds nobody here. */
    g->base = g->next = 1 + (env_random(g->env) >> 8);
    g->first_generation = (u32)env_random(g->env) >> 1;
    g->bytes_max = size_max(node_config_of(n)->memory_bytes / 10,
                            2 * node_config_of(n)->value_bytes_max);
    list_init(&g->waiting);
    list_init(&g->sent);
    list_init(&g->near);
    g->earliest = NANOS_NEVER;
    return g;
}

void gateway_free(struct gateway *g)
{
    if (!g) return;
    LIST_EACH(l, &g->waiting) rcbuf_unref(CONTAINER_OF(l, struct gateway_request, link)->entry);
    LIST_EACH(l, &g->sent) rcbuf_unref(CONTAINER_OF(l, struct gateway_request, link)->entry);
    LIST_EACH(l, &g->near) rcbuf_unref(CONTAINER_OF(l, struct gateway_request, link)->entry);
    mem_free(g->writes);
    mem_free(g->others);
    mem_free(g->free_others);
    mem_free(g);
}

bool gateway_is_idle(const struct gateway *g)
{
    return list_is_empty((const struct list *)&g->waiting) &&
           list_is_empty((const struct list *)&g->sent) && list_is_empty((const struct list *)&g->near);
}

/* Read once a turn. */
static u64 wall_us(struct gateway *g)
{
    nanos turn = node_now(g->node);

    if (g->wall_at != turn) g->wall_us = env_wall_us(g->env);
    g->wall_at = turn;
    return g->wall_us;
}

static void set_session(struct gateway *g, struct gateway_request *r)
{
    static const struct session_id none;
    struct entry e;

    r->owned_session = false;
    if (!gateway_is_write(r)) { /* a read names its session too, so that the leader can look up what it must
                           follow */
        if (r->entry) entry_set_session(r->entry->data, &g->session, r->after, 0, r->after, 0);
        return;
    }
    err bad = entry_decode(rcbuf_str(r->entry), &e);
    assert(!bad);
    if (!mem_equal(e.session.bytes, none.bytes, 16))
        return; /* the client's own, or a SESSION_OPEN */
    r->owned_session = true;
    r->first_hlc = hlc_from_us(wall_us(g));
}

static void complete(struct gateway *g, struct gateway_request *r,
                     const struct gateway_reply *reply)
{
    struct rcbuf *entry = r->entry;
    struct buf stale = r->stale;

    r->stale = (struct buf){0};
    if (g->returned == r) g->returned = NULL;
    nanos now = node_now(g->node);
    if (gateway_is_write(r) && !reply->failed) delay_note(&g->delay, now, now - r->asked_at);
    list_remove(&r->link);
    g->stats.inflight--;
    g->stats.inflight_bytes -= request_bytes(r);
    if (r->number) gateway_slot_release(g, r->number);
    g->look_again |= (gateway_is_write(r) || r->counted || level_has_memory(r->level)) && !list_is_empty(&g->waiting);
    gateway_order_return(r);
    r->state = 0;
    r->entry = NULL;
    rcbuf_unref(entry);
    r->done(r, reply); /* the request may be gone */
    buf_done(&stale);
}

static void fail(struct gateway *g, struct gateway_request *r, const char *text)
{
    struct gateway_reply reply = {.bytes = str_of(text), .failed = true};
    complete(g, r, &reply);
}

static const char noquorum[] =
    "-NOQUORUM no leader with a quorum was reached in time; nothing was done, try again\r\n";
static const char unknown[] = "-UNKNOWN the command was sent to a leader and its outcome was not "
                              "learned in time; it may have been done\r\n";
static const char disk_full[] =
    "-DISKFULL the disks are full and the keyspace is read-only until there is space; nothing was done\r\n";

static void fail_at_limit(struct gateway *g, struct gateway_request *r, enum limit_id limit)
{
    char text[160];

    snprintf(text, sizeof text, "-OVERLOADED retry=50 limit=%s it is reached; nothing was done\r\n", limit_rows[limit].name);
    g->stats.overloaded++;
    fail(g, r, text);
}

/* Time is up. A read has no effect to be unsure of; a write is UNKNOWN once it may be in any log.
 */
static void time_out(struct gateway *g, struct gateway_request *r, bool refused)
{
    bool maybe = gateway_is_write(r) && (r->in_log_maybe || (r->state == REQUEST_SENT && !refused));

    if (r->stale.len) {
        struct gateway_reply reply = {.bytes = buf_str(&r->stale), .failed = true};
        g->stats.stale++;
        complete(g, r, &reply);
        return;
    }
    if (maybe && !MUTANT(unknown_reported_as_failed)) {
        g->stats.unknown++;
        fail(g, r, unknown);
    } else if (r->limit) {
        fail_at_limit(g, r, r->limit);
    } else {
        g->stats.noquorum++;
        fail(g, r, noquorum);
    }
}

/* Large values take time only to be moved to three nodes and their disks: theirs, and that of what is under way
 * before them. */
static nanos moving_time(const struct gateway *g, const struct gateway_request *r)
{
    u64 own = request_bytes(r);
    return own < LARGE_BYTES ? 0 : (g->stats.inflight_bytes + own) * NANOS_SEC / LARGE_BYTES_PER_SECOND;
}

void gateway_submit(struct gateway *g, struct gateway_request *r)
{
    nanos now = node_now(g->node);

    if (!r->deadline) r->deadline = now + node_config_of(g->node)->request_timeout + moving_time(g, r);
    g->earliest = u64_min(g->earliest, r->deadline);
    r->asked_at = now;
    r->state = REQUEST_WAITING;
    r->sent = r->in_log_maybe = r->to_leader = r->counted = false;
    r->at = 0;
    r->limit = LIMIT_NONE;
    r->have = 0;
    r->serial = ++g->serial;
    r->after = r->order ? r->order->last_write : 0;
    if (!gateway_take_number(g, r)) {
        r->number = 0; /* refused by the next turn: never inside this call */
    } else {
        set_session(g, r);
        if (gateway_is_write(r) && r->order) r->order->last_write = r->number;
    }
    g->stats.requests++;
    g->stats.inflight++;
    g->stats.inflight_bytes += request_bytes(r);
    list_push(&g->waiting, &r->link);
    parts_touch(node_parts(g->node), g->hosted);
}

void gateway_hasten(struct gateway *g, struct gateway_request *r, nanos deadline)
{
    r->deadline = u64_min(r->deadline, deadline);
    g->earliest = u64_min(g->earliest, r->deadline);
}

void gateway_cancel(struct gateway *g, struct gateway_request *r)
{
    if (!r->state) return;
    struct gateway_slot *s = r->number ? gateway_slot_of(g, r->number) : NULL;

    if (g->returned == r) g->returned = NULL;
    list_remove(&r->link);
    g->stats.inflight--;
    g->stats.inflight_bytes -= request_bytes(r);
    if (s && gateway_is_write(r) && (r->state == REQUEST_SENT || r->in_log_maybe)) {
        s->req =
            NULL; /* an orphan: its number counts as unanswered until its answer or its deadline */
        s->deadline = u64_min(s->deadline,
                              env_mono(g->env) + 2 * node_config_of(g->node)->request_timeout);
    } else if (s) {
        gateway_slot_release(g, r->number);
    }
    rcbuf_unref(r->entry);
    buf_done(&r->stale);
    r->entry = NULL;
    gateway_order_return(r);
    r->state = 0;
}

static nanos deadline_at_leader(struct gateway *g, const struct gateway_request *r)
{
    return r->kind == GATEWAY_WAIT ? u64_min(r->deadline, g->now + WAIT_SLICE) : r->deadline;
}

/* Asked of a replica as of the leader, it is the leader's to answer, or nobody's. */
static struct level level_sent(const struct gateway_request *r)
{
    return r->at || level_is_leaders(r->level) || MUTANT(fallback_served_near) ? r->level : (struct level){.kind = LEVEL_LEASE};
}

static bool send_to_peer(struct gateway *g, struct gateway_request *r, node_id to)
{
    nanos deadline = deadline_at_leader(g, r);
    struct frame f = {.type = FRAME_FORWARD,
                      .part = g->hosted->id,
                      .req = r->number,
                      .deadline_ms = (u32)((deadline - u64_min(deadline, g->now)) / NANOS_MS)};
    struct forward fw = {.kind = (u8)r->kind,
                         .wants_cost = r->wants_cost,
                         .level = level_to_u64(level_sent(r)),
                         .floor = r->floor,
                         .after = gateway_order_after(g, r),
                         .index = r->index,
                         .replicas = r->replicas,
                         .entry = r->entry ? rcbuf_str(r->entry) : str_from("", 0)};
    struct buf *out = peers_begin(node_peers(g->node), to, &f, false);

    if (!out) return false;
    forward_encode(&fw, out);
    peers_end(node_peers(g->node));
    g->stats.forwarded++;
    return true;
}

static void send_to_self(struct gateway *g, struct gateway_request *r)
{
    struct part_request req = {.kind = (enum part_kind)r->kind,
                               .from = {node_config_of(g->node)->self, g->boot, r->number},
                               .entry = r->entry ? rcbuf_ref(r->entry) : NULL,
                               .after = gateway_order_after(g, r),
                               .deadline = deadline_at_leader(g, r),
                               .index = r->index,
                               .replicas = r->replicas,
                               .level = level_sent(r),
                               .floor = r->floor,
                               .wants_cost = r->wants_cost};
    part_submit(g->hosted->part, &req);
}

/* What changes between two sends of a write. The entry may sit in a log with a leader's stamp by
 * now, so a retry is a fresh copy. */
static void refresh(struct gateway *g, struct gateway_request *r)
{
    if (r->entry->refs > 1) {
        struct rcbuf *copy = rcbuf_from(rcbuf_str(r->entry));
        rcbuf_unref(r->entry);
        r->entry = copy;
    }
    if (r->owned_session)
        entry_set_session(r->entry->data, &g->session, r->number, r->first_hlc, g->base,
                          gateway_order_pending(g, r));
    else
        gateway_order_name_call(g, r);
}

/* Send it to that node. false: the way to it is full or gone. */
static bool hand_over(struct gateway *g, struct gateway_request *r, node_id to, struct list *list)
{
    bool here = to == node_config_of(g->node)->self;

    if (!here && !send_to_peer(g, r, to)) return false;
    r->state = REQUEST_SENT;
    r->sent = true;
    r->sent_at = g->now;
    gateway_order_leave(r);
    list_remove(&r->link);
    list_push(list, &r->link);
    if (here) send_to_self(g, r);
    return true;
}

/* Hand a request to the leader. false: keep the rest waiting. */
static bool offer(struct gateway *g, struct gateway_request *r)
{
    if (gateway_is_write(r)) refresh(g, r);
    r->floor = 0; /* the leader has it all */
    return hand_over(g, r, g->target, &g->sent);
}

/* Ask a replica. false: none is in reach, the leader has to do. */
static bool offer_near(struct gateway *g, struct gateway_request *r)
{
    node_id at = gateway_may_go_near(g, r) ? nearby_replica(g->node, g->hosted) : 0;

    if (!at) return false;
    r->at = at;
    if (level_has_memory(r->level) && r->order) r->floor = r->order->seen_hlc;
    if (r->order) r->order->near_here = at == node_config_of(g->node)->self && (r->order->near_here || !r->order->near);
    bool sent = hand_over(g, r, at, &g->near);
    if (sent)
        g->stats.near++;
    else
        r->at = 0;
    return sent;
}

/* Back among the waiting, which are kept in the order of submission. What comes back is older than
 * most, and comes in order: look behind the last one that came. */
static void wait_again(struct gateway *g, struct gateway_request *r)
{
    struct list *at = g->waiting.next;

    if (g->returned && g->returned->state == REQUEST_WAITING && g->returned->serial < r->serial)
        at = g->returned->link.next;
    while (at != &g->waiting && CONTAINER_OF(at, struct gateway_request, link)->serial < r->serial)
        at = at->next;
    list_remove(&r->link);
    list_insert_before(at, &r->link);
    if (r->at) r->sent = false; /* to the leader it is a new one; the connection's later writes were held back */
    gateway_order_return(r);
    r->state = REQUEST_WAITING;
    g->returned = r;
    g->stats.retried++;
}

static void take_back(struct gateway *g)
{
    LIST_EACH_SAFE(l, &g->sent)
    {
        struct gateway_request *r = CONTAINER_OF(l, struct gateway_request, link);
        if (gateway_is_write(r)) r->in_log_maybe = true;
        wait_again(g, r);
    }
}

/* Those whom the replica does not answer: the leader is to. */
static void take_back_near(struct gateway *g, node_id peer, nanos sent_before)
{
    LIST_EACH_SAFE(l, &g->near)
    {
        struct gateway_request *r = CONTAINER_OF(l, struct gateway_request, link);
        if ((peer && r->at != peer) || r->sent_at > sent_before) continue;
        r->to_leader = true;
        wait_again(g, r);
    }
}

void gateway_on_peer_lost(struct gateway *g, node_id peer)
{
    if (peer != node_config_of(g->node)->self) take_back_near(g, peer, NANOS_NEVER);
    if (peer == g->target && peer != node_config_of(g->node)->self) take_back(g);
}

/* WAIT is asked in slices, so that no leader keeps a waiter whose client is gone. */
static bool wait_is_over(struct gateway *g, struct gateway_request *r, str bytes)
{
    i64 have = 0;
    if (r->kind != GATEWAY_WAIT) return true;
    if (bytes.len > 3) str_to_i64(str_from(bytes.at + 1, bytes.len - 3), &have);
    r->have = (u32)have;
    return have >= (i64)r->replicas || g->now + NANOS_MS >= r->deadline;
}

static const char moved[] = "-NOQUORUM the keys are in another partition by now; nothing was done, try again\r\n";

/* Not done here and never will be: its entry goes back to who knows where it belongs now. */
static void give_back(struct gateway *g, struct gateway_request *r)
{
    static const struct session_id none;
    struct rcbuf *entry = rcbuf_from(rcbuf_str(r->entry));
    struct gateway_reply reply = {.bytes = str_of(moved), .failed = true, .moved = entry};

    if (r->owned_session) entry_set_session(entry->data, &none, 0, 0, 0, 0);
    complete(g, r, &reply);
    rcbuf_unref(entry);
}

static bool is_moved(const struct gateway_request *r)
{
    return r->entry && r->moved && r->moved(r);
}

static const char never_seen[] =
    "-SESSION this connection's token names a state that the keyspace does not have: it is another cluster's, or what it saw "
    "was lost; begin with a new one\r\n";

/* Its replica is too far behind. The leader may be in reach, but is not waited for as long as for others' sake. */
static void ask_leader_instead(struct gateway *g, struct gateway_request *r, str error)
{
    buf_append_str(&r->stale, error);
    if (g->target) gateway_hasten(g, r, g->now + STALE_PATIENCE); /* else one is being elected */
    r->to_leader = true;
    wait_again(g, r);
}

static void settle(struct gateway *g, const struct part_answer *a, node_id from)
{
    u64 number = a->to.number, index = a->index;
    enum part_status status = a->status;
    str bytes = a->reply;
    struct gateway_slot *s = gateway_slot_of(g, number);
    if (!s) return; /* answered already, by the first of two sends */

    struct gateway_request *r = s->req;
    if (!r) {
        if (status != PART_LOST) gateway_slot_release(g, number);
        return;
    }
    struct cost cost;
    struct gateway_reply reply = {.bytes = bytes, .index = index};
    if (a->cost && r->wants_cost) {
        cost = *a->cost;
        cost.hlc = a->hlc;
        if (from != node_config_of(g->node)->self) cost.trips++;
        reply.cost = &cost;
    }
    bool certain = !gateway_is_write(r) || !r->in_log_maybe; /* no earlier send left anything in doubt */
    bool limited = status == PART_OVERLOADED || status == PART_EXPIRED; /* bytes may name a limit */
    r->limit = limited ? limit_find(bytes) : LIMIT_NONE;
    if (status == PART_DONE && gateway_order_is_ahead(r, a->hlc)) {
        if (from == g->target) fail(g, r, never_seen); /* else a replica's that was given up meanwhile */
    } else if (status == PART_DONE && wait_is_over(g, r, bytes)) {
        gateway_order_note_seen(r, a->hlc);
        complete(g, r, &reply);
    } else if (status == PART_STALE && r->at) {
        ask_leader_instead(g, r, bytes);
    } else if (status == PART_DISK_FULL && certain) {
        fail(g, r, disk_full);
    } else if (status == PART_EXPIRED && certain && r->kind != GATEWAY_WAIT) { /* a WAIT's slice ends, not it */
        time_out(g, r, true);
    } else if ((status == PART_WRONG_PLACE || status == PART_NOT_LEADER) && certain && is_moved(r)) {
        give_back(g, r);
    } else if (r->state ==
               REQUEST_SENT) { /* not done by that replica, or lost with it: offer it again */
        if (status == PART_LOST) r->in_log_maybe = true;
        bool near = r->at;
        r->to_leader |= near && status != PART_WRONG_PLACE;
        wait_again(g, r);
        if (status != PART_DONE && !(near && status == PART_NOT_LEADER)) g->retry_at = g->now + RETRY_AFTER;
    }
}

void gateway_on_answer(struct gateway *g, const struct part_answer *a)
{
    if (a->to.boot != g->boot) return;
    settle(g, a, node_config_of(g->node)->self);
}

err gateway_on_reply(struct gateway *g, node_id from, const struct frame *f, str body)
{
    struct forward_reply fr;
    struct cost cost;

    err e = forward_reply_decode(body, &fr);
    if (!e && fr.cost.len) e = cost_decode(fr.cost, &cost);
    if (e) return e;
    if (!g->hosted->part && fr.status == PART_NOT_LEADER) {
        g->hosted->leader_hint = fr.leader == from ? 0 : fr.leader;
        g->probe++;
    } else if (!g->hosted->part && fr.status == PART_DONE) {
        g->hosted->leader_hint = from;
    }
    struct part_answer a = {.to = {.number = f->req},
                            .status = fr.status,
                            .index = fr.index,
                            .hlc = fr.hlc,
                            .cost = fr.cost.len ? &cost : NULL,
                            .reply = fr.reply};
    settle(g, &a, from);
    return OK;
}

/* Connected peers in turn, another one after each refusal. */
static node_id any_peer(struct gateway *g)
{
    const struct node_config *c = node_config_of(g->node);

    for (u32 i = 0; i < c->member_count; i++) {
        node_id id = c->members[(g->probe + i) % c->member_count].id;
        if (id != c->self && peers_is_connected(node_peers(g->node), id)) return id;
    }
    return 0;
}

static void choose_target(struct gateway *g)
{
    node_id self = node_config_of(g->node)->self,
            leader = hosted_leader(g->hosted);
    node_id target = leader;

    if (target && target != self && !peers_is_connected(node_peers(g->node), target)) target = 0;
    if (target == self && !g->hosted->part) target = 0; /* the map says so: it was here, or will be */
    if (!target && !g->hosted->part) target = any_peer(g); /* whoever it is knows more */
    if (target == g->target) return;
    take_back(g); /* whoever had them may be gone; a second run is prevented by their numbers */
    g->target = target;
}

/* A WAIT is answered with the count there is, never with an error. */
static void end_wait(struct gateway *g, struct gateway_request *r)
{
    char text[24];
    int len = snprintf(text, sizeof text, ":%u\r\n", r->have);
    struct gateway_reply reply = {.bytes = str_from(text, (size_t)len)};

    complete(g, r, &reply);
}

static void expire_list(struct gateway *g, struct list *from)
{
    struct list batch;

    list_init(&batch);
    list_splice(&batch, from);
    for (struct list *l; (l = list_first(&batch));) { /* done() may cancel any other request */
        struct gateway_request *r = CONTAINER_OF(l, struct gateway_request, link);
        list_remove(l);
        list_push(from, l);
        g->earliest = u64_min(g->earliest, r->deadline);
        nanos grace = r->state == REQUEST_SENT ? GRACE : 0;
        if (r->deadline == NANOS_NEVER || g->now < r->deadline + grace) continue;
        if (r->kind == GATEWAY_WAIT)
            end_wait(g, r);
        else
            time_out(g, r, false);
    }
}

static void expire(struct gateway *g)
{
    if (g->now < g->next_sweep) return;
    g->next_sweep = g->now + 20 * NANOS_MS;
    if (g->now >= g->earliest) {
        g->earliest = NANOS_NEVER;
        expire_list(g, &g->waiting);
        expire_list(g, &g->sent);
        expire_list(g, &g->near);
    }
    if (g->now > NEAR_PATIENCE) take_back_near(g, 0, g->now - NEAR_PATIENCE);
    for (u64 n = g->base; n < g->next && n < g->base + 1024;
         n++) { /* orphans at the base hold `acked` back */
        struct gateway_slot *s = &g->writes[n & (g->writes_cap - 1)];
        if (s->used && !s->req && g->now >= s->deadline) gateway_slot_release(g, n);
    }
}

void gateway_fail_all(struct gateway *g)
{
    if (!g) return;
    take_back(g);
    take_back_near(g, 0, NANOS_NEVER);
    for (struct list *l; (l = list_first(&g->waiting));) {
        struct gateway_request *r = CONTAINER_OF(l, struct gateway_request, link);
        bool certain = !gateway_is_write(r) || !r->in_log_maybe;
        if (certain && is_moved(r))
            give_back(g, r);
        else
            time_out(g, r, true);
    }
}

static void refuse_unnumbered(struct gateway *g, struct gateway_request *r)
{
    fail_at_limit(g, r, gateway_is_write(r) ? LIMIT_GATEWAY_WRITES : LIMIT_GATEWAY_OTHERS);
}

/* Its time was up before it could be sent at all. */
static bool is_late(const struct gateway *g, const struct gateway_request *r)
{
    return !r->sent && r->kind != GATEWAY_WAIT && g->now >= r->deadline;
}

static void offer_waiting(struct gateway *g)
{
    struct list batch;
    bool way_open = true;

    g->pass++;
    list_init(&batch);
    list_splice(&batch, &g->waiting);
    for (struct list *l; (l = list_first(&batch));) {
        struct gateway_request *r = CONTAINER_OF(l, struct gateway_request, link);
        list_remove(l);
        list_push(&g->waiting, l);
        if (!r->number)
            refuse_unnumbered(g, r);
        else if (gateway_order_is_broken(r) || is_late(g, r))
            time_out(g, r, true);
        else if ((!r->sent || g->now >= g->retry_at || r->to_leader) && !gateway_must_hold(g, r) && !offer_near(g, r) &&
                 way_open && g->target)
            way_open = offer(g, r);
        if (r->state == REQUEST_WAITING && r->order) r->order->waits_in = g->pass;
    }
}

void gateway_turn(struct gateway *g, nanos now)
{
    g->now = now;
    g->look_again = false;
    choose_target(g);
    expire(g);
    if (!list_is_empty(&g->waiting)) offer_waiting(g);
}

nanos gateway_deadline(const struct gateway *g)
{
    if (gateway_is_idle(g)) return NANOS_NEVER;
    if (g->look_again) return g->now;
    return u64_max(g->next_sweep, g->now + 5 * NANOS_MS);
}

nanos gateway_least_delay(const struct gateway *g)
{
    return delay_least(&g->delay);
}

const struct gateway_stats *gateway_stats(const struct gateway *g)
{
    return &g->stats;
}
