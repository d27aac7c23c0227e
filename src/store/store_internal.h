/* What the files of this folder share. Who writes what:
 *
 *   keys.c        encoded keys                  row.c         one row, the dirty generations
 *   table.c       one keyspace's rows, by hash  keyspaces.c   which there are, dropping them
 *   runs.c        the same, by key
 *   front.c       get, put, delete              scan.c        merged reads in order
 *   checkpoint.c  freeze, job, done             tidy.c        what follows, eviction, freeing
 *   snapshot.c    rows out                      install.c     rows in
 *   extents.c     which rows are this store's
 *   store.c       birth, death, invariants
 */
#pragma once

#include "base/assert.h"
#include "base/bytes.h"
#include "base/list.h"
#include "base/mutant.h"
#include "store/store.h"

/* ---- keys.c ---- */

enum { LOCAL_EXTENTS = STORE_LOCAL_EXTENTS, LOCAL_MARKER = STORE_LOCAL_MARKER };
enum { ZONE_LOCAL = 0x01, ZONE_HEAD = 0x10, ZONE_END = 0xff };
enum { LOCAL_PREFIX_BYTES = 9 }; /* zone, part */
enum { HEAD_PREFIX_BYTES = 13 }; /* zone, keyspace, position */
enum { STORE_SLOTS = 16384, HASH48_BITS = 48 };
#define HASH48_MASK  (((u64)1 << HASH48_BITS) - 1)
#define POSITION_MAX (((u64)1 << 62) - 1)

void head_key_put(u8 out[HEAD_PREFIX_BYTES], u32 keyspace, u64 position);
void head_key_append(struct buf *out, u32 keyspace, u64 position, str key);
bool head_key_is_of(str encoded, u32 keyspace);
void keyspace_start_put(struct buf *out, u32 keyspace);
void keyspace_end_put(struct buf *out, u32 keyspace);
bool local_key_is_of(str encoded, u64 part);
bool head_key_is_good(str encoded, bool by_key); /* its position is its key's */
u64 key_position(bool by_key, str key);
/* The local rows of a partition. Appends to `b`; the range borrows from it. */
void local_range_put(struct buf *b, u64 part, struct kvs_range *out);

/* ---- row.c ---- */

enum row_kind { ROW_VALUE, ROW_TOMBSTONE };
enum row_flags {
    ROW_DIRTY = BIT(0),      /* newer than the kvs, in a generation */
    ROW_REFERENCED = BIT(1), /* CLOCK: read or written since the hand passed */
    ROW_DETACHED = BIT(2),   /* frozen and replaced: only the frozen generation still holds it */
};

/* A row keeps its encoded key, so that neither a scan nor a checkpoint builds one.
 *
 * Once its generation is frozen, a job may read klen, vlen, kind and bytes, and nobody writes them.
 * index, generation and flags are the reactor's alone; they are separate memory locations. */
struct row {
    u32 klen; /* of the encoded key: HEAD_PREFIX_BYTES + the user key's */
    u32 vlen;
    u32 index;      /* its place in its generation, while dirty */
    u16 generation; /* while dirty */
    u8 kind;
    u8 flags;
    u8 bytes[]; /* encoded key, value */
};

static inline str row_key(const struct row *r) { return str_from(r->bytes, r->klen); }
static inline str row_value(const struct row *r) { return str_from(r->bytes + r->klen, r->vlen); }
static inline u32 row_keyspace(const struct row *r) { return get_u32be(r->bytes + 1); }
static inline u64 row_position(const struct row *r) { return get_u64be(r->bytes + 5); }
static inline str row_user_key(const struct row *r)
{
    return str_from(r->bytes + HEAD_PREFIX_BYTES, r->klen - HEAD_PREFIX_BYTES);
}

/* What malloc takes for `bytes`, by glibc's rules: the number the memory budget is kept in. */
static inline size_t heap_bytes(size_t bytes)
{
    if (UNLIKELY(bytes >= 128 * KIB)) return round_up(bytes + 16, 4096); /* its own mapping */
    return size_max(32, round_up(bytes + 8, 16));
}

/* The usable part of such a block. Rows are allocated up to it, so that a value may change in place
 * as long as heap_bytes stays the same, whatever the allocator. */
static inline size_t heap_usable(size_t heap) { return heap - (heap >= 128 * KIB ? 16 : 8); }

static inline size_t row_heap_bytes(size_t klen, size_t vlen)
{
    return heap_bytes(offsetof(struct row, bytes) + klen + vlen);
}

static inline size_t row_memory(const struct row *r) { return row_heap_bytes(r->klen, r->vlen); }

