#include "check/checkers.h"

#include "base/mem.h"

#define NOBODY UINT32_MAX

struct seen { /* the latest write that a process knows of, and where it learned that */
    u32 write, at;
};

/* Must a come before b? It was over before b began, or one process asked for both in this order (perhaps in
 * one pipeline) and both were done. */
static bool precedes(const struct history *h, u32 a, u32 b)
{
    const struct history_entry *x = &h->items[a], *y = &h->items[b];
    if (x->returned < y->invoked) return true;
    return x->process == y->process && a < b && x->outcome == HISTORY_OK && y->outcome == HISTORY_OK;
}

void check_session(const struct history *h, const u32 *places, u32 count, struct findings *f)
{
    u32 processes = 0;
    u32 *write_of = mem_zalloc_array(history_text_count(h), sizeof *write_of); /* value -> place + 1 */

    for (u32 i = 0; i < count; i++) {
        const struct history_entry *e = &h->items[places[i]];
        if (e->process >= processes) processes = e->process + 1;
        if (e->op == HISTORY_SET) write_of[e->value] = places[i] + 1;
    }
    struct seen *seen = mem_zalloc_array(processes, sizeof *seen);
    for (u32 p = 0; p < processes; p++) seen[p].write = NOBODY;

    for (u32 i = 0; i < count; i++) {
        const struct history_entry *e = &h->items[places[i]];
        if (e->outcome != HISTORY_OK) continue;
        struct seen *s = &seen[e->process];
        u32 write = e->op == HISTORY_SET ? places[i] : write_of[e->result] - 1; /* NOBODY: the initial NULL */
        if (s->write != NOBODY && (write == NOBODY || precedes(h, write, s->write))) {
            u32 proof[4], n = 0;
            proof[n++] = s->write;
            if (s->at != s->write) proof[n++] = s->at;
            if (write != NOBODY && write != places[i]) proof[n++] = write;
            proof[n++] = places[i];
            findings_violation(f, h, proof, n, "a process went back in time");
        }
        *s = (struct seen){.write = write, .at = places[i]};
    }
    mem_free(seen);
    mem_free(write_of);
}
