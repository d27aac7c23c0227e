/* The rows of one keyspace in memory, ordered by (slot, hash48, key), found in O(1).
 *
 *   keyspace -> page (256 slots) -> slot -> leaf
 *                                        -> inner node (64 children, by 6 bits of the hash) -> leaf
 *                                                                                           -> ...
 *
 * A leaf is an ordered hash table (Amble and Knuth 1974: linear probing with the cells kept sorted,
 * which is robin-hood hashing seen from the side): the hash is uniform, so its leading bits say
 * where an entry belongs, its home; entries stay sorted, each at or after its home without a hole
 * in between. So a lookup probes about one cache line, and a walk is a plain scan.
 *
 * An entry is 8 bytes: the row's address in the low 48 bits, and above it a tag, the 16 hash bits
 * that follow those the path has used. Growing needs tags only; rows are not touched. Leaves of up
 * to 8 entries are plain sorted arrays. At LEAF_ENTRIES_MAX a leaf splits into an inner node, so no
 * insertion costs more than that many row visits, however one-sided the slots ({tags}).
 *
 * Many keys of one 48-bit hash would make one long run of cells; XXH3 is not keyed, so a client
 * that goes to great lengths can slow its own keyspace down. */
#include "store/store_internal.h"

enum { PAGE_SLOTS = 256 };
enum { CACHE_LINE_BYTES = 64, PREFETCH_LINES = 5 }; /* a small row, or the beginning of a large one */
enum { FAN_BITS = 6, FAN = 1 << FAN_BITS };
enum { DEPTH_MAX = 5 };           /* 30 of the hash's 48 bits; the tag takes the 16 behind */
enum { LEAF_ENTRIES_MAX = 1024 }; /* except at DEPTH_MAX */

struct leaf {
    u64 count;
    u64 entry[]; /* room, then one that is always 0: a probe needs no bounds check */
};

struct inner {
    u64 child[FAN];
};

_Static_assert(sizeof(void *) == 8, "entries keep a 16-bit tag above a 48-bit address");

/* ---- words ---- */

#define ADDRESS_MASK (((u64)1 << 48) - 1)
#define INNER_BIT    ((u64)1 << 63)

static u64 address_of(const void *p)
{
    u64 address = (u64)(uintptr_t)p;
    assert((address & ~ADDRESS_MASK) == 0);
    return address;
}

static u64 entry_of(u16 tag, const struct row *r) { return (u64)tag << 48 | address_of(r); }
static u16 entry_tag(u64 entry) { return (u16)(entry >> 48); }
static struct row *entry_row(u64 entry) { return (struct row *)(uintptr_t)(entry & ADDRESS_MASK); }

/* A child word: nothing (0), an inner node, or a leaf with its size class. */
static bool child_is_inner(u64 child) { return child & INNER_BIT; }
static struct inner *child_inner(u64 child)
{
    return (struct inner *)(uintptr_t)(child & ADDRESS_MASK);
}
static struct leaf *child_leaf(u64 child)
{
    return (struct leaf *)(uintptr_t)(child & ADDRESS_MASK);
}
static u32 child_class(u64 child) { return (u32)(child >> 48) & 0xff; }
static u64 child_of_leaf(const struct leaf *l, u32 size_class)
{
    return (u64)size_class << 48 | address_of(l);
}

/* ---- size classes: arrays of 2 4 6 8 cells, then 16 32 64 128 ... homes ---- */

enum { ARRAY_CLASSES = 4 };

static u64 class_homes(u32 size_class)
{
    return size_class < ARRAY_CLASSES ? 1 : (u64)16 << (size_class - ARRAY_CLASSES);
}

/* Cells: homes and some slack behind, for what the last homes push out. */
static u64 class_room(u32 size_class)
{
    if (size_class < ARRAY_CLASSES) return 2 * (size_class + 1);
    u64 homes = class_homes(size_class);
    return homes + homes / 8 + 4;
}

static u64 class_entries_max(u32 size_class)
{
    return size_class < ARRAY_CLASSES ? class_room(size_class) : class_homes(size_class) * 7 / 8;
}

static size_t class_bytes(u32 size_class)
{
    return sizeof(struct leaf) + (class_room(size_class) + 1) * sizeof(u64);
}

static u64 home_of(u16 tag, u64 homes) { return (tag * homes) >> 16; }

