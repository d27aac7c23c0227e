#include "cli/backup_file.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* file   := magic:8 "QUORBAK1" | fmt:u32 = 1 | keyspace:u32 | group:u64 | stamp:u64 | crc:u32 of
 * these 32 bytes | blocks block  := bytes:u32 | rows:u32 | crc:u32 of bytes, rows and payload |
 * payload row    := type:u8 | db:u8 | expire_us:u64 | key_len:u32 | value_len:u32 | key | value The
 * last block has rows = 0 and the payload rows:u64 | bytes of all rows:u64. */
static const char magic[] = "QUORBAK1";
enum {
    FMT = 1,
    HEADER_BYTES = 36,
    BLOCK_HEAD = 12,
    ROW_HEAD = 18,
    BLOCK_BYTES_MAX = 256 << 20,
    MANIFEST_MAX = 64 << 20
};

static void say(char out[BACKUP_PROBLEM_MAX], const char *format, ...) PRINTF_LIKE(2, 3);
static void say(char out[BACKUP_PROBLEM_MAX], const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(out, BACKUP_PROBLEM_MAX, format, args);
    va_end(args);
}

/* ---- writing ---- */

static bool write_all(struct backup_writer *w, const void *bytes, size_t count)
{
    if (fwrite(bytes, 1, count, w->file) != count) {
        say(w->problem, "cannot write %s: %s", w->path, strerror(errno));
        return false;
    }
    w->crc = crc32c_more(w->crc, bytes, count);
    w->bytes += count;
    return true;
}

bool backup_writer_open(struct backup_writer *w, const char *dir, u64 group, u32 keyspace,
                        u64 stamp)
{
    u8 header[HEADER_BYTES];

    *w = (struct backup_writer){0};
    snprintf(w->path, sizeof w->path, "%s/group-%lu.rows", dir, group);
    w->file = fopen(w->path, "wxe");
    if (!w->file) {
        say(w->problem, "cannot make %s: %s", w->path, strerror(errno));
        return false;
    }
    memcpy(header, magic, 8);
    put_u32(header + 8, FMT);
    put_u32(header + 12, keyspace);
    put_u64(header + 16, group);
    put_u64(header + 24, stamp);
    put_u32(header + 32, crc32c(header, 32));
    return write_all(w, header, sizeof header);
}

/* A whole block: does it say of itself what is true? */
static bool take_block(struct backup_writer *w, const u8 *at, u32 bytes, u32 rows)
{
    if (crc32c_more(crc32c(at, 8), at + BLOCK_HEAD, bytes) != get_u32(at + 8)) {
        say(w->problem, "a block for %s arrived damaged", w->path);
        return false;
    }
    if (rows == 0) {
        w->ended = bytes == 16 && get_u64(at + BLOCK_HEAD) == w->rows &&
                   get_u64(at + BLOCK_HEAD + 8) == w->row_bytes;
        if (!w->ended) say(w->problem, "rows for %s are missing", w->path);
    } else {
        w->rows += rows;
        w->row_bytes += bytes;
    }
    return w->problem[0] == 0 && write_all(w, at, BLOCK_HEAD + bytes);
}

bool backup_writer_take(struct backup_writer *w, str bytes)
{
    buf_append_str(&w->part, bytes);
    while (w->part.len >= BLOCK_HEAD) {
        const u8 *at = buf_bytes(&w->part);
        u32 payload = get_u32(at);
        if (payload > BLOCK_BYTES_MAX || w->ended) {
            say(w->problem, "what arrives for %s is no block", w->path);
            return false;
        }
        if (w->part.len < BLOCK_HEAD + (size_t)payload) break;
        if (!take_block(w, at, payload, get_u32(at + 4))) return false;
        buf_consume(&w->part, BLOCK_HEAD + (size_t)payload);
    }
    return true;
}

bool backup_writer_close(struct backup_writer *w)
{
    bool good = w->problem[0] == 0 && w->ended;

    if (!good && !w->problem[0]) say(w->problem, "the rows for %s broke off", w->path);
    if (good && (fflush(w->file) || fsync(fileno(w->file)))) {
        say(w->problem, "cannot write %s: %s", w->path, strerror(errno));
        good = false;
    }
    if (!good) {
        backup_writer_abandon(w);
        return false;
    }
    fclose(w->file);
    w->file = NULL;
    buf_done(&w->part);
    return true;
}

void backup_writer_abandon(struct backup_writer *w)
{
    if (w->file) {
        fclose(w->file);
        unlink(w->path);
    }
    w->file = NULL;
    buf_done(&w->part);
}

bool backup_manifest_write(const char *dir, str manifest, char *problem, size_t size)
{
    char path[BACKUP_PATH_MAX], temporary[BACKUP_PATH_MAX];

    snprintf(path, sizeof path, "%s/manifest.json", dir);
    snprintf(temporary, sizeof temporary, "%s/manifest.json.tmp", dir);
    FILE *f = fopen(temporary, "we");
    bool good = f && fprintf(f, "{\"manifest\":") > 0 &&
                fwrite(manifest.at, 1, manifest.len, f) == manifest.len &&
                fprintf(f, ",\"crc32c\":\"%08x\"}\n", crc32c(manifest.at, manifest.len)) > 0 &&
                fflush(f) == 0 && fsync(fileno(f)) == 0;
    if (f) fclose(f);
    int fd = good ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    /* Names first, then the manifest's: who sees it sees all of them. */
    good = good && fd >= 0 && fsync(fd) == 0 && rename(temporary, path) == 0 && fsync(fd) == 0;
    if (fd >= 0) close(fd);
    if (!good) snprintf(problem, size, "cannot write %s: %s", path, strerror(errno));
    return good;
}

