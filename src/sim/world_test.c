#include "sim/fixture.h"

#include "sim/frames.h"
#include "sim/reply.h"
#include "wire/peer/frame.h"

TEST(heap, pops_by_time_and_then_by_sequence)
{
    struct heap h = {0};
    struct prng p;
    struct event e, last = {0};

    prng_init(&p, 1, 1);
    for (u64 i = 0; i < 5000; i++) heap_push(&h, &(struct event){.at = prng_below(&p, 100), .seq = i});
    for (u64 i = 0; i < 5000; i++) {
        CHECK(heap_pop(&h, &e));
        CHECK(i == 0 || e.at > last.at || (e.at == last.at && e.seq > last.seq));
        last = e;
    }
    CHECK(!heap_pop(&h, &e));
    heap_done(&h);
}

TEST(chance, exponential_has_about_its_mean)
{
    struct prng p;
    u64 sum = 0;

    prng_init(&p, 1, 1);
    for (u32 i = 0; i < 100000; i++) sum += chance_exponential(&p, 1000000);
    CHECK(sum / 100000 > 900000);
    CHECK(sum / 100000 < 1100000);
}

TEST(clocks, never_go_back_and_know_when_they_show_a_time)
{
    struct prng p;

    prng_init(&p, 1, 1);
    for (u32 round = 0; round < 50; round++) {
        struct clocks c;
        clocks_init(&c, &p, 10000, 500000);
        if (round % 2) clocks_skew(&c, &p, 200000);
        nanos last = 0;
        for (u32 i = 0; i < 200; i++) {
            nanos t = prng_below(&p, 100 * NANOS_SEC);
            nanos mono = clocks_mono(&c, t);
            nanos when = clocks_when(&c, mono);
            CHECK(clocks_mono(&c, when) >= mono);
            CHECK(when <= t);
            CHECK(when == 0 || clocks_mono(&c, when - 1) < mono);
        }
        for (nanos t = 999990; t < 1000020; t++) {
            CHECK(clocks_mono(&c, t) >= last);
            last = clocks_mono(&c, t);
        }
    }
}

TEST(frames, duplicates_and_reorders_whole_raft_frames_only)
{
    struct frames f = {0};
    struct net_character c = {
        .frame_dup_ppm = 200000, .frame_delay_ppm = 200000, .frame_delay_mean = 40 * NANOS_MS};
    struct prng p;
    struct buf in = {0}, out = {0};
    u32 seen[100] = {0}, others = 0, last_other = 0, moved = 0, last = 0;

    prng_init(&p, 3, 1);
    for (u32 i = 0; i < 100; i++) {
        struct frame h = {.type = i % 5 == 0 ? FRAME_STATUS : FRAME_RAFT, .req = i};
        buf_clear(&in);
        size_t place = frame_begin(&in, &h);
        buf_append_text(&in, "body");
        frame_end(&in, place);
        frames_pass(&f, &p, &c, i * 10 * NANOS_MS, buf_str(&in), &out);
    }
    struct frame h = {.type = FRAME_STATUS, .req = 100};
    buf_clear(&in);
    frame_end(&in, frame_begin(&in, &h));
    c = (struct net_character){0};
    frames_pass(&f, &p, &c, 3600 * NANOS_SEC, buf_str(&in), &out);
    while (out.len > 0) {
        str body;
        size_t consumed;
        CHECK_EQ(frame_parse(buf_str(&out), MIB, &h, &body, &consumed), FRAME_READY);
        if (h.type == FRAME_STATUS) {
            CHECK(others == 0 || h.req > last_other);
            last_other = (u32)h.req;
            others++;
        } else {
            seen[h.req]++;
            moved += h.req < last;
            last = (u32)h.req;
        }
        buf_consume(&out, consumed);
    }
    u32 twice = 0;
    for (u32 i = 0; i < 100; i++) {
        CHECK(i % 5 == 0 || (seen[i] >= 1 && seen[i] <= 2));
        twice += seen[i] == 2;
    }
    CHECK_EQ(others, 21);
    CHECK(twice >= 5);
    CHECK(moved > 5);
    frames_done(&f);
    buf_done(&in);
    buf_done(&out);
}

TEST(reply, reads_every_form_and_waits_for_the_rest)
{
    static const char text[] = "*5\r\n+OK\r\n-ERR no\r\n:-7\r\n$3\r\na\r\n\r\n*-1\r\n+next\r\n";
    struct reply_reader *r = mem_zalloc(sizeof *r);
    struct reply reply;
    size_t consumed, whole = strlen(text) - strlen("+next\r\n");

    for (size_t bytes = 0; bytes < whole; bytes++)
        CHECK_EQ(reply_read(r, str_from(text, bytes), &reply, &consumed), REPLY_INCOMPLETE);
    CHECK_EQ(reply_read(r, str_of(text), &reply, &consumed), REPLY_READY);
    CHECK_EQ(consumed, whole);
    CHECK_EQ(reply.count, 5);
    CHECK_STR(reply.items[0].text, "OK");
    CHECK(reply_is_error(&reply.items[1], "ERR"));
    CHECK_EQ(reply.items[2].integer, -7);
    CHECK_EQ(reply.items[3].text.len, 3);
    CHECK_EQ(reply.items[4].kind, REPLY_NULL);
    CHECK_EQ(reply_read(r, STR("hello\r\n"), &reply, &consumed), REPLY_BAD);
    mem_free(r);
}

TEST(options, take_seeds_times_and_lists_and_refuse_the_rest)
{
    struct sim_options o;
    char *good[] = {"sim", "--seeds", "3-9", "--until", "5m", "--faults", "crash,partition", "--mode", "safety", "--jobs", "0"};
    char *bad[][3] = {{"sim", "--seeds", "9-3"}, {"sim", "--until", "soon"}, {"sim", "--faults", "meteor"},
                      {"sim", "--jobs", "-1"},   {"sim", "--nodes", "0"},    {"sim", "--speed", "9"}};

    sim_options_defaults(&o);
    CHECK_EQ(sim_options_parse(&o, (int)ARRAY_LEN(good), good), SIM_RUN);
    CHECK_EQ(o.seed_first, 3);
    CHECK_EQ(o.seed_last, 9);
    CHECK_EQ(o.until, 300 * NANOS_SEC);
    CHECK_EQ(o.mode, SIM_SAFETY);
    CHECK(sim_list_has(o.faults, "crash"));
    CHECK(!sim_list_has(o.faults, "part"));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) CHECK_EQ(sim_options_parse(&o, 3, bad[i]), SIM_USAGE);
}

TEST_MAIN(RUN(heap, pops_by_time_and_then_by_sequence), RUN(chance, exponential_has_about_its_mean),
          RUN(clocks, never_go_back_and_know_when_they_show_a_time),
          RUN(frames, duplicates_and_reorders_whole_raft_frames_only), RUN(reply, reads_every_form_and_waits_for_the_rest),
          RUN(options, take_seeds_times_and_lists_and_refuse_the_rest))
