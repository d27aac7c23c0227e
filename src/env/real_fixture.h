/* For the tests of the real env: an env on a fresh directory, and a turn that counts what happens
 * and hands events to the test until it says enough. */
#pragma once

#include "base/test.h"
#include "env/env_real.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct fixture {
    struct env *env;
    char dir[64];
    void (*on_event)(struct fixture *f, const struct env_event *ev);
    bool (*enough)(struct fixture *f); /* after each turn */
    void *context;
    u32 seen[ENV_STOP + 1]; /* by kind */
    u32 turns;
};

static inline int fixture_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline void fixture_open(struct fixture *f, const struct env_real_options *extra)
{
    struct env_real_options options = extra ? *extra : (struct env_real_options){.disk = "thread"};
    char problem[256];

    options.dir = f->dir;
    err e = env_real_new(&options, &f->env, problem, sizeof problem);
    if (e) fail_msg("%s", problem);
}

static inline void fixture_init(struct fixture *f, const struct env_real_options *extra)
{
    *f = (struct fixture){0};
    alarm(60); /* a hang is a failure */
    snprintf(f->dir, sizeof f->dir, "/tmp/quorate-env-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    fixture_open(f, extra);
}

static inline void fixture_done(struct fixture *f)
{
    env_real_free(f->env);
    nftw(f->dir, fixture_remove, 8, FTW_DEPTH | FTW_PHYS);
}

static inline bool fixture_turn(void *context)
{
    struct fixture *f = context;
    struct env_event ev;

    f->turns++;
    while (env_next_event(f->env, &ev)) {
        f->seen[ev.kind]++;
        if (f->on_event) f->on_event(f, &ev);
    }
    if (f->enough(f)) env_real_stop(f->env);
    return false;
}

static inline void fixture_run(struct fixture *f, bool (*enough)(struct fixture *f))
{
    f->enough = enough;
    env_real_run(f->env, fixture_turn, f);
}
