/* What one keyspace may take of a node, so that one at overload takes nothing from the others (Nygard's Bulkhead).
 *
 * Room. What partitions have not answered is counted for each keyspace over all its partitions. One may have as much as
 * REST_TIMES what is still free, so whoever takes most is stopped first and there is always room for one that comes
 * (Choudhury and Hahne 1998, dynamic queue length thresholds). At its share only its own connections wait.
 *
 * Window. While others are at work, its unanswered writes are bounded by what keeps its partitions busy (window.h); more of them would
 * only stand in the lines that others stand in as well.
 *
 * Turns. Keyspaces with input take turns of QUANTUM requests (Shreedhar and Varghese 1995, deficit round robin), and while
 * more than one of them is at work a turn of the door is short.
 *
 * Time. When its connections have waited for room longer than WAIT_TARGET (for the window, WINDOW_TARGET) for WAIT_INTERVAL, the keyspace is given more than it can do and
 * waiting helps nobody: what has come on the connection that began to wait last is refused, then another after
 * WAIT_INTERVAL over the root of how many were (Nichols and Jacobson 2012, CoDel), until the wait is short again. */
#include "server/redis/redis_internal.h"

#include "base/mem.h"
#include "base/mutant.h"

#define REST_TIMES    4u
#define WAIT_TARGET   (5 * NANOS_MS)
#define WINDOW_TARGET (500 * NANOS_MS) /* the same for the window, where a pause of the disk alone must refuse nobody */
#define WAIT_INTERVAL (100 * NANOS_MS)
#define SHARED_FOR    NANOS_SEC /* since two keyspaces were last at work at the same time */
#define RETRY_MIN_MS  10u
#define RETRY_MAX_MS  1000u

static struct share *share_of(struct redis_door *d, u32 keyspace)
{
    LIST_EACH(at, &d->shares)
    {
        struct share *s = CONTAINER_OF(at, struct share, link);
        if (s->keyspace == keyspace) return s;
    }
    struct share *s = mem_zalloc(sizeof *s);
    s->keyspace = keyspace;
    list_init(&s->busy);
    list_init(&s->ready);
    list_init(&s->starved);
    list_push(&d->shares, &s->link);
    return s;
}

/* Nobody of this keyspace is here any more. */
static void free_unused(struct share *s)
{
    if (s->clients || s->writes || s->others) return;
    assert(list_is_empty(&s->ready) && list_is_empty(&s->starved));
    list_remove(&s->busy);
    list_remove(&s->link);
    mem_free(s);
}

void redis_share_join(struct client *c, u32 keyspace)
{
    c->share = share_of(c->door, keyspace);
    c->share->clients++;
}

void redis_share_leave(struct client *c)
{
    list_remove(&c->ready); /* it is parsed now, or gone */
    c->share->clients--;
    free_unused(c->share);
    c->share = NULL;
}

/* ---- room ---- */

static size_t room_of(size_t request_bytes)
{
    return request_bytes + sizeof(struct gateway_request);
}

void redis_share_asked(struct redis_door *d, struct share *s, enum gateway_kind kind, size_t bytes)
{
    bytes = room_of(bytes);
    *(kind == GATEWAY_WRITE ? &d->asked_writes : &d->asked_others) += 1;
    *(kind == GATEWAY_WRITE ? &s->writes : &s->others) += 1;
    d->asked_bytes += bytes;
    s->bytes += bytes;
    if (kind == GATEWAY_WRITE) s->write_bytes += bytes;
}

void redis_share_back(struct redis_door *d, struct share *s, enum gateway_kind kind, size_t bytes)
{
    bytes = room_of(bytes);
    *(kind == GATEWAY_WRITE ? &d->asked_writes : &d->asked_others) -= 1;
    *(kind == GATEWAY_WRITE ? &s->writes : &s->others) -= 1;
    d->asked_bytes -= bytes;
    s->bytes -= bytes;
    if (kind == GATEWAY_WRITE) s->write_bytes -= bytes;
    free_unused(s);
}

void redis_share_done(struct redis_door *d, struct share *s, const struct gateway *g, size_t bytes)
{
    window_note(&s->window, node_now(d->node), room_of(bytes), gateway_least_delay(g));
}

/* Several keyspaces are at work. */
static bool is_shared(const struct redis_door *d)
{
    return node_now(d->node) < d->shared_until;
}

static bool is_over(u64 own, u64 all, u64 max)
{
    return own >= REST_TIMES * (max - u64_min(all, max));
}

static bool has_no_room(const struct redis_door *d, const struct share *s)
{
    if (MUTANT(keyspace_share_ignored)) return false;
    return is_over(s->writes, d->asked_writes, ASKED_WRITES_MAX) ||
           is_over(s->others, d->asked_others, ASKED_OTHERS_MAX) ||
           is_over(s->bytes, d->asked_bytes, d->asked_bytes_max);
}

static bool has_window(const struct redis_door *d, const struct share *s)
{
    return s->window.bytes && is_shared(d) && !MUTANT(keyspace_window_ignored);
}

static u64 window_of(const struct redis_door *d, const struct share *s)
{
    return has_window(d, s) ? s->window.bytes : d->asked_bytes_max;
}

enum limit_id redis_share_full(const struct redis_door *d, const struct share *s)
{
    if (has_no_room(d, s)) return LIMIT_KEYSPACE_SHARE;
    return s->write_bytes >= window_of(d, s) ? LIMIT_KEYSPACE_WINDOW : LIMIT_NONE;
}

