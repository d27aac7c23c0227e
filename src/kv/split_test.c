/* A partition that is split and merged, beside one that never is: together the parts hold what the whole holds. */
#include "kv/kv_fixture.h"

#include "base/prng.h"

enum { PARTS_MAX = 6, BLOCK = 1000 };

struct one {
    struct kv_fixture f; /* engine and image are those of the set */
    u64 id;
};

struct set {
    struct kvs_image *image;
    struct kvs *kvs;
    struct one parts[PARTS_MAX]; /* in order of their spans */
    u32 count;
    u64 next_id, now_us, ver;
    struct kv_fixture whole;
    struct prng prng;
};

static void part_open(struct set *s, struct one *o, u64 id)
{
    struct store_options so = {.part = id,
                               .memory_bytes_max = 64 * KIB,
                               .keyspace_first = (u32)id * BLOCK,
                               .keyspace_count = BLOCK};
    struct kv_options ko = {.value_bytes_max = MIB,
                            .keyspace_first = (u32)id * BLOCK,
                            .keyspace_count = BLOCK};

    memset(o, 0, sizeof *o);
    o->id = id;
    o->f = (struct kv_fixture){.proto = 2};
    o->f.kvs = s->kvs;
    o->f.store = store_new(s->kvs, &so);
    o->f.kv = kv_new(o->f.store, &ko);
    resp_parser_init(&o->f.words, MIB, 0);
}

static void part_close(struct one *o)
{
    kv_free(o->f.kv);
    store_free(o->f.store);
    resp_parser_done(&o->f.words);
    buf_done(&o->f.body);
    buf_done(&o->f.out);
    buf_done(&o->f.line);
}

static void set_init(struct set *s, u64 seed)
{
    memset(s, 0, sizeof *s);
    prng_init(&s->prng, seed, 0);
    s->image = kvs_image_new();
    s->kvs = kvs_memory_open(s->image);
    s->next_id = 1;
    s->count = 1;
    s->now_us = 1800000000000000;
    part_open(s, &s->parts[0], s->next_id++);
    fixture_init(&s->whole);
}

static void set_done(struct set *s)
{
    for (u32 i = 0; i < s->count; i++) part_close(&s->parts[i]);
    s->kvs->ops->close(s->kvs);
    kvs_image_free(s->image);
    fixture_done(&s->whole);
}

static void write_marker(struct one *o, const struct kvs_row *more, size_t more_count)
{
    struct buf key = {0}, state = {0};
    struct kvs_row rows[4];

    store_local_key(o->id, STORE_LOCAL_MARKER, STR(""), &key);
    kv_state_encode(o->f.kv, &state);
    rows[0] = (struct kvs_row){.key = buf_str(&key), .value = buf_str(&state)};
    for (size_t i = 0; i < more_count; i++) rows[1 + i] = more[i];
    struct store_checkpoint *c = store_freeze(o->f.store, rows, 1 + more_count);
    c->job.run(&c->job);
    CHECK_OK(store_checkpoint_done(c));
    while (store_checkpoint_running(o->f.store)) store_tidy(o->f.store, 1000);
    buf_done(&key);
    buf_done(&state);
}

static void load_marker(struct one *o)
{
    struct buf read = {0};
    bool found;

    CHECK_OK(store_local_get(o->f.store, STORE_LOCAL_MARKER, STR(""), &read, &found));
    CHECK(found);
    CHECK_OK(kv_state_decode(o->f.kv, buf_str(&read)));
    buf_done(&read);
}

static void restart_one(struct set *s, u32 i)
{
    u64 id = s->parts[i].id;
    write_marker(&s->parts[i], NULL, 0);
    part_close(&s->parts[i]);
    part_open(s, &s->parts[i], id);
    load_marker(&s->parts[i]);
}

static void split_one(struct set *s, u32 at)
{
    const struct kv_span *span = kv_span(s->parts[at].f.kv);
    u32 width = (u32)(span->slot_last - span->slot_first);
    if (!width || s->count == PARTS_MAX) return;
    u16 slot = (u16)(span->slot_first + 1 + prng_below(&s->prng, width));
    CHECK(kv_can_split(s->parts[at].f.kv, slot));
    struct buf state = {0}, row = {0}, marker_key = {0}, extents_key = {0};
    struct store_extents x = {0};
    u64 id = s->next_id++;
    kv_split(s->parts[at].f.kv, slot, (u32)id * BLOCK, BLOCK, &state, &x);
    store_extents_encode(&x, &row);
    extents_done(&x);
    store_local_key(id, STORE_LOCAL_MARKER, STR(""), &marker_key);
    store_local_key(id, STORE_LOCAL_EXTENTS, STR(""), &extents_key);
    struct kvs_row rows[] = {{.key = buf_str(&marker_key), .value = buf_str(&state)},
                             {.key = buf_str(&extents_key), .value = buf_str(&row)}};
    store_set_companion(s->parts[at].f.store, id);
    write_marker(&s->parts[at], rows, 2);
    memmove(&s->parts[at + 2], &s->parts[at + 1], (s->count - at - 1) * sizeof s->parts[0]);
    s->count++;
    part_open(s, &s->parts[at + 1], id);
    if (prng_below(&s->prng, 2))
        store_hand_over(s->parts[at].f.store, s->parts[at + 1].f.store);
    else
        store_hand_over(s->parts[at].f.store, NULL);
    load_marker(&s->parts[at + 1]);
    buf_done(&state);
    buf_done(&row);
    buf_done(&marker_key);
    buf_done(&extents_key);
}

