#include "check/versions.h"

#include "base/mem.h"

#include <stdlib.h>

#define HIDDEN UINT32_MAX /* the value of a write whose value the history does not tell */

/* What does it leave behind, if it takes effect? false: nothing. */
static bool leaves(const struct history *h, const struct history_entry *e, u32 *value)
{
    bool certain = e->outcome == HISTORY_OK;
    bool said_no = certain && !str_equal(history_text(h, e->result), STR("1"));

    *value = e->value;
    switch ((enum history_op)e->op) {
    case HISTORY_SET:
    case HISTORY_GETSET: return true;
    case HISTORY_SETNX:
    case HISTORY_CAS: return !said_no;
    case HISTORY_DEL: *value = HISTORY_NULL; return !said_no;
    case HISTORY_GETDEL: *value = HISTORY_NULL; return !certain || e->result != HISTORY_NULL;
    case HISTORY_INCR: *value = certain ? e->result : HIDDEN; return true;
    case HISTORY_APPEND: *value = HIDDEN; return true;
    case HISTORY_GET:
    case HISTORY_OPS: break;
    }
    return false;
}

/* ---- orders ---- */

static int compare_u64(u64 a, u64 b) { return a < b ? -1 : a > b; }

static bool is_start(const struct version *v) { return v->place == PLACE_NONE; }

static int by_key_and_from(const void *a, const void *b)
{
    const struct version *x = a, *y = b;
    if (x->key != y->key) return compare_u64(x->key, y->key);
    if (is_start(x) != is_start(y)) return is_start(x) ? -1 : 1;
    if (x->from != y->from) return compare_u64(x->from, y->from);
    return compare_u64(x->place, y->place);
}

struct indexed { /* what an index is sorted by: qsort takes no context */
    u64 first;
    u32 second, index;
};

static int by_first_and_second(const void *a, const void *b)
{
    const struct indexed *x = a, *y = b;
    if (x->first != y->first) return compare_u64(x->first, y->first);
    return compare_u64(x->second, y->second);
}

static u64 value_key(u32 key, u32 value) { return (u64)key << 32 | value; }

static void build_indexes(struct versions *v)
{
    struct indexed *order = mem_zalloc_array(v->count + 1, sizeof *order);

    v->by_value = mem_zalloc_array(v->count + 1, sizeof *v->by_value);
    v->by_place = mem_zalloc_array(v->count + 1, sizeof *v->by_place);
    for (u32 i = 0; i < v->count; i++)
        order[i] = (struct indexed){value_key(v->items[i].key, v->items[i].value), v->items[i].place, i};
    qsort(order, v->count, sizeof *order, by_first_and_second);
    for (u32 i = 0; i < v->count; i++) v->by_value[i] = order[i].index;
    for (u32 i = 0; i < v->count; i++) order[i] = (struct indexed){v->items[i].place, v->items[i].key, i};
    qsort(order, v->count, sizeof *order, by_first_and_second);
    for (u32 i = 0; i < v->count; i++) v->by_place[i] = order[i].index;
    mem_free(order);
}

/* ---- asking ---- */

static u64 value_at(const struct versions *v, u32 i)
{
    const struct version *item = &v->items[v->by_value[i]];
    return value_key(item->key, item->value);
}

