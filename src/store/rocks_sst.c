/* Writes to RocksDB: sorted files, taken in by one ingest call.
 *
 * A *run* is what one such call takes: ranges to delete and rows, both ascending, cut into files
 * of about 64 MiB that do not overlap. A file holds the parts of the ranges between its own bounds
 * (range tombstones) beside its rows. RocksDB gives all of a file one sequence number, and a
 * tombstone hides only what is older; so a row in the same file as the tombstone over it stays, and
 * replacing a range by other rows is one atomic step. (CockroachDB applied Raft snapshots so while
 * it ran on RocksDB.)
 *
 * Durability: Finish syncs each file, ingest syncs the link's directory and the manifest. */
#include "store/ranges.h"
#include "store/rocks_internal.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum { FILE_BYTES = 64 * 1024 * 1024 };
enum { RESERVE_BYTES = 8 * 1024 * 1024 }; /* must be free at an ingest, so that the manifest fits */

struct run {
    struct rocks *rocks;
    const struct kvs_range *ranges;  /* borrowed */
    u32 range_count, range_at;       /* ranges before range_at are written */
    struct buf from;                 /* of ranges[range_at], what is before is written */
    rocksdb_sstfilewriter_t *writer; /* NULL: no file is open */
    size_t file_bytes;
    bool may_wait;      /* for the disk: this is a job */
    int file;           /* the open one, to write it out; -1: none */
    size_t written_out; /* of file_bytes */
    char **files;
    u32 file_count, file_cap;

    /* A file that is full is finished by a thread, so that stage_add does not wait for the disk. */
    bool finishing;
    pthread_t finisher;
    rocksdb_sstfilewriter_t *finish_writer;
    char *finish_text;
};

static const char *chars(str s) { return (const char *)s.at; }

static void run_from(struct run *run)
{
    buf_clear(&run->from);
    if (run->range_at < run->range_count)
        buf_append_str(&run->from, run->ranges[run->range_at].lower);
}

static void run_init(struct run *run, struct rocks *r, const struct kvs_range *ranges, u32 count)
{
    *run = (struct run){.rocks = r, .ranges = ranges, .range_count = count, .file = -1};
    run_from(run);
}

static err run_open_file(struct run *run)
{
    if (run->writer) return OK;
    struct rocks *r = run->rocks;
    if (run->file_count == run->file_cap) {
        run->file_cap = run->file_cap ? 2 * run->file_cap : 8;
        run->files = mem_resize_array(run->files, run->file_cap, sizeof *run->files);
    }
    struct buf path = {0};
    buf_printf(&path, "%s/%llu.sst", r->sst_dir, (unsigned long long)++r->next_file);
    buf_append_u8(&path, 0);
    char *name = mem_copy_of(buf_bytes(&path), path.len);
    buf_done(&path);
    run->files[run->file_count++] = name;
    run->writer = rocksdb_sstfilewriter_create(r->file_options, r->options);
    run->file_bytes = run->written_out = 0;
    char *text = NULL;
    rocksdb_sstfilewriter_open(run->writer, name, &text);
    err e = rocks_err(r, text);
    if (!e && run->may_wait) run->file = open(name, O_WRONLY | O_CLOEXEC);
    return e;
}

/* Finish would send all of the file to the disk in one go, and the log's next write would wait behind it. So what RocksDB has
 * written goes piece by piece; its own rate for this (bytes_per_sync) does not reach files that are written to be ingested. */
static void run_write_out(struct run *run)
{
    const unsigned how = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;

    if (run->file < 0 || run->file_bytes < run->written_out + ROCKS_PIECE_BYTES) return;
    (void)!sync_file_range(run->file, 0, 0, how); /* an error is told by Finish, which syncs */
    run->written_out = run->file_bytes;
}

static void run_close_fd(struct run *run)
{
    if (run->file >= 0) close(run->file);
    run->file = -1;
}

static void *finish_file(void *arg)
{
    struct run *run = arg;
    rocksdb_sstfilewriter_finish(run->finish_writer, &run->finish_text);
    return NULL;
}

static err run_join_finisher(struct run *run)
{
    if (!run->finishing) return OK;
    pthread_join(run->finisher, NULL);
    run->finishing = false;
    rocksdb_sstfilewriter_destroy(run->finish_writer);
    run->finish_writer = NULL;
    char *text = run->finish_text;
    run->finish_text = NULL;
    return rocks_err(run->rocks, text);
}

/* Hand the open file to the finisher, once it is done with the one before. */
static err run_close_file(struct run *run)
{
    err e = run_join_finisher(run);
    if (e || !run->writer) return e;
    run->finish_writer = run->writer;
    run->writer = NULL;
    run_close_fd(run);
    run->finishing = true;
    if (pthread_create(&run->finisher, NULL, finish_file, run))
        panic("cannot start a thread to write the store");
    return OK;
}

static err run_delete_range(struct run *run, str lower, str upper)
{
    if (str_compare(lower, upper) >= 0) return OK;
    err e = run_open_file(run);
    if (e) return e;
    char *text = NULL;
    rocksdb_sstfilewriter_delete_range(run->writer, chars(lower), lower.len, chars(upper),
                                       upper.len, &text);
    return rocks_err(run->rocks, text);
}

