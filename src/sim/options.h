/* The command line of `quorate sim`. */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include "sim/config.h"

enum sim_mode {
    SIM_BOTH,     /* faults for 80% of the time, then none and every operation must finish */
    SIM_SAFETY,   /* faults until the end, then heal, read back and compare */
    SIM_LIVENESS, /* as BOTH, but faults stop at half time */
};

struct sim_options {
    u64 seed_first, seed_last;
    nanos until;
    u32 jobs; /* processes; 0: in this process (for a debugger) */
    u32 nodes;
    u32 founders; /* nodes that found the group; 0: all. If fewer, members come and go */
    bool cluster; /* nodes that found, join and leave one cluster, and keyspaces that come and go */
    bool calm;    /* of a cluster: its operator begins nothing */
    bool memory;  /* of a cluster: the keyspaces that the operator makes have durability=memory; a minority crashes, or all at once */
    enum sim_mode mode;
    const struct sim_config *config; /* NULL: none; borrowed, with the two lists below */
    struct sim_config *config_room; /* where --config puts it; NULL: there is none */
    const char *config_path;
    const char *mutant;       /* NULL: none */
    const char *faults;       /* NULL: as the seed draws; else a comma list of fault names, or "none" */
    const char *workloads;    /* NULL: as the seed draws; else a comma list */
    const char *history_path; /* NULL; else the history of the run is written there (one seed) */
    bool verbose;
    bool stop_at_first; /* no new seeds after the first violation */
};

void sim_options_defaults(struct sim_options *o);

enum sim_parse { SIM_RUN, SIM_HELP, SIM_USAGE };

/* On SIM_USAGE one sentence has gone to stderr. */
enum sim_parse sim_options_parse(struct sim_options *o, int argc, char **argv);
void sim_print_help(void);

/* One option and its value; false: it does not take that. */
bool sim_options_set(struct sim_options *o, const char *name, const char *value);

/* Does the comma list hold this word? A NULL list holds every word. */
bool sim_list_has(const char *list, const char *word);
