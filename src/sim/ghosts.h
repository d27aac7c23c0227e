/* Peer frames that come again much later, on another connection of the same two nodes: what a proxy, a broken
 * kernel or a reused port may do. Raft takes its own late frames for what they are; a frame to or from an
 * earlier life of a node must end the connection (docs/formats/peer.md). Some frames of each direction are kept,
 * and now and then one of them follows a live one. */
#pragma once

#include "base/buf.h"
#include "base/prng.h"
#include "sim/world.h"

struct ghosts;

struct ghosts *ghosts_new(void);
void ghosts_free(struct ghosts *g);

/* Whole frames leave from one node to another, each in the life of its number. */
void ghosts_keep(struct ghosts *g, struct prng *p, u32 from, u32 from_life, u32 to, u32 to_life, str frames);

enum ghost { GHOST_NONE, GHOST_LATE, GHOST_OF_ANOTHER_LIFE };

/* Append one behind these frames, if there is one that fits. */
enum ghost ghosts_raise(struct ghosts *g, struct prng *p, u32 from, u32 from_life, u32 to, u32 to_life, str frames,
                        struct buf *out);