/* Write what is left of the ranges that end at or before `key`; key NULL: of all. */
static err run_ranges_before(struct run *run, const str *key)
{
    while (run->range_at < run->range_count) {
        str upper = run->ranges[run->range_at].upper;
        if (key && str_compare(upper, *key) > 0) return OK;
        err e = run_delete_range(run, buf_str(&run->from), upper);
        if (e) return e;
        run->range_at++;
        run_from(run);
    }
    return OK;
}

/* End the file before `key`: the part of the current range up to there goes with it. */
static err run_cut(struct run *run, str key)
{
    if (run->range_at < run->range_count && str_compare(buf_str(&run->from), key) < 0) {
        err e = run_delete_range(run, buf_str(&run->from), key);
        if (e) return e;
        buf_clear(&run->from);
        buf_append_str(&run->from, key);
    }
    return run_close_file(run);
}

static err run_add(struct run *run, str key, str value, bool is_delete)
{
    err e = run_ranges_before(run, &key);
    if (e) return e;
    size_t bytes = key.len + value.len;
    if (run->file_bytes && run->file_bytes + bytes > FILE_BYTES) {
        e = run_cut(run, key);
        if (e) return e;
    }
    e = run_open_file(run);
    if (e) return e;
    char *text = NULL;
    if (is_delete)
        rocksdb_sstfilewriter_delete(run->writer, chars(key), key.len, &text);
    else
        rocksdb_sstfilewriter_put(run->writer, chars(key), key.len, chars(value), value.len, &text);
    run->file_bytes += bytes;
    run_write_out(run);
    return rocks_err(run->rocks, text);
}

static err run_commit(struct run *run)
{
    err e = run_ranges_before(run, NULL);
    if (e) return e;
    e = run_close_file(run);
    if (e) return e;
    e = run_join_finisher(run);
    if (e) return e;
    if (run->file_count == 0) return OK;
    if (rocks_free_bytes(run->rocks) < RESERVE_BYTES) return ERR_NO_SPACE;
    char *text = NULL;
    rocksdb_ingest_external_file(run->rocks->db, (const char *const *)run->files, run->file_count,
                                 run->rocks->ingest, &text);
    /* A manifest that could not be written is no refusal: RocksDB 7.8 clears the error by itself
     * but keeps a flag that makes the next ingest use file number 0. The node must stop. */
    bool manifest_failed = text && strstr(text, "MANIFEST");
    e = rocks_err(run->rocks, text);
    return e && manifest_failed ? ERR_IO : e;
}

/* After a commit the files are RocksDB's, under other names; else they were nothing. */
static void run_done(struct run *run)
{
    err ignored = run_join_finisher(run);
    (void)ignored; /* whoever needed the file has seen its error */
    if (run->writer) rocksdb_sstfilewriter_destroy(run->writer);
    run_close_fd(run);
    for (u32 i = 0; i < run->file_count; i++) {
        unlink(run->files[i]);
        mem_free(run->files[i]);
    }
    mem_free(run->files);
    buf_done(&run->from);
}

/* Rows lie anywhere in memory: ask for their bytes before their turn comes. */
enum { ROWS_AHEAD = 4, CACHE_LINE_BYTES = 64, PREFETCH_BYTES = 512 };
static void prefetch_row(const struct kvs_row *row)
{
    size_t bytes = size_min(row->key.len + row->value.len, PREFETCH_BYTES); /* the value follows the key */
    for (size_t at = 0; at < bytes; at += CACHE_LINE_BYTES) __builtin_prefetch(row->key.at + at);
}

err rocks_ingest(struct kvs *k, const struct kvs_range *ranges, u32 range_count,
                 const struct kvs_row *rows, size_t row_count)
{
    for (u32 i = 0; i < range_count; i++) {
        assert(str_compare(ranges[i].lower, ranges[i].upper) < 0);
        assert(i == 0 || str_compare(ranges[i - 1].upper, ranges[i].lower) <= 0);
    }
    struct run run;
    run_init(&run, rocks_of(k), ranges, range_count);
    run.may_wait = true;
    err e = OK;
    for (size_t i = 0; i < row_count && !e; i++) {
        if (i + ROWS_AHEAD < row_count) prefetch_row(&rows[i + ROWS_AHEAD]);
        e = run_add(&run, rows[i].key, rows[i].value, rows[i].is_delete);
    }
    if (!e) e = run_commit(&run);
    run_done(&run);
    return e;
}

/* ---- stages ---- */

struct kvs_stage {
    struct run run;
    struct range_set ranges;
};

err rocks_stage_new(struct kvs *k, const struct kvs_range *ranges, u32 count,
                    struct kvs_stage **out)
{
    struct kvs_stage *s = mem_zalloc(sizeof *s);
    range_set_init(&s->ranges, ranges, count);
    run_init(&s->run, rocks_of(k), s->ranges.range, count);
    rocks_of(k)->open++;
    *out = s;
    return OK;
}

err rocks_stage_add(struct kvs_stage *s, str key, str value)
{
    assert(range_set_has(&s->ranges, key));
    return run_add(&s->run, key, value, false);
}

void rocks_stage_abort(struct kvs_stage *s)
{
    if (!s) return;
    struct rocks *r = s->run.rocks;
    run_done(&s->run);
    range_set_done(&s->ranges);
    mem_free(s);
    r->open--;
}

err rocks_stage_commit(struct kvs_stage *s)
{
    err e = run_commit(&s->run);
    rocks_stage_abort(s);
    return e;
}
