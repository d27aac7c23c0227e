/* The YAML file of --config, through libcyaml. Its schema is the settings table: one optional
 * string per row, so that a text means the same here, in the environment and in a flag. Both
 * commands read one file, so keys of the other command are allowed. */
#include "cli/settings.h"

#include "base/mem.h"

#include <cyaml/cyaml.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct file_values {
    char *text[SETTING_COUNT];
};

struct complaint { /* the first thing libcyaml says, which is the cause; then the line */
    char cause[160];
    char place[80];
};

static void *yaml_memory(void *context, void *old, size_t bytes)
{
    (void)context;
    if (bytes) return mem_resize(old, bytes);
    mem_free(old);
    return NULL;
}

static void yaml_log(cyaml_log_t level, void *context, const char *format, va_list args)
{
    struct complaint *c = context;
    char line[160];

    (void)level;
    vsnprintf(line, sizeof line, format, args);
    line[strcspn(line, "\n")] = 0;
    const char *text = strncmp(line, "Load: ", 6) == 0 ? line + 6 : line;
    const char *place = strstr(text, "(line: ");
    if (!c->cause[0]) snprintf(c->cause, sizeof c->cause, "%s", text);
    if (place && !c->place[0]) snprintf(c->place, sizeof c->place, "%.70s", place);
}

static void schema_fill(cyaml_schema_field_t fields[SETTING_COUNT + 1])
{
    memset(fields, 0, (SETTING_COUNT + 1) * sizeof fields[0]);
    for (u32 i = 0; i < SETTING_COUNT; i++) {
        fields[i].key = settings_table[i].name;
        fields[i].data_offset = (u32)(offsetof(struct file_values, text) + i * sizeof(char *));
        fields[i].value = (cyaml_schema_value_t){
            .type = CYAML_STRING,
            .flags = CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
            .data_size = 1,
            .string = {.min = 0, .max = 4096},
        };
    }
}

bool settings_read_file(struct settings *s, const char *path, char *problem, size_t problem_size)
{
    cyaml_schema_field_t fields[SETTING_COUNT + 1];
    const cyaml_schema_value_t top = {.type = CYAML_MAPPING,
                                      .flags = CYAML_FLAG_POINTER,
                                      .data_size = sizeof(struct file_values),
                                      .mapping = {.fields = fields}};
    struct complaint complaint = {0};
    const cyaml_config_t config = {.log_fn = yaml_log,
                                   .log_ctx = &complaint,
                                   .mem_fn = yaml_memory,
                                   .log_level = CYAML_LOG_ERROR};
    struct file_values *values = NULL;
    bool ok = true;

    if (access(path, R_OK)) {
        snprintf(problem, problem_size, "--config: cannot read %s: %m", path);
        return false;
    }
    schema_fill(fields);
    cyaml_err_t failed = cyaml_load_file(path, &config, &top, (cyaml_data_t **)&values, NULL);
    if (failed) {
        snprintf(problem, problem_size,
                 "--config: %s: %s %s; each line is `name: value` as in --help", path,
                 complaint.cause[0] ? complaint.cause : cyaml_strerror(failed), complaint.place);
        return false;
    }
    for (u32 i = 0; i < SETTING_COUNT && ok && values; i++)
        if (values->text[i])
            ok = settings_take(s, (enum setting_id)i, SOURCE_FILE, values->text[i], problem,
                               problem_size);
    cyaml_free(&config, &top, values, 0);
    return ok;
}
