/* See routes.h. */
#include "server/routes.h"

#include "base/mem.h"
#include "base/mutant.h"
#include "server/node_internal.h"

struct routes *routes_new(struct node *n)
{
    struct routes *r = mem_zalloc(sizeof *r);

    r->node = n;
    r->version = 1;
    list_init(&r->keyspaces);
    routes_look(r);
    return r;
}

void routes_free(struct routes *r)
{
    if (!r) return;
    assert(list_is_empty(&r->keyspaces));
    mem_free(r);
}

const struct core *routes_map(const struct routes *r)
{
    const struct core *map = node_map(r->node);
    return map && core_cluster(map) ? map : NULL;
}

bool routes_map_is_awaited(const struct routes *r)
{
    const struct core *map = node_map(r->node);
    return map && !core_cluster(map);
}

void routes_look(struct routes *r)
{
    const struct core *map = routes_map(r);
    u64 map_epoch = map ? core_cluster(map)->epoch : 0; /* 0: before the founding */
    u64 parts_epoch = parts_changes(node_parts(r->node));

    if (map_epoch == r->map_epoch && parts_epoch == r->parts_epoch) return;
    r->map_epoch = map_epoch;
    r->parts_epoch = parts_epoch;
    r->version++;
}

u32 routes_numbered(const struct routes *r, u32 id)
{
    const struct core *map = routes_map(r);

    if (id == CORE_KEYSPACE) return 0; /* the cluster's own */
    if (!map) return id == CORE_KEYSPACE_DEFAULT ? id : 0;
    return core_keyspace(map, id) ? id : 0;
}

u32 routes_named(const struct routes *r, str name)
{
    const struct core *map = routes_map(r);

    if (!map) return str_equal(name, STR("default")) ? CORE_KEYSPACE_DEFAULT : 0;
    const struct core_keyspace *k = core_keyspace_named(map, name);
    return k && k->id != CORE_KEYSPACE ? k->id : 0;
}

/* ---- the table of a keyspace ---- */

static void set_count(struct keyspace_routes *k, u32 count)
{
    if (count > k->count) k->items = mem_resize_array(k->items, count, sizeof *k->items);
    k->count = count;
    for (u32 i = 0; i < count; i++) k->items[i] = (struct route){0};
}

static void make_alone(struct keyspace_routes *k)
{
    bool is_default = k->id == CORE_KEYSPACE_DEFAULT;

    set_count(k, is_default);
    k->is_range = false;
    k->name = (struct core_text){0};
    if (!is_default) return;
    k->items[0].part = PART_DEFAULT;
    k->name.len = 7;
    memcpy(k->name.bytes, "default", 7);
}

static void make_of_map(struct keyspace_routes *k, const struct core_keyspace *from)
{
    set_count(k, from ? from->part_count : 0);
    if (!from) return; /* dropped: the name stays, to be told */
    k->is_range = from->settings[CORE_PARTITIONS] == 0;
    k->name = from->name;
    if (!level_from_u64(from->settings[CORE_LEVEL], &k->level)) k->level = (struct level){0}; /* strongest */
    for (u32 i = 0, near = 0; i < k->count; i++) {
        const struct core_part *p = from->parts[i];
        k->items[i] = (struct route){.part = p->id, .slot_first = p->slot_first};
        if (k->is_range) continue;
        for (; near < ARRAY_LEN(k->near) && near * 64 <= p->slot_last; near++)
            k->near[near] = (u16)i;
    }
}

static struct hosted *find(const struct routes *r, u64 part)
{
    struct hosted *h = parts_find(node_parts(r->node), part);
    return h && h->gateway ? h : NULL;
}

void routes_refresh(struct routes *r, struct keyspace_routes *k)
{
    const struct core *map = routes_map(r);

    if (k->version == r->version) return;
    if (MUTANT(routes_outlive_their_map) && k->count) return;
    if (map)
        make_of_map(k, core_keyspace(map, k->id));
    else
        make_alone(k);
    k->only = k->count == 1 ? find(r, k->items[0].part) : NULL;
    k->version = r->version;
}

struct keyspace_routes *routes_hold(struct routes *r, u32 id)
{
    LIST_EACH(at, &r->keyspaces)
    {
        struct keyspace_routes *k = CONTAINER_OF(at, struct keyspace_routes, link);
        if (k->id != id) continue;
        k->holders++;
        return k;
    }
    struct keyspace_routes *k = mem_zalloc(sizeof *k);
    k->id = id;
    k->holders = 1;
    list_push(&r->keyspaces, &k->link);
    routes_refresh(r, k);
    return k;
}

