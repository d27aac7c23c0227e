/* The window of one key: where it may begin, what in it can be explained, and the check. */
#include "check/online_internal.h"

#include "base/mem.h"
#include "check/checkers.h"

#include <stdlib.h>

#define SEARCH_OPS_MAX   300u   /* of a window whose values repeat */
#define SEARCH_STEPS_MAX 20000u

static bool values_equal(const struct online_value *a, const struct online_value *b)
{
    return a->is_null == b->is_null && a->len == b->len && mem_equal(a->text, b->text, a->len);
}

static bool value_is(const struct online_value *v, const char *text)
{
    return !v->is_null && v->len == strlen(text) && mem_equal(v->text, text, v->len);
}

static bool is_write(const struct online_op *op) { return op->op != HISTORY_GET; }

static bool is_weak(const struct online_op *op) { return !level_is_linearizable(op->level); }

void online_key_break(struct online_key *k, nanos from)
{
    /* What was over before it began is not known any more. */
    if (k->has_window) from = u64_max(from, k->begun + 1);
    k->has_window = false;
    k->plain_from = NANOS_NEVER;
    k->valid_from = u64_max(k->valid_from, from);
}

/* ---- anchors ---- */

/* The value when an operation took effect that was done. false: not known. */
static bool value_after(const struct online_op *op, struct online_value *out)
{
    *out = op->value;
    switch (op->op) {
    case HISTORY_SET:
    case HISTORY_GETSET: return true;
    case HISTORY_SETNX: return value_is(&op->result, "1");
    case HISTORY_GET:
    case HISTORY_INCR: *out = op->result; return true;
    case HISTORY_DEL:
    case HISTORY_GETDEL: *out = (struct online_value){.is_null = true}; return true;
    default: return false;
    }
}

/* After it the key has no time to live, whatever was before. */
static bool makes_plain(const struct online_op *op, const struct online_value *after)
{
    if (op->outcome != HISTORY_OK) return false;
    return op->op == HISTORY_SET || op->op == HISTORY_GETSET || op->op == HISTORY_SETNX || after->is_null;
}

static int by_invocation(const void *a, const void *b)
{
    const struct online_op *x = *(const struct online_op *const *)a, *y = *(const struct online_op *const *)b;
    if (x->invoked != y->invoked) return x->invoked < y->invoked ? -1 : 1;
    return x->serial < y->serial ? -1 : x->serial > y->serial;
}

/* Until when a write may take effect; a settled one may no more. */
static nanos ends_at(const struct online_op *op)
{
    return op->returned == NANOS_NEVER ? op->invoked + ONLINE_SETTLED : op->returned;
}

static bool may_anchor(const struct online_key *k, const struct online_op *op, nanos watermark)
{
    struct online_value after;
    return op->outcome == HISTORY_OK && op->returned <= watermark && op->invoked >= k->valid_from && !is_weak(op) &&
           value_after(op, &after);
}

/* The first that may begin a window, or the last that returned before `latest`. */
static const struct online_op *find_anchor(const struct online_key *k, nanos watermark, nanos latest)
{
    const struct online_op **order = mem_zalloc_array(k->count + 1, sizeof *order), *found = NULL;
    nanos busy = 0; /* a write before it in the order that nobody understands lasts until then */

    for (u32 i = 0; i < k->count; i++) order[i] = &k->ops[i];
    qsort(order, k->count, sizeof *order, by_invocation);
    for (u32 i = 0; i < k->count; i++) {
        const struct online_op *op = order[i];
        bool good = busy < op->invoked && may_anchor(k, op, watermark);
        for (u32 j = i + 1; good && j < k->count && order[j]->invoked <= op->returned; j++)
            good = order[j]->op != ONLINE_OTHER;
        if (good && latest && op->returned > latest) break;
        if (good) found = op;
        if (good && !latest) break;
        if (op->op == ONLINE_OTHER) busy = u64_max(busy, ends_at(op));
    }
    mem_free(order);
    return found;
}

static void drop_before(struct online_key *k, nanos from)
{
    u32 kept = 0;

    for (u32 i = 0; i < k->count; i++)
        if (ends_at(&k->ops[i]) >= from) k->ops[kept++] = k->ops[i];
    k->count = kept;
}

/* A write since the last window began that may have given it a time to live. */
static bool has_other_before(const struct online_key *k, nanos at)
{
    for (u32 i = 0; i < k->count; i++)
        if (k->ops[i].op == ONLINE_OTHER && k->ops[i].invoked <= at) return true;
    return false;
}

