#include "sim/sim.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "base/str.h"
#include "sim/run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define AGAIN_ONE_IN 20 /* seeds that run twice and must give the same hash */
#define STDERR_SHOWN 4000
#define CHILD_SECONDS_MAX 300 /* of real time: a seed that takes longer hangs */

struct child { /* one seed under way in its own process */
    pid_t pid; /* 0: free */
    u64 seed;
    FILE *result, *errors; /* temporary files, shared with the child */
};

struct totals {
    u64 seeds, operations, faults, violations, undecided, splits, merges, moves;
    nanos simulated;
};

static bool choose_mutant(const char *name)
{
#ifdef QUORATE_MUTANTS
    if (mutant_choose(name)) return true;
    fprintf(stderr, "quorate sim: no mutant %s in src/sim/mutants.def\n", name);
#else
    fprintf(stderr, "quorate sim: --mutant %s needs a build with -DQUORATE_MUTANTS=ON\n", name);
#endif
    return false;
}

/* ---- one seed ---- */

static void run_checked(const struct sim_options *o, u64 seed, struct run_result *r)
{
    run_seed(o, seed, r);
    if (seed % AGAIN_ONE_IN != 0 || r->violations) return;

    struct run_result *again = mem_zalloc(sizeof *again);
    run_seed(o, seed, again);
    if (again->trace_hash != r->trace_hash) {
        r->violations++;
        snprintf(r->text, sizeof r->text,
                 "violation: not deterministic: trace-hash %016llx the first time, %016llx the second "
                 "(%llu and %llu events)\n",
                 (unsigned long long)r->trace_hash, (unsigned long long)again->trace_hash,
                 (unsigned long long)r->events, (unsigned long long)again->events);
    }
    mem_free(again);
}

static const char *mode_name(enum sim_mode m)
{
    return m == SIM_SAFETY ? "safety" : m == SIM_LIVENESS ? "liveness" : "both";
}

/* The command line that shows this seed again. */
static void print_replay(const struct sim_options *o, u64 seed)
{
    printf("replay: quorate sim --seeds %llu-%llu --until %llums --mode %s --jobs 0 --verbose",
           (unsigned long long)seed, (unsigned long long)seed, (unsigned long long)(o->until / NANOS_MS),
           mode_name(o->mode));
    if (o->config_path) printf(" --config %s", o->config_path);
    else if (o->cluster) printf(o->memory ? " --memory" : " --cluster");
    if (o->nodes) printf(" --nodes %u", o->nodes);
    if (o->founders) printf(" --founders %u", o->founders);
    if (o->faults) printf(" --faults %s", o->faults);
    if (o->workloads) printf(" --workloads %s", o->workloads);
    if (o->mutant) printf(" --mutant %s", o->mutant);
    putchar('\n');
}

static void report(const struct sim_options *o, const struct run_result *r, struct totals *t)
{
    t->seeds++;
    t->operations += r->operations;
    t->faults += r->faults;
    t->violations += r->violations;
    t->undecided += r->undecided;
    t->splits += r->splits;
    t->merges += r->merges;
    t->moves += r->moves;
    t->simulated += r->simulated;
    fputs(r->text, stdout);
    if (r->violations) print_replay(o, r->seed);
    printf("seed %llu trace-hash %016llx\n", (unsigned long long)r->seed, (unsigned long long)r->trace_hash);
    fflush(stdout);
}

/* ---- processes ---- */

static bool child_start(const struct sim_options *o, u64 seed, struct child *c)
{
    *c = (struct child){.seed = seed, .result = tmpfile(), .errors = tmpfile()};
    if (!c->result || !c->errors) {
        perror("quorate sim: temporary file");
        return false;
    }
    fflush(stdout);
    c->pid = fork();
    if (c->pid < 0) {
        perror("quorate sim: fork");
        return false;
    }
    if (c->pid > 0) return true;

    struct run_result *r = mem_zalloc(sizeof *r);
    dup2(fileno(c->errors), STDERR_FILENO);
    alarm(CHILD_SECONDS_MAX);
    run_checked(o, seed, r);
    fflush(stdout);
    bool written = fwrite(r, sizeof *r, 1, c->result) == 1 && fflush(c->result) == 0;
    _Exit(written ? 0 : 3);
}

