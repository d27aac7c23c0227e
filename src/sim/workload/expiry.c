/* Keys with a time to live, written anew now and then: served until about its end, not after, and once seen gone
 * never again. "About" is what the clocks of the cluster differ by, because the time of the log is
 * a leader's wall clock. */
#include "sim/faults.h"
#include "sim/workload/table.h"

#include <stdio.h>

#define RENEWED_TTL (60 * NANOS_SEC)
#define RENEW_WITHIN (200 * NANOS_MS) /* after its end; leaders look for what has expired every 100 ms */

enum { TAG_SET, TAG_GET };

struct expiry {
    u32 key, value; /* key 0: none under way */
    nanos set_from, set_to, ttl;
    bool set, seen_gone;
    u32 reads_left;
    nanos renew_at; /* write it anew just when it ends, perhaps before anyone has noticed; 0: read until it is gone */
    bool renewed;   /* so it was: for long, whatever the clocks say */
    u64 keys, writes;
};

static nanos slack(struct client *c)
{
    return (2 * faults_wall_error_us(c->host->world) + 1500000) * 1000;
}

static void turn(struct client *c)
{
    struct expiry *s = c->state;
    char ttl[24];

    bool renew = s->renew_at && client_now(c) >= s->renew_at;
    if (s->set && s->renew_at && !renew) { /* not read meanwhile: a read would make its end known */
        c->next_at = s->renew_at;
        return;
    }
    if (s->key && s->set && s->reads_left > 0 && !renew) {
        s->reads_left--;
        CLIENT_SEND(c, TAG_GET, NO_PLACE, STR("GET"), client_text(c, s->key));
        return;
    }
    /* The same key again, unless an earlier write of it may still come. */
    bool again = s->key && s->set && (renew || (s->reads_left == 0 && !s->renewed && !chance_one_in(&c->chance, 4)));
    bool renews = !renew && chance_one_in(&c->chance, 2);
    u32 reads = renew ? 4 : (u32)prng_between(&c->chance, 5, 60);
    *s = (struct expiry){.keys = s->keys + !again, .writes = s->writes + 1, .reads_left = reads, .renewed = renew};
    s->key = client_key(c, "e:%u:%llu", c->number, (unsigned long long)s->keys);
    s->value = client_key(c, "e%u.%llu", c->number, (unsigned long long)s->writes);
    s->ttl = renew ? RENEWED_TTL : chance_between(&c->chance, 50 * NANOS_MS, 2 * NANOS_SEC) / NANOS_MS * NANOS_MS;
    s->set_from = client_now(c);
    if (renews) s->renew_at = s->set_from + s->ttl + prng_below(&c->chance, RENEW_WITHIN);
    snprintf(ttl, sizeof ttl, "%llu", (unsigned long long)(s->ttl / NANOS_MS));
    CLIENT_SEND(c, TAG_SET, NO_PLACE, STR("SET"), client_text(c, s->key), client_text(c, s->value), STR("PX"),
                str_of(ttl));
}

static void check_read(struct client *c, const struct reply *r)
{
    struct expiry *s = c->state;
    struct world *w = c->host->world;
    nanos asked = c->calls[(c->head + CLIENT_CALLS_MAX - 1) % CLIENT_CALLS_MAX].sent_at, now = client_now(c);
    str key = client_text(c, s->key);

    if (r->kind == REPLY_NULL) {
        if (now + slack(c) < s->set_from + s->ttl)
            world_violation(w, "key %.*s is gone %llu ms before its time", STR_ARG(key),
                            (unsigned long long)((s->set_from + s->ttl - now) / NANOS_MS));
        s->seen_gone = true;
        return;
    }
    if (faults_skew_clocks(w)) return; /* it may be an old value */
    if (!str_equal(r->text, client_text(c, s->value)))
        world_violation(w, "key %.*s holds another value than the last one written", STR_ARG(key));
    if (s->seen_gone) world_violation(w, "key %.*s has expired and is back", STR_ARG(key));
    if (asked > s->set_to + s->ttl + slack(c))
        world_violation(w, "key %.*s is served %llu ms after its time", STR_ARG(key),
                        (unsigned long long)((asked - s->set_to - s->ttl) / NANOS_MS));
}

static void reply(struct client *c, u32 tag, u32 place, const struct reply *r)
{
    struct expiry *s = c->state;
    enum history_outcome outcome = client_outcome(c, r);

    (void)place;
    if (tag == TAG_SET) {
        s->set = outcome == HISTORY_OK; /* else: what holds is not known; on to another key */
        s->set_to = client_now(c);
    } else if (outcome == HISTORY_OK) {
        check_read(c, r);
    }
}

const struct workload workload_expiry = {
    .name = "expiry", .state_bytes = sizeof(struct expiry), .turn = turn, .reply = reply};
