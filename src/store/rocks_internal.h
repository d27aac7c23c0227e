/* Shared by rocks.c (open, reads) and rocks_sst.c (writes). */
#pragma once

#include "base/assert.h"
#include "store/kvs.h"
#include "store/rocks_sweep.h"

#include <rocksdb/c.h>

#define ROCKS_PIECE_BYTES MIB /* goes to the disk, or comes from it, before the next: the log waits behind no more */

struct rocks {
    struct kvs base;
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_cache_t *cache;
    rocksdb_readoptions_t *read;
    rocksdb_envoptions_t *file_options;
    rocksdb_ingestexternalfileoptions_t *ingest;
    struct sweep *sweep;   /* of deleted files; NULL: they go at once */
    char *sst_dir;         /* beside the database: files being written; emptied at open */
    _Atomic u64 next_file; /* jobs and stages name their files by it */
    _Atomic u32 open;      /* snapshots, iterators, stages: none may be left at close */
    _Atomic u32 failures;
    _Atomic bool problem_is_set;
    char problem[256]; /* RocksDB's words for the first failure; written once */
};

static inline struct rocks *rocks_of(struct kvs *k) { return CONTAINER_OF(k, struct rocks, base); }

/* What RocksDB says, as an err; frees text. NULL is OK. */
MUST_USE err rocks_err(struct rocks *r, char *text);
u64 rocks_free_bytes(const struct rocks *r);

/* rocks_sst.c */
err rocks_ingest(struct kvs *k, const struct kvs_range *ranges, u32 range_count,
                 const struct kvs_row *rows, size_t row_count);
err rocks_stage_new(struct kvs *k, const struct kvs_range *ranges, u32 count,
                    struct kvs_stage **out);
err rocks_stage_add(struct kvs_stage *s, str key, str value);
err rocks_stage_commit(struct kvs_stage *s);
void rocks_stage_abort(struct kvs_stage *s);
