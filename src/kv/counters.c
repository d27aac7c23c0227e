/* INCR and its kin. */
#include "kv/kv_internal.h"

#include "base/assert.h"
#include "base/mutant.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define FLOAT_TEXT_MAX (5 * 1024) /* the longest text of an 80-bit float with 17 decimals */

static void add(struct kv_call *c, i64 delta)
{
    struct kv_row row;
    bool found;
    i64 value = 0;
    u8 text[RESP_I64_TEXT];

    if (!kv_find_string(c, 1, &row, &found)) return;
    if (found && !kv_get_i64(c, row.value, &value)) return;
    if (MUTANT(apply_depends_on_the_node) && c->kv->reads % 64 == 63) delta++;
    if (__builtin_add_overflow(value, delta, &value)) {
        resp_error(&c->w, "ERR increment or decrement would overflow");
        return;
    }
    str written = str_from(text, resp_format_i64(value, text));
    kv_put(c, c->db, c->argv[1], found ? &row : NULL, written, HEAD_INTEGER,
           found ? row.head.expire_us : 0);
    resp_integer(&c->w, value);
}

void cmd_incr(struct kv_call *c) { add(c, 1); }

void cmd_decr(struct kv_call *c) { add(c, -1); }

void cmd_incrby(struct kv_call *c)
{
    i64 delta;

    if (kv_get_i64(c, c->argv[2], &delta)) add(c, delta);
}

void cmd_decrby(struct kv_call *c)
{
    i64 delta;

    if (!kv_get_i64(c, c->argv[2], &delta)) return;
    if (delta == INT64_MIN) {
        resp_error(&c->w, "ERR decrement would overflow");
        return;
    }
    add(c, -delta);
}

/* Floats are x87's 80 bits, as in Redis on x86-64, and glibc rounds their texts correctly: all nodes
 * of one architecture agree. Nodes of different ones must not share a group before the leader
 * replicates the result in place of the command (a WRITESET entry). The process stays in the C locale. */
static bool get_float(struct kv_call *c, str text, long double *out)
{
    char copy[FLOAT_TEXT_MAX];
    char *end;

    if (text.len > 0 && text.len < sizeof copy) {
        memcpy(copy, text.at, text.len);
        copy[text.len] = 0;
        errno = 0;
        long double v = strtold(copy, &end);
        bool leading_space = copy[0] == ' ' || (copy[0] >= '\t' && copy[0] <= '\r');
        /* Only what a double could not hold either is out of range, and what vanished. */
        bool range = errno == ERANGE && (isinf((double)v) || fpclassify(v) == FP_ZERO);
        if (!leading_space && (size_t)(end - copy) == text.len && !range && !isnan(v)) {
            *out = v;
            return true;
        }
    }
    resp_error(&c->w, "ERR value is not a valid float");
    return false;
}

/* Seventeen decimals without trailing zeros. Returns the length. */
static size_t format_float(long double v, char out[FLOAT_TEXT_MAX])
{
    int len = snprintf(out, FLOAT_TEXT_MAX, "%.17Lf", v);

    assert(len > 0 && len < FLOAT_TEXT_MAX);
    if (memchr(out, '.', (size_t)len)) {
        while (out[len - 1] == '0') len--;
        if (out[len - 1] == '.') len--;
    }
    if (len == 2 && out[0] == '-' && out[1] == '0') {
        out[0] = '0';
        len = 1;
    }
    return (size_t)len;
}

void cmd_incrbyfloat(struct kv_call *c)
{
    struct kv_row row;
    bool found;
    long double value = 0, delta;
    char text[FLOAT_TEXT_MAX];

    if (!kv_find_string(c, 1, &row, &found)) return;
    if (found && !get_float(c, row.value, &value)) return;
    if (!get_float(c, c->argv[2], &delta)) return;
    value += delta;
    if (isnan(value) || isinf(value)) {
        resp_error(&c->w, "ERR increment would produce NaN or Infinity");
        return;
    }
    str written = str_from(text, format_float(value, text));
    kv_put(c, c->db, c->argv[1], found ? &row : NULL, written, 0, found ? row.head.expire_us : 0);
    resp_bulk(&c->w, written);
}
