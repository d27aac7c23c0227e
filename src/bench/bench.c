#include "bench/bench.h"

#include "base/mem.h"
#include "bench/workloads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_help(void)
{
    u32 count;
    const struct bench_workload *w = bench_workloads(&count);

    puts("usage: quorate bench [--seconds N] [--dir DIR] [WORKLOAD...]\n\n"
         "What the parts cost on this machine, each by itself on one thread. For the whole cluster "
         "beside\n"
         "Redis: make bench.\n");
    for (u32 i = 0; i < count; i++) printf("  %-6s %s\n", w[i].name, w[i].what);
    puts("\n  --seconds N  per workload (default 2)\n"
         "  --dir DIR    where `disk` writes its file (default ./quorate-bench)\n\n"
         "examples:\n"
         "  quorate bench\n"
         "  quorate bench disk --dir /var/lib/quorate --seconds 10");
}

static bool run_one(const struct bench_workload *w, nanos budget, const char *dir)
{
    struct bench_result r = {0};
    char problem[256] = "";

    printf("%-6s %-42s ", w->name, w->what);
    fflush(stdout);
    if (!w->run(budget, dir, &r, problem, sizeof problem)) {
        printf("failed: %s\n", problem);
        return false;
    }
    double seconds = (double)r.took / 1e9;
    printf("%12.0f /s   %9.0f ns per %s\n", (double)r.operations / seconds,
           (double)r.took / (double)r.operations, r.unit);
    return true;
}

static bool is_asked(const char *name, char **names, int count)
{
    if (count == 0) return true;
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

int bench_main(int argc, char **argv)
{
    const char *dir = "quorate-bench";
    double seconds = 2;
    char **names = mem_zalloc_array((size_t)argc + 1, sizeof *names);
    int asked = 0, failed = 0;
    u32 count, known = 0;
    const struct bench_workload *w = bench_workloads(&count);

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            print_help();
            mem_free(names);
            return 0;
        }
        if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
            seconds = strtod(argv[++i], NULL);
        else if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc)
            dir = argv[++i];
        else
            names[asked++] = argv[i];
    }
    for (int i = 0; i < asked; i++)
        for (u32 j = 0; j < count; j++) known += strcmp(names[i], w[j].name) == 0;
    if (known != (u32)asked || seconds <= 0) {
        fprintf(stderr, "quorate bench: unknown workload or option; see quorate bench --help\n");
        mem_free(names);
        return 2;
    }
    for (u32 i = 0; i < count; i++)
        if (is_asked(w[i].name, names, asked))
            failed += !run_one(&w[i], (nanos)(seconds * 1e9), dir);
    mem_free(names);
    return failed ? 1 : 0;
}
