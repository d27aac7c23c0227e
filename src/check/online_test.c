#include "check/online.h"

#include "base/mem.h"
#include "base/prng.h"
#include "base/test.h"

#include <stdio.h>

#define MS(n) ((nanos)(n) * NANOS_MS)

static struct online_value value_of(const char *text)
{
    struct online_value v = {.is_null = !text};
    if (text) v.len = (u8)strlen(text);
    if (text) mem_copy(v.text, text, v.len);
    return v;
}

/* One operation from beginning to end; its number is its id. */
static void tell_at(struct online *o, u32 client, u32 op, const char *value, const char *result, nanos from, nanos to,
                    enum history_outcome outcome, struct level level)
{
    static u64 id;
    struct online_begin b = {.source = 1, .id = ++id, .op = op, .key = STR("k"), .client = client, .level = level, .at = from};
    b.value = value_of(value);
    online_begin(o, &b);
    if (to != NANOS_NEVER) online_end(o, 1, id, outcome, value_of(result), to);
}

static void tell(struct online *o, u32 op, const char *value, const char *result, nanos from, nanos to)
{
    tell_at(o, 1, op, value, result, from, to, HISTORY_OK, (struct level){0});
}

static u32 check_at(struct online *o, nanos watermark)
{
    struct findings f;
    str key;

    findings_init(&f);
    u32 violated = online_check(o, watermark, &f, &key);
    findings_done(&f);
    return violated;
}

TEST(online, finds_a_stale_read)
{
    struct online *o = online_new();

    tell(o, HISTORY_SET, "a", NULL, MS(1), MS(2));
    tell(o, HISTORY_SET, "b", NULL, MS(3), MS(4));
    CHECK_EQ(check_at(o, MS(5)), 0);
    tell(o, HISTORY_GET, NULL, "a", MS(6), MS(7));
    CHECK_EQ(check_at(o, MS(6)), 0); /* not everything is told that may have happened by then */
    CHECK_EQ(check_at(o, MS(8)), 1);
    tell(o, HISTORY_GET, NULL, "b", MS(9), MS(10));
    CHECK_EQ(check_at(o, MS(11)), 0); /* the key begins anew */
    online_free(o);
}

TEST(online, waits_for_the_write_that_another_node_tells_later)
{
    struct online *o = online_new();

    tell(o, HISTORY_SET, "a", NULL, MS(1), MS(2));
    tell(o, HISTORY_GET, NULL, "b", MS(6), MS(7));
    CHECK_EQ(check_at(o, MS(4)), 0);
    tell(o, HISTORY_SET, "b", NULL, MS(5), NANOS_NEVER);
    tell(o, HISTORY_GET, NULL, "b", MS(8), MS(9));
    tell(o, HISTORY_GET, NULL, "a", MS(10), MS(11)); /* and it went back */
    CHECK_EQ(check_at(o, MS(12)), 1);
    online_free(o);
}

TEST(online, begins_with_what_it_finds)
{
    struct online *o = online_new();

    tell(o, HISTORY_GET, NULL, "old", MS(1), MS(2));
    tell(o, HISTORY_SET, "new", NULL, MS(3), MS(4));
    tell(o, HISTORY_GET, NULL, "new", MS(5), MS(6));
    CHECK_EQ(check_at(o, MS(7)), 0);
    tell(o, HISTORY_GET, NULL, "old", MS(8), MS(9));
    CHECK_EQ(check_at(o, MS(10)), 1);
    online_free(o);
}

TEST(online, says_nothing_of_values_it_cannot_explain)
{
    struct online *o = online_new();

    tell(o, HISTORY_SET, "a", NULL, MS(1), MS(2));
    tell(o, HISTORY_GET, NULL, "z", MS(3), MS(4));
    CHECK_EQ(check_at(o, MS(5)), 0);
    CHECK_EQ(online_stats(o)->unexplained, 1);
    tell(o, HISTORY_SET, "b", NULL, MS(6), MS(7)); /* goes on behind it */
    tell(o, HISTORY_GET, NULL, "z", MS(8), MS(9));
    CHECK_EQ(check_at(o, MS(10)), 1);
    online_free(o);
}

