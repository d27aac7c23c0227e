/* The files of a backup, docs/formats/backup.md: a file of rows per group, and a manifest that is
 * written last. */
#pragma once

#include "base/buf.h"
#include "cli/json_read.h"

#include <stdio.h>

#define BACKUP_PATH_MAX    600
#define BACKUP_PROBLEM_MAX 1024

/* ---- writing ---- */

struct backup_writer {
    FILE *file;
    char path[BACKUP_PATH_MAX];
    struct buf part; /* of a block that is not whole yet */
    u64 bytes;       /* of the file */
    u32 crc;         /* of the whole file */
    u64 rows, row_bytes;
    bool ended; /* the block of totals was there, and fits */
    char problem[BACKUP_PROBLEM_MAX];
};

/* False: problem says why. */
bool backup_writer_open(struct backup_writer *w, const char *dir, u64 group, u32 keyspace,
                        u64 stamp);
/* Bytes of blocks as a node sends them, in any pieces; each block is checked before it is written.
 */
bool backup_writer_take(struct backup_writer *w, str bytes);
/* Durable, or not: problem. */
bool backup_writer_close(struct backup_writer *w);
void backup_writer_abandon(struct backup_writer *w);

/* Atomically, and durable with everything in the directory. `manifest` is one JSON object. */
bool backup_manifest_write(const char *dir, str manifest, char *problem, size_t size);

/* ---- reading ---- */

struct backup_row {
    u8 type, db;
    u64 expire_us;
    str key, value; /* borrowed until the next row */
};

struct backup_reader {
    FILE *file;
    struct buf block;
    struct reader rows;
    u64 group, stamp, row_count, row_bytes, bytes;
    u32 keyspace, crc;
    bool ended;
    char problem[BACKUP_PROBLEM_MAX];
};
bool backup_reader_open(struct backup_reader *r, const char *dir, str file);
/* False: the end, or with a problem a damaged file. */
bool backup_reader_next(struct backup_reader *r, struct backup_row *out);
void backup_reader_close(struct backup_reader *r);

/* Read all of it and check every checksum; what is wrong goes to standard error. backup_cmd.c */
bool backup_verify(const char *dir, u64 *rows, u64 *bytes);

/* The manifest: item *root in j. False: problem. */
bool backup_manifest_read(const char *dir, struct json *j, u32 *root, char *problem, size_t size);
