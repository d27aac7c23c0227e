/* The keys of the store, as docs/formats/keys.md freezes them:
 *
 *   01 | part:u64be | kind:u8 | sub                      partition-local rows
 *   10 | ks:u32be | slot:u16be | hash48:u48be | ukey     head rows
 *
 * slot and hash48 together are one big-endian u64, the position. */
#include "store/store_internal.h"

#include "base/bytes.h"
#include "base/hash.h"

/* CRC-16/XMODEM: polynomial 0x1021, initial value 0, not reflected. Eight bytes at a step, so that
 * their look-ups do not wait for each other: crc16_ahead[k][b] is what byte b does to the checksum
 * k bytes later. A checksum is linear: each row of 256 is the sums of what its eight bits do, which
 * are powers of x modulo the polynomial, from x^16 on. */
#define BYTE(b, p0, p1, p2, p3, p4, p5, p6, p7)                                                    \
    (((b)&1) * (p0)) ^ (((b) >> 1 & 1) * (p1)) ^ (((b) >> 2 & 1) * (p2)) ^                         \
        (((b) >> 3 & 1) * (p3)) ^ (((b) >> 4 & 1) * (p4)) ^ (((b) >> 5 & 1) * (p5)) ^              \
        (((b) >> 6 & 1) * (p6)) ^ (((b) >> 7 & 1) * (p7))
#define FOUR(b, ...)                                                                               \
    BYTE(b, __VA_ARGS__), BYTE(b + 1, __VA_ARGS__), BYTE(b + 2, __VA_ARGS__),                      \
        BYTE(b + 3, __VA_ARGS__)
#define SIXTEEN(b, ...)                                                                            \
    FOUR(b, __VA_ARGS__), FOUR(b + 4, __VA_ARGS__), FOUR(b + 8, __VA_ARGS__),                      \
        FOUR(b + 12, __VA_ARGS__)
#define SIXTY_FOUR(b, ...)                                                                         \
    SIXTEEN(b, __VA_ARGS__), SIXTEEN(b + 16, __VA_ARGS__), SIXTEEN(b + 32, __VA_ARGS__),           \
        SIXTEEN(b + 48, __VA_ARGS__)
#define ALL(...)                                                                                   \
    {                                                                                              \
        SIXTY_FOUR(0, __VA_ARGS__), SIXTY_FOUR(64, __VA_ARGS__), SIXTY_FOUR(128, __VA_ARGS__),     \
            SIXTY_FOUR(192, __VA_ARGS__)                                                           \
    }
static const u16 crc16_ahead[8][256] = {
    ALL(0x1021, 0x2042, 0x4084, 0x8108, 0x1231, 0x2462, 0x48c4, 0x9188),
    ALL(0x3331, 0x6662, 0xccc4, 0x89a9, 0x0373, 0x06e6, 0x0dcc, 0x1b98),
    ALL(0x3730, 0x6e60, 0xdcc0, 0xa9a1, 0x4363, 0x86c6, 0x1dad, 0x3b5a),
    ALL(0x76b4, 0xed68, 0xcaf1, 0x85c3, 0x1ba7, 0x374e, 0x6e9c, 0xdd38),
    ALL(0xaa51, 0x4483, 0x8906, 0x022d, 0x045a, 0x08b4, 0x1168, 0x22d0),
    ALL(0x45a0, 0x8b40, 0x06a1, 0x0d42, 0x1a84, 0x3508, 0x6a10, 0xd420),
    ALL(0xb861, 0x60e3, 0xc1c6, 0x93ad, 0x377b, 0x6ef6, 0xddec, 0xabf9),
    ALL(0x47d3, 0x8fa6, 0x0f6d, 0x1eda, 0x3db4, 0x7b68, 0xf6d0, 0xfd81),
};

static u16 crc16(str s)
{
    const u8 *at = s.at;
    u32 crc = 0;
    size_t left = s.len;

    for (; left >= 8; left -= 8, at += 8)
        crc = crc16_ahead[7][at[0] ^ crc >> 8] ^ crc16_ahead[6][at[1] ^ (crc & 0xff)] ^
              crc16_ahead[5][at[2]] ^ crc16_ahead[4][at[3]] ^ crc16_ahead[3][at[4]] ^
              crc16_ahead[2][at[5]] ^ crc16_ahead[1][at[6]] ^ crc16_ahead[0][at[7]];
    for (; left; left--, at++) crc = (crc << 8 & 0xffff) ^ crc16_ahead[0][at[0] ^ crc >> 8];
    return (u16)crc;
}

