/* The objects in memory, in order, over their rows in the store. Rows are read once, by core_load;
 * after that the memory answers and the store is written through. */
#include "core/core_internal.h"

#include "base/bytes.h"
#include "base/search.h"

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

void core_empty(struct core *c)
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
    core_empty(c);
    mem_free(c->nodes);
    mem_free(c->keyspaces);
    mem_free(c->parts);
    mem_free(c->changes);
    buf_done(&c->row);
    mem_free(c);
}

/* ---- finding: each array is sorted by id, and new ids are the greatest ---- */

#define FIND_BY_ID(items, count, wanted)                                                           \
    u32 low;                                                                                       \
    LOWER_BOUND(low, count, (items)[low]->id < (wanted));                                          \
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
void *core_grow(void *items, u32 count, u32 *cap)
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
    u32 low;

    LOWER_BOUND(low, k->part_count, core_span_compare(k->parts[low], &at) < 0);
    return low;
}

void core_add_node(struct core *c, struct core_node *n)
{
    assert(c->node_count == 0 || c->nodes[c->node_count - 1]->id < n->id);
    c->nodes = core_grow(c->nodes, c->node_count, &c->node_cap);
    c->nodes[c->node_count++] = n;
}

void core_add_keyspace(struct core *c, struct core_keyspace *k)
{
    assert(c->keyspace_count == 0 || c->keyspaces[c->keyspace_count - 1]->id < k->id);
    c->keyspaces = core_grow(c->keyspaces, c->keyspace_count, &c->keyspace_cap);
    c->keyspaces[c->keyspace_count++] = k;
}

static void span_add(struct core_keyspace *k, struct core_part *p)
{
    u32 at = core_span_index(k, p->is_range, p->slot_first, p->from);

    k->parts = core_grow(k->parts, k->part_count, &k->part_cap);
    memmove(&k->parts[at + 1], &k->parts[at], (k->part_count - at) * sizeof(void *));
    k->parts[at] = p;
    k->part_count++;
}

void core_count_replicas(struct core *c, const struct core_part *p, i32 by)
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
    c->parts = core_grow(c->parts, c->part_count, &c->part_cap);
    memmove(&c->parts[at + 1], &c->parts[at], (c->part_count - at) * sizeof(void *));
    c->parts[at] = p;
    c->part_count++;
    span_add(core_find_keyspace(c, p->keyspace), p);
    core_count_replicas(c, p, 1);
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

    if (c->store) /* a copy has none */
        store_put(c->store, CORE_STORE_KEYSPACE, row_key(key, kind, id), buf_str(&c->row), (str){0});
    if (c->row.cap > MIB) buf_done(&c->row);
}

static void delete_row(struct core *c, enum core_object_kind kind, u64 id)
{
    u8 key[9];

    if (c->store) store_delete(c->store, CORE_STORE_KEYSPACE, row_key(key, kind, id));
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

    core_count_replicas(c, p, -1);
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
        core_count_replicas(c, p, -1);
        delete_row(c, CORE_PART, p->id);
        part_free(p);
    }
    c->part_count = kept;
    delete_row(c, CORE_KS, k->id);
    take_out((void **)c->keyspaces, &c->keyspace_count, k);
    keyspace_free(k);
}
