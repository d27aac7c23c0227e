/* Many commands in one write, on keys of the client's own and on one that all share. Answers come in order; a
 * read sees the writes before it in the pipeline and none after it. */
#include "sim/workload/table.h"

#define OWN_KEYS 2
#define DEPTH_MAX 24

static void turn(struct client *c)
{
    struct buf padded = {0};
    u32 depth = (u32)prng_between(&c->chance, 2, DEPTH_MAX);

    for (u32 i = 0; i < depth; i++) {
        u64 which = prng_below(&c->chance, OWN_KEYS + 1);
        u32 key = which < OWN_KEYS ? client_key(c, "p:%u:%llu", c->number, (unsigned long long)which)
                                   : client_key(c, "p:shared");
        bool reads = chance_one_in(&c->chance, 2);
        u32 value = reads ? HISTORY_NULL : client_unique(c);
        u32 place = client_op(c, reads ? HISTORY_GET : HISTORY_SET, key, value, HISTORY_NULL);
        if (reads)
            CLIENT_SEND(c, 0, place, STR("GET"), client_text(c, key));
        else
            CLIENT_SEND(c, 0, place, STR("SET"), client_text(c, key), client_pad(c, value, &padded));
    }
    buf_done(&padded);
}

static void reply(struct client *c, u32 tag, u32 place, const struct reply *r)
{
    (void)tag;
    client_close_op(c, place, r);
}

const struct workload workload_pipelines = {.name = "pipelines", .turn = turn, .reply = reply};