struct row *row_new(enum row_kind kind, u32 keyspace, u64 position, str key, str head, str body);
bool row_overlaps(const struct row *r, str bytes); /* do these borrowed bytes lie inside r? */

/* The rows of one generation, in no order; each knows its index, so leaving is O(1). Chunked, so
 * that growing never copies more than one small array. */
struct generation {
    struct row ***chunks;
    u32 chunk_count, chunk_cap;
    u32 count;
    size_t bytes; /* row_memory of the rows that count as dirty here */
};

void generation_done(struct generation *g);
struct row *generation_at(const struct generation *g, u32 index);
void generation_push(struct generation *g, struct row *r);
void generation_replace(struct generation *g, struct row *old, struct row *with);
void generation_remove(struct generation *g, struct row *r);
struct row *generation_pop(struct generation *g);
size_t generation_memory(const struct generation *g); /* of its arrays */

/* ---- table.c ---- */

struct keyspace {
    u32 id;
    u64 rows;          /* entries: values and tombstones */
    u64 values, clean; /* of these */
    bool complete;     /* all its rows are in memory: what is not found here does not exist */
    size_t *memory;    /* the store's account */
    u64 free_position; /* dying: everything before is gone */
    struct list link; /* in store.dying */
    bool by_key;      /* then runs.c has the rows, else table.c */
    struct run **runs;
    u32 run_count, run_cap;
    u64 *pages[64];   /* of 256 slots each; a word is nothing, a leaf or an inner node */
};

/* Where a key is, or belongs. Void after any change of the keyspace. */
struct place {
    u64 *child; /* the word that holds the leaf; NULL: the page is missing */
    struct run *run; /* of a keyspace by key, instead; NULL: there is none */
    u32 run_at;
    u32 index;  /* of the entry in the leaf or run */
    u8 depth;
    bool found;
};

struct keyspace *keyspace_new(u32 id, bool by_key, bool complete, size_t *memory);
void keyspace_free_nodes(struct keyspace *ks); /* the leaves are gone; frees ks */

struct place table_locate(struct keyspace *ks, u64 position, str key);
void table_prefetch_leaf(struct keyspace *ks, u64 position); /* first this, */
void table_prefetch_row(struct keyspace *ks, u64 position);  /* and this when it has arrived */
struct row *table_row(struct place at); /* of a found place */
void table_replace(struct place at, struct row *with);
void table_insert(struct keyspace *ks, struct place at, struct row *r); /* of a place not found */
void table_remove(struct keyspace *ks, struct place at);

/* Rows in order, from the first that is not below an encoded key. Void after any change of the keyspace. */
struct table_walk {
    struct keyspace *ks;
    struct place at;
    u64 next_position; /* where the following leaf begins */
};
void walk_seek(struct table_walk *w, struct keyspace *ks, str encoded);
struct row *walk_row(const struct table_walk *w); /* NULL: the end */
void walk_next(struct table_walk *w);

/* Take one leaf out of a dying keyspace, handing its rows over. False: none is left. */
typedef void (*row_fn)(void *context, struct row *r);
bool table_take_leaf(struct keyspace *ks, row_fn fn, void *context, u32 *taken);
/* The rows of slots first to last go to `to`, which has none there; `to` counts them, `ks` does not any more. */
void table_move_slots(struct keyspace *ks, struct keyspace *to, u32 first, u32 last);
size_t table_memory(struct keyspace *ks); /* of its nodes and rows; walks all of them */
void keyspace_check(struct keyspace *ks); /* asserts every invariant; slow */

/* ---- runs.c: the same of a keyspace by key, for table.c alone ---- */

struct place runs_locate(struct keyspace *ks, str key);
struct row *runs_row(struct place at);
void runs_replace(struct place at, struct row *with);
void runs_insert(struct keyspace *ks, struct place at, struct row *r);
void runs_remove(struct keyspace *ks, struct place at);
void runs_seek(struct table_walk *w, str encoded);
void runs_settle(struct table_walk *w);
bool runs_take_last(struct keyspace *ks, row_fn fn, void *context, u32 *taken);
void runs_free(struct keyspace *ks);
size_t runs_memory(const struct keyspace *ks);
void runs_check(const struct keyspace *ks);
/* The rows of [lower, upper), encoded, go to `to`, which counts them and has none behind; `ks` does not any more. */
void runs_move(struct keyspace *ks, struct keyspace *to, str lower, str upper);

/* ---- keyspaces.c ---- */

struct id_set { /* sorted */
    u32 *ids;
    u32 count, cap;
};
bool id_set_has(const struct id_set *set, u32 id);
void id_set_add(struct id_set *set, u32 id); /* adding twice is harmless */
void id_set_done(struct id_set *set);

