/* Reads: the map by place, by page and by change. */
#include "core/core_internal.h"

#include "base/bytes.h"
#include "base/search.h"

#define MAP_FMT 1
#define GONE    UINT32_MAX

const struct core_cluster *core_cluster(const struct core *c)
{
    return c->founded ? &c->cluster : NULL;
}
const struct core_node *core_node(const struct core *c, u32 id)
{
    return core_find_node(c, id);
}
const struct core_part *core_part(const struct core *c, u64 id)
{
    return core_find_part(c, id);
}

const struct core_keyspace *core_keyspace(const struct core *c, u32 id)
{
    return core_find_keyspace(c, id);
}

const struct core_keyspace *core_keyspace_named(const struct core *c, str name)
{
    for (u32 i = 0; i < c->keyspace_count; i++)
        if (str_equal(core_str(&c->keyspaces[i]->name), name)) return c->keyspaces[i];
    return NULL;
}

const struct core_node *const *core_nodes(const struct core *c, u32 *count)
{
    *count = c->node_count;
    return (const struct core_node *const *)c->nodes;
}

const struct core_keyspace *const *core_keyspaces(const struct core *c, u32 *count)
{
    *count = c->keyspace_count;
    return (const struct core_keyspace *const *)c->keyspaces;
}

const struct core_part *const *core_parts(const struct core *c, u32 *count)
{
    *count = c->part_count;
    return (const struct core_part *const *)c->parts;
}

/* ---- by place ---- */

static const struct core_part *lookup(const struct core *c, u32 keyspace, bool is_range, u16 slot,
                                      str key)
{
    const struct core_keyspace *k = core_find_keyspace(c, keyspace);

    if (!k || (k->settings[CORE_PARTITIONS] == 0) != is_range) return NULL;
    u32 at = core_span_index(k, is_range, slot, key);
    if (at < k->part_count) {
        const struct core_part *p = k->parts[at];
        if (is_range ? str_equal(p->from, key) : p->slot_first == slot) return p;
    }
    assert(at > 0); /* the first one begins at the beginning */
    return k->parts[at - 1];
}

const struct core_part *core_lookup_slot(const struct core *c, u32 keyspace, u16 slot)
{
    return slot < CORE_SLOTS ? lookup(c, keyspace, false, slot, (str){0}) : NULL;
}

const struct core_part *core_lookup_key(const struct core *c, u32 keyspace, str key)
{
    return lookup(c, keyspace, true, 0, key);
}

/* ---- objects ---- */

static void put_object(const struct core *c, u8 kind, u64 id, struct buf *out)
{
    buf_append_u8(out, kind);
    buf_append_u64(out, id);
    size_t at = out->len;
    buf_append_u32(out, 0);
    switch (kind) {
    case CORE_CLUSTER: core_cluster_encode(&c->cluster, out); break;
    case CORE_NODE: core_node_encode(core_find_node(c, (u32)id), out); break;
    case CORE_KS: core_keyspace_encode(core_find_keyspace(c, (u32)id), out); break;
    default: core_part_encode(core_find_part(c, id), out);
    }
    put_u32(buf_bytes(out) + at, (u32)(out->len - at - 4));
}

/* When did the object change last? 0: it is gone. */
static u64 changed_at(const struct core *c, u8 kind, u64 id)
{
    const struct core_node *n;
    const struct core_keyspace *k;
    const struct core_part *p;

    switch (kind) {
    case CORE_CLUSTER: return c->cluster_changed;
    case CORE_NODE: n = core_find_node(c, (u32)id); return n ? n->changed : 0;
    case CORE_KS: k = core_find_keyspace(c, (u32)id); return k ? k->changed : 0;
    default: p = core_find_part(c, id); return p ? p->changed : 0;
    }
}

struct map_header {
    size_t at;
    u8 flags;
    u64 from, to;
    u32 count;
};

static struct map_header header_begin(struct buf *out, u64 from)
{
    struct map_header h = {.at = out->len, .from = from};

    buf_append_u8(out, MAP_FMT);
    buf_append_u8(out, 0);
    buf_append_u64(out, from);
    buf_append_u64(out, 0);
    buf_append_u32(out, 0);
    return h;
}

static void header_end(const struct map_header *h, struct buf *out)
{
    u8 *at = buf_bytes(out) + h->at;

    at[1] = h->flags;
    put_u64(at + 10, h->to);
    put_u32(at + 18, h->count);
}

bool core_lookup(const struct core *c, u32 keyspace, u16 slot, str key, u64 known, struct buf *out)
{
    const struct core_keyspace *k = core_find_keyspace(c, keyspace);
    const struct core_part *p = NULL;

    if (k)
        p = k->settings[CORE_PARTITIONS] ? core_lookup_slot(c, keyspace, slot)
                                         : core_lookup_key(c, keyspace, key);
    if (!p) return false;
    bool is_fresh = p->changed <= known || MUTANT(core_stale_caller_believed);
    buf_append_u8(out, !is_fresh);
    if (!is_fresh) put_object(c, CORE_PART, p->id, out);
    return true;
}

/* ---- by change ---- */

