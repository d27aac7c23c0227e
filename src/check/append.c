/* A text that only grows: APPEND answers the length afterwards, GET reads the whole. Like a list-append
 * history (Kingsbury and Alvaro 2020, Elle), it tells its own order: an APPEND that answered L put its text
 * just before offset L. Every acknowledged text must be there, once, in an order that agrees with real
 * time; what else is there must come from operations whose outcome is unknown. */
#include "check/checkers.h"

#include "base/mem.h"

#include <stdlib.h>

struct point {
    i64 length;
    bool is_read;
    u32 place;
    nanos invoked, returned;
};

static int by_order(const void *a, const void *b)
{
    const struct point *x = a, *y = b;
    if (x->length != y->length) return x->length < y->length ? -1 : 1;
    if (x->is_read != y->is_read) return x->is_read ? 1 : -1;
    return x->invoked < y->invoked ? -1 : x->invoked > y->invoked;
}

static bool check_order(const struct history *h, const struct point *points, u32 count, struct findings *f)
{
    const struct point *latest = NULL, *previous = NULL;

    for (u32 i = 0; i < count; i++) {
        const struct point *p = &points[i];
        if (latest && p->returned < latest->invoked) {
            u32 pair[] = {latest->place, p->place};
            findings_violation(f, h, pair, 2, "the text shrank: the second was over before the first began");
            return false;
        }
        if (!p->is_read) {
            if (previous && previous->length == p->length) {
                u32 pair[] = {previous->place, p->place};
                findings_violation(f, h, pair, 2, "two appends ended at the same offset");
                return false;
            }
            previous = p;
        }
        if (!latest || p->invoked > latest->invoked) latest = p;
    }
    return true;
}

/* The operation whose text stands at this offset; UINT32_MAX if none. A used one is not offered again. */
static u32 find_writer(const struct history *h, const u32 *places, u32 count, const u8 *used, str rest)
{
    for (u32 i = 0; i < count; i++) {
        const struct history_entry *e = &h->items[places[i]];
        if (e->op != HISTORY_APPEND || e->outcome == HISTORY_OK || used[i]) continue;
        str text = history_text(h, e->value);
        if (text.len > 0 && text.len <= rest.len && mem_equal(text.at, rest.at, text.len)) return i;
    }
    return UINT32_MAX;
}

static void check_content(const struct history *h, const u32 *places, u32 count, const struct point *points,
                          u32 point_count, u32 longest, struct findings *f)
{
    str whole = history_text(h, h->items[longest].result);
    u8 *used = mem_zalloc(count + 1);
    size_t at = 0;
    u32 next = 0;

    while (at < whole.len) {
        while (next < point_count && points[next].is_read) next++;
        if (next < point_count && points[next].length <= (i64)whole.len) {
            u32 place = points[next].place;
            str text = history_text(h, h->items[place].value);
            size_t start = (size_t)points[next].length - size_min(text.len, (size_t)points[next].length);
            u32 pair[] = {place, longest};
            if (start < at || !mem_equal(whole.at + start, text.at, text.len)) {
                findings_violation(f, h, pair, 2, "an acknowledged text is not where its answer says");
                break;
            }
            if (start == at) {
                at += text.len;
                next++;
                continue;
            }
        }
        u32 i = find_writer(h, places, count, used, str_from(whole.at + at, whole.len - at));
        if (i == UINT32_MAX) {
            findings_violation(f, h, &longest, 1, "at offset %zu stands what nobody could have appended there", at);
            break;
        }
        if (h->items[places[i]].outcome == HISTORY_FAILED) {
            u32 pair[] = {places[i], longest};
            findings_violation(f, h, pair, 2, "a text is there whose append certainly failed");
            break;
        }
        used[i] = 1;
        at += history_text(h, h->items[places[i]].value).len;
    }
    mem_free(used);
}

void check_append(const struct history *h, const u32 *places, u32 count, struct findings *f)
{
    struct point *points = mem_zalloc_array(count + 1, sizeof *points);
    u32 point_count = 0, longest = UINT32_MAX;
    bool well = true;

    for (u32 i = 0; i < count && well; i++) {
        const struct history_entry *e = &h->items[places[i]];
        if (e->outcome != HISTORY_OK) continue;
        struct point p = {.is_read = e->op == HISTORY_GET, .place = places[i], .invoked = e->invoked,
                          .returned = e->returned};
        str text = history_text(h, e->result);
        if (p.is_read) {
            p.length = (i64)text.len;
            if (longest == UINT32_MAX || text.len > history_text(h, h->items[longest].result).len)
                longest = places[i];
        } else if (!history_number(h, e->result, &p.length) ||
                   p.length < (i64)history_text(h, e->value).len) {
            findings_violation(f, h, &places[i], 1, "not the answer of an append");
            well = false;
        }
        points[point_count++] = p;
    }
    qsort(points, point_count, sizeof *points, by_order);
    well = well && check_order(h, points, point_count, f);
    for (u32 i = 0; i < point_count && well && longest != UINT32_MAX; i++) {
        str whole = history_text(h, h->items[longest].result);
        str text = history_text(h, h->items[points[i].place].result);
        u32 pair[] = {points[i].place, longest};
        if (!points[i].is_read || (text.len <= whole.len && mem_equal(text.at, whole.at, text.len))) continue;
        findings_violation(f, h, pair, 2, "two reads of a text that only grows, neither a prefix of the other");
        well = false;
    }
    if (well && longest != UINT32_MAX) check_content(h, places, count, points, point_count, longest, f);
    mem_free(points);
}
