/* A node's simulated disk: files in memory with two contents, what reads see and what a power cut leaves.
 * Blocking writes wait in the page cache until a sync; names wait until their directory's sync;
 * submitted writes are durable when their event says so, and until then a crash keeps any subset
 * of their sectors. */
#pragma once

#include "env/env.h"
#include "sim/world.h"

struct disk;
struct host;

struct disk_character { /* drawn per seed */
    nanos write_base, write_jitter; /* of a submitted write */
    nanos call_base;                /* of a blocking call */
    u32 slow_ppm;                   /* a write that takes 50 times longer */
    u32 power_keep_ppm;             /* an unsynced sector that a power cut keeps */
    nanos job_mean;                 /* a job waits, and lasts */
    bool buffered;                  /* no O_DIRECT: what a killed process was writing stays in the page cache */
};

struct disk *disk_new(struct host *h, const struct disk_character *character);
void disk_free(struct disk *d);

void disk_ops_fill(struct env_ops *ops); /* the file part of an env's table */

/* The process dies now. power: unsynced writes and names are kept in part; otherwise the page cache
 * survives. Writes in flight are kept in part either way. Handles become void. */
void disk_crash(struct disk *d, bool power);
void disk_restarted(struct disk *d);

/* From the n-th call or completion on, the process is dead: nothing has an effect any more and blocking
 * calls fail. disk_is_dead says that it has come to this. 0 disarms. */
void disk_die_in(struct disk *d, u32 calls);
bool disk_is_dead(const struct disk *d);
/* Lose power soon after the next submitted write that goes to another file than the one before it. */
void disk_crash_at_rotation(struct disk *d, nanos within);
/* Called by the engine for its own durable steps: counts one call; ERR_IO once dead. */
MUST_USE err disk_engine_call(struct disk *d, bool writes);

/* Faults. */
void disk_fail_next_write(struct disk *d); /* EIO on one submitted write or sync */
void disk_fail_reads(struct disk *d, u32 ppm);
void disk_set_full(struct disk *d, bool full); /* files cannot grow; ENOSPC */
void disk_stall(struct disk *d, nanos until);  /* no write completes before */
bool disk_flip_bits(struct disk *d, struct prng *p); /* in acknowledged, proven bytes; false: none yet */
void disk_mend(struct disk *d); /* no more faults: room, reads, writes and speed are as they should be */
void disk_wipe(struct disk *d); /* while the host is down */

/* Has a fault been injected in this life that explains a failure of the node? */
bool disk_explains(const struct disk *d);
bool disk_is_full(const struct disk *d);
bool disk_is_corrupted(const struct disk *d); /* at any time */
/* May a node that has started since disk_trust have missed something that it once wrote? */
bool disk_is_doubtful(const struct disk *d);
void disk_trust(struct disk *d);

nanos disk_job_delay(struct disk *d); /* how long a job waits, or lasts */
u64 disk_bytes(const struct disk *d);
