/* Which keys a partition has, and where their rows lie: a database is a list of segments, each some slots under one
 * keyspace id of the store. One segment at first; splits and merges cut and join them where they are
 * (docs/design/partitions.md). Keys are counted by slot, so that a split knows what each half has. */
#include "kv/kv_internal.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/mutant.h"
#include "base/search.h"

#include <stdio.h>

bool kv_has_all_keys(const struct kv *kv)
{
    if (kv->span.by_key) return !kv->span.from.len && !kv->span.to.len;
    return kv->span.slot_first == 0 && kv->span.slot_last == KV_SLOTS - 1;
}

bool kv_span_has(const struct kv_span *span, str key)
{
    if (span->by_key) return str_compare(span->from, key) <= 0 && (!span->to.len || str_compare(key, span->to) < 0);
    u16 slot = store_slot(key);
    return span->slot_first <= slot && slot <= span->slot_last;
}

bool kv_has_key(const struct kv *kv, str key)
{
    return kv_has_all_keys(kv) || kv_span_has(&kv->span, key);
}

const struct kv_span *kv_span(const struct kv *kv) { return &kv->span; }

bool kv_spans_meet(const struct kv_span *a, const struct kv_span *b)
{
    if (!a->by_key) return a->slot_first <= b->slot_last && b->slot_first <= a->slot_last;
    return (!b->to.len || str_compare(a->from, b->to) < 0) && (!a->to.len || str_compare(b->from, a->to) < 0);
}

bool kv_spans_equal(const struct kv_span *a, const struct kv_span *b)
{
    if (a->by_key != b->by_key) return false;
    if (!a->by_key) return a->slot_first == b->slot_first && a->slot_last == b->slot_last;
    return str_equal(a->from, b->from) && str_equal(a->to, b->to);
}

void kv_for_make(const struct kv_span *span, struct kv_for *out)
{
    out->words[0] = STR(KV_FOR);
    out->words[1] = span->by_key ? STR("keys") : STR("slots");
    out->words[2] = span->from;
    out->words[3] = span->to;
    if (span->by_key) return;
    for (u32 i = 0; i < 2; i++) {
        int len = snprintf(out->text[i], sizeof out->text[i], "%u", i ? span->slot_last : span->slot_first);
        out->words[2 + i] = str_from(out->text[i], (size_t)len);
    }
}

bool kv_for_take(const str **argv, u32 *argc, struct kv_span *span)
{
    const str *a = *argv;
    i64 first = 0, last = 0;

    if (LIKELY(*argc <= KV_FOR_WORDS || !str_equal(a[0], STR(KV_FOR)))) return false;
    *span = (struct kv_span){.by_key = str_equal(a[1], STR("keys")), .from = a[2], .to = a[3]};
    if (!span->by_key) {
        if (!str_to_i64(a[2], &first) || !str_to_i64(a[3], &last)) return false;
        span->slot_first = (u16)first;
        span->slot_last = (u16)last;
    }
    *argv += KV_FOR_WORDS;
    *argc -= KV_FOR_WORDS;
    return true;
}

bool kv_is_unbounded(const struct kv *kv) { return kv->generation == 0 && kv_has_all_keys(kv); }

bool kv_set_slots(struct kv *kv, u16 first, u16 last)
{
    bool good = !kv->span.by_key && kv_is_unbounded(kv) && first <= last && last < KV_SLOTS;

    for (u32 i = 0; i < KV_DATABASES; i++) good &= kv->dbs[i].keys == 0 && kv->dbs[i].segment_count == 1;
    if (!good) return false;
    kv->span.slot_first = first;
    kv->span.slot_last = last;
    kv->generation++;
    for (u32 i = 0; i < KV_DATABASES; i++)
        kv_db_cover(&kv->dbs[i], &kv->span, kv->dbs[i].segments[0].keyspace);
    return true;
}

u32 kv_keyspace_of(const struct kv_db *d, str key)
{
    if (LIKELY(d->segment_count == 1)) return d->segments[0].keyspace;
    if (d->pieces) return pieces_keyspace_of(d, key);
    u16 slot = store_slot(key);
    u32 low;

    LOWER_BOUND(low, d->segment_count - 1, d->segments[low].last < slot);
    assert(d->segments[low].first <= slot);
    assert(slot <= d->segments[low].last);
    return d->segments[low].keyspace;
}

void kv_db_cover(struct kv_db *d, const struct kv_span *span, u32 keyspace)
{
    if (span->by_key) {
        pieces_cover(d, keyspace, NULL, KV_LABELS);
        return;
    }
    mem_free(d->segments);
    d->segments = mem_zalloc(sizeof *d->segments);
    d->segment_count = 1;
    d->segments[0] = (struct kv_segment){keyspace, span->slot_first, span->slot_last};
}

