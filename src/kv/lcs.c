/* LCS: the longest common subsequence of two strings, by the classic table (Wagner and Fischer 1974),
 * walked back from its end. Where the table ties, the step goes towards a shorter b, as in Redis, so
 * that the same subsequence of several is found. */
#include "kv/kv_internal.h"

#include "base/assert.h"

#define STEP_CELLS 32 /* filling so many cells of the table takes about one step */

struct lcs_options {
    bool len, idx, with_match_len;
    i64 min_match_len;
};

struct lcs {
    str a, b;
    u32 *table; /* [(b.len + 1) * i + j]: length for the first i of a and j of b */
    u8 *common; /* the subsequence */
};

static bool get_lcs_options(struct kv_call *c, struct lcs_options *o)
{
    *o = (struct lcs_options){0};
    for (u32 i = 3; i < c->argc; i++) {
        if (str_is_word(c->argv[i], "idx"))
            o->idx = true;
        else if (str_is_word(c->argv[i], "len"))
            o->len = true;
        else if (str_is_word(c->argv[i], "withmatchlen"))
            o->with_match_len = true;
        else if (str_is_word(c->argv[i], "minmatchlen") && i + 1 < c->argc) {
            if (!kv_get_i64(c, c->argv[++i], &o->min_match_len)) return false;
        } else {
            kv_reply_syntax_error(c);
            return false;
        }
    }
    if (o->idx && o->len) {
        resp_error(&c->w, "ERR If you want both the length and indexes, please just use IDX.");
        return false;
    }
    return true;
}

static u32 *cell(const struct lcs *l, size_t i, size_t j) { return &l->table[(l->b.len + 1) * i + j]; }

static void fill_table(struct lcs *l)
{
    for (size_t i = 1; i <= l->a.len; i++) {
        const u32 *above = cell(l, i - 1, 0);
        u32 *row = cell(l, i, 0);
        for (size_t j = 1; j <= l->b.len; j++) {
            if (l->a.at[i - 1] == l->b.at[j - 1])
                row[j] = above[j - 1] + 1;
            else
                row[j] = above[j] > row[j - 1] ? above[j] : row[j - 1];
        }
    }
}

/* One run of bytes at a[a_from..], b[b_from..] that belongs to the subsequence. */
static void write_match(struct resp_writer *w, const struct lcs_options *o, size_t a_from,
                        size_t b_from, size_t len)
{
    resp_array(w, o->with_match_len ? 3 : 2);
    resp_array(w, 2);
    resp_integer(w, (i64)a_from);
    resp_integer(w, (i64)(a_from + len - 1));
    resp_array(w, 2);
    resp_integer(w, (i64)b_from);
    resp_integer(w, (i64)(b_from + len - 1));
    if (o->with_match_len) resp_integer(w, (i64)len);
}

/* Walk the table back, filling l->common; runs go to `matches`, last one first. Returns their count. */
static u32 walk_back(struct lcs *l, const struct lcs_options *o, struct resp_writer *matches)
{
    size_t i = l->a.len, j = l->b.len, run = 0;
    size_t left = *cell(l, i, j);
    u32 count = 0;

    for (;;) {
        bool matched = i > 0 && j > 0 && l->a.at[i - 1] == l->b.at[j - 1];
        if (matched) {
            l->common[--left] = l->a.at[i - 1];
            i--;
            j--;
            run++;
            continue;
        }
        if (run && (o->min_match_len <= 0 || run >= (u64)o->min_match_len)) {
            write_match(matches, o, i, j, run);
            count++;
        }
        run = 0;
        if (i == 0 || j == 0) break;
        if (*cell(l, i - 1, j) > *cell(l, i, j - 1))
            i--;
        else
            j--;
    }
    assert(left == 0);
    return count;
}

static void reply_lcs(struct kv_call *c, struct lcs *l, const struct lcs_options *o)
{
    u32 length = *cell(l, l->a.len, l->b.len);

    if (o->len) {
        resp_integer(&c->w, length);
        return;
    }
    struct resp_writer matches = {&c->kv->items, c->w.proto};
    buf_clear(matches.out);
    l->common = mem_alloc((size_t)length + 1);
    u32 count = walk_back(l, o, &matches);
    if (o->idx) {
        resp_map(&c->w, 2);
        resp_bulk_text(&c->w, "matches");
        resp_array(&c->w, count);
        buf_append_str(c->w.out, buf_str(matches.out));
        resp_bulk_text(&c->w, "len");
        resp_integer(&c->w, length);
    } else {
        resp_bulk(&c->w, str_from(l->common, length));
    }
    mem_free(l->common);
}

void cmd_lcs(struct kv_call *c)
{
    struct kv_row a, b;
    struct lcs_options o;

    bool has_a = kv_find(c, c->db, c->argv[1], &a);
    if (has_a) kv_keep_value(c, &a);
    bool has_b = kv_find(c, c->db, c->argv[2], &b);
    if ((has_a && a.head.type != HEAD_TYPE_STRING) || (has_b && b.head.type != HEAD_TYPE_STRING)) {
        resp_error(&c->w, "ERR The specified keys must contain string values");
        return;
    }
    if (!get_lcs_options(c, &o)) return;

    struct lcs l = {.a = has_a ? a.value : STR(""), .b = has_b ? b.value : STR("")};
    u64 cells;
    if (__builtin_mul_overflow((u64)l.a.len + 1, (u64)l.b.len + 1, &cells) ||
        cells > c->kv->options.value_bytes_max / sizeof *l.table) {
        resp_error(&c->w,
                   "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
        return;
    }
    if (!kv_charge(c, cells / STEP_CELLS)) return;
    l.table = mem_zalloc_array(cells, sizeof *l.table);
    fill_table(&l);
    reply_lcs(c, &l, &o);
    mem_free(l.table);
}
