/* See parts.h. */
#include "server/parts.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/search.h"
#include "server/node_internal.h"

#define PRESS_EVERY (50 * NANOS_MS)
#define TURN_TIME   (2 * NANOS_MS)

struct parts {
    struct env *env;
    struct kvs *kvs;
    struct wal *wal;
    struct part_host host;
    struct raft_actions *scratch;
    bool any_erased;
    struct store_budget budget;
    struct shipments shipments;
    struct hosted **items; /* by id */
    u32 count, cap;
    struct hosted **heap; /* by wake_at, earliest first; all of them */
    struct list ready, on_log, worked;
    struct part_rows **left; /* of replicas that went while a backup read them */
    u32 left_count;
    u64 durable_seen;
    u64 changes; /* of which partitions there are */
    u64 turns;
    u64 presses;      /* times it was looked for room */
    nanos pressed_at; /* when a checkpoint was last asked for to make room */
};

struct parts *parts_new(struct env *env, struct kvs *kvs, size_t memory_bytes_max,
                        const struct part_host *host)
{
    struct parts *ps = mem_zalloc(sizeof *ps);

    ps->env = env;
    ps->kvs = kvs;
    ps->host = *host;
    ps->host.scratch = &ps->scratch;
    ps->budget.bytes_max = memory_bytes_max;
    list_init(&ps->ready);
    list_init(&ps->on_log);
    list_init(&ps->worked);
    return ps;
}

static void hosted_free(struct hosted *h)
{
    if (h->erase) store_install_abort(h->erase); /* going down: it is found again at the next start */
    gateway_free(h->gateway);
    part_free(h->part); /* both accept NULL */
    store_free(h->store);
    mem_free(h);
}

void parts_free(struct parts *ps)
{
    if (!ps) return;
    for (u32 i = 0; i < ps->count; i++) hosted_free(ps->items[i]);
    parts_drop_rows(ps);
    mem_free(ps->left);
    mem_free(ps->items);
    mem_free(ps->heap);
    mem_free(ps->scratch);
    mem_free(ps);
}

/* ---- which there are ---- */

static u32 place_of(const struct parts *ps, u64 id)
{
    u32 low;

    LOWER_BOUND(low, ps->count, ps->items[low]->id < id);
    return low;
}

struct hosted *parts_find(struct parts *ps, u64 id)
{
    u32 at = place_of(ps, id);
    return at < ps->count && ps->items[at]->id == id ? ps->items[at] : NULL;
}

u32 parts_count(const struct parts *ps)
{
    return ps->count;
}

u64 parts_changes(const struct parts *ps)
{
    return ps->changes;
}

u64 parts_turns(const struct parts *ps)
{
    return ps->turns;
}

struct hosted *parts_at(struct parts *ps, u32 i)
{
    assert(i < ps->count);
    return ps->items[i];
}

/* ---- when each wants to be woken: a binary heap that knows its members' places ---- */

static void heap_set(struct parts *ps, u32 place, struct hosted *h)
{
    ps->heap[place] = h;
    h->heap_place = place;
}

static void heap_fix(struct parts *ps, struct hosted *h)
{
    u32 at = h->heap_place;

    for (u32 up; at > 0 && ps->heap[up = (at - 1) / 2]->wake_at > h->wake_at; at = up)
        heap_set(ps, at, ps->heap[up]);
    for (;;) {
        u32 down = 2 * at + 1;
        if (down >= ps->count) break;
        if (down + 1 < ps->count && ps->heap[down + 1]->wake_at < ps->heap[down]->wake_at) down++;
        if (ps->heap[down]->wake_at >= h->wake_at) break;
        heap_set(ps, at, ps->heap[down]);
        at = down;
    }
    heap_set(ps, at, h);
}

static void wake_at(struct parts *ps, struct hosted *h, nanos at)
{
    if (h->wake_at == at) return;
    h->wake_at = at;
    heap_fix(ps, h);
}

static void heap_remove(struct parts *ps, struct hosted *h)
{
    u32 last = ps->count - 1, at = h->heap_place;
    struct hosted *moved = ps->heap[last];

    if (moved == h) return;
    heap_set(ps, at, moved);
    ps->count--; /* as the caller does for good: the last place is free */
    heap_fix(ps, moved);
    ps->count++;
}