/* The most that one keyspace can come to alone, and what the greatest has; and whose window has least left. */
void redis_share_limits(const struct redis_door *d, struct limits_now *out)
{
    struct limit_now *window = &out->at[LIMIT_KEYSPACE_WINDOW];
    u64 most = 0, left = d->asked_bytes_max;

    limit_see(window, d->asked_bytes_max, 0);

    LIST_EACH(at, &d->shares)
    {
        const struct share *s = CONTAINER_OF(at, struct share, link);
        most = u64_max(most, u64_max(100 * (u64)s->writes / ASKED_WRITES_MAX, 100 * (u64)s->others / ASKED_OTHERS_MAX));
        most = u64_max(most, 100 * s->bytes / d->asked_bytes_max);
        u64 bytes = window_of(d, s), free = bytes - u64_min(bytes, s->write_bytes);
        if (free >= left) continue;
        left = free;
        window->value = bytes;
        window->use = s->write_bytes;
    }
    out->at[LIMIT_KEYSPACE_SHARE] = (struct limit_now){.value = 100 * REST_TIMES / (REST_TIMES + 1), .use = most, .has_use = true};
}

/* ---- turns ---- */

void redis_share_ready(struct client *c)
{
    struct share *s = c->share;

    list_push(&s->ready, &c->ready);
    if (list_is_empty(&s->busy)) list_push(&c->door->busy, &s->busy);
}

static void note_work(struct redis_door *d, struct share *s)
{
    nanos now = node_now(d->node);

    if (d->latest && d->latest != s->keyspace) d->shared_until = now + SHARED_FOR;
    d->latest = s->keyspace;
}

static struct share *next_busy(struct redis_door *d)
{
    struct list *at;

    while ((at = list_first(&d->busy))) {
        struct share *s = CONTAINER_OF(at, struct share, busy);
        if (!list_is_empty(&s->ready)) return s;
        list_remove(at);
        s->left = 0;
    }
    return NULL;
}

u32 redis_share_turn_max(const struct redis_door *d)
{
    return is_shared(d) ? TURN_SHARED_MAX : TURN_REQUESTS_MAX;
}

u32 redis_share_parse(struct redis_door *d, u32 max)
{
    struct share *s = next_busy(d);

    if (!s) return 0;
    note_work(d, s);
    if (!s->left) s->left = is_shared(d) ? QUANTUM : VISIT_REQUESTS_MAX;
    struct list *at = list_first(&s->ready);
    list_remove(at);
    s->clients++; /* the last of its clients may leave it meanwhile */
    u32 parsed = redis_client_parse(CONTAINER_OF(at, struct client, ready), (u32)u64_min(max, s->left));
    s->left -= (u32)u64_min(s->left, parsed);
    if (!s->left && !MUTANT(keyspaces_take_no_turns)) {
        list_remove(&s->busy);
        list_push(&d->busy, &s->busy); /* behind the others */
    }
    s->clients--;
    free_unused(s);
    return parsed;
}

/* ---- time ---- */

static u64 root(u64 n)
{
    u64 r = 1;
    while ((r + 1) * (r + 1) <= n) r++;
    return r;
}

/* Not more of them than can ask something: each has at least this much, and comes back here otherwise. */
static void feed(struct redis_door *d, struct share *s)
{
    u64 window = window_of(d, s), given = 0;

    LIST_EACH_SAFE(at, &s->starved)
    {
        struct client *c = CONTAINER_OF(at, struct client, ready);
        if (s->write_bytes + given >= window) break;
        if (redis_door_full(d, c)) continue;
        list_remove(&c->ready);
        redis_share_ready(c);
        given += room_of(c->stream.in.len);
        if (d->timed_out_at < c->starved_at) continue;
        redis_client_late(c, u64_max(c->starved_at + d->config->request_timeout, 1));
    }
}

static void refuse_newest(struct share *s)
{
    struct client *c = CONTAINER_OF(s->starved.prev, struct client, ready);

    c->refused_bytes = c->stream.in.len;
    list_remove(&c->ready);
    redis_share_ready(c);
}

static void look(struct redis_door *d, struct share *s, nanos now)
{
    const struct list *first = list_first(&s->starved);
    nanos wait = first ? now - CONTAINER_OF(first, struct client, ready)->starved_at : 0;
    bool is_windows = has_window(d, s) && !has_no_room(d, s);

    if (wait < (is_windows ? WINDOW_TARGET : WAIT_TARGET)) {
        s->slow_since = 0;
        s->refusals = 0;
        return;
    }
    if (!s->slow_since) s->slow_since = now;
    if (now < s->slow_since + WAIT_INTERVAL || now < s->next_refusal || MUTANT(keyspace_overload_never_refused)) return;
    s->wait = wait;
    s->refusals++;
    s->next_refusal = now + WAIT_INTERVAL / root(s->refusals);
    refuse_newest(s);
}

/* The node has room again, or not for too long. If there is room because requests ran out of time, the time that
 * others waited to get in counts. */
void redis_share_feed(struct redis_door *d)
{
    nanos now = node_now(d->node);

    LIST_EACH(at, &d->shares)
    {
        struct share *s = CONTAINER_OF(at, struct share, link);
        if (list_is_empty(&s->starved)) {
            s->slow_since = 0;
            continue;
        }
        feed(d, s);
        look(d, s, now);
        if (!list_is_empty(&s->starved)) d->look_at = u64_min(d->look_at, now + WAIT_TARGET);
    }
}

void redis_share_refuse(struct client *c, size_t request_bytes)
{
    struct resp_writer w = redis_reply_begin(c);
    u64 ms = u64_min(u64_max(c->share->wait / NANOS_MS, RETRY_MIN_MS), RETRY_MAX_MS);

    resp_errorf(&w, "OVERLOADED retry=%llu limit=%s this keyspace is given more than it can do; nothing was done",
                (unsigned long long)ms, limit_rows[LIMIT_KEYSPACE_SHARE].name);
    redis_reply_end(c, &w, request_bytes);
}
