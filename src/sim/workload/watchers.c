/* Compare-and-set by WATCH, GET, MULTI, SET, EXEC, among plain writers of the same keys. These histories go
 * to the search, so keys are left after some hundred operations of all clients together. */
#include "sim/workload/table.h"

#define KEYS 2
#define OPS_PER_CLIENT 60 /* on one generation of keys */

enum { TAG_PLAIN, TAG_WATCH, TAG_WATCHED, TAG_QUEUED, TAG_EXEC };

struct watchers {
    u32 ops;
    u32 key, expect; /* of the WATCH under way */
    bool watched;
};

static void plain(struct client *c, u32 key)
{
    struct buf padded = {0};
    str name = client_text(c, key);

    switch (prng_below(&c->chance, 6)) {
    case 0: CLIENT_SEND(c, TAG_PLAIN, client_op(c, HISTORY_DEL, key, 0, 0), STR("DEL"), name); break;
    case 1: CLIENT_SEND(c, TAG_PLAIN, client_op(c, HISTORY_GETDEL, key, 0, 0), STR("GETDEL"), name); break;
    default: CLIENT_SEND(c, TAG_PLAIN, client_op(c, HISTORY_GET, key, 0, 0), STR("GET"), name); break;
    case 2: {
        u32 value = client_unique(c);
        u32 place = client_op(c, HISTORY_SETNX, key, value, 0);
        CLIENT_SEND(c, TAG_PLAIN, place, STR("SETNX"), client_text(c, key), client_pad(c, value, &padded));
        break;
    }
    case 3: {
        u32 value = client_unique(c);
        u32 place = client_op(c, HISTORY_GETSET, key, value, 0);
        CLIENT_SEND(c, TAG_PLAIN, place, STR("GETSET"), client_text(c, key), client_pad(c, value, &padded));
        break;
    }
    }
    buf_done(&padded);
}

static void compare_and_set(struct client *c)
{
    struct watchers *s = c->state;
    struct buf padded = {0};
    u32 value = client_unique(c);
    str text = client_pad(c, value, &padded);

    s->watched = false;
    CLIENT_SEND(c, TAG_QUEUED, NO_PLACE, STR("MULTI"));
    CLIENT_SEND(c, TAG_QUEUED, NO_PLACE, STR("SET"), client_text(c, s->key), text);
    u32 place = client_op(c, HISTORY_CAS, s->key, value, s->expect);
    CLIENT_SEND(c, TAG_EXEC, place, STR("EXEC"));
    buf_done(&padded);
}

static void turn(struct client *c)
{
    struct watchers *s = c->state;

    if (s->watched) {
        compare_and_set(c);
        return;
    }
    u32 key = client_key(c, "w:%u:%llu", s->ops++ / OPS_PER_CLIENT, (unsigned long long)prng_below(&c->chance, KEYS));
    if (chance_one_in(&c->chance, 2)) {
        plain(c, key);
        return;
    }
    s->key = key;
    CLIENT_SEND(c, TAG_WATCH, NO_PLACE, STR("WATCH"), client_text(c, key));
    u32 place = client_op(c, HISTORY_GET, key, 0, 0);
    CLIENT_SEND(c, TAG_WATCHED, place, STR("GET"), client_text(c, key));
}

static void close_exec(struct client *c, u32 place, const struct reply *r)
{
    enum history_outcome outcome = client_outcome(c, r);
    u32 result = HISTORY_NULL;

    if (outcome == HISTORY_OK && r->kind == REPLY_NULL) outcome = HISTORY_FAILED; /* a watched key changed */
    if (outcome == HISTORY_OK) result = history_intern(client_history(c), STR("1"));
    history_close(client_history(c), place, outcome, result, client_now(c));
}

static void reply(struct client *c, u32 tag, u32 place, const struct reply *r)
{
    struct watchers *s = c->state;

    switch (tag) {
    case TAG_PLAIN: client_close_op(c, place, r); break;
    case TAG_WATCH: s->watched = client_outcome(c, r) == HISTORY_OK; break;
    case TAG_WATCHED:
        client_close_op(c, place, r);
        s->watched = s->watched && r->kind != REPLY_ERROR;
        s->expect = client_result(c, r);
        break;
    case TAG_QUEUED: (void)client_outcome(c, r); break;
    default: close_exec(c, place, r); break;
    }
}

static void lost(struct client *c)
{
    struct watchers *s = c->state;
    s->watched = false; /* WATCH is the connection's */
}

const struct workload workload_watchers = {
    .name = "watchers", .state_bytes = sizeof(struct watchers), .turn = turn, .reply = reply, .lost = lost};
