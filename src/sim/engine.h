/* A node's key-value engine in the simulator: the in-memory engine on an image that outlives crashes,
 * wrapped so that its durable steps can fail, run out of space, or be the moment of a crash. */
#pragma once

#include "store/kvs.h"

struct disk;
struct engine;

struct engine *engine_new(struct disk *d);
void engine_free(struct engine *e);
err engine_open(void *engine, struct kvs **out, char *problem, size_t problem_size);
void engine_wipe(struct engine *e);
