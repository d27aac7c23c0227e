/* For the tests of this folder: a group of one replica, which leads it, on a real log and an engine in memory. */
#pragma once

#include "env/real_fixture.h"
#include "part/part_internal.h"

struct one {
    struct fixture f; /* first */
    struct kvs_image *image;
    struct kvs *kvs;
    struct wal *wal;
    struct part *part;
    u32 answered, wanted;
    enum part_cut_state state_wanted;
    nanos until;
};

static inline struct one *one_of(struct fixture *f)
{
    return CONTAINER_OF(f, struct one, f);
}

static inline void take_answer(void *context, const struct part_answer *a)
{
    struct one *o = context;

    CHECK_EQ(a->status, PART_DONE);
    o->answered++;
}

static inline struct buf *no_peer(void *context, node_id to, const struct frame *f)
{
    (void)context, (void)to, (void)f;
    return NULL;
}

static inline void ignore_log(void *context, enum log_level level, const char *line)
{
    (void)context, (void)level, (void)line;
}

static inline void on_event(struct fixture *f, const struct env_event *ev)
{
    struct one *o = one_of(f);
    nanos now = env_mono(f->env);

    if (ev->kind == ENV_DISK_DONE) CHECK_OK(wal_on_disk_done(o->wal, ev->op, now));
    if (ev->kind != ENV_JOB_DONE) return;
    if (ev->job->owner == o->part)
        CHECK_OK(part_on_job(o->part, ev->job));
    else
        CHECK_OK(wal_on_job_done(o->wal, ev->job, now));
}

static inline void turn(struct one *o)
{
    bool more = false;

    CHECK_OK(part_turn(o->part, &more));
    wal_flush(o->wal, env_mono(o->f.env));
    env_wake_at(o->f.env, env_mono(o->f.env) + NANOS_MS);
}

static inline bool is_led(struct fixture *f)
{
    struct one *o = one_of(f);

    turn(o);
    return raft_lease_holds(part_raft(o->part), env_mono(f->env)) && part_applied(o->part) > 0;
}

static inline bool has_answers(struct fixture *f)
{
    struct one *o = one_of(f);

    turn(o);
    return o->answered == o->wanted;
}

static inline bool has_state(struct fixture *f)
{
    struct one *o = one_of(f);
    u64 stamp, index;

    turn(o);
    return part_cut_state(o->part, &stamp, &index) == o->state_wanted;
}

static inline bool time_is_up(struct fixture *f)
{
    turn(one_of(f));
    return env_mono(f->env) >= one_of(f)->until;
}

static inline struct one *one_new(void)
{
    struct one *o = mem_zalloc(sizeof *o);
    struct raft_config founders = {0};
    struct part_host host = {
        .context = o, .answer = take_answer, .peer_begin = no_peer, .log = ignore_log};
    struct part_options options = {.id = 2,
                                   .self = 1,
                                   .boot = 1,
                                   .fresh = true,
                                   .replica = 1,
                                   .raft = {.self = 1,
                                            .seed = 1,
                                            .election_timeout_min = 20 * NANOS_MS,
                                            .election_timeout_max = 40 * NANOS_MS,
                                            .heartbeat_every = 5 * NANOS_MS,
                                            .lease = 15 * NANOS_MS,
                                            .inflight_messages_max = 16,
                                            .inflight_bytes_max = MIB,
                                            .append_bytes_max = MIB,
                                            .tail_bytes_max = 16 * MIB,
                                            .uncommitted_bytes_max = 8 * MIB},
                                   .log_bytes_keep = MIB,
                                   .snapshot_chunk_bytes = 4096,
                                   .checkpoint_dirty_bytes = 64 * MIB,
                                   .checkpoint_every = 3600 * NANOS_SEC,
                                   .dirty_bytes_max = 64 * MIB,
                                   .wal_bytes_max = 256 * MIB,
                                   .queue_bytes_max = 16 * MIB};
    struct wal_config log = {.dir = "wal",
                             .boot_epoch = 1,
                             .segment_bytes = 4 * MIB,
                             .units_in_flight_max = 1,
                             .unit_bytes_max = MIB,
                             .frame_bytes_max = 64 * KIB,
                             .backlog_bytes_max = 16 * MIB,
                             .salt = 7};
    struct store_options so = {
        .part = 2, .keyspace_first = 1, .keyspace_count = 1000, .memory_bytes_max = 64 * MIB};
    struct kv_options ko = {.keyspace_first = 1, .keyspace_count = 1000, .value_bytes_max = MIB};

    fixture_init(&o->f, NULL);
    o->f.on_event = on_event;
    o->image = kvs_image_new();
    o->kvs = kvs_memory_open(o->image);
    struct store *store = store_new(o->kvs, &so);
    raft_config_found(&founders, 1);
    options.members = &founders;
    CHECK_OK(
        part_new(o->f.env, store, kv_machine_new(kv_new(store, &ko)), &options, &host, &o->part));
    CHECK_OK(o->f.env->ops->dir_make(o->f.env, "wal"));
    CHECK_OK(wal_open(o->f.env, &log, part_on_replay, part_on_damage, o->part, &o->wal));
    CHECK_OK(part_boot(o->part, o->wal));
    part_on_founding(o->part);
    fixture_run(&o->f, is_led);
    return o;
}

static inline void one_free(struct one *o)
{
    struct store *store = part_store(o->part);

    env_real_quiesce(o->f.env);
    part_free(o->part);
    store_free(store);
    wal_free(o->wal);
    o->kvs->ops->close(o->kvs);
    kvs_image_free(o->image);
    fixture_done(&o->f);
    mem_free(o);
}

/* SET of so many keys with this first letter; not waited for. */
static inline void submit(struct one *o, char letter, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        struct entry e = {.apply_ver = ENTRY_APPLY_VER, .op = ENTRY_COMMAND};
        struct buf body = {0}, bytes = {0};
        char key[16];
        snprintf(key, sizeof key, "%c%u", letter, i);
        const str args[] = {STR("SET"), str_of(key), STR("value"), STR("PXAT"),
                            STR("99999999999999")};
        entry_encode_command(3, args, ARRAY_LEN(args), &body);
        e.body = buf_str(&body);
        entry_encode_header(&e, &bytes);
        buf_append_str(&bytes, e.body);
        entry_finish(buf_bytes(&bytes), bytes.len);
        struct part_request r = {.kind = PART_WRITE,
                                 .from = {.node = 1, .boot = 1, .number = o->wanted + 1},
                                 .entry = rcbuf_from(buf_str(&bytes)),
                                 .deadline = env_mono(o->f.env) + 30 * NANOS_SEC};
        o->wanted++;
        part_submit(o->part, &r);
        buf_done(&body);
        buf_done(&bytes);
    }
}
