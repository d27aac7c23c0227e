/* Lines by keyspace and kind, as Prometheus reads them. */
#include "server/keyspace_metrics.h"

#include "base/test.h"

TEST(keyspace_metrics, what_was_used_has_lines_and_nothing_else)
{
    struct latencies l = {0};
    struct buf out = {0};

    latencies_add(&l, CORE_KEYSPACE_DEFAULT, LATENCY_WRITE, 10, 15);
    latencies_refuse(&l, CORE_KEYSPACE_DEFAULT, (enum latency_kind)(LATENCY_READ + LEVEL_STALE), 10, STR("-STALE x"));
    keyspace_metrics(&l, NULL, 20, &out);
    CHECK_STR(buf_str(&out),
              "# HELP quorate_requests_total Requests answered, by keyspace and kind: write, or the level of a read.\n"
              "# TYPE quorate_requests_total counter\n"
              "quorate_requests_total{keyspace=\"default\",kind=\"write\"} 1\n"
              "quorate_requests_total{keyspace=\"default\",kind=\"stale\"} 0\n"
              "# HELP quorate_requests_refused_total Requests refused, or of unknown outcome, by the name of the error.\n"
              "# TYPE quorate_requests_refused_total counter\n"
              "quorate_requests_refused_total{keyspace=\"default\",kind=\"stale\",error=\"STALE\"} 1\n"
              "# HELP quorate_request_seconds From a request's dispatch to its answer, quantiles of the last minute.\n"
              "# TYPE quorate_request_seconds gauge\n"
              "quorate_request_seconds{keyspace=\"default\",kind=\"write\",quantile=\"0.5\"} 0.000015\n"
              "quorate_request_seconds{keyspace=\"default\",kind=\"write\",quantile=\"0.99\"} 0.000015\n");
    buf_done(&out);
    latencies_done(&l);
}

TEST(keyspace_metrics, however_many_keyspaces_there_are_the_lines_are_bounded)
{
    struct latencies l = {0};
    struct buf out = {0};
    u32 lines = 0;

    for (u32 k = 16; k < 2016; k++)
        for (u32 kind = 0; kind < LATENCY_KINDS; kind++) latencies_add(&l, k, (enum latency_kind)kind, k, 1);
    keyspace_metrics(&l, NULL, 2016, &out);
    for (size_t i = 0; i < out.len; i++) lines += buf_bytes(&out)[i] == '\n';
    buf_append_u8(&out, 0);
    const char *one = strstr((const char *)buf_bytes(&out), "requests_total{keyspace=\"number 2015\",kind=\"write\"}");
    CHECK(one && !strstr(one + 1, "requests_total{keyspace=\"number 2015\",kind=\"write\"}"));
    CHECK_EQ(lines, 6 + LATENCY_KEYSPACES_MAX * LATENCY_KINDS * 3);
    buf_done(&out);
    latencies_done(&l);
}

TEST_MAIN(RUN(keyspace_metrics, what_was_used_has_lines_and_nothing_else),
          RUN(keyspace_metrics, however_many_keyspaces_there_are_the_lines_are_bounded))
