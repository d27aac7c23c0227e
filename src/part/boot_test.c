/* What a start makes of the log behind an old damage, or beside the rows of a child; and what a child begins with. */
#include "part/part_internal.h"
#include "wal/wal_test_rig.h"

#define PART    2
#define REPLICA 7 /* it joined: no founder */

struct fixture {
    struct rig *rig;
    struct kvs_image *image;
    struct kvs *kvs;
    struct store *store;
    struct part *part;
    const struct raft_config *founders; /* NULL: it joined */
    struct buf frame;
    u32 sent;
};

static struct buf *begin_frame(void *context, node_id to, const struct frame *f)
{
    struct fixture *x = context;
    (void)to, (void)f;
    buf_clear(&x->frame);
    return &x->frame;
}

static void end_frame(void *context) { ((struct fixture *)context)->sent++; }

static void ignore_log(void *context, enum log_level level, const char *line)
{
    (void)context, (void)level, (void)line;
}

static void on_replay(void *context, const struct wal_replayed *r) { part_on_replay(context, r); }

static void never_damaged(void *context, const struct wal_damage *d)
{
    (void)context, (void)d;
    CHECK(false);
}

/* A replica is there, and has heard of the damage that an earlier start of the node has dealt with, if there is one. Then
 * the log is read. */
static void start(struct fixture *x, bool old_damage)
{
    struct store_options so = {.part = PART, .memory_bytes_max = MIB, .keyspace_first = 1, .keyspace_count = 1000};
    struct kv_options ko = {.value_bytes_max = MIB, .keyspace_first = 1, .keyspace_count = 1000};
    struct part_options po = {.id = PART,
                              .self = 4,
                              .replica = REPLICA,
                              .boot = ++x->rig->config.boot_epoch,
                              .raft = {.seed = 1,
                                       .election_timeout_min = 300 * NANOS_MS,
                                       .election_timeout_max = 600 * NANOS_MS,
                                       .heartbeat_every = 60 * NANOS_MS,
                                       .lease = 300 * NANOS_MS,
                                       .inflight_messages_max = 16,
                                       .inflight_bytes_max = MIB,
                                       .append_bytes_max = 16 * KIB,
                                       .tail_bytes_max = MIB,
                                       .uncommitted_bytes_max = MIB / 2},
                              .log_bytes_keep = 2 * KIB,
                              .checkpoint_dirty_bytes = MIB,
                              .checkpoint_every = NANOS_SEC,
                              .dirty_bytes_max = MIB,
                              .wal_bytes_max = MIB,
                              .queue_bytes_max = MIB};
    if (x->founders) {
        po.replica = po.self;
        po.members = x->founders;
        po.fresh = true;
    }
    struct part_host ph = {.context = x, .log = ignore_log, .peer_begin = begin_frame, .peer_end = end_frame};
    struct env *env = &x->rig->f->env;

    x->kvs = kvs_memory_open(x->image);
    x->store = store_new(x->kvs, &so);
    CHECK_OK(part_new(env, x->store, kv_machine_new(kv_new(x->store, &ko)), &po, &ph, &x->part));
    if (old_damage) part_on_damage(x->part, &(struct wal_damage){.lsn_from = 1, .lsn_to = 2, .accepted = true});
    CHECK_OK(wal_open(env, &x->rig->config, on_replay, never_damaged, x->part, &x->rig->w));
}

static void crash(struct fixture *x)
{
    part_free(x->part);
    store_free(x->store);
    x->kvs->ops->close(x->kvs);
    rig_crash(x->rig, FAKE_LOSE);
}

static void write_entry(struct fixture *x, u64 index)
{
    struct wal_frame f = {.type = WAL_ENTRY, .part = PART, .repl = REPLICA, .index = index, .term = 1, .flags = 1};
    str payload = STR("an entry");

    (void)wal_stage(x->rig->w, &f, &payload, 1);
    CHECK_OK(rig_settle(x->rig));
}

