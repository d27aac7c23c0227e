/* Linearizability by search: Wing and Gong 1993, with Lowe's 2017 memory of (set of operations done, state)
 * pairs that have led nowhere. Exponential in the number of overlapping operations, so: small histories,
 * and a limit after which a key is undecided. All keys together have a limit too, so the time of a whole history is at
 * most that and linear. */
#include "check/checkers.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/mutant.h"

#include <stdlib.h>

#define STEPS_MAX 1000000ull               /* of a key */
#define STEPS_ALL_MAX (200 * STEPS_MAX)    /* of all keys: after it only such as need hardly any search are decided */
#define STEPS_PER_OPERATION 16             /* what any key may take */
#define NULL_STATE (1ull << 63)
#define NO_NUMBER (NULL_STATE + 1)
#define REPORTED_MAX 24

struct mark { /* an invocation or a return, in a list ordered by time */
    struct mark *next, *prev;
    u32 op;
    bool is_return;
    nanos at;
};

struct search {
    const struct history *h;
    const u32 *places; /* of the operations that matter */
    u32 count, certain; /* certain: with outcome OK, still to be placed */
    bool numeric;       /* states are numbers, not text ids */
    struct mark *marks, head;
    struct {
        u32 op;
        u64 state;
    } *stack;
    u32 depth, deepest;
    u32 stuck_at; /* the operation whose return stopped the deepest attempt */
    u64 done_hash;
    u64 *memory; /* open addressing; 0: empty */
    u64 memory_cap, memory_count;
    u64 steps, steps_max;
};

static u64 state_of(const struct search *s, u32 id)
{
    i64 number;
    if (id == HISTORY_NULL) return NULL_STATE;
    if (!s->numeric) return id;
    return history_number(s->h, id, &number) ? (u64)number : NO_NUMBER;
}

static bool said(const struct search *s, const struct history_entry *e, bool yes)
{
    if (e->outcome != HISTORY_OK) return true;
    str text = history_text(s->h, e->result);
    return str_equal(text, yes ? STR("1") : STR("0"));
}

/* May the operation take effect in this state with the answer it gave? *next is the state after. */
static bool step(const struct search *s, const struct history_entry *e, u64 state, u64 *next)
{
    bool certain = e->outcome == HISTORY_OK, exists = state != NULL_STATE;
    u64 value = state_of(s, e->value);
    i64 by = 1;

    *next = state;
    switch ((enum history_op)e->op) {
    case HISTORY_GET: return !certain || state == state_of(s, e->result);
    case HISTORY_SET: *next = value; return true;
    case HISTORY_SETNX:
        if (!exists) *next = value;
        return said(s, e, !exists);
    case HISTORY_GETSET: *next = value; return !certain || state == state_of(s, e->result);
    case HISTORY_GETDEL: *next = NULL_STATE; return !certain || state == state_of(s, e->result);
    case HISTORY_DEL: *next = NULL_STATE; return said(s, e, exists);
    case HISTORY_CAS: {
        bool hit = state == state_of(s, e->expect);
        if (hit) *next = value;
        return said(s, e, hit);
    }
    case HISTORY_INCR:
        if (e->value != HISTORY_NULL && !history_number(s->h, e->value, &by)) return false;
        *next = (exists ? state : 0) + (u64)by;
        return !certain || *next == state_of(s, e->result);
    case HISTORY_APPEND:
    case HISTORY_OPS: break;
    }
    return false;
}

/* ---- the memory ---- */

static bool remember(struct search *s, u64 key)
{
    if (key == 0) key = 1;
    if (s->memory_count * 2 >= s->memory_cap) {
        u64 *old = s->memory, old_cap = s->memory_cap;
        s->memory_cap = old_cap ? old_cap * 2 : 4096;
        s->memory = mem_zalloc_array(s->memory_cap, sizeof *s->memory);
        for (u64 i = 0; i < old_cap; i++) {
            if (!old[i]) continue;
            u64 at = old[i] & (s->memory_cap - 1);
            while (s->memory[at]) at = (at + 1) & (s->memory_cap - 1);
            s->memory[at] = old[i];
        }
        mem_free(old);
    }
    u64 at = key & (s->memory_cap - 1);
    while (s->memory[at] && s->memory[at] != key) at = (at + 1) & (s->memory_cap - 1);
    if (s->memory[at]) return false;
    s->memory[at] = key;
    s->memory_count++;
    return true;
}

static u64 op_hash(u32 op) { return hash_mix(0x5851f42d4c957f2dULL, op + 1); }

/* ---- the list ---- */

static struct mark *invocation(struct search *s, u32 op) { return &s->marks[2 * op]; }

static void unlink_mark(struct mark *m)
{
    m->prev->next = m->next;
    if (m->next) m->next->prev = m->prev;
}

static void relink_mark(struct mark *m)
{
    m->prev->next = m;
    if (m->next) m->next->prev = m;
}

static void lift(struct search *s, u32 op)
{
    unlink_mark(invocation(s, op));
    unlink_mark(invocation(s, op) + 1);
}

static void unlift(struct search *s, u32 op) /* in the opposite order */
{
    relink_mark(invocation(s, op) + 1);
    relink_mark(invocation(s, op));
}

