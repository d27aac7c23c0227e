/* What a node may ask of the world: time, chance, connections, durable writes, jobs, files. One table
 * of operations, two backends: the real one (uv.c with disk_uring.c or disk_thread.c) and the
 * simulator's (sim/). Nothing else in the tree reads a clock or touches a socket or file.
 *
 * The world never calls into a node. It appends events; the node takes them with env_next_event()
 * inside its turn (server/node.h: node_turn), does all its work, and says with env_wake_at() when it
 * wants the next turn even if nothing happens. An operation is embedded in its owner, belongs to the
 * env from submit until its event is taken, ends exactly once, and never inside the call that
 * started it. Jobs and blocking file calls are the only work outside the reactor's thread. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "base/types.h"

struct env;
struct stream;
struct listener;
struct disk_op;
struct env_job;
struct file;

enum env_event_kind {
    ENV_ACCEPTED,  /* listener, pending: call env_accept or env_refuse once */
    ENV_CONNECTED, /* stream: a dialled stream is up (result OK), or will be CLOSED next */
    ENV_RECEIVED,  /* stream: in has grown */
    ENV_ENDED,     /* stream: the other end sends no more, in has all of it; it may still read. At most once */
    ENV_DRAINED,   /* stream: out was blocked and is empty now */
    ENV_CLOSED,    /* stream: gone; the last event of a stream, its memory is the owner's again */
    ENV_DISK_DONE, /* op, result */
    ENV_JOB_DONE,  /* job: run() has returned */
    ENV_STOP,      /* someone asks the node to stop cleanly (SIGTERM, SIGINT) */
};

struct env_event {
    enum env_event_kind kind;
    err result;
    struct listener *listener;
    void *pending;
    struct stream *stream;
    struct disk_op *op;
    struct env_job *job;
};

/* One ordered byte connection, embedded in its owner. The owner reads and consumes `in`, appends to
 * `out` what may leave, and calls env_flush once per turn. The backend pauses reading while in.len >= in.limit and
 * resumes by itself when env_flush or env_resume finds room again. */
struct stream {
    struct buf in, out;
    bool keeps_buffers; /* one of a few that are busy: its empty buffers stay with it */
    void *owner; /* the node's; the backend never looks */
    u32 kind;    /* the node's: which sort of owner */
    void *impl;  /* the backend's; NULL before accept/dial and after CLOSED */
};

struct listener {
    void *owner;
    u32 kind;
    u16 port;   /* the port bound */
    void *impl;
};

/* One durable write: when its event says OK the bytes are on stable storage. Writes in flight may
 * complete in any order. data, bytes and offset are multiples of 4096, data is 4096-aligned. */
struct disk_op {
    struct file *file;
    u64 offset;
    const u8 *data;
    size_t bytes;
    void *owner;
    u32 kind;
    err result;
    struct list link; /* the backend's */
};

/* Work that may block, run off the reactor. run() may use the job's own memory, the blocking file
 * calls below and a kvs, nothing else. Jobs of one `kind` run one at a time, in the order of their
 * submission; jobs of different kinds may run at the same time.
 *
 * Group commit: a job that gathers may be run together with those behind it that gather, too, and have the same run().
 * That one call does all of them, from `with` to `with`, and sets each one's result; each ends with an event of its own. */
struct env_job {
    void (*run)(struct env_job *job);
    void *owner;
    u32 kind;
    bool gathers;
    struct env_job *with; /* the backend's: the next of those that run together; NULL: the last */
    err result;           /* run() sets it */
    struct list link; /* the backend's */
};

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

enum file_flags {
    FILE_CREATE = BIT(0),    /* create if missing */
    FILE_EXCLUSIVE = BIT(1), /* with CREATE: ERR_EXISTS if present */
    FILE_DIRECT = BIT(2),    /* for env_disk_submit: bypass the page cache where the file system allows */
    FILE_READ_ONLY = BIT(3),
};

struct env_ops {
    /* clocks */
    nanos (*mono)(struct env *env);  /* CLOCK_BOOTTIME or a virtual one: never goes back; read afresh at each call */
    u64 (*wall_us)(struct env *env); /* microseconds since 1970; may step */
    void (*cpu_us)(struct env *env, u64 *user, u64 *system); /* of this process; NULL: there is none (the simulator) */
    u64 (*random)(struct env *env);  /* for ids and seeds; everything else draws from a seeded prng */

