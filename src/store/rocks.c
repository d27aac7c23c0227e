/* RocksDB 7.8 behind kvs.h, through its C API: opening and reading. rocks_sst.c writes.
 *
 * The memtable and the write-ahead log stay empty: every change is an ingest of sorted files, which
 * is atomic and durable by the manifest's one record. The database is the default column family of
 * `dir`; files on their way in are built in `dir`.sst, which is emptied at every open. */
#include "store/rocks_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct kvs_snapshot {
    const rocksdb_snapshot_t *pin;
};

struct kvs_iter {
    struct rocks *rocks;
    rocksdb_readoptions_t *read; /* of a snapshot; NULL: the engine's */
    rocksdb_iterator_t *it;
};

/* ---- errors ---- */

/* The C API gives text only. RocksDB 7.8 writes statuses as "IO error: No space left on device:
 * ...", "Corruption: ...". */
static err text_err(const char *text)
{
    if (strstr(text, "No space left") || strstr(text, "NoSpace")) return ERR_NO_SPACE;
    if (strstr(text, "lock hold by") || strstr(text, "While lock file")) return ERR_LOCKED;
    if (strncmp(text, "Corruption", 10) == 0) return ERR_CORRUPT;
    return ERR_IO;
}

err rocks_err(struct rocks *r, char *text)
{
    if (LIKELY(!text)) return OK;
    err e = text_err(text);
    if (r->failures++ == 0) {
        snprintf(r->problem, sizeof r->problem, "%s", text);
        r->problem_is_set = true;
    }
    rocksdb_free(text);
    return e;
}

static const char *rocks_problem(struct kvs *k)
{
    struct rocks *r = rocks_of(k);
    return r->problem_is_set ? r->problem : "";
}

/* On the file system of the database; plenty if nobody knows: the write itself will tell. */
u64 rocks_free_bytes(const struct rocks *r)
{
    struct statvfs v;
    return statvfs(r->sst_dir, &v) ? UINT64_MAX : (u64)v.f_bavail * v.f_frsize;
}

/* ---- options ---- */

enum { OPEN_FILES_MAX = 256 };
enum { INFO_LOG_HEADERS = 5 };         /* InfoLogLevel::HEADER_LEVEL */
enum { OPEN_BYTES = 2 * 1024 * 1024 }; /* must be free: opening writes, and may not run dry */

enum { ACCESS_HINT_NONE = 0 };         /* Options::AccessHint */

/* Compactions and the log share the disk. Without this a compaction keeps it busy for 10 to 100 ms at a time: by what the kernel has
 * of a file when it is synced, and by space that was reserved for a file and goes back (a discard). */
static rocksdb_options_t *be_gentle(rocksdb_options_t *o)
{
    rocksdb_options_set_bytes_per_sync(o, ROCKS_PIECE_BYTES);
    rocksdb_options_compaction_readahead_size(o, ROCKS_PIECE_BYTES);
    rocksdb_options_set_access_hint_on_compaction_start(o, ACCESS_HINT_NONE); /* the kernel reads ahead nevertheless */

    char *text = NULL;
    rocksdb_options_t *gentle = rocksdb_options_create();
    rocksdb_get_options_from_string(o, "strict_bytes_per_sync=true;allow_fallocate=false", gentle, &text);
    if (text) panic("RocksDB refuses its options: %s", text);
    rocksdb_options_destroy(o);
    return gentle;
}

static rocksdb_options_t *make_options(const struct kvs_rocks_options *options,
                                       rocksdb_cache_t *cache)
{
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(table, cache);
    rocksdb_block_based_options_set_block_size(table, 4 * KIB);
    rocksdb_block_based_options_set_format_version(table, 5);
    rocksdb_block_based_options_set_filter_policy(table,
                                                  rocksdb_filterpolicy_create_bloom_full(10));
    /* Indexes and filters count against the cache, in small partitions, so that memory is bounded
     * however large the data is. */
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(table, 1);
    rocksdb_block_based_options_set_pin_top_level_index_and_filter(table, 1);
    rocksdb_block_based_options_set_index_type(
        table, rocksdb_block_based_table_index_type_two_level_index_search);
    rocksdb_block_based_options_set_partition_filters(table, 1);
    rocksdb_block_based_options_set_metadata_block_size(table, 4 * KIB);

    rocksdb_options_t *o = rocksdb_options_create();
    rocksdb_options_set_block_based_table_factory(o, table);
    rocksdb_block_based_options_destroy(table);
    rocksdb_options_set_create_if_missing(o, 1);
    rocksdb_options_set_paranoid_checks(o, 1);
    rocksdb_options_set_compression(o, rocksdb_no_compression); /* CPU is scarcer than disk */
    rocksdb_options_set_compaction_style(o, rocksdb_level_compaction);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(o, 1);
    rocksdb_options_set_target_file_size_base(o, 64 * MIB);
    rocksdb_options_set_max_open_files(o, OPEN_FILES_MAX);
    rocksdb_options_set_max_background_jobs(o, (int)options->threads);
    rocksdb_options_set_max_file_opening_threads(o, 1);
    rocksdb_options_set_write_buffer_size(o, 256 * KIB); /* never filled */
    rocksdb_options_set_max_manifest_file_size(o, 16 * MIB);
    /* Headers at open, nothing later: Debian builds RocksDB with its assertions, and one of them
     * stops the process at the second line logged on a full disk. Errors reach us as text. */
    rocksdb_options_set_info_log_level(o, INFO_LOG_HEADERS);
    rocksdb_options_set_keep_log_file_num(o, 2);
    rocksdb_options_set_stats_dump_period_sec(o, 0);
    rocksdb_options_set_stats_persist_period_sec(o, 0);
    return be_gentle(o);
}

