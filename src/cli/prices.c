#include "cli/prices.h"

#include "base/mutant.h"

static const enum latency_kind LOCAL = (enum latency_kind)(LATENCY_READ + LEVEL_LOCAL);

static bool kind_named(str name, u32 *out)
{
    for (u32 kind = 0; kind < LATENCY_KINDS; kind++) {
        if (!str_equal(name, str_of(latency_kind_name((enum latency_kind)kind)))) continue;
        *out = kind;
        return true;
    }
    return false; /* of a newer program */
}

static bool add_buckets(struct histogram *h, const struct json *j, u32 buckets)
{
    for (u32 at = json_each(j, buckets, 0); at;) {
        u64 bucket = json_u64(j, at);
        at = json_each(j, buckets, at);
        if (bucket >= HISTOGRAM_BUCKETS || !at) return false;
        histogram_add_bucket(h, (u32)bucket, json_u64(j, at));
        at = json_each(j, buckets, at);
    }
    return true;
}

static bool add_kind(struct prices *p, const struct json *j, u32 item)
{
    struct histogram h = {0};
    u32 kind, refused = json_get(j, item, "refused");

    if (!kind_named(json_get_str(j, item, "kind"), &kind)) return true;
    if (!add_buckets(&h, j, json_get(j, item, "buckets"))) return false;
    struct price *price = &p->kinds[kind];
    u64 over_ms = json_get_u64(j, item, "over-ms");
    histogram_merge(&price->took, &h);
    if (h.count) price->per_second += (double)h.count * 1000 / (double)u64_max(over_ms, 1000);
    price->answered += json_get_u64(j, item, "answered");
    for (u32 i = 0; i < LATENCY_REFUSALS; i++) price->refused[i] += json_get_u64(j, refused, latency_refusal_name(i));
    return true;
}

err prices_add(struct prices *p, const struct json *answer)
{
    struct prices sum = *p;
    u32 kinds = json_get(answer, 0, "kinds");

    if (!kinds) return ERR_MALFORMED;
    for (u32 k = json_each(answer, kinds, 0); k; k = json_each(answer, kinds, k))
        if (!add_kind(&sum, answer, k)) return ERR_MALFORMED;
    sum.nodes++;
    *p = sum;
    return OK;
}

const struct histogram *price_of(const struct price *p)
{
    return p->took.count ? &p->took : p->probed.count ? &p->probed : NULL;
}

static const struct histogram *measured(const struct prices *p, u32 kind, bool probed)
{
    const struct histogram *h = probed ? &p->kinds[kind].probed : &p->kinds[kind].took;
    return h->count ? h : NULL;
}

/* The level that is wanted, else the first one that was used. */
static u32 linearizable(const struct prices *p, enum level_kind wanted, bool probed)
{
    struct level l = {.kind = (u8)wanted};

    if (level_is_linearizable(l) && measured(p, LATENCY_READ + wanted, probed)) return LATENCY_READ + wanted;
    for (u8 kind = 0; level_is_linearizable((struct level){.kind = kind}); kind++)
        if (measured(p, LATENCY_READ + kind, probed)) return LATENCY_READ + kind;
    return LATENCY_KINDS;
}

bool prices_gap(const struct prices *p, enum level_kind wanted, struct price_gap *out)
{
    for (u32 probed = 0; probed < 2; probed++) {
        u32 kind = linearizable(p, wanted, probed);
        const struct histogram *local = measured(p, LOCAL, probed);
        if (MUTANT(price_mixes_measurements)) local = price_of(&p->kinds[LOCAL]);
        if (kind == LATENCY_KINDS || !local) continue;
        *out = (struct price_gap){.kind = (enum latency_kind)kind,
                                  .linearizable_us = histogram_quantile(measured(p, kind, probed), 500),
                                  .local_us = histogram_quantile(local, 500),
                                  .probed = probed};
        return true;
    }
    return false;
}
