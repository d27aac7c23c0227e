#include "part/session.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/mutant.h"

#include <stdlib.h>

#define RESULT_INLINE 12
#define LEN_NOT_KEPT  UINT32_MAX

struct result {
    bool present;
    u32 len; /* LEN_NOT_KEPT: done, reply too long */
    union {
        u8 small[RESULT_INLINE];
        u8 *large;
    } bytes;
};

struct session {
    struct session_id id;
    u64 acked;    /* every seq below is answered */
    u64 end;      /* one past the highest seq kept; acked..end is the window */
    u64 last_hlc; /* of the last entry that used it */
    u64 ttl_ms;
    struct result *ring; /* slot seq & (cap - 1) */
    u64 cap;             /* power of two, 0 at first */
    bool changed;
    struct list by_use; /* least recently used first */
    struct session *bucket_next;
};

struct session_table {
    struct session **buckets;
    u64 bucket_count, count, clients;
    struct list by_use;
    struct session *last; /* the session looked up most recently */
    struct ids {          /* growing arrays of session ids */
        struct session_id *at;
        u64 count, cap;
    } dropped, visited; /* gone since the last checkpoint; taken by the latest checkpoint */
};

static void ids_add(struct ids *ids, struct session_id id)
{
    if (ids->count == ids->cap) {
        ids->cap = ids->cap ? ids->cap * 2 : 16;
        ids->at = mem_resize_array(ids->at, ids->cap, sizeof *ids->at);
    }
    ids->at[ids->count++] = id;
}

static bool same_id(const struct session_id *a, const struct session_id *b)
{
    return mem_equal(a->bytes, b->bytes, 16);
}

static u64 bucket_of(const struct session_table *t, const struct session_id *id)
{
    return hash64(id->bytes, 16) & (t->bucket_count - 1);
}

struct session_table *session_table_new(void)
{
    struct session_table *t = mem_zalloc(sizeof *t);
    t->bucket_count = 4; /* doubles with its sessions; thousands of partitions have none */
    t->buckets = mem_zalloc_array(t->bucket_count, sizeof *t->buckets);
    list_init(&t->by_use);
    return t;
}

static void result_clear(struct result *r)
{
    if (r->present && r->len != LEN_NOT_KEPT && r->len > RESULT_INLINE) mem_free(r->bytes.large);
    r->present = false;
}

static void session_release(struct session *s)
{
    for (u64 i = 0; i < s->cap; i++) result_clear(&s->ring[i]);
    mem_free(s->ring);
    mem_free(s);
}

void session_table_free(struct session_table *t)
{
    if (!t) return;
    LIST_EACH_SAFE(l, &t->by_use) session_release(CONTAINER_OF(l, struct session, by_use));
    mem_free(t->buckets);
    mem_free(t->dropped.at);
    mem_free(t->visited.at);
    mem_free(t);
}

static struct session *find(struct session_table *t, const struct session_id *id)
{
    if (t->last && same_id(&t->last->id, id)) return t->last;
    for (struct session *s = t->buckets[bucket_of(t, id)]; s; s = s->bucket_next)
        if (same_id(&s->id, id)) return t->last = s;
    return NULL;
}

static void grow(struct session_table *t)
{
    struct session **old = t->buckets;
    u64 old_count = t->bucket_count;

    t->bucket_count *= 2;
    t->buckets = mem_zalloc_array(t->bucket_count, sizeof *t->buckets);
    for (u64 i = 0; i < old_count; i++)
        for (struct session *s = old[i], *next; s; s = next) {
            next = s->bucket_next;
            u64 b = bucket_of(t, &s->id);
            s->bucket_next = t->buckets[b];
            t->buckets[b] = s;
        }
    mem_free(old);
}

static struct session *add(struct session_table *t, const struct session_id *id, u64 ttl_ms,
                           u64 acked)
{
    if (t->count >= t->bucket_count) grow(t);
    struct session *s = mem_zalloc(sizeof *s);
    u64 b = bucket_of(t, id);
    s->id = *id;
    s->ttl_ms = ttl_ms;
    s->acked = s->end = acked ? acked : 1;
    s->bucket_next = t->buckets[b];
    t->buckets[b] = s;
    list_push(&t->by_use, &s->by_use);
    t->count++;
    t->clients += session_is_client(id);
    t->last = s;
    return s;
}

