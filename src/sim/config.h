/* `quorate sim --config FILE`: a topology and settings of the user's own. A line is a name and its values; # begins a
 * comment. docs/operations/simulate.md has an example and the list. */
#pragma once

#include "base/err.h"
#include "base/types.h"

#define SIM_RACKS_MAX     7
#define SIM_KEYSPACES_MAX 8
#define SIM_SETTINGS_MAX  8
#define SIM_ROWS_MAX      6
#define SIM_TEXT_MAX      64
#define SIM_LIST_MAX      256

struct sim_row { /* name=value */
    char name[SIM_TEXT_MAX], value[SIM_TEXT_MAX];
};

struct sim_keyspace {
    char name[SIM_TEXT_MAX];
    struct sim_row rows[SIM_ROWS_MAX];
    u32 row_count;
};

struct sim_config {
    char racks[SIM_RACKS_MAX][SIM_TEXT_MAX]; /* of the machines, in turn */
    u32 rack_count;
    struct sim_keyspace keyspaces[SIM_KEYSPACES_MAX];
    u32 keyspace_count;
    struct sim_row settings[SIM_SETTINGS_MAX];
    u32 setting_count;
    char faults[SIM_LIST_MAX], workloads[SIM_LIST_MAX]; /* empty: not named */
};

struct sim_options;

/* Read the file into `out`, and what it says of nodes, time, faults and the operator into `o`, which borrows from `out`.
 * False: one sentence with the line has gone to stderr. */
bool sim_config_read(const char *path, struct sim_config *out, struct sim_options *o);
