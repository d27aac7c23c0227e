/* Linearizability of a register whose writes all have values of their own (Gibbons and Korach 1997: the
 * read mapping is known). The operations on one value form a cluster: its write and the reads of it. Let f be
 * the earliest return and s the latest invocation in the cluster. If f < s the register must hold the value
 * all the time from f to s: a forward zone. Otherwise all of it can happen at one instant between s and
 * f: a backward zone. The history is linearizable iff no read is before its write, no two forward zones
 * overlap, and no backward zone lies inside a forward one. */
#include "check/checkers.h"

#include "base/assert.h"
#include "base/mem.h"
#include "check/versions.h"

#include <stdlib.h>

struct zone {
    nanos f, s;
    u32 write; /* place; PLACE_NONE: the initial NULL */
    u32 f_place, s_place;
};

struct clusters {
    const struct history *h;
    struct versions versions; /* zone i is of version i */
    struct zone *zones;       /* owned */
    u32 count, reported;
};

static int by_number(const void *a, const void *b)
{
    const u32 *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static bool are_unique(u32 *numbers, u32 count)
{
    qsort(numbers, count, sizeof *numbers, by_number);
    for (u32 i = 1; i < count; i++)
        if (numbers[i] == numbers[i - 1]) return false;
    return true;
}

/* Nothing here is as large as the history: there may be as many keys as operations. */
bool register_applies(const struct history *h, const u32 *places, u32 count)
{
    u32 *values = mem_zalloc_array(count + 1, sizeof *values);
    u32 writes = 0;
    bool applies = true;

    for (u32 i = 0; i < count && applies; i++) {
        const struct history_entry *e = &h->items[places[i]];
        if (e->op == HISTORY_GET) continue;
        applies = e->op == HISTORY_SET && e->value != HISTORY_NULL;
        values[writes++] = e->value;
    }
    applies = applies && are_unique(values, writes);
    mem_free(values);
    return applies;
}

static void zone_meets(struct zone *z, nanos invoked, nanos returned, u32 place)
{
    if (returned < z->f) {
        z->f = returned;
        z->f_place = place;
    }
    if (invoked >= z->s) {
        z->s = invoked;
        z->s_place = place;
    }
}

static struct zone zone_of(const struct history *h, u32 write)
{
    struct zone z = {.write = write, .f_place = PLACE_NONE, .s_place = PLACE_NONE};

    if (write == PLACE_NONE) return z; /* f = 0, and before any other zone: NULL was written before everything */
    z.f = NANOS_NEVER;
    zone_meets(&z, h->items[write].invoked, h->items[write].returned, write);
    return z;
}

static void add_read(struct clusters *c, u32 place, struct findings *f)
{
    const struct history_entry *e = &c->h->items[place];
    u32 seen = versions_seen(&c->versions, e);

    if (seen == VERSION_NOBODY) {
        findings_violation(f, c->h, &place, 1, "a read returned a value that nobody wrote");
        return;
    }
    assert(seen < c->count); /* values are unique */
    struct zone *z = &c->zones[seen];
    u32 pair[] = {z->write, place};
    if (z->write != PLACE_NONE) {
        const struct history_entry *w = &c->h->items[z->write];
        if (w->outcome == HISTORY_FAILED) {
            findings_violation(f, c->h, pair, 2, "a read returned the value of a write that certainly failed");
            return;
        }
        if (e->returned < w->invoked) {
            findings_violation(f, c->h, pair, 2, "a read returned a value before it was written");
            return;
        }
    }
    zone_meets(z, e->invoked, e->returned, place);
}

static int by_f(const void *a, const void *b)
{
    const struct zone *x = a, *y = b;
    if (x->f != y->f) return x->f < y->f ? -1 : 1;
    return x->write == PLACE_NONE ? -1 : y->write == PLACE_NONE;
}

static u32 add_place(u32 *places, u32 count, u32 place)
{
    if (place == PLACE_NONE) return count;
    for (u32 i = 0; i < count; i++)
        if (places[i] == place) return count;
    places[count] = place;
    return count + 1;
}

#define REPORTED_MAX 3 /* of one key: the rest says the same again */

static void report(struct clusters *c, const struct zone *a, const struct zone *b, const char *what,
                   struct findings *f)
{
    u32 places[6], count = 0;

    if (c->reported++ >= REPORTED_MAX) return;
    const struct zone *both[] = {a, b};

    for (u32 i = 0; i < 2; i++) {
        count = add_place(places, count, both[i]->write);
        count = add_place(places, count, both[i]->f_place);
        count = add_place(places, count, both[i]->s_place);
    }
    findings_violation(f, c->h, places, count, "not linearizable: %s", what);
}

/* Forward zones first, by f; then look at every neighbour and every backward zone. */
static void check_zones(struct clusters *c, struct findings *f)
{
    struct zone *forward = mem_zalloc_array(c->count + 1, sizeof *forward);
    u32 count = 0;

    for (u32 i = 0; i < c->count; i++) {
        const struct zone *z = &c->zones[i];
        if (z->write != PLACE_NONE && c->h->items[z->write].outcome == HISTORY_FAILED) continue;
        if (z->f < z->s) forward[count++] = *z;
    }
    qsort(forward, count, sizeof *forward, by_f);
    for (u32 i = 1; i < count; i++)
        if (forward[i].f < forward[i - 1].s)
            report(c, &forward[i - 1], &forward[i], "two values at the same time", f);

    for (u32 i = 0; i < c->count; i++) {
        const struct zone *z = &c->zones[i];
        if (z->f < z->s || (z->write != PLACE_NONE && c->h->items[z->write].outcome == HISTORY_FAILED)) continue;
        u32 low = 0, high = count; /* the last forward zone with f < z->s */
        while (low < high) {
            u32 middle = (low + high) / 2;
            if (forward[middle].f < z->s || forward[middle].write == PLACE_NONE)
                low = middle + 1;
            else
                high = middle;
        }
        if (low > 0 && z->f < forward[low - 1].s)
            report(c, &forward[low - 1], z, "a write vanished, or a stale value came back", f);
    }
    mem_free(forward);
}

void check_register(const struct history *h, const u32 *places, u32 count, struct findings *f)
{
    u32 before = f->violations;
    struct clusters c = {.h = h};

    versions_init(&c.versions, h, places, count);
    c.count = c.versions.count;
    c.zones = mem_zalloc_array(c.count + 1, sizeof *c.zones);
    for (u32 i = 0; i < c.count; i++) c.zones[i] = zone_of(h, c.versions.items[i].place);
    for (u32 i = 0; i < count; i++) {
        const struct history_entry *e = &h->items[places[i]];
        if (e->op == HISTORY_GET && e->outcome == HISTORY_OK) add_read(&c, places[i], f);
    }
    if (f->violations == before) check_zones(&c, f);
    versions_done(&c.versions);
    mem_free(c.zones);
}