static u16 tag_at(u64 position, u8 depth)
{
    return (u16)((position & HASH48_MASK) >> (32 - FAN_BITS * depth));
}

static u32 fan_at(u64 position, u8 depth)
{
    return (u32)((position & HASH48_MASK) >> (42 - FAN_BITS * depth)) & (FAN - 1);
}

/* ---- leaves ---- */

static u64 leaf_new(struct keyspace *ks, u32 size_class)
{
    struct leaf *l = mem_zalloc(class_bytes(size_class));
    *ks->memory += heap_bytes(class_bytes(size_class));
    return child_of_leaf(l, size_class);
}

static void leaf_free(struct keyspace *ks, u64 child)
{
    *ks->memory -= heap_bytes(class_bytes(child_class(child)));
    mem_free(child_leaf(child));
}

/* Move the entries, in order, to a fresh leaf. False: too many share a home at the end. */
static bool leaf_fill(u64 to, const struct leaf *from, u64 from_room)
{
    struct leaf *l = child_leaf(to);
    u64 homes = class_homes(child_class(to));
    u64 room = class_room(child_class(to));
    u64 at = 0;
    for (u64 i = 0; i < from_room; i++) {
        if (!from->entry[i]) continue;
        at = u64_max(at, home_of(entry_tag(from->entry[i]), homes));
        if (at == room) return false;
        l->entry[at++] = from->entry[i];
    }
    l->count = from->count;
    return true;
}

static void leaf_resize(struct keyspace *ks, u64 *child, u32 size_class)
{
    for (;; size_class++) {
        u64 fresh = leaf_new(ks, size_class);
        if (leaf_fill(fresh, child_leaf(*child), class_room(child_class(*child)))) {
            leaf_free(ks, *child);
            *child = fresh;
            return;
        }
        leaf_free(ks, fresh);
    }
}

/* For entries that arrive in order, as in a split: the place is behind the last one. */
static void leaf_append(struct keyspace *ks, u64 *child, u64 entry)
{
    struct leaf *l = child_leaf(*child);
    u32 size_class = child_class(*child);
    u64 at = class_room(size_class);
    while (at > 0 && !l->entry[at - 1]) at--;
    at = u64_max(at, home_of(entry_tag(entry), class_homes(size_class)));
    if (at >= class_room(size_class) || l->count >= class_entries_max(size_class)) {
        leaf_resize(ks, child, size_class + 1);
        leaf_append(ks, child, entry);
        return;
    }
    l->entry[at] = entry;
    l->count++;
}

static void leaf_split(struct keyspace *ks, u64 *child, u8 depth)
{
    u64 old = *child;
    struct leaf *from = child_leaf(old);
    struct inner *n = mem_zalloc(sizeof *n);
    *ks->memory += heap_bytes(sizeof *n);
    u64 room = class_room(child_class(old));
    for (u64 i = 0; i < room; i++) {
        if (!from->entry[i]) continue;
        struct row *r = entry_row(from->entry[i]);
        u64 *to = &n->child[fan_at(row_position(r), depth)];
        if (!*to) *to = leaf_new(ks, ARRAY_CLASSES + 1);
        leaf_append(ks, to, entry_of(tag_at(row_position(r), (u8)(depth + 1)), r));
    }
    leaf_free(ks, old);
    *child = INNER_BIT | address_of(n);
}

/* ---- locate, insert, remove ---- */

static u64 *slot_word(struct keyspace *ks, u64 position)
{
    u64 slot = position >> HASH48_BITS;
    u64 *page = ks->pages[slot / PAGE_SLOTS];
    return page ? &page[slot % PAGE_SLOTS] : NULL;
}

static int row_compare(const struct row *r, u64 position, str key)
{
    u64 p = row_position(r);
    if (p != position) return p < position ? -1 : 1;
    return str_compare(row_user_key(r), key);
}

/* Down to the word that holds the leaf of this position, or would. */
static struct place place_of(struct keyspace *ks, u64 position)
{
    struct place at = {.child = slot_word(ks, position)};
    while (at.child && child_is_inner(*at.child))
        at.child = &child_inner(*at.child)->child[fan_at(position, at.depth++)];
    return at;
}

/* The first cell from the home on that is empty or has this tag or a greater one. */
static u64 probe(const struct place *at, u16 tag)
{
    const u64 *entry = child_leaf(*at->child)->entry;
    u64 i = home_of(tag, class_homes(child_class(*at->child)));
    while (entry[i] && entry_tag(entry[i]) < tag) i++;
    return i;
}

