/* See keyspace_metrics.h. Lines of one metric stand together, as the format asks (Prometheus text 0.0.4). */
#include "server/keyspace_metrics.h"

#include <stdio.h>

static const struct {
    u32 per_mille;
    const char *name;
} quantiles[] = {{500, "0.5"}, {990, "0.99"}};

struct labels {
    struct core_text keyspace;
    const char *kind;
};

/* No two have the same, also where the map does not have them: not yet, or not any more. */
static struct core_text name_of(const struct core *map, u32 keyspace)
{
    const struct core_keyspace *k = map && core_cluster(map) ? core_keyspace(map, keyspace) : NULL;
    struct core_text name = {0};
    char text[32] = "default";

    if (k) return k->name;
    if (keyspace != CORE_KEYSPACE_DEFAULT) snprintf(text, sizeof text, "number %u", keyspace);
    name.len = (u8)strlen(text);
    memcpy(name.bytes, text, name.len);
    return name;
}

static void put_line(struct buf *out, const char *metric, const struct labels *l)
{
    buf_printf(out, "quorate_%s{keyspace=\"", metric);
    str name = core_str(&l->keyspace);
    for (size_t i = 0; i < name.len; i++) {
        if (name.at[i] == '"' || name.at[i] == '\\') buf_append_u8(out, '\\');
        buf_append_u8(out, name.at[i]);
    }
    buf_printf(out, "\",kind=\"%s\"", l->kind);
}

static void put_answered(struct buf *out, const struct labels *l, const struct latency *k, nanos now)
{
    (void)now;
    put_line(out, "requests_total", l);
    buf_printf(out, "} %llu\n", (unsigned long long)k->answered);
}

static void put_refused(struct buf *out, const struct labels *l, const struct latency *k, nanos now)
{
    (void)now;
    for (u32 i = 0; i < LATENCY_REFUSALS; i++) {
        if (!k->refused[i]) continue;
        put_line(out, "requests_refused_total", l);
        buf_printf(out, ",error=\"%s\"} %llu\n", latency_refusal_name(i), (unsigned long long)k->refused[i]);
    }
}

static void put_times(struct buf *out, const struct labels *l, const struct latency *k, nanos now)
{
    struct histogram h;

    if (!recent_read(&k->took, now, &h)) return;
    for (size_t i = 0; i < ARRAY_LEN(quantiles); i++) {
        put_line(out, "request_seconds", l);
        buf_printf(out, ",quantile=\"%s\"} %.6f\n", quantiles[i].name, (double)histogram_quantile(&h, quantiles[i].per_mille) / 1e6);
    }
}

void keyspace_metrics(const struct latencies *l, const struct core *map, nanos now, struct buf *out)
{
    static const struct {
        const char *name, *type, *help;
        void (*put)(struct buf *out, const struct labels *l, const struct latency *k, nanos now);
    } metrics[] = {
        {"requests_total", "counter", "Requests answered, by keyspace and kind: write, or the level of a read.", put_answered},
        {"requests_refused_total", "counter", "Requests refused, or of unknown outcome, by the name of the error.", put_refused},
        {"request_seconds", "gauge", "From a request's dispatch to its answer, quantiles of the last minute.", put_times},
    };

    for (size_t m = 0; m < ARRAY_LEN(metrics); m++) {
        buf_printf(out, "# HELP quorate_%s %s\n# TYPE quorate_%s %s\n", metrics[m].name, metrics[m].help, metrics[m].name,
                   metrics[m].type);
        for (u32 i = 0; i < l->count; i++)
            for (u32 kind = 0; kind < LATENCY_KINDS; kind++) {
                struct labels labels = {name_of(map, l->items[i].id), latency_kind_name((enum latency_kind)kind)};
                const struct latency *k = l->items[i].kinds[kind];
                if (k) metrics[m].put(out, &labels, k, now);
            }
    }
}
