/* The real env: one libuv loop for sockets, the timer and wake-ups, a disk (disk.h) for durable
 * writes, two job threads, and a node's directory.
 *
 *   err e = env_real_new(&options, &env, problem, sizeof problem);
 *   ... boot with the blocking file calls ...
 *   env_real_run(env, turn, context);      until env_real_stop()
 *   env_real_free(env);
 *
 * libuv callbacks only move bytes and append events; `turn` does all the work. */
#pragma once

#include "env/env.h"

struct env_real_options { /* zero is a working default, except dir */
    const char *dir;      /* the node's directory, made if missing */
    const char *disk;     /* "auto" (NULL), "uring" or "thread" */
    bool buffered;        /* never O_DIRECT, as if the file system refused it */
    bool read_only; /* blocking reads of `dir` only: nothing is made, probed, locked or listened to
                     */
    enum log_level log_level; /* lines above it are dropped; LOG_ERROR is 0 */
    int log_fd;               /* 0: standard error */
};

/* On failure *out is NULL and problem holds one sentence with the remedy. From here on SIGTERM and
 * SIGINT are ENV_STOP events (also when inherited as ignored) and SIGPIPE is ignored. */
MUST_USE err env_real_new(const struct env_real_options *options, struct env **out, char *problem,
                          size_t problem_size);

/* Does all the work that is ready; true if there is more, then it is called again after the sockets
 * were looked at. Otherwise it is called when events came or the time of env_wake_at has come. */
typedef bool (*env_turn_fn)(void *context);

/* Run turns until one of them has called env_real_stop. */
void env_real_run(struct env *env, env_turn_fn turn, void *context);
void env_real_stop(struct env *env);

/* Wait until no durable write and no job is under way, so that their owners can be freed. Their events
 * are dropped, queued jobs never run, nothing may be submitted afterwards. */
void env_real_quiesce(struct env *env);

/* Close what is open, wait for what is in flight, free. Streams still attached are forgotten, not
 * touched: their owner may be gone already. NULL is accepted. */
void env_real_free(struct env *env);

/* The clocks and chance alone, for commands that have no env. */
nanos env_real_mono(void);
u64 env_real_wall_us(void);
u64 env_real_random(void);

/* A parsed enum log_level: "error", "warn", "info", "debug". */
MUST_USE bool env_log_level_parse(const char *text, enum log_level *out);