static void drop(struct session_table *t, struct session *s)
{
    struct session **at = &t->buckets[bucket_of(t, &s->id)];

    while (*at != s) at = &(*at)->bucket_next;
    *at = s->bucket_next;
    ids_add(&t->dropped, s->id);
    list_remove(&s->by_use);
    t->count--;
    t->clients -= session_is_client(&s->id);
    if (t->last == s) t->last = NULL;
    session_release(s);
}

static bool is_expired(const struct session *s, u64 hlc)
{
    return hlc_ms(hlc) >= hlc_ms(s->last_hlc) + s->ttl_ms;
}

/* Sessions of different ttl share one list, so a long-lived one may hide an expired one behind it
 * until it is used or passed: looking at a few each time keeps it cheap and the same everywhere. */
static void expire(struct session_table *t, u64 hlc)
{
    int looked = 0;
    LIST_EACH_SAFE(l, &t->by_use)
    {
        struct session *s = CONTAINER_OF(l, struct session, by_use);
        if (looked++ >= 4) return;
        if (is_expired(s, hlc)) drop(t, s);
    }
}

static void touch(struct session_table *t, struct session *s, u64 hlc)
{
    s->last_hlc = hlc;
    s->changed = true;
    if (s->by_use.next != &t->by_use) {
        list_remove(&s->by_use);
        list_push(&t->by_use, &s->by_use);
    }
}

static u64 window(const struct session *s)
{
    return session_is_client(&s->id) ? SESSION_CLIENT_WINDOW : SESSION_GATEWAY_WINDOW;
}

static struct result *slot(struct session *s, u64 seq)
{
    return &s->ring[seq & (s->cap - 1)];
}

static void forget_below(struct session *s, u64 acked)
{
    if (acked <= s->acked) return;
    for (u64 seq = s->acked; seq < u64_min(acked, s->end); seq++) result_clear(slot(s, seq));
    s->acked = acked;
    s->end = u64_max(s->end, acked);
}

static void make_room(struct session *s, u64 seq)
{
    u64 need = seq + 1 - s->acked, cap = s->cap ? s->cap : 8;

    if (need <= s->cap) return;
    while (cap < need) cap *= 2;
    struct result *ring = mem_zalloc_array(cap, sizeof *ring);
    for (u64 i = s->acked; i < s->end; i++) ring[i & (cap - 1)] = *slot(s, i);
    mem_free(s->ring);
    s->ring = ring;
    s->cap = cap;
}

static bool has_run(struct session *s, u64 acked, u64 seq)
{
    return seq < acked || (seq < s->end && slot(s, seq)->present);
}

bool session_has_run(struct session_table *t, const struct session_id *id, u64 seq)
{
    struct session *s = find(t, id);
    return s && has_run(s, s->acked, seq);
}

enum session_verdict session_judge(struct session_table *t, const struct entry *e, str *reply)
{
    struct session *s = find(t, &e->session);

    if (s && is_expired(s, e->hlc)) {
        drop(t, s);
        s = NULL;
    }
    expire(t, e->hlc);
    s = find(t, &e->session);
    if (!s && session_is_client(&e->session)) return SESSION_UNKNOWN;
    u64 ttl_ms = s ? s->ttl_ms : SESSION_GATEWAY_TTL_MS;
    if (e->first_hlc < e->hlc && hlc_ms(e->hlc) - hlc_ms(e->first_hlc) >= ttl_ms)
        return SESSION_TOO_LATE;
    if (!s) {
        s = add(t, &e->session, SESSION_GATEWAY_TTL_MS, e->acked);
        touch(t, s, e->hlc);
    }
    if (e->seq < s->acked) return SESSION_GONE;
    if (e->seq < s->end && slot(s, e->seq)->present && !MUTANT(session_runs_duplicates)) {
        struct result *r = slot(s, e->seq);
        touch(t, s, e->hlc);
        if (r->len == LEN_NOT_KEPT) return SESSION_NOT_KEPT;
        *reply = str_from(r->len > RESULT_INLINE ? r->bytes.large : r->bytes.small, r->len);
        return SESSION_KNOWN;
    }
    if (e->after && !has_run(s, u64_max(e->acked, s->acked), e->after) &&
        !MUTANT(pipeline_order_ignored))
        return SESSION_ORDER;
    if (e->seq - u64_max(e->acked, s->acked) >= window(s)) return SESSION_WINDOW;
    return SESSION_RUN;
}

