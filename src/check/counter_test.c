#include "check/fixture.h"

#include "base/prng.h"

#include <stdio.h>
#include <stdlib.h>

TEST(counter, accepts_sums_in_order)
{
    ACCEPTS(check_counter, INCR(1, "1", 0, 5), INCR(2, "2", 1, 6), GET(3, "2", 7, 8), INCR(1, "3", 9, 10));
    ACCEPTS(check_counter, INCR(1, "2", 0, 5), INCR(2, "1", 1, 6), GET(3, NULL, 0, 1));
}

TEST(counter, rejects_an_increment_executed_twice)
{
    REJECTS(check_counter, INCR(1, "1", 0, 1), INCR(1, "3", 2, 3));
}

TEST(counter, lets_unknown_increments_fill_gaps_but_not_from_the_future)
{
    ACCEPTS(check_counter, INCR(1, "1", 0, 1), INCR(2, NULL, 1, OPEN), INCR(1, "3", 2, 3));
    ACCEPTS(check_counter, INCR(1, "1", 0, 1), INCR(2, NULL, 1, OPEN), INCR(1, "2", 2, 3));
    REJECTS(check_counter, INCR(1, "1", 0, 1), INCR(1, "3", 2, 3), INCR(2, NULL, 4, OPEN));
    REJECTS(check_counter, INCR(1, "1", 0, 1), INCR(2, NULL, 1, OPEN), INCR(1, "4", 2, 3));
}

TEST(counter, rejects_a_lost_increment)
{
    REJECTS(check_counter, INCR(1, "1", 0, 1), INCR(2, "1", 2, 3));
    REJECTS(check_counter, INCR(1, "1", 0, 1), GET(2, "0", 2, 3));
    REJECTS(check_counter, INCR(1, "1", 0, 1), INCR(1, "2", 2, 3), GET(2, "1", 4, 5));
}

TEST(counter, rejects_an_order_against_real_time)
{
    REJECTS(check_counter, INCR(1, "2", 0, 1), INCR(2, "1", 2, 3));
}

TEST(append, accepts_texts_in_the_order_of_their_answers)
{
    ACCEPTS(check_append, APPEND(1, "ab", "2", 0, 5), APPEND(2, "cd", "4", 1, 6), GET(3, "abcd", 7, 8));
    ACCEPTS(check_append, APPEND(1, "ab", "2", 0, 5), APPEND(2, "xy", NULL, 1, OPEN), APPEND(1, "cd", "6", 6, 7),
            GET(3, "abxycd", 8, 9));
}

TEST(append, rejects_lost_doubled_moved_and_failed_texts)
{
    REJECTS(check_append, APPEND(1, "ab", "2", 0, 5), GET(3, NULL, 7, 8));
    REJECTS(check_append, APPEND(1, "ab", "2", 0, 5), GET(3, "abab", 7, 8));
    REJECTS(check_append, APPEND(1, "ab", "2", 0, 5), APPEND(1, "cd", "4", 6, 7), GET(3, "cdab", 8, 9));
    REJECTS(check_append, APPEND(1, "ab", "2", 0, 5), APPEND_FAILED(1, "cd", 6, 7), GET(3, "abcd", 8, 9));
    REJECTS(check_append, APPEND(1, "ab", "2", 0, 5), APPEND(2, "cd", "2", 0, 5));
    REJECTS(check_append, APPEND(1, "ab", NULL, 0, OPEN), GET(3, "abab", 7, 8));
}

TEST(append, rejects_reads_that_disagree)
{
    REJECTS(check_append, APPEND(1, "a", NULL, 0, OPEN), APPEND(2, "b", NULL, 0, OPEN), GET(3, "a", 7, 8),
            GET(3, "ba", 9, 10));
}

/* ---- the naive model of a growing text: each piece is looked for among all appends ---- */

#define APPENDS 8

