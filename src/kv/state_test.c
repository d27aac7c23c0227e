#include "kv/kv_fixture.h"

#include "base/prng.h"

static const u8 marker_kind = 1;

/* Write everything down as a checkpoint does, and start again from what is written. */
static void restart(struct kv_fixture *f)
{
    struct buf state = {0}, key = {0}, read = {0};
    struct kv_options options = f->kv->options;
    struct store_options so = {.part = 1, .memory_bytes_max = 256 * MIB};
    bool found;

    kv_state_encode(f->kv, &state);
    store_local_key(1, marker_kind, STR(""), &key);
    struct kvs_row marker = {.key = buf_str(&key), .value = buf_str(&state)};
    struct store_checkpoint *c = store_freeze(f->store, &marker, 1);
    c->job.run(&c->job);
    CHECK_OK(store_checkpoint_done(c));

    kv_free(f->kv);
    store_free(f->store);
    f->store = store_new(f->kvs, &so);
    f->kv = kv_new(f->store, &options);
    CHECK_OK(store_local_get(f->store, marker_kind, STR(""), &read, &found));
    CHECK(found);
    CHECK_OK(kv_state_decode(f->kv, buf_str(&read)));
    buf_done(&state);
    buf_done(&key);
    buf_done(&read);
}

/* One of many requests, as `r` wills. */
static void random_request(struct prng *r, char *line, size_t size)
{
    static const char *const forms[] = {
        "SET k%u %u",        "SET k%u %u PX 50", "INCR k%u",        "INCRBYFLOAT k%u 0.%u",
        "DEL k%u k%u",       "APPEND k%u %u",    "EXPIRE k%u %u",   "RENAME k%u k%u",
        "COPY k%u k%u",      "MOVE k%u 1",       "SETRANGE k%u %u x", "PERSIST k%u",
        "GETDEL k%u",        "SETNX k%u %u",     "SET k%u %u KEEPTTL", "GETEX k%u EX 1%u",
        "MSETNX k%u 1 k%u 2", "KEYS *%u",        "RANDOMKEY",       "SCAN %u",
    };
    u64 pick = prng_below(r, 200);
    u32 a = (u32)prng_below(r, 12), b = (u32)prng_below(r, 12);

    if (pick == 0)
        snprintf(line, size, "FLUSHDB");
    else if (pick == 1)
        snprintf(line, size, "SWAPDB 0 %u", a % 3);
    else {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(line, size, forms[pick % ARRAY_LEN(forms)], a, b);
#pragma GCC diagnostic pop
    }
}

static u64 digest(struct kv_fixture *f)
{
    u64 d;

    CHECK_OK(kv_digest(f->kv, &d));
    return d;
}

/* Two replicas apply the same entries; one of them is restarted now and then, serves reads, and looks
 * for expired keys: none of that may show. */
TEST(state, is_a_function_of_the_entries)
{
    for (u64 seed = 1; seed <= 5; seed++) {
        struct kv_fixture a, b;
        struct prng r;
        struct buf body = {0};
        char line[64];
        u32 found;
        bool need_tick;

        fixture_init(&a);
        fixture_init(&b);
        prng_init(&r, seed, 3);
        for (u32 i = 0; i < 3000; i++) {
            random_request(&r, line, sizeof line);
            a.db = b.db = (u8)prng_below(&r, 3);
            a.now_us += prng_below(&r, 10000);
            b.now_us = a.now_us;
            str answer = apply(&a, line);
            str other = apply(&b, line);
            if (!str_equal(answer, other)) fail_msg("seed %u: replies to %s differ", (u32)seed, line);
            if (i % 7 == 0) read_at(&b, "KEYS *", 1000 * 1000, &need_tick);
            if (i % 11 == 0) {
                buf_clear(&body);
                CHECK_OK(kv_find_expired(b.kv, b.now_us + 500, 10, &body, &found));
            }
            if (i % 997 == 0) restart(&b);
            if (i % 100 == 0 && digest(&a) != digest(&b))
                fail_msg("seed %u: replicas differ after %s", (u32)seed, line);
        }
        CHECK_EQ(digest(&a), digest(&b));
        buf_done(&body);
        fixture_done(&a);
        fixture_done(&b);
    }
}

