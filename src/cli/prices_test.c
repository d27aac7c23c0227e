#include "cli/prices.h"

#include "base/mem.h"
#include "base/test.h"

static const enum latency_kind LEASE = (enum latency_kind)(LATENCY_READ + LEVEL_LEASE),
                               QUORUM = (enum latency_kind)(LATENCY_READ + LEVEL_QUORUM),
                               LOCAL = (enum latency_kind)(LATENCY_READ + LEVEL_LOCAL);

static err add(struct prices *p, const char *text)
{
    struct json j = {0};

    CHECK_OK(json_parse(&j, str_of(text)));
    err e = prices_add(p, &j);
    json_done(&j);
    return e;
}

TEST(prices, nodes_are_put_together_by_their_buckets_not_by_their_medians)
{
    struct prices *p = mem_zalloc(sizeof *p);

    CHECK_OK(add(p, "{\"node\":1,\"kinds\":[{\"kind\":\"lease\",\"answered\":99,\"refused\":{},\"over-ms\":10000,\"count\":99,"
                    "\"p50-us\":10,\"p99-us\":10,\"buckets\":[10,99]}]}"));
    CHECK_OK(add(p, "{\"node\":2,\"kinds\":[{\"kind\":\"lease\",\"answered\":5,\"refused\":{\"NOQUORUM\":2},\"over-ms\":20000,"
                    "\"count\":1,\"p50-us\":15,\"p99-us\":15,\"buckets\":[15,1]},{\"kind\":\"of a newer program\"}]}"));
    CHECK_EQ(p->nodes, 2);
    CHECK_EQ(p->kinds[LEASE].took.count, 100);
    CHECK_EQ(histogram_quantile(&p->kinds[LEASE].took, 500), 10);
    CHECK_EQ(histogram_quantile(&p->kinds[LEASE].took, 1000), 15);
    CHECK_EQ((u64)(p->kinds[LEASE].per_second * 100), 995);
    CHECK_EQ(p->kinds[LEASE].answered, 104);
    CHECK_EQ(p->kinds[LEASE].refused[0], 2);
    mem_free(p);
}

TEST(prices, what_is_no_answer_adds_nothing)
{
    struct prices *p = mem_zalloc(sizeof *p);

    CHECK_EQ(add(p, "{\"error\":\"NOSUCH\"}"), ERR_MALFORMED);
    CHECK_EQ(add(p, "{\"kinds\":[{\"kind\":\"lease\",\"buckets\":[10,5,200,1]}]}"), ERR_MALFORMED);
    CHECK_EQ(add(p, "{\"kinds\":[{\"kind\":\"lease\",\"buckets\":[10]}]}"), ERR_MALFORMED);
    CHECK_EQ(p->nodes, 0);
    CHECK_EQ(p->kinds[LEASE].took.count, 0);
    mem_free(p);
}

TEST(prices, the_price_of_consistency_compares_what_was_measured_alike)
{
    struct prices *p = mem_zalloc(sizeof *p);
    struct price_gap gap;

    CHECK(!prices_gap(p, LEVEL_LEASE, &gap));
    histogram_add(&p->kinds[QUORUM].took, 14);
    CHECK(!prices_gap(p, LEVEL_LEASE, &gap)); /* nobody reads at local */
    histogram_add(&p->kinds[LOCAL].probed, 7);
    CHECK(!prices_gap(p, LEVEL_LEASE, &gap)); /* and what the probe has seen is no price at the doors */
    histogram_add(&p->kinds[LEASE].probed, 12);
    CHECK(prices_gap(p, LEVEL_LEASE, &gap));
    CHECK(gap.probed && gap.kind == LEASE && gap.linearizable_us == 12 && gap.local_us == 7);
    histogram_add(&p->kinds[LOCAL].took, 3);
    CHECK(prices_gap(p, LEVEL_LOCAL, &gap));
    CHECK(!gap.probed && gap.kind == QUORUM && gap.linearizable_us == 14 && gap.local_us == 3);
    mem_free(p);
}

TEST_MAIN(RUN(prices, nodes_are_put_together_by_their_buckets_not_by_their_medians),
          RUN(prices, what_is_no_answer_adds_nothing),
          RUN(prices, the_price_of_consistency_compares_what_was_measured_alike))
