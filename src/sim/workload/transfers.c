/* Money moves between accounts inside MULTI/EXEC, together with a line in a ledger: all sums stay zero,
 * and the ledger says in which order the transfers ran. */
#include "sim/workload/table.h"

#include <stdio.h>

#define ACCOUNTS 6
#define LEDGER_LINES 150 /* of one client, then another ledger */

enum { TAG_QUEUED, TAG_EXEC, TAG_SUM };

struct transfers {
    u32 transfers;
};

static void sum(struct client *c)
{
    CLIENT_SEND(c, TAG_SUM, NO_PLACE, STR("MGET"), STR("acct:0"), STR("acct:1"), STR("acct:2"), STR("acct:3"),
                STR("acct:4"), STR("acct:5"));
}

static void transfer(struct client *c)
{
    struct transfers *t = c->state;
    u32 ledger = client_key(c, "ledger:%u", t->transfers++ / LEDGER_LINES);
    u32 line = client_key(c, "%02u%06llu", c->number, (unsigned long long)++c->values);
    char from[16], to[16], amount[16];
    u64 a = prng_below(&c->chance, ACCOUNTS);

    snprintf(from, sizeof from, "acct:%llu", (unsigned long long)a);
    snprintf(to, sizeof to, "acct:%llu", (unsigned long long)((a + 1 + prng_below(&c->chance, ACCOUNTS - 1)) % ACCOUNTS));
    snprintf(amount, sizeof amount, "%llu", (unsigned long long)prng_between(&c->chance, 1, 100));
    CLIENT_SEND(c, TAG_QUEUED, NO_PLACE, STR("MULTI"));
    CLIENT_SEND(c, TAG_QUEUED, NO_PLACE, STR("DECRBY"), str_of(from), str_of(amount));
    CLIENT_SEND(c, TAG_QUEUED, NO_PLACE, STR("APPEND"), client_text(c, ledger), client_text(c, line));
    CLIENT_SEND(c, TAG_QUEUED, NO_PLACE, STR("INCRBY"), str_of(to), str_of(amount));
    u32 place = client_op(c, HISTORY_APPEND, ledger, line, HISTORY_NULL);
    CLIENT_SEND(c, TAG_EXEC, place, STR("EXEC"));
}

static void turn(struct client *c)
{
    if (prng_below(&c->chance, 100) < 65)
        transfer(c);
    else
        sum(c);
}

static void check_sum(struct client *c, const struct reply *r)
{
    i64 total = 0;

    if (client_outcome(c, r) != HISTORY_OK) return;
    for (u32 i = 0; i < r->count; i++) {
        i64 balance = 0;
        if (r->items[i].kind == REPLY_BULK && !str_to_i64(r->items[i].text, &balance))
            world_violation(c->host->world, "account %u holds '%.*s'", i, STR_ARG(r->items[i].text));
        total += balance;
    }
    if (total != 0 || r->count != ACCOUNTS)
        world_violation(c->host->world, "client %u sees accounts that sum to %lld: half a transfer", c->number,
                        (long long)total);
}

static void reply(struct client *c, u32 tag, u32 place, const struct reply *r)
{
    if (tag == TAG_SUM) {
        check_sum(c, r);
    } else if (tag == TAG_QUEUED) {
        (void)client_outcome(c, r);
    } else if (r->kind == REPLY_ARRAY && r->count == 3) {
        client_close_op(c, place, &r->items[1]);
    } else if (r->kind == REPLY_ERROR) {
        client_close_op(c, place, r);
    } else {
        world_violation(c->host->world, "client %u: EXEC without WATCH answered no array", c->number);
    }
}

const struct workload workload_transfers = {
    .name = "transfers", .state_bytes = sizeof(struct transfers), .turn = turn, .reply = reply};