static void insert(struct parts *ps, struct hosted *h)
{
    u32 at = place_of(ps, h->id);

    assert(at == ps->count || ps->items[at]->id != h->id);
    if (ps->count == ps->cap) {
        ps->cap = ps->cap ? 2 * ps->cap : 8;
        ps->items = mem_resize_array(ps->items, ps->cap, sizeof(void *));
        ps->heap = mem_resize_array(ps->heap, ps->cap, sizeof(void *));
    }
    memmove(&ps->items[at + 1], &ps->items[at], (ps->count - at) * sizeof(void *));
    ps->items[at] = h;
    h->wake_at = 0;
    h->heap_place = ps->count++;
    ps->changes++;
    heap_fix(ps, h);
}

/* ---- replicas come and go ---- */

static struct hosted *hosted_new(struct parts *ps, u64 id)
{
    struct hosted *h = mem_zalloc(sizeof *h);

    h->id = id;
    list_init(&h->ready);
    list_init(&h->on_log);
    list_init(&h->worked);
    insert(ps, h);
    return h;
}

struct hosted *parts_add_remote(struct parts *ps, u64 id)
{
    return hosted_new(ps, id);
}

static struct store *open_store(struct parts *ps, u64 id, const struct parts_place *place)
{
    struct store_options so = {.part = id,
                               .by_key = place->by_key,
                               .keyspace_first = place->keyspace_first,
                               .keyspace_count = place->keyspace_count,
                               .budget = &ps->budget};
    return store_new(ps->kvs, &so);
}

err parts_add(struct parts *ps, const struct part_options *options,
              const struct parts_place *place)
{
    struct store *store = open_store(ps, options->id, place);
    struct part *p;

    err e = part_new(ps->env, store, place->machine(place->context, store, place), options, &ps->host, &p);
    if (e) {
        store_free(store);
        return e;
    }
    struct hosted *h = parts_find(ps, options->id);
    if (!h) h = hosted_new(ps, options->id);
    assert(!h->part && !h->store);
    h->store = store;
    h->part = p;
    h->erased = false;
    return OK;
}

err parts_start(struct parts *ps, const struct part_options *options,
                const struct parts_place *place)
{
    err e = parts_add(ps, options, place);
    if (e) return e;
    struct hosted *h = parts_find(ps, options->id);
    e = part_boot(h->part, ps->wal);
    parts_touch(ps, h);
    return e;
}

static void erase(struct parts *ps, struct hosted *h)
{
    struct store_install *in;

    err e = store_install_new(h->store, &in);
    if (e) { /* found again at the next start */
        env_log(ps->env, LOG_ERROR, "partition %llu: its old rows cannot be deleted: %s",
                (unsigned long long)h->id, err_text(e));
        return;
    }
    h->erase = in;
    store_install_prepare(in);
    in->job.owner = h;
    env_job_submit(ps->env, &in->job);
}

void parts_retire(struct parts *ps, struct hosted *h)
{
    assert(h->part);
    h->retiring = true;
    parts_touch(ps, h);
}

void parts_erase_rest(struct parts *ps, u64 id, const struct parts_place *place)
{
    struct hosted *h = parts_find(ps, id);

    if (!h) h = hosted_new(ps, id);
    h->store = open_store(ps, id, place);
    erase(ps, h);
}

/* ---- rows that a backup still reads ---- */

static void free_part(struct parts *ps, struct hosted *h)
{
    struct part_rows *rows = part_cut_take(h->part);

    if (rows) {
        ps->left = mem_resize_array(ps->left, ps->left_count + 1, sizeof(void *));
        ps->left[ps->left_count++] = rows;
    }
    part_free(h->part);
    h->part = NULL;
}

struct part_rows *parts_rows_left(struct parts *ps, u64 id)
{
    for (u32 i = 0; i < ps->left_count; i++)
        if (part_rows_part(ps->left[i]) == id) return ps->left[i];
    return NULL;
}

static void drop_rows(struct parts *ps, nanos now)
{
    u32 kept = 0;

    for (u32 i = 0; i < ps->left_count; i++)
        if (now < part_rows_until(ps->left[i]))
            ps->left[kept++] = ps->left[i];
        else
            part_rows_free(ps->left[i]);
    ps->left_count = kept;
}

void parts_drop_rows(struct parts *ps)
{
    drop_rows(ps, NANOS_NEVER);
}

/* ---- replicas that go ---- */

