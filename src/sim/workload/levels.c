/* Registers read at every level, in the default keyspace on keys of one slot, which share one log, and in those that the operator
 * makes, splits and merges. A connection is a session; one that
 * ends hands what it has seen to the next by its token, to whichever node that goes, or begins a session of its own. Several
 * commands go out at once: a connection's order holds over replicas that answer at different times. */
#include "sim/workload/table.h"

#include "sim/churn.h"

#define KEYS 5
#define DEPTH_MAX 4
#define HANG_UP_ONE_IN 25

enum { TAG_OPERATION, TAG_TOKEN, TAG_TAKEN };

struct levels {
    u32 session;     /* of the connection; HISTORY_NULL: not begun */
    u32 generation;
    u32 token;       /* what the session had seen when it was last asked; HISTORY_NULL: nothing */
    u32 under_way;
    bool unsaved;    /* the session has seen more than its token says */
    bool taken;      /* the token was given to this connection */
};

static struct levels *state_of(struct client *c) { return c->state; }

static void begin_session(struct client *c)
{
    struct levels *s = state_of(c);

    s->session = client_key(c, "session %u.%u", c->number, s->generation++);
    s->token = HISTORY_NULL;
    s->unsaved = false;
}

static struct level any_level(struct client *c)
{
    struct level l = {.kind = (u8)prng_below(&c->chance, LEVEL_KINDS)};

    if (l.kind == LEVEL_STALE) l.ms = (u32)prng_between(&c->chance, 20, 2000);
    return l;
}

static u32 operation(struct client *c, enum history_op op, u32 key, u32 value)
{
    u32 place = client_op(c, op, key, value, HISTORY_NULL);

    history_set_session(client_history(c), place, state_of(c)->session);
    if (!c->db) history_set_part(client_history(c), place, client_key(c, "{l}"));
    state_of(c)->under_way++;
    state_of(c)->unsaved = true;
    return place;
}

static void get(struct client *c, u32 key)
{
    struct level l = any_level(c);
    struct buf word = {0};
    u32 place = operation(c, HISTORY_GET, key, HISTORY_NULL);

    history_set_level(client_history(c), place, l);
    level_print(l, &word);
    CLIENT_SEND(c, TAG_OPERATION, place, STR("AT"), buf_str(&word), STR("GET"), client_text(c, key));
    buf_done(&word);
}

static void set(struct client *c, u32 key)
{
    struct buf padded = {0};
    u32 value = client_unique(c);
    u32 place = operation(c, HISTORY_SET, key, value);

    CLIENT_SEND(c, TAG_OPERATION, place, STR("SET"), client_text(c, key), client_pad(c, value, &padded));
    buf_done(&padded);
}

static u32 choose_db(struct client *c)
{
    return chance_one_in(&c->chance, 2) ? 0 : churn_keyspace(c->host->world, &c->chance);
}

static u32 any_key(struct client *c)
{
    unsigned long long number = prng_below(&c->chance, KEYS);
    return c->db ? client_key(c, "k%u:l%llu", c->db, number) : client_key(c, "{l}:%llu", number);
}

static void turn(struct client *c)
{
    struct levels *s = state_of(c);

    if (!s->session) begin_session(c);
    if (s->token && !s->taken) {
        CLIENT_SEND(c, TAG_TAKEN, NO_PLACE, STR("Q.TOKEN"), client_text(c, s->token));
        return;
    }
    s->taken = true;
    if (chance_one_in(&c->chance, HANG_UP_ONE_IN)) {
        client_hang_up(c);
        return;
    }
    for (u32 depth = (u32)prng_between(&c->chance, 1, DEPTH_MAX); depth > 0; depth--) {
        u32 key = any_key(c);
        if (chance_one_in(&c->chance, 3))
            set(c, key);
        else
            get(c, key);
    }
    if (chance_one_in(&c->chance, 2)) CLIENT_SEND(c, TAG_TOKEN, NO_PLACE, STR("Q.TOKEN"));
}

static void reply(struct client *c, u32 tag, u32 place, const struct reply *r)
{
    struct levels *s = state_of(c);

    if (tag == TAG_OPERATION) {
        s->under_way--;
        if (reply_is_error(r, "ERR") && c->db && churn_drops(c->host->world, c->db)) { /* it was dropped: not done */
            history_close(client_history(c), place, HISTORY_FAILED, HISTORY_NULL, client_now(c));
            client_hang_up(c);
        } else {
            client_close_op(c, place, r);
        }
    } else if (client_outcome(c, r) != HISTORY_OK) {
        client_hang_up(c);
    } else if (tag == TAG_TAKEN) {
        s->taken = true;
    } else if (s->under_way == 0) {
        s->token = client_result(c, r);
        s->unsaved = false;
    }
}

static void lost(struct client *c)
{
    struct levels *s = state_of(c);

    if (s->unsaved || s->under_way) begin_session(c); /* nobody knows what it has seen */
    s->taken = false;
    s->under_way = 0;
}

const struct workload workload_levels = {
    .name = "levels", .state_bytes = sizeof(struct levels), .choose_db = choose_db, .turn = turn, .reply = reply, .lost = lost};
