/* The state store of one partition: a front table in memory that answers reads and takes writes, over
 * a kvs that a checkpointer feeds with sorted batches. The log makes the front table replayable, so
 * nothing here is written when a row changes.
 *
 * A row is a user key's head row: its value bytes are opaque here (kv/head.h gives them meaning).
 * Rows are ordered by (keyspace, slot, 48-bit hash, key), or, in a store by key, by (keyspace, key): docs/formats/keys.md.
 * A row in the front table is resident-clean (also in the kvs), dirty (newer than the kvs) or a dirty
 * tombstone. Clean rows are a CLOCK cache; dirty ones are pinned until a checkpoint wrote them. */
#pragma once

#include "env/env.h"
#include "store/kvs.h"

struct store;

/* Memory that several stores of a node share: each counts in it what it takes, and evicts clean rows while
 * all of them together are above the limit. */
struct store_budget {
    size_t bytes, bytes_max;
};

struct store_options {
    u64 part; /* names the partition-local rows */
    bool by_key; /* the order of all its rows, for ever */
    /* The keyspace ids that are this store's alone; count 0: all. Other stores may lie on the same kvs. */
    u32 keyspace_first, keyspace_count;
    size_t memory_bytes_max;     /* front table: dirty + clean; clean rows are evicted above it */
    struct store_budget *budget; /* instead of memory_bytes_max; outlives the store. NULL: its own */
};

struct store *store_new(struct kvs *kvs, const struct store_options *options);
void store_free(struct store *s);

/* Point reads. *value is borrowed until the next store call that is not a read. A miss asks the kvs and
 * caches what it finds. An error is the kvs's: the node must stop. */
MUST_USE err store_get(struct store *s, u32 keyspace, str key, str *value, bool *found);

/* A hint, with no effect but on time: this key will be read or written soon. The cost of a get or put is
 * waiting for memory; hints for all keys of a batch before its first use let those waits overlap
 * (measured: a quarter to a half less time, docs/design/front-table.md). A row is asked for four hints later,
 * when its leaf has arrived. */
void store_prefetch(struct store *s, u32 keyspace, str key);

/* Write the concatenation of two parts as the row's value (the second may be empty). */
void store_put(struct store *s, u32 keyspace, str key, str head, str body);
void store_delete(struct store *s, u32 keyspace, str key);

/* Every row of the keyspace vanishes, in O(1) for the caller. Ids are never used again. Memory and disk
 * are given back by store_tidy and the next checkpoint. */
void store_drop_keyspace(struct store *s, u32 keyspace);

/* Which rows of users a store has when that is not its whole block (docs/design/partitions.md): some slots of some keyspace
 * ids, and the ids of its block that it has not given out yet. Kept in a local row of its own, durable with the
 * checkpoint that first knows it. Of several stores on one kvs no two have the same row at any time; generation says
 * whose claim is newer where an install finds another store's rows. Filled by the adders, taken over by
 * store_set_extents. */
struct store_extent {
    struct kvs_range range; /* of encoded keys */
    u8 *bytes;
    bool is_rest;
};
struct store_extents {
    u64 generation;
    struct store_extent *at;
    u32 count, cap;
};
void store_extents_add_slots(struct store_extents *x, u32 keyspace, u16 first, u16 last);
/* [from, to) of a store by key; empty `to`: without end. */
void store_extents_add_keys(struct store_extents *x, u32 keyspace, str from, str to);
void store_extents_add_rest(struct store_extents *x, u32 first, u32 last); /* ids not given out */
void store_extents_encode(const struct store_extents *x, struct buf *out); /* the row of kind STORE_LOCAL_EXTENTS */
void store_extents_sort(struct store_extents *x); /* before it is encoded */
void extents_done(struct store_extents *x);

/* From now on. rows_come: a merge, there are rows in the kvs that this store has not met. What is lost is not
 * deleted: another store has it, or store_drop_slots_of says that nobody does. */
void store_set_extents(struct store *s, struct store_extents *x, bool rows_come);
void store_drop_slots_of(struct store *s, const struct store_extents *x);
bool store_was_cut(const struct store *s);
bool store_covers_slots(const struct store *s, u16 first, u16 last); /* of any id, as last written */
bool store_covers_keys(const struct store *s, str from, str to);

/* The next checkpoints may write local rows of this partition too (a split's other half), or delete all it has (the
 * neighbour that was merged in). */
void store_set_companion(struct store *s, u64 part);
void store_drop_local(struct store *s, u64 part);

/* Nothing is waiting for a checkpoint or for what follows one: neither rows nor ranges. */
bool store_is_quiet(const struct store *s);

/* The same for what is dropped alone: rows that were dropped may come back by a merge. */
bool store_can_take_rows(const struct store *s);
/* Do other stores of this kvs have rows under ids of this one's block? */
bool store_block_is_shared(const struct store *s);
/* All it had is another store's, durably: nothing is its own any more. */
void store_give_up(struct store *s);

/* After a split is durable: the cached rows that are the child's. Out of `from`, and into `to`, which has met none of their
 * keyspaces; or, to NULL, freed. No checkpoint is running. Looks at each of them. */
void store_hand_over(struct store *from, struct store *to);

/* Kinds of local rows that the store knows: its own, and its owner's marker. */
enum { STORE_LOCAL_EXTENTS = 0, STORE_LOCAL_MARKER = 1 };

/* Visit live rows in order, front table merged over kvs, from position `cursor` (slot << 48 | hash48)
 * until `visit` has been called at least `count` times AND the position changes: rows that share a
 * position are visited together, so a cursor never splits them. Returns the next position, or 0 at
 * the end. Fewer than `count` may be visited before the end only if very many deleted rows stand in
 * between (some thousand; turns must be short): *next is then not 0. visit must not write to the
 * store; it returns false to stop early (next position as if the count were reached, still only
 * between positions). */