/* A child that did not bring its result has died of an assertion, a panic or a signal: a violation. */
static void child_died(struct child *c, int status, struct run_result *r)
{
    char errors[STDERR_SHOWN + 1];
    long end = fseek(c->errors, 0, SEEK_END) == 0 ? ftell(c->errors) : 0;
    long from = end > STDERR_SHOWN ? end - STDERR_SHOWN : 0;

    (void)fseek(c->errors, from, SEEK_SET);
    size_t bytes = fread(errors, 1, STDERR_SHOWN, c->errors);
    errors[bytes] = 0;
    *r = (struct run_result){.seed = c->seed, .violations = 1};
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        snprintf(r->text, sizeof r->text, "violation: the seed did not end within %d real seconds\n", CHILD_SECONDS_MAX);
    else if (WIFSIGNALED(status))
        snprintf(r->text, sizeof r->text, "violation: the process died of signal %d: %s\n", WTERMSIG(status), errors);
    else
        snprintf(r->text, sizeof r->text, "violation: the process ended with %d: %s\n", WEXITSTATUS(status), errors);
}

static void child_finish(struct child *c, int status, struct run_result *r)
{
    rewind(c->result);
    bool whole = fread(r, sizeof *r, 1, c->result) == 1;
    if (!whole || !WIFEXITED(status) || WEXITSTATUS(status) != 0) child_died(c, status, r);
    fclose(c->result);
    fclose(c->errors);
    c->pid = 0;
}

static struct child *child_of(struct child *children, u32 count, pid_t pid)
{
    for (u32 i = 0; i < count; i++)
        if (children[i].pid == pid) return &children[i];
    return NULL;
}

/* Run seeds in o->jobs processes; results are told in the order of the seeds. */
static bool run_forked(const struct sim_options *o, struct totals *t)
{
    u64 seeds = o->seed_last - o->seed_first + 1, started = 0, told = 0;
    u32 running = 0;
    struct child *children = mem_zalloc_array(o->jobs, sizeof *children);
    struct run_result **results = mem_zalloc_array(seeds, sizeof *results);
    bool well = true;

    while (well && (running > 0 || (started < seeds && !(o->stop_at_first && t->violations)))) {
        struct child *slot = running < o->jobs ? child_of(children, o->jobs, 0) : NULL;
        if (slot && started < seeds && !(o->stop_at_first && t->violations)) {
            well = child_start(o, o->seed_first + started++, slot);
            running++;
            continue;
        }
        int status;
        pid_t pid = waitpid(-1, &status, 0);
        if (pid < 0 && errno == EINTR) continue;
        struct child *c = pid > 0 ? child_of(children, o->jobs, pid) : NULL;
        if (!c) continue;
        u64 place = c->seed - o->seed_first;
        results[place] = mem_zalloc(sizeof **results);
        child_finish(c, status, results[place]);
        running--;
        for (; told < seeds && results[told]; told++) {
            report(o, results[told], t);
            mem_free(results[told]);
        }
    }
    mem_free(children);
    mem_free(results);
    return well;
}

static void run_here(const struct sim_options *o, struct totals *t)
{
    struct run_result *r = mem_zalloc(sizeof *r);

    for (u64 seed = o->seed_first; seed <= o->seed_last; seed++) {
        run_checked(o, seed, r);
        report(o, r, t);
        if (o->stop_at_first && t->violations) break;
    }
    mem_free(r);
}

int sim_main(int argc, char **argv)
{
    struct sim_options o;
    struct sim_config config;
    struct totals t = {0};

    sim_options_defaults(&o);
    o.config_room = &config;
    switch (sim_options_parse(&o, argc, argv)) {
    case SIM_HELP: sim_print_help(); return 0;
    case SIM_USAGE: return 2;
    case SIM_RUN: break;
    }
    if (o.mutant && !choose_mutant(o.mutant)) return 2;
    if (o.jobs == 0)
        run_here(&o, &t);
    else if (!run_forked(&o, &t))
        return 2;
    if (t.undecided) printf("%llu keys undecided\n", (unsigned long long)t.undecided);
    if (o.cluster)
        printf("%llu partitions split, %llu merged, %llu replicas moved\n", (unsigned long long)t.splits,
               (unsigned long long)t.merges, (unsigned long long)t.moves);
    printf("%llu seeds, simulated %llus, %llu operations checked, %llu faults, %llu violations\n",
           (unsigned long long)t.seeds, (unsigned long long)(t.simulated / NANOS_SEC),
           (unsigned long long)t.operations, (unsigned long long)t.faults, (unsigned long long)t.violations);
    return t.violations ? 1 : 0;
}
