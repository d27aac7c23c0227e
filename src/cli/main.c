/* `quorate COMMAND ...`: one row per subcommand. */
#include "bench/bench.h"
#include "cli/commands.h"
#include "sim/sim.h"

#include <stdio.h>
#include <string.h>

const struct command commands_table[] = {
    {"start", "run one node (alone: a durable one-node cluster)", start_main, NULL},
    {"demo", "run a local cluster of several nodes", demo_main, NULL},
    {"status", "the whole cluster at one look", status_main, &status_noun},
    {"top", "the cluster as it works, each second", top_main, &top_noun},
    {"price", "what consistency costs in a keyspace now, by level", price_main, &price_noun},
    {"why-unavailable", "what a keyspace cannot do now, why, and what helps", why_unavailable_main, &why_unavailable_noun},
    {"explain", "what clients of a keyspace can see, and what not", explain_main, &explain_noun},
    {"ks", "make, list, change and drop keyspaces", ks_main, &ks_noun},
    {"node", "list, drain and remove nodes", node_main, &node_noun},
    {"group", "list, move, split and merge groups", group_main, &group_noun},
    {"rebalance", "what is moved and why; pause and resume", rebalance_main, &rebalance_noun},
    {"backup", "all keyspaces at one stamp, into a directory", backup_main, &backup_noun},
    {"restore", "a backup into a new cluster", restore_main, &restore_noun},
    {"settings", "of the whole cluster", settings_main, &settings_noun},
    {"limits", "every limit of a node, what is used, how often it was reached", limits_main, &limits_noun},
    {"sim", "run whole clusters in the deterministic simulator", sim_main, NULL},
    {"check", "check what clients saw: a history, or live traffic", check_command_main, NULL},
    {"bench", "measure a running server", bench_main, NULL},
    {"wal", "verify or show a node's log", wal_main, NULL},
    {"version", "print the version; raise the cluster's level", version_main, &version_noun},
    {"help", "explain a command", help_main, NULL},
    {0},
};

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "help";

    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) name = "help";
    if (strcmp(name, "--version") == 0) name = "version";
    for (const struct command *c = commands_table; c->name; c++)
        if (strcmp(name, c->name) == 0)
            return argc > 1 ? c->run(argc - 1, argv + 1) : c->run(argc, argv);
    fprintf(stderr, "quorate: no such command: %s; see quorate help\n", name);
    return 2;
}
