/* The state store of one partition: a front table in memory that answers reads and takes writes, over
 * a kvs that a checkpointer feeds with sorted batches. The log makes the front table replayable, so
 * nothing here is written when a row changes.
 *
 * A row is a user key's head row: its value bytes are opaque here (kv/head.h gives them meaning).
 * Rows are ordered by (keyspace, slot, 48-bit hash, key): docs/formats/keys.md.
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

/* Snapshot in: stage chunks in order, then commit as a job; then store_install_done empties the front
 * table and the store shows the new rows. Abort or crash before the job's end: the old state. */
struct store_install {
    struct env_job job;
    struct store *store;
    struct kvs_stage *stage;
    struct buf last_key;
};
MUST_USE err store_install_new(struct store *s, struct store_install **out);
MUST_USE err store_install_chunk(struct store_install *in, str chunk); /* ERR_MALFORMED: not such a chunk */
void store_install_prepare(struct store_install *in);                  /* then submit in->job */
MUST_USE err store_install_done(struct store_install *in);             /* frees */
void store_install_abort(struct store_install *in);                    /* frees */

/* Position of a key in its keyspace: slot << 48 | hash48 (slot: CRC-16/XMODEM mod 16384 with {tag}). */
u64 store_position(str key);
u16 store_slot(str key);
