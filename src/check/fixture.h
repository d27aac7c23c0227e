/* Histories in a test's shorthand: one row per operation, times in any unit. */
#pragma once

#include "base/test.h"
#include "check/checkers.h"

struct op {
    u32 process;
    enum history_op op;
    const char *key, *value, *expect, *result; /* NULL: NULL */
    nanos invoked, returned;
    enum history_outcome outcome;
    struct level level;
    const char *session, *part;
};

#define OPEN NANOS_NEVER
#define OUTCOME(to) ((to) == OPEN ? HISTORY_UNKNOWN : HISTORY_OK)
#define PLAIN {0}, NULL, NULL /* linearizable, of its process's session */
#define SET(p, v, from, to) {p, HISTORY_SET, "k", v, NULL, NULL, from, to, OUTCOME(to), PLAIN}
#define SET_FAILED(p, v, from, to) {p, HISTORY_SET, "k", v, NULL, NULL, from, to, HISTORY_FAILED, PLAIN}
#define GET(p, r, from, to) {p, HISTORY_GET, "k", NULL, NULL, r, from, to, OUTCOME(to), PLAIN}
/* A read of a level: {LEVEL_STALE, ms}, {LEVEL_LOCAL} ... */
#define GET_AT(p, k, r, from, to, kind, ms) \
    {p, HISTORY_GET, k, NULL, NULL, r, from, to, OUTCOME(to), {kind, ms}, NULL, NULL}
/* Of a session, of the part "p": any of SET_OF, GET_OF. */
#define SET_OF(s, k, v, from, to) {0, HISTORY_SET, k, v, NULL, NULL, from, to, OUTCOME(to), {0}, s, "p"}
#define GET_OF(s, k, r, from, to) {0, HISTORY_GET, k, NULL, NULL, r, from, to, OUTCOME(to), {LEVEL_SEQUENTIAL, 0}, s, "p"}
#define DEL(p, r, from, to) {p, HISTORY_DEL, "k", NULL, NULL, r, from, to, OUTCOME(to), PLAIN}
#define CAS(p, e, v, r, from, to) {p, HISTORY_CAS, "k", v, e, r, from, to, OUTCOME(to), PLAIN}
#define GETSET(p, v, r, from, to) {p, HISTORY_GETSET, "k", v, NULL, r, from, to, OUTCOME(to), PLAIN}
#define SETNX(p, v, r, from, to) {p, HISTORY_SETNX, "k", v, NULL, r, from, to, OUTCOME(to), PLAIN}
#define INCR(p, r, from, to) {p, HISTORY_INCR, "k", NULL, NULL, r, from, to, OUTCOME(to), PLAIN}
#define APPEND(p, v, r, from, to) {p, HISTORY_APPEND, "k", v, NULL, r, from, to, OUTCOME(to), PLAIN}
#define APPEND_FAILED(p, v, from, to) {p, HISTORY_APPEND, "k", v, NULL, NULL, from, to, HISTORY_FAILED, PLAIN}

static inline u32 intern_text(struct history *h, const char *text)
{
    return text ? history_intern(h, str_of(text)) : HISTORY_NULL;
}

static inline void history_of(struct history *h, const struct op *ops, size_t count)
{
    history_init(h);
    for (size_t i = 0; i < count; i++) {
        const struct op *o = &ops[i];
        u32 place = history_open(h, o->process, o->op, intern_text(h, o->key), intern_text(h, o->value),
                                 intern_text(h, o->expect), o->invoked);
        history_set_level(h, place, o->level);
        history_set_session(h, place, intern_text(h, o->session));
        history_set_part(h, place, intern_text(h, o->part));
        if (o->outcome != HISTORY_UNKNOWN)
            history_close(h, place, o->outcome, intern_text(h, o->result), o->returned);
    }
    history_sort(h);
}

/* How many violations does this checker find? All operations are on one key, or of one part. */
static inline u32 violations_of(checker_fn check, const struct op *ops, size_t count)
{
    struct history h;
    struct findings f;
    u32 places[64];

    assert_true(count <= 64);
    history_of(&h, ops, count);
    findings_init(&f);
    for (u32 i = 0; i < h.count; i++) places[i] = i;
    check(&h, places, h.count, &f);
    u32 violations = f.violations;
    findings_done(&f);
    history_done(&h);
    return violations;
}

#define ACCEPTS(check, ...)                                                                        \
    do {                                                                                           \
        const struct op ops_[] = {__VA_ARGS__};                                                    \
        CHECK_EQ(violations_of(check, ops_, ARRAY_LEN(ops_)), 0);                                  \
    } while (0)
#define REJECTS(check, ...)                                                                        \
    do {                                                                                           \
        const struct op ops_[] = {__VA_ARGS__};                                                    \
        CHECK(violations_of(check, ops_, ARRAY_LEN(ops_)) > 0);                                    \
    } while (0)
