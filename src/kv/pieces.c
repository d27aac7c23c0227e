/* A database in the order of its keys: a list of pieces, each the keys from its own first one up to the next piece's, under one
 * keyspace id of the store. What slots are to a database by slot: rows are counted by piece, so that a split knows what
 * each half has, and SCAN goes on from piece to piece. All of it is replicated state.
 *
 * A piece with many keys is cut in its middle, at the cost of walking over it once; small neighbours are joined.
 *
 * A cursor of SCAN is a number, so pieces have labels, ascending with their keys. A cursor c goes on at the last piece
 * whose label is not above c. No key may be passed by, whatever happened since, so what has a label or gets one later
 * behind that place must have a greater one:
 *   - labels of a fence only grow;
 *   - a piece remembers the greatest label that was ever within it (label_max), and what is cut off gets one above;
 *   - what a split's other half has moves up, so that both halves have room.
 * Where there is no room for a label a piece stays whole, and grows. */
#include "kv/kv_internal.h"

#include "base/assert.h"
#include "base/mutant.h"
#include "base/search.h"

enum { PIECE_KEYS_MAX = 512, PIECE_KEYS_FEW = PIECE_KEYS_MAX / 4 };
#define LABELS_KEPT ((u64)1 << 32) /* of a split's lower half, for what is cut there later */

static u32 piece_of(const struct kv_db *d, str key)
{
    u32 low;

    LOWER_BOUND(low, d->piece_count - 1, str_compare(d->pieces[low + 1].from, key) <= 0);
    return low;
}

u32 pieces_keyspace_of(const struct kv_db *d, str key) { return d->pieces[piece_of(d, key)].keyspace; }

void pieces_count(struct kv_db *d, str key, struct kv_change by)
{
    struct kv_piece *p = &d->pieces[piece_of(d, key)];

    assert(by.keys >= 0 || p->keys > 0);
    assert(by.expires >= 0 || p->expires > 0);
    assert(by.bytes >= 0 || p->bytes >= (u64)-by.bytes);
    p->keys += (u32)by.keys;
    p->expires += (u32)by.expires;
    p->bytes += (u64)by.bytes;
    d->keys += (u64)by.keys;
    d->expires += (u64)by.expires;
    d->bytes += (u64)by.bytes;
}

/* ---- the list ---- */

static str key_copy(str key)
{
    return key.len ? str_from(mem_copy_of(key.at, key.len), key.len) : str_from("", 0);
}

static void key_free(str key)
{
    if (key.len) mem_free((void *)(uintptr_t)key.at);
}

static void pieces_reserve(struct kv_db *d, u32 count)
{
    if (count <= d->piece_cap) return;
    d->piece_cap = (u32)u64_max(count, 2 * d->piece_cap);
    d->pieces = mem_resize_array(d->pieces, d->piece_cap, sizeof *d->pieces);
}

void pieces_cover(struct kv_db *d, u32 keyspace, const struct kv_piece *labels, u64 label_end)
{
    pieces_reserve(d, 1);
    d->piece_count = 1;
    d->label_end = label_end;
    d->pieces[0] = (struct kv_piece){.from = str_from("", 0), .keyspace = keyspace};
    if (!labels) return;
    d->pieces[0].label = labels->label;
    d->pieces[0].label_max = labels->label_max;
}

void pieces_done(struct kv_db *d)
{
    for (u32 i = 0; i < d->piece_count; i++) key_free(d->pieces[i].from);
    mem_free(d->pieces);
    d->pieces = NULL;
    d->piece_count = d->piece_cap = 0;
}

void pieces_renew(struct kv_db *d, u32 keyspace)
{
    struct kv_piece labels = {.label = d->pieces[0].label, .label_max = d->pieces[d->piece_count - 1].label_max};
    u64 end = d->label_end;

    pieces_done(d);
    pieces_cover(d, keyspace, &labels, end);
}

/* A label above all that were ever in piece `at`, and below the next one's, if need be by pushing those behind up.
 * 0: there is no room. */
