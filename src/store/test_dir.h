/* For this folder's tests: a fresh directory, and a RocksDB in it. */
#pragma once

#include "base/bytes.h"
#include "store/kvs.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct test_dir {
    char root[256], path[320];
};

/* Under TMPDIR, else /tmp. */
static inline void test_dir_make(struct test_dir *d)
{
    const char *base = getenv("TMPDIR");
    snprintf(d->root, sizeof d->root, "%.200s/quorate-store-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(d->root)) abort();
}

static inline const char *test_dir_path(struct test_dir *d, const char *name)
{
    snprintf(d->path, sizeof d->path, "%s/%s", d->root, name);
    return d->path;
}

static inline void test_dir_remove(struct test_dir *d)
{
    char command[400];
    snprintf(command, sizeof command, "rm -rf '%s'", d->root);
    if (system(command) != 0) abort();
}
