#include "sim/windows.h"

#include "base/mem.h"
#include "check/history.h"
#include "sim/client.h"

#include <stdio.h>

#define NOBODY 1000000u /* the process that has left the first value of a window */

struct writing { /* a text as a value: every SET has one of its own */
    u32 key, window;
};

struct windows {
    const struct world *world;
    struct history *history;
    struct writing *writings; /* owned; by text */
    u32 *first;               /* owned; by text of a key and window: the value it begins with, as far as was read */
    u32 texts;
};

static bool is_cut(const struct windows *x, u32 key) { return client_db_of_key(history_text(x->history, key)) != 0; }

static u32 window_of(const struct world *w, const struct history_entry *e)
{
    u32 window = 0;
    while (window < w->power_cut_count && e->invoked >= w->power_cuts[window]) window++;
    return window;
}

static u32 name_in_window(struct history *h, u32 name, u32 window)
{
    char text[128];

    if (window == 0 || name == HISTORY_NULL) return name;
    snprintf(text, sizeof text, "%.*s@%u", STR_ARG(history_text(h, name)), window);
    return history_intern(h, str_of(text));
}

static void note_writings(struct windows *x)
{
    for (u32 i = 0; i < x->history->count; i++) {
        const struct history_entry *e = &x->history->items[i];
        if (e->op != HISTORY_SET || !is_cut(x, e->key)) continue;
        x->writings[e->value] = (struct writing){.key = e->key, .window = window_of(x->world, e)};
    }
}

/* It read what was there when the window began. A weak read may have seen any of the versions before: that is no
 * evidence. */
static void note_first(struct windows *x, struct history_entry *e, u32 key)
{
    if (history_is_weak(e)) {
        e->outcome = HISTORY_FAILED;
        return;
    }
    if (x->first[key]) return; /* two of them: the checker will not find who wrote the other one */
    x->first[key] = e->result;
}

static void move_entry(struct windows *x, struct history_entry *e)
{
    u32 window = window_of(x->world, e);

    if (window == 0 || !is_cut(x, e->key)) return;
    u32 key = name_in_window(x->history, e->key, window);
    e->part = name_in_window(x->history, e->part, window);
    if (e->op == HISTORY_GET && e->outcome == HISTORY_OK) {
        const struct writing *by = &x->writings[e->result];
        bool older = e->result != HISTORY_NULL && by->key == e->key && by->window < window;
        if (older || (e->result == HISTORY_NULL && history_is_weak(e))) note_first(x, e, key);
    }
    e->key = key;
}

/* As if somebody had written it at the power cut. */
static void write_firsts(struct windows *x, u32 count)
{
    struct history *h = x->history;
    u8 *done = mem_zalloc(x->texts);

    for (u32 i = 0; i < count; i++) {
        struct history_entry e = h->items[i];
        if (!x->first[e.key] || done[e.key]) continue;
        done[e.key] = 1;
        nanos at = x->world->power_cuts[window_of(x->world, &e) - 1];
        u32 place = history_open(h, NOBODY, HISTORY_SET, e.key, x->first[e.key], HISTORY_NULL, at);
        history_set_part(h, place, e.part);
        history_close(h, place, HISTORY_OK, HISTORY_NULL, at);
    }
    mem_free(done);
    history_sort(h);
}

void windows_cut(struct world *w)
{
    struct windows x = {.world = w, .history = w->history};
    u32 count = w->history->count;

    if (w->power_cut_count == 0) return;
    x.texts = history_text_count(w->history) * (w->power_cut_count + 1) * 2;
    x.writings = mem_zalloc(x.texts * sizeof *x.writings);
    x.first = mem_zalloc(x.texts * sizeof *x.first);
    note_writings(&x);
    for (u32 i = 0; i < count; i++) move_entry(&x, &w->history->items[i]);
    write_firsts(&x, count);
    mem_free(x.writings);
    mem_free(x.first);
}