typedef bool (*store_visit_fn)(void *context, str key, str value);
MUST_USE err store_scan(struct store *s, u32 keyspace, u64 cursor, u64 count, store_visit_fn visit,
                        void *context, u64 *next);
/* The same up to position `last`; rows behind it count as the end. */
MUST_USE err store_scan_to(struct store *s, u32 keyspace, u64 cursor, u64 last, u64 count,
                           store_visit_fn visit, void *context, u64 *next);
/* The same in a store by key: live rows of [from, to), empty `to`: all behind. `next` gets the key to go on at, and *more is
 * set, when `count` were visited, visit returned false, or very many deleted ones were passed. */
MUST_USE err store_scan_keys(struct store *s, u32 keyspace, str from, str to, u64 count, store_visit_fn visit,
                             void *context, struct buf *next, bool *more);
#define STORE_POSITION_MAX (((u64)1 << 62) - 1)

/* The first live row at or after position `from` and up to `last`. */
MUST_USE err store_first(struct store *s, u32 keyspace, u64 from, u64 last, struct buf *key, bool *found);
/* A live row at a pseudo-random place: the first one at or after position `from`, wrapping. */
MUST_USE err store_any(struct store *s, u32 keyspace, u64 from, struct buf *key, bool *found);

/* Up to `steps` units of background work: eviction above the budget, freeing dropped keyspaces and the
 * rows of finished checkpoints. Call once per turn; true if more remains. */
bool store_tidy(struct store *s, u32 steps);

size_t store_dirty_bytes(const struct store *s);
size_t store_memory_bytes(const struct store *s);
struct store_stats {
    u64 hits, misses, kvs_reads, evicted, checkpoints, checkpoint_rows, checkpoint_bytes;
    u64 rows_resident;
};
const struct store_stats *store_stats(const struct store *s);

/* A checkpoint: freeze the dirty generation together with the partition-local rows (marker, sessions:
 * encoded keys and values, copied), in O(local rows); run the job off the reactor; tell the store.
 * One at a time: store_checkpoint_running, which stays true until store_tidy has also looked at the
 * rows that were written (store_freeze does the rest of that at once if it is not waited for). Rows
 * changed meanwhile go to the next generation. */
struct store_checkpoint {
    struct env_job job; /* submit it; job.result is the outcome */
    struct store *store;
};
bool store_checkpoint_running(const struct store *s);
struct store_checkpoint *store_freeze(struct store *s, const struct kvs_row *local, size_t local_count);
/* After ENV_JOB_DONE; frees the checkpoint. On error nothing was written and the node must stop,
 * except ERR_NO_SPACE: the generation is thawed and may be frozen again later. */
MUST_USE err store_checkpoint_done(struct store_checkpoint *c);

/* Partition-local rows as last checkpointed: 01 | part:u64be | kind:u8 | sub. */
void store_local_key(u64 part, u8 kind, str sub, struct buf *out);
MUST_USE err store_local_get(struct store *s, u8 kind, str sub, struct buf *out, bool *found);
typedef void (*store_local_fn)(void *context, str sub, str value);
MUST_USE err store_local_each(struct store *s, u8 kind, store_local_fn fn, void *context);

/* Snapshot out: everything of this store as of the last finished checkpoint, in chunks of rows
 * [klen:u32 vlen:u32 key value]*. `after` is the last key of the previous chunk (empty: start). At least
 * one row per chunk; *last is set when the chunk ends the snapshot. */
struct store_snapshot;
struct store_snapshot *store_snapshot_new(struct store *s);
void store_snapshot_free(struct store_snapshot *sn);
MUST_USE err store_snapshot_chunk(struct store_snapshot *sn, str after, size_t bytes, struct buf *out,
                                  bool *last);

/* A key of such a chunk: a head row's, of which keyspace and user key; false: it is no head row's. */
bool store_snapshot_key(str encoded, u32 *keyspace, str *key);

/* Snapshot in: stage chunks in order, then commit as a job; then store_install_done empties the front
 * table and the store shows the new rows. Abort or crash before the job's end: the old state. */
struct store_victims;
struct store_install {
    struct env_job job;
    struct store *store;
    struct kvs_stage *stage;        /* from the first row on */
    struct store_extents *extents;  /* of the snapshot; NULL: the whole block */
    struct store_victims *victims;
    err begun;
    struct buf last_key;
};
MUST_USE err store_install_new(struct store *s, struct store_install **out);
/* ERR_MALFORMED: not such a chunk. ERR_STALE: another store of this kvs has some of these rows; it may give them up
 * later: abort, and begin again. */
MUST_USE err store_install_chunk(struct store_install *in, str chunk);
/* Partitions on the same kvs that the snapshot shows to be merged into this one: the commit deletes what they have. They
 * must be at rest by then, and their stores freed after it. Known after the first chunk. */
#define STORE_VICTIMS_MAX 4
struct store_victims {
    u64 part[STORE_VICTIMS_MAX];
    u32 count;
};
const struct store_victims *store_install_victims(const struct store_install *in);
bool store_install_may_commit(const struct store_install *in); /* ask just before store_install_prepare */
void store_install_prepare(struct store_install *in);                  /* then submit in->job */
MUST_USE err store_install_done(struct store_install *in);             /* frees */
void store_install_abort(struct store_install *in);                    /* frees */

/* Position of a key in its keyspace: slot << 48 | hash48 (slot: CRC-16/XMODEM mod 16384 with {tag}). */
u64 store_position(str key);
u16 store_slot(str key);
