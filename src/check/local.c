/* What holds of a read at every level, also at `local`, which promises nothing else: its value was written, by a
 * write that did not certainly fail, and that was not invoked after the read had returned. */
#include "check/checkers.h"

#include "check/versions.h"

static void check_read(const struct versions *v, u32 place, struct findings *f)
{
    const struct history_entry *e = &v->h->items[place];
    u32 seen = versions_seen(v, e);

    if (seen == VERSION_ANY) return;
    if (seen == VERSION_NOBODY) {
        findings_violation(f, v->h, &place, 1, "a read returned a value that nobody wrote");
        return;
    }
    const struct version *it = &v->items[seen];
    u32 pair[] = {it->place, place};
    if (it->failed)
        findings_violation(f, v->h, pair, 2, "a read returned the value of a write that certainly failed");
    else if (e->returned < it->from)
        findings_violation(f, v->h, pair, 2, "a read returned a value before it was written");
}

void check_local(const struct history *h, const u32 *places, u32 count, struct findings *f)
{
    struct versions v;

    versions_init(&v, h, places, count);
    for (u32 i = 0; i < count; i++) {
        const struct history_entry *e = &h->items[places[i]];
        if (e->op == HISTORY_GET && e->outcome == HISTORY_OK && history_is_weak(e)) check_read(&v, places[i], f);
    }
    versions_done(&v);
}
