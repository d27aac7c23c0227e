/* One pair by hand, then random clusters: clocks that drift, messages lost, late and out of order,
 * pauses, restarts. At every moment of the world's time what a node believes lies inside what the
 * other promised. */
#include "live/live.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/prng.h"
#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>

#define MS NANOS_MS

static struct live_actions out;
static nanos ticked;

static const struct live_options plain = {
    .self = 1, .boot = 5, .every = 60 * MS, .lease = 300 * MS, .drift_ppm = 10000};

static void step(struct live *l, struct live_event ev)
{
    live_step(l, &ev, &out);
    live_check(l);
}

static struct live *live_that_met(node_id peer, u32 boot, nanos now)
{
    struct live *l = live_new(&plain);
    ticked = now;
    step(l, (struct live_event){.now = now, .kind = LIVE_MET, .peer = peer, .boot = boot});
    step(l, (struct live_event){.now = now, .kind = LIVE_SHARE, .peer = peer, .shared = true});
    return l;
}

static void receive(struct live *l, nanos now, struct live_message m)
{
    m.from = 2;
    m.to = 1;
    if (!m.from_boot) m.from_boot = 9;
    if (!m.to_boot) m.to_boot = 5;
    step(l, (struct live_event){.now = now, .kind = LIVE_RECEIVED, .message = &m});
}

static void ping(struct live *l, nanos now)
{
    receive(l, now, (struct live_message){.kind = LIVE_PING, .sent_at = 77, .lease = 300 * MS});
}

static void pong(struct live *l, nanos now, nanos sent_at, u32 withdrawn)
{
    receive(l, now,
            (struct live_message){
                .kind = LIVE_PONG, .sent_at = sent_at, .lease = 300 * MS, .withdrawn = withdrawn});
}

static void tick_once(struct live *l, nanos now)
{
    step(l, (struct live_event){.now = now, .kind = LIVE_TICK});
    ticked = now;
}

/* As a node that is never away. */
static void tick(struct live *l, nanos now)
{
    while (ticked + 60 * MS < now) tick_once(l, ticked + 60 * MS);
    tick_once(l, now);
}

TEST(live, asks_those_it_shares_a_group_with_and_nobody_else)
{
    struct live *l = live_that_met(2, 9, 1000);
    step(l, (struct live_event){.now = 1000, .kind = LIVE_MET, .peer = 3, .boot = 4});
    tick(l, 1000);
    CHECK_EQ(out.send_count, 1);
    CHECK_EQ(out.send[0].kind, LIVE_PING);
    CHECK_EQ(out.send[0].to, 2);
    CHECK_EQ(live_deadline(l), 1000 + 60 * MS);
    step(l, (struct live_event){.now = 1000, .kind = LIVE_SHARE, .peer = 2, .shared = false});
    CHECK_EQ(live_deadline(l), NANOS_NEVER);
    live_free(l);
}

TEST(live, counts_support_from_when_it_asked_shortened_by_drift)
{
    struct live *l = live_that_met(2, 9, 1000);
    pong(l, 50 * MS, 20 * MS, 1);
    CHECK_EQ(out.change_count, 1);
    CHECK(out.changes[0].received);
    struct live_support s = live_received(l, 2);
    CHECK_EQ(s.until, 20 * MS + 300 * MS * 990000 / 1010000);
    CHECK_EQ(s.asked, 20 * MS);
    pong(l, 60 * MS, 10 * MS, 1); /* an older answer */
    CHECK_EQ(out.change_count, 0);
    CHECK_EQ(live_received(l, 2).until, s.until);
    live_free(l);
}

TEST(live, tells_when_support_ends_and_when_it_comes_back)
{
    struct live *l = live_that_met(2, 9, 1000);
    pong(l, 50 * MS, 20 * MS, 1);
    nanos until = live_received(l, 2).until;
    tick(l, until - 1);
    CHECK_EQ(out.change_count, 0);
    CHECK(live_deadline(l) <= until);
    tick(l, until);
    CHECK_EQ(out.change_count, 1);
    pong(l, until + 10, until, 1);
    CHECK_EQ(out.change_count, 1);
    CHECK(live_received(l, 2).until > until + 10);
    live_free(l);
}

