#include "bench/workloads.h"

#include "env/env_real.h"
#include "store/store.h"
#include "wire/resp/resp.h"

#include <stdio.h>
#include <time.h>

nanos bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (nanos)t.tv_sec * NANOS_SEC + (nanos)t.tv_nsec;
}

/* ---- RESP: SET of 16 B key and 256 B value, parsed from one long pipeline ---- */

static bool run_resp(nanos budget, const char *dir, struct bench_result *out, char *problem,
                     size_t size)
{
    struct resp_parser p;
    struct buf input = {0};
    u8 value[256] = {0};
    size_t consumed;
    nanos start = bench_now();

    (void)dir;
    (void)problem;
    (void)size;
    resp_parser_init(&p, MIB, 2 * MIB);
    for (u32 i = 0; i < 1000; i++) {
        buf_printf(&input, "*3\r\n$3\r\nSET\r\n$16\r\nkey:%012u\r\n$256\r\n", i);
        buf_append(&input, value, sizeof value);
        buf_append_text(&input, "\r\n");
    }
    while (bench_now() - start < budget)
        for (str rest = buf_str(&input); rest.len; out->operations++) {
            if (resp_parse(&p, rest, &consumed) != RESP_REQUEST) return false;
            rest = str_from(rest.at + consumed, rest.len - consumed);
        }
    out->took = bench_now() - start;
    out->unit = "request";
    resp_parser_done(&p);
    buf_done(&input);
    return true;
}

/* ---- the front table over the memory engine: 1 M keys of 16 B, values of 100 B ---- */

#define STORE_KEYS 1000000u

static str key_of(u32 i, char text[24])
{
    int len = snprintf(text, 24, "key:%012u", i * 2654435761u % STORE_KEYS);
    return str_from(text, (size_t)len);
}

static struct store *filled_store(struct kvs *kvs)
{
    struct store_options o = {.part = 1, .memory_bytes_max = 1024 * MIB};
    struct store *s = store_new(kvs, &o);
    u8 value[100] = {0};
    char text[24];

    for (u32 i = 0; i < STORE_KEYS; i++)
        store_put(s, 1, key_of(i, text), str_from(value, sizeof value), str_from("", 0));
    return s;
}

static bool run_store(nanos budget, bool put, struct bench_result *out)
{
    struct kvs_image *image = kvs_image_new();
    struct kvs *kvs = kvs_memory_open(image);
    struct store *s = filled_store(kvs);
    u8 value[100] = {0};
    char text[24];
    str got;
    bool found, ok = true;
    nanos start = bench_now();

    while (bench_now() - start < budget && ok)
        for (u32 i = 0; i < 1000 && ok; i++) {
            str key = key_of((u32)out->operations++, text);
            if (put)
                store_put(s, 1, key, str_from(value, sizeof value), str_from("", 0));
            else
                ok = store_get(s, 1, key, &got, &found) == OK && found;
        }
    out->took = bench_now() - start;
    out->unit = put ? "put" : "get";
    store_free(s);
    kvs->ops->close(kvs);
    kvs_image_free(image);
    return ok;
}

static bool run_put(nanos budget, const char *dir, struct bench_result *out, char *problem,
                    size_t size)
{
    (void)dir;
    snprintf(problem, size, "the store refused");
    return run_store(budget, true, out);
}

static bool run_get(nanos budget, const char *dir, struct bench_result *out, char *problem,
                    size_t size)
{
    (void)dir;
    snprintf(problem, size, "a key was not found");
    return run_store(budget, false, out);
}

/* ---- the disk: durable 4 KiB writes one after another, as the log makes them ---- */

struct disk_run {
    struct env *env;
    struct file *file;
    struct disk_op op;
    u8 *block;
    u64 done, blocks;
    nanos until;
    err failed;
};

static void write_next(struct disk_run *d)
{
    d->op = (struct disk_op){
        .file = d->file, .offset = d->done % d->blocks * 4096, .data = d->block, .bytes = 4096};
    list_init(&d->op.link);
    env_disk_submit(d->env, &d->op);
}

static bool disk_turn(void *context)
{
    struct disk_run *d = context;
    struct env_event ev;

    while (env_next_event(d->env, &ev)) {
        if (ev.kind != ENV_DISK_DONE) continue;
        d->failed = ev.result;
        d->done++;
        if (ev.result || bench_now() >= d->until)
            env_real_stop(d->env);
        else
            write_next(d);
    }
    return false;
}

static bool run_disk(nanos budget, const char *dir, struct bench_result *out, char *problem,
                     size_t size)
{
    struct env_real_options o = {.dir = dir, .log_level = LOG_ERROR};
    struct disk_run d = {.blocks = 1024};

    if (env_real_new(&o, &d.env, problem, size)) return false;
    d.block = mem_alloc_aligned(4096, 4096);
    memset(d.block, 7, 4096);
    err e = d.env->ops->file_open(d.env, "bench.tmp", FILE_CREATE | FILE_DIRECT, &d.file);
    for (u64 i = 0; !e && i < d.blocks; i++)
        e = d.env->ops->file_pwrite(d.env, d.file, i * 4096, d.block, 4096);
    if (!e) e = d.env->ops->file_sync(d.env, d.file);
    if (!e) {
        nanos start = bench_now();
        d.until = start + budget;
        write_next(&d);
        env_real_run(d.env, disk_turn, &d);
        out->operations = d.done;
        out->took = bench_now() - start;
        out->unit = "durable 4 KiB write";
        e = d.failed;
    }
    if (e) snprintf(problem, size, "%s", err_text(e));
    if (d.file) d.env->ops->file_close(d.env, d.file);
    (void)!d.env->ops->file_unlink(d.env, "bench.tmp");
    env_real_free(d.env);
    mem_free(d.block);
    return !e;
}

static const struct bench_workload workloads[] = {
    {"disk", "durable writes, one in flight", run_disk},
    {"resp", "parsing SET, 16 B key, 256 B value", run_resp},
    {"put", "front table put, 1 M keys, 100 B values", run_put},
    {"get", "front table get, 1 M keys, 100 B values", run_get},
};

const struct bench_workload *bench_workloads(u32 *count)
{
    *count = ARRAY_LEN(workloads);
    return workloads;
}