static u64 label_for(struct kv_db *d, u32 at)
{
    u64 label = d->pieces[at].label_max + 1, above = label;
    u32 end = at + 1;

    for (; end < d->piece_count && d->pieces[end].label <= above; end++)
        above += 1 + d->pieces[end].label_max - d->pieces[end].label;
    if (above >= (end < d->piece_count ? d->pieces[end].label : d->label_end)) return 0;
    above = label;
    for (u32 i = at + 1; i < end; i++) {
        u64 wide = d->pieces[i].label_max - d->pieces[i].label;
        d->pieces[i].label = above + 1;
        d->pieces[i].label_max = d->pieces[i].label + wide;
        above = d->pieces[i].label_max;
    }
    return label;
}

/* ---- cutting ---- */

struct looking {
    u64 seen, from_here; /* rows; those not below the fence, of which some have a time to end */
    u32 keys, expires;
    u64 bytes;
    struct buf *fence;
    bool is_known; /* the fence; else it is the from_here-th row's key */
    bool corrupt;
};

static bool look_at_row(void *context, str key, str value)
{
    struct looking *l = context;
    struct kv_row row;

    if (!l->is_known && l->seen == l->from_here) {
        buf_append_str(l->fence, key);
        l->is_known = true;
    }
    l->seen++;
    if (!l->is_known || str_compare(key, buf_str(l->fence)) < 0) return true;
    l->corrupt |= !head_decode(value, &row);
    l->keys++;
    if (l->corrupt) return false;
    l->expires += row.head.expire_us != 0;
    l->bytes += key.len + row.value.len;
    return true;
}

static str end_of_piece(const struct kv *kv, const struct kv_db *d, u32 at)
{
    return at + 1 < d->piece_count ? d->pieces[at + 1].from : kv->span.to;
}

static str start_of_piece(const struct kv *kv, const struct kv_db *d, u32 at)
{
    return at ? d->pieces[at].from : kv->span.from;
}

/* Counts what of the piece lies at or above the fence, once it is known. */
static err look_over(const struct kv *kv, const struct kv_db *d, u32 at, struct looking *l)
{
    struct buf next = {0};
    bool more;
    err e = store_scan_keys(kv->store, d->pieces[at].keyspace, start_of_piece(kv, d, at), end_of_piece(kv, d, at),
                            UINT64_MAX, look_at_row, l, &next, &more);

    buf_done(&next);
    if (!e && (l->corrupt || l->seen != d->pieces[at].keys)) e = ERR_CORRUPT;
    return e;
}

/* The keys from the fence on become a piece of their own, under the label that was made for it. */
static void cut_off(struct kv_db *d, u32 at, u64 label, const struct looking *l)
{
    pieces_reserve(d, d->piece_count + 1);
    memmove(&d->pieces[at + 2], &d->pieces[at + 1], (d->piece_count - at - 1) * sizeof *d->pieces);
    d->piece_count++;
    d->pieces[at].keys -= l->keys;
    d->pieces[at].expires -= l->expires;
    d->pieces[at].bytes -= l->bytes;
    d->pieces[at + 1] = (struct kv_piece){
        .from = key_copy(buf_str(l->fence)),
        .keyspace = d->pieces[at].keyspace,
        .keys = l->keys,
        .expires = l->expires,
        .bytes = l->bytes,
        .label = label,
        .label_max = label,
    };
}

static void join_next(struct kv_db *d, u32 at)
{
    struct kv_piece *lower = &d->pieces[at], *upper = lower + 1;

    if (at + 1 >= d->piece_count || lower->keyspace != upper->keyspace) return;
    if (lower->keys + upper->keys > PIECE_KEYS_FEW) return;
    lower->keys += upper->keys;
    lower->expires += upper->expires;
    lower->bytes += upper->bytes;
    if (!MUTANT(joined_piece_forgets_labels)) lower->label_max = upper->label_max;
    key_free(upper->from);
    d->piece_count--;
    memmove(upper, upper + 1, (d->piece_count - at - 1) * sizeof *d->pieces);
}

err pieces_settle(struct kv *kv, struct kv_db *d, str key)
{
    u32 at = piece_of(d, key);
    struct buf fence = {0};
    struct looking l = {.from_here = d->pieces[at].keys / 2, .fence = &fence};
    u64 label;
    err e = OK;

    if (d->pieces[at].keys > PIECE_KEYS_MAX && (label = label_for(d, at))) {
        e = look_over(kv, d, at, &l);
        if (!e) cut_off(d, at, label, &l);
        buf_done(&fence);
    } else if (d->pieces[at].keys <= PIECE_KEYS_FEW) {
        join_next(d, at);
        if (at) join_next(d, at - 1);
    }
    return e;
}

