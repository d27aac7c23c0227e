#include "cli/commands.h"
#include "cli/settings.h"
#include "cli/verbs.h"

#include <stdio.h>
#include <string.h>

static void print_all(void)
{
    printf("quorate: a linearizable, durable Redis keyspace on several nodes.\n\n"
           "Usage: quorate COMMAND [FLAGS]\n\n");
    for (const struct command *c = commands_table; c->name; c++)
        printf("  %-10s %s\n", c->name, c->summary);
    printf("\nEach command has --help.\n\n"
           "Examples:\n"
           "  quorate demo                       a cluster of three nodes on this machine\n"
           "  redis-cli -p 6379 SET k v          ... written through the first\n"
           "  redis-cli -p 6381 GET k            ... and read through the third\n"
           "  quorate start                      one node, data in ./quorate-data\n"
           "  quorate ks create orders partitions=hash:32\n"
           "  quorate node list                  who belongs to the cluster\n");
}

/* For shell completion: commands, or the flags of one, a name per line. */
static int print_names(const char *command)
{
    if (!command) {
        for (const struct command *c = commands_table; c->name; c++) printf("%s\n", c->name);
    } else if (strcmp(command, "start") == 0) {
        settings_print_names(FOR_START, stdout);
    } else if (strcmp(command, "demo") == 0) {
        settings_print_names(FOR_DEMO, stdout);
    } else {
        for (const struct command *c = commands_table; c->name; c++)
            if (c->noun && strcmp(c->name, command) == 0) noun_print_names(c->noun);
    }
    return 0;
}

int help_main(int argc, char **argv)
{
    char *with_help[] = {NULL, (char[]){"--help"}, NULL};

    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        print_all();
        return 0;
    }
    if (strcmp(argv[1], "--names") == 0) return print_names(argc > 2 ? argv[2] : NULL);
    for (const struct command *c = commands_table; c->name; c++) {
        if (strcmp(argv[1], c->name) != 0) continue;
        if (c->run == help_main) break;
        with_help[0] = argv[1];
        return c->run(2, with_help);
    }
    if (strcmp(argv[1], "help") == 0) {
        print_all();
        return 0;
    }
    fprintf(stderr, "quorate: no such command: %s; see quorate help\n", argv[1]);
    return 2;
}
