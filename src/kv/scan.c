/* Walks: SCAN, KEYS, and the count. A cursor is a position in the keyspace's order, not in a table of
 * this node (docs/formats/keys.md). */
#include "kv/kv_internal.h"

struct walk {
    struct kv_call *call;
    str pattern;          /* "*": no look at the key */
    bool typed, any_type; /* TYPE was given, and is one that rows have */
    bool refused;         /* out of steps; an error is replied */
    struct resp_writer items;
    size_t count, pairs;
};

static bool visit_key(void *context, str key, str value)
{
    struct walk *k = context;
    struct kv_row row;

    if (k->refused) return false;
    k->refused = !kv_charge(k->call, 1);
    if (k->refused) return false;
    if (!str_equal(k->pattern, STR("*")) && !glob_match(k->pattern, key)) return true;
    if (k->typed && !k->any_type) return true;
    if (!head_decode(value, &row)) {
        k->call->failed = ERR_CORRUPT;
        return false;
    }
    if (!kv_row_is_live(k->call, &row.head)) return true;
    resp_bulk(&k->items, key);
    k->count++;
    return true;
}

static void walk(struct walk *k, u64 cursor, u64 count, u64 *next)
{
    struct kv_call *c = k->call;

    *next = 0;
    if (c->failed) return;
    err e = kv_scan_db(c->kv, c->db, cursor, count, visit_key, k, next);
    if (e) c->failed = e;
}

static void reply_items(struct walk *k)
{
    resp_array(&k->call->w, k->count);
    buf_append_str(k->call->w.out, buf_str(k->items.out));
}

