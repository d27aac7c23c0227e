/* The store against a naive model: random writes, reads, scans, drops, checkpoints whose jobs run
 * and end at random later points (some find the disk full), eviction, snapshots, installs and
 * crashes. */
#include "base/hash.h"
#include "base/prng.h"
#include "base/test.h"
#include "store/store_internal.h"
#include "store/test_dir.h"

enum { DATABASES = 3, KEYS = 160, SNAPSHOTS = 2, SESSIONS = 6, PART = 5 };

struct state {
    u32 ids[DATABASES];          /* keyspace of each database */
    u64 values[DATABASES][KEYS]; /* number of the value; 0: absent */
    u64 sessions[SESSIONS];      /* 0: closed */
    u64 marker;
};

struct world {
    struct prng prng;
    bool by_key;
    struct test_dir dir;
    struct kvs_image *image; /* NULL: RocksDB */
    struct kvs *kvs;
    struct store *store;
    struct state now, frozen, durable;
    u64 next_value, next_marker;
    u32 next_id;
    struct store_checkpoint *checkpoint;
    bool job_ran;
    struct store_snapshot *snapshots[SNAPSHOTS];
    struct state pinned[SNAPSHOTS];
};

static u64 below(struct world *w, u64 bound) { return prng_below(&w->prng, bound); }

static void open_engine(struct world *w)
{
    if (w->image) {
        w->kvs = kvs_memory_open(w->image);
    } else {
        struct kvs_rocks_options options = {.block_cache_bytes = 4 * MIB, .threads = 2};
        char problem[256];
        CHECK_OK(kvs_rocks_open(test_dir_path(&w->dir, "db"), &options, &w->kvs, problem,
                                sizeof problem));
    }
    struct store_options options = {.part = PART, .by_key = w->by_key, .memory_bytes_max = 16 * KIB};
    w->store = store_new(w->kvs, &options);
}

static void close_engine(struct world *w)
{
    for (u32 i = 0; i < SNAPSHOTS; i++) {
        store_snapshot_free(w->snapshots[i]);
        w->snapshots[i] = NULL;
    }
    store_free(w->store);
    w->kvs->ops->close(w->kvs);
}

static void world_init(struct world *w, u64 seed, bool rocks, bool by_key)
{
    *w = (struct world){.next_value = 1, .next_id = 1, .by_key = by_key};
    prng_init(&w->prng, seed, 7);
    test_dir_make(&w->dir);
    if (!rocks) w->image = kvs_image_new();
    for (u32 d = 0; d < DATABASES; d++) w->now.ids[d] = w->next_id++;
    w->durable = w->now;
    open_engine(w);
}

static void world_done(struct world *w)
{
    close_engine(w);
    kvs_image_free(w->image);
    test_dir_remove(&w->dir);
}

/* ---- keys and values ---- */

static str key_text(u64 k, char out[32])
{
    const char *format = k % 2 ? "key:%llu" : "{tag}:%llu";
    return str_from(out, (size_t)snprintf(out, 32, format, (unsigned long long)k));
}

static size_t value_bytes(u64 value)
{
    u64 h = hash64(&value, sizeof value);
    if (h % 200 == 0) return 150000;
    return h % 7 == 0 ? h / 7 % 3000 : h % 40;
}

static void value_text(u64 value, struct buf *out)
{
    buf_clear(out);
    buf_append_u64(out, value);
    size_t bytes = value_bytes(value);
    memset(buf_reserve(out, bytes), (int)(value & 0xff), bytes);
    buf_extend(out, bytes);
}

static void check_value(u64 value, str got)
{
    struct buf want = {0};
    value_text(value, &want);
    CHECK(str_equal(got, buf_str(&want)));
    buf_done(&want);
}

/* ---- writes ---- */

static void do_put(struct world *w, u32 d, u64 k)
{
    char text[32];
    str key = key_text(k, text);
    struct buf bytes = {0};
    value_text(w->next_value, &bytes);
    str whole = buf_str(&bytes);
    size_t cut = below(w, whole.len + 1);
    store_put(w->store, w->now.ids[d], key, str_from(whole.at, cut),
              str_from(whole.at + cut, whole.len - cut));
    buf_done(&bytes);
    w->now.values[d][k] = w->next_value++;
}

