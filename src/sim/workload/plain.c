#include "sim/workload/table.h"

#define KEYS 2

static void turn(struct client *c)
{
    u32 key = client_key(c, "i:%llu", (unsigned long long)prng_below(&c->chance, KEYS));
    bool reads = chance_one_in(&c->chance, 4);
    u32 place = client_op(c, reads ? HISTORY_GET : HISTORY_INCR, key, HISTORY_NULL, HISTORY_NULL);

    CLIENT_SEND(c, 0, place, reads ? STR("GET") : STR("INCR"), client_text(c, key));
}

static void reply(struct client *c, u32 tag, u32 place, const struct reply *r)
{
    (void)tag;
    client_close_op(c, place, r);
}

const struct workload workload_plain = {.name = "plain", .turn = turn, .reply = reply};
