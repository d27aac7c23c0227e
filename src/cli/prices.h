/* What reads and writes of a keyspace cost now, put together from the nodes' histograms (GET /v1/price/NAME), or measured by a
 * probe where nobody used a level lately. */
#pragma once

#include "cli/json_read.h"
#include "server/latency.h"

struct price {
    struct histogram took;    /* at the nodes' doors, in the last minute */
    struct histogram probed;  /* by --probe */
    double per_second;
    u64 answered, refused[LATENCY_REFUSALS]; /* since the nodes started */
};

struct prices {
    struct price kinds[LATENCY_KINDS];
    u32 nodes; /* that were asked and have answered */
};

/* One node's answer more. ERR_MALFORMED: it is none; nothing was added. */
MUST_USE err prices_add(struct prices *p, const struct json *answer);

/* By the doors, else by the probe, else NULL: not used, and not probed. */
const struct histogram *price_of(const struct price *p);

/* What a linearizable read costs more than a local one at the median, both measured in the same way: by the doors, or, if one of
 * them is missing there, by the probe. `wanted` is the linearizable level to take if it was used. */
struct price_gap {
    enum latency_kind kind; /* the linearizable level that was taken */
    u64 linearizable_us, local_us;
    bool probed;
};
bool prices_gap(const struct prices *p, enum level_kind wanted, struct price_gap *out);
