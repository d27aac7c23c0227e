#include "check/fixture.h"

#include "base/mem.h"
#include "base/prng.h"

#include <stdio.h>

#define MS(n) ((n) * NANOS_MS)

TEST(local, takes_any_value_that_was_written)
{
    ACCEPTS(check_local, SET(1, "a", 0, 1), SET(1, "b", 2, 3), GET_AT(2, "k", "a", 90, 91, LEVEL_LOCAL, 0),
            GET_AT(2, "k", NULL, 92, 93, LEVEL_LOCAL, 0), GET_AT(2, "k", "b", 94, 95, LEVEL_LOCAL, 0),
            GET_AT(2, "k", "a", 96, 97, LEVEL_LOCAL, 0));
    ACCEPTS(check_local, SET(1, "a", 0, OPEN), GET_AT(2, "k", "a", 5, 6, LEVEL_LOCAL, 0));
}

TEST(local, rejects_what_was_never_written)
{
    REJECTS(check_local, SET(1, "a", 0, 1), GET_AT(2, "k", "z", 5, 6, LEVEL_LOCAL, 0));
    REJECTS(check_local, SET_FAILED(1, "a", 0, 1), GET_AT(2, "k", "a", 5, 6, LEVEL_LOCAL, 0));
    REJECTS(check_local, SET(1, "a", 7, 8), GET_AT(2, "k", "a", 5, 6, LEVEL_LOCAL, 0));
}

TEST(local, says_nothing_of_keys_whose_values_are_hidden)
{
    ACCEPTS(check_local, INCR(1, NULL, 0, OPEN), GET_AT(2, "k", "1", 5, 6, LEVEL_LOCAL, 0));
    ACCEPTS(check_local, APPEND(1, "x", "1", 0, 1), GET_AT(2, "k", "x", 5, 6, LEVEL_LOCAL, 0));
    REJECTS(check_local, INCR(1, "1", 0, 1), GET_AT(2, "k", "2", 5, 6, LEVEL_LOCAL, 0));
}

TEST(stale, takes_what_was_current_within_its_bound)
{
    ACCEPTS(check_stale, SET(1, "a", 0, 1), SET(1, "b", MS(10), MS(12)),
            GET_AT(2, "k", "a", MS(22), MS(23), LEVEL_STALE, 10));
    ACCEPTS(check_stale, SET(1, "a", 0, MS(11)), SET(2, "b", MS(10), MS(12)), /* either may have come first */
            GET_AT(2, "k", "a", MS(90), MS(91), LEVEL_STALE, 10));
    ACCEPTS(check_stale, SET(1, "a", 0, 1), SET(1, "b", MS(10), OPEN),
            GET_AT(2, "k", "a", MS(90), MS(91), LEVEL_STALE, 10));
    ACCEPTS(check_stale, SET(1, "a", 0, 1), DEL(1, "0", 5, 6), GET_AT(2, "k", "a", MS(90), MS(91), LEVEL_STALE, 10));
}

TEST(stale, rejects_what_was_over_before_its_bound)
{
    REJECTS(check_stale, SET(1, "a", 0, 1), SET(1, "b", MS(10), MS(12)),
            GET_AT(2, "k", "a", MS(23), MS(24), LEVEL_STALE, 10));
    REJECTS(check_stale, SET(1, "a", 0, 1), GET_AT(2, "k", NULL, MS(12), MS(13), LEVEL_STALE, 10));
    REJECTS(check_stale, SET(1, "a", 0, 1), SET(1, "b", MS(10), OPEN), GET(3, "b", MS(11), MS(12)), /* it happened */
            GET_AT(2, "k", "a", MS(23), MS(24), LEVEL_STALE, 10));
    REJECTS(check_stale, SET(1, "a", 0, 1), DEL(1, "1", 5, 6), GET_AT(2, "k", "a", MS(90), MS(91), LEVEL_STALE, 10));
}

TEST(stale, takes_the_slack_it_is_given)
{
    const struct op ops[] = {SET(1, "a", 0, 1), SET(1, "b", MS(10), MS(12)),
                             GET_AT(2, "k", "a", MS(25), MS(26), LEVEL_STALE, 10)};
    for (nanos slack = MS(2); slack <= MS(3); slack += MS(1)) {
        struct history h;
        struct findings f;
        history_of(&h, ops, ARRAY_LEN(ops));
        findings_init(&f);
        f.slack = slack;
        check_history(&h, &f);
        CHECK_EQ(f.violations, slack < MS(3));
        findings_done(&f);
        history_done(&h);
    }
}

