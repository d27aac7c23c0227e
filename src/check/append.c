/* A text that only grows: APPEND answers the length afterwards, GET reads the whole. Like a list-append
 * history (Kingsbury and Alvaro 2020, Elle), it tells its own order: an APPEND that answered L put its text
 * just before offset L. Every acknowledged text must be there, once, in an order that agrees with real
 * time; what else is there must come from operations whose outcome is unknown. */
#include "check/checkers.h"

#include "base/mem.h"
#include "base/search.h"

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

/* An append without an answer: its text may stand anywhere, or nowhere. */
struct loose {
    str text;
    u32 place;
    bool used;
};

/* Shorter texts first. */
static int compare_texts(str a, str b)
{
    if (a.len != b.len) return a.len < b.len ? -1 : 1;
    return memcmp(a.at, b.at, a.len);
}

static int by_text(const void *a, const void *b)
{
    const struct loose *x = a, *y = b;
    int order = compare_texts(x->text, y->text);
    return order ? order : x->place < y->place ? -1 : x->place > y->place;
}

static u32 find_loose(const struct history *h, const u32 *places, u32 count, struct loose *out)
{
    u32 n = 0;

    for (u32 i = 0; i < count; i++) {
        const struct history_entry *e = &h->items[places[i]];
        str text = history_text(h, e->value);
        if (e->op != HISTORY_APPEND || e->outcome == HISTORY_OK || text.len == 0) continue;
        out[n++] = (struct loose){.text = text, .place = places[i]};
    }
    qsort(out, n, sizeof *out, by_text);
    return n;
}

/* The first to be invoked whose text stands here; NULL if none. A used one is not offered again. Each length is looked
 * up by itself; of equal texts those before others are used first. */
static struct loose *find_writer(struct loose *loose, u32 count, str rest)
{
    struct loose *first = NULL;
    u32 from = 0, at, next;

    for (; from < count && loose[from].text.len <= rest.len; from = next) {
        size_t len = loose[from].text.len;
        str text = str_from(rest.at, len);
        LOWER_BOUND(next, count, loose[next].text.len <= len);
        LOWER_BOUND(at, next, compare_texts(loose[at].text, text) < (loose[at].used ? 1 : 0));
        if (at == next || !str_equal(loose[at].text, text)) continue;
        if (!first || loose[at].place < first->place) first = &loose[at];
    }
    return first;
}

static void check_content(const struct history *h, struct loose *loose, u32 loose_count, const struct point *points,
                          u32 point_count, u32 longest, struct findings *f)
{
    str whole = history_text(h, h->items[longest].result);
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
                return;
            }
            if (start == at) {
                at += text.len;
                next++;
                continue;
            }
        }
        struct loose *writer = find_writer(loose, loose_count, str_from(whole.at + at, whole.len - at));
        if (!writer) {
            findings_violation(f, h, &longest, 1, "at offset %zu stands what nobody could have appended there", at);
            return;
        }
        if (h->items[writer->place].outcome == HISTORY_FAILED) {
            u32 pair[] = {writer->place, longest};
            findings_violation(f, h, pair, 2, "a text is there whose append certainly failed");
            return;
        }
        writer->used = true;
        at += writer->text.len;
    }
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
    struct loose *loose = mem_zalloc_array(count + 1, sizeof *loose);
    u32 loose_count = find_loose(h, places, count, loose);
    if (well && longest != UINT32_MAX) check_content(h, loose, loose_count, points, point_count, longest, f);
    mem_free(loose);
    mem_free(points);
}