static void result_set(struct result *r, str reply)
{
    result_clear(r);
    r->present = true;
    r->len = (u32)reply.len;
    if (reply.len > SESSION_RESULT_BYTES_MAX) {
        r->len = LEN_NOT_KEPT;
    } else if (reply.len > RESULT_INLINE) {
        r->bytes.large = mem_copy_of(reply.at, reply.len);
    } else {
        mem_copy(r->bytes.small, reply.at, reply.len);
    }
}

void session_keep(struct session_table *t, const struct entry *e, str reply)
{
    struct session *s = find(t, &e->session);

    assert(s);
    assert(e->seq >= s->acked);
    if (!MUTANT(session_forgets_unacked))
        forget_below(s, u64_min(e->acked, e->seq));
    else
        forget_below(s, e->seq);
    make_room(s, e->seq);
    for (u64 i = s->end; i < e->seq; i++) slot(s, i)->present = false;
    result_set(slot(s, e->seq), reply);
    s->end = u64_max(s->end, e->seq + 1);
    touch(t, s, e->hlc);
}

bool session_open(struct session_table *t, const struct entry *e, u64 ttl_ms)
{
    expire(t, e->hlc);
    struct session *s = find(t, &e->session);
    if (!s) {
        if (t->clients >= SESSION_CLIENTS_MAX) return false;
        s = add(t, &e->session, ttl_ms, 1);
    }
    touch(t, s, e->hlc);
    return true;
}

bool session_close(struct session_table *t, const struct entry *e)
{
    struct session *s = find(t, &e->session);
    if (!s) return false;
    drop(t, s);
    return true;
}

u64 session_clients(const struct session_table *t)
{
    return t->clients;
}

u64 session_count(const struct session_table *t)
{
    return t->count;
}

static void encode(const struct session *s, struct buf *out)
{
    u32 kept = 0;

    for (u64 seq = s->acked; seq < s->end; seq++) kept += s->ring[seq & (s->cap - 1)].present;
    buf_append_u64(out, s->acked);
    buf_append_u64(out, s->last_hlc);
    buf_append_u64(out, s->ttl_ms);
    buf_append_u32(out, kept);
    for (u64 seq = s->acked; seq < s->end; seq++) {
        const struct result *r = &s->ring[seq & (s->cap - 1)];
        if (!r->present) continue;
        buf_append_u64(out, seq);
        buf_append_u32(out, r->len);
        if (r->len != LEN_NOT_KEPT)
            buf_append(out, r->len > RESULT_INLINE ? r->bytes.large : r->bytes.small, r->len);
    }
}

static int by_id(const void *a, const void *b)
{
    return memcmp(((const struct session_id *)a)->bytes, ((const struct session_id *)b)->bytes, 16);
}

void session_each_changed(struct session_table *t, bool all, session_row_fn fn, void *context)
{
    struct buf row;

    buf_init(&row, 0);
    t->visited.count = 0;
    if (t->dropped.count) qsort(t->dropped.at, t->dropped.count, sizeof *t->dropped.at, by_id);
    for (u64 i = 0; i < t->dropped.count; i++) { /* a session may have come back, and gone again */
        if (i > 0 && same_id(&t->dropped.at[i], &t->dropped.at[i - 1])) continue;
        if (find(t, &t->dropped.at[i])) continue;
        fn(context, str_from(t->dropped.at[i].bytes, 16), (str){0});
        ids_add(&t->visited, t->dropped.at[i]);
    }
    t->dropped.count = 0;
    LIST_EACH(l, &t->by_use)
    {
        struct session *s = CONTAINER_OF(l, struct session, by_use);
        if (!s->changed && !all) continue;
        s->changed = false;
        ids_add(&t->visited, s->id);
        buf_clear(&row);
        encode(s, &row);
        fn(context, str_from(s->id.bytes, 16), buf_str(&row));
    }
    buf_done(&row);
}

void session_each(const struct session_table *t, session_row_fn fn, void *context)
{
    struct buf row;

    buf_init(&row, 0);
    LIST_EACH(l, &t->by_use)
    {
        const struct session *s = CONTAINER_OF(l, struct session, by_use);
        buf_clear(&row);
        encode(s, &row);
        fn(context, str_from(s->id.bytes, 16), buf_str(&row));
    }
    buf_done(&row);
}

