/* The node processes of a demo: start, notice deaths, start again, stop. Single-threaded; time is
 * counted in ticks of TICK_MS by the caller, so nothing here reads a clock. */
#pragma once

#include "base/types.h"

#include <sys/types.h>

enum { TICK_MS = 100, MEMBER_PATH_MAX = 512, MEMBER_ARGS_MAX = 64 };

struct member {
    node_id id;
    u16 redis_port, peer_port, admin_port;
    char log[MEMBER_PATH_MAX];
    char *argv[MEMBER_ARGS_MAX]; /* owned; argv[0] is the program's path; ends with NULL */
    u32 argc;
    pid_t pid;       /* 0: not running */
    int wait_status; /* of the last death */
    u32 ticks_alive;
    u32 ticks_to_start; /* 0: not due; else counts down */
    u32 pause_ticks;    /* before the next restart; grows with each quick death */
};

void member_add_arg(struct member *m, const char *text);
void member_done(struct member *m);

/* Fork and exec, its output appended to the log. The child is in a process group of its own, so
 * that a terminal's SIGINT reaches the demo alone. false: problem in errno. */
bool member_start(struct member *m);

/* The member whose process has ended since the last call; NULL: none. */
struct member *members_reap(struct member *members, u32 count);

void member_schedule_restart(struct member *m);
bool member_tick(struct member *m); /* true: a scheduled start is due now */

/* SIGTERM to all (and SIGCONT, should one be stopped). */
void members_ask_to_stop(struct member *members, u32 count);
void members_kill(struct member *members, u32 count);
u32 members_alive(const struct member *members, u32 count);

/* "killed by SIGKILL", "exit code 1". */
void member_describe_death(const struct member *m, char *out, size_t size);

/* The command line, quoted for a shell; without what only the demo needs. */
void member_print_command(const struct member *m, char *out, size_t size);