TEST(state, survives_encoding)
{
    struct kv_fixture f;
    struct buf before = {0}, after = {0};

    fixture_init(&f);
    apply(&f, "SET k v EX 100");
    apply(&f, "SWAPDB 0 3");
    apply(&f, "SET k v");
    apply(&f, "FLUSHDB");
    apply(&f, "SET l v");
    apply(&f, "DEL l");
    kv_state_encode(f.kv, &before);
    CHECK_OK(kv_state_decode(f.kv, STR("")));
    kv_state_encode(f.kv, &after);
    CHECK(!str_equal(buf_str(&before), buf_str(&after)));
    CHECK_OK(kv_state_decode(f.kv, buf_str(&before)));
    buf_clear(&after);
    kv_state_encode(f.kv, &after);
    CHECK(str_equal(buf_str(&before), buf_str(&after)));
    buf_done(&before);
    buf_done(&after);
    fixture_done(&f);
}

TEST(state, has_the_layout_of_the_format_page)
{
    struct kv_fixture f;
    struct buf b = {0};

    fixture_init(&f);
    kv_state_encode(f.kv, &b);
    CHECK_EQ(b.len, 8686 - 1024 * 8);
    struct reader r = reader_of(buf_str(&b));
    CHECK_EQ(reader_u8(&r), 2);
    CHECK_EQ(reader_u64(&r), 0);
    CHECK_EQ(reader_u64(&r), 0);
    CHECK_EQ(reader_u32(&r), 17);
    CHECK_EQ(reader_u64(&r), 0);
    CHECK_EQ(reader_u64(&r), 0);
    CHECK_EQ(reader_u8(&r), 0);
    CHECK_EQ(reader_u16(&r), 0);
    CHECK_EQ(reader_u16(&r), 16383);
    for (u32 i = 0; i < 16; i++) {
        reader_str(&r, 16);
        CHECK_EQ(reader_u16(&r), 1);
        CHECK_EQ(reader_u32(&r), i + 1);
        CHECK_EQ(reader_u16(&r), 16383);
        CHECK_EQ(reader_u32(&r), 0);
    }
    CHECK_EQ(reader_u32(&r), 0); /* nothing was removed yet */
    buf_clear(&b);
    kv_deletes(f.kv)[7] = 3;
    kv_state_encode(f.kv, &b);
    CHECK_EQ(b.len, 8686);
    CHECK_OK(kv_state_decode(f.kv, buf_str(&b)));
    CHECK_EQ(f.kv->deletes[7], 3);
    buf_done(&b);
    fixture_done(&f);
}

TEST(state, refuses_what_is_cut_or_makes_no_sense)
{
    struct kv_fixture f;
    struct buf b = {0};

    fixture_init(&f);
    kv_state_encode(f.kv, &b);
    for (size_t len = 1; len < b.len; len += 97)
        CHECK(kv_state_decode(f.kv, str_from(buf_bytes(&b), len)) != OK);
    buf_append_u8(&b, 0);
    CHECK_EQ(kv_state_decode(f.kv, buf_str(&b)), ERR_CORRUPT);
    buf_truncate(&b, b.len - 1);
    buf_bytes(&b)[60] = 2; /* two databases, one keyspace */
    CHECK_EQ(kv_state_decode(f.kv, buf_str(&b)), ERR_CORRUPT);
    buf_bytes(&b)[60] = 99; /* a keyspace never given out */
    CHECK_EQ(kv_state_decode(f.kv, buf_str(&b)), ERR_CORRUPT);
    buf_bytes(&b)[0] = 9;
    CHECK_EQ(kv_state_decode(f.kv, buf_str(&b)), ERR_UNSUPPORTED);
    buf_done(&b);
    fixture_done(&f);
}

