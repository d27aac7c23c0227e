#include "base/test.h"

#include "cli/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct settings s;
static char problem[512];

static enum settings_outcome read_words(enum setting_use command, int argc,
                                        const char *const *words)
{
    char *argv[16];
    for (int i = 0; i < argc; i++) argv[i] = (char *)(uintptr_t)words[i];
    problem[0] = 0;
    settings_done(&s);
    return settings_read(&s, command, argc, argv, problem, sizeof problem);
}
#define READ(command, ...)                                                                         \
    read_words(command, (int)ARRAY_LEN(((const char *[]){"start", __VA_ARGS__})),                  \
               (const char *[]){"start", __VA_ARGS__})
#define SAYS(text) assert_non_null(strstr(problem, text))

static int forget(void **state)
{
    (void)state;
    settings_done(&s);
    unsetenv("QUORATE_REDIS_PORT");
    unsetenv("QUORATE_MEMORY");
    unsetenv("QUORATE_CONFIG");
    return 0;
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static const char *temporary(const char *text)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/quorate-settings-%d.yaml", getpid());
    write_file(path, text);
    return path;
}

TEST(settings, fall_back_to_the_table)
{
    CHECK_EQ(READ(FOR_START, "--dir", "d"), SETTINGS_READ);
    CHECK_EQ(settings_number(&s, SET_REDIS_PORT), 6379);
    CHECK_EQ(settings_bytes(&s, SET_VALUE_MAX), 16 * MIB);
    CHECK_EQ(settings_duration(&s, SET_REQUEST_TIMEOUT), 1500 * NANOS_MS);
    CHECK(settings_switch(&s, SET_DIRECT));
    CHECK(!settings_is_set(&s, SET_REDIS_PORT));
    assert_null(settings_text(&s, SET_PEERS));
}

TEST(settings, every_default_is_a_value_of_its_kind)
{
    for (u32 i = 0; i < SETTING_COUNT; i++) {
        if (!settings_table[i].fallback) continue;
        CHECK(settings_take(&s, (enum setting_id)i, SOURCE_FLAG, settings_table[i].fallback,
                            problem, sizeof problem));
    }
}

TEST(settings, take_flags_in_both_forms)
{
    CHECK_EQ(READ(FOR_START, "--redis-port", "7000", "--memory=256MB", "--debug-commands",
                  "--direct=off"),
             SETTINGS_READ);
    CHECK_EQ(settings_number(&s, SET_REDIS_PORT), 7000);
    CHECK_EQ(settings_bytes(&s, SET_MEMORY), 256 * MIB);
    CHECK(settings_switch(&s, SET_DEBUG_COMMANDS));
    CHECK(!settings_switch(&s, SET_DIRECT));
}

TEST(settings, a_flag_wins_over_the_environment_and_that_over_the_file)
{
    const char *file = temporary(
        "redis-port: 1\nmemory: 100MB\nadmin-port: 3\npeers: 1=a:1,2=b:2\n");
    setenv("QUORATE_CONFIG", file, 1);
    setenv("QUORATE_REDIS_PORT", "2", 1);
    setenv("QUORATE_MEMORY", "200MB", 1);
    CHECK_EQ(READ(FOR_START, "--memory", "300MB"), SETTINGS_READ);
    CHECK_EQ(settings_bytes(&s, SET_MEMORY), 300 * MIB);
    CHECK_EQ(settings_number(&s, SET_REDIS_PORT), 2);
    CHECK_EQ(settings_number(&s, SET_ADMIN_PORT), 3);
    assert_string_equal(settings_text(&s, SET_PEERS), "1=a:1,2=b:2");
    remove(file);
}