/* ---- halves ---- */

/* There must be a label above all of its own for the other half. */
bool pieces_can_split(const struct kv_db *d)
{
    return d->label_end - d->pieces[d->piece_count - 1].label_max > 1;
}

err pieces_split(const struct kv *kv, struct kv_db *d, str key, struct kv_db *upper)
{
    u32 at = piece_of(d, key);
    struct buf fence = {0};

    if (at == 0 || !str_equal(d->pieces[at].from, key)) {
        struct looking l = {.fence = &fence, .is_known = true};
        buf_append_str(&fence, key);
        err e = look_over(kv, d, at, &l);
        if (!e) cut_off(d, at, d->pieces[at].label_max, &l); /* its label is made below */
        buf_done(&fence);
        if (e) return e;
        at++;
    }
    upper->piece_count = 0;
    pieces_reserve(upper, d->piece_count - at);
    upper->piece_count = d->piece_count - at;
    memcpy(upper->pieces, d->pieces + at, upper->piece_count * sizeof *upper->pieces);
    d->piece_count = at;
    key_free(upper->pieces[0].from); /* it is the span's now */
    upper->pieces[0].from = str_from("", 0);

    u64 least = d->pieces[at - 1].label_max + 1, last = upper->pieces[upper->piece_count - 1].label_max;
    u64 room = d->label_end - last - 1, up = u64_min(LABELS_KEPT, room / 2);
    if (upper->pieces[0].label + up < least) up = least - upper->pieces[0].label;
    for (u32 i = 0; i < upper->piece_count; i++) {
        upper->pieces[i].label += up;
        upper->pieces[i].label_max += up;
    }
    upper->label_end = d->label_end;
    d->label_end = upper->pieces[0].label;
    for (u32 i = 0; i < upper->piece_count; i++) {
        upper->keys += upper->pieces[i].keys;
        upper->expires += upper->pieces[i].expires;
        upper->bytes += upper->pieces[i].bytes;
    }
    d->keys -= upper->keys;
    d->expires -= upper->expires;
    d->bytes -= upper->bytes;
    return OK;
}

void pieces_merge(struct kv_db *d, const struct kv_db *with, str from)
{
    pieces_reserve(d, d->piece_count + with->piece_count);
    for (u32 i = 0; i < with->piece_count; i++) {
        d->pieces[d->piece_count] = with->pieces[i];
        d->pieces[d->piece_count++].from = key_copy(i ? with->pieces[i].from : from);
    }
    d->label_end = with->label_end;
}

/* ---- in the marker ---- */

void pieces_encode(const struct kv_db *d, struct buf *out)
{
    u64 label = 0;

    buf_append_u64(out, d->label_end);
    buf_append_u32(out, d->piece_count);
    for (u32 i = 0; i < d->piece_count; i++) {
        const struct kv_piece *p = &d->pieces[i];
        buf_append_u32(out, p->keyspace);
        kv_put_number(out, p->label - label);
        kv_put_number(out, p->label_max - p->label);
        kv_put_number(out, p->keys);
        kv_put_number(out, p->expires);
        kv_put_number(out, p->bytes);
        if (i) {
            kv_put_number(out, p->from.len);
            buf_append_str(out, p->from);
        }
        label = p->label_max;
    }
}

static bool is_behind(const struct kv *kv, const struct kv_db *d, const struct kv_piece *p)
{
    if (!d->piece_count) return true;
    const struct kv_piece *before = &d->pieces[d->piece_count - 1];
    str from = d->piece_count == 1 ? kv->span.from : before->from;
    return p->label > before->label_max && str_compare(from, p->from) < 0 &&
           (!kv->span.to.len || str_compare(p->from, kv->span.to) < 0);
}