static void begin_window(struct online_key *k, const struct online_op *anchor)
{
    k->begun = anchor->invoked;
    k->from = anchor->returned;
    k->anchor = anchor->serial;
    value_after(anchor, &k->start);
    bool was_plain = k->plain_from < k->from && !has_other_before(k, k->from);
    k->plain_from = was_plain || makes_plain(anchor, &k->start) ? k->from : NANOS_NEVER;
    k->has_window = true;
    drop_before(k, k->begun);
}

/* A window that has grown long begins anew at a later anchor; without one the key is too busy to be watched. */
static void move_window(struct online_key *k, nanos watermark)
{
    bool is_long = k->count > ONLINE_WINDOW_OPS || watermark > k->from + ONLINE_WINDOW_AGE;

    if (k->has_window && !is_long) return;
    nanos latest = !k->has_window ? 0 : watermark > ONLINE_WINDOW_AGE / 2 ? watermark - ONLINE_WINDOW_AGE / 2 : 1;
    const struct online_op *anchor = find_anchor(k, watermark, latest);
    if (!anchor && k->count > ONLINE_WINDOW_OPS) anchor = find_anchor(k, watermark, watermark);
    if (anchor && (!k->has_window || anchor->returned > k->from)) begin_window(k, anchor);
    if (k->count <= 4 * ONLINE_WINDOW_OPS) return;
    online_key_break(k, watermark);
    drop_before(k, watermark);
}

/* ---- what is in it ---- */

struct window {
    struct online_key *k;
    nanos watermark;
    struct history h;
    u32 key;
    struct online_stats *stats;
};

static u32 intern(struct history *h, const struct online_value *v)
{
    return v->is_null ? HISTORY_NULL : history_intern(h, str_from(v->text, v->len));
}

static bool is_in(const struct window *w, const struct online_op *op)
{
    return op->invoked > w->k->from && op->invoked <= w->watermark;
}

static bool is_done(const struct window *w, const struct online_op *op)
{
    return op->outcome == HISTORY_OK && op->returned <= w->watermark;
}

/* A write that overlapped the anchor, or whose outcome is unknown: in the window it may happen or have happened. */
static bool is_carried(const struct window *w, const struct online_op *op)
{
    return is_write(op) && op->serial != w->k->anchor && op->invoked <= w->k->from && op->outcome != HISTORY_FAILED &&
           ends_at(op) >= w->k->begun;
}

/* Did it find the key absent? A counter that begins anew at 1 may have. */
static bool found_nothing(const struct online_op *op)
{
    switch (op->op) {
    case HISTORY_GET:
    case HISTORY_GETSET:
    case HISTORY_GETDEL: return op->result.is_null;
    case HISTORY_SETNX: return value_is(&op->result, "1");
    case HISTORY_DEL: return value_is(&op->result, "0");
    case HISTORY_INCR: return values_equal(&op->result, &op->value);
    default: return false;
    }
}

/* Could the value that it saw have been there, for all the window knows? */
static bool is_written(const struct window *w, const struct online_value *seen)
{
    if (seen->is_null || values_equal(seen, &w->k->start)) return true;
    for (u32 i = 0; i < w->k->count; i++) {
        const struct online_op *op = &w->k->ops[i];
        if (!is_write(op) || !(is_in(w, op) || is_carried(w, op))) continue;
        if (op->op == HISTORY_INCR && (!is_done(w, op) || !is_in(w, op))) return true;
        if (op->op == HISTORY_SETNX && is_done(w, op) && !value_is(&op->result, "1")) continue;
        if (values_equal(seen, op->op == HISTORY_INCR ? &op->result : &op->value)) return true;
    }
    return false;
}

static void learn_that_it_is_plain(struct window *w)
{
    for (u32 i = 0; i < w->k->count; i++) {
        const struct online_op *op = &w->k->ops[i];
        struct online_value after;
        if (!is_in(w, op) || !is_done(w, op) || !value_after(op, &after) || is_weak(op)) continue;
        if (makes_plain(op, &after)) w->k->plain_from = u64_min(w->k->plain_from, op->returned);
    }
}

static bool shows_a_value(const struct online_op *op)
{
    return op->op == HISTORY_GET || op->op == HISTORY_GETSET || op->op == HISTORY_GETDEL;
}

/* What it does is another thing if the key has just run out of time. */
static bool depends_on_time(const struct online_op *op)
{
    return op->op == HISTORY_SETNX || op->op == HISTORY_INCR;
}

