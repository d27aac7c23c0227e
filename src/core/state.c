/* The objects in memory, in order, over their rows in the store. Rows are read once, by core_load; after
 * that the memory answers and the store is written through. */
#include "core/core_internal.h"

#include "base/bytes.h"
#include "base/hash.h"

#include <stdlib.h>

struct core *core_new(struct store *store)
{
    struct core *c = mem_zalloc(sizeof *c);

    c->store = store;
    c->changes = mem_zalloc_array(CORE_CHANGES_KEPT, sizeof *c->changes);
    buf_init(&c->row, 0);
    return c;
}

static void part_free(struct core_part *p)
{
    core_part_done(p);
    mem_free(p);
}

static void keyspace_free(struct core_keyspace *k)
{
    mem_free(k->parts);
    mem_free(k);
}

static void empty(struct core *c)
{
    for (u32 i = 0; i < c->node_count; i++) mem_free(c->nodes[i]);
    for (u32 i = 0; i < c->keyspace_count; i++) keyspace_free(c->keyspaces[i]);
    for (u32 i = 0; i < c->part_count; i++) part_free(c->parts[i]);
    c->node_count = c->keyspace_count = c->part_count = 0;
    c->founded = false;
    c->cluster = (struct core_cluster){0};
    c->change_first = c->change_count = 0;
    c->changes_after = 0;
}

void core_free(struct core *c)
{
    if (!c) return;
    empty(c);
    mem_free(c->nodes);
    mem_free(c->keyspaces);
    mem_free(c->parts);
    mem_free(c->changes);
    buf_done(&c->row);
    mem_free(c);
}

/* ---- finding: each array is sorted by id, and new ids are the greatest ---- */

#define FIND_BY_ID(items, count, wanted)                                                           \
    u32 low = 0, high = (count);                                                                   \
    while (low < high) {                                                                           \
        u32 middle = low + (high - low) / 2;                                                       \
        if ((items)[middle]->id < (wanted))                                                        \
            low = middle + 1;                                                                      \
        else                                                                                       \
            high = middle;                                                                         \
    }                                                                                              \
    return low < (count) && (items)[low]->id == (wanted) ? (items)[low] : NULL

struct core_node *core_find_node(const struct core *c, u32 id)
{
    FIND_BY_ID(c->nodes, c->node_count, id);
}

struct core_keyspace *core_find_keyspace(const struct core *c, u32 id)
{
    FIND_BY_ID(c->keyspaces, c->keyspace_count, id);
}

struct core_part *core_find_part(const struct core *c, u64 id)
{
    FIND_BY_ID(c->parts, c->part_count, id);
}

/* Room for one more pointer at the end of an array of pointers. */
static void *grow(void *items, u32 count, u32 *cap)
{
    if (count < *cap) return items;
    *cap = *cap ? *cap * 2 : 16;
    return mem_resize_array(items, *cap, sizeof(void *));
}

int core_span_compare(const struct core_part *a, const struct core_part *b)
{
    assert(a->is_range == b->is_range);
    if (a->is_range) return str_compare(a->from, b->from);
    return (a->slot_first > b->slot_first) - (a->slot_first < b->slot_first);
}

