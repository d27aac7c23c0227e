#include "sim/options.h"

#include "base/assert.h"
#include "sim/faults.h"
#include "sim/workload/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sim_options_defaults(struct sim_options *o)
{
    *o = (struct sim_options){.seed_first = 1, .seed_last = 50, .until = 60 * NANOS_SEC, .jobs = 2};
}

void sim_print_help(void)
{
    fputs("usage: quorate sim [options]\n"
          "\n"
          "Runs whole clusters of the real node code on virtual time, network and disks, with faults, and checks\n"
          "what their clients saw. A seed names one run: the same seed gives the same run, bit for bit.\n"
          "\n"
          "  --seeds A-B       the seeds to run (1-50)\n"
          "  --until TIME      simulated time of each, as 60s, 500ms or 5m (60s)\n"
          "  --jobs N          processes at a time; 0: all in this process, for a debugger (2)\n"
          "  --nodes N         nodes of the cluster, 1 to 7 (as the seed wants it: 3, sometimes 5)\n"
          "  --founders N      so many of them found the group; then nodes join, leave and are replaced (all)\n"
          "  --cluster         the whole cluster: of N machines (3 found it) nodes join, are drained, removed and\n"
          "                    replaced; keyspaces of many partitions are made and dropped\n"
          "  --memory          as --cluster, and the keyspaces made have durability=memory; nodes crash a minority at a\n"
          "                    time, or all in a power cut\n"
          "  --mode MODE       both: faults for 80% of the time, then every operation must finish (the default);\n"
          "                    safety: faults to the end; liveness: faults for half the time\n"
          "  --faults LIST     only these kinds of faults; none: no faults\n"
          "  --workloads LIST  only these workloads\n"
          "  --config FILE     your own cluster: nodes, racks, keyspaces, settings, faults, as its lines say;\n"
          "                    docs/operations/simulate.conf is an example, options after it count more\n"
          "  --mutant NAME     switch one known mistake on (needs a build with -DQUORATE_MUTANTS=ON)\n"
          "  --history FILE    write what the clients saw, for `quorate check FILE` (one seed)\n"
          "  --fail-fast       start no more seeds after a violation\n"
          "  --verbose         tell everything that happens\n"
          "\n"
          "faults:",
          stdout);
    for (u32 i = 0; faults_name(i); i++) printf(" %s", faults_name(i));
    fputs("\nworkloads:", stdout);
    for (u32 i = 0; workload_at(i); i++) printf(" %s", workload_at(i)->name);
    fputs("\n\n"
          "exit: 0 no violation, 1 some, 2 wrong options\n"
          "\n"
          "examples:\n"
          "  quorate sim --seeds 1-500 --until 60s --jobs 2\n"
          "  quorate sim --seeds 17-17 --until 60s --jobs 0 --verbose\n"
          "  quorate sim --seeds 1-20 --faults partition,crash --workloads registers\n",
          stdout);
}

bool sim_list_has(const char *list, const char *word)
{
    size_t bytes = strlen(word);

    if (!list) return true;
    while (*list) {
        size_t item = strcspn(list, ",");
        if (item == bytes && strncmp(list, word, bytes) == 0) return true;
        list += item + (list[item] == ',');
    }
    return false;
}

static bool parse_u64(const char *text, const char **end, u64 *out)
{
    char *stop;
    if (*text < '0' || *text > '9') return false;
    *out = strtoull(text, &stop, 10);
    *end = stop;
    return true;
}

static bool parse_seeds(const char *text, struct sim_options *o)
{
    if (!parse_u64(text, &text, &o->seed_first)) return false;
    o->seed_last = o->seed_first;
    if (*text == 0) return true;
    return *text == '-' && parse_u64(text + 1, &text, &o->seed_last) && *text == 0 && o->seed_last >= o->seed_first;
}

static bool parse_time(const char *text, nanos *out)
{
    u64 number;
    if (!parse_u64(text, &text, &number)) return false;
    if (strcmp(text, "ms") == 0) *out = number * NANOS_MS;
    else if (strcmp(text, "s") == 0 || *text == 0) *out = number * NANOS_SEC;
    else if (strcmp(text, "m") == 0) *out = number * 60 * NANOS_SEC;
    else return false;
    return *out > 0 && number < 1000000;
}