void kv_db_done(struct kv_db *d)
{
    mem_free(d->segments);
    mem_free(d->slots);
    pieces_done(d);
    *d = (struct kv_db){0};
}

void kv_db_renew(struct kv *kv, struct kv_db *d, u32 keyspace)
{
    d->keys = d->expires = d->bytes = 0;
    if (kv->span.by_key) {
        pieces_renew(d, keyspace);
        return;
    }
    mem_free(d->slots);
    d->slots = NULL;
    kv_db_cover(d, &kv->span, keyspace);
}

void kv_span_copy(struct kv_span *to, const struct kv_span *from)
{
    struct kv_span copy = *from;

    copy.from = from->from.len ? str_from(mem_copy_of(from->from.at, from->from.len), from->from.len) : STR("");
    copy.to = from->to.len ? str_from(mem_copy_of(from->to.at, from->to.len), from->to.len) : STR("");
    kv_span_done(to);
    *to = copy;
}

void kv_span_done(struct kv_span *s)
{
    if (s->from.len) mem_free((void *)(uintptr_t)s->from.at);
    if (s->to.len) mem_free((void *)(uintptr_t)s->to.at);
    s->from = s->to = STR("");
}

bool kv_db_place(const struct kv *kv, u8 db, u32 *at, struct kv_place *out)
{
    const struct kv_db *d = &kv->dbs[db];

    *out = (struct kv_place){.last = KV_SLOTS - 1, .db = db, .from = STR(""), .to = STR("")};
    if (*at >= (d->pieces ? d->piece_count : d->segment_count)) return false;
    if (!d->pieces) {
        const struct kv_segment *s = &d->segments[(*at)++];
        out->keyspace = s->keyspace;
        out->first = s->first;
        out->last = s->last;
        return true;
    }
    out->keyspace = d->pieces[*at].keyspace;
    out->from = *at ? d->pieces[*at].from : kv->span.from;
    while (*at < d->piece_count && d->pieces[*at].keyspace == out->keyspace) ++*at;
    out->to = *at < d->piece_count ? d->pieces[*at].from : kv->span.to;
    return true;
}

/* ---- counts ---- */

void kv_count(struct kv *kv, struct kv_db *d, str key, struct kv_change by)
{
    if (d->pieces)
        pieces_count(d, key, by);
    else if (by.keys || by.expires)
        kv_count_slot(kv, d, store_slot(key), by.keys, by.expires);
}

void kv_count_slot(struct kv *kv, struct kv_db *d, u16 slot, i64 keys, i64 expires)
{
    const struct kv_span *s = &kv->span;

    assert(s->slot_first <= slot);
    assert(slot <= s->slot_last);
    if (UNLIKELY(!d->slots))
        d->slots = mem_zalloc_array((size_t)(s->slot_last - s->slot_first) + 1, sizeof *d->slots);
    struct kv_slot_counts *c = &d->slots[slot - s->slot_first];
    assert(keys >= 0 || c->keys > 0);
    c->keys += (u32)keys;
    assert(expires >= 0 || c->expires > 0);
    c->expires += (u32)expires;
    d->keys += (u64)keys;
    d->expires += (u64)expires;
}

u64 kv_keys_in_slot(const struct kv *kv, u8 db, u16 slot)
{
    const struct kv_db *d = &kv->dbs[db];

    if (!d->slots || slot < kv->span.slot_first || slot > kv->span.slot_last) return 0;
    return d->slots[slot - kv->span.slot_first].keys;
}

/* ---- what a request touches ---- */

static bool command_is_ours(const struct kv *kv, const struct entry_command *c)
{
    enum { INLINE = 64 };
    u32 inline_keys[INLINE], *keys = inline_keys;
    const str *argv = c->argv;
    u32 argc = c->argc;
    struct kv_span span;
    bool ours = !kv_for_take(&argv, &argc, &span) || kv_spans_equal(&span, &kv->span) || MUTANT(whole_of_any_span);
    const struct kv_command *row = kv_command_find(argv[0]);

    if (!row) return ours; /* the reply is an error, wherever */
    u32 count = kv_command_keys(row, argv, argc, keys, INLINE);
    if (count > INLINE) {
        keys = mem_zalloc_array(count, sizeof *keys);
        kv_command_keys(row, argv, argc, keys, count);
    }
    for (u32 i = 0; i < count && ours; i++) ours = kv_has_key(kv, argv[keys[i]]);
    if (keys != inline_keys) mem_free(keys);
    return ours;
}