TEST(online, lets_a_key_with_a_time_to_live_vanish)
{
    struct online *o = online_new();

    tell(o, HISTORY_GET, NULL, "a", MS(1), MS(2)); /* it may have one */
    tell(o, HISTORY_GET, NULL, NULL, MS(3), MS(4));
    CHECK_EQ(check_at(o, MS(5)), 0);
    tell(o, HISTORY_SET, "b", NULL, MS(6), MS(7)); /* now it has none */
    tell(o, HISTORY_GET, NULL, NULL, MS(8), MS(9));
    CHECK_EQ(check_at(o, MS(10)), 1);
    tell(o, HISTORY_SET, "c", NULL, MS(11), MS(12));
    tell(o, ONLINE_OTHER, NULL, NULL, MS(13), MS(14)); /* EXPIRE, say */
    tell(o, HISTORY_GET, NULL, "c", MS(15), MS(16));
    tell(o, HISTORY_GET, NULL, NULL, MS(17), MS(18));
    CHECK_EQ(check_at(o, MS(19)), 0);
    online_free(o);
}

TEST(online, forgets_keys_when_all_are_written)
{
    struct online *o = online_new();
    struct online_begin all = {.source = 2, .id = 77, .op = ONLINE_OTHER, .at = MS(3)};

    tell(o, HISTORY_SET, "a", NULL, MS(1), MS(2));
    CHECK_EQ(check_at(o, MS(2)), 0);
    online_begin(o, &all);
    tell(o, HISTORY_GET, NULL, NULL, MS(4), MS(5));
    CHECK_EQ(check_at(o, MS(6)), 0);
    online_end(o, 2, 77, HISTORY_OK, value_of(NULL), MS(7));
    tell(o, HISTORY_GET, NULL, NULL, MS(8), MS(9));
    CHECK_EQ(check_at(o, MS(10)), 0);
    online_free(o);
}

TEST(online, holds_weak_reads_to_their_level)
{
    static const struct level stale = {LEVEL_STALE, 10}, sequential = {LEVEL_SEQUENTIAL, 0}, local = {LEVEL_LOCAL, 0};
    const struct {
        struct level level;
        u32 client;
        nanos from;
        u32 violated;
    } rows[] = {{stale, 2, MS(13), 0},      {stale, 2, MS(15), 1},      {local, 1, MS(500), 0},
                {sequential, 2, MS(500), 0}, {sequential, 1, MS(500), 1}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct online *o = online_new();
        tell(o, HISTORY_SET, "a", NULL, MS(1), MS(2));
        tell(o, HISTORY_SET, "b", NULL, MS(3), MS(4)); /* client 1's own */
        tell_at(o, rows[i].client, HISTORY_GET, NULL, "a", rows[i].from, rows[i].from + MS(1), HISTORY_OK, rows[i].level);
        CHECK_EQ(check_at(o, MS(600)), rows[i].violated);
        online_free(o);
    }
}

/* ---- a random register that many use at a time, told in pieces ---- */

#define CLIENTS 4
#define STEPS   800
#define PAST    4 /* versions that a broken read is behind */

struct act { /* of a client: what it does now */
    u32 op;
    u64 id;
    struct online_value value, result;
    nanos invoked, effect, returned;
    enum history_outcome outcome;
    bool busy, done, told;
};

struct actor_world {
    struct prng p;
    struct online *o;
    struct act acts[CLIENTS];
    struct online_value now, past[PAST];
    nanos at;
    u64 id;
    u32 values, broken, violated;
    bool breaks, expires;
    nanos dies_at; /* the value's time to live */
};

static struct online_value number_value(u64 n)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)n);
    return value_of(text);
}

static void begin_act(struct actor_world *w, u32 client)
{
    static const u32 ops[] = {HISTORY_GET, HISTORY_GET, HISTORY_GET, HISTORY_GET, HISTORY_GET, HISTORY_SET,
                              HISTORY_SET, HISTORY_SETNX, HISTORY_GETSET, HISTORY_GETDEL, HISTORY_DEL};
    struct act *a = &w->acts[client];

    bool is_other = w->expires && prng_below(&w->p, 40) == 0;

    *a = (struct act){.id = ++w->id, .op = is_other ? ONLINE_OTHER : ops[prng_below(&w->p, ARRAY_LEN(ops))],
                      .invoked = w->at, .busy = true};
    a->effect = w->at + prng_below(&w->p, MS(3));
    a->returned = a->effect + prng_below(&w->p, MS(3));
    a->value = number_value(w->values == 1 ? w->id : prng_below(&w->p, w->values));
    if (a->op == HISTORY_GET || a->op == HISTORY_DEL || a->op == HISTORY_GETDEL) a->value = value_of(NULL);
    a->outcome = is_other || prng_below(&w->p, 50) ? HISTORY_OK : HISTORY_UNKNOWN;
    struct online_begin b = {.source = client % 3, .id = a->id, .op = a->op, .key = STR("k"), .value = a->value,
                             .client = client, .at = a->invoked};
    online_begin(w->o, &b);
}

