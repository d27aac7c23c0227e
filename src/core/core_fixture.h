/* For the tests of this folder: a core over the memory engine, and commands in short. */
#pragma once

#include "core/core_internal.h"

#include "base/test.h"

#include <stdio.h>

struct core_fixture {
    struct kvs_image *image;
    struct kvs *kvs;
    struct store *store;
    struct core *core;
    struct buf payload, out;
    struct core_reply reply; /* of the last command */
};

static inline void fixture_open(struct core_fixture *f)
{
    struct store_options options = {.part = CORE_GROUP,
                                    .keyspace_first = CORE_STORE_KEYSPACE,
                                    .keyspace_count = 1, /* as beside others on a node */
                                    .memory_bytes_max = 256 * MIB};

    f->kvs = kvs_memory_open(f->image);
    f->store = store_new(f->kvs, &options);
    f->core = core_new(f->store);
    CHECK_OK(core_load(f->core));
}

static inline void fixture_init(struct core_fixture *f)
{
    *f = (struct core_fixture){.image = kvs_image_new()};
    fixture_open(f);
}

static inline void fixture_close(struct core_fixture *f)
{
    core_free(f->core);
    store_free(f->store);
    f->kvs->ops->close(f->kvs);
}

static inline void fixture_done(struct core_fixture *f)
{
    fixture_close(f);
    kvs_image_free(f->image);
    buf_done(&f->payload);
    buf_done(&f->out);
}

/* Checkpoint, and start again from what is written. */
static inline void fixture_restart(struct core_fixture *f)
{
    struct store_checkpoint *c = store_freeze(f->store, NULL, 0);

    c->job.run(&c->job);
    CHECK_OK(store_checkpoint_done(c));
    fixture_close(f);
    fixture_open(f);
}

static inline enum core_status fixture_apply(struct core_fixture *f, str payload)
{
    buf_clear(&f->out);
    CHECK_OK(core_apply(f->core, payload, &f->out));
    CHECK_OK(core_reply_decode(buf_str(&f->out), &f->reply));
    CHECK((f->reply.status == CORE_OK) == (f->reply.reason.len == 0));
    return f->reply.status;
}

/* One command through the door; its status. */
static inline enum core_status fixture_do(struct core_fixture *f, const struct core_command *cmd)
{
    buf_clear(&f->payload);
    core_command_encode(cmd, &f->payload);
    return fixture_apply(f, buf_str(&f->payload));
}

#define DO(f, ...) fixture_do((f), &(struct core_command){__VA_ARGS__})

/* Does the last refusal say this? */
static inline bool says(const struct core_fixture *f, const char *words)
{
    size_t len = strlen(words);

    for (size_t i = 0; i + len <= f->reply.reason.len; i++)
        if (memcmp(f->reply.reason.at + i, words, len) == 0) return true;
    return false;
}

static inline u32 result_u32(const struct core_fixture *f)
{
    struct reader r = reader_of(f->reply.result);
    return reader_u32(&r);
}

static inline u64 result_u64(const struct core_fixture *f)
{
    struct reader r = reader_of(f->reply.result);
    return reader_u64(&r);
}

static inline struct core_node_spec spec(u8 who, const char *rack)
{
    return (struct core_node_spec){.incarnation = {{who, 0xAA}},
                                   .peer = STR("10.0.0.1:7379"),
                                   .redis = STR("10.0.0.1:6379"),
                                   .admin = STR("10.0.0.1:8379"),
                                   .rack = str_of(rack),
                                   .version_min = 1,
                                   .version_max = 2};
}

/* A cluster of nodes 1..count, each in a rack of its own. */
static inline void found(struct core_fixture *f, u32 count)
{
    static const char *const racks[] = {"a", "b", "c", "d", "e", "f", "g"};
    struct core_command cmd = {.op = CORE_FOUND, .uuid = {{7}}, .version = 1, .node_count = count};

    for (u32 i = 0; i < count; i++) cmd.nodes[i] = spec((u8)(i + 1), racks[i]);
    CHECK_EQ(fixture_do(f, &cmd), CORE_OK);
}

/* One more node, up. */
static inline u32 join(struct core_fixture *f, u8 who, const char *rack)
{
    struct core_command cmd = {.op = CORE_NODE_JOIN, .nodes = {spec(who, rack)}};

    CHECK_EQ(fixture_do(f, &cmd), CORE_OK);
    u32 id = result_u32(f);
    cmd = (struct core_command){
        .op = CORE_NODE_UPDATE, .node = id, .mask = CORE_UPDATE_READY, .nodes = {spec(who, rack)}};
    CHECK_EQ(fixture_do(f, &cmd), CORE_OK);
    return id;
}

static inline u32 create(struct core_fixture *f, const char *name, const char *partitions,
                         const char *replicas)
{
    CHECK_EQ(
        DO(f, .op = CORE_KS_CREATE, .name = str_of(name), .row_count = 2,
           .rows = {{STR("partitions"), str_of(partitions)}, {STR("replicas"), str_of(replicas)}}),
        CORE_OK);
    return result_u32(f);
}

static inline u64 part_epoch(const struct core_fixture *f, u64 part)
{
    return core_part(f->core, part)->epoch;
}

static inline u64 map_epoch(const struct core_fixture *f)
{
    return core_cluster(f->core)->epoch;
}

static inline u64 digest_of(struct core_fixture *f)
{
    u64 digest;

    CHECK_OK(core_digest(f->core, &digest));
    return digest;
}

/* Move a replica of `part`, all steps. */
static inline enum core_status move(struct core_fixture *f, u64 part, u32 node, u32 out)
{
    enum core_status s = DO(f, .op = CORE_PART_BEGIN, .part = part, .epoch = part_epoch(f, part),
                            .kind = CORE_OP_MOVE, .node = node, .replica = out);
    if (s) return s;
    s = DO(f, .op = CORE_PART_STEP, .part = part, .epoch = part_epoch(f, part),
           .step = CORE_STEP_PREPARED);
    if (s) return s;
    s = DO(f, .op = CORE_PART_STEP, .part = part, .epoch = part_epoch(f, part),
           .step = CORE_STEP_SWAP);
    if (s) return s;
    return DO(f, .op = CORE_PART_DONE, .part = part, .epoch = part_epoch(f, part));
}