TEST(sessions, follow_one_session_over_processes)
{
    ACCEPTS(check_session, SET_OF("s", "k", "a", 0, 1), SET_OF("s", "k", "b", 2, 3), GET_OF("t", "k", "a", 4, 5),
            GET_OF("s", "k", "b", 6, 7));
    REJECTS(check_session, SET_OF("s", "k", "a", 0, 1), SET_OF("s", "k", "b", 2, 3), GET_OF("s", "k", "a", 4, 5));
    REJECTS(check_session, SET_OF("w", "k", "a", 0, 1), SET_OF("w", "k", "b", 2, 3), GET_OF("s", "k", "b", 4, 5),
            GET_OF("s", "k", "a", 6, 7));
    REJECTS(check_session, SET_OF("w", "k", "a", 0, 1), GET_OF("s", "k", "a", 4, 5), GET_OF("s", "k", NULL, 6, 7));
}

TEST(sessions, learn_nothing_from_reads_that_promise_less)
{
    ACCEPTS(check_session, SET(1, "a", 0, 1), SET(1, "b", 2, 3), GET_AT(2, "k", "b", 4, 5, LEVEL_LOCAL, 0),
            GET_AT(2, "k", "a", 6, 7, LEVEL_STALE, 100), GET_AT(2, "k", "a", 8, 9, LEVEL_SEQUENTIAL, 0));
}

TEST(sequential, takes_old_prefixes_of_one_order)
{
    ACCEPTS(check_sequential, SET_OF("w", "x", "1", 0, 1), SET_OF("w", "y", "1", 2, 3), GET_OF("a", "y", NULL, 8, 9),
            GET_OF("a", "x", "1", 10, 11), GET_OF("a", "y", NULL, 12, 13), GET_OF("a", "y", "1", 14, 15));
    ACCEPTS(check_sequential, SET_OF("w", "x", "1", 0, 9), SET_OF("v", "y", "1", 0, 9), /* both saw y first */
            GET_OF("a", "y", "1", 10, 11), GET_OF("a", "x", NULL, 12, 13), GET_OF("b", "y", "1", 14, 15),
            GET_OF("b", "x", NULL, 16, 17));
}

TEST(sequential, rejects_a_session_that_goes_back_over_keys)
{
    REJECTS(check_sequential, SET_OF("w", "x", "1", 0, 1), SET_OF("w", "y", "1", 2, 3), GET_OF("a", "y", "1", 8, 9),
            GET_OF("a", "x", NULL, 10, 11));
    REJECTS(check_sequential, SET_OF("w", "x", "1", 0, 1), SET_OF("a", "y", "1", 2, 3), /* its own write of y */
            GET_OF("a", "x", NULL, 10, 11));
}

TEST(sequential, rejects_orders_that_contradict_each_other)
{
    /* One key: a saw 1 then 2, b saw 2 then 1. */
    REJECTS(check_sequential, SET_OF("v", "x", "1", 0, 9), SET_OF("w", "x", "2", 0, 9), GET_OF("a", "x", "1", 10, 11),
            GET_OF("a", "x", "2", 12, 13), GET_OF("b", "x", "2", 10, 11), GET_OF("b", "x", "1", 12, 13));
    /* Two keys, independent reads of independent writes. */
    REJECTS(check_sequential, SET_OF("v", "x", "1", 0, 9), SET_OF("w", "y", "1", 0, 9), GET_OF("a", "x", "1", 10, 11),
            GET_OF("a", "y", NULL, 12, 13), GET_OF("b", "y", "1", 10, 11), GET_OF("b", "x", NULL, 12, 13));
    /* A linearizable read fixed the order of two writes that overlapped. */
    REJECTS(check_sequential, SET_OF("v", "x", "1", 0, 9), SET_OF("w", "x", "2", 0, OPEN), GET(7, "1", 10, 11),
            {7, HISTORY_GET, "x", NULL, NULL, "1", 20, 21, HISTORY_OK, {0}, NULL, "p"},
            {7, HISTORY_GET, "x", NULL, NULL, "2", 22, 23, HISTORY_OK, {0}, NULL, "p"}, GET_OF("b", "x", "2", 24, 25),
            GET_OF("b", "x", "1", 26, 27));
}

