/* Registers in the keyspaces that the operator makes, over all their partitions: a connection takes one keyspace. Between
 * two of them, and while there is none, it is the default one. */
#include "sim/workload/table.h"

#include "sim/churn.h"

#define KEYS 24
#define SWITCH_ONE_IN 40

static u32 choose_db(struct client *c) { return churn_keyspace(c->host->world, &c->chance); }

static u32 any_key(struct client *c)
{
    unsigned long long number = prng_below(&c->chance, KEYS);
    return c->db ? client_key(c, "k%u:%llu", c->db, number) : client_key(c, "p:%llu", number);
}

static void turn(struct client *c)
{
    struct buf padded = {0};
    u32 key = any_key(c);

    if (chance_one_in(&c->chance, SWITCH_ONE_IN)) {
        client_hang_up(c); /* and choose anew */
        return;
    }
    if (chance_one_in(&c->chance, 2)) {
        u32 value = client_unique(c);
        u32 place = client_op(c, HISTORY_SET, key, value, HISTORY_NULL);
        CLIENT_SEND(c, 0, place, STR("SET"), client_text(c, key), client_pad(c, value, &padded));
    } else {
        u32 place = client_op(c, HISTORY_GET, key, HISTORY_NULL, HISTORY_NULL);
        CLIENT_SEND(c, 0, place, STR("GET"), client_text(c, key));
    }
    buf_done(&padded);
}

static void reply(struct client *c, u32 tag, u32 place, const struct reply *r)
{
    (void)tag;
    if (reply_is_error(r, "ERR") && c->db && churn_drops(c->host->world, c->db)) { /* it was dropped: not done */
        history_close(client_history(c), place, HISTORY_FAILED, HISTORY_NULL, client_now(c));
        client_hang_up(c);
        return;
    }
    client_close_op(c, place, r);
}

const struct workload workload_spread = {.name = "spread", .choose_db = choose_db, .turn = turn, .reply = reply};
