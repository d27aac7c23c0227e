#include "check/checkers.h"

#include "base/mem.h"

static bool only(const struct history *h, const u32 *places, u32 count, enum history_op a, enum history_op b)
{
    bool has_a = false;

    for (u32 i = 0; i < count; i++) {
        const struct history_entry *e = &h->items[places[i]];
        if (e->op != a && e->op != b) return false;
        has_a |= e->op == a;
    }
    return has_a;
}

static bool is_counter(const struct history *h, const u32 *places, u32 count)
{
    i64 by;

    if (!only(h, places, count, HISTORY_INCR, HISTORY_GET)) return false;
    for (u32 i = 0; i < count; i++) {
        u32 value = h->items[places[i]].value;
        if (value != HISTORY_NULL && (!history_number(h, value, &by) || by != 1)) return false;
    }
    return true;
}

static void check_key(const struct history *h, const u32 *places, u32 count, struct findings *f)
{
    f->operations += count;
    if (is_counter(h, places, count)) {
        check_counter(h, places, count, f);
    } else if (only(h, places, count, HISTORY_APPEND, HISTORY_GET)) {
        check_append(h, places, count, f);
    } else if (register_applies(h, places, count)) {
        u32 before = f->violations;
        check_register(h, places, count, f);
        if (f->violations == before) check_session(h, places, count, f);
    } else {
        check_wgl(h, places, count, f);
    }
}

void check_history(const struct history *h, struct findings *f)
{
    u32 texts = history_text_count(h);
    u32 *start = mem_zalloc_array((size_t)texts + 2, sizeof *start);
    u32 *places = mem_zalloc_array(h->count + 1, sizeof *places);

    for (u32 i = 0; i < h->count; i++) start[h->items[i].key + 1]++;
    for (u32 key = 0; key <= texts; key++) start[key + 1] += start[key];
    for (u32 i = 0; i < h->count; i++) places[start[h->items[i].key]++] = i; /* now start[key] is its end */
    for (u32 key = 0, from = 0; key < texts; key++) {
        if (start[key] > from) check_key(h, places + from, start[key] - from, f);
        from = start[key];
    }
    mem_free(start);
    mem_free(places);
}