void pieces_decode(const struct kv *kv, struct kv_db *d, struct reader *r)
{
    u64 label = 0;

    pieces_done(d);
    d->label_end = reader_u64(r);
    u32 count = reader_u32(r);
    r->bad |= count == 0 || count > reader_left(r) / 8;
    for (u32 i = 0; i < count && !r->bad; i++) {
        struct kv_piece p = {.from = str_from("", 0), .keyspace = reader_u32(r)};
        p.label = label + kv_read_number(r);
        p.label_max = p.label + kv_read_number(r);
        u64 keys = kv_read_number(r), expires = kv_read_number(r);
        p.bytes = kv_read_number(r);
        if (i) p.from = reader_str(r, kv_read_number(r));
        r->bad |= keys > UINT32_MAX || expires > keys || p.label_max < label || p.label_max >= d->label_end ||
                  d->label_end > KV_LABELS || !is_behind(kv, d, &p);
        if (r->bad) break;
        p.keys = (u32)keys;
        p.expires = (u32)expires;
        p.from = key_copy(p.from);
        pieces_reserve(d, d->piece_count + 1);
        d->pieces[d->piece_count++] = p;
        d->keys += keys;
        d->expires += expires;
        d->bytes += p.bytes;
        label = p.label_max;
    }
    if (!d->piece_count) pieces_cover(d, 0, NULL, KV_LABELS); /* a bad state is not used, but freed */
}

/* ---- rows in order ---- */

/* The piece that a cursor goes on at. */
static u32 piece_at_label(const struct kv_db *d, u64 label)
{
    u32 low;

    LOWER_BOUND(low, d->piece_count - 1, d->pieces[low + 1].label <= label);
    return low;
}

/* All rows of it: a cursor names no place within a piece. */
static err visit_piece(const struct kv *kv, const struct kv_db *d, u32 at, struct kv_counting *c)
{
    struct buf next = {0};
    bool more;
    err e = store_scan_keys(kv->store, d->pieces[at].keyspace, start_of_piece(kv, d, at), end_of_piece(kv, d, at),
                            UINT64_MAX, kv_count_and_visit, c, &next, &more);

    buf_done(&next);
    return e;
}

err pieces_scan(const struct kv *kv, const struct kv_db *d, u64 cursor, struct kv_counting *c, u64 *next)
{
    *next = 0;
    if (cursor >= d->label_end) return OK;
    u32 at = piece_at_label(d, cursor);
    do {
        err e = visit_piece(kv, d, at, c);
        if (e) return e;
    } while (++at < d->piece_count && !c->stopped && c->seen < c->count);
    if (at < d->piece_count) *next = d->pieces[at].label;
    return OK;
}

err pieces_range(const struct kv *kv, const struct kv_db *d, str from, str to, struct kv_counting *c,
                 struct buf *next, bool *more)
{
    *more = false;
    for (u32 at = piece_of(d, from); at < d->piece_count; at++) {
        str start = start_of_piece(kv, d, at), end = end_of_piece(kv, d, at);
        if (str_compare(start, from) < 0) start = from;
        if (to.len && str_compare(start, to) >= 0) return OK;
        if (to.len && (!end.len || str_compare(to, end) < 0)) end = to;
        if (c->stopped || c->seen >= c->count) {
            *more = true;
            buf_append_str(next, start);
            return OK;
        }
        err e = store_scan_keys(kv->store, d->pieces[at].keyspace, start, end, c->count - c->seen, kv_count_and_visit, c,
                                next, more);
        if (e || *more) return e;
    }
    return OK;
}

/* The nth row of a piece. */
struct nth {
    u64 left;
    struct buf *key;
    bool found;
};

static bool visit_nth(void *context, str key, str value)
{
    struct nth *n = context;

    (void)value;
    if (n->left--) return true;
    buf_append_str(n->key, key);
    n->found = true;
    return false;
}

err pieces_any(const struct kv *kv, const struct kv_db *d, u64 chance, struct buf *key, bool *found)
{
    struct nth n = {.left = d->keys ? chance % d->keys : 0, .key = key};
    struct buf next = {0};
    bool more;
    u32 at = 0;

    *found = false;
    if (!d->keys) return OK;
    for (; n.left >= d->pieces[at].keys; at++) n.left -= d->pieces[at].keys;
    err e = store_scan_keys(kv->store, d->pieces[at].keyspace, start_of_piece(kv, d, at), end_of_piece(kv, d, at),
                            UINT64_MAX, visit_nth, &n, &next, &more);
    buf_done(&next);
    *found = n.found;
    return e;
}
