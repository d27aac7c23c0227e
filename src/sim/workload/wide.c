/* Many keys with larger values, written once in a while and read back much later: the front table
 * evicts, snapshots take several chunks, the log fills its files. */
#include "sim/workload/table.h"

#define KEYS 250
#define PAD_MAX 12000

static void turn(struct client *c)
{
    struct buf padded = {0};
    u32 key = client_key(c, "b:%llu", (unsigned long long)prng_below(&c->chance, KEYS));

    if (chance_one_in(&c->chance, 2)) {
        u32 place = client_op(c, HISTORY_GET, key, HISTORY_NULL, HISTORY_NULL);
        CLIENT_SEND(c, 0, place, STR("GET"), client_text(c, key));
        return;
    }
    u32 value = client_unique_padded(c, prng_between(&c->chance, 1000, PAD_MAX));
    u32 place = client_op(c, HISTORY_SET, key, value, HISTORY_NULL);
    CLIENT_SEND(c, 0, place, STR("SET"), client_text(c, key), client_pad(c, value, &padded));
    buf_done(&padded);
}

static void reply(struct client *c, u32 tag, u32 place, const struct reply *r)
{
    (void)tag;
    client_close_op(c, place, r);
}

const struct workload workload_wide = {.name = "wide", .turn = turn, .reply = reply};