struct place table_locate(struct keyspace *ks, u64 position, str key)
{
    if (ks->by_key) return runs_locate(ks, key);
    struct place at = place_of(ks, position);
    if (!at.child || !*at.child) return at;
    const u64 *entry = child_leaf(*at.child)->entry;
    u16 tag = tag_at(position, at.depth);
    u64 i = probe(&at, tag);
    for (; entry[i] && entry_tag(entry[i]) == tag; i++) {
        int order = row_compare(entry_row(entry[i]), position, key);
        if (order < 0) continue;
        at.found = order == 0;
        break;
    }
    at.index = (u32)i;
    return at;
}

void table_prefetch_leaf(struct keyspace *ks, u64 position)
{
    struct place at = place_of(ks, position); /* none, of a keyspace by key */
    if (!at.child || !*at.child) return;
    u64 home = home_of(tag_at(position, at.depth), class_homes(child_class(*at.child)));
    __builtin_prefetch(&child_leaf(*at.child)->entry[home]);
}

void table_prefetch_row(struct keyspace *ks, u64 position)
{
    struct place at = place_of(ks, position);
    if (!at.child || !*at.child) return;
    u64 entry = child_leaf(*at.child)->entry[probe(&at, tag_at(position, at.depth))];
    if (!entry) return;
    const u8 *row = (const u8 *)entry_row(entry);
    for (u32 i = 0; i < PREFETCH_LINES; i++) __builtin_prefetch(row + i * CACHE_LINE_BYTES);
}

struct row *table_row(struct place at)
{
    assert(at.found);
    if (at.run) return runs_row(at);
    return entry_row(child_leaf(*at.child)->entry[at.index]);
}

void table_replace(struct place at, struct row *with)
{
    assert(at.found);
    if (at.run) {
        runs_replace(at, with);
        return;
    }
    u64 *entry = &child_leaf(*at.child)->entry[at.index];
    *entry = entry_of(entry_tag(*entry), with);
}

static void page_ensure(struct keyspace *ks, u64 position)
{
    u64 page = (position >> HASH48_BITS) / PAGE_SLOTS;
    if (ks->pages[page]) return;
    ks->pages[page] = mem_zalloc_array(PAGE_SLOTS, sizeof(u64));
    *ks->memory += heap_bytes(PAGE_SLOTS * sizeof(u64));
}

/* Put the entry at index, pushing the run behind it one cell on. False: no cell is free up to the
 * end. */
static bool leaf_insert(u64 child, u32 index, u64 entry)
{
    struct leaf *l = child_leaf(child);
    u64 room = class_room(child_class(child));
    u64 hole = index;
    while (hole < room && l->entry[hole]) hole++;
    if (hole == room) return false;
    memmove(&l->entry[index + 1], &l->entry[index], (hole - index) * sizeof(u64));
    l->entry[index] = entry;
    l->count++;
    return true;
}

void table_insert(struct keyspace *ks, struct place at, struct row *r)
{
    if (ks->by_key) {
        runs_insert(ks, at, r);
        return;
    }
    u64 position = row_position(r);
    for (;;) {
        assert(!at.found);
        if (!at.child) {
            page_ensure(ks, position);
        } else if (!*at.child) {
            *at.child = leaf_new(ks, 0);
        } else {
            u32 size_class = child_class(*at.child);
            u64 count = child_leaf(*at.child)->count;
            if (count < class_entries_max(size_class) &&
                leaf_insert(*at.child, at.index, entry_of(tag_at(position, at.depth), r)))
                break;
            if (count >= LEAF_ENTRIES_MAX && at.depth < DEPTH_MAX)
                leaf_split(ks, at.child, at.depth);
            else
                leaf_resize(ks, at.child, size_class + 1);
        }
        at = table_locate(ks, position, row_user_key(r));
    }
    ks->rows++;
}

