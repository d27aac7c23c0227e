/* Reading the log's files at boot or for inspection: which there are, what their headers say, and
 * V, the largest durable LSN any valid unit vouches for. Writes nothing. */
#include "wal/wal_internal.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/str.h"

/* --- images --- */

/* The device refused a large read: find the blocks it means. They are zero in the image. */
static err read_by_blocks(struct env *env, struct file *f, struct wal_image *i)
{
    for (u64 at = 0; at < i->len; at += WAL_BLOCK) {
        size_t got = 0;
        err e = env->ops->file_pread(env, f, at, i->bytes + at, WAL_BLOCK, &got);
        if (e && e != ERR_IO) return e;
        if (!e && got == WAL_BLOCK) continue;
        memset(i->bytes + at, 0, WAL_BLOCK);
        if (!e) continue;
        if (i->bad_from == i->bad_to) i->bad_from = at;
        i->bad_to = at + WAL_BLOCK;
    }
    return OK;
}

/* Read the first `bytes` of a file. What is missing at its end reads as zeros, that is as no unit.
 */
err wal_image_read(struct env *env, struct file *f, u64 bytes, struct wal_image *out)
{
    struct wal_image i = {.len = bytes};
    size_t got = 0;

    assert(bytes % WAL_BLOCK == 0);
    i.bytes = mem_alloc_aligned(WAL_BLOCK, (size_t)bytes);
    err e = env->ops->file_pread(env, f, 0, i.bytes, (size_t)bytes, &got);
    if (e == ERR_IO)
        e = read_by_blocks(env, f, &i);
    else if (!e)
        memset(i.bytes + got, 0, (size_t)bytes - got);
    if (e) {
        mem_free(i.bytes);
        return e;
    }
    *out = i;
    return OK;
}

void wal_image_done(struct wal_image *i)
{
    mem_free(i->bytes);
    *i = (struct wal_image){0};
}

/* --- the directory --- */

static err read_header(struct wal_scan *s, struct wal_scan_file *f)
{
    struct wal_image block;

    err e = wal_image_read(s->env, f->file, WAL_BLOCK, &block);
    if (e) return e;
    f->header_ok = wal_file_decode(block.bytes, &f->header, &f->header_damaged) == OK &&
                   f->header.seq == f->name_seq;
    wal_image_done(&block);

    e = s->env->ops->file_size(s->env, f->file, &f->bytes);
    if (!e && f->header.bytes > f->bytes) f->header_ok = false; /* a segment never shrinks */
    return e;
}

static err open_file(struct wal_scan *s, u64 seq, u32 flags)
{
    char path[WAL_NAME_BYTES];
    struct file *file;

    wal_name_segment(path, s->dir, seq);
    err e = s->env->ops->file_open(s->env, path, flags, &file);
    if (e) return e;
    s->files = mem_resize_array(s->files, s->count + 1, sizeof *s->files);
    s->files[s->count] = (struct wal_scan_file){.name_seq = seq, .file = file};
    return read_header(s, &s->files[s->count++]);
}

/* Names come sorted, and 16 hex digits sort as their numbers do. */
static err list_files(struct wal_scan *s, u32 flags)
{
    struct buf names;
    err e;

    buf_init(&names, 0);
    e = s->env->ops->dir_list(s->env, s->dir, &names);
    for (size_t at = 0; !e && at < names.len;) {
        const char *name = (const char *)buf_bytes(&names) + at;
        u64 seq;
        bool spare;
        at += strlen(name) + 1;
        if (!strcmp(name, "new.tmp")) {
            s->new_tmp = true;
        } else if (!wal_name_parse(name, &seq, &spare)) {
            continue;
        } else if (spare) {
            s->spares = mem_resize_array(s->spares, s->spare_count + 1, sizeof *s->spares);
            s->spares[s->spare_count++] = seq;
        } else {
            e = open_file(s, seq, flags);
        }
    }
    buf_done(&names);
    return e;
}

/* --- what is needed --- */

static struct wal_place place_in(const struct wal_file_header *h, u64 offset)
{
    return (struct wal_place){h->start_lsn + offset - WAL_BLOCK, h->salt};
}

/* Is a valid unit in the file? Without a header the unit's own word is taken for its salt, and for
 * its place too unless the file before tells where this one starts. */
