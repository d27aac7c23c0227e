/* GET /v1/price/KEYSPACE: what its requests cost at this node's door in the last minute (server/latency.h), in buckets, so that
 * who asks all nodes can put them together:
 *
 *   {"epoch":N,"node":1,"keyspace":"orders","id":16,"level":"lease","durability":"disk","kinds":[
 *     {"kind":"local","answered":120,"refused":{"STALE":1},"over-ms":41000,"count":100,"p50-us":60,"p99-us":220,
 *      "buckets":[47,90,60,10]}, ...]}
 *
 * answered and refused count since the first such request; buckets are pairs of a bucket's number (base/histogram.h) and a count. */
#include "server/admin/admin_internal.h"
#include "server/latency.h"
#include "server/redis/door.h"

static void put_buckets(struct buf *out, const struct histogram *h)
{
    bool any = false;

    buf_append_u8(out, '[');
    for (u32 i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (!h->buckets[i]) continue;
        buf_printf(out, "%s%u,%u", any ? "," : "", i, h->buckets[i]);
        any = true;
    }
    buf_append_u8(out, ']');
}

static void put_refused(struct buf *out, const struct latency *l)
{
    bool first = true;

    buf_append_u8(out, '{');
    for (u32 i = 0; i < LATENCY_REFUSALS; i++)
        if (l->refused[i]) json_put_number(out, &first, latency_refusal_name(i), l->refused[i]);
    buf_append_u8(out, '}');
}

static void put_kind(struct buf *out, enum latency_kind kind, const struct latency *l, nanos now)
{
    struct histogram h;
    nanos over = recent_read(&l->took, now, &h);
    bool first = true;

    buf_append_u8(out, '{');
    json_put_text(out, &first, "kind", str_of(latency_kind_name(kind)));
    json_put_number(out, &first, "answered", l->answered);
    json_put_name(out, &first, "refused");
    put_refused(out, l);
    json_put_number(out, &first, "over-ms", over / NANOS_MS);
    json_put_number(out, &first, "count", h.count);
    if (h.count) {
        json_put_number(out, &first, "p50-us", histogram_quantile(&h, 500));
        json_put_number(out, &first, "p99-us", histogram_quantile(&h, 990));
    }
    json_put_name(out, &first, "buckets");
    put_buckets(out, &h);
    buf_append_u8(out, '}');
}

static void put_kinds(struct admin_request *r, u32 keyspace, struct buf *out)
{
    const struct latencies *all = redis_door_latencies(node_redis_door(r->door->node));
    u32 put = 0;

    buf_append_u8(out, '[');
    for (u32 kind = 0; kind < LATENCY_KINDS; kind++) {
        const struct latency *l = latencies_of(all, keyspace, (enum latency_kind)kind);
        if (!l) continue;
        if (put++) buf_append_u8(out, ',');
        put_kind(out, (enum latency_kind)kind, l, node_now(r->door->node));
    }
    buf_append_u8(out, ']');
}

static void put_setting(struct buf *out, bool *first, const struct core_keyspace *k, u32 setting)
{
    struct buf value = {0};

    core_keyspace_setting_print(setting, k->settings[setting], &value);
    json_put_text(out, first, core_keyspace_setting_name(setting), buf_str(&value));
    buf_done(&value);
}

void admin_get_price(struct admin_request *r)
{
    const struct core *map = admin_map(r);
    struct buf *out = &r->reply->body;
    bool first = true;

    if (!map) return;
    const struct core_keyspace *k = core_keyspace_named(map, r->name);
    if (!k || k->id == CORE_KEYSPACE) {
        admin_refuse(r->reply, 404, "NOSUCH", "there is no keyspace %.*s that clients use; quorate ks list shows them",
                     STR_ARG(r->name));
        return;
    }
    r->reply->type = "application/json";
    buf_append_u8(out, '{');
    json_put_number(out, &first, "epoch", core_cluster(map)->epoch);
    json_put_number(out, &first, "node", node_config_of(r->door->node)->self);
    json_put_text(out, &first, "keyspace", core_str(&k->name));
    json_put_number(out, &first, "id", k->id);
    put_setting(out, &first, k, CORE_LEVEL);
    put_setting(out, &first, k, CORE_DURABILITY);
    json_put_name(out, &first, "kinds");
    put_kinds(r, k->id, out);
    buf_append_text(out, "}\n");
}