void table_remove(struct keyspace *ks, struct place at)
{
    assert(at.found);
    if (at.run) {
        runs_remove(ks, at);
        return;
    }
    struct leaf *l = child_leaf(*at.child);
    u32 size_class = child_class(*at.child);
    u64 homes = class_homes(size_class);
    u64 i = at.index;
    for (; l->entry[i + 1] && home_of(entry_tag(l->entry[i + 1]), homes) <= i; i++)
        l->entry[i] = l->entry[i + 1];
    l->entry[i] = 0;
    l->count--;
    ks->rows--;
    if (l->count == 0) {
        leaf_free(ks, *at.child);
        *at.child = 0;
    } else if (size_class > 0 && l->count < class_entries_max(size_class) / 4) {
        u32 smaller = size_class;
        while (smaller > 0 && class_entries_max(smaller - 1) >= 2 * l->count) smaller--;
        leaf_resize(ks, at.child, smaller);
    }
}

/* ---- walking ---- */

/* The position behind those that a child at this depth covers. */
static u64 position_behind(u64 position, u8 depth)
{
    u32 shift = HASH48_BITS - (u32)FAN_BITS * depth;
    return ((position >> shift) + 1) << shift;
}

/* The first leaf that ends after `position`; positions inside what is empty are skipped. */
static bool find_leaf(struct keyspace *ks, u64 *position, struct place *out)
{
    while (*position <= POSITION_MAX) {
        struct place at = place_of(ks, *position);
        if (!at.child) {
            *position = ((*position >> (HASH48_BITS + 8)) + 1) << (HASH48_BITS + 8);
            continue;
        }
        if (*at.child) {
            *out = at;
            return true;
        }
        *position = position_behind(*position, at.depth);
    }
    return false;
}

static void walk_enter(struct table_walk *w, u64 position)
{
    if (!find_leaf(w->ks, &position, &w->at)) {
        w->at = (struct place){0};
        return;
    }
    w->next_position = position_behind(position, w->at.depth);
    u16 tag = tag_at(position, w->at.depth);
    w->at.index = (u32)home_of(tag, class_homes(child_class(*w->at.child)));
    w->at.found = true;
}

/* From w->at.index on, the first entry; or on to the next leaf. */
static void walk_settle(struct table_walk *w)
{
    while (w->at.child) {
        const u64 *entry = child_leaf(*w->at.child)->entry;
        u64 room = class_room(child_class(*w->at.child));
        while (w->at.index < room && !entry[w->at.index]) w->at.index++;
        if (w->at.index < room) return;
        walk_enter(w, w->next_position);
    }
}

void walk_seek(struct table_walk *w, struct keyspace *ks, str encoded)
{
    *w = (struct table_walk){.ks = ks};
    if (ks->by_key) {
        runs_seek(w, encoded);
        return;
    }
    walk_enter(w, encoded.len >= HEAD_PREFIX_BYTES ? get_u64be(encoded.at + 5) : 0);
    walk_settle(w);
    while (w->at.child && str_compare(row_key(walk_row(w)), encoded) < 0) walk_next(w);
}

struct row *walk_row(const struct table_walk *w)
{
    if (w->at.run) return runs_row(w->at);
    if (!w->at.child) return NULL;
    return entry_row(child_leaf(*w->at.child)->entry[w->at.index]);
}

void walk_next(struct table_walk *w)
{
    w->at.index++;
    if (w->at.run)
        runs_settle(w);
    else
        walk_settle(w);
}

/* ---- the life of a keyspace ---- */

struct keyspace *keyspace_new(u32 id, bool by_key, bool complete, size_t *memory)
{
    struct keyspace *ks = mem_zalloc(sizeof *ks);
    ks->id = id;
    ks->by_key = by_key;
    ks->complete = complete;
    ks->memory = memory;
    list_init(&ks->link);
    *memory += heap_bytes(sizeof *ks);
    return ks;
}

bool table_take_leaf(struct keyspace *ks, row_fn fn, void *context, u32 *taken)
{
    struct place at;
    *taken = 0;
    if (ks->by_key) return runs_take_last(ks, fn, context, taken);
    if (!find_leaf(ks, &ks->free_position, &at)) return false;
    struct leaf *l = child_leaf(*at.child);
    u64 room = class_room(child_class(*at.child));
    for (u64 i = 0; i < room; i++)
        if (l->entry[i]) fn(context, entry_row(l->entry[i]));
    *taken = (u32)l->count;
    ks->rows -= l->count;
    leaf_free(ks, *at.child);
    *at.child = 0;
    return true;
}

