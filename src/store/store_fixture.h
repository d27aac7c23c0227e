/* For this folder's tests: a store over the memory engine, and its verbs in short. */
#pragma once

#include "base/test.h"
#include "store/store_internal.h"

#include <stdio.h>

struct fixture {
    struct kvs_image *image;
    struct kvs *kvs;
    struct store *store;
};

enum { PART = 1, KS = 7 };

static inline void open_store(struct fixture *f, size_t memory)
{
    f->kvs = kvs_memory_open(f->image);
    struct store_options options = {.part = PART, .memory_bytes_max = memory};
    f->store = store_new(f->kvs, &options);
}

static inline struct fixture fixture(size_t memory)
{
    struct fixture f = {.image = kvs_image_new()};
    open_store(&f, memory);
    return f;
}

static inline void close_store(struct fixture *f)
{
    store_check(f->store);
    store_free(f->store);
    f->kvs->ops->close(f->kvs);
}

static inline void done(struct fixture *f)
{
    close_store(f);
    kvs_image_free(f->image);
}

static inline void put(struct fixture *f, const char *key, const char *value)
{
    store_put(f->store, KS, str_of(key), str_of(value), (str){0});
}

static inline bool is(struct fixture *f, const char *key, const char *value)
{
    str got;
    bool found;
    CHECK_OK(store_get(f->store, KS, str_of(key), &got, &found));
    return value ? found && str_equal(got, str_of(value)) : !found;
}

static inline err finish(struct fixture *f, struct store_checkpoint *c)
{
    c->job.run(&c->job);
    err e = store_checkpoint_done(c);
    while (store_checkpoint_running(f->store)) store_tidy(f->store, 1);
    return e;
}

static inline void checkpoint(struct fixture *f)
{
    CHECK_OK(finish(f, store_freeze(f->store, NULL, 0)));
}

static inline void reopen(struct fixture *f)
{
    close_store(f);
    open_store(f, MIB);
}