/* Appends first, in the order of invocation and of answers, then the read of the whole. */
static const struct op *next_answered(const struct op *ops, const bool *used)
{
    for (u32 i = 0; i < APPENDS; i++)
        if (ops[i].outcome == HISTORY_OK && !used[i]) return &ops[i];
    return NULL;
}

static const struct op *first_loose(const struct op *ops, const bool *used, const char *rest)
{
    for (u32 i = 0; i < APPENDS; i++)
        if (ops[i].outcome != HISTORY_OK && !used[i] && strncmp(rest, ops[i].value, strlen(ops[i].value)) == 0)
            return &ops[i];
    return NULL;
}

static bool model_accepts(const struct op *ops)
{
    const char *whole = ops[APPENDS].result;
    bool used[APPENDS] = {false};

    for (size_t at = 0; whole[at];) {
        const struct op *piece = next_answered(ops, used);
        if (piece) {
            size_t bytes = strlen(piece->value), start = (size_t)atoi(piece->result) - bytes;
            if (start < at || strncmp(whole + start, piece->value, bytes) != 0) return false;
            if (start > at) piece = NULL;
        }
        if (!piece) piece = first_loose(ops, used, whole + at);
        if (!piece || piece->outcome == HISTORY_FAILED) return false;
        used[piece - ops] = true;
        at += strlen(piece->value);
    }
    return true;
}

/* Some are done, some open and some failed; an open one may be there, a failed one may not. */
static struct op random_append(struct prng *p, u32 i, char *whole, size_t whole_size, char answer[8])
{
    static const char *const texts[] = {"a", "b", "ab", "ba", "aab", "abab", "b", "a", "bb", "aa"};
    const char *text = texts[prng_below(p, ARRAY_LEN(texts))];
    u64 kind = prng_below(p, 16);
    size_t bytes = strlen(whole);

    if (kind < 13 || prng_below(p, 8) == 0) bytes += (size_t)snprintf(whole + bytes, whole_size - bytes, "%s", text);
    snprintf(answer, 8, "%zu", bytes);
    if (kind < 6) return (struct op)APPEND(i, text, answer, i, 100);
    if (kind < 15) return (struct op)APPEND(i, text, NULL, i, OPEN);
    return (struct op)APPEND_FAILED(i, text, i, 100);
}

/* Texts are short, some are equal and some begin others, so that a choice between writers is often there. */
TEST(append, agrees_with_the_naive_model_on_random_texts)
{
    struct prng p;
    u32 rejected = 0;

    prng_init(&p, 7, 0);
    for (u32 round = 0; round < 20000; round++) {
        struct op ops[APPENDS + 1];
        char whole[64] = "", answers[APPENDS][8];
        for (u32 i = 0; i < APPENDS; i++) ops[i] = random_append(&p, i, whole, sizeof whole, answers[i]);
        size_t bytes = strlen(whole);
        if (bytes > 0 && prng_below(&p, 4) == 0) whole[prng_below(&p, bytes)] = prng_below(&p, 2) ? 'a' : 'b';
        ops[APPENDS] = (struct op)GET(99, whole, 200, 201);
        bool bad = violations_of(check_append, ops, APPENDS + 1) > 0;
        CHECK_EQ(bad, !model_accepts(ops));
        rejected += bad;
    }
    CHECK(rejected > 1000);
    CHECK(rejected < 19000);
}

TEST_MAIN(RUN(counter, accepts_sums_in_order), RUN(counter, rejects_an_increment_executed_twice),
          RUN(counter, lets_unknown_increments_fill_gaps_but_not_from_the_future),
          RUN(counter, rejects_a_lost_increment), RUN(counter, rejects_an_order_against_real_time),
          RUN(append, accepts_texts_in_the_order_of_their_answers),
          RUN(append, rejects_lost_doubled_moved_and_failed_texts), RUN(append, rejects_reads_that_disagree),
          RUN(append, agrees_with_the_naive_model_on_random_texts))