u32 core_span_index(const struct core_keyspace *k, bool is_range, u16 slot, str key)
{
    struct core_part at = {.is_range = is_range, .slot_first = slot, .from = key};
    u32 low = 0, high = k->part_count;

    while (low < high) {
        u32 middle = low + (high - low) / 2;
        if (core_span_compare(k->parts[middle], &at) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void core_add_node(struct core *c, struct core_node *n)
{
    assert(c->node_count == 0 || c->nodes[c->node_count - 1]->id < n->id);
    c->nodes = grow(c->nodes, c->node_count, &c->node_cap);
    c->nodes[c->node_count++] = n;
}

void core_add_keyspace(struct core *c, struct core_keyspace *k)
{
    assert(c->keyspace_count == 0 || c->keyspaces[c->keyspace_count - 1]->id < k->id);
    c->keyspaces = grow(c->keyspaces, c->keyspace_count, &c->keyspace_cap);
    c->keyspaces[c->keyspace_count++] = k;
}

static void span_add(struct core_keyspace *k, struct core_part *p)
{
    u32 at = core_span_index(k, p->is_range, p->slot_first, p->from);

    k->parts = grow(k->parts, k->part_count, &k->part_cap);
    memmove(&k->parts[at + 1], &k->parts[at], (k->part_count - at) * sizeof(void *));
    k->parts[at] = p;
    k->part_count++;
}

static void count_replicas(struct core *c, const struct core_part *p, i32 by)
{
    for (u32 i = 0; i < p->member_count; i++)
        core_find_node(c, p->members[i].node)->replicas += (u32)by;
}

/* Not always the greatest id: a split's upper half got its own when the split began. */
void core_add_part(struct core *c, struct core_part *p)
{
    u32 at = c->part_count;

    while (at > 0 && c->parts[at - 1]->id > p->id) at--;
    assert(at == 0 || c->parts[at - 1]->id != p->id);
    c->parts = grow(c->parts, c->part_count, &c->part_cap);
    memmove(&c->parts[at + 1], &c->parts[at], (c->part_count - at) * sizeof(void *));
    c->parts[at] = p;
    c->part_count++;
    span_add(core_find_keyspace(c, p->keyspace), p);
    count_replicas(c, p, 1);
}

/* ---- rows ---- */

static str row_key(u8 out[9], enum core_object_kind kind, u64 id)
{
    out[0] = (u8)kind;
    if (kind == CORE_CLUSTER) return str_from(out, 1);
    if (kind == CORE_PART) {
        put_u64be(out + 1, id);
        return str_from(out, 9);
    }
    put_u32be(out + 1, (u32)id);
    return str_from(out, 5);
}

static void write_row(struct core *c, enum core_object_kind kind, u64 id)
{
    u8 key[9];

    store_put(c->store, CORE_STORE_KEYSPACE, row_key(key, kind, id), buf_str(&c->row), (str){0});
    if (c->row.cap > MIB) buf_done(&c->row);
}

static void delete_row(struct core *c, enum core_object_kind kind, u64 id)
{
    u8 key[9];

    store_delete(c->store, CORE_STORE_KEYSPACE, row_key(key, kind, id));
}

static void note_change(struct core *c, enum core_object_kind kind, u64 id)
{
    u32 at = (c->change_first + c->change_count) % CORE_CHANGES_KEPT;

    if (c->change_count == CORE_CHANGES_KEPT) {
        c->changes_after = c->changes[c->change_first].epoch;
        c->change_first = (c->change_first + 1) % CORE_CHANGES_KEPT;
    } else {
        c->change_count++;
    }
    c->changes[at] = (struct core_change){.epoch = c->cluster.epoch, .id = id, .kind = (u8)kind};
}

/* The first change of a command raises the map's epoch; all changes of one command share it. */
static void stamp(struct core_call *call)
{
    if (call->stamped) return;
    call->stamped = true;
    if (!MUTANT(core_epoch_not_raised)) call->core->cluster.epoch++;
}

void core_save_cluster(struct core_call *call)
{
    stamp(call); /* core_apply writes the row, which holds the epoch, after every change */
    call->core->cluster_changed = call->core->cluster.epoch;
    note_change(call->core, CORE_CLUSTER, 0);
}

void core_save_node(struct core_call *call, struct core_node *n)
{
    stamp(call);
    n->changed = call->core->cluster.epoch;
    buf_clear(&call->core->row);
    core_node_encode(n, &call->core->row);
    write_row(call->core, CORE_NODE, n->id);
    note_change(call->core, CORE_NODE, n->id);
}

void core_save_keyspace(struct core_call *call, struct core_keyspace *k)
{
    stamp(call);
    k->changed = call->core->cluster.epoch;
    buf_clear(&call->core->row);
    core_keyspace_encode(k, &call->core->row);
    write_row(call->core, CORE_KS, k->id);
    note_change(call->core, CORE_KS, k->id);
}

void core_save_leader(struct core_call *call, struct core_part *p)
{
    stamp(call);
    p->changed = call->core->cluster.epoch;
    buf_clear(&call->core->row);
    core_part_encode(p, &call->core->row);
    write_row(call->core, CORE_PART, p->id);
    note_change(call->core, CORE_PART, p->id);
}

void core_save_part(struct core_call *call, struct core_part *p)
{
    stamp(call);
    p->epoch = call->core->cluster.epoch;
    core_save_leader(call, p);
}

void core_note_gone(struct core_call *call, enum core_object_kind kind, u64 id)
{
    stamp(call);
    note_change(call->core, kind, id);
}

void core_write_cluster(struct core *c)
{
    buf_clear(&c->row);
    core_cluster_encode(&c->cluster, &c->row);
    write_row(c, CORE_CLUSTER, 0);
}

/* ---- taking away ---- */

static u32 index_of(void *const *items, u32 count, const void *item)
{
    for (u32 i = 0; i < count; i++)
        if (items[i] == item) return i;
    panic("core: an object is not in its list");
}

static void take_out(void **items, u32 *count, const void *item)
{
    u32 at = index_of(items, *count, item);

    memmove(&items[at], &items[at + 1], (*count - at - 1) * sizeof(void *));
    --*count;
}

void core_forget_node(struct core *c, struct core_node *n)
{
    assert(n->replicas == 0);
    delete_row(c, CORE_NODE, n->id);
    take_out((void **)c->nodes, &c->node_count, n);
    mem_free(n);
}

void core_drop_part(struct core *c, struct core_part *p)
{
    struct core_keyspace *k = core_find_keyspace(c, p->keyspace);

    count_replicas(c, p, -1);
    delete_row(c, CORE_PART, p->id);
    take_out((void **)k->parts, &k->part_count, p);
    take_out((void **)c->parts, &c->part_count, p);
    part_free(p);
}

void core_drop_keyspace(struct core *c, struct core_keyspace *k)
{
    u32 kept = 0;

    for (u32 i = 0; i < c->part_count; i++) {
        struct core_part *p = c->parts[i];
        if (p->keyspace != k->id) {
            c->parts[kept++] = p;
            continue;
        }
        count_replicas(c, p, -1);
        delete_row(c, CORE_PART, p->id);
        part_free(p);
    }
    c->part_count = kept;
    delete_row(c, CORE_KS, k->id);
    take_out((void **)c->keyspaces, &c->keyspace_count, k);
    keyspace_free(k);
}

/* ---- loading ---- */

struct loading {
    struct core *core;
    err failed;
};

static err load_row(struct core *c, str key, str value)
{
    struct core_node node;
    struct core_keyspace ks;
    struct core_part part;
    err e;

    switch (key.len ? key.at[0] : 0) {
    case CORE_CLUSTER:
        c->founded = true;
        return core_cluster_decode(value, &c->cluster);
    case CORE_NODE:
        e = core_node_decode(value, &node);
        if (e) return e;
        c->nodes = grow(c->nodes, c->node_count, &c->node_cap);
        c->nodes[c->node_count++] = mem_copy_of(&node, sizeof node);
        return OK;
    case CORE_KS:
        e = core_keyspace_decode(value, &ks);
        if (e) return e;
        c->keyspaces = grow(c->keyspaces, c->keyspace_count, &c->keyspace_cap);
        c->keyspaces[c->keyspace_count++] = mem_copy_of(&ks, sizeof ks);
        return OK;
    case CORE_PART:
        e = core_part_decode(value, &part);
        if (e) return e;
        c->parts = grow(c->parts, c->part_count, &c->part_cap);
        c->parts[c->part_count++] = mem_copy_of(&part, sizeof part);
        return OK;
    default: return ERR_CORRUPT;
    }
}

static bool visit_row(void *context, str key, str value)
{
    struct loading *l = context;

    l->failed = load_row(l->core, key, value);
    return l->failed == OK;
}

#define BY_ID(type, name)                                                                          \
    static int name(const void *a, const void *b)                                                  \
    {                                                                                              \
        const struct type *const *x = a, *const *y = b;                                            \
        return ((*x)->id > (*y)->id) - ((*x)->id < (*y)->id);                                      \
    }
BY_ID(core_node, nodes_by_id)
BY_ID(core_keyspace, keyspaces_by_id)
BY_ID(core_part, parts_by_id)

static int parts_by_span(const void *a, const void *b)
{
    const struct core_part *const *x = a, *const *y = b;
    return core_span_compare(*x, *y);
}

/* Do the partitions of a keyspace follow each other without gap or overlap? */
static bool spans_are_whole(const struct core_keyspace *k)
{
    u32 slot = 0;
    str key = {0};

    if (k->part_count == 0) return false;
    for (u32 i = 0; i < k->part_count; i++) {
        const struct core_part *p = k->parts[i];
        if (p->is_range != (k->settings[CORE_PARTITIONS] == 0)) return false;
        if (p->is_range ? !str_equal(p->from, key) : p->slot_first != slot) return false;
        if (p->is_range && i + 1 < k->part_count && p->to.len == 0) return false;
        slot = (u32)p->slot_last + 1;
        key = p->to;
    }
    return k->settings[CORE_PARTITIONS] == 0 ? key.len == 0 : slot == CORE_SLOTS;
}

static bool part_is_good(const struct core *c, const struct core_part *p)
{
    const struct core_keyspace *k = core_find_keyspace(c, p->keyspace);

    if (!k || p->id >= c->cluster.next_part) return false;
    if (p->is_range != (k->settings[CORE_PARTITIONS] == 0)) return false;
    if (p->epoch > p->changed || p->changed > c->cluster.epoch) return false;
    for (u32 i = 0; i < p->member_count; i++) {
        const struct core_node *n = core_find_node(c, p->members[i].node);
        if (!n || memcmp(&n->incarnation, &p->members[i].incarnation, sizeof n->incarnation))
            return false;
        for (u32 j = 0; j < i; j++)
            if (p->members[j].node == n->id) return false;
    }
    if (p->leader && !core_part_member(p, p->leader)) return false;
    if (p->op.in && !core_part_member(p, p->op.in)) return false;
    return !p->op.out || core_part_member(p, p->op.out);
}

static bool link_parts(struct core *c)
{
    for (u32 i = 0; i < c->part_count; i++) {
        struct core_part *p = c->parts[i];
        if (!part_is_good(c, p)) return false;
        struct core_keyspace *k = core_find_keyspace(c, p->keyspace);
        k->parts = grow(k->parts, k->part_count, &k->part_cap);
        k->parts[k->part_count++] = p;
        count_replicas(c, p, 1);
    }
    for (u32 i = 0; i < c->keyspace_count; i++) {
        struct core_keyspace *k = c->keyspaces[i];
        if (k->part_count)
            qsort((void *)k->parts, k->part_count, sizeof(void *), parts_by_span);
        if (!spans_are_whole(k) || k->id >= c->cluster.next_keyspace) return false;
    }
    for (u32 i = 0; i < c->node_count; i++)
        if (c->nodes[i]->id >= c->cluster.next_node) return false;
    return true;
}

err core_load(struct core *c)
{
    struct loading l = {.core = c};
    u64 cursor = 0;

    empty(c);
    do {
        err e = store_scan(c->store, CORE_STORE_KEYSPACE, cursor, 1024, visit_row, &l, &cursor);
        if (e) return e;
        if (l.failed) return l.failed;
    } while (cursor);
    if (!c->founded) return c->node_count + c->keyspace_count + c->part_count ? ERR_CORRUPT : OK;
    if (c->node_count) qsort((void *)c->nodes, c->node_count, sizeof(void *), nodes_by_id);
    if (c->keyspace_count)
        qsort((void *)c->keyspaces, c->keyspace_count, sizeof(void *), keyspaces_by_id);
    if (c->part_count) qsort((void *)c->parts, c->part_count, sizeof(void *), parts_by_id);
    if (!link_parts(c)) return ERR_CORRUPT;
    c->changes_after = c->cluster.epoch;
    c->cluster_changed = c->cluster.epoch;
    return OK;
}

/* ---- for tests ---- */

void core_check(const struct core *c)
{
    for (u32 i = 0; i < c->part_count; i++) {
        assert(i == 0 || c->parts[i - 1]->id < c->parts[i]->id);
        assert(part_is_good(c, c->parts[i]));
    }
    for (u32 i = 0; i < c->node_count; i++) {
        u32 replicas = 0;
        assert(i == 0 || c->nodes[i - 1]->id < c->nodes[i]->id);
        for (u32 j = 0; j < c->part_count; j++)
            replicas += core_part_member_on(c->parts[j], c->nodes[i]->id) != NULL;
        assert(replicas == c->nodes[i]->replicas);
        assert(c->nodes[i]->id < c->cluster.next_node);
    }
    for (u32 i = 0; i < c->keyspace_count; i++) assert(spans_are_whole(c->keyspaces[i]));
}

static bool digest_row(void *context, str key, str value)
{
    u64 *digest = context;

    *digest = hash_mix(*digest, hash64(key.at, key.len));
    *digest = hash_mix(*digest, hash64(value.at, value.len));
    return true;
}

err core_digest(struct core *c, u64 *out)
{
    u64 cursor = 0;

    *out = 0;
    do {
        err e = store_scan(c->store, CORE_STORE_KEYSPACE, cursor, 1024, digest_row, out, &cursor);
        if (e) return e;
    } while (cursor);
    return OK;
}
