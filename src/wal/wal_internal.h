/* Inside the write-ahead log. The format is docs/formats/wal.md; who writes what:
 *
 *   format.c   bytes <-> structs, and which unit is valid by itself
 *   unit.c     struct wal_units: the open unit, units on their way, the durable prefix
 *   segment.c  struct wal_segments: the files of the log and which is next
 *   job.c      the blocking work of making and retiring files
 *   reclaim.c  struct wal_parts: what each part still needs, which file may go
 *   scan.c     reading files at boot: headers, images, the proven end V
 *   walk.c     torn tail or damage: the order of reading
 *   recover.c  cutting the tail, taking up the log again
 *   inspect.c  the same reading for people */
#pragma once

#include "wal/wal.h"

#include "base/list.h"

#define WAL_BLOCK        ((u64)4096)
#define WAL_FILE_HEADER  64
#define WAL_FILE_COPY_AT 2048 /* of block 0: the header's second copy, in another sector */
#define WAL_UNIT_HEADER  64
#define WAL_FRAME_HEADER 40
#define WAL_FORMAT       1
#define WAL_SPARES_MAX   16 /* as many as a log at its limit is released at once: a file that is deleted may be a discard of 64 MB */
#define WAL_QUIET        (20 * NANOS_MS) /* silence after which an empty unit proves the last one */
#define WAL_RETRY_FULL   (1 * NANOS_SEC) /* out of space: try to make the next segment this often */
#define WAL_NAME_BYTES   320             /* "<dir>/<name>" */

/* --- format.c --- */

struct wal_file_header {
    u32 reactor;
    u8 uuid[16];
    u64 seq, start_lsn, salt, bytes; /* bytes: of the whole file */
};

struct wal_unit_header {
    u32 crc;
    u64 lsn, salt, durable;
    u32 epoch, len, nframes, prev_crc;
};

/* Fill block 0 (WAL_BLOCK bytes). */
void wal_file_encode(const struct wal_file_header *h, u8 *block);

/* ERR_CORRUPT when neither copy is readable. *damaged: one of the two is not, or differs. */
MUST_USE err wal_file_decode(const u8 *block, struct wal_file_header *out, bool *damaged);

/* Write the header of a unit whose frames are in place; returns its checksum. h->crc is ignored. */
u32 wal_unit_encode(u8 *unit, const struct wal_unit_header *h);

/* Where a unit must say it is. */
struct wal_place {
    u64 lsn, salt;
};

/* Is there a unit at `at`, valid by itself (chain and epoch aside)? `room`: bytes to the end of the
 * file. NULL and *out filled, or why not; never reads beyond room. */
const char *wal_unit_check(const u8 *at, u64 room, struct wal_place place,
                           struct wal_unit_header *out);

/* Does the block at `at` bear the mark of a unit written for this very place, whole or torn? */
bool wal_unit_is_trace(const u8 *at, u64 room, struct wal_place place);

/* Bytes a frame takes in a unit. */
static inline size_t wal_frame_bytes(size_t payload)
{
    return WAL_FRAME_HEADER + (size_t)round_up(payload, 8);
}

/* Write one frame at `to`; returns the place of its payload there. */
str wal_frame_encode(u8 *to, const struct wal_frame *f, const str *parts, u32 count,
                     size_t payload_bytes);

/* Step through the frames of a valid unit: *offset starts at WAL_UNIT_HEADER. False at the end. */
bool wal_frame_next(const u8 *unit, u32 len, u32 *offset, struct wal_frame *f, str *payload);

/* --- segments --- */

/* What one part has in one segment. */
struct wal_use {
    u32 part;        /* index in wal_parts.parts */
    u64 entry_last;  /* largest index of an entry that is not void; 0: none */
    u64 marker_last; /* largest index of a TRUNC_PREFIX, CKPT, SNAP_* frame; 0: none */
};

struct wal_segment {
    u64 seq, start_lsn, bytes, salt;
    struct file *file; /* NULL: not made yet, or closed because nothing is written there any more */
    u64 end_lsn;       /* end of the last unit placed here; start_lsn: none yet */
    u64 pin_lsn;       /* may not go before this is durable (a truncation freed entries in it) */
    struct wal_use *uses;
    u32 use_count, use_cap;
};

static inline u64 wal_segment_limit(const struct wal_segment *s)
{
    return s->start_lsn + s->bytes - WAL_BLOCK;
}

static inline u64 wal_segment_offset(const struct wal_segment *s, u64 lsn)
{
    return lsn - s->start_lsn + WAL_BLOCK;
}

