#include "sim/frames.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "sim/chance.h"
#include "wire/peer/frame.h"

#define LEN_AT 0
#define TYPE_AT 4

static void release(struct frames *f, nanos now, struct buf *out)
{
    for (u32 i = 0; i < f->count;) {
        if (f->held[i].until > now) {
            i++;
            continue;
        }
        buf_append_str(out, buf_str(&f->held[i].bytes));
        buf_done(&f->held[i].bytes);
        f->held[i] = f->held[--f->count];
    }
}

static void hold(struct frames *f, str frame, nanos until)
{
    struct frames_held *h = &f->held[f->count++];
    h->until = until;
    buf_init(&h->bytes, 0);
    buf_append_str(&h->bytes, frame);
}

u32 frames_pass(struct frames *f, struct prng *p, const struct net_character *c, nanos now, str bytes,
                struct buf *out)
{
    u32 done = 0;

    while (bytes.len > 0) {
        if (f->left == 0) {
            release(f, now, out);
            assert(bytes.len >= FRAME_HEADER_BYTES); /* senders flush whole frames */
            f->left = get_u32(bytes.at + LEN_AT);
            assert(f->left >= FRAME_HEADER_BYTES);
            bool shuffled = f->left <= bytes.len && get_u16(bytes.at + TYPE_AT) == FRAME_RAFT;
            str frame = str_from(bytes.at, (size_t)u64_min(f->left, bytes.len));
            bool late = shuffled && f->count < FRAMES_HELD_MAX && prng_chance(p, c->frame_delay_ppm);
            bool twice = shuffled && f->count < FRAMES_HELD_MAX && !late && prng_chance(p, c->frame_dup_ppm);
            bool at_once = twice && chance_one_in(p, 2);
            if (late || twice) hold(f, frame, now + (at_once ? 0 : chance_exponential(p, c->frame_delay_mean)));
            done += late || twice;
            if (late) {
                f->left = 0;
                bytes = str_from(bytes.at + frame.len, bytes.len - frame.len);
                continue;
            }
        }
        size_t take = (size_t)u64_min(bytes.len, f->left);
        buf_append(out, bytes.at, take);
        f->left -= take;
        bytes = str_from(bytes.at + take, bytes.len - take);
    }
    if (f->left == 0) release(f, now, out);
    return done;
}

void frames_done(struct frames *f)
{
    for (u32 i = 0; i < f->count; i++) buf_done(&f->held[i].bytes);
    f->count = 0;
}