/* A head over a body that is borrowed from the row itself, as EXPIRE and APPEND do. */
static void do_put_aliased(struct world *w, u32 d, u64 k)
{
    char text[32];
    str key = key_text(k, text), value;
    bool found;
    CHECK_OK(store_get(w->store, w->now.ids[d], key, &value, &found));
    if (!found) return;
    u64 next = w->next_value;
    while (value_bytes(next) > value.len - 8) next++;
    w->next_value = next + 1;
    struct buf want = {0};
    value_text(next, &want);
    /* first a new head over the old body, then only a part of what that made */
    store_put(w->store, w->now.ids[d], key, buf_str(&want), str_from(value.at + 8, value.len - 8));
    CHECK_OK(store_get(w->store, w->now.ids[d], key, &value, &found));
    CHECK(found);
    store_put(w->store, w->now.ids[d], key, str_from(value.at, want.len), (str){0});
    buf_done(&want);
    w->now.values[d][k] = next;
}

static void do_delete(struct world *w, u32 d, u64 k)
{
    char text[32];
    store_delete(w->store, w->now.ids[d], key_text(k, text));
    w->now.values[d][k] = 0;
}

static void do_drop(struct world *w, u32 d)
{
    store_drop_keyspace(w->store, w->now.ids[d]);
    CHECK(store_is_dropped(w->store, w->now.ids[d]));
    w->now.ids[d] = w->next_id++;
    memset(w->now.values[d], 0, sizeof w->now.values[d]);
}

/* ---- reads ---- */

static void check_get(struct world *w, u32 d, u64 k, str *value, bool *found)
{
    char text[32];
    CHECK_OK(store_get(w->store, w->now.ids[d], key_text(k, text), value, found));
    CHECK_EQ(*found, w->now.values[d][k] != 0);
    if (*found) check_value(w->now.values[d][k], *value);
}

/* What a get returns stays until the next call that is not a read. */
static void do_gets(struct world *w)
{
    enum { COUNT = 12 };
    str values[COUNT];
    u64 numbers[COUNT];
    for (u32 i = 0; i < COUNT; i++) {
        u32 d = (u32)below(w, DATABASES);
        u64 k = below(w, KEYS);
        bool found;
        check_get(w, d, k, &values[i], &found);
        numbers[i] = found ? w->now.values[d][k] : 0;
    }
    for (u32 i = 0; i < COUNT; i++)
        if (numbers[i]) check_value(numbers[i], values[i]);
}

struct scan {
    const struct world *w;
    u32 d;
    u32 seen[KEYS];
    u64 visited, last_position;
    char last_key[32]; /* by key, instead */
    u64 stop_after; /* visit says no at this many; 0: never */
};

static u64 key_number(str key)
{
    const u8 *colon = memchr(key.at, ':', key.len);
    u64 n = 0;
    for (const u8 *p = colon + 1; p < key.at + key.len; p++) n = n * 10 + (u64)(*p - '0');
    return n;
}

static bool visit(void *context, str key, str value)
{
    struct scan *scan = context;
    u64 k = key_number(key);
    CHECK(scan->w->now.values[scan->d][k] != 0);
    check_value(scan->w->now.values[scan->d][k], value);
    if (scan->w->by_key) {
        CHECK(str_compare(key, str_of(scan->last_key)) > 0);
        snprintf(scan->last_key, sizeof scan->last_key, "%.*s", STR_ARG(key));
    } else {
        CHECK(store_position(key) >= scan->last_position);
        scan->last_position = store_position(key);
    }
    scan->seen[k]++;
    scan->visited++;
    return !scan->stop_after || scan->visited < scan->stop_after;
}

static void do_scan(struct world *w, bool writes_between)
{
    struct scan scan = {.w = w, .d = (u32)below(w, DATABASES)};
    struct state before = w->now;
    bool touched[KEYS] = {false};
    u64 cursor = 0;
    struct buf next_key = {0};
    do {
        u64 count = 1 + below(w, 40);
        scan.visited = 0;
        scan.stop_after = below(w, 4) ? 0 : 1 + below(w, 10);
        u64 next = 0;
        if (w->by_key) {
            struct buf from = {0}, to = {0};
            bool more;
            buf_append_str(&from, buf_str(&next_key));
            buf_clear(&next_key);
            if (below(w, 2)) buf_append_str(&to, STR("{")); /* in two halves */
            if (str_compare(buf_str(&from), buf_str(&to)) >= 0) buf_clear(&to);
            CHECK_OK(store_scan_keys(w->store, w->now.ids[scan.d], buf_str(&from), buf_str(&to), count, visit, &scan,
                                     &next_key, &more));
            CHECK(more || !next_key.len);
            CHECK(!more || scan.visited >= (scan.stop_after ? u64_min(count, scan.stop_after) : count));
            if (!more && to.len) buf_append_str(&next_key, buf_str(&to));
            cursor = next_key.len;
            buf_done(&from);
            buf_done(&to);
        } else {
            CHECK_OK(store_scan(w->store, w->now.ids[scan.d], cursor, count, visit, &scan, &next));
            CHECK(!next || next > cursor);
            cursor = next;
        }
        if (next) {
            CHECK(next > scan.last_position);
            CHECK(scan.visited >= (scan.stop_after ? u64_min(count, scan.stop_after) : count));
        }
        for (u32 i = 0; writes_between && i < 5; i++) {
            u64 k = below(w, KEYS);
            touched[k] = true;
            if (below(w, 2))
                do_put(w, scan.d, k);
            else
                do_delete(w, scan.d, k);
        }
        if (writes_between) store_tidy(w->store, (u32)below(w, 40));
    } while (cursor);
    buf_done(&next_key);
    for (u64 k = 0; k < KEYS; k++)
        if (!touched[k]) CHECK_EQ(scan.seen[k], before.values[scan.d][k] != 0);
}

