/* Counters under a client session: an INCR whose answer does not come is sent again with the same seq, on
 * any node, until it is answered; then it must have run exactly once. */
#include "sim/workload/table.h"

#include <stdio.h>

#define KEYS 3
#define SESSION_OPS 400 /* then another session */
#define TTL "3600"

enum { TAG_OPEN, TAG_CALL, TAG_READ, TAG_CLOSE };

struct counters {
    u8 id[64];
    size_t id_bytes; /* 0: no session */
    u64 seq;         /* of the INCR under way, or the last */
    u32 place;       /* of the INCR under way */
    u32 key;
    bool under_way;
};

static void call(struct client *c)
{
    struct counters *s = c->state;
    char seq[24];

    snprintf(seq, sizeof seq, "%llu", (unsigned long long)s->seq);
    CLIENT_SEND(c, TAG_CALL, s->place, STR("Q.SESSION"), STR("CALL"), str_from(s->id, s->id_bytes), str_of(seq),
                STR("INCR"), client_text(c, s->key));
}

static void turn(struct client *c)
{
    struct counters *s = c->state;

    if (s->id_bytes == 0) {
        CLIENT_SEND(c, TAG_OPEN, NO_PLACE, STR("Q.SESSION"), STR("OPEN"), STR("TTL"), STR(TTL));
        return;
    }
    if (s->under_way) {
        call(c);
        return;
    }
    if (s->seq >= SESSION_OPS) {
        CLIENT_SEND(c, TAG_CLOSE, NO_PLACE, STR("Q.SESSION"), STR("CLOSE"), str_from(s->id, s->id_bytes));
        s->id_bytes = 0;
        s->seq = 0;
        return;
    }
    s->key = client_key(c, "s:%llu", (unsigned long long)prng_below(&c->chance, KEYS));
    if (chance_one_in(&c->chance, 4)) {
        u32 place = client_op(c, HISTORY_GET, s->key, HISTORY_NULL, HISTORY_NULL);
        CLIENT_SEND(c, TAG_READ, place, STR("GET"), client_text(c, s->key));
        return;
    }
    s->seq++;
    s->under_way = true;
    s->place = client_op(c, HISTORY_INCR, s->key, HISTORY_NULL, HISTORY_NULL);
    call(c);
    if (chance_one_in(&c->chance, 20)) call(c); /* an impatient client: the same request twice at once */
}

static void reply(struct client *c, u32 tag, u32 place, const struct reply *r)
{
    struct counters *s = c->state;

    if (tag == TAG_READ) {
        client_close_op(c, place, r);
    } else if (tag == TAG_OPEN) {
        if (client_outcome(c, r) != HISTORY_OK || r->text.len > sizeof s->id) return;
        s->id_bytes = r->text.len;
        mem_copy(s->id, r->text.at, r->text.len);
        s->seq = 0;
    } else if (tag == TAG_CLOSE) {
        if (!reply_is_error(r, "SESSION")) (void)client_outcome(c, r); /* an earlier try may have closed it */
    } else if (client_outcome(c, r) == HISTORY_OK) {
        if (s->under_way && s->place == place) {
            s->under_way = false;
            client_close_op(c, place, r);
        } else if (client_result(c, r) != client_history(c)->items[place].result) {
            world_violation(c->host->world, "client %u: seq %llu of its session answered %.*s first, then %lld",
                            c->number, (unsigned long long)s->seq,
                            STR_ARG(client_text(c, client_history(c)->items[place].result)), (long long)r->integer);
        }
    } /* refused or unknown: the next turn asks again */
}

const struct workload workload_counters = {
    .name = "counters", .state_bytes = sizeof(struct counters), .turn = turn, .reply = reply};
