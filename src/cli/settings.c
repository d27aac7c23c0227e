#include "cli/settings.h"

#include "base/assert.h"
#include "base/mem.h"
#include "cli/values.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES_MAX = 64 };

/* --- what a text may be --- */

static bool is_choice(const char *choices, const char *text)
{
    size_t len = strlen(text);

    for (const char *at = choices;; at++) {
        const char *end = strchrnul(at, '|');
        if ((size_t)(end - at) == len && memcmp(at, text, len) == 0) return true;
        if (!*end) return false;
        at = end;
    }
}

/* NULL if text is a value of this setting, else what it should have been. */
static const char *objection(const struct setting *row, const char *text, char *room, size_t size)
{
    struct node_member members[NODE_MEMBERS_MAX];
    const char *why;
    u8 id[16];
    u32 count;
    u64 value;
    bool on;

    switch (row->kind) {
    case KIND_TEXT: return *text ? NULL : "must not be empty";
    case KIND_NUMBER:
        if (value_number(text, row->min, row->max, &value)) return NULL;
        snprintf(room, size, "is not a number from %lu to %lu", row->min, row->max);
        return room;
    case KIND_BYTES:
        if (!value_bytes(text, &value))
            return "is not a size; write a number with KB, MB or GB, like 256MB";
        if (value >= row->min && value <= row->max) return NULL;
        snprintf(room, size, "is out of range; allowed is %luKB to %luMB", row->min / KIB,
                 row->max / MIB);
        return room;
    case KIND_DURATION:
        if (!value_duration(text, &value))
            return "is not a time; write a number with ms, s or m, like 1.5s";
        if (value >= row->min && value <= row->max) return NULL;
        snprintf(room, size, "is out of range; allowed is %lums to %lus", row->min / NANOS_MS,
                 row->max / NANOS_SEC);
        return room;
    case KIND_SWITCH: return value_switch(text, &on) ? NULL : "is neither on nor off";
    case KIND_CHOICE:
        if (is_choice(row->value, text)) return NULL;
        snprintf(room, size, "is none of %s", row->value);
        return room;
    case KIND_ID: return value_cluster_id(text, id) ? NULL : "is not 32 hex digits";
    case KIND_PEERS:
        if (value_peers(text, members, &count, &why)) return NULL;
        snprintf(room, size, "is not a list of peers: %s, like 1=10.0.0.1:7379,2=10.0.0.2:7379",
                 why);
        return room;
    }
    return "is unknown";
}

/* --- names --- */

static void variable_of(const char *name, char *out, size_t size)
{
    int len = snprintf(out, size, "QUORATE_%s", name);
    assert(len > 0 && (size_t)len < size);
    for (char *c = out; *c; c++) *c = *c == '-' ? '_' : (char)toupper((u8)*c);
}

static void spell(enum setting_id id, enum setting_source source, char *out, size_t size)
{
    const char *name = settings_table[id].name;

    if (source == SOURCE_ENVIRONMENT) variable_of(name, out, size);
    else if (source == SOURCE_FILE) snprintf(out, size, "%s (in the --config file)", name);
    else snprintf(out, size, "--%s", name);
}

void settings_spell(const struct settings *s, enum setting_id id, char *out, size_t size)
{
    spell(id, s->value[id].source, out, size);
}

static size_t edit_distance(const char *a, const char *b)
{
    size_t row[NAME_BYTES_MAX + 1], a_len = strlen(a), b_len = strlen(b);

    if (a_len > NAME_BYTES_MAX || b_len > NAME_BYTES_MAX) return SIZE_MAX;
    for (size_t j = 0; j <= b_len; j++) row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t above = row[j];
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            row[j] = size_min(change, size_min(above, row[j - 1]) + 1);
            diagonal = above;
        }
    }
    return row[b_len];
}

static const char *nearest_name(enum setting_use command, const char *name)
{
    const char *best = NULL;
    size_t best_distance = 4; /* farther is another word */

    for (u32 i = 0; i < SETTING_COUNT; i++) {
        if (!(settings_table[i].uses & command) || settings_table[i].uses & HIDDEN) continue;
        size_t distance = edit_distance(name, settings_table[i].name);
        if (distance >= best_distance) continue;
        best = settings_table[i].name;
        best_distance = distance;
    }
    return best;
}

static bool find_setting(enum setting_use command, str name, enum setting_id *out)
{
    for (u32 i = 0; i < SETTING_COUNT; i++) {
        if (!(settings_table[i].uses & command)) continue;
        if (!str_equal(name, str_of(settings_table[i].name))) continue;
        *out = (enum setting_id)i;
        return true;
    }
    return false;
}

/* --- reading --- */

