/* The write-ahead log: one per reactor, shared by every group. Entries, hard state and markers of all
 * groups are staged as frames in one open unit; a unit is one durable write (group commit without a
 * timer). An LSN is a byte position in the log's whole life; a frame is durable once
 * wal_durable() >= the LSN wal_stage() returned for it.
 *
 *   lsn = wal_stage(w, &frame, parts, count);      stage as many as the turn brings
 *   wal_flush(w);                                  at the end of the turn
 *   wal_on_disk_done(w, op);                       at ENV_DISK_DONE; then look at wal_durable()
 *
 * The format, torn tail against corruption, and recycling: docs/formats/wal.md. */
#pragma once

#include "env/env.h"

struct wal;

enum wal_frame_type {
    WAL_ENTRY = 1,        /* index, term: one log entry; flags = its kind */
    WAL_HARD_STATE = 2,   /* payload: the group's hard state, opaque here */
    WAL_TRUNC_SUFFIX = 3, /* index: entries >= index are void from here on */
    WAL_TRUNC_PREFIX = 4, /* index, term: entries <= index are not needed any more */
    WAL_CKPT = 5,         /* index, term: the store's marker reached it */
    WAL_SNAP_BEGIN = 6,   /* index, term: an install is about to replace the store's rows */
    WAL_SNAP_DONE = 7,
    WAL_PAD = 15,
};

struct wal_frame { /* what a caller says of a frame; the wire header adds lengths and checksums */
    u8 type, flags;
    u64 part, index;
    u32 term, repl;
};

/* What recovery hands over, in log order, before wal_open returns. payload is borrowed for the call. */
struct wal_replayed {
    struct wal_frame frame;
    str payload;
    u64 lsn; /* end of the frame's unit */
};

struct wal_damage { /* units that were acknowledged and cannot be read: never a torn tail */
    u64 lsn_from, lsn_to;
    u64 file_seq;
    bool accepted; /* no news: wal_accept_damage was called for it in an earlier life */
};

typedef void (*wal_replay_fn)(void *context, const struct wal_replayed *r);
typedef void (*wal_damage_fn)(void *context, const struct wal_damage *d);

struct wal_config {
    const char *dir;          /* e.g. "wal/r0" */
    u32 reactor;
    u32 boot_epoch;           /* grows at each start; goes into every unit */
    u64 segment_bytes;        /* 64 MiB; a multiple of 4096; smaller in tests and the simulator */
    u32 units_in_flight_max;  /* 1 or 2 */
    size_t unit_bytes_max;    /* 1 MiB; exceeded only by one large frame */
    size_t frame_bytes_max;   /* largest payload: the value limit plus room for headers */
    size_t backlog_bytes_max; /* staged but not yet submitted; beyond it wal_room() is 0 */
    u64 salt;                 /* random: tells this life of a recycled file from the last */
};

struct wal_stats {
    u64 units, bytes, frames, segments, recycled;
    u64 durable_lsn, staged_lsn;
    nanos last_write_ns, max_write_ns; /* submit to durable */
    nanos last_write_at;               /* when it was durable; 0: none yet */
    bool full; /* out of space: wal_room is 0, wal_space is what is left */
    u64 times_full;
};

/* Does a file of this size hold a frame with such a payload? */
bool wal_segment_holds(u64 segment_bytes, size_t frame_bytes);

/* Open or found the log in config.dir and replay it: boot only, blocks. The torn tail is cut and
 * durably zeroed; damage below the proven durable end is reported through on_damage, and the frames
 * around it are still replayed. ERR_CORRUPT only if no file header of a needed file can be read.
 * Idempotent under a crash at any of its own writes. Two files are ready when it returns. */
MUST_USE err wal_open(struct env *env, const struct wal_config *config, wal_replay_fn on_frame,
                      wal_damage_fn on_damage, void *context, struct wal **out);

/* Copy a frame into the open unit. The payload is the concatenation of `parts`. The caller has
 * checked wal_room() (except for hard state, which always fits). Returns the frame's LSN. */
