#include "sim/ghosts.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "wire/peer/frame.h"

#define KEPT 24 /* of one direction between two nodes */
#define KEEP_ONE_IN 4
#define FRAME_MAX (16 * KIB)

enum { AT_LEN = 0, AT_TYPE = 4, AT_BOOTS = 24, BOOTS_BYTES = 16 }; /* docs/formats/peer.md */

struct kept {
    u32 from_life, to_life;
    struct buf frame; /* empty: none yet */
};

struct ghosts {
    struct kept kept[WORLD_NODES_MAX + 1][WORLD_NODES_MAX + 1][KEPT];
};

struct ghosts *ghosts_new(void) { return mem_zalloc(sizeof(struct ghosts)); }

void ghosts_free(struct ghosts *g)
{
    for (u32 from = 0; from <= WORLD_NODES_MAX; from++)
        for (u32 to = 0; to <= WORLD_NODES_MAX; to++)
            for (u32 i = 0; i < KEPT; i++) buf_done(&g->kept[from][to][i].frame);
    mem_free(g);
}

static str next_frame(str *frames)
{
    size_t len = frames->len >= FRAME_HEADER_BYTES ? get_u32(frames->at + AT_LEN) : 0;
    str frame = str_from(frames->at, len >= FRAME_HEADER_BYTES && len <= frames->len ? len : 0);

    *frames = frame.len ? str_from(frames->at + len, frames->len - len) : str_from("", 0);
    return frame;
}

void ghosts_keep(struct ghosts *g, struct prng *p, u32 from, u32 from_life, u32 to, u32 to_life, str frames)
{
    for (str f; (f = next_frame(&frames)).len;) {
        if (get_u16(f.at + AT_TYPE) == FRAME_HELLO || f.len > FRAME_MAX || prng_below(p, KEEP_ONE_IN) > 0) continue;
        struct kept *k = &g->kept[from][to][prng_below(p, KEPT)];
        k->from_life = from_life;
        k->to_life = to_life;
        buf_clear(&k->frame);
        buf_append_str(&k->frame, f);
    }
}

enum ghost ghosts_raise(struct ghosts *g, struct prng *p, u32 from, u32 from_life, u32 to, u32 to_life, str frames,
                        struct buf *out)
{
    struct kept *k = &g->kept[from][to][prng_below(p, KEPT)];
    str live = str_from("", 0);

    for (str f; (f = next_frame(&frames)).len;) live = f;
    if (k->frame.len == 0 || live.len == 0 || get_u16(live.at + AT_TYPE) == FRAME_HELLO) return GHOST_NONE;
    str ghost = buf_str(&k->frame);
    bool same_boots = mem_equal(ghost.at + AT_BOOTS, live.at + AT_BOOTS, BOOTS_BYTES);
    bool same_lives = k->from_life == from_life && k->to_life == to_life;
    /* Boots that are counted anew on an empty disk do not tell lives apart, nothing in a frame does: TCP must. */
    if (same_boots != same_lives) return GHOST_NONE;
    if (same_lives && get_u16(ghost.at + AT_TYPE) != FRAME_RAFT) return GHOST_NONE;
    buf_append_str(out, ghost);
    return same_lives ? GHOST_LATE : GHOST_OF_ANOTHER_LIFE;
}