struct checkpoint;
struct keyspace *store_keyspace(struct store *s, u32 id);        /* NULL: not met yet, or dropped */
struct keyspace *store_keyspace_ensure(struct store *s, u32 id); /* not one that was dropped */
bool store_is_dropped(const struct store *s, u32 id);
void store_retire_all(struct store *s); /* the front table becomes empty, in O(keyspaces) */

/* ---- the store ---- */

struct store {
    struct kvs *kvs;
    struct store_options options;
    struct store_budget own_budget; /* unless the options name another */
    size_t budgeted;                /* what the budget holds of this store */
    struct store_stats stats;

    /* keyspaces.c */
    struct keyspace **keyspaces; /* live ones, by id */
    u32 keyspace_count, keyspace_cap;
    struct keyspace *last; /* the one used last, or NULL */
    struct id_set dropped; /* since the last freeze: ranges of the next checkpoint */
    struct list shed;      /* keyspaces of a split's other half, on their way out */

    /* extents.c */
    struct list neighbours;              /* in kvs.stores */
    bool is_cut;                         /* extents say what it has; else its block does */
    struct store_extents extents;        /* now */
    struct store_extents durable;        /* as last written; nothing: no checkpoint yet */
    struct store_extents dropped_ranges; /* like dropped, of a store that was cut */
    u64 companion;
    err broken; /* the row could not be read */

    /* front.c */
    struct buf key, value; /* scratch */
    struct {               /* hints whose leaf is on its way: their rows are asked for next */
        u32 keyspace;
        u64 position;
    } hinted[4];
    u32 hint_at;
    size_t memory;         /* of rows and tables */
    u64 clean_rows;        /* in live keyspaces */

    /* the generation that writes go to */
    struct generation current;
    u16 generation;

    /* checkpoint.c */
    struct checkpoint *running; /* its job is submitted or about to be */
    bool installing;            /* a stage's job is submitted or about to be */

    /* tidy.c */
    struct list dying;          /* keyspaces whose rows wait to be freed */
    struct generation settling; /* rows of the finished checkpoint that were not looked at yet */
    u16 settling_generation;
    bool settling_thaws;      /* it failed: its rows go back to current */
    bool settling_is_retired; /* an install came between: all its rows are in dying keyspaces */
    u32 hand_keyspace;        /* CLOCK */
    struct buf hand;          /* the encoded key where it goes on; empty: at the beginning */
    u64 cached_since_tidy; /* rows that misses brought in: tidy may evict as many more */
};

void store_check(struct store *s); /* asserts every invariant; slow */

/* ---- front.c ---- */

bool row_is_frozen(const struct store *s, const struct row *r);
void store_make_dirty(struct store *s, struct row *r); /* in the current generation */
void store_row_free(struct store *s, struct row *r);   /* with its memory account, no other */

/* ---- tidy.c ---- */

void store_settle_all(struct store *s); /* finish the walk over the last checkpoint's rows */

/* ---- checkpoint.c ---- */

struct checkpoint {
    struct store_checkpoint outer;
    struct generation rows; /* frozen: read by the job */
    u16 generation;
    struct id_set dropped;
    struct store_extents dropped_ranges, extents;
    bool is_cut;
    struct buf local_bytes; /* copies */
    struct kvs_row *local;
    size_t local_count;
    u64 rows_written, bytes_written; /* by the job */
};
void checkpoint_free(struct checkpoint *c);
bool store_frozen_has(const struct store *s, const struct row *r); /* frozen, or not yet settled */

/* ---- snapshot.c, install.c ---- */

/* What a snapshot holds: the partition-local rows, then those of users. */
void store_ranges_init(struct store_extents *out, const struct store *s);

/* ---- extents.c ---- */

void extents_add(struct store_extents *x, str lower, str upper, bool is_rest); /* copies */
void extents_copy(struct store_extents *to, const struct store_extents *from);
bool extents_have(const struct store_extents *x, str key);
void extents_subtract(struct store_extents *x, struct kvs_range gone);
err extents_decode(str row, struct store_extents *out);
void extents_whole_block(const struct store_options *o, struct store_extents *out);
err extents_load(struct store *s);
void extents_are_durable(struct store *s, const struct store_extents *x, bool is_cut);
void extents_drop_keyspace(struct store *s, u32 keyspace);
bool store_has_key(const struct store *s, str encoded);
err extents_claim(struct store *s, const struct store_extents *wanted, struct store_victims *v);
void extents_to_replace(const struct store *s, const struct store_extents *wanted,
                        const struct store_victims *v, struct store_extents *out);
