/* Many different commands in databases of their own. No client knows what to expect; the replicas must
 * agree with each other and with the witness that runs the log again. */
#include "sim/workload/table.h"

#include <stdio.h>

#define KEYS 24
#define WORDS_MAX 6

/* K: a key, V: a value, N: a small number, M: milliseconds */
static const char *const commands[] = {
    "SET K V",        "SET K V EX N",  "SET K V KEEPTTL", "SET K V NX",    "SET K V XX GET", "GET K",
    "APPEND K V",     "STRLEN K",      "SETRANGE K N V",  "GETRANGE K 0 N", "INCRBY K N",    "DECRBY K N",
    "INCRBYFLOAT K N", "GETEX K PX M", "GETDEL K",        "DEL K K",       "EXISTS K K K",   "TYPE K",
    "RENAME K K",     "RENAMENX K K",  "COPY K K REPLACE", "EXPIRE K N",   "PEXPIRE K M",    "PERSIST K",
    "TTL K",          "TOUCH K",       "UNLINK K",        "MSET K V K V",  "MSETNX K V K V", "MGET K K",
    "SCAN 0 COUNT N", "DBSIZE",        "RANDOMKEY",       "KEYS m:1*",     "LCS K K",        "SETEX K N V",
    "PSETEX K M V",   "GETSET K V",    "OBJECT ENCODING K", "MOVE K 6",    "SWAPDB 5 6",     "FLUSHDB",
};

static void turn(struct client *c)
{
    char words[WORDS_MAX][40];
    str argv[WORDS_MAX];
    u32 argc = 0;
    u64 row = prng_below(&c->chance, ARRAY_LEN(commands));

    if (row >= ARRAY_LEN(commands) - 2 && !chance_one_in(&c->chance, 20)) row = 0; /* emptying it often teaches little */
    for (const char *at = commands[row]; *at;) {
        size_t bytes = strcspn(at, " ");
        unsigned long long n = prng_below(&c->chance, KEYS);
        char *word = words[argc];
        if (bytes == 1 && *at == 'K') snprintf(word, sizeof words[0], "m:%llu", n);
        else if (bytes == 1 && *at == 'V') snprintf(word, sizeof words[0], n % 3 ? "v%u.%llu" : "%u%llu", c->number, n);
        else if (bytes == 1 && *at == 'N') snprintf(word, sizeof words[0], "%llu", n + 1);
        else if (bytes == 1 && *at == 'M') snprintf(word, sizeof words[0], "%llu", 20 + n * 100);
        else snprintf(word, sizeof words[0], "%.*s", (int)bytes, at);
        argv[argc] = str_of(word);
        argc++;
        at += bytes;
        while (*at == ' ') at++;
    }
    client_send(c, 0, NO_PLACE, argc, argv);
}

static void reply(struct client *c, u32 tag, u32 place, const struct reply *r)
{
    (void)tag;
    (void)place;
    if (reply_is_error(r, "ERR") || reply_is_error(r, "WRONGTYPE")) return; /* the command's own business */
    (void)client_outcome(c, r);
}

const struct workload workload_mixture = {.name = "mixture", .db = 5, .turn = turn, .reply = reply};