static err has_unit(struct wal_scan *s, const struct wal_scan_file *f, u64 start_lsn, bool *out)
{
    struct wal_image image;
    u64 bytes = (f->header_ok ? f->header.bytes : f->bytes) & ~(WAL_BLOCK - 1);

    *out = false;
    if (bytes == 0) return OK;
    err e = wal_image_read(s->env, f->file, bytes, &image);
    if (e) return e;
    for (u64 at = WAL_BLOCK; at < image.len && !*out; at += WAL_BLOCK) {
        struct wal_unit_header unit;
        struct wal_place place = place_in(&f->header, at);
        if (!f->header_ok) {
            memcpy(&place.lsn, image.bytes + at + 8, 8);
            memcpy(&place.salt, image.bytes + at + 16, 8);
            if (start_lsn != UINT64_MAX && place.lsn != start_lsn + at - WAL_BLOCK) continue;
        }
        *out = !wal_unit_check(image.bytes + at, image.len - at, place, &unit);
    }
    wal_image_done(&image);
    return OK;
}

static bool continues(const struct wal_scan_file *before, const struct wal_scan_file *f)
{
    return f->header.seq == before->header.seq + 1 &&
           f->header.start_lsn == before->header.start_lsn + before->header.bytes - WAL_BLOCK &&
           mem_equal(f->header.uuid, before->header.uuid, sizeof f->header.uuid);
}

/* Files from `at` on are out of the row: fine if no unit is in any of them, else the log has a hole
 * where a whole file should be. */
static err set_aside(struct wal_scan *s, u32 at)
{
    u64 start_lsn = UINT64_MAX;

    if (at > 0)
        start_lsn = s->files[at - 1].header.start_lsn + s->files[at - 1].header.bytes - WAL_BLOCK;
    for (u32 i = at; i < s->count; i++) {
        bool units;
        err e = has_unit(s, &s->files[i], i == at ? start_lsn : UINT64_MAX, &units);
        if (e) return e;
        if (!units) continue;
        env_log(
            s->env, LOG_ERROR,
            "wal: a file before this one is missing or its header is unreadable, or this one's is "
            "dir=%s seq=%llu",
            s->dir, (unsigned long long)s->files[i].name_seq);
        return ERR_CORRUPT;
    }
    s->unneeded = s->files + at;
    s->unneeded_count = s->count - at;
    s->count = at;
    return OK;
}

static err check_row(struct wal_scan *s)
{
    for (u32 i = 0; i < s->count; i++) {
        const struct wal_scan_file *f = &s->files[i];
        if (!f->header_ok || (i > 0 && !continues(f - 1, f))) return set_aside(s, i);
    }
    return OK;
}

err wal_scan_open(struct wal_scan *s, struct env *env, const char *dir, u32 flags)
{
    *s = (struct wal_scan){.env = env, .dir = dir};
    err e = list_files(s, flags);
    if (!e) e = check_row(s);
    if (e) wal_scan_done(s);
    return e;
}

/* durable grows along the log, so the newest file with a unit has the largest. */
err wal_scan_prove(struct wal_scan *s)
{
    s->proven = 0;
    for (u32 i = s->count; i-- > 0;) {
        const struct wal_scan_file *f = &s->files[i];
        struct wal_image image;
        bool any = false;

        err e = wal_image_read(s->env, f->file, f->header.bytes, &image);
        if (e) return e;
        for (u64 at = WAL_BLOCK; at < image.len;) {
            struct wal_unit_header unit;
            if (wal_unit_check(image.bytes + at, image.len - at, place_in(&f->header, at), &unit)) {
                at += WAL_BLOCK;
                continue;
            }
            any = true;
            s->proven = u64_max(s->proven, unit.durable);
            at += round_up(unit.len, WAL_BLOCK);
        }
        wal_image_done(&image);
        if (any) break;
    }
    return OK;
}

void wal_scan_done(struct wal_scan *s)
{
    for (u32 i = 0; i < s->count + s->unneeded_count; i++)
        if (s->files[i].file) s->env->ops->file_close(s->env, s->files[i].file);
    mem_free(s->files);
    mem_free(s->spares);
    *s = (struct wal_scan){0};
}