TEST(levels, counts_what_was_checked_at_each)
{
    const struct op ops[] = {SET(1, "a", 0, 1), GET(1, "a", 2, 3), GET_AT(2, "k", NULL, 4, 5, LEVEL_LOCAL, 0),
                             GET_AT(3, "k", NULL, 4, 5, LEVEL_SEQUENTIAL, 0),
                             GET_AT(4, "k", "a", 4, 5, LEVEL_QUORUM, 0)};
    struct history h;
    struct findings f;
    struct buf out = {0};

    history_of(&h, ops, ARRAY_LEN(ops));
    findings_init(&f);
    check_history(&h, &f);
    findings_summary(&f, &out);
    CHECK(str_equal(buf_str(&out),
                    STR("linearizable: 3 operations, sequential: 1 operations, local: 1 operations, 0 violations\n")));
    buf_done(&out);
    findings_done(&f);
    history_done(&h);
}

/* ---- a small replicated log, with replicas that lag, and sessions that read from any of them ---- */

enum fault { NONE, OLDER_PREFIX, TOO_STALE, OWN_WRITE_MISSED, DIRTY_READ, FAULTS };

#define KEYS 4
#define REPLICAS 3
#define SESSIONS 5
#define LOG_MAX 400
#define STALE_MS 20

struct tiny {
    struct prng p;
    struct history h;
    enum fault fault;
    struct {
        u32 key, value;
        nanos at;
    } log[LOG_MAX];
    u32 log_count, applied[REPLICAS], token[SESSIONS], keys[KEYS];
    nanos now, free_at[SESSIONS]; /* a session does one thing after another; sessions overlap */
    u32 faults;
};

/* The value of the key in the prefix of this length. */
static u32 value_in(const struct tiny *t, u32 prefix, u32 key)
{
    while (prefix-- > 0)
        if (t->log[prefix].key == key) return t->log[prefix].value;
    return HISTORY_NULL;
}

static u32 open_op(struct tiny *t, u32 who, enum history_op op, u32 key, u32 value, struct level level)
{
    nanos at = t->now - prng_below(&t->p, t->now - t->free_at[who]);
    u32 place = history_open(&t->h, who * 10 + (u32)prng_below(&t->p, 3), op, key, value, HISTORY_NULL, at);

    history_set_level(&t->h, place, level);
    history_set_session(&t->h, place, history_intern(&t->h, str_from(&"abcde"[who], 1)));
    history_set_part(&t->h, place, history_intern(&t->h, STR("p")));
    return place;
}

/* It took effect now; its answer arrives later. */
static void close_op(struct tiny *t, u32 who, u32 place, u32 result)
{
    t->free_at[who] = t->now + prng_below(&t->p, MS(4));
    history_close(&t->h, place, HISTORY_OK, result, t->free_at[who]);
}

static void write_once(struct tiny *t, u32 who)
{
    char text[16];
    u32 key = t->keys[prng_below(&t->p, KEYS)];

    snprintf(text, sizeof text, "v%u", t->log_count);
    u32 place = open_op(t, who, HISTORY_SET, key, history_intern(&t->h, str_of(text)), (struct level){0});
    t->log[t->log_count].key = key;
    t->log[t->log_count].value = t->h.items[place].value;
    t->log[t->log_count++].at = t->now;
    if (prng_below(&t->p, 8) == 0) return; /* unknown to its client */
    t->token[who] = t->log_count;
    close_op(t, who, place, HISTORY_NULL);
}

/* The prefix that was current MS before now. */
static u32 prefix_at(const struct tiny *t, nanos at)
{
    u32 prefix = t->log_count;
    while (prefix > 0 && t->log[prefix - 1].at > at) prefix--;
    return prefix;
}

/* How much of the log the read sees, by its level; a broken replica answers with less. */
static u32 prefix_for(struct tiny *t, u32 who, struct level level, u32 key)
{
    u32 prefix = t->applied[prng_below(&t->p, REPLICAS)], low = 0;
    nanos bound = level.ms * NANOS_MS;

    if (level_is_linearizable(level)) return t->log_count;
    if (level.kind == LEVEL_STALE) low = t->now > bound ? prefix_at(t, t->now - bound) : 0;
    if (level_has_memory(level)) low = t->token[who];
    if (prefix < low) prefix = low;
    bool breaks = (t->fault == TOO_STALE && level.kind == LEVEL_STALE) ||
                  ((t->fault == OLDER_PREFIX || t->fault == OWN_WRITE_MISSED) && level_has_memory(level));
    if (!breaks || low == 0 || prng_below(&t->p, 3)) return prefix;
    if (t->fault == OWN_WRITE_MISSED) low = t->token[who] - 1;
    else low = (u32)prng_below(&t->p, low);
    t->faults += value_in(t, low, key) != value_in(t, prefix, key);
    return low;
}

