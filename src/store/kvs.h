/* The ordered key-value engine under the store, behind one table of operations: rocks.c (RocksDB,
 * its write-ahead log off) and memory.c (an ordered map with a durable image, for the simulator).
 * Only checkpoints and snapshot installs write, each as one atomic and durable step. get and
 * iterators run on the reactor; ingest and stage_commit run inside jobs, one at a time per store. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"

struct kvs;
struct kvs_iter;
struct kvs_snapshot;
struct kvs_stage;

struct kvs_row {
    str key, value;
    bool is_delete;
};

struct kvs_range { /* [lower, upper) */
    str lower, upper;
};

struct kvs_ops {
    /* Appends the value to out. Not found is an answer: *found = false. */
    err (*get)(struct kvs *k, str key, struct buf *out, bool *found);

    struct kvs_snapshot *(*snapshot_new)(struct kvs *k);
    void (*snapshot_free)(struct kvs *k, struct kvs_snapshot *s);

    /* snapshot NULL: the latest state, pinned at creation. Iterators do not outlive a turn unless
     * they come from a snapshot. */
    struct kvs_iter *(*iter_new)(struct kvs *k, struct kvs_snapshot *s);
    void (*iter_seek)(struct kvs_iter *i, str key); /* first key >= key */
    bool (*iter_valid)(const struct kvs_iter *i);
    void (*iter_next)(struct kvs_iter *i);
    str (*iter_key)(const struct kvs_iter *i); /* borrowed until the next move */
    str (*iter_value)(const struct kvs_iter *i);
    err (*iter_error)(const struct kvs_iter *i);
    void (*iter_free)(struct kvs_iter *i);

    /* Delete the ranges, then put and delete the rows (ascending keys, none twice): all or nothing,
     * durable on return. */
    err (*ingest)(struct kvs *k, const struct kvs_range *ranges, u32 range_count,
                  const struct kvs_row *rows, size_t row_count);

    /* Replace the whole of the ranges (ascending, copied) by rows added in ascending order: nothing is
     * visible before stage_commit, which is atomic and durable; abort or a crash leaves the old rows. */
    err (*stage_new)(struct kvs *k, const struct kvs_range *ranges, u32 range_count,
                     struct kvs_stage **out);
    err (*stage_add)(struct kvs_stage *s, str key, str value);
    err (*stage_commit)(struct kvs_stage *s); /* frees s, whatever it returns */
    void (*stage_abort)(struct kvs_stage *s);

    u64 (*bytes_on_disk)(struct kvs *k);
    const char *(*problem)(struct kvs *k); /* the engine's words for its first failure, or "" */
    void (*close)(struct kvs *k);
};

struct kvs {
    const struct kvs_ops *ops;
    struct list stores; /* open on it, from the first on: extents.c */
};

struct kvs_rocks_options {
    size_t block_cache_bytes;
    u32 threads; /* background compaction */
};

/* Open or create the RocksDB in dir (an absolute or working-directory path). The sentence of a
 * failure goes to problem. */
MUST_USE err kvs_rocks_open(const char *dir, const struct kvs_rocks_options *options,
                            struct kvs **out, char *problem, size_t problem_size);

/* The durable image of a memory engine outlives the engine, as a disk outlives a process. One
 * engine at a time; single-threaded: jobs run between events. */
struct kvs_image;
struct kvs_image *kvs_image_new(void);
void kvs_image_free(struct kvs_image *image); /* closes what is open on it, as a crash does */
struct kvs *kvs_memory_open(struct kvs_image *image);
u64 kvs_image_hash(const struct kvs_image *image); /* of all rows, in order */

/* The process dies: the engine goes, with all its iterators, snapshots and stages, and the image
 * keeps what ingest and stage_commit had returned. Both are one step here, so a job that had not
 * run has left nothing and one that had has left everything. Accepts an image that is not open. */
void kvs_image_crash(struct kvs_image *image);

/* From now on ingest, stage_add and stage_commit change nothing and return e, until e is OK again:
 * ERR_NO_SPACE, a disk that is full; anything else, one that is broken. Reads go on. */
void kvs_image_fail(struct kvs_image *image, err e);
