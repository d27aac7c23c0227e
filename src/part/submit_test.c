/* The queue before the log: what does not fit is refused by the name of its limit. */
#include "part/part_internal.h"
#include "wal/wal_test_rig.h"

#define QUEUE (64 * KIB)

struct world {
    struct rig *rig;
    struct kvs_image *image;
    struct kvs *kvs;
    struct store *store;
    struct part *part;
    struct part_answer latest;
    char said[64]; /* its reply */
    u32 answers;
};

static void note_answer(void *context, const struct part_answer *a)
{
    struct world *w = context;

    w->latest = *a;
    snprintf(w->said, sizeof w->said, "%.*s", STR_ARG(a->reply));
    w->answers++;
}

static void ignore_log(void *context, enum log_level level, const char *line)
{
    (void)context, (void)level, (void)line;
}

static void begin(struct world *w)
{
    struct store_options so = {.part = 2, .memory_bytes_max = MIB, .keyspace_first = 1, .keyspace_count = 1000};
    struct kv_options ko = {.value_bytes_max = MIB, .keyspace_first = 1, .keyspace_count = 1000};
    struct part_options po = {.id = 2, .self = 1, .replica = 1, .queue_bytes_max = QUEUE,
                              .raft = {.seed = 1,
                                       .election_timeout_min = 300 * NANOS_MS,
                                       .election_timeout_max = 600 * NANOS_MS,
                                       .heartbeat_every = 60 * NANOS_MS,
                                       .lease = 300 * NANOS_MS,
                                       .inflight_messages_max = 16,
                                       .inflight_bytes_max = MIB,
                                       .append_bytes_max = 16 * KIB,
                                       .tail_bytes_max = MIB,
                                       .uncommitted_bytes_max = MIB / 2}};
    struct part_host ph = {.context = w, .log = ignore_log, .answer = note_answer};

    *w = (struct world){.rig = rig_new(3), .image = kvs_image_new()};
    w->kvs = kvs_memory_open(w->image);
    w->store = store_new(w->kvs, &so);
    CHECK_OK(part_new(&w->rig->f->env, w->store, kv_machine_new(kv_new(w->store, &ko)), &po, &ph, &w->part));
}

static void end(struct world *w)
{
    part_free(w->part);
    store_free(w->store);
    w->kvs->ops->close(w->kvs);
    kvs_image_free(w->image);
    rig_free(w->rig);
}

static void offer(struct world *w, u64 number, size_t bytes)
{
    struct part_request req = {.kind = PART_WRITE, .from = {1, 1, number}, .entry = rcbuf_new(bytes)};

    part_submit(w->part, &req);
}

TEST(submit, a_request_that_does_not_fit_into_the_queue_is_refused_by_the_name_of_the_limit)
{
    struct world w;

    begin(&w);
    offer(&w, 1, QUEUE / 2);
    CHECK_EQ(w.answers, 0);
    offer(&w, 2, QUEUE / 2);
    CHECK_EQ(w.answers, 1);
    CHECK_EQ(w.latest.to.number, 2);
    CHECK_EQ(w.latest.status, PART_OVERLOADED);
    CHECK(strcmp(w.said, "partition.submit-queue") == 0);
    CHECK_EQ(w.part->stats.queue_refused, 1);
    offer(&w, 3, QUEUE / 4); /* a smaller one still fits */
    CHECK_EQ(w.answers, 1);
    submit_refuse_all(w.part, PART_NOT_LEADER);
    CHECK_EQ(w.answers, 3);
    CHECK(strcmp(w.said, "") == 0);
    end(&w);
}

/* The queue of reads that any replica may answer shares those bytes. */
TEST(submit, a_read_that_does_not_fit_is_refused_and_counted_as_a_write_is)
{
    struct part_request read = {.kind = PART_READ, .from = {1, 1, 2}, .level = {.kind = LEVEL_LOCAL}};
    struct world w;

    begin(&w);
    offer(&w, 1, QUEUE / 2);
    read.entry = rcbuf_new(QUEUE / 2);
    part_submit(w.part, &read);
    CHECK_EQ(w.latest.to.number, 2);
    CHECK_EQ(w.latest.status, PART_OVERLOADED);
    CHECK(strcmp(w.said, "partition.submit-queue") == 0);
    CHECK_EQ(w.part->stats.queue_refused, 1);
    submit_refuse_all(w.part, PART_NOT_LEADER);
    end(&w);
}

/* Time that a limit took is told so; without one there is no name. */
TEST(submit, what_ran_out_of_time_behind_a_limit_names_it)
{
    struct world w;

    begin(&w);
    offer(&w, 1, 100);
    w.part->submit.held_by = "raft.uncommitted-bytes";
    submit_refuse_all(w.part, PART_EXPIRED);
    CHECK(strcmp(w.said, "raft.uncommitted-bytes") == 0);
    offer(&w, 2, 100);
    w.part->submit.held_by = NULL;
    submit_refuse_all(w.part, PART_EXPIRED);
    CHECK(strcmp(w.said, "") == 0);
    end(&w);
}

TEST_MAIN(RUN(submit, a_request_that_does_not_fit_into_the_queue_is_refused_by_the_name_of_the_limit),
          RUN(submit, a_read_that_does_not_fit_is_refused_and_counted_as_a_write_is),
          RUN(submit, what_ran_out_of_time_behind_a_limit_names_it))
