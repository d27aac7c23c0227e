/* The real env from inside: shared by uv.c (loop), conn.c and net.c (sockets), jobs.c, files.c,
 * log.c and faults.c. Each struct here is written by one of those files only. */
#pragma once

#include "env/disk.h"
#include "env/env_real.h"

#include <uv.h>

struct real_env;

/* --- conn.c: one TCP connection --- */

enum conn_state {
    CONN_ARRIVED,   /* accepted by the kernel, the node has not answered yet */
    CONN_RESOLVING, /* dialled by name */
    CONN_CONNECTING,
    CONN_OPEN,
    CONN_FLUSHING, /* closed by its owner, who wants the rest sent first */
    CONN_CLOSING,  /* uv_close is under way; CLOSED follows */
    CONN_CLOSED,
};

enum {
    READ_BYTES_MIN = 16 * 1024, /* also the size of pooled buffers */
    READ_BYTES_MAX = 256 * 1024,
    KEPT_BYTES_MAX = 1024 * 1024, /* by a stream that keeps its buffers, each */
    SPARE_BLOCKS_MAX = 256,
};

struct conn {
    uv_tcp_t tcp;
    struct real_env *env;
    struct stream *stream;       /* NULL until accepted, and once the env forgets its owner */
    struct listening *listening; /* where it arrived, while CONN_ARRIVED */
    enum conn_state state;
    u32 pending; /* BIT(enum env_event_kind): events to come, in that order */
    err result;  /* of ENV_CLOSED */
    bool paused; /* by the owner */
    bool full;   /* reading stopped because in.len reached in.limit */
    bool reading;
    bool ended;   /* the other end has sent its last byte */
    bool writing; /* in_flight is libuv's */
    bool blocked; /* ENV_DRAINED is due when all has been sent */
    bool resolving, handle_closed;
    u16 port;          /* dialled by name */
    size_t read_bytes; /* how much the next read offers; adapts */
    struct buf in_flight;
    uv_write_t write;
    uv_connect_t connect;
    uv_getaddrinfo_t resolve;
    struct list all, ready, touched;
};

/* Freed 16 KiB blocks, so that an idle connection holds no buffer and a busy one does not pay
 * malloc. */
struct spare_blocks {
    u8 *blocks[SPARE_BLOCKS_MAX];
    u32 count;
};

struct conn *conn_new(struct real_env *r);
void conn_adopt(struct conn *c,
                struct stream *s); /* from now on s is served; reading starts in conn_open */
void conn_open(struct conn *c);
void conn_close(struct conn *c, err result); /* at once; ENV_CLOSED follows if it has a stream */
void conn_free_if_over(
    struct conn *c); /* freed once handle and resolver are done and it has no owner */
bool conn_next_event(struct real_env *r, struct env_event *out);
void conn_settle(struct real_env *r); /* after each turn: resume reading, give memory back */
void conn_flush(struct env *env, struct stream *s);
void conn_pause(struct env *env, struct stream *s, bool paused);
void conn_close_stream(struct env *env, struct stream *s, bool flush_first);
void conn_peer_name(struct env *env, struct stream *s, char *out, size_t size);
void conn_forget_owners(struct real_env *r); /* env_real_free: streams may be gone */
err err_from_uv(int status);                 /* a negative libuv status */

/* --- net.c: listening and dialling --- */

struct listening {
    uv_tcp_t tcp;
    struct real_env *env;
    struct listener *listener; /* NULL once unlistened */
    u64 accept_failures;
    struct list all;
};

err tcp_listen(struct env *env, const char *host, u16 port, struct listener *l);
void tcp_unlisten(struct env *env, struct listener *l);
void tcp_accept(struct env *env, void *pending, struct stream *s);
void tcp_refuse(struct env *env, void *pending);
void tcp_dial(struct env *env, const char *host, u16 port, struct stream *s);
bool tcp_next_event(struct real_env *r, struct env_event *out);
void tcp_close_all(struct real_env *r);

/* --- jobs.c --- */

enum { JOB_THREADS = 2 };