/* What an install leaves when a crash comes before the log says so: rows and marker of the snapshot. */
static void put_marker(struct fixture *x, struct log_pos pos)
{
    struct buf key = {0}, marker = {0}, config = {0}, state = {0};
    struct raft_config members = {.next = REPLICA + 1};

    raft_config_found(&members, 1);
    raft_config_encode(&members, &config);
    x->part->machine->ops->state_encode(x->part->machine, &state);
    marker_put(pos, buf_str(&config), NULL, buf_str(&state), &marker);
    store_local_key(PART, ROW_MARKER, STR(""), &key);
    struct kvs_row row = {.key = buf_str(&key), .value = buf_str(&marker)};
    struct store_checkpoint *c = store_freeze(x->store, &row, 1);
    c->job.run(&c->job);
    CHECK_OK(store_checkpoint_done(c));
    buf_done(&key);
    buf_done(&marker);
    buf_done(&config);
    buf_done(&state);
}

static struct fixture made_and_started_again(bool old_damage)
{
    struct fixture x = {.rig = rig_new(3), .image = kvs_image_new()};

    start(&x, false); /* made in the middle of a life: nobody tells it of what was before */
    CHECK_OK(part_boot(x.part, x.rig->w));
    write_entry(&x, 1);
    write_entry(&x, 2);
    crash(&x);
    start(&x, old_damage);
    return x;
}

static void done(struct fixture *x)
{
    crash(x);
    buf_done(&x->frame);
    rig_free(x->rig);
    kvs_image_free(x->image);
}

TEST(boot, a_replica_finds_its_entries_again)
{
    struct fixture x = made_and_started_again(false);

    CHECK_EQ(x.part->boot.count, 2);
    CHECK_OK(part_boot(x.part, x.rig->w));
    CHECK_EQ(raft_last(part_raft(x.part)).index, 2);
    CHECK(!part_is_damaged(x.part));
    done(&x);
}

/* The hole lies before all of its own: none of it was lost, and it has promised to keep it. */
TEST(boot, a_replica_made_behind_an_old_damage_finds_its_entries_again)
{
    struct fixture x = made_and_started_again(true);

    CHECK(!x.part->boot.damaged);
    CHECK_EQ(x.part->boot.count, 2);
    CHECK_OK(part_boot(x.part, x.rig->w));
    CHECK_EQ(raft_last(part_raft(x.part)).index, 2);
    CHECK(!part_is_damaged(x.part));
    done(&x);
}

TEST(boot, entries_that_are_not_the_markers_are_dropped)
{
    struct fixture x = {.rig = rig_new(3), .image = kvs_image_new()};

    start(&x, false);
    CHECK_OK(part_boot(x.part, x.rig->w));
    for (u64 index = 1; index <= 3; index++) write_entry(&x, index); /* of term 1 */
    put_marker(&x, (struct log_pos){.term = 2, .index = 2});
    crash(&x);
    start(&x, false);
    CHECK_OK(part_boot(x.part, x.rig->w));
    CHECK_EQ(raft_last(part_raft(x.part)).index, 2);
    CHECK_EQ(raft_last(part_raft(x.part)).term, 2);
    done(&x);
}

/* The end of an install, as the log says it. */
static void write_installed(struct fixture *x, struct log_pos pos)
{
    struct wal_frame f = {
        .type = WAL_SNAP_DONE, .part = PART, .repl = REPLICA, .index = pos.index, .term = (u32)pos.term};

    (void)wal_stage(x->rig->w, &f, NULL, 0);
    CHECK_OK(rig_settle(x->rig));
}