static void merge_one(struct set *s, u32 at)
{
    if (at + 1 >= s->count) return;
    struct one *left = &s->parts[at], *right = &s->parts[at + 1];
    if (!kv_can_merge(left->f.kv, right->f.kv)) return;
    write_marker(right, NULL, 0);
    write_marker(left, NULL, 0);
    kv_merge(left->f.kv, right->f.kv, s->ver);
    store_drop_local(left->f.store, right->id);
    write_marker(left, NULL, 0);
    part_close(right);
    memmove(&s->parts[at + 1], &s->parts[at + 2], (s->count - at - 2) * sizeof s->parts[0]);
    s->count--;
}

static struct one *part_of(struct set *s, const char *key)
{
    for (u32 i = 0; i < s->count; i++)
        if (kv_has_key(s->parts[i].f.kv, str_of(key))) return &s->parts[i];
    CHECK(false);
    return NULL;
}

static str apply_at(struct set *s, struct kv_fixture *f, u8 db, const char *line)
{
    f->now_us = s->now_us;
    f->ver = s->ver;
    f->db = db;
    return apply(f, line);
}

static void both(struct set *s, u8 db, const char *key, const char *line)
{
    s->now_us += 10;
    s->ver++;
    str whole = apply_at(s, &s->whole, db, line);
    str part = apply_at(s, &part_of(s, key)->f, db, line);
    CHECK(str_equal(whole, part));
}

static u64 dbsize(struct set *s, u8 db)
{
    u64 sum = 0;
    for (u32 i = 0; i < s->count; i++) {
        struct kv_db_stats st;
        kv_db_stats(s->parts[i].f.kv, db, &st);
        sum += st.keys;
    }
    return sum;
}

struct seen {
    u64 keys, hash;
};

static bool see(void *context, str key, str value)
{
    struct seen *n = context;
    (void)value;
    n->keys++;
    n->hash = n->hash * 31 + store_position(key);
    return true;
}

/* All keys in order, a few at a time, over all parts. */
static struct seen walk(struct set *s, u8 db)
{
    struct seen n = {0};
    for (u32 i = 0; i < s->count; i++) {
        u64 cursor = 0;
        do CHECK_OK(kv_scan_db(s->parts[i].f.kv, db, cursor, 1 + prng_below(&s->prng, 5), see, &n, &cursor));
        while (cursor);
    }
    return n;
}

static void check_all(struct set *s)
{
    for (u8 db = 0; db < 3; db++) {
        struct kv_db_stats st;
        struct seen want = {0};
        u64 next;
        kv_db_stats(s->whole.kv, db, &st);
        CHECK_EQ(dbsize(s, db), st.keys);
        CHECK_OK(kv_scan_db(s->whole.kv, db, 0, UINT64_MAX, see, &want, &next));
        struct seen got = walk(s, db);
        CHECK_EQ(got.keys, want.keys);
        CHECK_EQ(got.hash, want.hash);
    }
}

static void flush_all_of(struct set *s, u8 db)
{
    s->now_us += 10;
    s->ver++;
    apply_at(s, &s->whole, db, "FLUSHDB");
    for (u32 i = 0; i < s->count; i++) apply_at(s, &s->parts[i].f, db, "FLUSHDB");
}