TEST(live, withdraws_after_its_promise_and_under_a_new_epoch)
{
    struct live *l = live_that_met(2, 9, 1000);
    CHECK_EQ(live_given(l, 2), 0);
    ping(l, 100 * MS);
    CHECK_EQ(out.send[0].kind, LIVE_PONG);
    CHECK_EQ(out.send[0].sent_at, 77);
    u64 epoch = live_given(l, 2);
    CHECK(epoch != 0);
    tick(l, 400 * MS - 1);
    CHECK_EQ(live_given(l, 2), epoch);
    tick(l, 400 * MS);
    CHECK_EQ(live_given(l, 2), 0);
    CHECK_EQ(out.change_count, 1);
    CHECK(out.changes[0].given);
    ping(l, 500 * MS);
    CHECK(live_given(l, 2) > epoch);
    CHECK_EQ(out.send[0].withdrawn, 2);
    live_free(l);
}

TEST(live, goes_on_late_under_the_same_epoch_if_it_has_not_withdrawn)
{
    struct live *l = live_that_met(2, 9, 1000);
    ping(l, 100 * MS);
    u64 epoch = live_given(l, 2);
    ping(l, 900 * MS);
    CHECK_EQ(live_given(l, 2), epoch);
    tick(l, 1000 * MS);
    CHECK_EQ(live_given(l, 2), epoch);
    live_free(l);
}

TEST(live, who_was_away_itself_reads_first_what_came_meanwhile)
{
    struct live *l = live_that_met(2, 9, 1000);
    tick(l, 90 * MS);
    ping(l, 100 * MS);
    u64 epoch = live_given(l, 2);
    tick_once(l, 900 * MS);
    CHECK_EQ(live_given(l, 2), epoch);
    CHECK(live_deadline(l) <= 960 * MS);
    tick_once(l, 960 * MS);
    CHECK_EQ(live_given(l, 2), 0);
    live_free(l);
}

TEST(live, promises_no_more_than_a_restart_would_wait)
{
    struct live *l = live_that_met(2, 9, 1000);
    receive(l, 100 * MS, (struct live_message){.kind = LIVE_PING, .lease = 5000 * MS});
    CHECK_EQ(out.send[0].lease, 300 * MS);
    tick(l, 400 * MS);
    CHECK_EQ(live_given(l, 2), 0);
    live_free(l);
}

TEST(live, knocks_until_it_is_heard_and_asks_for_nothing_it_could_not_use)
{
    struct live *l = live_that_met(2, 9, 1000);
    tick(l, 1000);
    CHECK_EQ(out.send[0].lease, 0);
    receive(l, 2000, (struct live_message){.kind = LIVE_PONG, .sent_at = 1000, .withdrawn = 1});
    CHECK_EQ(out.send_count, 1); /* at once */
    CHECK_EQ(out.send[0].lease, 300 * MS);
    CHECK(live_received(l, 2).until <= 2000);
    pong(l, 4000, 2000, 1);
    CHECK_EQ(out.send_count, 0);
    tick(l, 60 * MS + 1000);
    CHECK_EQ(out.send[0].lease, 300 * MS);
    tick(l, 400 * MS);
    CHECK_EQ(out.send[0].lease, 0);
    live_free(l);
}

TEST(live, asks_together_with_who_asks)
{
    struct live *l = live_that_met(2, 9, 1000);
    tick(l, 1000);
    ping(l, 20 * MS);
    CHECK_EQ(out.send_count, 1); /* asked just now */
    ping(l, 40 * MS);
    CHECK_EQ(out.send_count, 2);
    CHECK_EQ(out.send[1].kind, LIVE_PING);
    tick(l, 60 * MS + 1000);
    CHECK_EQ(out.send_count, 0);
    CHECK_EQ(live_deadline(l), 100 * MS);
    live_free(l);
}