/* A replica that its left neighbour has taken in. */
static void let_go(struct parts *ps, struct hosted *h)
{
    if (!part_may_be_freed(h->part)) {
        store_tidy(h->store, 4096);
        return;
    }
    free_part(ps, h);
    store_free(h->store);
    h->store = NULL;
    h->was_merged = false;
    h->erased = ps->any_erased = true;
    list_remove(&h->on_log);
    wal_forget(ps->wal, h->id);
}

/* An install of nothing is the deletion of everything. */
static void go_on_retiring(struct parts *ps, struct hosted *h)
{
    if (h->was_merged) {
        let_go(ps, h);
        return;
    }
    if (!h->retiring) return;
    store_tidy(h->store, 4096);
    if (!part_may_be_freed(h->part)) return;
    free_part(ps, h);
    h->retiring = false;
    list_remove(&h->on_log);
    wal_forget(ps->wal, h->id);
    erase(ps, h);
}

bool parts_take_erased(struct parts *ps)
{
    bool any = ps->any_erased;
    ps->any_erased = false;
    return any;
}

static err on_erased(struct hosted *h)
{
    err e = store_install_done(h->erase);

    h->erase = NULL;
    if (e) return e;
    store_free(h->store);
    h->store = NULL;
    h->erased = true;
    return OK;
}

void parts_forget(struct parts *ps, struct hosted *h)
{
    u32 at = place_of(ps, h->id);

    assert(!h->part && !h->store);
    heap_remove(ps, h);
    memmove(&ps->items[at], &ps->items[at + 1], (ps->count - at - 1) * sizeof(void *));
    ps->count--;
    ps->changes++;
    gateway_fail_all(h->gateway); /* whoever asks anew upon that must not find it any more */
    list_remove(&h->ready);
    list_remove(&h->on_log);
    list_remove(&h->worked);
    hosted_free(h);
}

node_id hosted_leader(const struct hosted *h)
{
    return h->part ? part_leader(h->part) : h->leader_hint;
}

void parts_on_replay(void *parts, const struct wal_replayed *r)
{
    struct hosted *h = parts_find(parts, r->frame.part);
    if (h && h->part) part_on_replay(h->part, r);
}

/* Nobody knows whose frames the damaged bytes held. */
void parts_on_damage(void *parts, const struct wal_damage *d)
{
    struct parts *ps = parts;
    for (u32 i = 0; i < ps->count; i++)
        if (ps->items[i]->part) part_on_damage(ps->items[i]->part, d);
}

static bool is_hosted(void *context, u64 part)
{
    const struct hosted *h = parts_find(context, part);
    return h && h->part;
}

err parts_boot(struct parts *ps, struct wal *wal)
{
    err e = OK;

    ps->wal = wal;
    for (u32 i = 0; i < ps->count && !e; i++)
        if (ps->items[i]->part) e = part_boot(ps->items[i]->part, wal);
    wal_forget_others(wal, is_hosted, ps);
    ps->durable_seen = wal_durable(wal);
    parts_touch_all(ps);
    return e;
}

/* ---- the turn ---- */

void parts_touch(struct parts *ps, struct hosted *h)
{
    if (list_is_empty(&h->ready)) list_push(&ps->ready, &h->ready);
}

void parts_touch_all(struct parts *ps)
{
    for (u32 i = 0; i < ps->count; i++) parts_touch(ps, ps->items[i]);
}

void parts_note_worked(struct parts *ps, struct hosted *h)
{
    if (list_is_empty(&h->worked)) list_push(&ps->worked, &h->worked);
}

struct list *parts_worked(struct parts *ps)
{
    return &ps->worked;
}

static void touch_due(struct parts *ps, nanos now)
{
    while (ps->count && ps->heap[0]->wake_at <= now) {
        parts_touch(ps, ps->heap[0]);
        wake_at(ps, ps->heap[0], NANOS_NEVER); /* until its turn says otherwise */
    }
    if (wal_durable(ps->wal) == ps->durable_seen) return;
    ps->durable_seen = wal_durable(ps->wal);
    LIST_EACH_SAFE(l, &ps->on_log)
    {
        struct hosted *h = CONTAINER_OF(l, struct hosted, on_log);
        list_remove(l);
        parts_touch(ps, h);
    }
}

