/* The settings of `quorate start` and `quorate demo`: one table drives the flags, the QUORATE_*
 * environment, the YAML file and --help, so a name means the same everywhere. A flag wins over the
 * environment, the environment over the file, the file over the default.
 *
 *   struct settings s;
 *   enum settings_outcome o = settings_read(&s, FOR_START, argc, argv, problem, sizeof problem);
 *   ... settings_text(&s, SET_DIR), settings_bytes(&s, SET_MEMORY) ...
 *   settings_done(&s);
 *
 * Every value is checked against its kind while it is read, so the getters cannot fail. */
#pragma once

#include "base/types.h"

#include <stddef.h>
#include <stdio.h>

enum setting_id {
    SET_NODE,
    SET_PEERS,
    SET_JOIN,
    SET_RACK,
    SET_CLUSTER_ID,
    SET_NODES,
    SET_PORT_OFFSET,
    SET_RESTART,
    SET_HOST,
    SET_REDIS_PORT,
    SET_PEER_PORT,
    SET_ADMIN_PORT,
    SET_DIR,
    SET_IO,
    SET_DIRECT,
    SET_WAL_SEGMENT,
    SET_LOG_KEEP,
    SET_CHECKPOINT_DIRTY,
    SET_CHECKPOINT_EVERY,
    SET_MEMORY,
    SET_VALUE_MAX,
    SET_CLIENTS_MAX,
    SET_REQUEST_TIMEOUT,
    SET_ELECTION_TIMEOUT,
    SET_HEARTBEAT,
    SET_CONFIG,
    SET_LOG_LEVEL,
    SET_DEBUG_COMMANDS,
    SET_DIE_WITH_PARENT,
    SETTING_COUNT
};

enum setting_kind {
    KIND_TEXT,
    KIND_NUMBER,
    KIND_BYTES,
    KIND_DURATION,
    KIND_SWITCH,
    KIND_CHOICE,
    KIND_ID,
    KIND_PEERS
};

enum setting_use {
    FOR_START = BIT(0),
    FOR_DEMO = BIT(1),
    PASSED_ON = BIT(2), /* demo hands it to its nodes as it is */
    HIDDEN = BIT(3),
};

struct setting {
    const char *name; /* the flag is --name, the variable QUORATE_NAME, the key of the file name */
    enum setting_kind kind;
    u32 uses;
    const char *value;    /* the placeholder in --help; of KIND_CHOICE the choices "a|b" */
    const char *fallback; /* the default as people write it; NULL: none, or see help */
    u64 min, max;         /* of numbers, bytes and durations */
    const char *group, *help;
};

extern const struct setting settings_table[SETTING_COUNT];

enum setting_source { SOURCE_NONE, SOURCE_FILE, SOURCE_ENVIRONMENT, SOURCE_FLAG };

struct settings {
    struct {
        char *text; /* owned; NULL: not set, the fallback holds */
        enum setting_source source;
    } value[SETTING_COUNT];
};

enum settings_outcome { SETTINGS_READ, SETTINGS_HELP, SETTINGS_REFUSED };

/* argv[0] is the subcommand. REFUSED: problem is a sentence that names the flag and the remedy. */
enum settings_outcome settings_read(struct settings *s, enum setting_use command, int argc,
                                    char **argv, char *problem, size_t problem_size);
void settings_done(struct settings *s);

bool settings_is_set(const struct settings *s, enum setting_id id); /* by anyone but the default */
const char *settings_text(const struct settings *s, enum setting_id id); /* NULL: no default */
u64 settings_number(const struct settings *s, enum setting_id id);
u64 settings_bytes(const struct settings *s, enum setting_id id);
nanos settings_duration(const struct settings *s, enum setting_id id);
bool settings_switch(const struct settings *s, enum setting_id id);

/* "--memory", "QUORATE_MEMORY" or "memory: in FILE": how the user has set it. */
void settings_spell(const struct settings *s, enum setting_id id, char *out, size_t size);

void settings_print_help(enum setting_use command, FILE *to); /* the flags, by group */
void settings_print_names(enum setting_use command,
                          FILE *to); /* "--dir" per line, for completion */

/* settings_file.c: fills what is not set yet. */
bool settings_read_file(struct settings *s, const char *path, char *problem, size_t problem_size);

/* For settings_file.c: take a text if nothing stronger has set it; false if it is not of its kind.
 */
bool settings_take(struct settings *s, enum setting_id id, enum setting_source source,
                   const char *text, char *problem, size_t problem_size);
