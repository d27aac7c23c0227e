/* --help and shell completion, from the same table. */
#include "cli/settings.h"

#include <stdio.h>
#include <string.h>

enum { FLAG_COLUMN = 4, TEXT_COLUMN = 30, LINE_COLUMNS = 96 };

/* Print words from TEXT_COLUMN on, wrapped; the cursor is already there. */
static void print_wrapped(const char *text, FILE *to)
{
    int column = TEXT_COLUMN;

    while (*text) {
        int word = (int)(strchrnul(text, ' ') - text);
        if (column > TEXT_COLUMN && column + 1 + word > LINE_COLUMNS) {
            fprintf(to, "\n%*s", TEXT_COLUMN, "");
            column = TEXT_COLUMN;
        }
        if (column > TEXT_COLUMN) column += fprintf(to, " ");
        column += fprintf(to, "%.*s", word, text);
        text += word;
        while (*text == ' ') text++;
    }
    fputc('\n', to);
}

static void print_setting(const struct setting *row, FILE *to)
{
    char text[512];
    int column = fprintf(to, "%*s--%s %s", FLAG_COLUMN, "", row->name, row->value);

    if (column > TEXT_COLUMN - 2) column = fprintf(to, "\n") - 1;
    fprintf(to, "%*s", TEXT_COLUMN - column, "");
    if (row->fallback) snprintf(text, sizeof text, "%s (default: %s)", row->help, row->fallback);
    else snprintf(text, sizeof text, "%s", row->help);
    print_wrapped(text, to);
}

static bool is_shown(const struct setting *row, enum setting_use command)
{
    return row->uses & command && !(row->uses & HIDDEN);
}

void settings_print_help(enum setting_use command, FILE *to)
{
    for (u32 i = 0; i < SETTING_COUNT; i++) {
        const char *group = settings_table[i].group;
        bool printed = false;

        if (!is_shown(&settings_table[i], command)) continue;
        for (u32 j = 0; j < i && !printed; j++)
            printed = is_shown(&settings_table[j], command) && settings_table[j].group == group;
        if (printed) continue; /* with the first of its group */
        fprintf(to, "\n  %s\n", group);
        for (u32 j = i; j < SETTING_COUNT; j++)
            if (is_shown(&settings_table[j], command) && settings_table[j].group == group)
                print_setting(&settings_table[j], to);
    }
    fprintf(to, "\n"
                "  Each flag can also be set as a QUORATE_ variable (--redis-port: "
                "QUORATE_REDIS_PORT=6379)\n"
                "  or as a line of the --config file (`redis-port: 6379`). A flag wins over the\n"
                "  environment, the environment over the file.\n");
}

void settings_print_names(enum setting_use command, FILE *to)
{
    for (u32 i = 0; i < SETTING_COUNT; i++)
        if (is_shown(&settings_table[i], command)) fprintf(to, "--%s\n", settings_table[i].name);
}