TEST(state, keeps_data_expiry_and_databases_over_a_restart)
{
    struct kv_fixture f;

    fixture_init(&f);
    apply(&f, "SET old v");
    apply(&f, "FLUSHDB");
    apply(&f, "SET k v PX 1000");
    apply(&f, "SET l w");
    apply(&f, "SWAPDB 0 5");
    struct watch w = {.db = 5, .key = "k"};
    CHECK_OK(kv_watch(f.kv, 5, STR("k"), f.now_us, &w.exists, &w.ver));
    restart(&f);
    f.db = 5;
    CHECK_STR(read_now(&f, "GET k"), "$1\r\nv\r\n");
    CHECK_STR(read_now(&f, "GET old"), "$-1\r\n");
    CHECK_STR(read_now(&f, "DBSIZE"), ":2\r\n");
    static const char *const lines[] = {"EXISTS k"};
    CHECK_STR(exec(&f, &w, 1, lines, 1), "*1\r\n:1\r\n");
    f.now_us += 2000 * 1000;
    apply(&f, "SET m x");
    restart(&f);
    CHECK_STR(read_now(&f, "GET k"), "$-1\r\n");
    fixture_done(&f);
}

/* What the program before this one wrote: no slots, so the rows are counted. */
TEST(state, reads_the_format_of_before_splits)
{
    struct kv_fixture f;
    struct buf b = {0}, now = {0}, again = {0};

    fixture_init(&f);
    apply(&f, "SET a v");
    apply(&f, "SET b v EX 100");
    apply(&f, "SWAPDB 0 3");
    buf_append_u8(&b, 1);
    buf_append_u64(&b, f.kv->clock);
    buf_append_u64(&b, f.kv->applied_ver);
    buf_append_u32(&b, f.kv->next_keyspace);
    for (u32 i = 0; i < KV_DATABASES; i++) {
        const struct kv_db *d = &f.kv->dbs[i];
        buf_append_u32(&b, d->segments[0].keyspace);
        buf_append_u64(&b, d->keys);
        buf_append_u64(&b, d->expires);
        buf_append_u64(&b, d->created_ver);
        buf_append_u64(&b, d->gone_ver);
    }
    buf_append_u32(&b, KV_DELETE_BUCKETS);
    for (u32 i = 0; i < KV_DELETE_BUCKETS; i++) buf_append_u64(&b, f.kv->deletes ? f.kv->deletes[i] : 0);
    CHECK_EQ(b.len, 8793);
    kv_state_encode(f.kv, &now);
    CHECK_OK(kv_state_decode(f.kv, buf_str(&b)));
    kv_state_encode(f.kv, &again);
    CHECK(str_equal(buf_str(&now), buf_str(&again)));
    CHECK_EQ(kv_keys_in_slot(f.kv, 3, store_slot(STR("a"))), 1);
    buf_done(&b);
    buf_done(&now);
    buf_done(&again);
    fixture_done(&f);
}

TEST(state, gives_out_its_own_keyspace_ids_only)
{
    struct kv_fixture f;
    fixture_init(&f);
    struct kv_options options = f.kv->options;
    options.keyspace_first = 1000;
    options.keyspace_count = 18; /* sixteen databases, two flushes */
    kv_free(f.kv);
    f.kv = kv_new(f.store, &options);
    for (u32 i = 0; i < 2; i++) {
        apply(&f, "SET k v");
        CHECK_STR(apply(&f, "FLUSHDB"), "+OK\r\n");
    }
    apply(&f, "SET k v");
    CHECK(strncmp((const char *)apply(&f, "FLUSHALL").at, "-ERR this partition's", 21) == 0);
    CHECK_STR(read_now(&f, "GET k"), "$1\r\nv\r\n");
    CHECK_EQ(f.kv->next_keyspace, 1018);
    struct buf bytes = {0};
    kv_state_encode(f.kv, &bytes);
    CHECK_OK(kv_state_decode(f.kv, buf_str(&bytes)));
    f.kv->options.keyspace_count--;
    CHECK_EQ(kv_state_decode(f.kv, buf_str(&bytes)), ERR_CORRUPT);
    buf_done(&bytes);
    fixture_done(&f);
}

TEST_MAIN(RUN(state, is_a_function_of_the_entries), RUN(state, gives_out_its_own_keyspace_ids_only), RUN(state, survives_encoding),
          RUN(state, reads_the_format_of_before_splits),
          RUN(state, has_the_layout_of_the_format_page),
          RUN(state, refuses_what_is_cut_or_makes_no_sense),
          RUN(state, keeps_data_expiry_and_databases_over_a_restart))