struct wal_segments {
    struct wal_segment **at; /* oldest first; consecutive seq */
    u32 count, cap;
    u32 head;  /* where units are placed now */
    u32 ready; /* segments [0, ready) exist on disk; the next one to make is at[ready] */
    u64 spares[WAL_SPARES_MAX];
    u32 spare_count;
    nanos retry_at; /* when full */
    u32 holders;    /* owners that need the space: make none out of it */
};

/* The log is short of the segments it wants if this is set: at[ready] exists in memory only. */
static inline bool wal_segments_lacking(const struct wal_segments *s)
{
    return s->ready < s->count;
}

struct wal_segment *wal_segment_push(struct wal *w, u64 seq, u64 start_lsn, u64 bytes);

/* Move placing to the next segment, which may not be on disk yet. */
struct wal_segment *wal_segments_advance(struct wal *w);

/* Start the next piece of work on files, if there is any and none is running. */
void wal_segments_maintain(struct wal *w, nanos now);

/* Make every segment that is wanted, blocking: boot only. ERR_NO_SPACE sets stats.full. */
MUST_USE err wal_segments_make_now(struct wal *w, nanos now);

MUST_USE err wal_segments_job_done(struct wal *w, nanos now);
void wal_segments_free(struct wal *w);

u64 wal_salt_of(const struct wal *w, u64 seq);
bool wal_name_parse(const char *name, u64 *seq, bool *spare);
void wal_name_segment(char *out, const char *dir, u64 seq);
void wal_name_spare(char *out, const char *dir, u64 seq);
void wal_name_new(char *out, const char *dir);

/* --- job.c --- */

enum wal_job_kind { WAL_JOB_MAKE, WAL_JOB_RETIRE };

/* Everything run() needs, copied, so that it shares nothing with the log. */
struct wal_job {
    struct env_job job;
    struct env *env;
    const char *dir; /* the log's copy; constant for its life */
    enum wal_job_kind kind;
    bool running;
    struct wal_file_header header; /* MAKE: of the segment wanted */
    bool from_spare;
    u64 spare_seq;     /* MAKE from this spare */
    bool keep;         /* RETIRE: as a spare; else unlink */
    u64 retire_seq;    /* RETIRE */
    struct file *file; /* MAKE: the result. RETIRE: to close, or NULL */
};

void wal_job_run(struct env_job *job);

/* --- reclaim.c --- */

struct wal_part {
    u64 id, released; /* by the replica below */
    u32 repl;         /* the newest that wrote for the part; numbers only grow */
    struct wal_frame hard_frame; /* the newest hard state staged, kept to stage it again */
    u8 *hard;
    u32 hard_len, hard_cap;
    u64 hard_seq, hard_lsn; /* the segment it is in, 0: none; its LSN */
    u64 use_seq;            /* the segment last used, and this part's place in its uses */
    u32 use_at;
};

struct wal_parts {
    struct wal_part *parts; /* in order of appearance */
    u32 count, cap;
    u32 *table; /* open addressing: index + 1 into parts, 0 free */
    u32 table_size;
    u32 last; /* index of the part looked up last */
};

/* Remember what a frame, placed at `lsn` in `s`, means for reclaiming. */
void wal_reclaim_note(struct wal *w, struct wal_segment *s, const struct wal_frame *f, str payload,
                      u64 lsn);
void wal_reclaim_forget(struct wal *w, u64 part);
void wal_reclaim_forget_others(struct wal *w, bool (*is_known)(void *context, u64 part), void *context);
void wal_reclaim_release(struct wal *w, u64 part, u64 index);

/* Stage again what keeps the oldest segment from going, if nothing else does. */
void wal_reclaim_restage(struct wal *w);

/* May the oldest segment go now? */
bool wal_reclaim_may_retire(const struct wal *w);
void wal_reclaim_free(struct wal *w);

/* --- unit.c --- */

struct wal_unit {
    struct disk_op op;
    u8 *data; /* block-aligned */
    size_t cap, used;
    u32 frames;
    u64 lsn;
    struct wal_segment *segment;
    nanos submitted;
    bool done;
    struct list link;
};