TEST(settings, refusals_name_the_source_and_the_remedy)
{
    CHECK_EQ(READ(FOR_START, "--memory", "12XB"), SETTINGS_REFUSED);
    SAYS("--memory: '12XB'");
    SAYS("256MB");
    setenv("QUORATE_MEMORY", "lots", 1);
    CHECK_EQ(READ(FOR_START, "--dir", "d"), SETTINGS_REFUSED);
    SAYS("QUORATE_MEMORY: 'lots'");
    CHECK_EQ(READ(FOR_START, "--memroy", "1GB"), SETTINGS_REFUSED);
    SAYS("did you mean --memory");
    CHECK_EQ(READ(FOR_START, "--redis-port"), SETTINGS_REFUSED);
    SAYS("--redis-port wants a value");
    CHECK_EQ(READ(FOR_START, "extra"), SETTINGS_REFUSED);
    SAYS("'extra' is not a flag");
    CHECK_EQ(READ(FOR_START, "--io", "tape"), SETTINGS_REFUSED);
    SAYS("uring|thread|auto");
    CHECK_EQ(READ(FOR_DEMO, "--peers", "1=a:1"), SETTINGS_REFUSED);
}

TEST(settings, a_file_with_an_unknown_name_is_refused)
{
    const char *file = temporary("redis-port: 1\nredis-prot: 2\n");
    CHECK_EQ(READ(FOR_START, "--config", file), SETTINGS_REFUSED);
    SAYS("redis-prot");
    SAYS(file);
    remove(file);
}

TEST(settings, a_file_with_a_wrong_value_or_no_mapping_is_refused)
{
    const char *file = temporary("memory: plenty\n");
    CHECK_EQ(READ(FOR_START, "--config", file), SETTINGS_REFUSED);
    SAYS("memory");
    SAYS("plenty");
    temporary("- a\n- b\n");
    CHECK_EQ(READ(FOR_START, "--config", file), SETTINGS_REFUSED);
    temporary("a: [\n");
    CHECK_EQ(READ(FOR_START, "--config", file), SETTINGS_REFUSED);
    remove(file);
    CHECK_EQ(READ(FOR_START, "--config", file), SETTINGS_REFUSED);
    SAYS("cannot read");
}

TEST(settings, a_file_may_hold_names_of_the_other_command)
{
    const char *file = temporary("nodes: 5\nredis-port: 7000\n");
    CHECK_EQ(READ(FOR_START, "--config", file), SETTINGS_READ);
    CHECK_EQ(settings_number(&s, SET_REDIS_PORT), 7000);
    remove(file);
}

TEST(settings, help_is_asked_for)
{
    CHECK_EQ(READ(FOR_START, "--help"), SETTINGS_HELP);
    CHECK_EQ(READ(FOR_START, "-h"), SETTINGS_HELP);
}

TEST(help, shows_every_flag_of_the_command_and_no_other)
{
    char *text;
    size_t bytes;
    FILE *to = open_memstream(&text, &bytes);
    settings_print_help(FOR_DEMO, to);
    fclose(to);
    assert_non_null(strstr(text, "--port-offset N"));
    assert_non_null(strstr(text, "(default: 16MB)"));
    assert_null(strstr(text, "--peers"));
    assert_null(strstr(text, "--die-with-parent"));
    free(text);
}

#define CLEAN(group, name) cmocka_unit_test_teardown(group##__##name, forget)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLEAN(settings, fall_back_to_the_table),
        CLEAN(settings, every_default_is_a_value_of_its_kind),
        CLEAN(settings, take_flags_in_both_forms),
        CLEAN(settings, a_flag_wins_over_the_environment_and_that_over_the_file),
        CLEAN(settings, refusals_name_the_source_and_the_remedy),
        CLEAN(settings, a_file_with_an_unknown_name_is_refused),
        CLEAN(settings, a_file_with_a_wrong_value_or_no_mapping_is_refused),
        CLEAN(settings, a_file_may_hold_names_of_the_other_command),
        CLEAN(settings, help_is_asked_for),
        CLEAN(help, shows_every_flag_of_the_command_and_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