struct jobs {
    uv_mutex_t mutex; /* queue, running, done, stopping */
    uv_cond_t wanted;
    uv_thread_t threads[JOB_THREADS];
    u32 thread_count; /* started with the first job */
    struct list queue, done;
    const struct env_job *running[JOB_THREADS];
    bool stopping;
    uv_async_t *wake;
};

void jobs_init(struct jobs *j, uv_async_t *wake);
void jobs_submit(struct jobs *j, struct env_job *job);
void jobs_take_done(struct jobs *j, struct list *to);
void jobs_done(struct jobs *j); /* running jobs end, queued ones are dropped; twice is fine */

/* --- faults.c: crash and error points of test builds --- */

struct faults {
    u64 fail_write_at, fail_sync_at, kill_at_write;
    u32 kill_how;
    _Atomic u64 writes, syncs;
};

enum fault { FAULT_NONE, FAULT_FAIL };

#ifdef QUORATE_FAULTS
void faults_init(struct faults *f);
enum fault faults_on_write(struct faults *f, int fd, const void *data, size_t bytes, u64 offset);
enum fault faults_on_sync(struct faults *f);
#else
static inline void faults_init(struct faults *f) { *f = (struct faults){0}; }
static inline enum fault faults_on_write(struct faults *f, int fd, const void *data, size_t bytes,
                                         u64 offset)
{
    (void)f, (void)fd, (void)data, (void)bytes, (void)offset;
    return FAULT_NONE;
}
static inline enum fault faults_on_sync(struct faults *f)
{
    (void)f;
    return FAULT_NONE;
}
#endif

/* --- files.c --- */

struct file {
    int fd;        /* buffered: the blocking calls */
    int direct_fd; /* O_DIRECT, for disk_submit; -1: buffered with fdatasync */
};

struct files {
    int dir_fd;
    int lock_fds[4]; /* held for the life of the env */
    u32 lock_count;
    bool buffered;
};

err files_init(struct real_env *r, const struct env_real_options *options, char *problem,
               size_t problem_size);
void files_done(struct real_env *r);
err files_open(struct env *env, const char *path, u32 flags, struct file **out);
void files_close(struct env *env, struct file *f);
err files_size(struct env *env, struct file *f, u64 *out);
err files_pread(struct env *env, struct file *f, u64 offset, void *to, size_t bytes,
                size_t *out_bytes);
err files_pwrite(struct env *env, struct file *f, u64 offset, const void *from, size_t bytes);
err files_sync(struct env *env, struct file *f);
err files_truncate(struct env *env, struct file *f, u64 bytes);
err files_rename(struct env *env, const char *from, const char *to);
err files_unlink(struct env *env, const char *path);
err files_dir_make(struct env *env, const char *path);
err files_dir_sync(struct env *env, const char *path);
err files_dir_list(struct env *env, const char *path, struct buf *names);
err files_dir_lock(struct env *env, const char *path, u64 *holder_pid);
void files_disk_space(struct env *env, u64 *free_bytes, u64 *all_bytes);

/* --- log.c --- */

struct log_sink {
    int fd;
    enum log_level level;
};

void log_write(struct env *env, enum log_level level, const char *line);

/* --- uv.c --- */

struct real_env {
    struct env env; /* first */
    uv_loop_t loop;
    uv_timer_t timer;
    uv_async_t job_wake;
    uv_poll_t disk_poll;
    uv_signal_t terminate, interrupt;
    nanos wish, armed; /* of env_wake_at; when the timer will fire */
    bool stop_asked;   /* ENV_STOP is due */
    bool run_ends;

    struct list conns;     /* conn.all */
    struct list ready;     /* conn.ready: those with pending events */
    struct list touched;   /* conn.touched: those to settle after the turn */
    struct list arrived;   /* conn.ready: accepted, ENV_ACCEPTED due */
    struct list listening; /* listening.all */
    struct spare_blocks spare;

    struct disk *disk;
    bool disk_ready, disk_dirty;
    u32 disk_in_flight;
    struct list failed_ops; /* disk_op.link: failed by injection */
    struct jobs jobs;
    struct list jobs_over; /* env_job.link: ENV_JOB_DONE due */
    struct files files;
    struct faults faults;
    struct log_sink log;
};

static inline struct real_env *real_of(struct env *env)
{
    return CONTAINER_OF(env, struct real_env, env);
}
