/* `quorate explain`: what clients of a keyspace can see, and what not, in plain words. */
#include "cli/commands.h"
#include "cli/level_words.h"
#include "cli/verbs.h"

#include <stdio.h>

static const char *word_of(u8 kind)
{
    static const char *const words[LEVEL_KINDS] = {"lease", "quorum", "follower", "stale:MS", "sequential", "session", "local"};
    return words[kind];
}

static void print_settings(const struct json *j, u32 k)
{
    bool on_disk = str_equal(json_get_str(j, k, "durability"), STR("disk"));
    u64 replicas = json_get_u64(j, k, "replicas"), groups = json_get_u64(j, k, "groups");

    printf("keyspace %.*s\n\n", STR_ARG(json_get_str(j, k, "name")));
    printf("consistency %.*s\n"
           "  There seems to be one copy. A write takes effect at one moment between its request and its answer, for everybody;\n"
           "  writes are so always, whatever a read asks for. Protocol: Raft, %lu %s of %lu replicas.\n\n",
           STR_ARG(json_get_str(j, k, "consistency")), groups, groups == 1 ? "group" : "groups each", replicas);
    printf("level %.*s\n"
           "  What a read gets that asks for nothing else (quorate ks set NAME level=LEVEL). A connection chooses with CLIENT LEVEL,\n"
           "  one read with AT LEVEL command. EXEC is always the leader's; READONLY means follower.\n\n",
           STR_ARG(json_get_str(j, k, "level")));
    printf("durability %.*s\n", STR_ARG(json_get_str(j, k, "durability")));
    if (on_disk)
        printf("  A write is acknowledged when it is on the disks of %lu of %lu replicas. It survives the loss of the others, and of power\n"
               "  at all of them at once.\n\n",
               replicas / 2 + 1, replicas);
    else
        printf("  A write is acknowledged when it is in the memory of %lu of %lu replicas, and on their disks soon afterwards. It survives\n"
               "  the loss of the others; where a majority loses power at once, the last writes are lost.\n\n",
               replicas / 2 + 1, replicas);
}

static void print_anomaly(u32 a)
{
    const struct anomaly *example = &anomalies[a];
    bool any = false;

    printf("%s\n    %s\n    %s\n  can be seen: ", example->name, example->first, example->second);
    for (u8 kind = 0; kind < LEVEL_KINDS; kind++) {
        if (!(level_words[kind].sees & BIT(a))) continue;
        printf("%s%s", any ? ", " : "", word_of(kind));
        any = true;
    }
    printf("%s\n  never:       ", any ? "" : "at no level");
    any = false;
    for (u8 kind = 0; kind < LEVEL_KINDS; kind++) {
        if (level_words[kind].sees & BIT(a)) continue;
        printf("%s%s", any ? ", " : "", word_of(kind));
        any = true;
    }
    printf("\n\n");
}

static int explain_run(struct verb_call *call)
{
    char name[256], path[300];

    if (!url_put(name, sizeof name, call->words[0])) return 2;
    snprintf(path, sizeof path, "/v1/keyspaces/%s", name);
    if (!call_get(call, path)) return call_status(call);
    print_settings(&call->answer, json_get(&call->answer, 0, "keyspace"));
    for (u8 kind = 0; kind < LEVEL_KINDS; kind++) printf("  %-10s  a read sees %s\n", word_of(kind), level_words[kind].promise);
    printf("\nWhat a client can see, by the level of its reads (x was 1 before; A and B are clients):\n\n");
    for (u32 a = 0; a < ANOMALY_KINDS; a++) print_anomaly(a);
    if (!str_equal(json_get_str(&call->answer, json_get(&call->answer, 0, "keyspace"), "durability"), STR("disk")))
        printf("With durability=memory one thing more, at every level: where a majority crashed and an operator accepted the loss, the last\n"
               "acknowledged writes are gone, and what was seen of them, too.\n\n");
    printf("quorate price %s says what each level costs now; docs/consistency.md has commands to try.\n", call->words[0]);
    return 0;
}

static const struct verb verbs[] = {{NULL, "KEYSPACE", "", 1, 1, 0, explain_run}};

const struct noun explain_noun = {"explain",
                                  "What clients of a keyspace can see and what not: its consistency, level of reads and durability in plain\n"
                                  "words, and each anomaly by an example of two lines.",
                                  verbs, ARRAY_LEN(verbs),
                                  "  quorate explain default\n"
                                  "  quorate explain orders --node 10.0.0.2:8379\n"
                                  "  redis-cli Q.EXPLAIN GET x     what one request got\n"};

int explain_main(int argc, char **argv)
{
    return noun_main(&explain_noun, argc, argv);
}
