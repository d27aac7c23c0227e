/* See join.h. */
#include "server/join.h"

#include "base/assert.h"
#include "base/mem.h"
#include "server/node_internal.h"
#include "wire/peer/frame.h"
#include "wire/peer/join.h"

#include <stdio.h>

#define ANSWER_TIMEOUT (5 * NANOS_SEC) /* the member asks its cluster before it answers */
#define RETRY_AFTER    (300 * NANOS_MS)
#define REPLY_BYTES    (64 * KIB)
#define TELL_EVERY     (5 * NANOS_SEC)

struct joiner {
    struct node *node;
    struct env *env;
    u8 incarnation[16];
    struct stream stream;
    bool busy, closing; /* the stream is the backend's until its CLOSED */
    u32 seed;           /* which one is asked */
    nanos since, retry_at, tell_at;
    struct join_outcome outcome;
};

bool address_parse(str text, char host[NODE_HOST_MAX], u16 *port)
{
    size_t colon = text.len;
    i64 number;

    while (colon > 0 && text.at[colon - 1] != ':') colon--;
    if (colon < 2 || !str_to_i64(str_from(text.at + colon, text.len - colon), &number)) return false;
    if (number < 1 || number > UINT16_MAX) return false;
    str name = str_from(text.at, colon - 1);
    if (name.len > 2 && name.at[0] == '[' && name.at[name.len - 1] == ']')
        name = str_from(name.at + 1, name.len - 2);
    if (name.len == 0 || name.len >= NODE_HOST_MAX) return false;
    mem_copy(host, name.at, name.len);
    host[name.len] = 0;
    *port = (u16)number;
    return true;
}

struct joiner *joiner_new(struct node *n, const u8 incarnation[16])
{
    struct joiner *j = mem_zalloc(sizeof *j);

    j->node = n;
    j->env = node_env(n);
    mem_copy(j->incarnation, incarnation, 16);
    j->stream.owner = j;
    j->stream.kind = NODE_JOIN;
    buf_init(&j->stream.in, REPLY_BYTES);
    buf_init(&j->stream.out, 0);
    return j;
}

void joiner_free(struct joiner *j)
{
    if (!j) return;
    buf_done(&j->stream.in);
    buf_done(&j->stream.out);
    mem_free(j);
}

const struct join_outcome *joiner_outcome(const struct joiner *j)
{
    return &j->outcome;
}

str address_print(char *out, size_t size, const char *host, u16 port)
{
    const char *form = strchr(host, ':') ? "[%s]:%u" : "%s:%u";
    int n = snprintf(out, size, form, host, port);
    return str_from(out, (size_t)n);
}

static void ask(struct joiner *j)
{
    const struct node_config *c = node_config_of(j->node);
    char peer[NODE_HOST_MAX + 8], redis[NODE_HOST_MAX + 8], admin[NODE_HOST_MAX + 8];
    struct join_request r = {.version_min = QUORATE_LEVEL_MIN,
                             .version_max = QUORATE_LEVEL_MAX,
                             .peer = address_print(peer, sizeof peer, c->host, c->peer_port),
                             .redis = address_print(redis, sizeof redis, c->host, c->redis_port),
                             .admin = address_print(admin, sizeof admin, c->host, c->admin_port),
                             .rack = str_of(c->rack)};
    struct frame f = {.type = FRAME_JOIN};

    mem_copy(r.incarnation, j->incarnation, 16);
    size_t place = frame_begin(&j->stream.out, &f);
    join_request_encode(&r, &j->stream.out);
    frame_end(&j->stream.out, place);
    env_flush(j->env, &j->stream);
}

static void hang_up(struct joiner *j)
{
    if (j->closing) return;
    j->closing = true;
    env_close(j->env, &j->stream, false);
}

static bool take_members(struct join_outcome *o, const struct join_reply *r)
{
    for (u32 i = 0; i < r->member_count && o->member_count < NODE_MEMBERS_MAX; i++) {
        struct node_member *m = &o->members[o->member_count];
        m->id = r->members[i].node;
        if (!m->id || !address_parse(r->members[i].peer, m->host, &m->peer_port)) return false;
        o->member_count++;
    }
    return o->member_count > 0;
}

static void take_reply(struct joiner *j, const struct join_reply *r)
{
    struct join_outcome o = {0};
    int reason_bytes = (int)size_min(r->reason.len, sizeof o.refusal - 1);

    if (r->status == JOIN_REFUSED)
        snprintf(j->outcome.refusal, sizeof j->outcome.refusal, "%.*s", reason_bytes,
                 (const char *)r->reason.at);
    if (r->status != JOIN_DONE || !r->node || !take_members(&o, r)) return;
    mem_copy(o.cluster_id, r->cluster_id, 16);
    o.node = r->node;
    j->outcome = o;
}

static void on_received(struct joiner *j)
{
    struct frame f;
    str body;
    size_t consumed;
    struct join_reply r;

    enum frame_status s = frame_parse(buf_str(&j->stream.in), REPLY_BYTES, &f, &body, &consumed);
    if (s == FRAME_INCOMPLETE) return;
    if (s == FRAME_READY && f.type == FRAME_JOIN_REPLY && join_reply_decode(body, &r) == OK)
        take_reply(j, &r);
    hang_up(j);
}

void joiner_on_event(struct joiner *j, const struct env_event *ev)
{
    switch (ev->kind) {
    case ENV_CONNECTED: ask(j); break;
    case ENV_RECEIVED:
        if (!j->closing) on_received(j);
        break;
    case ENV_CLOSED:
        j->busy = j->closing = false;
        j->outcome.done = j->outcome.node != 0; /* not before the connection is gone */
        j->retry_at = node_now(j->node) + RETRY_AFTER;
        j->seed++; /* the next one may know more */
        break;
    default: break;
    }
}

void joiner_turn(struct joiner *j, nanos now)
{
    const struct node_config *c = node_config_of(j->node);
    char host[NODE_HOST_MAX];
    u16 port;

    if (j->busy) {
        if (now >= j->since + ANSWER_TIMEOUT) hang_up(j);
        return;
    }
    if (now < j->retry_at || j->outcome.refusal[0]) return;
    const struct node_member *seed = &c->seeds[j->seed % c->seed_count];
    if (now >= j->tell_at) {
        env_log(j->env, LOG_INFO, "asking %s:%u to join its cluster", seed->host, seed->peer_port);
        j->tell_at = now + TELL_EVERY;
    }
    snprintf(host, sizeof host, "%s", seed->host);
    port = seed->peer_port;
    buf_clear(&j->stream.in);
    buf_clear(&j->stream.out);
    j->busy = true;
    j->since = now;
    j->env->ops->dial(j->env, host, port, &j->stream);
}

nanos joiner_deadline(const struct joiner *j)
{
    return j->busy ? j->since + ANSWER_TIMEOUT : j->retry_at;
}
