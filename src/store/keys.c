/* The keys of the store, as docs/formats/keys.md freezes them:
 *
 *   01 | part:u64be | kind:u8 | sub                      partition-local rows
 *   10 | ks:u32be | slot:u16be | hash48:u48be | ukey     head rows
 *
 * slot and hash48 together are one big-endian u64, the position. */
#include "store/store_internal.h"

#include "base/bytes.h"
#include "base/hash.h"

/* CRC-16/XMODEM: polynomial 0x1021, initial value 0, not reflected. One row per leading byte. */
static const u16 crc16_table[256] = {
    0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7, 0x8108, 0x9129, 0xa14a, 0xb16b,
    0xc18c, 0xd1ad, 0xe1ce, 0xf1ef, 0x1231, 0x0210, 0x3273, 0x2252, 0x52b5, 0x4294, 0x72f7, 0x62d6,
    0x9339, 0x8318, 0xb37b, 0xa35a, 0xd3bd, 0xc39c, 0xf3ff, 0xe3de, 0x2462, 0x3443, 0x0420, 0x1401,
    0x64e6, 0x74c7, 0x44a4, 0x5485, 0xa56a, 0xb54b, 0x8528, 0x9509, 0xe5ee, 0xf5cf, 0xc5ac, 0xd58d,
    0x3653, 0x2672, 0x1611, 0x0630, 0x76d7, 0x66f6, 0x5695, 0x46b4, 0xb75b, 0xa77a, 0x9719, 0x8738,
    0xf7df, 0xe7fe, 0xd79d, 0xc7bc, 0x48c4, 0x58e5, 0x6886, 0x78a7, 0x0840, 0x1861, 0x2802, 0x3823,
    0xc9cc, 0xd9ed, 0xe98e, 0xf9af, 0x8948, 0x9969, 0xa90a, 0xb92b, 0x5af5, 0x4ad4, 0x7ab7, 0x6a96,
    0x1a71, 0x0a50, 0x3a33, 0x2a12, 0xdbfd, 0xcbdc, 0xfbbf, 0xeb9e, 0x9b79, 0x8b58, 0xbb3b, 0xab1a,
    0x6ca6, 0x7c87, 0x4ce4, 0x5cc5, 0x2c22, 0x3c03, 0x0c60, 0x1c41, 0xedae, 0xfd8f, 0xcdec, 0xddcd,
    0xad2a, 0xbd0b, 0x8d68, 0x9d49, 0x7e97, 0x6eb6, 0x5ed5, 0x4ef4, 0x3e13, 0x2e32, 0x1e51, 0x0e70,
    0xff9f, 0xefbe, 0xdfdd, 0xcffc, 0xbf1b, 0xaf3a, 0x9f59, 0x8f78, 0x9188, 0x81a9, 0xb1ca, 0xa1eb,
    0xd10c, 0xc12d, 0xf14e, 0xe16f, 0x1080, 0x00a1, 0x30c2, 0x20e3, 0x5004, 0x4025, 0x7046, 0x6067,
    0x83b9, 0x9398, 0xa3fb, 0xb3da, 0xc33d, 0xd31c, 0xe37f, 0xf35e, 0x02b1, 0x1290, 0x22f3, 0x32d2,
    0x4235, 0x5214, 0x6277, 0x7256, 0xb5ea, 0xa5cb, 0x95a8, 0x8589, 0xf56e, 0xe54f, 0xd52c, 0xc50d,
    0x34e2, 0x24c3, 0x14a0, 0x0481, 0x7466, 0x6447, 0x5424, 0x4405, 0xa7db, 0xb7fa, 0x8799, 0x97b8,
    0xe75f, 0xf77e, 0xc71d, 0xd73c, 0x26d3, 0x36f2, 0x0691, 0x16b0, 0x6657, 0x7676, 0x4615, 0x5634,
    0xd94c, 0xc96d, 0xf90e, 0xe92f, 0x99c8, 0x89e9, 0xb98a, 0xa9ab, 0x5844, 0x4865, 0x7806, 0x6827,
    0x18c0, 0x08e1, 0x3882, 0x28a3, 0xcb7d, 0xdb5c, 0xeb3f, 0xfb1e, 0x8bf9, 0x9bd8, 0xabbb, 0xbb9a,
    0x4a75, 0x5a54, 0x6a37, 0x7a16, 0x0af1, 0x1ad0, 0x2ab3, 0x3a92, 0xfd2e, 0xed0f, 0xdd6c, 0xcd4d,
    0xbdaa, 0xad8b, 0x9de8, 0x8dc9, 0x7c26, 0x6c07, 0x5c64, 0x4c45, 0x3ca2, 0x2c83, 0x1ce0, 0x0cc1,
    0xef1f, 0xff3e, 0xcf5d, 0xdf7c, 0xaf9b, 0xbfba, 0x8fd9, 0x9ff8, 0x6e17, 0x7e36, 0x4e55, 0x5e74,
    0x2e93, 0x3eb2, 0x0ed1, 0x1ef0};

