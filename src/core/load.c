/* From rows to objects, once after a start or an installed snapshot; and what must hold between
 * them. */
#include "core/core_internal.h"

#include "base/hash.h"

#include <stdlib.h>

struct loading {
    struct core *core;
    err failed;
};

err core_load_row(struct core *c, str key, str value)
{
    struct core_node node;
    struct core_keyspace ks;
    struct core_part part;
    err e;

    switch (key.len ? key.at[0] : 0) {
    case CORE_CLUSTER: c->founded = true; return core_cluster_decode(value, &c->cluster);
    case CORE_NODE:
        e = core_node_decode(value, &node);
        if (e) return e;
        c->nodes = core_grow(c->nodes, c->node_count, &c->node_cap);
        c->nodes[c->node_count++] = mem_copy_of(&node, sizeof node);
        return OK;
    case CORE_KS:
        e = core_keyspace_decode(value, &ks);
        if (e) return e;
        c->keyspaces = core_grow(c->keyspaces, c->keyspace_count, &c->keyspace_cap);
        c->keyspaces[c->keyspace_count++] = mem_copy_of(&ks, sizeof ks);
        return OK;
    case CORE_PART:
        e = core_part_decode(value, &part);
        if (e) return e;
        c->parts = core_grow(c->parts, c->part_count, &c->part_cap);
        c->parts[c->part_count++] = mem_copy_of(&part, sizeof part);
        return OK;
    default: return ERR_CORRUPT;
    }
}

static bool visit_row(void *context, str key, str value)
{
    struct loading *l = context;

    l->failed = core_load_row(l->core, key, value);
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
        if (!core_find_node(c, p->members[i].node)) return false;
        if (core_member_is_lost(c, &p->members[i])) continue;
        for (u32 j = 0; j < i; j++) {
            const struct core_member *m = &p->members[j];
            if (m->node == p->members[i].node && !core_member_is_lost(c, m)) return false;
        }
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
        k->parts = core_grow(k->parts, k->part_count, &k->part_cap);
        k->parts[k->part_count++] = p;
        core_count_replicas(c, p, 1);
    }
    for (u32 i = 0; i < c->keyspace_count; i++) {
        struct core_keyspace *k = c->keyspaces[i];
        if (k->part_count) qsort((void *)k->parts, k->part_count, sizeof(void *), parts_by_span);
        if (!spans_are_whole(k) || k->id >= c->cluster.next_keyspace) return false;
    }
    for (u32 i = 0; i < c->node_count; i++)
        if (c->nodes[i]->id >= c->cluster.next_node) return false;
    return true;
}

err core_load_done(struct core *c)
{
    if (c->node_count) qsort((void *)c->nodes, c->node_count, sizeof(void *), nodes_by_id);
    if (c->keyspace_count)
        qsort((void *)c->keyspaces, c->keyspace_count, sizeof(void *), keyspaces_by_id);
    if (c->part_count) qsort((void *)c->parts, c->part_count, sizeof(void *), parts_by_id);
    return link_parts(c) ? OK : ERR_CORRUPT;
}

err core_load(struct core *c)
{
    struct loading l = {.core = c};
    u64 cursor = 0;

    core_empty(c);
    do {
        err e = store_scan(c->store, CORE_STORE_KEYSPACE, cursor, 1024, visit_row, &l, &cursor);
        if (e) return e;
        if (l.failed) return l.failed;
    } while (cursor);
    if (!c->founded) return c->node_count + c->keyspace_count + c->part_count ? ERR_CORRUPT : OK;
    err e = core_load_done(c);
    c->changes_after = c->cluster.epoch;
    c->cluster_changed = c->cluster.epoch;
    return e;
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
            for (u32 m = 0; m < c->parts[j]->member_count; m++)
                replicas += c->parts[j]->members[m].node == c->nodes[i]->id;
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