static void inner_free(struct keyspace *ks, u64 child)
{
    if (!child) return;
    assert(child_is_inner(child)); /* the leaves are gone */
    struct inner *n = child_inner(child);
    for (u32 i = 0; i < FAN; i++) inner_free(ks, n->child[i]);
    mem_free(n);
    *ks->memory -= heap_bytes(sizeof *n);
}

void keyspace_free_nodes(struct keyspace *ks)
{
    assert(ks->rows == 0);
    runs_free(ks);
    for (u32 p = 0; p < ARRAY_LEN(ks->pages); p++) {
        if (!ks->pages[p]) continue;
        for (u32 i = 0; i < PAGE_SLOTS; i++) inner_free(ks, ks->pages[p][i]);
        mem_free(ks->pages[p]);
        *ks->memory -= heap_bytes(PAGE_SLOTS * sizeof(u64));
    }
    *ks->memory -= heap_bytes(sizeof *ks);
    mem_free(ks);
}

void keyspace_check(struct keyspace *ks)
{
    u64 rows = 0;
    u64 position = 0;
    struct place at;
    struct row *before = NULL;
    if (ks->by_key) {
        runs_check(ks);
        return;
    }
    while (find_leaf(ks, &position, &at)) {
        struct leaf *l = child_leaf(*at.child);
        u64 homes = class_homes(child_class(*at.child));
        u64 room = class_room(child_class(*at.child));
        u64 count = 0;
        for (u64 i = 0; i < room; i++) {
            if (!l->entry[i]) continue;
            struct row *r = entry_row(l->entry[i]);
            u16 tag = entry_tag(l->entry[i]);
            assert(tag == tag_at(row_position(r), at.depth));
            for (u64 j = home_of(tag, homes); j < i; j++) assert(l->entry[j]);
            assert(home_of(tag, homes) <= i);
            assert(!before || str_compare(row_key(before), row_key(r)) < 0);
            assert(row_keyspace(r) == ks->id);
            before = r;
            count++;
        }
        assert(l->entry[room] == 0);
        assert(count == l->count);
        assert(count > 0);
        rows += count;
        position = position_behind(position, at.depth);
    }
    assert(rows == ks->rows);
}

/* ---- two halves ---- */

void table_move_slots(struct keyspace *ks, struct keyspace *to, u32 first, u32 last)
{
    for (u32 slot = first; slot <= last; slot++) {
        u64 *word = slot_word(ks, (u64)slot << HASH48_BITS);
        if (!word) {
            slot |= PAGE_SLOTS - 1;
            continue;
        }
        if (!*word) continue;
        page_ensure(to, (u64)slot << HASH48_BITS);
        *slot_word(to, (u64)slot << HASH48_BITS) = *word;
        *word = 0;
    }
    struct table_walk w;
    u64 rows = 0, values = 0, clean = 0;
    u8 start[HEAD_PREFIX_BYTES];
    head_key_put(start, to->id, (u64)first << HASH48_BITS);
    for (walk_seek(&w, to, str_from(start, sizeof start)); walk_row(&w); walk_next(&w)) {
        const struct row *r = walk_row(&w);
        if (row_position(r) >> HASH48_BITS > last) break;
        rows++;
        values += r->kind == ROW_VALUE;
        clean += !(r->flags & ROW_DIRTY);
    }
    ks->rows -= rows;
    ks->values -= values;
    ks->clean -= clean;
    to->rows += rows;
    to->values += values;
    to->clean += clean;
}

static size_t child_memory(u64 child)
{
    size_t bytes = 0;

    if (!child) return 0;
    if (!child_is_inner(child)) return heap_bytes(class_bytes(child_class(child)));
    const struct inner *n = child_inner(child);
    for (u32 i = 0; i < FAN; i++) bytes += child_memory(n->child[i]);
    return bytes + heap_bytes(sizeof *n);
}

size_t table_memory(struct keyspace *ks)
{
    size_t bytes = heap_bytes(sizeof *ks) + runs_memory(ks);
    struct table_walk w;

    for (u32 p = 0; p < ARRAY_LEN(ks->pages); p++) {
        if (!ks->pages[p]) continue;
        bytes += heap_bytes(PAGE_SLOTS * sizeof(u64));
        for (u32 i = 0; i < PAGE_SLOTS; i++) bytes += child_memory(ks->pages[p][i]);
    }
    for (walk_seek(&w, ks, str_from("", 0)); walk_row(&w); walk_next(&w)) bytes += row_memory(walk_row(&w));
    return bytes;
}