static u16 crc16(str s)
{
    u16 crc = 0;
    for (size_t i = 0; i < s.len; i++) crc = (u16)((crc << 8) ^ crc16_table[(crc >> 8) ^ s.at[i]]);
    return crc;
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

u16 store_slot(str key) { return crc16(slot_part(key)) & (STORE_SLOTS - 1); }

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

/* May this encoded key stand in a snapshot of such a store? */
bool key_is_of_store(str encoded, const struct store_options *o)
{
    if (encoded.len < 1) return false;
    if (encoded.at[0] == ZONE_LOCAL)
        return encoded.len > LOCAL_PREFIX_BYTES && get_u64be(encoded.at + 1) == o->part;
    if (encoded.at[0] != ZONE_HEAD || encoded.len < HEAD_PREFIX_BYTES) return false;
    u32 keyspace = get_u32be(encoded.at + 1);
    if (keyspace - o->keyspace_first >= o->keyspace_count) return false; /* also below: it wraps */
    str key = str_from(encoded.at + HEAD_PREFIX_BYTES, encoded.len - HEAD_PREFIX_BYTES);
    return get_u64be(encoded.at + 5) == store_position(key);
}

/* The first key after every local row of the partition. */
static void local_end_put(struct buf *out, u64 part)
{
    u8 *p = buf_reserve(out, LOCAL_PREFIX_BYTES);
    p[0] = part == UINT64_MAX ? ZONE_LOCAL + 1 : ZONE_LOCAL;
    put_u64be(p + 1, part + 1);
    buf_extend(out, LOCAL_PREFIX_BYTES);
}

void store_ranges_init(struct store_ranges *r, const struct store_options *o)
{
    size_t ends[2 * STORE_RANGES + 1] = {0};

    *r = (struct store_ranges){0};
    u8 *p = buf_reserve(&r->bounds, LOCAL_PREFIX_BYTES);
    p[0] = ZONE_LOCAL;
    put_u64be(p + 1, o->part);
    buf_extend(&r->bounds, LOCAL_PREFIX_BYTES);
    ends[1] = r->bounds.len;
    local_end_put(&r->bounds, o->part);
    ends[2] = r->bounds.len;
    keyspace_start_put(&r->bounds, o->keyspace_first);
    ends[3] = r->bounds.len;
    keyspace_end_put(&r->bounds, o->keyspace_first + o->keyspace_count - 1);
    ends[4] = r->bounds.len;
    const u8 *base = buf_bytes(&r->bounds);
    for (u32 i = 0; i < STORE_RANGES; i++) {
        r->range[i].lower = str_from(base + ends[2 * i], ends[2 * i + 1] - ends[2 * i]);
        r->range[i].upper = str_from(base + ends[2 * i + 1], ends[2 * i + 2] - ends[2 * i + 1]);
    }
}

void store_ranges_done(struct store_ranges *r) { buf_done(&r->bounds); }
