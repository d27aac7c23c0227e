/* A partition that is split and merged, beside one that never is: together the parts hold what the whole holds. */
#include "kv/kv_fixture.h"

#include "base/hash.h"
#include "base/prng.h"

#include <stdlib.h>

enum { PARTS_MAX = 6, BLOCK = 1000, KEYS = 2500 };

struct one {
    struct kv_fixture f; /* engine and image are those of the set */
    u64 id;
};

struct set {
    struct kvs_image *image;
    struct kvs *kvs;
    struct one parts[PARTS_MAX]; /* in order of their spans */
    u32 count;
    bool by_key;
    u64 next_id, now_us, ver;
    struct kv_fixture whole;
    struct prng prng;
};

static void part_open(struct set *s, struct one *o, u64 id)
{
    struct store_options so = {.part = id,
                               .by_key = s->by_key,
                               .memory_bytes_max = 64 * KIB,
                               .keyspace_first = (u32)id * BLOCK,
                               .keyspace_count = BLOCK};
    struct kv_options ko = {.value_bytes_max = MIB,
                            .span.by_key = s->by_key,
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

static void set_init(struct set *s, u64 seed, bool by_key)
{
    memset(s, 0, sizeof *s);
    prng_init(&s->prng, seed, 0);
    s->by_key = by_key;
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
    if ((!width && !s->by_key) || s->count == PARTS_MAX) return;
    u16 slot = s->by_key ? 0 : (u16)(span->slot_first + 1 + prng_below(&s->prng, width));
    char text[16];
    struct buf middle = {0};
    str key = STR("");
    if (s->by_key && prng_below(&s->prng, 2)) {
        CHECK_OK(kv_middle(s->parts[at].f.kv, &middle));
        key = buf_str(&middle);
    } else if (s->by_key) {
        snprintf(text, sizeof text, "k%04u", (u32)prng_below(&s->prng, KEYS));
        key = str_of(text);
    }
    if (s->by_key && !kv_can_split(s->parts[at].f.kv, slot, key)) {
        buf_done(&middle);
        return;
    }
    CHECK(kv_can_split(s->parts[at].f.kv, slot, key));
    struct buf state = {0}, row = {0}, marker_key = {0}, extents_key = {0};
    struct store_extents x = {0};
    u64 id = s->next_id++;
    CHECK_OK(kv_split(s->parts[at].f.kv, slot, key, (u32)id * BLOCK, BLOCK, &state, &x));
    buf_done(&middle);
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
    n->hash += hash64(key.at, key.len); /* the whole is in another order */
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

static void parts_hold_what_the_whole_holds(bool by_key)
{
    u32 keys = by_key ? KEYS : 200;
    static const char *const forms[] = {"SET %s v%u", "INCR %s", "DEL %s", "APPEND %s %u", "SET %s 1 PX %u",
                                        "EXPIRE %s 1%u", "PERSIST %s", "GETDEL %s", "SETRANGE %s %u x", "SET %s w"};
    for (u64 seed = 1; seed <= 25; seed++) {
        struct set s;
        set_init(&s, seed, by_key);
        for (u32 i = 0; i < 3000 && by_key; i++) { /* so that pieces are cut, with growth in various places */
            char key[16], line[64];
            u32 n = seed % 3 == 0 ? i % keys : seed % 3 == 1 ? keys - 1 - i % keys : (u32)prng_below(&s.prng, keys);
            snprintf(key, sizeof key, "k%04u", n);
            snprintf(line, sizeof line, "SET %s 1", key);
            both(&s, (u8)(i % 10 == 0), key, line);
            if (i % 700 == 699) split_one(&s, (u32)prng_below(&s.prng, s.count));
        }
        for (u32 step = 0; step < 600; step++) {
            char key[16], line[64];
            u64 pick = prng_below(&s.prng, 100);
            u32 at = (u32)prng_below(&s.prng, s.count);
            u8 db = (u8)prng_below(&s.prng, 3);
            snprintf(key, sizeof key, "k%04u", (u32)prng_below(&s.prng, keys));
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

TEST(split, the_parts_hold_what_the_whole_holds) { parts_hold_what_the_whole_holds(false); }
TEST(split, by_key_the_parts_hold_what_the_whole_holds) { parts_hold_what_the_whole_holds(true); }

/* ---- SCAN's promise: what is there all the time is met, whatever happens between two calls ---- */

struct met {
    u8 times[KEYS];
    u64 last;
};

static bool meet(void *context, str key, str value)
{
    struct met *m = context;
    (void)value;
    m->times[strtoul((const char *)key.at + 1, NULL, 10) % KEYS]++;
    return true;
}

static void churn(struct set *s)
{
    char key[16], line[64];
    for (u32 i = 0; i < 400; i++) { /* some crowded place, or all of it */
        u32 at = prng_below(&s->prng, 2) ? 1000 + (u32)prng_below(&s->prng, 300) : (u32)prng_below(&s->prng, KEYS);
        if (at % 5 == 0) continue; /* these stay */
        snprintf(key, sizeof key, "k%04u:%u", at, (u32)prng_below(&s->prng, 30));
        bool is_set = prng_below(&s->prng, 2);
        snprintf(line, sizeof line, "%s %s%s", is_set ? "SET" : "DEL", key, is_set ? " 1" : "");
        both(s, 0, key, line);
    }
    u32 at = (u32)prng_below(&s->prng, s->count);
    switch (prng_below(&s->prng, 6)) {
    case 0: split_one(s, at); break;
    case 1: merge_one(s, at); break;
    case 2: restart_one(s, at); break;
    default: break;
    }
}

TEST(split, by_key_a_scan_meets_what_is_there_all_the_time)
{
    for (u64 seed = 1; seed <= 12; seed++) {
        struct set s;
        char key[16], line[64];
        set_init(&s, seed, true);
        for (u32 i = 0; i < KEYS; i += 5) {
            snprintf(key, sizeof key, "k%04u:", i);
            snprintf(line, sizeof line, "SET %s 1", key);
            both(&s, 0, key, line);
        }
        for (u32 round = 0; round < 30; round++) churn(&s);
        for (u32 scan = 0; scan < 3; scan++) {
            struct met m = {0};
            u64 cursor = 0, next;
            do {
                u32 i = 0; /* the first part whose cursors are not behind this one */
                while (s.parts[i].f.kv->dbs[0].label_end <= cursor) i++;
                const struct kv_db *d = &s.parts[i].f.kv->dbs[0];
                CHECK_OK(kv_scan_db(s.parts[i].f.kv, 0, cursor, 100, meet, &m, &next));
                if (!next && d->label_end < KV_LABELS) next = d->label_end;
                CHECK(!next || next > cursor);
                cursor = next;
                for (u32 j = 0; j < 3; j++) churn(&s);
            } while (cursor);
            for (u32 i = 0; i < KEYS; i += 5) CHECK(m.times[i] > 0);
        }
        check_all(&s);
        set_done(&s);
    }
}

static const char *next_line(char **at) { return strtok_r(NULL, "\r\n", at); }

/* Goes on as the answers say, at whoever has the key. Rows have all numbers from that of `from` on. */
static u32 read_range(struct set *s, const char *from, const char *to, u32 count)
{
    u32 first = (u32)strtoul(from + 1, NULL, 10), rows = 0, calls = 0;
    char line[96], key[16];

    snprintf(key, sizeof key, "%s", from);
    do {
        snprintf(line, sizeof line, "Q.SCAN %s %s COUNT %u", key, to, count);
        str got = apply_at(s, &part_of(s, key)->f, 0, line);
        char *text = mem_zalloc(got.len + 1), *at;
        mem_copy((u8 *)text, got.at, got.len);
        CHECK(!strcmp(strtok_r(text, "\r\n", &at), "*2"));
        bool more = strcmp(next_line(&at), "$-1") != 0;
        snprintf(key, sizeof key, "%s", more ? next_line(&at) : "");
        u32 here = (u32)strtoul(next_line(&at) + 1, NULL, 10) / 2;
        CHECK(here <= count);
        for (u32 i = 0; i < here; i++, rows++) {
            char want[16];
            (void)next_line(&at);
            snprintf(want, sizeof want, "k%04u", first + rows);
            CHECK(!strcmp(next_line(&at), want));
            (void)next_line(&at);
            CHECK_EQ(next_line(&at)[0], '0' + (first + rows) % 10);
        }
        mem_free(text);
        s->now_us++;
        s->ver++;
        CHECK(++calls < 5000);
    } while (key[0]);
    return rows;
}

/* A fence goes, and another comes further up within the same piece: the cursor that named the first must not name it. */
TEST(split, by_key_a_cursor_outlives_the_fence_it_named)
{
    struct set s;
    struct met m = {0};
    char key[16], line[64];
    u64 cursor, next;

    set_init(&s, 1, true);
    for (u32 i = 0; i < 1500; i++) {
        snprintf(line, sizeof line, "SET k%04u 1", i);
        snprintf(key, sizeof key, "k%04u", i);
        both(&s, 0, key, line);
    }
    const struct kv_db *d = &s.parts[0].f.kv->dbs[0];
    u32 fence = (u32)strtoul((const char *)d->pieces[1].from.at + 1, NULL, 10);
    CHECK_OK(kv_scan_db(s.parts[0].f.kv, 0, 0, 1, meet, &m, &cursor));
    CHECK_EQ(cursor, d->pieces[1].label);
    for (u32 i = 1; i < 1500; i++) { /* all but the first, and one behind the fence */
        if (i == fence + 5) continue;
        snprintf(line, sizeof line, "DEL k%04u", i);
        snprintf(key, sizeof key, "k%04u", i);
        both(&s, 0, key, line);
    }
    CHECK_EQ(d->piece_count, 1);
    for (u32 i = 0; i < 600; i++) {
        snprintf(key, sizeof key, "k%04u:%u", fence + 9, i);
        snprintf(line, sizeof line, "SET %s 1", key);
        both(&s, 0, key, line);
    }
    CHECK(d->piece_count > 1);
    for (; cursor; cursor = next) CHECK_OK(kv_scan_db(s.parts[0].f.kv, 0, cursor, 1, meet, &m, &next));
    CHECK(m.times[fence + 5] > 0);
    set_done(&s);
}

TEST(split, by_key_ranges_are_read_in_order_over_all_parts)
{
    struct set s;
    char key[16], line[64];

    set_init(&s, 7, true);
    for (u32 i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "k%04u", i);
        snprintf(line, sizeof line, "SET %s %u", key, i % 10);
        both(&s, 0, key, line);
        if (i % 600 == 599) split_one(&s, (u32)prng_below(&s.prng, s.count));
    }
    CHECK(s.count > 2);
    CHECK_EQ(read_range(&s, "k0000", "z", 100), KEYS);
    CHECK_EQ(read_range(&s, "k0100", "k2000", 7), 1900);
    CHECK_EQ(read_range(&s, "k0500", "k0500", 7), 0);
    CHECK_EQ(read_range(&s, "k0511", "k0514", 1), 3);
    str refused = apply_at(&s, &s.whole, 0, "Q.SCAN a b");
    CHECK(memcmp(refused.at, "-ERR Q.SCAN reads ranges of keys", 32) == 0);
    set_done(&s);
}

TEST(split, a_request_for_a_key_elsewhere_is_not_covered)
{
    struct kv_fixture f;
    struct buf child = {0};
    struct store_extents x = {0};

    fixture_init(&f);
    CHECK_OK(kv_split(f.kv, 8000, STR(""), 50000, 100, &child, &x));
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

/* What is asked of a whole database by an older map would be answered for half of it. */
TEST(split, a_command_about_all_is_for_the_span_it_names)
{
    for (u32 by_key = 0; by_key < 2; by_key++) {
        struct set s;
        struct kv_for before, now;
        struct kv_span whole = {.from = STR(""), .to = STR("")};
        set_init(&s, 3, by_key);
        struct kv *kv = s.parts[0].f.kv;
        kv_span_copy(&whole, kv_span(kv));
        kv_for_make(&whole, &before);
        for (u32 round = 0; round < 2; round++) {
            str words[KV_FOR_WORDS + 1] = {before.words[0], before.words[1], before.words[2], before.words[3], STR("DBSIZE")};
            struct buf body = {0};
            entry_encode_command(0, words, ARRAY_LEN(words), &body);
            CHECK_EQ(kv_covers(kv, ENTRY_COMMAND, buf_str(&body)), round == 0);
            if (round == 0) {
                char key[16], line[64];
                for (u32 i = 0; i < 50; i++) {
                    snprintf(key, sizeof key, "k%04u", i);
                    snprintf(line, sizeof line, "SET %s 1", key);
                    both(&s, 0, key, line);
                }
                while (s.count == 1) split_one(&s, 0);
            }
            kv_for_make(kv_span(kv), &now);
            for (u32 i = 0; i < KV_FOR_WORDS; i++) words[i] = now.words[i];
            buf_clear(&body);
            entry_encode_command(0, words, ARRAY_LEN(words), &body);
            CHECK(kv_covers(kv, ENTRY_COMMAND, buf_str(&body)));
            struct buf out = {0};
            bool need_tick;
            CHECK_OK(kv_read(kv, ENTRY_COMMAND, 0, buf_str(&body), s.now_us, 1, &out, &need_tick));
            CHECK(buf_bytes(&out)[0] == ':');
            buf_done(&out);
            buf_done(&body);
        }
        kv_span_done(&whole);
        set_done(&s);
    }
}

/* A log's index says nothing about another's: WATCH compares versions. */
TEST(split, versions_go_on_above_those_of_both_logs)
{
    struct set s;

    set_init(&s, 1, false);
    split_one(&s, 0);
    char key[16], line[64];
    u32 i = 0;
    do snprintf(key, sizeof key, "k%04u", i++);
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
    CHECK_OK(kv_split(f.kv, 8000, STR(""), 50000, 100, &child, &x));
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
          RUN(split, by_key_the_parts_hold_what_the_whole_holds),
          RUN(split, by_key_a_scan_meets_what_is_there_all_the_time),
          RUN(split, by_key_a_cursor_outlives_the_fence_it_named),
          RUN(split, by_key_ranges_are_read_in_order_over_all_parts),
          RUN(split, a_command_about_all_is_for_the_span_it_names),
          RUN(split, a_request_for_a_key_elsewhere_is_not_covered),
          RUN(split, versions_go_on_above_those_of_both_logs),
          RUN(split, a_tick_passes_by_keys_that_are_elsewhere))