void routes_release(struct keyspace_routes *k)
{
    if (!k || --k->holders) return;
    list_remove(&k->link);
    mem_free(k->items);
    mem_free(k);
}

u32 routes_count(struct routes *r, struct keyspace_routes *k)
{
    routes_refresh(r, k);
    return k->count;
}

struct hosted *routes_at(struct routes *r, struct keyspace_routes *k, u32 at, u64 *part)
{
    routes_refresh(r, k);
    assert(at < k->count);
    struct route *route = &k->items[at];
    *part = route->part;
    if (UNLIKELY(!route->hosted)) route->hosted = find(r, route->part);
    return route->hosted;
}

static u32 place_of_slot(const struct keyspace_routes *k, u16 slot)
{
    u32 at = k->near[slot / 64];

    while (at + 1 < k->count && k->items[at + 1].slot_first <= slot) at++;
    return at;
}

u32 routes_place_of_slot(struct routes *r, struct keyspace_routes *k, u16 slot)
{
    routes_refresh(r, k);
    assert(k->count && !k->is_range && slot < CORE_SLOTS);
    return place_of_slot(k, slot);
}

u32 routes_slot_after(struct routes *r, struct keyspace_routes *k, u16 slot)
{
    u32 at = routes_place_of_slot(r, k, slot) + 1;
    return at < k->count ? k->items[at].slot_first : CORE_SLOTS;
}

static struct hosted *find_in_range(struct routes *r, struct keyspace_routes *k, str key, u64 *part)
{
    const struct core_part *p = core_lookup_key(node_map(r->node), k->id, key);

    *part = p ? p->id : 0;
    return p ? find(r, p->id) : NULL;
}

struct hosted *routes_find(struct routes *r, struct keyspace_routes *k, str key, u64 *part)
{
    routes_refresh(r, k);
    if (k->count == 1) return routes_at(r, k, 0, part);
    *part = 0;
    if (k->count == 0) return NULL;
    if (k->is_range) return find_in_range(r, k, key, part);
    return routes_at(r, k, place_of_slot(k, store_slot(key)), part);
}

bool routes_covers(const struct routes *r, u64 part, str key)
{
    const struct core *map = routes_map(r);
    const struct core_part *p = map ? core_part(map, part) : NULL;

    if (!map) return part == PART_DEFAULT;
    if (!p) return false;
    struct kv_span span = routes_span(p);
    return kv_span_has(&span, key);
}

/* ---- all of them ---- */

static bool walk_range(struct routes *r, struct keyspace_routes *k, struct route_walk *w,
                       struct hosted **out, u64 *part)
{
    const struct core_part *p = core_lookup_key(node_map(r->node), k->id, buf_str(&w->key));

    if (!p) return false;
    *part = p->id;
    *out = find(r, p->id);
    w->ended = p->to.len == 0;
    buf_clear(&w->key);
    buf_append_str(&w->key, p->to);
    return true;
}

bool routes_walk(struct routes *r, struct keyspace_routes *k, struct route_walk *w,
                 struct hosted **out, u64 *part)
{
    routes_refresh(r, k);
    if (w->ended || k->count == 0) return false;
    if (k->is_range) return walk_range(r, k, w, out, part);
    u32 at = k->count == 1 ? 0 : place_of_slot(k, (u16)w->slot);
    *out = routes_at(r, k, at, part);
    w->ended = at + 1 == k->count;
    if (!w->ended) w->slot = k->items[at + 1].slot_first;
    return true;
}

void routes_walk_done(struct route_walk *w)
{
    buf_done(&w->key);
}

node_id routes_leader(const struct routes *r, u64 part)
{
    const struct core *map = routes_map(r);
    const struct core_part *p = map ? core_part(map, part) : NULL;
    const struct hosted *h = parts_find(node_parts(r->node), part);

    if (h && h->part && hosted_leader(h)) return hosted_leader(h);
    for (u32 i = 0; p && p->leader && i < p->member_count; i++)
        if (p->members[i].replica == p->leader) return p->members[i].node;
    return h ? hosted_leader(h) : 0;
}