TEST(live, a_knock_is_answered_and_promises_nothing)
{
    struct live *l = live_that_met(2, 9, 1000);
    receive(l, 100 * MS, (struct live_message){.kind = LIVE_PING, .sent_at = 77});
    CHECK_EQ(out.send[0].kind, LIVE_PONG);
    CHECK_EQ(out.send[0].lease, 0);
    CHECK_EQ(live_given(l, 2), 0);
    ping(l, 100 * MS);
    receive(l, 300 * MS, (struct live_message){.kind = LIVE_PING, .sent_at = 78});
    tick(l, 400 * MS);
    CHECK_EQ(live_given(l, 2), 0);
    live_free(l);
}

TEST(live, a_new_life_of_a_peer_ends_what_was_promised_to_the_one_before)
{
    struct live *l = live_that_met(2, 9, 1000);
    ping(l, 100 * MS);
    pong(l, 100 * MS, 90 * MS, 1);
    step(l, (struct live_event){.now = 110 * MS, .kind = LIVE_MET, .peer = 2, .boot = 10});
    CHECK_EQ(live_given(l, 2), 0);
    CHECK_EQ(live_received(l, 2).epoch, 0);
    CHECK(out.changes[0].given);
    CHECK(out.changes[0].received);
    ping(l, 120 * MS); /* of the old life */
    CHECK_EQ(live_given(l, 2), 0);
    step(l, (struct live_event){
                .now = 130 * MS, .kind = LIVE_MET, .peer = 2, .boot = 9}); /* a late word */
    receive(l, 140 * MS,
            (struct live_message){.kind = LIVE_PING, .lease = 300 * MS, .from_boot = 10});
    CHECK(live_given(l, 2) != 0);
    live_free(l);
}

TEST(live, a_promise_to_the_life_on_another_disk_is_kept_to_its_end)
{
    struct live *l = live_that_met(2, 9, 1000);
    ping(l, 100 * MS);
    u64 epoch = live_given(l, 2);
    step(l, (struct live_event){
                .now = 110 * MS, .kind = LIVE_MET, .peer = 2, .boot = 1, .other_disk = true});
    receive(l, 120 * MS,
            (struct live_message){.kind = LIVE_PING, .lease = 300 * MS, .from_boot = 1});
    CHECK_EQ(out.send_count, 0);
    CHECK_EQ(live_given(l, 2), epoch);
    tick(l, 400 * MS);
    CHECK_EQ(live_given(l, 2), 0);
    live_free(l);
}

TEST(live, ignores_answers_to_an_earlier_life_and_older_epochs)
{
    struct live *l = live_that_met(2, 9, 1000);
    receive(l, 50 * MS,
            (struct live_message){.kind = LIVE_PONG,
                                  .sent_at = 20 * MS,
                                  .lease = 300 * MS,
                                  .withdrawn = 1,
                                  .to_boot = 4});
    CHECK_EQ(live_received(l, 2).epoch, 0);
    pong(l, 50 * MS, 20 * MS, 3);
    struct live_support s = live_received(l, 2);
    pong(l, 60 * MS, 40 * MS, 2);
    CHECK_EQ(live_received(l, 2).epoch, s.epoch);
    CHECK_EQ(live_received(l, 2).until, s.until);
    live_free(l);
}

/* ---- random clusters ---- */

#define NODES      5u
#define FLYING_MAX 4096u

struct flying {
    nanos at;
    struct live_message m;
};

struct machine {
    struct live *live; /* NULL: down */
    u32 boot;
    nanos offset, restart_at, paused_until, booted_at; /* booted_at: by its clock */
    i64 drift_ppm;
};