/* A life in which a snapshot came that was a part of the log, and whose log began behind `marker` when it was read again. */
static u64 last_behind(struct log_pos marker, struct log_pos snapshot)
{
    struct fixture x = {.rig = rig_new(3), .image = kvs_image_new()};

    start(&x, false);
    CHECK_OK(part_boot(x.part, x.rig->w));
    put_marker(&x, marker);
    for (u64 index = marker.index + 1; index <= 6; index++) write_entry(&x, index); /* of term 1 */
    write_installed(&x, snapshot);
    if (snapshot.term == 1) write_entry(&x, 7);
    crash(&x);
    start(&x, false);
    CHECK_OK(part_boot(x.part, x.rig->w));
    CHECK(!part_is_damaged(x.part));
    u64 last = raft_last(part_raft(x.part)).index;
    done(&x);
    return last;
}

TEST(boot, a_log_that_goes_on_behind_a_snapshot_is_kept)
{
    CHECK_EQ(last_behind((struct log_pos){1, 2}, (struct log_pos){1, 2}), 7);
    CHECK_EQ(last_behind((struct log_pos){1, 4}, (struct log_pos){1, 2}), 7); /* a checkpoint came later */
    CHECK_EQ(last_behind((struct log_pos){2, 2}, (struct log_pos){2, 2}), 2); /* another leader's: nothing of this log is the group's */
}

/* One entry, from the leader of term 1 on node 1. */
static void append_one(struct fixture *x)
{
    struct rcbuf *data = rcbuf_from(STR("an entry"));
    struct raft_entry entry = {.pos = {1, 1}, .kind = RAFT_COMMAND, .data = data};
    struct raft_message m = {
        .kind = RAFT_APPEND, .from = 1, .to = 4, .term = 1, .sent_at = 1, .entries = &entry, .count = 1};
    struct frame f = {.type = FRAME_RAFT, .part = PART, .src_repl = 1, .dst_repl = 4};
    struct buf body = {0};

    raft_message_encode(&m, &body);
    CHECK_OK(part_on_frame(x->part, 1, &f, buf_str(&body)));
    buf_done(&body);
    rcbuf_unref(data);
}

/* The upper half of this partition came to the node before the founding replica did, with rows of its block. */
static struct store *child_with_rows_of_it(struct fixture *x)
{
    struct store_options so = {.part = 9, .memory_bytes_max = MIB, .keyspace_first = 5000, .keyspace_count = 1000};
    struct store *child = store_new(x->kvs, &so);
    struct store_extents has = {.generation = 1};

    store_extents_add_slots(&has, 1, 8000, 16383);
    store_set_extents(child, &has, false);
    store_put(child, 1, STR("foo"), STR("the child's"), (str){0});
    struct store_checkpoint *c = store_freeze(child, NULL, 0);
    c->job.run(&c->job);
    CHECK_OK(store_checkpoint_done(c));
    return child;
}

TEST(boot, a_founder_that_comes_late_takes_no_entries_beside_its_child)
{
    for (u32 beside = 0; beside < 2; beside++) {
        struct raft_config founders = {0};
        struct fixture x = {.rig = rig_new(3), .image = kvs_image_new(), .founders = &founders};
        struct store *child = NULL;

        raft_config_found(&founders, 1);
        raft_config_found(&founders, 2);
        raft_config_found(&founders, 4);
        start(&x, false);
        if (beside) child = child_with_rows_of_it(&x);
        CHECK_OK(part_boot(x.part, x.rig->w));
        append_one(&x);
        CHECK_EQ(raft_last(x.part->raft).index, beside ? 0 : 1);
        store_free(child);
        done(&x);
    }
}

struct child_rows {
    u32 markers, extents, sessions;
};

static void count_row(void *context, u64 part, u8 kind, str sub, str value)
{
    struct child_rows *n = context;

    (void)sub, (void)value;
    CHECK_EQ(part, 9);
    n->markers += kind == ROW_MARKER;
    n->extents += kind == STORE_LOCAL_EXTENTS;
    n->sessions += kind == ROW_SESSION;
}

