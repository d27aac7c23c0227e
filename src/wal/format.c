/* Bytes of the log. Little-endian, CRC-32C; docs/formats/wal.md is the same in words.
 *
 *   wal_file   0 magic[8]  8 format  12 reactor  16 uuid[16]  32 seq  40 start_lsn  48 salt  56
 * blocks 60 crc over 0..59; a copy of the 64 bytes at offset 2048 of block 0 wal_unit   0 magic  4
 * crc over 8..len-1  8 lsn  16 salt  24 durable  32 epoch  36 len  40 nframes 44 prev_crc  48
 * zero[16] wal_frame  0 len  4 type  5 flags  6 zero[2]  8 part  16 index  24 term  28 repl 32 hcrc
 * over 0..31 and pcrc  36 pcrc over the payload; payload padded to 8 */
#include "wal/wal_internal.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc.h"
#include "base/mutant.h"

static const u8 file_magic[8] = {'Q', 'W', 'A', 'L', 'S', 'E', 'G', '\n'};
#define UNIT_MAGIC 0x54494e55u /* "UNIT" */

void wal_file_encode(const struct wal_file_header *h, u8 *block)
{
    assert(h->bytes % WAL_BLOCK == 0);
    assert(h->bytes / WAL_BLOCK <= UINT32_MAX);
    memset(block, 0, WAL_BLOCK);
    memcpy(block, file_magic, sizeof file_magic);
    put_u32(block + 8, WAL_FORMAT);
    put_u32(block + 12, h->reactor);
    memcpy(block + 16, h->uuid, sizeof h->uuid);
    put_u64(block + 32, h->seq);
    put_u64(block + 40, h->start_lsn);
    put_u64(block + 48, h->salt);
    put_u32(block + 56, (u32)(h->bytes / WAL_BLOCK));
    put_u32(block + 60, crc32c(block, 60));
    memcpy(block + WAL_FILE_COPY_AT, block, WAL_FILE_HEADER);
}

static bool decode_file_copy(const u8 *at, struct wal_file_header *out)
{
    if (!mem_equal(at, file_magic, sizeof file_magic)) return false;
    if (get_u32(at + 60) != crc32c(at, 60)) return false;
    if (get_u32(at + 8) != WAL_FORMAT) return false;
    out->reactor = get_u32(at + 12);
    memcpy(out->uuid, at + 16, sizeof out->uuid);
    out->seq = get_u64(at + 32);
    out->start_lsn = get_u64(at + 40);
    out->salt = get_u64(at + 48);
    out->bytes = get_u32(at + 56) * WAL_BLOCK;
    return out->bytes >= 2 * WAL_BLOCK && out->start_lsn % WAL_BLOCK == 0 &&
           out->start_lsn <= UINT64_MAX / 2;
}

err wal_file_decode(const u8 *block, struct wal_file_header *out, bool *damaged)
{
    const u8 *copy = block + WAL_FILE_COPY_AT;

    *damaged = !mem_equal(block, copy, WAL_FILE_HEADER);
    if (decode_file_copy(block, out)) return OK;
    *damaged = true;
    return decode_file_copy(copy, out) ? OK : ERR_CORRUPT;
}

u32 wal_unit_encode(u8 *unit, const struct wal_unit_header *h)
{
    assert(h->len >= WAL_UNIT_HEADER);
    assert(h->durable <= h->lsn);
    put_u32(unit, UNIT_MAGIC);
    put_u64(unit + 8, h->lsn);
    put_u64(unit + 16, h->salt);
    put_u64(unit + 24, h->durable);
    put_u32(unit + 32, h->epoch);
    put_u32(unit + 36, h->len);
    put_u32(unit + 40, h->nframes);
    put_u32(unit + 44, h->prev_crc);
    memset(unit + 48, 0, 16);
    u32 crc = crc32c(unit + 8, h->len - 8);
    put_u32(unit + 4, crc);
    return crc;
}

static bool matches(u32 stored, u32 computed)
{
    return stored == computed || MUTANT(wal_checksums_ignored);
}

/* The frames of a unit whose checksum matches. They were checked when written, so a fault here is a
 * bug of a writer or an attack, and still must not lead a reader astray. */