static void do_any(struct world *w)
{
    if (w->by_key) return; /* chance places are by position */
    u32 d = (u32)below(w, DATABASES);
    u64 live = 0;
    for (u64 k = 0; k < KEYS; k++) live += w->now.values[d][k] != 0;
    struct buf key = {0};
    bool found;
    CHECK_OK(store_any(w->store, w->now.ids[d], prng_next(&w->prng), &key, &found));
    CHECK_EQ(found, live > 0);
    if (found) CHECK(w->now.values[d][key_number(buf_str(&key))] != 0);
    buf_done(&key);
}

/* ---- checkpoints ---- */

static str session_id(u64 i, char out[16])
{
    return str_from(out, (size_t)snprintf(out, 16, "session %llu", (unsigned long long)i));
}

/* The marker and the sessions, unsorted, in memory that does not live on. */
static void do_freeze(struct world *w)
{
    struct kvs_row local[SESSIONS + 1];
    struct buf keys[SESSIONS + 1] = {0}, values[SESSIONS + 1] = {0};
    w->now.marker = ++w->next_marker;
    u64 changed = below(w, SESSIONS);
    w->now.sessions[changed] = below(w, 3) ? w->next_value++ : 0;
    for (u32 i = 0; i <= SESSIONS; i++) {
        char id[16];
        bool is_marker = i == SESSIONS;
        u64 value = is_marker ? w->now.marker : w->now.sessions[i];
        store_local_key(PART, is_marker ? 1 : 2, is_marker ? (str){0} : session_id(i, id),
                        &keys[i]);
        buf_append_u64(&values[i], value);
        local[i] = (struct kvs_row){buf_str(&keys[i]), buf_str(&values[i]), value == 0};
    }
    w->checkpoint = store_freeze(w->store, local, SESSIONS + 1);
    w->frozen = w->now;
    w->job_ran = false;
    CHECK(store_checkpoint_running(w->store));
    for (u32 i = 0; i <= SESSIONS; i++) {
        memset(buf_bytes(&values[i]), 0xee, values[i].len);
        buf_done(&keys[i]);
        buf_done(&values[i]);
    }
}

static void run_job(struct world *w)
{
    if (w->image && below(w, 5) == 0) kvs_image_fail(w->image, ERR_NO_SPACE);
    w->checkpoint->job.run(&w->checkpoint->job);
    if (w->image) kvs_image_fail(w->image, OK);
    w->job_ran = true;
    if (w->checkpoint->job.result == OK) w->durable = w->frozen;
}

static void do_checkpoint_step(struct world *w)
{
    if (w->checkpoint && w->job_ran) {
        err want = w->checkpoint->job.result;
        CHECK_EQ(store_checkpoint_done(w->checkpoint), want);
        w->checkpoint = NULL;
    } else if (w->checkpoint) {
        run_job(w);
    } else if (!store_checkpoint_running(w->store)) {
        do_freeze(w);
    }
}

struct local {
    const struct world *w;
    u64 count;
};

static void visit_session(void *context, str sub, str value)
{
    struct local *local = context;
    u64 i = sub.at[sub.len - 1] - (u64)'0';
    char id[16];
    CHECK(str_equal(sub, session_id(i, id)));
    CHECK(local->w->durable.sessions[i] != 0);
    CHECK_EQ(get_u64(value.at), local->w->durable.sessions[i]);
    local->count++;
}

static void check_local_rows(struct world *w)
{
    struct buf out = {0};
    bool found;
    CHECK_OK(store_local_get(w->store, 1, (str){0}, &out, &found));
    CHECK_EQ(found, w->durable.marker != 0);
    if (found) CHECK_EQ(get_u64(buf_bytes(&out)), w->durable.marker);
    buf_done(&out);

    struct local local = {.w = w};
    CHECK_OK(store_local_each(w->store, 2, visit_session, &local));
    for (u32 i = 0; i < SESSIONS; i++) local.count -= w->durable.sessions[i] != 0;
    CHECK_EQ(local.count, 0);
}