void session_changes_failed(struct session_table *t)
{
    for (u64 i = 0; i < t->visited.count; i++) {
        struct session *s = find(t, &t->visited.at[i]);
        if (s)
            s->changed = true;
        else
            ids_add(&t->dropped, t->visited.at[i]);
    }
    t->visited.count = 0;
}

err session_restore(struct session_table *t, str id, str value)
{
    struct reader r = reader_of(value);
    struct session_id sid;

    if (id.len != 16) return ERR_MALFORMED;
    mem_copy(sid.bytes, id.at, 16);
    u64 acked = reader_u64(&r), last_hlc = reader_u64(&r), ttl_ms = reader_u64(&r);
    u32 kept = reader_u32(&r);
    if (r.bad || find(t, &sid)) return ERR_MALFORMED;
    struct session *s = add(t, &sid, ttl_ms, acked);
    s->last_hlc = last_hlc;
    for (u32 i = 0; i < kept; i++) {
        u64 seq = reader_u64(&r);
        u32 len = reader_u32(&r);
        str reply = len == LEN_NOT_KEPT ? (str){0} : reader_str(&r, len);
        if (r.bad || seq < s->acked || seq - s->acked >= 2 * SESSION_GATEWAY_WINDOW)
            return ERR_MALFORMED;
        make_room(s, seq);
        for (u64 j = s->end; j < seq; j++) slot(s, j)->present = false;
        result_set(slot(s, seq), reply);
        if (len == LEN_NOT_KEPT) slot(s, seq)->len = LEN_NOT_KEPT;
        s->end = u64_max(s->end, seq + 1);
    }
    return reader_left(&r) ? ERR_MALFORMED : OK;
}

static int by_last_use(const void *a, const void *b)
{
    const struct session *x = *(struct session *const *)a, *y = *(struct session *const *)b;
    if (x->last_hlc != y->last_hlc) return x->last_hlc < y->last_hlc ? -1 : 1;
    return memcmp(x->id.bytes, y->id.bytes, 16);
}

static void sort_by_use(struct session_table *t)
{
    struct session **all = mem_zalloc_array(t->count + 1, sizeof(struct session *));
    u64 n = 0;

    LIST_EACH(l, &t->by_use) all[n++] = CONTAINER_OF(l, struct session, by_use);
    qsort(all, n, sizeof(struct session *), by_last_use);
    list_init(&t->by_use);
    for (u64 i = 0; i < n; i++) list_push(&t->by_use, &all[i]->by_use);
    mem_free(all);
}

void session_restored(struct session_table *t)
{
    sort_by_use(t);
    LIST_EACH(l, &t->by_use) CONTAINER_OF(l, struct session, by_use)->changed = false;
    t->dropped.count = 0;
}

static void copy_results(struct session *s, const struct session *from)
{
    for (u64 seq = u64_max(s->acked, from->acked); seq < from->end; seq++) {
        const struct result *r = &from->ring[seq & (from->cap - 1)];
        if (!r->present || (seq < s->end && slot(s, seq)->present)) continue;
        make_room(s, seq);
        for (u64 i = s->end; i <= seq; i++) slot(s, i)->present = false;
        if (r->len == LEN_NOT_KEPT) {
            slot(s, seq)->present = true;
            slot(s, seq)->len = LEN_NOT_KEPT;
        } else {
            result_set(slot(s, seq), str_from(r->len > RESULT_INLINE ? r->bytes.large : r->bytes.small, r->len));
        }
        s->end = u64_max(s->end, seq + 1);
    }
}

void session_unite(struct session_table *t, const struct session_table *with)
{
    LIST_EACH(l, &with->by_use)
    {
        const struct session *from = CONTAINER_OF(l, struct session, by_use);
        struct session *s = find(t, &from->id);
        if (!s) s = add(t, &from->id, from->ttl_ms, from->acked);
        forget_below(s, from->acked);
        copy_results(s, from);
        s->last_hlc = u64_max(s->last_hlc, from->last_hlc);
        s->ttl_ms = u64_max(s->ttl_ms, from->ttl_ms);
        s->changed = true;
    }
    sort_by_use(t);
}