static int by_time(const void *a, const void *b)
{
    const struct mark *x = *(struct mark *const *)a, *y = *(struct mark *const *)b;
    if (x->at != y->at) return x->at < y->at ? -1 : 1;
    if (x->is_return != y->is_return) return x->is_return ? 1 : -1; /* ties overlap */
    return x->op < y->op ? -1 : x->op > y->op;
}

static void build_list(struct search *s)
{
    struct mark **order = mem_zalloc_array(2 * (size_t)s->count + 1, sizeof(struct mark *));

    for (u32 op = 0; op < s->count; op++) {
        const struct history_entry *e = &s->h->items[s->places[op]];
        s->marks[2 * op] = (struct mark){.op = op, .at = e->invoked};
        s->marks[2 * op + 1] = (struct mark){.op = op, .at = e->returned, .is_return = true};
        order[2 * op] = &s->marks[2 * op];
        order[2 * op + 1] = &s->marks[2 * op + 1];
    }
    qsort(order, 2 * (size_t)s->count, sizeof(struct mark *), by_time);
    struct mark *last = &s->head;
    for (u32 i = 0; i < 2 * s->count; i++) {
        last->next = order[i];
        order[i]->prev = last;
        last = order[i];
    }
    last->next = NULL;
    mem_free(order);
}

/* ---- the search ---- */

enum verdict { LINEARIZABLE, NOT_LINEARIZABLE, UNDECIDED };

static enum verdict run(struct search *s)
{
    u64 state = NULL_STATE, next;
    struct mark *m = s->head.next;

    while (s->certain > 0) {
        if (++s->steps > s->steps_max) return UNDECIDED;
        assert(m);
        const struct history_entry *e = &s->h->items[s->places[m->op]];
        if (!m->is_return) {
            u64 key = s->done_hash ^ op_hash(m->op);
            if (step(s, e, state, &next) && remember(s, hash_mix(key, next))) {
                s->stack[s->depth].op = m->op;
                s->stack[s->depth++].state = state;
                s->done_hash = key;
                s->certain -= e->outcome == HISTORY_OK;
                state = next;
                lift(s, m->op);
                m = s->head.next;
            } else {
                m = m->next;
            }
            continue;
        }
        if (s->depth >= s->deepest) {
            s->deepest = s->depth;
            s->stuck_at = m->op;
        }
        if (s->depth == 0) return NOT_LINEARIZABLE;
        u32 op = s->stack[--s->depth].op;
        state = s->stack[s->depth].state;
        s->done_hash ^= op_hash(op);
        s->certain += s->h->items[s->places[op]].outcome == HISTORY_OK;
        unlift(s, op);
        m = invocation(s, op)->next;
    }
    return LINEARIZABLE;
}

/* The operation that could not be placed, and those around it. */
static void report(const struct search *s, struct findings *f)
{
    const struct history_entry *stuck = &s->h->items[s->places[s->stuck_at]];
    u32 shown[REPORTED_MAX], count = 0;
    u32 first = 0;

    for (u32 i = 0; i < s->count; i++) /* the latest few that were over before it began, and all that overlap */
        if (s->h->items[s->places[i]].returned < stuck->invoked) first = i;
    first = first > REPORTED_MAX / 3 ? first - REPORTED_MAX / 3 : 0;
    for (u32 i = first; i < s->count && count < REPORTED_MAX; i++)
        if (s->h->items[s->places[i]].invoked <= stuck->returned) shown[count++] = s->places[i];
    findings_violation(f, s->h, shown, count,
                       "not linearizable: no order explains process %u's %s invoked at %llu", stuck->process,
                       history_op_name(stuck->op), (unsigned long long)stuck->invoked);
}

static u64 steps_allowed(const struct findings *f, u32 count)
{
    u64 all = f->steps_all_max ? f->steps_all_max : STEPS_ALL_MAX;
    u64 taken = MUTANT(search_forgets_other_keys) ? 0 : u64_min(f->steps, all);

    if (f->steps_max) return f->steps_max;
    return u64_max(u64_min(STEPS_MAX, all - taken), (u64)STEPS_PER_OPERATION * count);
}

void check_wgl(const struct history *h, const u32 *places, u32 count, struct findings *f)
{
    u32 *useful = mem_zalloc_array(count + 1, sizeof *useful);
    struct search s = {.h = h, .places = useful, .steps_max = steps_allowed(f, count)};

    for (u32 i = 0; i < count; i++) {
        const struct history_entry *e = &h->items[places[i]];
        if (e->op == HISTORY_INCR) s.numeric = true;
        if (e->outcome == HISTORY_FAILED || (e->outcome == HISTORY_UNKNOWN && e->op == HISTORY_GET)) continue;
        useful[s.count++] = places[i];
        s.certain += e->outcome == HISTORY_OK;
    }
    s.marks = mem_zalloc_array(2 * (size_t)s.count + 1, sizeof *s.marks);
    s.stack = mem_zalloc_array(s.count + 1, sizeof *s.stack);
    build_list(&s);
    enum verdict v = run(&s);
    f->steps += s.steps;
    if (v == NOT_LINEARIZABLE) report(&s, f);
    if (v == UNDECIDED) f->undecided++;
    mem_free(s.marks);
    mem_free(s.stack);
    mem_free(s.memory);
    mem_free(useful);
}
