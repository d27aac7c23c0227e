/* The reply queue of a connection. Every request has its slot in request order, whoever answers it
 * and whenever; bytes leave only from the head. A request is told from others by its own slot's
 * address, never by its place in the queue, so a late or repeated answer can not meet the wrong
 * one. */
#include "server/redis/redis_internal.h"

#include "base/mem.h"
#include "base/mutant.h"

static struct slot *slot_take(struct redis_door *d)
{
    struct list *at = list_first(&d->free_slots);

    if (!at) {
        struct slot *s = mem_zalloc(sizeof *s);
        list_init(&s->link);
        return s;
    }
    list_remove(at);
    d->free_slot_count--;
    return CONTAINER_OF(at, struct slot, link);
}

/* Takes s out of its connection's queue. */
static void slot_free(struct slot *s)
{
    struct client *c = s->client;
    struct redis_door *d = c->door;

    list_remove(&s->link);
    assert(c->queued > 0);
    c->queued--;
    c->queued_bytes -= s->request_bytes;
    if (s->ready)
        c->held_bytes -= s->inline_len + s->bytes.len;
    else
        c->reply_room -= s->reply_room;
    if (c->barrier == s) c->barrier = NULL;
    buf_done(&s->bytes);
    if (d->free_slot_count == SLOT_POOL_MAX) {
        mem_free(s);
        return;
    }
    list_push(&d->free_slots, &s->link);
    d->free_slot_count++;
}

void redis_slot_pool_done(struct redis_door *d)
{
    struct list *at;

    while ((at = list_first(&d->free_slots))) {
        list_remove(at);
        mem_free(CONTAINER_OF(at, struct slot, link));
    }
    d->free_slot_count = 0;
}

struct slot *redis_slot_push(struct client *c, size_t request_bytes)
{
    struct slot *s = slot_take(c->door);

    s->client = c;
    s->req = (struct gateway_request){.level = redis_client_level(c)};
    s->price = PRICE_NONE;
    s->finish = NULL;
    s->gather = NULL;
    s->request_bytes = request_bytes;
    s->reply_room = c->reply_guess;
    c->reply_room += s->reply_room;
    s->wake_at = 0;
    s->began = 0;
    s->asked = s->ready = s->is_write = s->is_lookup = s->stale = false;
    s->sample = 0;
    s->silent = c->reply_off || c->reply_skip;
    s->inline_len = 0;
    list_push(&c->queue, &s->link);
    c->queued++;
    c->queued_bytes += request_bytes;
    return s;
}

void redis_slot_expect_short(struct slot *s)
{
    struct client *c = s->client;
    size_t room = size_min(s->reply_room, REPLY_SHORT_BYTES);

    c->reply_room -= s->reply_room - room;
    s->reply_room = room;
}

/* One reply goes to the connection. */
static void send_reply(struct client *c, const struct slot *s, str reply)
{
    if (c->gone || s->silent) return;
    buf_append_str(&c->stream.out, reply);
    c->door->stats.bytes_out += reply.len;
}

/* Everything at the head that is ready leaves. */
static void drain(struct client *c)
{
    struct list *at;

    while ((at = list_first(&c->queue))) {
        struct slot *s = CONTAINER_OF(at, struct slot, link);
        if (!s->ready) break;
        str reply = s->bytes.len ? buf_str(&s->bytes) : str_from(s->inline_bytes, s->inline_len);
        send_reply(c, s, reply);
        slot_free(s);
    }
}

static void keep_reply(struct slot *s, str reply)
{
    buf_clear(&s->bytes);
    s->ready = true;
    s->client->reply_room -= s->reply_room;
    s->client->held_bytes += reply.len;
    if (reply.len <= REPLY_INLINE_BYTES) {
        mem_copy(s->inline_bytes, reply.at, reply.len);
        s->inline_len = (u8)reply.len;
    } else {
        buf_append_str(&s->bytes, reply);
    }
}

/* Replies of one connection tend to be alike: remember the longest, and forget it slowly. */
static void note_length(struct client *c, size_t bytes)
{
    c->reply_guess = size_max(bytes, c->reply_guess - c->reply_guess / 64);
}

static void note_lookup(struct redis_door *d, str reply)
{
    bool miss = reply.len >= 1 &&
                (reply.at[0] == '_' || (reply.len >= 2 && reply.at[1] == '-' &&
                                        (reply.at[0] == '$' || reply.at[0] == '*')));
    if (miss)
        d->lookup_misses++;
    else
        d->lookup_hits++;
}

void redis_slot_answer(struct slot *s, str reply)
{
    struct client *c = s->client;
    struct redis_door *d = c->door;

    assert(!s->ready);
    assert(!s->asked);
    if (UNLIKELY(s->sample || s->stale)) reply = redis_sample_end(s, reply);
    if (reply.len && reply.at[0] == '-')
        redis_door_count_error(d, reply);
    else if (s->is_lookup)
        note_lookup(d, reply);
    if (s->reply_room > REPLY_SHORT_BYTES || reply.len > s->reply_room) note_length(c, reply.len);
    if (list_first(&c->queue) == &s->link || MUTANT(reply_leaves_before_its_turn)) {
        send_reply(c, s, reply);
        slot_free(s);
        drain(c);
    } else {
        if (c->barrier == s) c->barrier = NULL;
        keep_reply(s, reply);
    }
    redis_client_touch(c);
    redis_client_wake(c);
}