static bool commands_are_ours(const struct kv *kv, struct reader *r, u32 count)
{
    for (; count; count--) {
        struct entry_command c;
        if (entry_decode_command(r, &c)) return true; /* malformed: others will say so */
        bool ours = command_is_ours(kv, &c);
        entry_command_done(&c);
        if (!ours) return false;
    }
    return true;
}

/* Without decoding all of it: is its first word KV_FOR? */
static bool is_for_a_span(u8 op, str body)
{
    enum { WORD = 1 + 4 + 4 }; /* behind db, argc and the word's length */
    size_t len = sizeof KV_FOR - 1;

    return op == ENTRY_COMMAND && body.len > WORD + len && get_u32(body.at + WORD - 4) == len &&
           mem_equal(body.at + WORD, KV_FOR, len);
}

bool kv_covers(const struct kv *kv, u8 op, str body)
{
    struct reader r = reader_of(body);

    if (LIKELY(kv_has_all_keys(kv)) && !is_for_a_span(op, body)) return true;
    if (op == ENTRY_COMMAND) return commands_are_ours(kv, &r, 1);
    if (op != ENTRY_EXEC) return true;
    for (u32 watches = reader_u32(&r); watches && !r.bad; watches--) {
        reader_u8(&r);
        reader_u8(&r);
        reader_u64(&r);
        if (!kv_has_key(kv, reader_str(&r, reader_u32(&r)))) return r.bad;
    }
    u32 count = reader_u32(&r);
    return r.bad || commands_are_ours(kv, &r, count);
}

/* ---- rows in order, over all segments ---- */

bool kv_count_and_visit(void *context, str key, str value)
{
    struct kv_counting *c = context;

    c->seen++;
    if (!c->visit(c->context, key, value)) c->stopped = true;
    return !c->stopped;
}

static u64 start_of(const struct kv_segment *s) { return (u64)s->first << 48; }
static u64 end_of(const struct kv_segment *s) { return ((u64)(s->last + 1) << 48) - 1; }

err kv_scan_db(const struct kv *kv, u8 db, u64 cursor, u64 count, store_visit_fn visit, void *context,
               u64 *next)
{
    const struct kv_db *d = &kv->dbs[db];
    struct kv_counting c = {.visit = visit, .context = context, .count = count};

    if (d->pieces) return pieces_scan(kv, d, cursor, &c, next);
    *next = 0;
    for (u32 i = 0; i < d->segment_count; i++) {
        const struct kv_segment *s = &d->segments[i];
        if (cursor > end_of(s)) continue;
        u64 left = c.stopped || c.seen >= count ? 0 : count - c.seen;
        err e = store_scan_to(kv->store, s->keyspace, u64_max(cursor, start_of(s)), end_of(s), left,
                              kv_count_and_visit, &c, next);
        if (e || *next) return e;
    }
    return OK;
}

err kv_any(const struct kv *kv, u8 db, u64 chance, struct buf *key, bool *found)
{
    const struct kv_db *d = &kv->dbs[db];

    if (d->pieces) return pieces_any(kv, d, chance, key, found);
    *found = false;
    for (u32 round = 0; round < 2 && !*found; round++)
        for (u32 i = 0; i < d->segment_count && !*found; i++) {
            const struct kv_segment *s = &d->segments[i];
            u64 from = round ? start_of(s) : u64_max(chance, start_of(s));
            if (from > end_of(s)) continue;
            err e = store_first(kv->store, s->keyspace, from, end_of(s), key, found);
            if (e) return e;
        }
    return OK;
}

/* ---- what the store may touch ---- */

void kv_own(struct kv *kv, bool rows_come)
{
    struct store_extents x = {0};

    kv_extents(kv, &x);
    store_set_extents(kv->store, &x, rows_come);
}

void kv_extents(const struct kv *kv, struct store_extents *out)
{
    const struct kv_options *o = &kv->options;

    out->generation = kv->generation;
    struct kv_place p;
    for (u8 db = 0; db < KV_DATABASES; db++)
        for (u32 at = 0; kv_db_place(kv, db, &at, &p);) {
            if (kv->span.by_key)
                store_extents_add_keys(out, p.keyspace, p.from, p.to);
            else
                store_extents_add_slots(out, p.keyspace, p.first, p.last);
        }
    u32 last = o->keyspace_first + (o->keyspace_count - 1);
    if (kv->next_keyspace - o->keyspace_first < o->keyspace_count)
        store_extents_add_rest(out, kv->next_keyspace, last);
    store_extents_sort(out);
}