struct world {
    struct prng prng;
    u64 seed;
    nanos now;
    u32 nodes, loss_ppm, trouble_ppm;
    nanos delay_max, slow_max;
    struct machine machines[NODES + 1];
    struct flying flying[FLYING_MAX];
    u32 flying_count;
    bool cut[NODES + 1][NODES + 1];
    u64 beliefs, withdrawn;
};

static nanos clock_of(const struct machine *m, nanos now)
{
    return m->offset + (nanos)((i64)now + (i64)now / 1000000 * m->drift_ppm);
}

static void take(struct world *w, node_id id, struct live_event ev)
{
    struct machine *m = &w->machines[id];
    ev.now = clock_of(m, w->now);
    live_step(m->live, &ev, &out);
    live_check(m->live);
    for (u32 i = 0; i < out.change_count; i++) w->withdrawn += out.changes[i].given;
    for (u32 i = 0; i < out.send_count; i++) {
        bool lost = w->cut[id][out.send[i].to] || prng_chance(&w->prng, w->loss_ppm);
        if (lost || w->flying_count == FLYING_MAX) continue;
        nanos takes = prng_below(&w->prng, w->delay_max + 1);
        if (prng_chance(&w->prng, 100000)) takes += prng_below(&w->prng, w->slow_max + 1);
        w->flying[w->flying_count++] = (struct flying){w->now + takes, out.send[i]};
    }
}

static void boot(struct world *w, node_id id)
{
    struct machine *m = &w->machines[id];
    struct live_options o = plain;
    o.self = id;
    o.boot = ++m->boot;
    m->live = live_new(&o);
    m->booted_at = clock_of(m, w->now);
    for (node_id peer = 1; peer <= w->nodes; peer++) {
        if (peer == id) continue;
        take(w, id, (struct live_event){.kind = LIVE_SHARE, .peer = peer, .shared = true});
        take(w, id,
             (struct live_event){.kind = LIVE_MET,
                                 .peer = peer,
                                 .boot = u64_max(w->machines[peer].boot, 1) & UINT32_MAX});
    }
}

/* As the node's connections do: another life is met before its first message. */
static void deliver(struct world *w, const struct live_message *m)
{
    struct machine *to = &w->machines[m->to];
    if (!to->live) return;
    if (to->paused_until > w->now) { /* waits in the socket */
        w->flying[w->flying_count++] = (struct flying){to->paused_until, *m};
        return;
    }
    take(w, m->to, (struct live_event){.kind = LIVE_MET, .peer = m->from, .boot = m->from_boot});
    take(w, m->to, (struct live_event){.kind = LIVE_RECEIVED, .message = m});
}

static void check_belief(struct world *w, node_id id, node_id peer)
{
    const struct machine *r = &w->machines[id], *s = &w->machines[peer];
    struct live_support b = live_received(r->live, peer);
    if (!b.epoch || b.until <= clock_of(r, w->now)) return;
    w->beliefs++;
    if (!s->live) return; /* it will wait when it starts */
    bool same_life = b.epoch >> 32 == s->boot;
    bool inside = same_life ? live_given(s->live, id) == b.epoch
                            : clock_of(s, w->now) < s->booted_at + plain.lease;
    if (inside) return;
    fprintf(stderr, "seed %lu, %lu us: node %u counts on node %u, which has promised nothing\n",
            w->seed, w->now / 1000, id, peer);
    abort();
}

static void make_trouble(struct world *w)
{
    node_id id = 1 + (node_id)prng_below(&w->prng, w->nodes),
            peer = 1 + (node_id)prng_below(&w->prng, w->nodes);
    struct machine *m = &w->machines[id];

    if (!prng_chance(&w->prng, w->trouble_ppm)) return;
    switch (prng_below(&w->prng, 5)) {
    case 0:
        if (!m->live) break;
        live_free(m->live);
        m->live = NULL;
        m->restart_at = w->now + prng_below(&w->prng, 400 * MS);
        break;
    case 1: m->paused_until = w->now + prng_below(&w->prng, 900 * MS); break;
    case 2: w->cut[id][peer] = true; break;
    case 3: w->cut[id][peer] = w->cut[peer][id] = true; break;
    case 4: memset(w->cut, 0, sizeof w->cut); break;
    }
}

