#include "check/checkers.h"

#include "base/mem.h"

#include <stdlib.h>

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

/* Writes and linearizable reads. */
static void check_linearizable(const struct history *h, const u32 *places, u32 count, struct findings *f)
{
    if (count == 0) return;
    if (is_counter(h, places, count))
        check_counter(h, places, count, f);
    else if (only(h, places, count, HISTORY_APPEND, HISTORY_GET))
        check_append(h, places, count, f);
    else if (register_applies(h, places, count))
        check_register(h, places, count, f);
    else
        check_wgl(h, places, count, f);
}

/* Weaker reads constrain nothing that linearizable operations may do. */
static void check_key(const struct history *h, const u32 *places, u32 count, struct findings *f)
{
    u32 *strong = mem_zalloc_array(count + 1, sizeof *strong);
    u32 strong_count = 0, before = f->violations;
    bool is_register = register_applies(h, places, count);

    for (u32 i = 0; i < count; i++) {
        f->operations[h->items[places[i]].level.kind]++;
        if (!history_is_weak(&h->items[places[i]])) strong[strong_count++] = places[i];
    }
    check_linearizable(h, strong, strong_count, f);
    if (strong_count < count) {
        check_local(h, places, count, f);
        check_stale(h, places, count, f);
    }
    if (f->violations == before && (is_register || strong_count < count)) check_session(h, places, count, f);
    mem_free(strong);
}

/* ---- over the keys of a part ---- */

struct member {
    u64 part;
    u32 place;
};

static int by_part(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    if (x->part != y->part) return x->part < y->part ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

static bool have_memory(const struct history *h, const u32 *places, u32 count)
{
    for (u32 i = 0; i < count; i++)
        if (level_has_memory(h->items[places[i]].level)) return true;
    return false;
}

static void check_parts(const struct history *h, struct findings *f)
{
    if (f->operations[LEVEL_SEQUENTIAL] + f->operations[LEVEL_SESSION] == 0) return; /* as most histories are */
    struct member *members = mem_zalloc_array(h->count + 1, sizeof *members);
    u32 *places = mem_zalloc_array(h->count + 1, sizeof *places);

    for (u32 i = 0; i < h->count; i++) {
        const struct history_entry *e = &h->items[i];
        members[i] = (struct member){e->part ? (u64)e->part << 32 : e->key, i};
    }
    qsort(members, h->count, sizeof *members, by_part);
    for (u32 i = 0; i < h->count; i++) places[i] = members[i].place;
    for (u32 from = 0, end; from < h->count; from = end) {
        for (end = from + 1; end < h->count && members[end].part == members[from].part;) end++;
        if (have_memory(h, places + from, end - from)) check_sequential(h, places + from, end - from, f);
    }
    mem_free(members);
    mem_free(places);
}

static void check_keys(const struct history *h, struct findings *f)
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

void check_history(const struct history *h, struct findings *f)
{
    u32 before = f->violations;

    check_keys(h, f);
    if (f->violations == before) check_parts(h, f); /* else it would mostly say the same again */
}
