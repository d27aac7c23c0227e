#include "check/history.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

#include <stdlib.h>

struct history_texts { /* an open-addressing table of ids, and the texts by id */
    struct {
        u32 at, len;
    } *items; /* owned; id -> place in bytes */
    u32 count, cap;
    u32 *table; /* owned; 0: empty */
    u32 table_cap;
    struct buf bytes;
};

static const char *const op_names[HISTORY_OPS] = {
    [HISTORY_GET] = "get",       [HISTORY_SET] = "set",   [HISTORY_SETNX] = "setnx",
    [HISTORY_GETSET] = "getset", [HISTORY_GETDEL] = "getdel", [HISTORY_DEL] = "del",
    [HISTORY_CAS] = "cas",       [HISTORY_INCR] = "incr", [HISTORY_APPEND] = "append",
};

const char *history_op_name(enum history_op op) { return op_names[op]; }

void history_init(struct history *h)
{
    *h = (struct history){0};
    struct history_texts *t = h->texts = mem_zalloc(sizeof *t);
    t->table_cap = 1024;
    t->table = mem_zalloc_array(t->table_cap, sizeof *t->table);
    t->cap = 512;
    t->items = mem_zalloc_array(t->cap, sizeof *t->items);
    t->count = 1; /* id 0 is NULL */
}

void history_done(struct history *h)
{
    if (h->texts) {
        mem_free(h->texts->items);
        mem_free(h->texts->table);
        buf_done(&h->texts->bytes);
        mem_free(h->texts);
    }
    mem_free(h->items);
    *h = (struct history){0};
}

str history_text(const struct history *h, u32 id)
{
    const struct history_texts *t = h->texts;
    assert(id < t->count);
    if (id == HISTORY_NULL) return STR("");
    return str_from(buf_bytes(&t->bytes) + t->items[id].at, t->items[id].len);
}

u32 history_text_count(const struct history *h) { return h->texts->count; }

static u32 *slot_of(const struct history *h, str text)
{
    struct history_texts *t = h->texts;
    u64 at = hash64(text.at, text.len) & (t->table_cap - 1);
    while (t->table[at] && !str_equal(history_text(h, t->table[at]), text)) at = (at + 1) & (t->table_cap - 1);
    return &t->table[at];
}

static void table_grow(struct history *h)
{
    struct history_texts *t = h->texts;
    mem_free(t->table);
    t->table_cap *= 2;
    t->table = mem_zalloc_array(t->table_cap, sizeof *t->table);
    for (u32 id = 1; id < t->count; id++) *slot_of(h, history_text(h, id)) = id;
}

u32 history_intern(struct history *h, str text)
{
    struct history_texts *t = h->texts;
    u32 *slot = slot_of(h, text);

    if (*slot) return *slot;
    if (t->count == t->cap) {
        t->cap *= 2;
        t->items = mem_resize_array(t->items, t->cap, sizeof *t->items);
    }
    assert(t->bytes.len + text.len <= UINT32_MAX);
    u32 id = *slot = t->count++;
    t->items[id].at = (u32)t->bytes.len;
    t->items[id].len = (u32)text.len;
    buf_append_str(&t->bytes, text);
    if (t->count * 2 > t->table_cap) table_grow(h);
    return id;
}

bool history_number(const struct history *h, u32 id, i64 *out)
{
    return id != HISTORY_NULL && str_to_i64(history_text(h, id), out);
}

u32 history_open(struct history *h, u32 process, enum history_op op, u32 key, u32 value, u32 expect, nanos at)
{
    if (h->count == h->cap) {
        h->cap = h->cap ? h->cap * 2 : 1024;
        h->items = mem_resize_array(h->items, h->cap, sizeof *h->items);
    }
    h->items[h->count] = (struct history_entry){.process = process, .op = (u16)op, .outcome = HISTORY_UNKNOWN,
                                                .key = key, .value = value, .expect = expect, .invoked = at,
                                                .returned = NANOS_NEVER};
    return h->count++;
}

void history_close(struct history *h, u32 place, enum history_outcome outcome, u32 result, nanos at)
{
    struct history_entry *e = &h->items[place];

    assert(place < h->count && e->outcome == HISTORY_UNKNOWN && e->returned == NANOS_NEVER);
    assert(at >= e->invoked);
    e->outcome = (u16)outcome;
    e->result = result;
    e->returned = outcome == HISTORY_UNKNOWN ? NANOS_NEVER : at;
}

void history_set_level(struct history *h, u32 place, struct level level)
{
    assert(place < h->count);
    assert(level_is_linearizable(level) || h->items[place].op == HISTORY_GET);
    h->items[place].level = level;
}

void history_set_session(struct history *h, u32 place, u32 session)
{
    assert(place < h->count && session < h->texts->count);
    h->items[place].session = session;
}

void history_set_part(struct history *h, u32 place, u32 part)
{
    assert(place < h->count && part < h->texts->count);
    h->items[place].part = part;
}

u64 history_who(const struct history_entry *e)
{
    return e->session ? (u64)e->session << 32 : e->process;
}

bool history_is_weak(const struct history_entry *e) { return !level_is_linearizable(e->level); }

struct invocation { /* what is sorted: an operation is several times as large */
    nanos at;
    u32 place;
};

static int by_time(const void *a, const void *b)
{
    const struct invocation *x = a, *y = b;
    if (x->at != y->at) return x->at < y->at ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* Item i becomes the one that order[i] names: cycle by cycle, so that no second array is needed. */
static void permute(struct history_entry *items, struct invocation *order, u32 count)
{
    for (u32 start = 0; start < count; start++) {
        struct history_entry first = items[start];
        u32 to = start;
        for (u32 from; (from = order[to].place) != start; to = from) {
            items[to] = items[from];
            order[to].place = to;
        }
        items[to] = first;
        order[to].place = to;
    }
}

void history_sort(struct history *h)
{
    struct invocation *order = mem_zalloc_array((size_t)h->count + 1, sizeof *order);
    bool sorted = true;

    for (u32 i = 0; i < h->count; i++) {
        order[i] = (struct invocation){h->items[i].invoked, i};
        sorted = sorted && (i == 0 || order[i - 1].at <= order[i].at);
    }
    if (!sorted) {
        qsort(order, h->count, sizeof *order, by_time);
        permute(h->items, order, h->count);
    }
    mem_free(order);
}