static void run_step(struct world *w)
{
    w->now += MS / 4;
    for (u32 i = 0; i < w->flying_count;) {
        if (w->flying[i].at > w->now) {
            i++;
            continue;
        }
        struct live_message m = w->flying[i].m;
        w->flying[i] = w->flying[--w->flying_count];
        deliver(w, &m);
    }
    for (node_id id = 1; id <= w->nodes; id++) {
        struct machine *m = &w->machines[id];
        if (!m->live && m->restart_at <= w->now) boot(w, id);
        if (m->live && m->paused_until <= w->now && live_deadline(m->live) <= clock_of(m, w->now))
            take(w, id, (struct live_event){.kind = LIVE_TICK});
    }
    for (node_id id = 1; id <= w->nodes; id++)
        for (node_id peer = 1; peer <= w->nodes && w->machines[id].live; peer++)
            if (peer != id) check_belief(w, id, peer);
}

TEST(live, believes_only_what_is_promised_at_every_moment)
{
    u64 beliefs = 0, withdrawn = 0;

    for (u64 seed = 1; seed <= 150; seed++) {
        struct world *w = mem_zalloc(sizeof *w);
        prng_init(&w->prng, seed, 1);
        w->seed = seed;
        w->now = NANOS_SEC;
        w->nodes = 2 + (u32)(seed % 4);
        w->loss_ppm = (u32)prng_below(&w->prng, 600000);
        w->trouble_ppm = (u32)prng_below(&w->prng, 4000);
        w->delay_max = prng_below(&w->prng, 2) ? MS : 100 * MS;
        w->slow_max = prng_below(&w->prng, 2) ? 0 : 700 * MS;
        for (node_id id = 1; id <= w->nodes; id++) {
            struct machine *m = &w->machines[id];
            m->offset = prng_below(&w->prng, 1000) * NANOS_SEC;
            m->drift_ppm = (i64)prng_below(&w->prng, 3) * 10000 - 10000;
            boot(w, id);
        }
        for (u32 i = 0; i < 4 * 8000; i++) {
            make_trouble(w);
            run_step(w);
        }
        beliefs += w->beliefs;
        withdrawn += w->withdrawn;
        for (node_id id = 1; id <= w->nodes; id++) live_free(w->machines[id].live);
        mem_free(w);
    }
    printf("%lu beliefs, %lu withdrawals\n", beliefs, withdrawn);
    CHECK(beliefs > 100000);
    CHECK(withdrawn > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RUN(live, asks_those_it_shares_a_group_with_and_nobody_else),
        RUN(live, counts_support_from_when_it_asked_shortened_by_drift),
        RUN(live, tells_when_support_ends_and_when_it_comes_back),
        RUN(live, withdraws_after_its_promise_and_under_a_new_epoch),
        RUN(live, goes_on_late_under_the_same_epoch_if_it_has_not_withdrawn),
        RUN(live, who_was_away_itself_reads_first_what_came_meanwhile),
        RUN(live, promises_no_more_than_a_restart_would_wait),
        RUN(live, knocks_until_it_is_heard_and_asks_for_nothing_it_could_not_use),
        RUN(live, asks_together_with_who_asks),
        RUN(live, a_knock_is_answered_and_promises_nothing),
        RUN(live, a_new_life_of_a_peer_ends_what_was_promised_to_the_one_before),
        RUN(live, a_promise_to_the_life_on_another_disk_is_kept_to_its_end),
        RUN(live, ignores_answers_to_an_earlier_life_and_older_epochs),
        RUN(live, believes_only_what_is_promised_at_every_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