bool settings_take(struct settings *s, enum setting_id id, enum setting_source source,
                   const char *text, char *problem, size_t problem_size)
{
    char name[NAME_BYTES_MAX + 32], room[256];
    const char *why = objection(&settings_table[id], text, room, sizeof room);

    if (why) { /* also of a value that something stronger overrides: it is wrong all the same */
        spell(id, source, name, sizeof name);
        snprintf(problem, problem_size, "%s: '%s' %s", name, text, why);
        return false;
    }
    if (source < s->value[id].source) return true;
    mem_free(s->value[id].text);
    s->value[id].text = mem_strdup(text);
    s->value[id].source = source;
    return true;
}

static enum settings_outcome read_flags(struct settings *s, enum setting_use command, int argc,
                                        char **argv, char *problem, size_t size)
{
    for (int i = 1; i < argc; i++) {
        const char *flag = argv[i], *text = NULL;
        enum setting_id id;

        if (strcmp(flag, "--help") == 0 || strcmp(flag, "-h") == 0) return SETTINGS_HELP;
        if (strncmp(flag, "--", 2) != 0) {
            snprintf(problem, size, "'%s' is not a flag; see quorate %s --help", flag, argv[0]);
            return SETTINGS_REFUSED;
        }
        const char *equals = strchrnul(flag, '=');
        str name = str_from(flag + 2, (size_t)(equals - flag) - 2);
        if (!find_setting(command, name, &id)) {
            char wrong[NAME_BYTES_MAX + 2];
            snprintf(wrong, sizeof wrong, "%.*s", STR_ARG(name));
            const char *near = nearest_name(command, wrong);
            snprintf(problem, size, "no such flag: --%s%s%s; see quorate %s --help", wrong,
                     near ? ", did you mean --" : "", near ? near : "", argv[0]);
            return SETTINGS_REFUSED;
        }
        if (*equals) text = equals + 1;
        else if (settings_table[id].kind == KIND_SWITCH && (i + 1 == argc || argv[i + 1][0] == '-'))
            text = "on";
        else if (i + 1 < argc) text = argv[++i];
        if (!text) {
            snprintf(problem, size, "--%s wants a value: --%s %s", settings_table[id].name,
                     settings_table[id].name, settings_table[id].value);
            return SETTINGS_REFUSED;
        }
        if (!settings_take(s, id, SOURCE_FLAG, text, problem, size)) return SETTINGS_REFUSED;
    }
    return SETTINGS_READ;
}

static bool read_environment(struct settings *s, enum setting_use command, char *problem,
                             size_t size)
{
    for (u32 i = 0; i < SETTING_COUNT; i++) {
        char variable[NAME_BYTES_MAX];
        if (!(settings_table[i].uses & command) || settings_table[i].uses & HIDDEN) continue;
        variable_of(settings_table[i].name, variable, sizeof variable);
        const char *text = getenv(variable);
        if (!text || !*text) continue;
        if (!settings_take(s, (enum setting_id)i, SOURCE_ENVIRONMENT, text, problem, size))
            return false;
    }
    return true;
}

enum settings_outcome settings_read(struct settings *s, enum setting_use command, int argc,
                                    char **argv, char *problem, size_t problem_size)
{
    *s = (struct settings){0};
    enum settings_outcome outcome = read_flags(s, command, argc, argv, problem, problem_size);
    if (outcome != SETTINGS_READ) return outcome;
    if (!read_environment(s, command, problem, problem_size)) return SETTINGS_REFUSED;
    const char *file = settings_text(s, SET_CONFIG);
    if (file && !settings_read_file(s, file, problem, problem_size)) return SETTINGS_REFUSED;
    return SETTINGS_READ;
}

void settings_done(struct settings *s)
{
    for (u32 i = 0; i < SETTING_COUNT; i++) mem_free(s->value[i].text);
    *s = (struct settings){0};
}

/* --- getters --- */

bool settings_is_set(const struct settings *s, enum setting_id id) { return s->value[id].text; }

const char *settings_text(const struct settings *s, enum setting_id id)
{
    return s->value[id].text ? s->value[id].text : settings_table[id].fallback;
}

u64 settings_number(const struct settings *s, enum setting_id id)
{
    u64 value = 0;
    bool ok = value_number(settings_text(s, id), settings_table[id].min, settings_table[id].max,
                           &value);
    assert(ok);
    return value;
}

u64 settings_bytes(const struct settings *s, enum setting_id id)
{
    u64 value = 0;
    bool ok = value_bytes(settings_text(s, id), &value);
    assert(ok);
    return value;
}

nanos settings_duration(const struct settings *s, enum setting_id id)
{
    nanos value = 0;
    bool ok = value_duration(settings_text(s, id), &value);
    assert(ok);
    return value;
}

bool settings_switch(const struct settings *s, enum setting_id id)
{
    bool value = false;
    bool ok = value_switch(settings_text(s, id), &value);
    assert(ok);
    return value;
}