static bool parse_small(const char *text, u32 low, u32 high, u32 *out)
{
    u64 number;
    if (!parse_u64(text, &text, &number) || *text || number < low || number > high) return false;
    *out = (u32)number;
    return true;
}

static bool parse_mode(const char *text, enum sim_mode *out)
{
    static const char *const modes[] = {[SIM_BOTH] = "both", [SIM_SAFETY] = "safety", [SIM_LIVENESS] = "liveness"};
    for (u32 i = 0; i < ARRAY_LEN(modes); i++)
        if (strcmp(text, modes[i]) == 0) {
            *out = (enum sim_mode)i;
            return true;
        }
    return false;
}

static const char *workload_name(u32 row) { return workload_at(row) ? workload_at(row)->name : NULL; }

/* Is every word of the list a name? "none" is, alone. */
static bool parse_list(const char *text, const char *(*name_of)(u32 row), const char **out)
{
    *out = text;
    if (strcmp(text, "none") == 0) return true;
    for (const char *at = text; *at;) {
        size_t item = strcspn(at, ",");
        bool known = false;
        for (u32 row = 0; name_of(row) && !known; row++)
            known = strlen(name_of(row)) == item && strncmp(at, name_of(row), item) == 0;
        if (!known) return false;
        at += item + (at[item] == ',');
    }
    return true;
}

bool sim_options_set(struct sim_options *o, const char *name, const char *value)
{
    if (strcmp(name, "--seeds") == 0) return parse_seeds(value, o);
    if (strcmp(name, "--until") == 0) return parse_time(value, &o->until);
    if (strcmp(name, "--jobs") == 0) return parse_small(value, 0, 256, &o->jobs);
    if (strcmp(name, "--nodes") == 0) return parse_small(value, 1, 7, &o->nodes);
    if (strcmp(name, "--founders") == 0) return parse_small(value, 1, 7, &o->founders);
    if (strcmp(name, "--mode") == 0) return parse_mode(value, &o->mode);
    if (strcmp(name, "--faults") == 0) return parse_list(value, faults_name, &o->faults);
    if (strcmp(name, "--workloads") == 0) return parse_list(value, workload_name, &o->workloads);
    if (strcmp(name, "--mutant") == 0) o->mutant = value;
    if (strcmp(name, "--history") == 0) o->history_path = value;
    if (strcmp(name, "--config") == 0) {
        o->config_path = value;
        return o->config_room && sim_config_read(value, o->config_room, o);
    }
    return true;
}

enum sim_parse sim_options_parse(struct sim_options *o, int argc, char **argv)
{
    static const char *const with_value[] = {"--seeds", "--until", "--jobs", "--nodes", "--founders", "--mode", "--faults",
                                             "--workloads", "--mutant", "--history", "--config"};

    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        bool known = false;
        if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) return SIM_HELP;
        if (strcmp(name, "--verbose") == 0 || strcmp(name, "-v") == 0) {
            o->verbose = true;
            continue;
        }
        if (strcmp(name, "--cluster") == 0) {
            o->cluster = true;
            continue;
        }
        if (strcmp(name, "--memory") == 0) {
            o->cluster = o->memory = true;
            continue;
        }
        if (strcmp(name, "--fail-fast") == 0) {
            o->stop_at_first = true;
            continue;
        }
        for (size_t k = 0; k < ARRAY_LEN(with_value) && !known; k++) known = strcmp(name, with_value[k]) == 0;
        if (!known) {
            fprintf(stderr, "quorate sim: no option %s; --help lists them\n", name);
            return SIM_USAGE;
        }
        if (i + 1 == argc || !sim_options_set(o, name, argv[i + 1])) {
            fprintf(stderr, "quorate sim: %s does not take '%s'; --help has examples\n", name,
                    i + 1 == argc ? "" : argv[i + 1]);
            return SIM_USAGE;
        }
        i++;
    }
    return SIM_RUN;
}