    /* the turn */
    bool (*next_event)(struct env *env, struct env_event *out);
    void (*wake_at)(struct env *env, nanos at); /* replaces the earlier wish; NANOS_NEVER cancels; good for one turn */

    /* connections */
    err (*listen)(struct env *env, const char *host, u16 port, struct listener *l);
    void (*unlisten)(struct env *env, struct listener *l);
    void (*accept)(struct env *env, void *pending, struct stream *s);
    void (*refuse)(struct env *env, void *pending);
    void (*dial)(struct env *env, const char *host, u16 port, struct stream *s); /* ends in CONNECTED or CLOSED */
    void (*flush)(struct env *env, struct stream *s); /* send what the transport takes; the rest follows by itself */
    void (*pause)(struct env *env, struct stream *s, bool paused); /* stop/resume reading */
    void (*close)(struct env *env, struct stream *s, bool flush_first);
    void (*peer_name)(struct env *env, struct stream *s, char *out, size_t size); /* "127.0.0.1:50312" */

    /* durable writes and jobs */
    void (*disk_submit)(struct env *env, struct disk_op *op);
    void (*job_submit)(struct env *env, struct env_job *job);

    /* blocking file calls: at boot, at shutdown and inside jobs only. Paths are relative to the
     * node's directory. pread: reading past the end gives fewer bytes (out_bytes). sync makes data and
     * size durable; names become durable with dirsync of their directory. */
    err (*file_open)(struct env *env, const char *path, u32 flags, struct file **out);
    void (*file_close)(struct env *env, struct file *f);
    err (*file_size)(struct env *env, struct file *f, u64 *out);
    err (*file_pread)(struct env *env, struct file *f, u64 offset, void *to, size_t bytes, size_t *out_bytes);
    err (*file_pwrite)(struct env *env, struct file *f, u64 offset, const void *from, size_t bytes);
    err (*file_sync)(struct env *env, struct file *f);
    err (*file_truncate)(struct env *env, struct file *f, u64 bytes);
    err (*file_rename)(struct env *env, const char *from, const char *to);
    err (*file_unlink)(struct env *env, const char *path);
    err (*dir_make)(struct env *env, const char *path); /* OK if it exists */
    err (*dir_sync)(struct env *env, const char *path); /* "" is the node's directory itself */
    err (*dir_list)(struct env *env, const char *path, struct buf *names); /* NUL-terminated names, sorted */
    err (*dir_lock)(struct env *env, const char *path, u64 *holder_pid); /* exclusive, for the life of the env; ERR_LOCKED */
    /* Of the file system under the node's directory; NULL: there is none (the simulator). */
    void (*disk_space)(struct env *env, u64 *free_bytes, u64 *all_bytes);

    /* one structured line: `key=value ...` after a constant message */
    void (*log)(struct env *env, enum log_level level, const char *line);
};

struct env {
    const struct env_ops *ops;
    bool direct_refused;    /* the file system refused O_DIRECT: buffered writes with fdatasync instead */
    const char *disk_how;   /* "io_uring", "thread" or "sim": for the log and /metrics */
};

static inline nanos env_mono(struct env *e) { return e->ops->mono(e); }
static inline u64 env_wall_us(struct env *e) { return e->ops->wall_us(e); }
static inline u64 env_random(struct env *e) { return e->ops->random(e); }
static inline bool env_next_event(struct env *e, struct env_event *out) { return e->ops->next_event(e, out); }
static inline void env_wake_at(struct env *e, nanos at) { e->ops->wake_at(e, at); }
static inline void env_flush(struct env *e, struct stream *s) { e->ops->flush(e, s); }
static inline void env_close(struct env *e, struct stream *s, bool flush_first) { e->ops->close(e, s, flush_first); }
static inline void env_disk_submit(struct env *e, struct disk_op *op) { e->ops->disk_submit(e, op); }
static inline void env_job_submit(struct env *e, struct env_job *job) { e->ops->job_submit(e, job); }

void env_log(struct env *e, enum log_level level, const char *format, ...) PRINTF_LIKE(3, 4);

/* Write a small file so that after a crash it holds either the old or the new bytes: temporary
 * name, sync, rename, directory sync. For identity and boot epoch. */
MUST_USE err env_file_replace(struct env *e, const char *path, str bytes);

/* Read a whole small file; ERR_NOT_FOUND, ERR_TOO_BIG beyond `limit`. */
MUST_USE err env_file_read(struct env *e, const char *path, size_t limit, struct buf *out);