struct wal_units {
    struct wal_unit *open; /* NULL: the next frame opens one at `cursor` */
    struct list closed;    /* full, not submitted: in order */
    struct list flying;    /* submitted, oldest first */
    struct list idle;      /* buffers of unit_bytes_max to use again */
    u32 flying_count, idle_count;
    u64 cursor;     /* LSN where the next unit starts if it fits the head segment */
    u64 staged;     /* LSN of the newest frame */
    size_t backlog; /* bytes used in closed and open units */
    u64 durable;
    u64 proved;        /* the largest `durable` submitted: what recovery would believe */
    u64 worth_proving; /* end of the last unit with frames that completed */
    u32 last_crc;      /* of the last unit submitted, for the chain */
    nanos quiet_since; /* the last completion */
};

void wal_units_init(struct wal *w);
void wal_units_resume(struct wal *w, u64 cursor, u32 last_crc, nanos now);
void wal_units_submit(struct wal *w, nanos now);
nanos wal_units_proof_at(const struct wal *w);
void wal_units_done(struct wal *w, struct wal_unit *u, nanos now);
void wal_units_free(struct wal *w);

/* Write one empty unit at the cursor with blocking calls, durably: the end of wal_open. */
MUST_USE err wal_units_prove_now(struct wal *w);

/* End of everything placed so far, in whole blocks. */
u64 wal_units_end(const struct wal *w);

/* --- scan.c --- */

struct wal_scan_file {
    u64 name_seq;
    struct file *file;
    struct wal_file_header header;
    u64 bytes;                      /* the file's size */
    bool header_ok, header_damaged; /* damaged: one of its two copies */
};

struct wal_scan {
    struct env *env;
    const char *dir;
    struct wal_scan_file *files; /* the log's files, oldest first, consecutive */
    u32 count;
    struct wal_scan_file *unneeded; /* after those: unreadable or out of place, and without units */
    u32 unneeded_count;
    u64 *spares;
    u32 spare_count;
    bool new_tmp; /* a half-made file is there */
    u64 proven;   /* V */
};

/* The contents of one file. */
struct wal_image {
    u8 *bytes;
    u64 len;
    u64 bad_from, bad_to; /* blocks the device could not read; equal: none */
};

/* List dir and read all headers. `flags`: how to open files. ERR_CORRUPT: a needed file has none.
 */
MUST_USE err wal_scan_open(struct wal_scan *s, struct env *env, const char *dir, u32 flags);
MUST_USE err wal_scan_prove(struct wal_scan *s); /* finds V */
void wal_scan_done(struct wal_scan *s);

MUST_USE err wal_image_read(struct env *env, struct file *f, u64 bytes, struct wal_image *out);
void wal_image_done(struct wal_image *i);

/* --- walk.c --- */

struct wal_walk_unit {
    u32 file_at; /* index in wal_scan.files */
    u64 offset;
    struct wal_unit_header header; /* zero when not valid */
    const u8 *bytes;               /* NULL when not valid */
    u64 span;                      /* bytes of the file it takes */
    const char *problem;           /* NULL when valid */
};

struct wal_walk {
    struct wal_scan *scan;
    /* Called for every unit, the ones cut or damaged too (problem set). */
    void (*on_unit)(void *context, const struct wal_walk_unit *u);
    void (*on_damage)(void *context, const struct wal_damage *d);
    void *context;

    /* The result: where the log ends. tail_at == scan->count: behind the last file. */
    u32 tail_at;
    u64 tail_offset, tail_lsn;
    u32 last_crc, last_epoch;
    bool any; /* a unit was accepted */

    /* inside */
    bool gap; /* units between the last accepted one and the next are missing: no chain */
    bool looking_ahead;
    struct wal_damage *accepted;
    u32 accepted_count;
    bool accepted_known;
};

MUST_USE err wal_walk_run(struct wal_walk *k);
void wal_walk_done(struct wal_walk *k);

/* The payload of the PAD frame that accepts damage. */
#define WAL_ACCEPT_BYTES 16
bool wal_accept_decode(const struct wal_frame *f, str payload, struct wal_damage *out);

/* --- recover.c --- */

MUST_USE err wal_recover(struct wal *w, wal_replay_fn on_frame, wal_damage_fn on_damage,
                         void *context);

/* --- wal.c --- */

struct wal {
    struct env *env;
    struct wal_config config; /* dir is the log's own copy */
    u8 uuid[16];
    u64 reserve; /* bytes at the end of the last ready segment that take no entries */
    struct wal_units units;
    struct wal_segments segments;
    struct wal_parts parts;
    struct wal_job job;
    struct wal_stats stats;
    err failed;                 /* set once; the log takes nothing any more */
    struct wal_damage *damages; /* found at open, for wal_accept_damage */
    u32 damage_count;
};

u64 wal_stage_frame(struct wal *w, const struct wal_frame *f, const str *parts, u32 count);