TEST(split, the_parts_hold_what_the_whole_holds)
{
    static const char *const forms[] = {"SET %s v%u", "INCR %s", "DEL %s", "APPEND %s %u", "SET %s 1 PX %u",
                                        "EXPIRE %s 1%u", "PERSIST %s", "GETDEL %s", "SETRANGE %s %u x", "SET %s w"};
    for (u64 seed = 1; seed <= 25; seed++) {
        struct set s;
        set_init(&s, seed);
        for (u32 step = 0; step < 600; step++) {
            char key[16], line[64];
            u64 pick = prng_below(&s.prng, 100);
            u32 at = (u32)prng_below(&s.prng, s.count);
            u8 db = (u8)prng_below(&s.prng, 3);
            snprintf(key, sizeof key, "k%u", (u32)prng_below(&s.prng, 200));
            if (pick < 2) {
                split_one(&s, at);
            } else if (pick < 4) {
                merge_one(&s, at);
            } else if (pick < 6) {
                restart_one(&s, at);
            } else if (pick < 7) {
                flush_all_of(&s, db);
            } else if (pick < 12) {
                check_all(&s);
            } else {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
                snprintf(line, sizeof line, forms[pick % ARRAY_LEN(forms)], key, (u32)prng_below(&s.prng, 30) + 1);
#pragma GCC diagnostic pop
                both(&s, db, key, line);
            }
        }
        while (s.count > 1) {
            u32 before = s.count;
            merge_one(&s, 0);
            if (s.count == before) break;
        }
        check_all(&s);
        set_done(&s);
    }
}

TEST(split, a_request_for_a_key_elsewhere_is_not_covered)
{
    struct kv_fixture f;
    struct buf child = {0};
    struct store_extents x = {0};

    fixture_init(&f);
    kv_split(f.kv, 8000, 50000, 100, &child, &x);
    extents_done(&x);
    buf_done(&child);
    f.body.len = 0;
    fixture_add_command(&f, STR("SET foo 1")); /* slot 12182 */
    CHECK(!kv_covers(f.kv, ENTRY_COMMAND, buf_str(&f.body)));
    buf_clear(&f.body);
    fixture_add_command(&f, STR("MGET {user1000}.following foo"));
    CHECK(!kv_covers(f.kv, ENTRY_COMMAND, buf_str(&f.body)));
    buf_clear(&f.body);
    fixture_add_command(&f, STR("MGET {user1000}.following {user1000}.followers")); /* 3443 */
    CHECK(kv_covers(f.kv, ENTRY_COMMAND, buf_str(&f.body)));
    buf_clear(&f.body);
    fixture_add_command(&f, STR("DBSIZE"));
    CHECK(kv_covers(f.kv, ENTRY_COMMAND, buf_str(&f.body)));
    buf_clear(&f.body);
    buf_append_u32(&f.body, 0);
    buf_append_u32(&f.body, 2);
    fixture_add_command(&f, STR("GET {user1000}.following"));
    fixture_add_command(&f, STR("SET foo 1"));
    CHECK(!kv_covers(f.kv, ENTRY_EXEC, buf_str(&f.body)));
    fixture_done(&f);
}

/* A log's index says nothing about another's: WATCH compares versions. */
TEST(split, versions_go_on_above_those_of_both_logs)
{
    struct set s;

    set_init(&s, 1);
    split_one(&s, 0);
    char key[16], line[64];
    u32 i = 0;
    do snprintf(key, sizeof key, "k%u", i++);
    while (!kv_has_key(s.parts[1].f.kv, str_of(key)));
    s.ver = 1000; /* the right's log is long */
    snprintf(line, sizeof line, "SET %s 1", key);
    (void)apply_at(&s, &s.parts[1].f, 0, line);
    u64 before = s.parts[1].f.kv->applied_ver;
    CHECK(before >= 1000);
    s.ver = 5;
    merge_one(&s, 0);
    CHECK_EQ(s.count, 1);
    s.ver = 6;
    (void)apply_at(&s, &s.parts[0].f, 0, line);
    CHECK(s.parts[0].f.kv->applied_ver > before);
    set_done(&s);
}

/* The expired keys a leader found before the split may stand in a TICK behind it. */
TEST(split, a_tick_passes_by_keys_that_are_elsewhere)
{
    struct kv_fixture f;
    struct buf child = {0};
    struct store_extents x = {0};

    fixture_init(&f);
    apply(&f, "SET foo 1 PX 10");
    kv_split(f.kv, 8000, 50000, 100, &child, &x);
    extents_done(&x);
    buf_done(&child);
    f.now_us += 1000000;
    buf_clear(&f.body);
    buf_append_u32(&f.body, 1);
    buf_append_u8(&f.body, 0);
    buf_append_u32(&f.body, 3);
    buf_append_text(&f.body, "foo");
    fixture_apply(&f, ENTRY_TICK);
    CHECK_EQ(f.kv->dbs[0].keys, 0);
    fixture_done(&f);
}

TEST_MAIN(RUN(split, the_parts_hold_what_the_whole_holds),
          RUN(split, a_request_for_a_key_elsewhere_is_not_covered),
          RUN(split, versions_go_on_above_those_of_both_logs),
          RUN(split, a_tick_passes_by_keys_that_are_elsewhere))