/* The bytes that choose the slot: those between the first '{' and the '}' after it, if any. */
static str slot_part(str key)
{
    const u8 *open = key.len ? memchr(key.at, '{', key.len) : NULL;
    if (LIKELY(!open)) return key;
    const u8 *inside = open + 1;
    size_t left = key.len - (size_t)(inside - key.at);
    const u8 *close = left ? memchr(inside, '}', left) : NULL;
    if (!close || close == inside) return key;
    return str_from(inside, (size_t)(close - inside));
}

u16 store_slot(str key)
{
    return crc16(slot_part(key)) & (STORE_SLOTS - 1);
}

u64 store_position(str key)
{
    return (u64)store_slot(key) << HASH48_BITS | (hash64(key.at, key.len) & HASH48_MASK);
}

void store_local_key(u64 part, u8 kind, str sub, struct buf *out)
{
    u8 *p = buf_reserve(out, LOCAL_PREFIX_BYTES + 1);
    p[0] = ZONE_LOCAL;
    put_u64be(p + 1, part);
    p[9] = kind;
    buf_extend(out, LOCAL_PREFIX_BYTES + 1);
    buf_append_str(out, sub);
}

void head_key_put(u8 out[HEAD_PREFIX_BYTES], u32 keyspace, u64 position)
{
    assert(position <= POSITION_MAX);
    out[0] = ZONE_HEAD;
    put_u32be(out + 1, keyspace);
    put_u64be(out + 5, position);
}

void head_key_append(struct buf *out, u32 keyspace, u64 position, str key)
{
    head_key_put(buf_reserve(out, HEAD_PREFIX_BYTES), keyspace, position);
    buf_extend(out, HEAD_PREFIX_BYTES);
    buf_append_str(out, key);
}

bool head_key_is_of(str encoded, u32 keyspace)
{
    return encoded.len >= HEAD_PREFIX_BYTES && encoded.at[0] == ZONE_HEAD &&
           get_u32be(encoded.at + 1) == keyspace;
}

/* The first key after every head row of the keyspace. */
void keyspace_end_put(struct buf *out, u32 keyspace)
{
    u8 *p = buf_reserve(out, 5);
    p[0] = keyspace == UINT32_MAX ? ZONE_HEAD + 1 : ZONE_HEAD;
    put_u32be(p + 1, keyspace + 1); /* wraps to 0 behind the next zone byte */
    buf_extend(out, 5);
}

void keyspace_start_put(struct buf *out, u32 keyspace)
{
    u8 *p = buf_reserve(out, 5);
    p[0] = ZONE_HEAD;
    put_u32be(p + 1, keyspace);
    buf_extend(out, 5);
}

bool local_key_is_of(str encoded, u64 part)
{
    return encoded.len > LOCAL_PREFIX_BYTES && encoded.at[0] == ZONE_LOCAL &&
           get_u64be(encoded.at + 1) == part;
}

/* Where rows lie in the order of their keys, all have one position. */
u64 key_position(bool by_key, str key) { return by_key ? 0 : store_position(key); }

bool head_key_is_good(str encoded, bool by_key)
{
    if (encoded.len < HEAD_PREFIX_BYTES || encoded.at[0] != ZONE_HEAD) return false;
    str key = str_from(encoded.at + HEAD_PREFIX_BYTES, encoded.len - HEAD_PREFIX_BYTES);
    return get_u64be(encoded.at + 5) == key_position(by_key, key);
}

/* The first key after every local row of the partition. */
static void local_end_put(struct buf *out, u64 part)
{
    u8 *p = buf_reserve(out, LOCAL_PREFIX_BYTES);
    p[0] = part == UINT64_MAX ? ZONE_LOCAL + 1 : ZONE_LOCAL;
    put_u64be(p + 1, part + 1);
    buf_extend(out, LOCAL_PREFIX_BYTES);
}

void local_range_put(struct buf *b, u64 part, struct kvs_range *out)
{
    size_t start = b->len;
    u8 *p = buf_reserve(b, 3 * LOCAL_PREFIX_BYTES); /* so that it does not move under the range */
    p[0] = ZONE_LOCAL;
    put_u64be(p + 1, part);
    buf_extend(b, LOCAL_PREFIX_BYTES);
    size_t middle = b->len;
    local_end_put(b, part);
    const u8 *base = buf_bytes(b);
    out->lower = str_from(base + start, middle - start);
    out->upper = str_from(base + middle, b->len - middle);
}

void store_ranges_init(struct store_extents *out, const struct store *s)
{
    struct kvs_range local;
    struct buf b = {0};

    *out = (struct store_extents){0};
    local_range_put(&b, s->options.part, &local);
    extents_add(out, local.lower, local.upper, false);
    buf_done(&b);
    if (!s->durable.count) extents_whole_block(&s->options, out);
    for (u32 i = 0; i < s->durable.count; i++)
        extents_add(out, s->durable.at[i].range.lower, s->durable.at[i].range.upper, false);
}
