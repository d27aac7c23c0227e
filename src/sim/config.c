#include "sim/config.h"

#include "sim/options.h"

#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES 512
#define WORDS_MAX      12

struct line {
    char *words[WORDS_MAX];
    u32 count;
    struct sim_config *config;
    struct sim_options *options;
};

static bool copy(char *out, size_t size, const char *text)
{
    int n = snprintf(out, size, "%s", text);
    return n > 0 && (size_t)n < size;
}

/* name=value */
static bool take_row(struct sim_row *row, const char *text)
{
    const char *sign = strchr(text, '=');
    size_t bytes = sign ? (size_t)(sign - text) : 0;

    if (bytes == 0 || bytes >= sizeof row->name) return false;
    memcpy(row->name, text, bytes);
    row->name[bytes] = 0;
    return copy(row->value, sizeof row->value, sign + 1);
}

static bool take_racks(struct line *l)
{
    for (u32 i = 1; i < l->count; i++)
        if (l->config->rack_count == SIM_RACKS_MAX ||
            !copy(l->config->racks[l->config->rack_count++], SIM_TEXT_MAX, l->words[i]))
            return false;
    return l->count > 1;
}

static bool take_keyspace(struct line *l)
{
    struct sim_keyspace *k = &l->config->keyspaces[l->config->keyspace_count];

    if (l->count < 2 || l->config->keyspace_count == SIM_KEYSPACES_MAX) return false;
    if (l->count - 2 > SIM_ROWS_MAX || !copy(k->name, sizeof k->name, l->words[1])) return false;
    for (u32 i = 2; i < l->count; i++)
        if (!take_row(&k->rows[k->row_count++], l->words[i])) return false;
    l->config->keyspace_count++;
    return true;
}

static bool take_settings(struct line *l)
{
    for (u32 i = 1; i < l->count; i++)
        if (l->config->setting_count == SIM_SETTINGS_MAX ||
            !take_row(&l->config->settings[l->config->setting_count++], l->words[i]))
            return false;
    return l->count > 1;
}

static bool take_operator(struct line *l)
{
    bool on = l->count == 2 && strcmp(l->words[1], "on") == 0, off = l->count == 2 && strcmp(l->words[1], "off") == 0;
    l->options->calm = off;
    return on || off;
}

static bool take_faults(struct line *l)
{
    return l->count == 2 && copy(l->config->faults, SIM_LIST_MAX, l->words[1]) &&
           sim_options_set(l->options, "--faults", l->config->faults);
}

static bool take_workloads(struct line *l)
{
    return l->count == 2 && copy(l->config->workloads, SIM_LIST_MAX, l->words[1]) &&
           sim_options_set(l->options, "--workloads", l->config->workloads);
}

static bool take_nodes(struct line *l) { return l->count == 2 && sim_options_set(l->options, "--nodes", l->words[1]); }
static bool take_until(struct line *l) { return l->count == 2 && sim_options_set(l->options, "--until", l->words[1]); }
static bool take_founders(struct line *l)
{
    return l->count == 2 && sim_options_set(l->options, "--founders", l->words[1]);
}

static const struct {
    const char *name;
    bool (*take)(struct line *l);
    const char *form;
} rows[] = {
    {"nodes", take_nodes, "nodes N, 1 to 7"},
    {"founders", take_founders, "founders N: so many of them found the cluster, the others join it"},
    {"racks", take_racks, "racks LABEL...: the machines' failure domains, in turn"},
    {"keyspace", take_keyspace, "keyspace NAME name=value...: as `quorate ks create` takes it"},
    {"set", take_settings, "set name=value...: settings of the cluster"},
    {"operator", take_operator, "operator on: drains, removes and replaces nodes; off: nobody does"},
    {"faults", take_faults, "faults LIST, as --faults takes it"},
    {"workloads", take_workloads, "workloads LIST, as --workloads takes it"},
    {"until", take_until, "until TIME, as --until takes it"},
};

static bool take_line(struct line *l, const char *path, u32 number)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].name, l->words[0]) != 0) continue;
        if (rows[i].take(l)) return true;
        fprintf(stderr, "quorate sim: %s:%u: expected %s\n", path, number, rows[i].form);
        return false;
    }
    fprintf(stderr, "quorate sim: %s:%u: no line begins with '%s'; there are", path, number, l->words[0]);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) fprintf(stderr, " %s", rows[i].name);
    fputc('\n', stderr);
    return false;
}

static void split(struct line *l, char *text)
{
    char *rest = NULL;

    text[strcspn(text, "#\r\n")] = 0;
    l->count = 0;
    for (char *word = strtok_r(text, " \t", &rest); word && l->count < WORDS_MAX; word = strtok_r(NULL, " \t", &rest))
        l->words[l->count++] = word;
}

bool sim_config_read(const char *path, struct sim_config *out, struct sim_options *o)
{
    struct line l = {.config = out, .options = o};
    char text[LINE_MAX_BYTES];
    bool well = true;
    FILE *in = fopen(path, "r");

    if (!in) {
        perror(path);
        return false;
    }
    *out = (struct sim_config){0};
    o->cluster = true;
    o->config = out;
    for (u32 number = 1; well && fgets(text, sizeof text, in); number++) {
        split(&l, text);
        if (l.count) well = take_line(&l, path, number);
    }
    fclose(in);
    return well;
}
