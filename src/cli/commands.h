/* The subcommands of `quorate` that live here, one file each. argv[0] is the subcommand's name; the
 * result is the exit status: 0, 1 a failure, 2 a wrong command line. */
#pragma once

#define QUORATE_VERSION "0.1.0"

int start_main(int argc, char **argv);
int demo_main(int argc, char **argv);
int wal_main(int argc, char **argv);
int version_main(int argc, char **argv);
int help_main(int argc, char **argv);
int ks_main(int argc, char **argv);

struct command {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
};
struct noun;
extern const struct noun ks_noun;
extern const struct command commands_table[]; /* main.c; ends with a NULL name */