/* A request that ran before the split, its answer lost, is tried again at the child. */
TEST(boot, a_split_gives_the_child_all_sessions)
{
    struct raft_config founders = {0};
    struct fixture x = {.rig = rig_new(3), .image = kvs_image_new(), .founders = &founders};
    struct entry open = {.op = ENTRY_SESSION_OPEN, .hlc = 1}, split = {.op = ENTRY_SPLIT};
    struct buf body = {0}, reply = {0};
    struct child_rows rows = {0};
    enum part_status status = PART_DONE;

    raft_config_found(&founders, 1);
    raft_config_found(&founders, 4);
    start(&x, false);
    CHECK_OK(part_boot(x.part, x.rig->w));
    for (u8 i = 1; i <= 3; i++) {
        memset(open.session.bytes, i, sizeof open.session.bytes);
        CHECK(session_open(x.part->sessions, &open, 60000));
    }
    buf_append_u64(&body, 9);
    buf_append_u32(&body, 5000);
    buf_append_u32(&body, 1000);
    buf_append_u16(&body, 8000);
    buf_append_u16(&body, 0);
    split.body = buf_str(&body);
    CHECK_OK(split_apply(x.part, &split, (struct log_pos){1, 1}, &reply, &status));
    CHECK_EQ(status, PART_DONE);
    split_add_rows(x.part, count_row, &rows);
    CHECK_EQ(rows.markers, 1);
    CHECK_EQ(rows.extents, 1);
    CHECK_EQ(rows.sessions, 3);
    buf_done(&body);
    buf_done(&reply);
    done(&x);
}

static void turns(struct fixture *x, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        bool more = false;
        x->rig->f->clock += 20 * NANOS_MS;
        CHECK_OK(part_turn(x->part, &more));
        struct env_job *job = x->rig->f->job;
        bool ours = job && job->owner == x->part;
        if (ours) x->rig->f->job = NULL, job->run(job);
        if (ours) CHECK_OK(part_on_job(x->part, job));
        CHECK_OK(rig_settle(x->rig));
    }
}

/* The only replica of its group leads, and entries count in its memory. */
static struct fixture alone_in_memory(struct raft_config *founders)
{
    struct fixture x = {.rig = rig_new(3), .image = kvs_image_new(), .founders = founders};

    raft_config_found(founders, 4);
    start(&x, false);
    CHECK_OK(part_boot(x.part, x.rig->w));
    part_set_memory(x.part, true);
    CHECK(!part_durability(x.part).memory); /* not before the flag is on disk */
    turns(&x, 60);
    CHECK(raft_is_leader(x.part->raft));
    CHECK(part_durability(x.part).memory);
    return x;
}

TEST(boot, a_crash_while_entries_count_in_memory_makes_it_recover_by_an_operators_word_only)
{
    struct raft_config founders = {0};
    struct fixture x = alone_in_memory(&founders);

    crash(&x);
    start(&x, false);
    CHECK_OK(part_boot(x.part, x.rig->w));
    CHECK(part_durability(x.part).recovering);
    turns(&x, 100);
    CHECK(!raft_is_leader(x.part->raft));
    CHECK_OK(part_recover(x.part));
    turns(&x, 60);
    CHECK(raft_is_leader(x.part->raft));
    CHECK(!part_durability(x.part).recovering);
    CHECK_EQ(part_stats(x.part)->recoveries, 1);
    CHECK_EQ(raft_recovery_status(x.part->raft).state, RAFT_RECOVERY_DONE);
    done(&x);
}

TEST(boot, a_clean_stop_leaves_nothing_in_doubt)
{
    struct raft_config founders = {0};
    struct fixture x = alone_in_memory(&founders);

    for (u32 i = 0; i < 100 && !part_stopping(x.part); i++) turns(&x, 1);
    CHECK(part_stopping(x.part));
    crash(&x);
    start(&x, false);
    CHECK_OK(part_boot(x.part, x.rig->w));
    CHECK(!part_durability(x.part).recovering);
    part_set_memory(x.part, true);
    turns(&x, 60);
    CHECK(raft_is_leader(x.part->raft));
    crash(&x); /* and this one was none */
    start(&x, false);
    CHECK_OK(part_boot(x.part, x.rig->w));
    CHECK(part_durability(x.part).recovering);
    done(&x);
}