/* ---- reads ---- */

static err rocks_get(struct kvs *k, str key, struct buf *out, bool *found)
{
    struct rocks *r = rocks_of(k);
    char *text = NULL;
    rocksdb_pinnableslice_t *p = rocksdb_get_pinned(r->db, r->read, (const char *)key.at, key.len,
                                                    &text);
    *found = false;
    if (text) return rocks_err(r, text);
    if (!p) return OK;
    size_t bytes;
    const char *value = rocksdb_pinnableslice_value(p, &bytes);
    buf_append(out, value, bytes);
    rocksdb_pinnableslice_destroy(p);
    *found = true;
    return OK;
}

static struct kvs_snapshot *rocks_snapshot_new(struct kvs *k)
{
    struct rocks *r = rocks_of(k);
    struct kvs_snapshot *s = mem_zalloc(sizeof *s);
    s->pin = rocksdb_create_snapshot(r->db);
    r->open++;
    return s;
}

static void rocks_snapshot_free(struct kvs *k, struct kvs_snapshot *s)
{
    if (!s) return;
    struct rocks *r = rocks_of(k);
    rocksdb_release_snapshot(r->db, s->pin);
    mem_free(s);
    r->open--;
}

static struct kvs_iter *rocks_iter_new(struct kvs *k, struct kvs_snapshot *s)
{
    struct rocks *r = rocks_of(k);
    struct kvs_iter *i = mem_zalloc(sizeof *i);
    i->rocks = r;
    if (s) {
        i->read = rocksdb_readoptions_create();
        rocksdb_readoptions_set_snapshot(i->read, s->pin);
        rocksdb_readoptions_set_fill_cache(i->read, 0); /* it reads everything, once */
    }
    i->it = rocksdb_create_iterator(r->db, s ? i->read : r->read);
    r->open++;
    return i;
}

static void rocks_iter_seek(struct kvs_iter *i, str key)
{
    rocksdb_iter_seek(i->it, (const char *)key.at, key.len);
}

static bool rocks_iter_valid(const struct kvs_iter *i) { return rocksdb_iter_valid(i->it); }
static void rocks_iter_next(struct kvs_iter *i) { rocksdb_iter_next(i->it); }

static str rocks_iter_key(const struct kvs_iter *i)
{
    size_t bytes;
    const char *key = rocksdb_iter_key(i->it, &bytes);
    return str_from(key, bytes);
}

static str rocks_iter_value(const struct kvs_iter *i)
{
    size_t bytes;
    const char *value = rocksdb_iter_value(i->it, &bytes);
    return str_from(value, bytes);
}

static err rocks_iter_error(const struct kvs_iter *i)
{
    char *text = NULL;
    rocksdb_iter_get_error(i->it, &text);
    return rocks_err(i->rocks, text);
}

static void rocks_iter_free(struct kvs_iter *i)
{
    if (!i) return;
    rocksdb_iter_destroy(i->it);
    if (i->read) rocksdb_readoptions_destroy(i->read);
    i->rocks->open--;
    mem_free(i);
}

static u64 rocks_bytes_on_disk(struct kvs *k)
{
    uint64_t bytes = 0;
    int failed = rocksdb_property_int(rocks_of(k)->db, "rocksdb.total-sst-files-size", &bytes);
    return failed ? 0 : bytes;
}

/* ---- open and close ---- */

static void rocks_close(struct kvs *k)
{
    struct rocks *r = rocks_of(k);
    assert(r->open == 0); /* RocksDB would abort, or worse, not */
    if (r->db) rocksdb_close(r->db);
    sweep_end(r->sweep);
    rocksdb_ingestexternalfileoptions_destroy(r->ingest);
    rocksdb_envoptions_destroy(r->file_options);
    rocksdb_readoptions_destroy(r->read);
    rocksdb_options_destroy(r->options);
    rocksdb_cache_destroy(r->cache);
    mem_free(r->sst_dir);
    mem_free(r);
}

