/* One number for everything a state machine holds, to compare replicas. Rows are visited in the
 * store's order, which is the same everywhere. */
#include "kv/kv_internal.h"

#include "base/hash.h"

static bool visit_digest(void *context, str key, str value)
{
    u64 *digest = context;

    *digest = hash_mix(*digest, hash64(key.at, key.len));
    *digest = hash_mix(*digest, hash64(value.at, value.len));
    return true;
}

err kv_digest(struct kv *kv, u64 *out)
{
    struct buf state;
    u64 digest, next;

    buf_init(&state, 0);
    kv_state_encode(kv, &state);
    digest = hash64(buf_bytes(&state), state.len);
    buf_done(&state);
    for (u32 i = 0; i < KV_DATABASES; i++) {
        digest = hash_mix(digest, i);
        err e = kv_scan_db(kv, (u8)i, 0, UINT64_MAX, visit_digest, &digest, &next);
        if (e) return e;
    }
    *out = digest;
    return OK;
}