/* One partition's share; true: it asks for another turn at once. */
static err take_turn(struct parts *ps, struct hosted *h, nanos now, bool *more)
{
    nanos at = NANOS_NEVER;

    ps->turns++;
    if (h->gateway) {
        gateway_turn(h->gateway, now);
        at = gateway_deadline(h->gateway);
    }
    if (h->retiring || h->was_merged) go_on_retiring(ps, h);
    if (!h->part) {
        wake_at(ps, h, at);
        return OK;
    }
    err e = part_turn(h->part, more);
    if (e) return e;
    parts_note_worked(ps, h);
    if (h->gateway) at = gateway_deadline(h->gateway); /* answers have changed it */
    if (part_waits_for_log(h->part) && list_is_empty(&h->on_log)) list_push(&ps->on_log, &h->on_log);
    if (h->retiring || h->was_merged) at = u64_min(at, now + 20 * NANOS_MS);
    wake_at(ps, h, u64_min(part_deadline(h->part), at));
    return OK;
}

/* A store of a partition at rest gives memory back too while all of them hold too much; and what only a checkpoint
 * frees, it frees where there is most of it, one after the other. */
static void make_room(struct parts *ps, nanos now)
{
    struct hosted *most = NULL;
    size_t bytes = 0;

    ps->presses++;
    for (u32 i = 0; i < ps->count; i++) {
        struct hosted *h = ps->items[i];
        if (h->store) store_tidy(h->store, 64);
        if (!h->part || store_dirty_bytes(h->store) <= bytes) continue;
        most = h;
        bytes = store_dirty_bytes(h->store);
    }
    if (bytes < ps->budget.bytes_max / 64 || now < ps->pressed_at + PRESS_EVERY) return;
    ps->pressed_at = now;
    part_checkpoint(most->part);
    parts_touch(ps, most);
}

/* With thousands of partitions at work a turn ends here, and the rest takes the next one. */
static bool is_long(const struct parts *ps, nanos began, u32 taken)
{
    return taken % 16 == 0 && env_mono(ps->env) > began + TURN_TIME;
}

err parts_turn(struct parts *ps, nanos now, bool *more)
{
    nanos began = env_mono(ps->env);
    struct list batch;
    u32 taken = 0;

    touch_due(ps, now);
    list_init(&batch);
    list_splice(&batch, &ps->ready);
    for (struct list *l; (l = list_first(&batch));) {
        struct hosted *h = CONTAINER_OF(l, struct hosted, ready);
        bool again = false;
        list_remove(l);
        err e = take_turn(ps, h, now, &again);
        if (e) {
            env_log(ps->env, LOG_ERROR, "partition %llu cannot go on", (unsigned long long)h->id);
            list_splice(&ps->ready, &batch);
            return e;
        }
        if (again) parts_touch(ps, h);
        if (is_long(ps, began, ++taken)) break;
    }
    list_splice(&batch, &ps->ready); /* those who waited go first */
    list_splice(&ps->ready, &batch);
    if (ps->budget.bytes > ps->budget.bytes_max) make_room(ps, now);
    drop_rows(ps, now);
    *more |= !list_is_empty(&ps->ready);
    return OK;
}

nanos parts_deadline(const struct parts *ps)
{
    return ps->count ? ps->heap[0]->wake_at : NANOS_NEVER;
}

err parts_on_job(struct parts *ps, struct env_job *job)
{
    for (u32 i = 0; i < ps->count; i++) {
        struct hosted *h = ps->items[i];
        if (job->owner == h) {
            ps->any_erased = true;
            return on_erased(h);
        }
        if (!h->part || job->owner != h->part) continue;
        parts_touch(ps, h);
        return part_on_job(h->part, job);
    }
    panic("a job without an owner: kind %u", job->kind);
}

size_t parts_memory(const struct parts *ps)
{
    size_t bytes = 0;
    for (u32 i = 0; i < ps->count; i++)
        if (ps->items[i]->part)
            bytes += store_memory_bytes(ps->items[i]->store) +
                     raft_tail_bytes(part_raft(ps->items[i]->part));
    return bytes;
}

void parts_budget(const struct parts *ps, u64 *bytes_max, u64 *bytes, u64 *exceeded)
{
    *bytes_max = ps->budget.bytes_max;
    *bytes = ps->budget.bytes;
    *exceeded = ps->presses;
}

struct shipments *parts_shipments(struct parts *ps)
{
    return &ps->shipments;
}
