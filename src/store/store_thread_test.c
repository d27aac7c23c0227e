/* The job of a checkpoint runs on another thread while the reactor goes on. For the thread
 * sanitizer the memory engine is the telling one: the keyspace is complete, so the reactor leaves
 * the engine alone, and what remains shared are the frozen rows. RocksDB synchronises in ways the
 * sanitizer cannot see. */
#include "base/prng.h"
#include "base/test.h"
#include "store/store_internal.h"
#include "store/test_dir.h"

#include <pthread.h>

enum { KEYS = 600, ROUNDS = 12 };

static void *run_job(void *arg)
{
    struct env_job *job = arg;
    job->run(job);
    return NULL;
}

static void write_some(struct store *s, struct prng *prng, u64 *model)
{
    for (u32 i = 0; i < 2000; i++) {
        u64 k = prng_below(prng, KEYS);
        char text[16];
        str key = str_from(text, (size_t)snprintf(text, sizeof text, "k%u", (u32)k));
        u64 value = prng_next(prng) | 1;
        if (prng_chance(prng, 200000)) {
            store_delete(s, 1, key);
            model[k] = 0;
        } else if (prng_chance(prng, 500000)) {
            store_put(s, 1, key, str_from(&value, sizeof value), (str){0});
            model[k] = value;
        } else {
            str got;
            bool found;
            CHECK_OK(store_get(s, 1, key, &got, &found));
            CHECK_EQ(found, model[k] != 0);
            if (found) CHECK_EQ(get_u64(got.at), model[k]);
        }
        if (i % 50 == 0) store_tidy(s, 200);
    }
}

static void run_rounds(struct kvs *kvs, size_t memory)
{
    struct store_options options = {.part = 1, .memory_bytes_max = memory};
    struct store *s = store_new(kvs, &options);
    struct prng prng;
    prng_init(&prng, 9, 9);
    u64 *model = mem_zalloc_array(KEYS, sizeof *model);
    for (u32 round = 0; round < ROUNDS; round++) {
        write_some(s, &prng, model);
        struct store_checkpoint *c = store_freeze(s, NULL, 0);
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, run_job, &c->job), 0);
        write_some(s, &prng, model);
        pthread_join(thread, NULL);
        CHECK_OK(store_checkpoint_done(c));
    }
    store_check(s);
    store_free(s);
    mem_free(model);
}

TEST(store, a_job_reads_frozen_rows_while_the_reactor_replaces_and_deletes_them)
{
    struct kvs_image *image = kvs_image_new();
    struct kvs *kvs = kvs_memory_open(image);
    run_rounds(kvs, 64 * MIB);
    kvs->ops->close(kvs);
    kvs_image_free(image);
}

/* Read by the thread sanitizer, if it is there. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void) { return "race:librocksdb.so\n"; }

TEST(store, a_job_writes_to_rocksdb_while_the_reactor_reads_it_and_evicts)
{
    struct test_dir dir;
    test_dir_make(&dir);
    struct kvs_rocks_options options = {.block_cache_bytes = 4 * MIB, .threads = 1};
    struct kvs *kvs = NULL;
    char problem[256];
    CHECK_OK(kvs_rocks_open(test_dir_path(&dir, "db"), &options, &kvs, problem, sizeof problem));
    run_rounds(kvs, 32 * KIB);
    kvs->ops->close(kvs);
    test_dir_remove(&dir);
}

TEST_MAIN(RUN(store, a_job_reads_frozen_rows_while_the_reactor_replaces_and_deletes_them),
          RUN(store, a_job_writes_to_rocksdb_while_the_reactor_reads_it_and_evicts))
