/* A copy of the map at who is no replica of the core: the same objects without rows under them, brought up to
 * date by deltas and pages (map.c). */
#include "core/core_internal.h"

static void take_out_node(struct core *c, u64 id)
{
    u32 kept = 0;

    for (u32 i = 0; i < c->node_count; i++) {
        if (c->nodes[i]->id != id)
            c->nodes[kept++] = c->nodes[i];
        else
            mem_free(c->nodes[i]);
    }
    c->node_count = kept;
}

static void take_out_keyspace(struct core *c, u64 id)
{
    u32 kept = 0;

    for (u32 i = 0; i < c->keyspace_count; i++) {
        if (c->keyspaces[i]->id != id) {
            c->keyspaces[kept++] = c->keyspaces[i];
            continue;
        }
        mem_free((void *)c->keyspaces[i]->parts);
        mem_free(c->keyspaces[i]);
    }
    c->keyspace_count = kept;
}

static void take_out_part(struct core *c, u64 id)
{
    u32 kept = 0;

    for (u32 i = 0; i < c->part_count; i++) {
        if (c->parts[i]->id != id) {
            c->parts[kept++] = c->parts[i];
            continue;
        }
        core_part_done(c->parts[i]);
        mem_free(c->parts[i]);
    }
    c->part_count = kept;
}

/* One object; in a delta in place of the one of its kind and id. */
static err take_object(struct core *c, const struct core_object *o, bool is_page)
{
    u8 key[1] = {o->kind};

    switch (is_page ? 0 : o->kind) {
    case CORE_NODE: take_out_node(c, o->id); break;
    case CORE_KS: take_out_keyspace(c, o->id); break;
    case CORE_PART: take_out_part(c, o->id); break;
    default: break;
    }
    return o->gone ? OK : core_load_row(c, str_from(key, 1), o->row);
}

err core_copy_take(struct core *c, str bytes)
{
    struct core_map map;
    struct core_object o;

    err e = core_map_decode(bytes, &map);
    if (e) return e;
    bool is_page = map.flags & CORE_MAP_PAGE;
    if (!is_page && map.from != c->cluster.epoch) return ERR_STALE;
    for (u32 i = 0; i < map.count; i++) {
        if (!core_map_next(&map, &o)) return ERR_MALFORMED;
        e = take_object(c, &o, is_page);
        if (e) return e;
    }
    if (!is_page) c->cluster.epoch = map.to;
    return OK;
}

err core_copy_done(struct core *c)
{
    for (u32 i = 0; i < c->keyspace_count; i++) c->keyspaces[i]->part_count = 0;
    for (u32 i = 0; i < c->node_count; i++) c->nodes[i]->replicas = 0;
    c->changes_after = c->cluster_changed = c->cluster.epoch; /* who asks it for changes is sent to the pages */
    return c->founded ? core_load_done(c) : OK;
}

struct core *core_copy_of(const struct core *c)
{
    struct core *copy;
    struct buf page;

    if (!c->founded) return NULL;
    copy = core_new(NULL);
    buf_init(&page, 0);
    core_page(c, 0, 0, 0, SIZE_MAX, &page);
    err e = core_copy_take(copy, buf_str(&page));
    if (!e) e = core_copy_done(copy);
    assert(!e); /* a map that could not be copied is no map */
    copy->changes_after = copy->cluster_changed = copy->cluster.epoch;
    buf_done(&page);
    return copy;
}
