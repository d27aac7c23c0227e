/* Operations of sampled keys, as they enter and leave this door, for `quorate check --online`; and DEBUG STALE-READ,
 * with which that is proved. sample.c */
#pragma once

#include "base/buf.h"
#include "base/types.h"

#define SAMPLE_BYTES_MAX     (4 * MIB) /* events kept; the oldest go, and are counted */
#define SAMPLE_REPLY_BYTES   (128 * KIB) /* of events in one answer */
#define SAMPLE_SECONDS_MAX   3600u
#define SAMPLE_RATE_MAX      1000000u
#define SAMPLE_TEXT_MAX      64 /* longer keys and values are told by length and hash */

struct slot;
struct redis_door;

struct sample {
    bool active; /* requests are looked at: sampled, or one key is read wrongly */
    u32 rate;    /* keys whose hash divides by it */
    nanos until; /* it lapses; 0: off */
    u64 started; /* how many times it was turned on */
    u64 last_id;
    u8 *ring;    /* owned, SAMPLE_BYTES_MAX: events, each length:u32 and text, from tail to head */
    u64 head, tail; /* bytes ever written, ever dropped */
    u64 next_seq, first_seq;
    struct buf scratch;
    struct buf stale_key, stale_reply; /* DEBUG STALE-READ; no key: off */
    bool has_stale_reply;
};
