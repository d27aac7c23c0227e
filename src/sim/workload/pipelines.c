/* Many commands in one write, on keys of the client's own and on one that all share. Answers come in order; a
 * read sees the writes before it in the pipeline and none after it. The order of its own writes is what a client
 * knows better than any history: for each key of its own it remembers what must be there. */
#include "sim/faults.h"
#include "sim/workload/table.h"

#define OWN_KEYS 2
#define DEPTH_MAX 24
#define LARGE_MIN 2000 /* one value in LARGE_ONE_IN: a queue that is full for it has room for the next */
#define LARGE_MAX 30000
#define LARGE_ONE_IN 8

struct own {
    u32 key, value; /* the latest that was acknowledged; HISTORY_NULL: none */
    u64 generation;
    bool unsure; /* a write of it was not answered, or with UNKNOWN: it may still come. On to another key */
};

struct pipelines {
    struct own own[OWN_KEYS];
};

static void renew(struct client *c)
{
    struct pipelines *s = c->state;

    for (u32 i = 0; i < OWN_KEYS; i++) {
        struct own *o = &s->own[i];
        if (o->key && !o->unsure) continue;
        *o = (struct own){.generation = o->generation + 1, .value = HISTORY_NULL};
        o->key = client_key(c, "p:%u:%u:%llu", c->number, i, (unsigned long long)o->generation);
    }
}

static void turn(struct client *c)
{
    struct pipelines *s = c->state;
    struct buf padded = {0};
    u32 depth = (u32)prng_between(&c->chance, 2, DEPTH_MAX);

    renew(c);
    for (u32 i = 0; i < depth; i++) {
        u64 which = prng_below(&c->chance, OWN_KEYS + 1);
        u32 key = which < OWN_KEYS ? s->own[which].key : client_key(c, "p:shared");
        bool reads = chance_one_in(&c->chance, 2);
        if (reads) {
            u32 place = client_op(c, HISTORY_GET, key, HISTORY_NULL, HISTORY_NULL);
            CLIENT_SEND(c, 0, place, STR("GET"), client_text(c, key));
            continue;
        }
        /* What is refused for want of room is asked again; in the end everybody must get through. */
        bool large = !faults_are_over(c->host->world) && chance_one_in(&c->chance, LARGE_ONE_IN);
        u32 value = large ? client_unique_padded(c, prng_between(&c->chance, LARGE_MIN, LARGE_MAX)) : client_unique(c);
        u32 place = client_op(c, HISTORY_SET, key, value, HISTORY_NULL);
        CLIENT_SEND(c, 0, place, STR("SET"), client_text(c, key), client_pad(c, value, &padded));
    }
    buf_done(&padded);
}

static struct own *own_of(struct client *c, u32 key)
{
    struct pipelines *s = c->state;
    for (u32 i = 0; i < OWN_KEYS; i++)
        if (s->own[i].key == key) return &s->own[i];
    return NULL;
}

static void reply(struct client *c, u32 tag, u32 place, const struct reply *r)
{
    (void)tag;
    client_close_op(c, place, r);
    const struct history_entry *e = &client_history(c)->items[place];
    struct own *o = own_of(c, e->key);
    if (!o) return;
    if (e->op == HISTORY_SET) {
        if (e->outcome == HISTORY_OK) o->value = e->value;
        if (e->outcome == HISTORY_UNKNOWN) o->unsure = true;
    } else if (e->outcome == HISTORY_OK && !o->unsure && e->result != o->value && !faults_skew_clocks(c->host->world)) {
        world_violation(c->host->world, "client %u reads '%.*s' from %.*s, where only it writes: its latest is '%.*s'",
                        c->number, STR_ARG(client_text(c, e->result)), STR_ARG(client_text(c, e->key)),
                        STR_ARG(client_text(c, o->value)));
    }
}

static void lost(struct client *c)
{
    struct pipelines *s = c->state;
    for (u32 i = 0; i < OWN_KEYS; i++) s->own[i].unsure = true;
}

const struct workload workload_pipelines = {
    .name = "pipelines", .state_bytes = sizeof(struct pipelines), .turn = turn, .reply = reply, .lost = lost};
