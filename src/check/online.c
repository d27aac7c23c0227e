/* See online.h. */
#include "check/online.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "check/online_internal.h"

#include <stdlib.h>

#define TABLE_SIZE (2 * ONLINE_KEYS_MAX) /* a power of two */

struct under_way { /* a request that has not ended */
    u64 source, id, serial;
    u32 key;
};

struct online {
    struct online_key **keys; /* owned, ONLINE_KEYS_MAX */
    u32 *table;               /* owned: by name; place in keys + 1 */
    struct under_way *open;   /* owned */
    u32 open_count, open_cap, op_count;
    u32 all_open;     /* writes of all keys under way */
    u64 all_ids[16][2];
    u64 serial;
    nanos valid_from; /* no window begins before */
    struct online_stats stats;
};

struct online *online_new(void)
{
    struct online *o = mem_zalloc(sizeof *o);
    o->keys = mem_zalloc_array(ONLINE_KEYS_MAX, sizeof(struct online_key *));
    o->table = mem_zalloc_array(TABLE_SIZE, sizeof *o->table);
    return o;
}

static void drop_keys(struct online *o)
{
    for (u32 i = 0; i < o->stats.keys; i++) {
        mem_free(o->keys[i]->name);
        mem_free(o->keys[i]->ops);
        mem_free(o->keys[i]);
    }
    memset(o->table, 0, TABLE_SIZE * sizeof *o->table);
    o->stats.keys = o->op_count = o->open_count = o->all_open = 0;
}

void online_free(struct online *o)
{
    if (!o) return;
    drop_keys(o);
    mem_free(o->keys);
    mem_free(o->table);
    mem_free(o->open);
    mem_free(o);
}

const struct online_stats *online_stats(const struct online *o) { return &o->stats; }

void online_forget(struct online *o, nanos until)
{
    drop_keys(o);
    o->valid_from = u64_max(o->valid_from, until);
    o->stats.forgotten++;
}

/* The place of a key, made if there is room; UINT32_MAX: there is none. */
static u32 key_place(struct online *o, str name)
{
    u64 at = hash64(name.at, name.len) & (TABLE_SIZE - 1);

    for (; o->table[at]; at = (at + 1) & (TABLE_SIZE - 1)) {
        const struct online_key *k = o->keys[o->table[at] - 1];
        if (str_equal(str_from(k->name, k->name_len), name)) return o->table[at] - 1;
    }
    if (o->stats.keys == ONLINE_KEYS_MAX) return UINT32_MAX;
    struct online_key *k = mem_zalloc(sizeof *k);
    k->name = mem_copy_of(name.at, name.len);
    k->name_len = name.len;
    k->valid_from = o->valid_from;
    k->plain_from = NANOS_NEVER;
    o->keys[o->stats.keys] = k;
    o->table[at] = ++o->stats.keys;
    return o->stats.keys - 1;
}

static void add_op(struct online *o, u32 place, const struct online_begin *b)
{
    struct online_key *k = o->keys[place];

    if (k->count == k->cap) {
        k->cap = k->cap ? 2 * k->cap : 16;
        k->ops = mem_resize_array(k->ops, k->cap, sizeof *k->ops);
    }
    k->ops[k->count++] = (struct online_op){.serial = ++o->serial, .op = b->op, .client = b->client, .level = b->level,
                                            .outcome = HISTORY_UNKNOWN, .value = b->value, .invoked = b->at,
                                            .returned = NANOS_NEVER};
    if (o->open_count == o->open_cap) {
        o->open_cap = o->open_cap ? 2 * o->open_cap : 64;
        o->open = mem_resize_array(o->open, o->open_cap, sizeof *o->open);
    }
    o->open[o->open_count++] = (struct under_way){b->source, b->id, o->serial, place};
    o->op_count++;
}

/* Of all keys: every window ends, and none begins before it is over. */
static void begin_all(struct online *o, const struct online_begin *b)
{
    for (u32 i = 0; i < o->stats.keys; i++) online_key_break(o->keys[i], b->at);
    if (o->all_open == ARRAY_LEN(o->all_ids)) {
        online_forget(o, b->at + ONLINE_SETTLED);
        return;
    }
    o->all_ids[o->all_open][0] = b->source;
    o->all_ids[o->all_open++][1] = b->id;
}

static void end_all(struct online *o, u64 source, u64 id, enum history_outcome outcome, nanos at)
{
    for (u32 i = 0; i < o->all_open; i++) {
        if (o->all_ids[i][0] != source || o->all_ids[i][1] != id) continue;
        o->all_open--;
        o->all_ids[i][0] = o->all_ids[o->all_open][0];
        o->all_ids[i][1] = o->all_ids[o->all_open][1];
        o->valid_from = u64_max(o->valid_from, outcome == HISTORY_UNKNOWN ? at + ONLINE_SETTLED : at);
        for (u32 k = 0; k < o->stats.keys; k++) online_key_break(o->keys[k], o->valid_from);
        return;
    }
}

void online_begin(struct online *o, const struct online_begin *b)
{
    assert(b->op <= ONLINE_OTHER && b->op != HISTORY_CAS && b->op != HISTORY_APPEND);
    if (b->key.len == 0) {
        begin_all(o, b);
        return;
    }
    if (o->op_count >= ONLINE_OPS_MAX) online_forget(o, b->at + ONLINE_SETTLED);
    u32 place = key_place(o, b->key);
    if (place == UINT32_MAX) return; /* never watched: all its operations come here */
    o->stats.operations++;
    add_op(o, place, b);
}

static struct online_op *find_op(struct online_key *k, u64 serial)
{
    u32 low = 0, high = k->count; /* serials ascend */

    while (low < high) {
        u32 middle = (low + high) / 2;
        if (k->ops[middle].serial < serial)
            low = middle + 1;
        else
            high = middle;
    }
    return low < k->count && k->ops[low].serial == serial ? &k->ops[low] : NULL;
}

void online_end(struct online *o, u64 source, u64 id, enum history_outcome outcome, struct online_value result, nanos at)
{
    end_all(o, source, id, outcome, at);
    for (u32 i = 0; i < o->open_count;) {
        struct under_way *w = &o->open[i];
        if (w->source != source || w->id != id) {
            i++;
            continue;
        }
        struct online_key *k = o->keys[w->key];
        struct online_op *op = find_op(k, w->serial);
        if (op) {
            op->outcome = outcome;
            op->result = result;
            op->returned = outcome == HISTORY_UNKNOWN ? NANOS_NEVER : u64_max(at, op->invoked);
            k->is_new = true;
        }
        *w = o->open[--o->open_count];
    }
}

u32 online_check(struct online *o, nanos watermark, struct findings *f, str *key)
{
    u32 violated = 0;

    if (o->all_open) return 0;
    o->op_count = 0;
    for (u32 i = 0; i < o->stats.keys; i++) {
        struct online_key *k = o->keys[i];
        if (k->is_new) {
            u32 before = f->violations;
            online_key_check(k, watermark, f, &o->stats);
            if (f->violations > before) {
                *key = str_from(k->name, k->name_len);
                violated++;
            }
        }
        o->op_count += k->count;
    }
    return violated;
}