static void read_once(struct tiny *t, u32 who)
{
    static const struct level levels[] = {{LEVEL_LEASE, 0},      {LEVEL_STALE, STALE_MS}, {LEVEL_SEQUENTIAL, 0},
                                          {LEVEL_SESSION, 0},    {LEVEL_LOCAL, 0},        {LEVEL_SEQUENTIAL, 0},
                                          {LEVEL_FOLLOWER, 0}};
    struct level level = levels[prng_below(&t->p, ARRAY_LEN(levels))];
    u32 key = t->keys[prng_below(&t->p, KEYS)];
    u32 place = open_op(t, who, HISTORY_GET, key, HISTORY_NULL, level);

    u32 prefix = prefix_for(t, who, level, key), value = value_in(t, prefix, key);
    if (level_has_memory(level) || level_is_linearizable(level))
        t->token[who] = prefix > t->token[who] ? prefix : t->token[who];
    if (t->fault == DIRTY_READ && level.kind == LEVEL_LOCAL && prng_below(&t->p, 3) == 0) {
        value = history_intern(&t->h, STR("never"));
        t->faults++;
    }
    close_op(t, who, place, value);
}

/* Violations that the checkers find in one random history. */
static u32 run_tiny(u64 seed, enum fault fault, u32 *faults)
{
    static const char *const names[KEYS] = {"k1", "k2", "k3", "k4"};
    struct tiny *t = mem_zalloc(sizeof *t);
    struct findings f;

    prng_init(&t->p, seed, 0);
    history_init(&t->h);
    t->fault = fault;
    for (u32 k = 0; k < KEYS; k++) t->keys[k] = history_intern(&t->h, str_of(names[k]));
    for (u32 i = 0; i < LOG_MAX; i++) {
        u32 who = (u32)prng_below(&t->p, SESSIONS), replica = (u32)prng_below(&t->p, REPLICAS);
        if (prng_below(&t->p, 3) == 0)
            t->applied[replica] += (u32)prng_below(&t->p, t->log_count - t->applied[replica] + 1);
        t->now += 1 + prng_below(&t->p, MS(1));
        if (t->free_at[who] >= t->now) continue;
        if (prng_below(&t->p, 3) == 0)
            write_once(t, who);
        else
            read_once(t, who);
    }
    findings_init(&f);
    history_sort(&t->h);
    check_history(&t->h, &f);
    u32 violations = f.violations;
    if (violations && fault == NONE) fprintf(stderr, "%.*s", STR_ARG(buf_str(&f.text)));
    *faults += t->faults;
    findings_done(&f);
    history_done(&t->h);
    mem_free(t);
    return violations;
}

TEST(levels, accept_what_lagging_replicas_may_answer)
{
    u32 faults = 0;
    for (u64 seed = 1; seed <= 400; seed++) CHECK_EQ(run_tiny(seed, NONE, &faults), 0);
    CHECK_EQ(faults, 0);
}

TEST(levels, find_what_broken_replicas_answer)
{
    for (enum fault fault = OLDER_PREFIX; fault < FAULTS; fault++) {
        u32 found = 0, broken = 0;
        for (u64 seed = 1; seed <= 100; seed++) {
            u32 faults = 0;
            u32 violations = run_tiny(seed, fault, &faults);
            broken += faults > 0;
            found += violations > 0;
            CHECK(violations == 0 || faults > 0);
        }
        CHECK(broken > 90);
        CHECK(found * 10 > broken * 9);
    }
}

TEST_MAIN(RUN(local, takes_any_value_that_was_written), RUN(local, rejects_what_was_never_written),
          RUN(local, says_nothing_of_keys_whose_values_are_hidden), RUN(stale, takes_what_was_current_within_its_bound),
          RUN(stale, rejects_what_was_over_before_its_bound), RUN(stale, takes_the_slack_it_is_given),
          RUN(sessions, follow_one_session_over_processes), RUN(sessions, learn_nothing_from_reads_that_promise_less),
          RUN(sequential, takes_old_prefixes_of_one_order),
          RUN(sequential, rejects_a_session_that_goes_back_over_keys),
          RUN(sequential, rejects_orders_that_contradict_each_other), RUN(levels, counts_what_was_checked_at_each),
          RUN(levels, accept_what_lagging_replicas_may_answer), RUN(levels, find_what_broken_replicas_answer))