/* ---- crash, snapshot, install ---- */

static void check_everything(struct world *w)
{
    store_check(w->store);
    check_local_rows(w);
    for (u32 d = 0; d < DATABASES; d++)
        for (u64 k = 0; k < KEYS; k++) {
            str value;
            bool found;
            check_get(w, d, k, &value, &found);
        }
}

/* The process dies, perhaps in a checkpoint; what the last finished one wrote is there again. */
static void do_crash(struct world *w)
{
    close_engine(w);
    w->checkpoint = NULL;
    open_engine(w);
    w->now = w->durable;
    check_everything(w);
}

static void do_snapshot(struct world *w)
{
    u64 i = below(w, SNAPSHOTS);
    store_snapshot_free(w->snapshots[i]);
    w->snapshots[i] = store_snapshot_new(w->store);
    w->pinned[i] = w->durable;
}

static void do_install(struct world *w)
{
    u64 i = below(w, SNAPSHOTS);
    if (!w->snapshots[i] || w->checkpoint) return;
    struct store_install *in;
    CHECK_OK(store_install_new(w->store, &in));
    struct buf chunk = {0}, after = {0};
    bool last = false;
    while (!last) {
        buf_clear(&chunk);
        CHECK_OK(store_snapshot_chunk(w->snapshots[i], buf_str(&after), 1 + below(w, 4000), &chunk,
                                      &last));
        CHECK_OK(store_install_chunk(in, buf_str(&chunk)));
        buf_clear(&after);
        buf_append_str(&after, buf_str(&in->last_key));
        if (below(w, 4) == 0) do_put(w, 0, below(w, KEYS)); /* will be lost by the install */
    }
    buf_done(&chunk);
    buf_done(&after);
    if (below(w, 4) == 0) {
        store_install_abort(in);
        return;
    }
    store_install_prepare(in);
    if (below(w, 4) == 0) { /* dies before the job ran */
        store_install_abort(in);
        do_crash(w);
        return;
    }
    in->job.run(&in->job);
    w->durable = w->pinned[i];
    CHECK_OK(store_install_done(in));
    w->now = w->durable;
}

/* ---- the script ---- */

static void run_script(u64 seed, u32 steps, bool rocks, bool by_key)
{
    struct world w;
    world_init(&w, seed, rocks, by_key);
    for (u32 step = 0; step < steps; step++) {
        u32 d = (u32)below(&w, DATABASES);
        u64 k = below(&w, KEYS);
        u64 dice = below(&w, 1000);
        if (dice < 400)
            do_put(&w, d, k);
        else if (dice < 480)
            do_put_aliased(&w, d, k);
        else if (dice < 620)
            do_delete(&w, d, k);
        else if (dice < 720)
            do_gets(&w);
        else if (dice < 750)
            do_scan(&w, false);
        else if (dice < 770)
            do_scan(&w, true);
        else if (dice < 790)
            do_any(&w);
        else if (dice < 800)
            do_drop(&w, d);
        else if (dice < 860)
            do_checkpoint_step(&w);
        else if (dice < 970)
            store_tidy(w.store, (u32)below(&w, 60));
        else if (dice < 985)
            do_snapshot(&w);
        else if (dice < 992)
            do_install(&w);
        else if (dice < 994)
            do_crash(&w);
        else
            check_everything(&w);
    }
    check_everything(&w);
    if (!w.checkpoint) { /* all of it gives its memory back */
        while (store_tidy(w.store, 100)) {
        }
        CHECK(store_memory_bytes(w.store) <= 16 * KIB || w.store->clean_rows == 0);
    }
    world_done(&w);
}

TEST(store_model, any_script_over_the_memory_engine_gives_the_answers_of_the_model)
{
    const char *more = getenv("STORE_SEEDS");
    u64 seeds = more ? strtoull(more, NULL, 10) : 150;
    for (u64 seed = 1; seed <= seeds; seed++) run_script(seed, 1500, false, seed % 3 == 0);
}

TEST(store_model, any_script_over_rocksdb_gives_the_answers_of_the_model)
{
    for (u64 seed = 1; seed <= 4; seed++) run_script(seed, 1200, true, seed % 2 == 0);
}

TEST_MAIN(RUN(store_model, any_script_over_the_memory_engine_gives_the_answers_of_the_model),
          RUN(store_model, any_script_over_rocksdb_gives_the_answers_of_the_model))