/* Its time ran out, and that of what was received behind it meanwhile runs out with it. Without
 * this a pipeline longer than what may be under way is refused in parts, each after its own wait. */
static void note_time_out(struct slot *s, const struct gateway_reply *reply)
{
    struct redis_door *d = s->client->door;
    nanos now = node_now(d->node);

    if (!reply->failed || s->late || now < s->req.deadline) return;
    d->timed_out_at = now;
    redis_client_late(s->client, now);
}

static void come_back(struct slot *s)
{
    s->asked = false;
    s->order->under_way--;
    redis_share_back(s->client->door, s->share, s->req.kind, s->request_bytes);
}

static void on_answer(struct gateway_request *req, const struct gateway_reply *reply)
{
    struct slot *s = CONTAINER_OF(req, struct slot, req);

    s->order->last_index = u64_max(s->order->last_index, reply->index);
    if (req->kind == GATEWAY_WRITE && !reply->failed)
        redis_share_done(s->client->door, s->share, s->gateway, s->request_bytes);
    come_back(s);
    if (UNLIKELY(reply->moved) && (!s->finish || s->price) && redis_slot_ask_elsewhere(s, reply->moved)) return;
    note_time_out(s, reply);
    redis_price_count(s, reply);
    if (s->finish) {
        routes_look(s->client->door->routes); /* it may ask another partition */
        s->finish(s, reply);
    } else {
        redis_slot_answer(s, reply->bytes);
    }
}

/* The partition refuses it: is that so by our map, too? */
static bool is_moved(const struct gateway_request *req)
{
    const struct slot *s = CONTAINER_OF(req, struct slot, req);
    struct entry e;

    err bad = entry_decode(rcbuf_str(req->entry), &e);
    assert(!bad); /* we wrote it */
    return redis_entry_moved(s->client->door, s->order->part, req->kind, &e);
}

void redis_slot_ask(struct slot *s, struct hosted *h, enum gateway_kind kind, struct rcbuf *entry)
{
    struct client *c = s->client;

    s->gateway = h->gateway;
    s->order = LIKELY(c->home.part == h->id) ? &c->home : redis_order_of(c, h->id);
    s->order->under_way++;
    s->req.kind = kind;
    s->req.entry = entry;
    s->req.order = &s->order->order;
    s->req.done = on_answer;
    s->req.moved = is_moved;
    if (UNLIKELY(c->patience) && !s->req.deadline && kind != GATEWAY_WAIT)
        s->req.deadline = node_now(c->door->node) + c->patience;
    s->late = s->client->late && !s->req.deadline;
    if (s->late) s->req.deadline = s->client->late_at;
    s->asked = true;
    if (!s->began) {
        s->began = node_now(c->door->node);
        s->keyspace = c->keyspace->id;
    }
    s->is_write = c->wrote = kind == GATEWAY_WRITE;
    s->share = c->share;
    redis_share_asked(c->door, s->share, kind, s->request_bytes);
    if (UNLIKELY(c->door->sample.active) && entry) redis_sample_begin(s, rcbuf_str(entry));
    gateway_submit(s->gateway, &s->req);
}

/* Nobody wants its answer any more. */
static void take_back(struct slot *s)
{
    if (s->gather) redis_gather_cancel(s);
    if (!s->asked) return;
    come_back(s);
    gateway_cancel(s->gateway, &s->req);
}

/* Writes go on: what a client sent before it hung up is executed, as Redis does, while nobody
 * misses a read. A connection that is gone is freed with its last slot. */
void redis_slots_abandon(struct client *c)
{
    LIST_EACH_SAFE(at, &c->queue)
    {
        struct slot *s = CONTAINER_OF(at, struct slot, link);
        if ((s->asked || s->gather) && s->is_write) continue;
        take_back(s);
        slot_free(s);
    }
}

void redis_slots_free(struct client *c)
{
    struct list *at;

    while ((at = list_first(&c->queue))) {
        struct slot *s = CONTAINER_OF(at, struct slot, link);
        take_back(s);
        slot_free(s);
    }
}

struct resp_writer redis_reply_begin(struct client *c)
{
    struct redis_door *d = c->door;
    struct buf *out = list_is_empty(&c->queue) ? &c->stream.out : &d->scratch;

    assert(!d->replying);
    d->replying = true;
    if (out == &d->scratch) buf_clear(out);
    d->reply_from = out->len;
    return (struct resp_writer){out, c->proto};
}

void redis_reply_end(struct client *c, struct resp_writer *w, size_t request_bytes)
{
    struct redis_door *d = c->door;
    size_t bytes = w->out->len - d->reply_from;
    str reply = bytes ? str_from(buf_bytes(w->out) + d->reply_from, bytes) : STR("");

    assert(d->replying);
    d->replying = false;
    if (bytes && reply.at[0] == '-') redis_door_count_error(d, reply);
    redis_client_touch(c);
    if (w->out != &d->scratch) {
        if (c->gone || c->reply_off || c->reply_skip)
            buf_truncate(w->out, d->reply_from);
        else
            d->stats.bytes_out += bytes;
        return;
    }
    struct slot *s = redis_slot_push(c, request_bytes);
    keep_reply(s, reply);
}
