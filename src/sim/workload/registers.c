#include "sim/workload/table.h"

#define KEYS 6

static u32 any_key(struct client *c) { return client_key(c, "r:%llu", (unsigned long long)prng_below(&c->chance, KEYS)); }

static void set(struct client *c, u32 key)
{
    struct buf padded = {0};
    u32 value = client_unique(c);
    u32 place = client_op(c, HISTORY_SET, key, value, HISTORY_NULL);
    CLIENT_SEND(c, 0, place, STR("SET"), client_text(c, key), client_pad(c, value, &padded));
    buf_done(&padded);
}

static void get(struct client *c, u32 key)
{
    u32 place = client_op(c, HISTORY_GET, key, HISTORY_NULL, HISTORY_NULL);
    CLIENT_SEND(c, 0, place, STR("GET"), client_text(c, key));
}

/* Two keys read by one command are two reads at one time; tag: the place of the second. */
static void get_two(struct client *c)
{
    u32 a = any_key(c), b = any_key(c);
    u32 first = client_op(c, HISTORY_GET, a, HISTORY_NULL, HISTORY_NULL);
    u32 second = client_op(c, HISTORY_GET, b, HISTORY_NULL, HISTORY_NULL);
    CLIENT_SEND(c, second, first, STR("MGET"), client_text(c, a), client_text(c, b));
}

static void turn(struct client *c)
{
    u64 kind = prng_below(&c->chance, 100);

    if (kind < 45) set(c, any_key(c));
    else if (kind < 92) get(c, any_key(c));
    else get_two(c);
}

static void reply(struct client *c, u32 tag, u32 place, const struct reply *r)
{
    if (r->kind == REPLY_ARRAY && r->count == 2) {
        client_close_op(c, place, &r->items[0]);
        client_close_op(c, tag, &r->items[1]);
        return;
    }
    client_close_op(c, place, r);
    if (tag != 0) client_close_op(c, tag, r);
}

const struct workload workload_registers = {.name = "registers", .turn = turn, .reply = reply};
