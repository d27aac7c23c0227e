/* The subcommands of `quorate` that live here, one file each. argv[0] is the subcommand's name; the
 * result is the exit status: 0, 1 a failure, 2 a wrong command line. */
#pragma once

#include "base/types.h"

#define QUORATE_VERSION "0.1.0"

int start_main(int argc, char **argv);
int demo_main(int argc, char **argv);
int wal_main(int argc, char **argv);
int version_main(int argc, char **argv);
int help_main(int argc, char **argv);
int ks_main(int argc, char **argv);
int node_main(int argc, char **argv);
int group_main(int argc, char **argv);
int status_main(int argc, char **argv);
int top_main(int argc, char **argv);
int price_main(int argc, char **argv);
int why_unavailable_main(int argc, char **argv);
int explain_main(int argc, char **argv);
int backup_main(int argc, char **argv);
int restore_main(int argc, char **argv);
int settings_main(int argc, char **argv);
int limits_main(int argc, char **argv);
int rebalance_main(int argc, char **argv);
int check_command_main(int argc, char **argv);

struct noun;
struct command {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
    const struct noun *noun; /* for completion; NULL: it has no verbs */
};
extern const struct noun price_noun, why_unavailable_noun, explain_noun;
extern const struct noun backup_noun, restore_noun, status_noun, top_noun, ks_noun, node_noun, group_noun, settings_noun, limits_noun, rebalance_noun, version_noun;
struct json;
void nodes_print(const struct json *j, u32 nodes, const char *indent);
void groups_print(const struct json *j, u32 groups, const char *indent);
extern const struct command commands_table[]; /* main.c; ends with a NULL name */