static void take_effect(struct actor_world *w, struct act *a)
{
    bool exists = !w->now.is_null;
    struct online_value old = w->now;

    a->done = true;
    if (a->outcome == HISTORY_UNKNOWN && prng_below(&w->p, 2)) return;
    a->result = old;
    switch (a->op) {
    case HISTORY_SET:
    case HISTORY_GETSET: w->now = a->value; break;
    case HISTORY_SETNX: a->result = value_of(exists ? "0" : "1"); if (!exists) w->now = a->value; break;
    case HISTORY_DEL: a->result = value_of(exists ? "1" : "0"); w->now = value_of(NULL); break;
    case HISTORY_GETDEL: w->now = value_of(NULL); break;
    case ONLINE_OTHER: w->now = a->value; w->dies_at = w->at + prng_below(&w->p, MS(20)); break; /* SET ... PX */
    default: break;
    }
    if (a->op == HISTORY_SET || a->op == HISTORY_GETSET || (a->op == HISTORY_SETNX && !exists)) w->dies_at = NANOS_NEVER;
    if (memcmp(&old, &w->now, sizeof old) != 0) {
        memmove(&w->past[1], &w->past[0], (PAST - 1) * sizeof w->past[0]);
        w->past[0] = old;
    }
    if (!w->breaks || a->op != HISTORY_GET || prng_below(&w->p, 20)) return;
    w->broken += memcmp(&w->past[PAST - 1], &w->now, sizeof old) != 0;
    a->result = w->past[PAST - 1];
}

static void step_world(struct actor_world *w)
{
    w->at += 1 + prng_below(&w->p, MS(1));
    if (w->at >= w->dies_at) w->now = value_of(NULL);
    for (u32 c = 0; c < CLIENTS; c++) {
        struct act *a = &w->acts[c];
        if (!a->busy && prng_below(&w->p, 4) == 0) begin_act(w, c);
        if (a->busy && !a->done && a->effect <= w->at) take_effect(w, a);
        if (!a->busy || !a->done || a->returned > w->at) continue;
        online_end(w->o, c % 3, a->id, a->outcome, a->result, w->at);
        a->busy = false;
    }
    if (prng_below(&w->p, 10) == 0) w->violated += check_at(w->o, w->at);
}

static u32 run_world(u64 seed, bool breaks, u32 *broken)
{
    struct actor_world *w = mem_zalloc(sizeof *w);

    prng_init(&w->p, seed, 0);
    w->o = online_new();
    w->now = value_of(NULL);
    for (u32 i = 0; i < PAST; i++) w->past[i] = w->now;
    w->dies_at = NANOS_NEVER;
    w->breaks = breaks;
    w->values = seed % 3 == 0 ? 1 : seed % 3 == 1 ? 4 : 20; /* 1: each its own */
    w->expires = seed % 2;
    for (u32 i = 0; i < STEPS; i++) step_world(w);
    u32 violated = w->violated;
    *broken = w->broken;
    online_free(w->o);
    mem_free(w);
    return violated;
}

TEST(online, raises_no_false_alarm)
{
    u32 broken;
    for (u64 seed = 1; seed <= 1500; seed++) CHECK_EQ(run_world(seed, false, &broken), 0);
}

TEST(online, finds_most_broken_registers)
{
    u32 found = 0, all = 0;
    for (u64 seed = 1; seed <= 300; seed++) {
        u32 broken;
        found += run_world(seed, true, &broken) > 0;
        all += broken > 0;
    }
    CHECK(found * 2 > all);
}

TEST_MAIN(RUN(online, finds_a_stale_read), RUN(online, waits_for_the_write_that_another_node_tells_later),
          RUN(online, begins_with_what_it_finds), RUN(online, says_nothing_of_values_it_cannot_explain),
          RUN(online, lets_a_key_with_a_time_to_live_vanish), RUN(online, forgets_keys_when_all_are_written),
          RUN(online, holds_weak_reads_to_their_level), RUN(online, raises_no_false_alarm),
          RUN(online, finds_most_broken_registers))