/* Only entries may be in memory: a vote is a promise. */
TEST(boot, a_vote_waits_for_the_disk_where_entries_count_in_memory)
{
    struct raft_config founders = {0};
    struct fixture x = {.rig = rig_new(3), .image = kvs_image_new(), .founders = &founders};
    struct raft_message m = {.kind = RAFT_VOTE, .from = 1, .to = 4, .term = 5};
    struct frame f = {.type = FRAME_RAFT, .part = PART, .src_repl = 1, .dst_repl = 4};
    struct buf body = {0};

    raft_config_found(&founders, 1);
    raft_config_found(&founders, 2);
    raft_config_found(&founders, 4);
    start(&x, false);
    CHECK_OK(part_boot(x.part, x.rig->w));
    part_set_memory(x.part, true);
    turns(&x, 10);
    x.rig->f->clock += 200 * NANOS_MS; /* the silence after a start is over */
    raft_message_encode(&m, &body);
    x.sent = 0;
    CHECK(raft_counts_memory(x.part->raft));
    CHECK_OK(part_on_frame(x.part, 1, &f, buf_str(&body)));
    CHECK_EQ(raft_hard_state(x.part->raft)->vote, 1);
    CHECK_EQ(x.sent, 0);
    CHECK_OK(rig_settle(x.rig));
    turns(&x, 1);
    CHECK_EQ(x.sent, 1);
    buf_done(&body);
    done(&x);
}

/* What was committed and is not on disk is told, with its age, until it is; and a switch to disk waits for it. */
TEST(boot, what_a_power_cut_would_lose_is_told)
{
    struct raft_config founders = {0};
    struct fixture x = alone_in_memory(&founders);

    CHECK_EQ(part_durability(x.part).entries, 0);
    struct raft_proposal nothing = {.kind = RAFT_NOOP};
    struct raft_event ev = {.kind = RAFT_PROPOSE, .proposals = &nothing, .count = 1};
    CHECK_OK(log_step(x.part, &ev));
    u64 index = raft_last(x.part->raft).index;
    x.rig->f->clock += 30 * NANOS_MS; /* the disk says nothing */
    struct part_durability d = part_durability(x.part);
    CHECK_EQ(raft_commit(x.part->raft), index);
    CHECK_EQ(d.entries, 1);
    x.rig->f->clock += 30 * NANOS_MS;
    CHECK_EQ(part_durability(x.part).age, 30 * NANOS_MS);
    part_set_memory(x.part, false);
    CHECK(!part_durability(x.part).memory);
    CHECK(raft_is_volatile(x.part->raft));
    turns(&x, 5);
    CHECK_EQ(part_durability(x.part).entries, 0);
    CHECK(!raft_is_volatile(x.part->raft));
    done(&x);
}

TEST_MAIN(RUN(boot, a_replica_finds_its_entries_again),
          RUN(boot, a_crash_while_entries_count_in_memory_makes_it_recover_by_an_operators_word_only),
          RUN(boot, a_clean_stop_leaves_nothing_in_doubt),
          RUN(boot, what_a_power_cut_would_lose_is_told),
          RUN(boot, a_vote_waits_for_the_disk_where_entries_count_in_memory),
          RUN(boot, entries_that_are_not_the_markers_are_dropped),
          RUN(boot, a_log_that_goes_on_behind_a_snapshot_is_kept),
          RUN(boot, a_replica_made_behind_an_old_damage_finds_its_entries_again),
          RUN(boot, a_founder_that_comes_late_takes_no_entries_beside_its_child),
          RUN(boot, a_split_gives_the_child_all_sessions))