/* false: the window ends here. */
static bool can_explain(struct window *w, const struct online_op *op)
{
    if (op->op == ONLINE_OTHER) return false;
    if (is_carried(w, op)) return w->k->plain_from <= w->k->from || !depends_on_time(op);
    if (!is_done(w, op) && op->invoked <= w->k->plain_from && depends_on_time(op)) return false;
    if (!is_done(w, op) || is_weak(op)) return true;
    if (found_nothing(op) && op->invoked <= w->k->plain_from) return false;
    return !shows_a_value(op) || is_written(w, &op->result);
}

/* The earliest operation that cannot be explained ends the window; what came before it was checked before. */
static bool is_whole(struct window *w)
{
    const struct online_op *first = NULL;

    learn_that_it_is_plain(w);
    for (u32 i = 0; i < w->k->count; i++) {
        const struct online_op *op = &w->k->ops[i];
        if ((is_in(w, op) || is_carried(w, op)) && !can_explain(w, op) && (!first || op->invoked < first->invoked))
            first = op;
    }
    if (!first) return true;
    w->stats->unexplained += shows_a_value(first) && !first->result.is_null;
    online_key_break(w->k, first->invoked);
    return false;
}

static void add_to_history(struct window *w, const struct online_op *op)
{
    struct history *h = &w->h;
    bool ended = op->returned <= w->watermark && op->invoked > w->k->from;

    if (op->op == HISTORY_GET && !is_done(w, op)) return;
    /* What a weak read saw may be older than the window; then nothing is held against it. */
    if (is_weak(op) && (op->result.is_null || !is_written(w, &op->result))) return;
    u32 place = history_open(h, op->client, (enum history_op)op->op, w->key, intern(h, &op->value), HISTORY_NULL,
                             op->invoked);
    history_set_level(h, place, op->level);
    if (ended && op->outcome != HISTORY_UNKNOWN)
        history_close(h, place, op->outcome, intern(h, &op->result), op->returned);
}

static void build(struct window *w)
{
    struct history *h = &w->h;

    history_init(h);
    h->is_window = true;
    w->key = history_intern(h, str_from(w->k->name, w->k->name_len));
    if (!w->k->start.is_null) {
        u32 place = history_open(h, UINT32_MAX, HISTORY_SET, w->key, intern(h, &w->k->start), HISTORY_NULL, 0);
        history_close(h, place, HISTORY_OK, HISTORY_NULL, 0);
    }
    for (u32 i = 0; i < w->k->count; i++)
        if (is_in(w, &w->k->ops[i]) || is_carried(w, &w->k->ops[i])) add_to_history(w, &w->k->ops[i]);
    history_sort(h);
}

static void check_window(struct window *w, struct findings *f)
{
    const struct history *h = &w->h;
    u32 *all = mem_zalloc_array(h->count + 1, sizeof *all), *strong = mem_zalloc_array(h->count + 1, sizeof *strong);
    u32 strong_count = 0, before = f->violations, undecided = f->undecided;

    for (u32 i = 0; i < h->count; i++) {
        all[i] = i;
        if (!history_is_weak(&h->items[i])) strong[strong_count++] = i;
    }
    f->steps_max = SEARCH_STEPS_MAX;
    if (register_applies(h, strong, strong_count))
        check_register(h, strong, strong_count, f);
    else if (strong_count <= SEARCH_OPS_MAX)
        check_wgl(h, strong, strong_count, f);
    else
        f->undecided++;
    if (f->violations == before) check_stale(h, all, h->count, f);
    if (f->violations == before) check_session(h, all, h->count, f);
    w->stats->undecided += f->undecided - undecided;
    mem_free(all);
    mem_free(strong);
}

static void count_checked(const struct window *w)
{
    for (u32 i = 0; i < w->k->count; i++) {
        const struct online_op *op = &w->k->ops[i];
        if (is_in(w, op) && is_done(w, op) && op->returned > w->k->checked_to) w->stats->checked++;
    }
    w->k->checked_to = w->watermark;
}

void online_key_check(struct online_key *k, nanos watermark, struct findings *f, struct online_stats *stats)
{
    struct window w = {.k = k, .watermark = watermark, .stats = stats};
    u32 before = f->violations;

    k->is_new = false;
    for (u32 i = 0; i < k->count; i++) k->is_new |= k->ops[i].returned > watermark && k->ops[i].returned != NANOS_NEVER;
    move_window(k, watermark);
    for (u32 tries = 0; k->has_window && tries < 8 && !is_whole(&w); tries++) move_window(k, watermark);
    if (!k->has_window || !is_whole(&w)) return;
    build(&w);
    check_window(&w, f);
    count_checked(&w);
    history_done(&w.h);
    if (f->violations > before) online_key_break(k, watermark);
}
