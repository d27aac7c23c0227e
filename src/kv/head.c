/* A head row's value: 48 bytes, then the string.
 *
 *   0 fmt:u8 = 1    1 type:u8    2 flags:u16    4 count:u32    8 create_ver:u64    16 mod_ver:u64
 *  24 version:u64  32 lease:u64  40 expire_us:u64 */
#include "kv/kv_internal.h"

#include "base/bytes.h"

void head_encode(const struct kv_head *h, u8 out[HEAD_BYTES])
{
    out[0] = HEAD_FMT;
    out[1] = h->type;
    put_u16(out + 2, h->flags);
    put_u32(out + 4, h->count);
    put_u64(out + 8, h->create_ver);
    put_u64(out + 16, h->mod_ver);
    put_u64(out + 24, h->version);
    put_u64(out + 32, h->lease);
    put_u64(out + 40, h->expire_us);
}

bool head_decode(str bytes, struct kv_row *out)
{
    const u8 *at = bytes.at;

    if (UNLIKELY(bytes.len < HEAD_BYTES || at[0] != HEAD_FMT)) return false;
    out->head.type = at[1];
    out->head.flags = get_u16(at + 2);
    out->head.count = get_u32(at + 4);
    out->head.create_ver = get_u64(at + 8);
    out->head.mod_ver = get_u64(at + 16);
    out->head.version = get_u64(at + 24);
    out->head.lease = get_u64(at + 32);
    out->head.expire_us = get_u64(at + 40);
    out->value = str_from(at + HEAD_BYTES, bytes.len - HEAD_BYTES);
    return true;
}

u16 head_flags_of(str value)
{
    i64 ignored;

    if (value.len == 0 || value.len > 20) return 0;
    if (value.at[0] > '9') return 0; /* most values are not numbers: see it at the first byte */
    return str_to_i64(value, &ignored) ? HEAD_INTEGER : 0;
}
