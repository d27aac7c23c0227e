/* `quorate COMMAND ...`: one row per subcommand. */
#include "bench/bench.h"
#include "check/check.h"
#include "cli/commands.h"
#include "sim/sim.h"

#include <stdio.h>
#include <string.h>

const struct command commands_table[] = {
    {"start", "run one node (alone: a durable one-node cluster)", start_main},
    {"demo", "run a local cluster of several nodes", demo_main},
    {"ks", "make, list, change and drop keyspaces", ks_main},
    {"sim", "run whole clusters in the deterministic simulator", sim_main},
    {"check", "check a history of operations for linearizability", check_main},
    {"bench", "measure a running server", bench_main},
    {"wal", "verify or show a node's log", wal_main},
    {"version", "print the version", version_main},
    {"help", "explain a command", help_main},
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