/* The first in by_value that is not below. */
static u32 find_value(const struct versions *v, u64 wanted)
{
    u32 low = 0, high = v->count;

    while (low < high) {
        u32 middle = (low + high) / 2;
        if (value_at(v, middle) < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool has_value(const struct versions *v, u32 at, u64 wanted)
{
    return at < v->count && value_at(v, at) == wanted;
}

u32 versions_seen(const struct versions *v, const struct history_entry *read)
{
    u64 wanted = value_key(read->key, read->result), hidden = value_key(read->key, HIDDEN);
    u32 at = find_value(v, wanted);

    if (has_value(v, at + 1, wanted) || has_value(v, find_value(v, hidden), hidden)) return VERSION_ANY;
    return has_value(v, at, wanted) ? v->by_value[at] : VERSION_NOBODY;
}

u32 versions_left(const struct versions *v, u32 place)
{
    u32 low = 0, high = v->count;

    while (low < high) {
        u32 middle = (low + high) / 2;
        if (v->items[v->by_place[middle]].place < place)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < v->count && v->items[v->by_place[low]].place == place;
    return found ? v->by_place[low] : VERSION_NOBODY;
}

u32 versions_shown(const struct versions *v, u32 place)
{
    const struct history_entry *e = &v->h->items[place];

    if (e->op == HISTORY_GET) return versions_seen(v, e);
    u32 left = versions_left(v, place);
    return left == VERSION_NOBODY ? VERSION_ANY : left;
}

/* ---- when was it current ---- */

/* The versions from `first` to `end` are of one key, by `from`. earliest[i] is the one of them, from i on, that
 * certainly took effect first. */
static void find_ends_of_key(struct versions *v, u32 first, u32 end, u32 *earliest)
{
    u32 best = VERSION_NOBODY;

    for (u32 i = end; i-- > first;) {
        const struct version *it = &v->items[i];
        if (!it->failed && it->place != PLACE_NONE && (best == VERSION_NOBODY || it->to <= v->items[best].to)) best = i;
        earliest[i] = best;
    }
    for (u32 i = first; i < end; i++) {
        struct version *it = &v->items[i];
        u32 low = first, high = end; /* the first that certainly came after it */
        while (low < high) {
            u32 middle = (low + high) / 2;
            bool after = v->items[middle].place != PLACE_NONE &&
                         (it->place == PLACE_NONE || v->items[middle].from > it->to);
            if (after)
                high = middle;
            else
                low = middle + 1;
        }
        it->next = low < end ? earliest[low] : VERSION_NOBODY;
        it->until = it->next == VERSION_NOBODY ? NANOS_NEVER : v->items[it->next].to;
    }
}

static void find_ends(struct versions *v)
{
    u32 *earliest = mem_zalloc_array(v->count + 1, sizeof *earliest);

    for (u32 first = 0, end; first < v->count; first = end) {
        for (end = first + 1; end < v->count && v->items[end].key == v->items[first].key;) end++;
        find_ends_of_key(v, first, end, earliest);
    }
    mem_free(earliest);
}

/* A write had taken effect when somebody was shown its value. */
static void narrow_by_reads(struct versions *v, const u32 *places, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        const struct history_entry *e = &v->h->items[places[i]];
        if (e->op != HISTORY_GET || e->outcome != HISTORY_OK) continue;
        if (v->h->is_window && history_is_weak(e)) continue;
        u32 seen = versions_seen(v, e);
        if (seen >= v->count || v->items[seen].failed) continue;
        struct version *it = &v->items[seen];
        if (e->returned >= it->from && e->returned < it->to) it->to = e->returned;
    }
}

static void add(struct versions *v, u32 key, u32 value, u32 place)
{
    struct version *it = &v->items[v->count++];

    *it = (struct version){.key = key, .value = value, .place = place, .until = NANOS_NEVER, .next = VERSION_NOBODY};
    if (place == PLACE_NONE) return; /* before everything */
    const struct history_entry *e = &v->h->items[place];
    it->failed = e->outcome == HISTORY_FAILED;
    it->from = e->invoked;
    it->to = it->failed ? NANOS_NEVER : e->returned;
}

static int by_number(const void *a, const void *b) { return compare_u64(*(const u32 *)a, *(const u32 *)b); }

static void add_starts(struct versions *v, const u32 *places, u32 count)
{
    u32 *keys = mem_zalloc_array(count + 1, sizeof *keys);

    for (u32 i = 0; i < count; i++) keys[i] = v->h->items[places[i]].key;
    qsort(keys, count, sizeof *keys, by_number);
    for (u32 i = 0; i < count; i++)
        if (i == 0 || keys[i] != keys[i - 1]) add(v, keys[i], HISTORY_NULL, PLACE_NONE);
    mem_free(keys);
}

void versions_init(struct versions *v, const struct history *h, const u32 *places, u32 count)
{
    u32 value;

    *v = (struct versions){.h = h, .items = mem_zalloc_array(2 * (size_t)count + 1, sizeof *v->items)};
    add_starts(v, places, count);
    for (u32 i = 0; i < count; i++) {
        const struct history_entry *e = &h->items[places[i]];
        if (leaves(h, e, &value)) add(v, e->key, value, places[i]);
    }
    qsort(v->items, v->count, sizeof *v->items, by_key_and_from);
    build_indexes(v);
    narrow_by_reads(v, places, count);
    find_ends(v);
}

void versions_done(struct versions *v)
{
    mem_free(v->items);
    mem_free(v->by_value);
    mem_free(v->by_place);
    *v = (struct versions){0};
}