static const char *check_frames(const u8 *unit, u32 len, u32 nframes)
{
    u32 at = WAL_UNIT_HEADER;

    for (u32 i = 0; i < nframes; i++) {
        const u8 *f = unit + at;
        if (len - at < WAL_FRAME_HEADER) return "frames overrun the unit";
        u32 hcrc = crc32c_more(crc32c(f, 32), f + 36, 4);
        if (!matches(get_u32(f + 32), hcrc)) return "frame header checksum";
        u64 bytes = wal_frame_bytes(get_u32(f));
        if (bytes > len - at) return "frames overrun the unit";
        if (f[4] == 0 || get_u16(f + 6) != 0) return "frame of no known form";
        if (!matches(get_u32(f + 36), crc32c(f + WAL_FRAME_HEADER, get_u32(f))))
            return "payload checksum";
        at += (u32)bytes;
    }
    return at == len ? NULL : "frames do not fill the unit";
}

static bool is_at_its_place(const u8 *at, struct wal_place place)
{
    if (MUTANT(wal_old_units_accepted)) return true;
    return get_u64(at + 8) == place.lsn && get_u64(at + 16) == place.salt;
}

const char *wal_unit_check(const u8 *at, u64 room, struct wal_place place,
                           struct wal_unit_header *out)
{
    static const u8 zero[16];

    if (room < WAL_BLOCK || get_u32(at) != UNIT_MAGIC) return "no unit";
    u32 len = get_u32(at + 36);
    if (!is_at_its_place(at, place))
        return "written for another place or an earlier use of the file";
    if (len < WAL_UNIT_HEADER || len > room) return "length";
    if (!matches(get_u32(at + 4), crc32c(at + 8, len - 8))) return "checksum";
    if (get_u64(at + 24) > get_u64(at + 8)) return "durable beyond itself";
    if (!mem_equal(at + 48, zero, sizeof zero)) return "reserved bytes";
    const char *problem = check_frames(at, len, get_u32(at + 40));
    if (problem) return problem;

    *out = (struct wal_unit_header){
        .crc = get_u32(at + 4),
        .lsn = get_u64(at + 8),
        .salt = get_u64(at + 16),
        .durable = get_u64(at + 24),
        .epoch = get_u32(at + 32),
        .len = len,
        .nframes = get_u32(at + 40),
        .prev_crc = get_u32(at + 44),
    };
    return NULL;
}

bool wal_unit_is_trace(const u8 *at, u64 room, struct wal_place place)
{
    return room >= WAL_BLOCK && get_u32(at) == UNIT_MAGIC && is_at_its_place(at, place);
}

str wal_frame_encode(u8 *to, const struct wal_frame *f, const str *parts, u32 count,
                     size_t payload_bytes)
{
    u8 *payload = to + WAL_FRAME_HEADER;
    u8 *at = payload;

    for (u32 i = 0; i < count; i++) {
        mem_copy(at, parts[i].at, parts[i].len);
        at += parts[i].len;
    }
    assert((size_t)(at - payload) == payload_bytes);
    memset(at, 0, wal_frame_bytes(payload_bytes) - WAL_FRAME_HEADER - payload_bytes);

    assert(f->type != 0);
    put_u32(to, (u32)payload_bytes);
    to[4] = f->type;
    to[5] = f->flags;
    put_u16(to + 6, 0);
    put_u64(to + 8, f->part);
    put_u64(to + 16, f->index);
    put_u32(to + 24, f->term);
    put_u32(to + 28, f->repl);
    put_u32(to + 36, crc32c(payload, payload_bytes));
    put_u32(to + 32, crc32c_more(crc32c(to, 32), to + 36, 4));
    return str_from(payload, payload_bytes);
}

bool wal_frame_next(const u8 *unit, u32 len, u32 *offset, struct wal_frame *f, str *payload)
{
    const u8 *at = unit + *offset;

    if (*offset >= len) return false;
    f->type = at[4];
    f->flags = at[5];
    f->part = get_u64(at + 8);
    f->index = get_u64(at + 16);
    f->term = get_u32(at + 24);
    f->repl = get_u32(at + 28);
    *payload = str_from(at + WAL_FRAME_HEADER, get_u32(at));
    *offset += (u32)wal_frame_bytes(payload->len);
    assert(*offset <= len);
    return true;
}