static const struct core_change *change_at(const struct core *c, u32 i)
{
    return &c->changes[(c->change_first + i) % CORE_CHANGES_KEPT];
}

static u32 first_change_after(const struct core *c, u64 since)
{
    u32 low;

    LOWER_BOUND(low, c->change_count, change_at(c, low)->epoch <= since);
    return low;
}

void core_delta(const struct core *c, u64 since, size_t bytes, struct buf *out)
{
    struct map_header h = header_begin(out, since);

    h.to = c->cluster.epoch;
    if (since < c->changes_after || since > c->cluster.epoch) {
        h.flags = CORE_MAP_PAGES; /* also one that claims to know more than there is */
        header_end(&h, out);
        return;
    }
    for (u32 i = first_change_after(c, since); i < c->change_count; i++) {
        const struct core_change *change = change_at(c, i);
        /* A command's changes are never torn apart. */
        if (out->len - h.at >= bytes && i > 0 && change_at(c, i - 1)->epoch != change->epoch &&
            h.count) {
            h.flags = CORE_MAP_MORE;
            h.to = change->epoch - 1;
            break;
        }
        u64 last = changed_at(c, change->kind, change->id);
        if (last > change->epoch) continue; /* it changed again: comes there */
        if (last == change->epoch && i + 1 < c->change_count) {
            /* twice in one command: the later note tells it */
            const struct core_change *next = change_at(c, i + 1);
            if (next->epoch == change->epoch && next->kind == change->kind &&
                next->id == change->id)
                continue;
        }
        h.count++;
        if (last == change->epoch) {
            put_object(c, change->kind, change->id, out);
            continue;
        }
        assert(last == 0);
        buf_append_u8(out, change->kind);
        buf_append_u64(out, change->id);
        buf_append_u32(out, GONE);
    }
    header_end(&h, out);
}

/* ---- by page ---- */

struct page {
    const struct core *core;
    struct map_header header;
    size_t bytes;
    struct buf *out;
};

/* False: the page is full. */
static bool page_add(struct page *page, u8 kind, u64 id)
{
    if (page->out->len - page->header.at >= page->bytes && page->header.count) {
        page->header.flags |= CORE_MAP_MORE;
        return false;
    }
    put_object(page->core, kind, id, page->out);
    page->header.count++;
    return true;
}

#define PAGE_ALL(page, kind, items, item_count, after)                                             \
    do {                                                                                           \
        u32 at = 0, high = (item_count);                                                           \
        while (at < high) {                                                                        \
            u32 middle = at + (high - at) / 2;                                                     \
            if ((items)[middle]->id <= (after))                                                    \
                at = middle + 1;                                                                   \
            else                                                                                   \
                high = middle;                                                                     \
        }                                                                                          \
        for (; at < (item_count); at++)                                                            \
            if (!page_add((page), (kind), (items)[at]->id)) return;                                \
    } while (0)

static void page_fill(struct page *page, u8 kind, u64 after)
{
    const struct core *c = page->core;

    switch (kind) {
    case CORE_CLUSTER:
        if (after == 0 && c->founded) page_add(page, CORE_CLUSTER, 0);
        break;
    case CORE_NODE: PAGE_ALL(page, CORE_NODE, c->nodes, c->node_count, after); break;
    case CORE_KS: PAGE_ALL(page, CORE_KS, c->keyspaces, c->keyspace_count, after); break;
    default: PAGE_ALL(page, CORE_PART, c->parts, c->part_count, after);
    }
}

void core_page(const struct core *c, u8 only, u8 after_kind, u64 after_id, size_t bytes,
               struct buf *out)
{
    struct page page = {.core = c, .header = header_begin(out, 0), .bytes = bytes, .out = out};

    page.header.to = c->cluster.epoch;
    page.header.flags = CORE_MAP_PAGE;
    for (u8 kind = CORE_CLUSTER; kind <= CORE_PART; kind++) {
        if ((only && kind != only) || kind < after_kind) continue;
        if (page.header.flags & CORE_MAP_MORE) break;
        if (kind == CORE_CLUSTER && after_kind == CORE_CLUSTER) continue;
        page_fill(&page, kind, kind == after_kind ? after_id : 0);
    }
    header_end(&page.header, out);
}

/* ---- for who receives ---- */

err core_map_decode(str bytes, struct core_map *out)
{
    struct reader r = reader_of(bytes);

    if (reader_u8(&r) != MAP_FMT) return ERR_UNSUPPORTED;
    out->flags = reader_u8(&r);
    out->from = reader_u64(&r);
    out->to = reader_u64(&r);
    out->count = reader_u32(&r);
    out->objects = r;
    return r.bad ? ERR_MALFORMED : OK;
}

bool core_map_next(struct core_map *m, struct core_object *out)
{
    struct reader *r = &m->objects;

    if (r->bad || reader_left(r) == 0) return false;
    out->kind = reader_u8(r);
    out->id = reader_u64(r);
    u32 len = reader_u32(r);
    out->gone = len == GONE;
    out->row = out->gone ? (str){0} : reader_str(r, len);
    return !r->bad;
}