/* An optional sign, then digits; a negative number counts from 2^64. */
bool kv_scan_cursor(str arg, u64 *out)
{
    size_t i = arg.len && (arg.at[0] == '-' || arg.at[0] == '+');
    u64 value = 0;

    if (i && i == arg.len) return false;
    for (size_t at = i; at < arg.len; at++) {
        u64 digit = (u64)arg.at[at] - '0';
        if (digit > 9 || __builtin_mul_overflow(value, (u64)10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *out = i && arg.at[0] == '-' ? 0 - value : value;
    return true;
}

static bool get_cursor(struct kv_call *c, str arg, u64 *out)
{
    bool good = kv_scan_cursor(arg, out);

    if (!good) resp_error(&c->w, "ERR invalid cursor");
    return good;
}

static bool get_scan_options(struct kv_call *c, struct walk *k, i64 *count)
{
    *count = 10;
    for (u32 i = 2; i < c->argc; i += 2) {
        str option = c->argv[i];
        if (i + 1 < c->argc && str_is_word(option, "count")) {
            if (!kv_get_i64(c, c->argv[i + 1], count)) return false;
            if (*count >= 1) continue;
        } else if (i + 1 < c->argc && str_is_word(option, "match")) {
            k->pattern = c->argv[i + 1];
            continue;
        } else if (i + 1 < c->argc && str_is_word(option, "type")) {
            k->typed = true;
            k->any_type = str_is_word(c->argv[i + 1], "string");
            continue;
        }
        kv_reply_syntax_error(c);
        return false;
    }
    return true;
}

void cmd_scan(struct kv_call *c)
{
    struct walk k = {.call = c, .pattern = STR("*")};
    u64 cursor, next, rows_max = c->kv->options.walk_rows_max;
    i64 count;
    char text[24];

    k.items = (struct resp_writer){&c->kv->items, c->w.proto};
    buf_clear(k.items.out);

    if (!get_cursor(c, c->argv[1], &cursor) || !get_scan_options(c, &k, &count)) return;
    if (rows_max && (u64)count > rows_max) count = (i64)rows_max; /* a hint, says Redis */
    walk(&k, cursor, (u64)count, &next);
    if (k.refused) return;
    const struct kv_db *d = &c->kv->dbs[c->db];
    if (!next && d->pieces && d->label_end < KV_LABELS) next = d->label_end; /* the right neighbour's */
    u32 len = 0;
    do {
        text[sizeof text - ++len] = (char)('0' + next % 10);
        next /= 10;
    } while (next);
    resp_array(&c->w, 2);
    resp_bulk(&c->w, str_from(text + sizeof text - len, len));
    reply_items(&k);
}

/* Q.SCAN from to [COUNT n]: keys and values of [from, to) in the order of the keys, empty `to` without end. The answer's first
 * element is the key to go on at, or nil. A partition answers for its own range; where that ends before `to`, its end is
 * the key to go on at. */
#define RANGE_COUNT 100
#define RANGE_BYTES MIB /* a larger answer goes on in the next */

static bool visit_pair(void *context, str key, str value)
{
    struct walk *k = context;
    struct kv_row row;

    if (!visit_key(k, key, value)) return false;
    size_t pairs = k->count;
    if (pairs == k->pairs) return true; /* it is not live */
    k->pairs = pairs;
    if (head_decode(value, &row)) resp_bulk(&k->items, row.value);
    return k->items.out->len < RANGE_BYTES;
}

void cmd_q_scan(struct kv_call *c)
{
    struct walk k = {.call = c, .pattern = STR("*"), .items = {&c->kv->items, c->w.proto}};
    const struct kv *kv = c->kv;
    const struct kv_span *span = &kv->span;
    struct kv_counting counting = {.visit = visit_pair, .context = &k, .count = RANGE_COUNT};
    struct buf next = {0};
    i64 count = RANGE_COUNT;
    bool more;

    buf_clear(k.items.out);
    if (!span->by_key) {
        resp_error(&c->w, "ERR Q.SCAN reads ranges of keys, and this keyspace is cut by slots; quorate ks create NAME "
                          "partitions=range makes one that can");
        return;
    }
    if (c->argc == 5 && str_is_word(c->argv[3], "count")) {
        if (!kv_get_i64(c, c->argv[4], &count)) return;
    } else if (c->argc != 3) {
        count = 0;
    }
    if (count < 1) {
        kv_reply_syntax_error(c);
        return;
    }
    u64 rows_max = kv->options.walk_rows_max;
    counting.count = rows_max ? u64_min((u64)count, rows_max) : (u64)count;
    str to = c->argv[2];
    bool is_ours = span->to.len == 0 || (to.len && str_compare(to, span->to) <= 0);
    c->failed = pieces_range(kv, &kv->dbs[c->db], c->argv[1], is_ours ? to : span->to, &counting, &next, &more);
    if (!k.refused && !c->failed) {
        resp_array(&c->w, 2);
        if (more)
            resp_bulk(&c->w, buf_str(&next));
        else if (!is_ours)
            resp_bulk(&c->w, span->to);
        else
            resp_null(&c->w);
        k.count *= 2;
        reply_items(&k);
    }
    buf_done(&next);
}

/* One piece of the walk, or all of it. Between two pieces it is in kv->keys. */
void cmd_keys(struct kv_call *c)
{
    struct kv *kv = c->kv;
    struct walk k = {.call = c, .pattern = c->argv[1]};
    u64 rows = c->in_pieces ? kv->options.walk_rows_max : UINT64_MAX;

    if (!kv->keys.going || !c->in_pieces) {
        kv->keys.cursor = kv->keys.count = 0;
        buf_clear(&kv->keys.items);
    }
    k.items = (struct resp_writer){&kv->keys.items, c->w.proto};
    k.count = kv->keys.count;
    do { /* a scan may return early where very many rows were deleted */
        walk(&k, kv->keys.cursor, rows, &kv->keys.cursor);
        if (kv->keys.items.len > kv_reply_bytes_max(kv) && !k.refused && !c->failed) {
            resp_errorf(&c->w, "TOOBIG limit=command.reply-bytes the names of these keys have more than %zu bytes; use SCAN",
                        kv_reply_bytes_max(kv));
            k.refused = true;
        }
    } while (kv->keys.cursor && !k.refused && !c->failed && !c->in_pieces);
    kv->keys.going = kv->keys.cursor && !k.refused && !c->failed;
    kv->keys.count = k.count;
    if (kv->keys.going) return;
    if (!k.refused && !c->failed) reply_items(&k);
    kv_read_forget(kv);
}

void cmd_dbsize(struct kv_call *c) { resp_integer(&c->w, (i64)c->kv->dbs[c->db].keys); }