static const struct kvs_ops rocks_ops = {
    .get = rocks_get,
    .snapshot_new = rocks_snapshot_new,
    .snapshot_free = rocks_snapshot_free,
    .iter_new = rocks_iter_new,
    .iter_seek = rocks_iter_seek,
    .iter_valid = rocks_iter_valid,
    .iter_next = rocks_iter_next,
    .iter_key = rocks_iter_key,
    .iter_value = rocks_iter_value,
    .iter_error = rocks_iter_error,
    .iter_free = rocks_iter_free,
    .ingest = rocks_ingest,
    .stage_new = rocks_stage_new,
    .stage_add = rocks_stage_add,
    .stage_commit = rocks_stage_commit,
    .stage_abort = rocks_stage_abort,
    .bytes_on_disk = rocks_bytes_on_disk,
    .problem = rocks_problem,
    .close = rocks_close,
};

/* What a process left there when it died was never part of the database. */
static err empty_sst_dir(const char *dir)
{
    DIR *d = opendir(dir);
    if (!d) return err_from_errno(errno);
    struct dirent *entry;
    err e = OK;
    while (!e && (entry = readdir(d)))
        if (entry->d_name[0] != '.' && unlinkat(dirfd(d), entry->d_name, 0))
            e = err_from_errno(errno);
    closedir(d);
    return e;
}

/* The names `dir` and `dir`.sst themselves: RocksDB syncs what is in its directory only. */
static err sync_parent(const char *dir)
{
    const char *slash = strrchr(dir, '/');
    size_t length = slash ? (size_t)(slash - dir) : 0;
    char *parent = length ? mem_copy_of(dir, length + 1) : mem_strdup(slash ? "/" : ".");
    if (length) parent[length] = 0;
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mem_free(parent);
    if (fd < 0) return err_from_errno(errno);
    err e = fsync(fd) ? err_from_errno(errno) : OK;
    close(fd);
    return e;
}

/* RocksDB numbers the first file of an empty database 0, and before its pull request 13155 a compaction under a
 * snapshot numbered 0 dropped every row numbered so: a whole partition. Two deletions of a row that nobody has
 * make the number 1, for good, before anybody can take a snapshot. */
static err leave_number_zero(struct rocks *r)
{
    struct kvs_row nothing = {.key = STR("\0"), .is_delete = true};
    err e = OK;

    for (u32 i = 0; i < 2 && !e && rocksdb_get_latest_sequence_number(r->db) == 0; i++)
        e = rocks_ingest(&r->base, NULL, 0, &nothing, 1);
    assert(e || rocksdb_get_latest_sequence_number(r->db) > 0);
    return e;
}

static err open_database(struct rocks *r, const char *dir, char *problem, size_t problem_size)
{
    err e = OK;
    if (mkdir(r->sst_dir, 0700) && errno != EEXIST) e = err_from_errno(errno);
    if (!e && rocks_free_bytes(r) < OPEN_BYTES) e = ERR_NO_SPACE;
    if (e) {
        snprintf(problem, problem_size, "cannot open the store in %s: %s", dir, err_text(e));
        return e;
    }
    char *text = NULL;
    r->db = rocksdb_open(r->options, dir, &text);
    e = rocks_err(r, text);
    if (e) {
        snprintf(problem, problem_size, "cannot open the store in %s: %s", dir, r->problem);
        return e;
    }
    e = empty_sst_dir(r->sst_dir); /* now that the lock of dir is ours */
    if (!e) e = sync_parent(dir);
    if (!e) e = leave_number_zero(r);
    if (!e) r->sweep = sweep_begin(dir);
    if (e) snprintf(problem, problem_size, "cannot use %s: %s", r->sst_dir, err_text(e));
    return e;
}

err kvs_rocks_open(const char *dir, const struct kvs_rocks_options *options, struct kvs **out,
                   char *problem, size_t problem_size)
{
    struct rocks *r = mem_zalloc(sizeof *r);
    r->base.ops = &rocks_ops;
    r->cache = rocksdb_cache_create_lru(options->block_cache_bytes);
    r->options = make_options(options, r->cache);
    r->read = rocksdb_readoptions_create();
    r->file_options = rocksdb_envoptions_create();
    r->ingest = rocksdb_ingestexternalfileoptions_create();
    rocksdb_ingestexternalfileoptions_set_move_files(r->ingest, 1);
    struct buf sst_dir = {0};
    buf_printf(&sst_dir, "%s.sst", dir);
    buf_append_u8(&sst_dir, 0);
    r->sst_dir = mem_copy_of(buf_bytes(&sst_dir), sst_dir.len);
    buf_done(&sst_dir);

    err e = open_database(r, dir, problem, problem_size);
    if (e) {
        rocks_close(&r->base);
        return e;
    }
    *out = &r->base;
    return OK;
}