/* ---- reading ---- */

static bool damaged(struct backup_reader *r, const char *what)
{
    say(r->problem, "group %lu: %s at byte %lu", r->group, what, r->bytes);
    return false;
}

static bool read_all(struct backup_reader *r, void *to, size_t count)
{
    if (fread(to, 1, count, r->file) != count) return false;
    r->crc = crc32c_more(r->crc, to, count);
    r->bytes += count;
    return true;
}

bool backup_reader_open(struct backup_reader *r, const char *dir, str file)
{
    char path[BACKUP_PATH_MAX];
    u8 header[HEADER_BYTES];

    *r = (struct backup_reader){0};
    snprintf(path, sizeof path, "%s/%.*s", dir, STR_ARG(file));
    if (memchr(file.at, '/', file.len)) {
        say(r->problem, "the manifest names a file elsewhere: %.*s", STR_ARG(file));
        return false;
    }
    r->file = fopen(path, "re");
    if (!r->file) {
        say(r->problem, "cannot read %s: %s", path, strerror(errno));
        return false;
    }
    if (!read_all(r, header, sizeof header) || memcmp(header, magic, 8) != 0 ||
        get_u32(header + 8) != FMT || get_u32(header + 32) != crc32c(header, 32)) {
        say(r->problem, "%s is not a file of a backup, or its beginning is damaged", path);
        return false;
    }
    r->keyspace = get_u32(header + 12);
    r->group = get_u64(header + 16);
    r->stamp = get_u64(header + 24);
    return true;
}

static bool read_block(struct backup_reader *r)
{
    u8 head[BLOCK_HEAD];

    if (!read_all(r, head, sizeof head)) return damaged(r, "the file ends too early");
    u32 bytes = get_u32(head), rows = get_u32(head + 4);
    if (bytes > BLOCK_BYTES_MAX) return damaged(r, "a block's length is damaged");
    buf_clear(&r->block);
    if (!read_all(r, buf_reserve(&r->block, bytes), bytes))
        return damaged(r, "the file ends inside a block");
    buf_extend(&r->block, bytes);
    if (crc32c_more(crc32c(head, 8), buf_bytes(&r->block), bytes) != get_u32(head + 8))
        return damaged(r, "a block is damaged (its checksum differs)");
    r->rows = reader_of(buf_str(&r->block));
    if (rows) {
        r->row_bytes += bytes;
        return true;
    }
    r->ended = true;
    u64 all = reader_u64(&r->rows), all_bytes = reader_u64(&r->rows);
    if (r->rows.bad || all != r->row_count || all_bytes != r->row_bytes)
        return damaged(r, "rows are missing");
    if (fgetc(r->file) != EOF) return damaged(r, "there is more behind the end");
    return false;
}

bool backup_reader_next(struct backup_reader *r, struct backup_row *out)
{
    if (r->problem[0] || r->ended) return false;
    if (reader_left(&r->rows) == 0 && !read_block(r)) return false;
    out->type = reader_u8(&r->rows);
    out->db = reader_u8(&r->rows);
    out->expire_us = reader_u64(&r->rows);
    u32 key_len = reader_u32(&r->rows), value_len = reader_u32(&r->rows);
    out->key = reader_str(&r->rows, key_len);
    out->value = reader_str(&r->rows, value_len);
    if (r->rows.bad) return damaged(r, "a row is damaged");
    r->row_count++;
    return true;
}

void backup_reader_close(struct backup_reader *r)
{
    if (r->file) fclose(r->file);
    r->file = NULL;
    buf_done(&r->block);
}

static bool read_file(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "re");
    size_t got;

    if (!f) return false;
    do {
        got = fread(buf_reserve(out, 64 * 1024), 1, 64 * 1024, f);
        buf_extend(out, got);
    } while (got && out->len < MANIFEST_MAX);
    fclose(f);
    return true;
}

bool backup_manifest_read(const char *dir, struct json *j, u32 *root, char *problem, size_t size)
{
    static const char begin[] = "{\"manifest\":", end[] = ",\"crc32c\":\"";
    char path[BACKUP_PATH_MAX], crc[16];
    struct buf text = {0};
    bool good = false;

    *j = (struct json){0};
    snprintf(path, sizeof path, "%s/manifest.json", dir);
    if (!read_file(path, &text)) {
        snprintf(problem, size, "%s is no finished backup: cannot read manifest.json: %s", dir,
                 strerror(errno));
        return false;
    }
    const char *at = (const char *)buf_bytes(&text);
    size_t tail = sizeof end - 1 + 8 + sizeof "\"}\n" - 1;
    if (text.len > sizeof begin - 1 + tail && memcmp(at, begin, sizeof begin - 1) == 0 &&
        memcmp(at + text.len - tail, end, sizeof end - 1) == 0) {
        size_t len = text.len - tail - (sizeof begin - 1);
        snprintf(crc, sizeof crc, "%08x", crc32c(at + sizeof begin - 1, len));
        good = memcmp(crc, at + text.len - tail + sizeof end - 1, 8) == 0 &&
               json_parse(j, buf_str(&text)) == OK;
    }
    buf_done(&text);
    *root = good ? json_get(j, 0, "manifest") : 0;
    if (!*root || json_get_u64(j, *root, "format") != FMT) {
        snprintf(problem, size, "%s is damaged, or of another format", path);
        json_done(j);
        return false;
    }
    return true;
}