u64 wal_stage(struct wal *w, const struct wal_frame *f, const str *parts, u32 count);

/* Bytes that may still be staged; 0 when the backlog is at its limit or the disk is full. A frame
 * takes its payload plus WAL_FRAME_OVERHEAD. Taking more than there is room is not an error: what finds
 * no place waits in memory, and nothing behind it gets durable. */
#define WAL_FRAME_OVERHEAD ((size_t)48)
size_t wal_room(const struct wal *w);

/* The same for entries that a leader has taken already: what find their place in files that are there, however long the
 * backlog unless it is at its limit. With a full disk that is the rest of the last file, half its reserve included:
 * few and small entries, such as the no-op of a new term; the other half is for hard state alone. */
size_t wal_space(const struct wal *w);

/* While held by anyone, no file is made out of new space, only out of released ones, and the log is `full` when it lacks one: an
 * owner needs the space, and has to have it before anything can be released. */
void wal_hold(struct wal *w, bool hold);

/* Close and submit the open unit unless enough units are in flight already. After `quiet_after` of
 * silence an empty unit proves the last one; wal_deadline says when to call again. */
void wal_flush(struct wal *w, nanos now);
nanos wal_deadline(const struct wal *w);

/* Take a disk or job completion that belongs to this log. An error is final: the node must stop
 * (a failed flush leaves unknown bytes); ERR_NO_SPACE from growing is not: the log is `full`. */
MUST_USE err wal_on_disk_done(struct wal *w, struct disk_op *op, nanos now);
MUST_USE err wal_on_job_done(struct wal *w, struct env_job *job, nanos now);
bool wal_owns_op(const struct wal *w, const struct disk_op *op);
bool wal_owns_job(const struct wal *w, const struct env_job *job);

u64 wal_durable(const struct wal *w); /* everything below is on disk */
u64 wal_staged(const struct wal *w);  /* end of what has been staged so far */

/* Entries of `part` up to `index` are not needed for recovery any more (they are in the store's
 * durable marker). Files all of whose entries are released, and whose newest HARD_STATE of each part has
 * been staged again in a later durable unit, are recycled; wal rewrites those hard states by itself.
 */
void wal_release(struct wal *w, u64 part, u64 index);
/* Nothing of this part is needed any more, hard state included: its replica here is gone, durably. */
void wal_forget(struct wal *w, u64 part);
/* After recovery: what it found of parts that are not known here any more is not needed. */
void wal_forget_others(struct wal *w, bool (*is_known)(void *context, u64 part), void *context);
u64 wal_bytes_live(const struct wal *w);

const struct wal_stats *wal_stats(const struct wal *w);
struct wal_pressure { /* on its limits, now */
    u64 backlog_bytes, backlog_bytes_max; /* staged and not on disk */
    u64 reserve_bytes;                    /* of the last file, for hard state when space is out */
};
void wal_pressure(const struct wal *w, struct wal_pressure *out);

/* Free the log. In flight operations must have ended, or the world has (crash in the simulator). */
void wal_free(struct wal *w);

/* Damage stays in the log until its file is recycled, so each open finds it again. Call this after
 * staging what the damage means (the hard state of every group that may have lost frames): once it is
 * durable, later opens report the same range with `accepted` set. Nothing happens without damage. */
void wal_accept_damage(struct wal *w);

/* Read-only inspection for `quorate wal`: calls on_unit for each unit of every file in order. */
struct wal_unit_info {
    u64 file_seq, offset, lsn, durable;
    u32 epoch, bytes, frames;
    bool valid;
    const char *problem; /* NULL, or why it is not valid */
};
typedef void (*wal_unit_fn)(void *context, const struct wal_unit_info *u);
MUST_USE err wal_inspect(struct env *env, const char *dir, wal_unit_fn on_unit, wal_replay_fn on_frame,
                         wal_damage_fn on_damage, void *context);
