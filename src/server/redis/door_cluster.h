/* For the tests of many partitions and the fuzzer: the fixture of door_fakes.h with a founded
 * cluster of three nodes, whose map is a core in memory, and a gateway for every partition of it.
 * Node 1 is the door's. */
#pragma once

#include "server/redis/door_fakes.h"

struct cluster_fixture {
    struct fixture *f;
    struct kvs_image *image;
    struct kvs *kvs;
    struct store *store;
    struct core *core;
};

static inline void cluster_do(struct cluster_fixture *cf, const struct core_command *cmd)
{
    struct buf payload = {0}, out = {0};
    struct core_reply reply;

    core_command_encode(cmd, &payload);
    err e = core_apply(cf->core, buf_str(&payload), &out);
    if (!e) e = core_reply_decode(buf_str(&out), &reply);
    if (e || reply.status) panic("refused: %.*s", e ? 0 : (int)reply.reason.len, reply.reason.at);
    buf_done(&payload);
    buf_done(&out);
}

/* A gateway for every partition of the map that has none. */
static inline void cluster_host_all(struct cluster_fixture *cf)
{
    u32 count;
    const struct core_part *const *parts = core_parts(cf->core, &count);

    for (u32 i = 0; i < count; i++)
        if (!parts_find((struct parts *)(void *)cf->f, parts[i]->id))
            fixture_add_part(cf->f, parts[i]->id);
}

static inline struct core_node_spec cluster_node(u32 id)
{
    static const char *const redis[] = {"10.0.0.1:6379", "10.0.0.2:6380", "10.0.0.3:6381"},
                             *const peer[] = {"10.0.0.1:7379", "10.0.0.2:7380", "10.0.0.3:7381"};

    return (struct core_node_spec){.incarnation = {{(u8)id, 0xAA}},
                                   .peer = str_of(peer[id - 1]),
                                   .redis = str_of(redis[id - 1]),
                                   .admin = STR("10.0.0.1:8379"),
                                   .version_min = 1,
                                   .version_max = 2};
}

static inline u32 cluster_create(struct cluster_fixture *cf, const char *name,
                                 const char *partitions)
{
    cluster_do(cf, &(struct core_command){.op = CORE_KS_CREATE,
                                          .name = str_of(name),
                                          .row_count = 1,
                                          .rows = {{STR("partitions"), str_of(partitions)}}});
    return core_keyspace_named(cf->core, str_of(name))->id;
}

/* Keyspace "default"; "orders", number 16, of four partitions; "alone", number 17, of one;
 * "ranged", number 18. */
static inline struct cluster_fixture cluster_new(void)
{
    struct cluster_fixture cf = {.f = fixture_new(), .image = kvs_image_new()};
    struct store_options so = {.part = CORE_GROUP, .keyspace_count = 1, .memory_bytes_max = MIB};
    struct core_command found = {.op = CORE_FOUND, .uuid = {{7}}, .version = 1, .node_count = 3};

    cf.kvs = kvs_memory_open(cf.image);
    cf.store = store_new(cf.kvs, &so);
    cf.core = core_new(cf.store);
    err e = core_load(cf.core);
    assert(!e);
    for (u32 i = 0; i < 3; i++) found.nodes[i] = cluster_node(i + 1);
    cluster_do(&cf, &found);
    cluster_create(&cf, "orders", "hash:4");
    cluster_create(&cf, "alone", "hash:1");
    cluster_create(&cf, "ranged", "range");
    cf.f->map = cf.core;
    cf.f->config.self = 1;
    cluster_host_all(&cf);
    return cf;
}

/* The fixture itself is free already. */
static inline void cluster_done(struct cluster_fixture *cf)
{
    core_free(cf->core);
    store_free(cf->store);
    cf->kvs->ops->close(cf->kvs);
    kvs_image_free(cf->image);
}

/* The partition of keyspace `id` at this place. */
static inline u64 cluster_part(const struct cluster_fixture *cf, u32 id, u32 at)
{
    return core_keyspace(cf->core, id)->parts[at]->id;
}

/* The upper half, from this slot or key on, becomes a partition of its own. */
static inline void cluster_split(struct cluster_fixture *cf, u64 part, u16 slot, str key)
{
    struct core_command cmd = {
        .op = CORE_PART_BEGIN, .part = part, .kind = CORE_OP_SPLIT, .slot = slot, .key = key};

    cmd.epoch = core_part(cf->core, part)->epoch;
    cluster_do(cf, &cmd);
    cmd = (struct core_command){.op = CORE_PART_STEP, .part = part, .step = CORE_STEP_PREPARED};
    cmd.epoch = core_part(cf->core, part)->epoch;
    cluster_do(cf, &cmd);
    cmd = (struct core_command){.op = CORE_PART_DONE, .part = part};
    cmd.epoch = core_part(cf->core, part)->epoch;
    cluster_do(cf, &cmd);
}

static inline void cluster_lead(struct cluster_fixture *cf, u64 part, u32 node)
{
    const struct core_part *p = core_part(cf->core, part);
    u32 replica = 0;

    for (u32 i = 0; i < p->member_count; i++)
        if (p->members[i].node == node) replica = p->members[i].replica;
    assert(replica);
    cluster_do(cf, &(struct core_command){.op = CORE_PART_LEADER,
                                          .part = part,
                                          .replica = replica,
                                          .term = p->leader_term + 1});
}
