/* `quorate start`: one node on the real env, until it is asked to stop or must. */
#include "cli/commands.h"

#include "base/assert.h"
#include "cli/mounts.h"
#include "cli/node_settings.h"
#include "cli/ports.h"
#include "cli/values.h"
#include "env/env_real.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    FILES_BESIDE_CLIENTS = 768, /* log, store, peers, doors */
    BLOCK_CACHE_PERCENT = 15,   /* of --memory */
    STORE_PATH_MAX = 1024,
};

struct running {
    struct env *env;
    struct node *node;
};

static void print_help(void)
{
    printf("Usage: quorate start [FLAGS]\n\n"
           "Run one node. On an empty directory, without --peers, it founds a one-node cluster: a\n"
           "durable server that needs no configuration. With --peers it is one of a fixed set of\n"
           "members and never founds a cluster by itself. SIGTERM and SIGINT stop it cleanly.\n");
    settings_print_help(FOR_START, stdout);
    printf("\nExamples:\n"
           "  quorate start\n"
           "  quorate start --dir /var/lib/quorate --memory 2GB --host 0.0.0.0\n"
           "  quorate start --node 1 --peers 1=10.0.0.1:7379,2=10.0.0.2:7379,3=10.0.0.3:7379\n"
           "  quorate start --config /etc/quorate.yaml\n");
}

/* The demo's nodes end with it, however it ends. */
static bool parent_watched(const struct settings *s)
{
    if (!settings_is_set(s, SET_DIE_WITH_PARENT)) return true;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* what was acknowledged is durable */
    return getppid() == (pid_t)settings_number(s, SET_DIE_WITH_PARENT); /* it may be dead already */
}

/* Raise the open-file limit to what the clients need; lower the clients if nobody asked for so
 * many. */
static bool file_limit_raise(const struct settings *s, struct node_config *c, char *problem,
                             size_t size)
{
    struct rlimit limit;
    rlim_t need = (rlim_t)c->clients_max + FILES_BESIDE_CLIENTS;
    char name[128];

    if (getrlimit(RLIMIT_NOFILE, &limit)) return true;
    if (limit.rlim_cur >= need) return true;
    struct rlimit wanted = {need, limit.rlim_max > need ? limit.rlim_max : need};
    if (setrlimit(RLIMIT_NOFILE, &wanted) == 0) return true;
    limit.rlim_cur = limit.rlim_max; /* not root: as far as we may */
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= need) return true;
    u32 possible = limit.rlim_cur > FILES_BESIDE_CLIENTS
                       ? (u32)(limit.rlim_cur - FILES_BESIDE_CLIENTS)
                       : 0;
    if (settings_is_set(s, SET_CLIENTS_MAX) || possible == 0) {
        settings_spell(s, SET_CLIENTS_MAX, name, sizeof name);
        snprintf(problem, size,
                 "the open-file limit is %lu, but %s %u needs %lu: raise it (ulimit -n %lu, or "
                 "LimitNOFILE in "
                 "the service)%s",
                 (unsigned long)limit.rlim_cur, name, c->clients_max, (unsigned long)need,
                 (unsigned long)need, possible ? " or ask for fewer clients" : "");
        return false;
    }
    fprintf(stderr,
            "quorate: the open-file limit is %lu, so at most %u clients (not %u) are served; raise "
            "it with ulimit -n %lu\n",
            (unsigned long)limit.rlim_cur, possible, c->clients_max, (unsigned long)need);
    c->clients_max = possible;
    return true;
}

struct store_place {
    const char *dir;
    size_t memory_bytes;
};

static err open_kvs(void *context, struct kvs **out, char *problem, size_t problem_size)
{
    const struct store_place *place = context;
    const struct kvs_rocks_options options = {
        .block_cache_bytes = place->memory_bytes / 100 * BLOCK_CACHE_PERCENT,
        .threads = 1,
    };
    char path[STORE_PATH_MAX];

    snprintf(path, sizeof path, "%s/store", place->dir);
    return kvs_rocks_open(path, &options, out, problem, problem_size);
}

/* node_new says that an address is in use; say here which, whose, and what to do. */
static void explain_ports(const struct node_config *c)
{
    const struct {
        u16 port;
        const char *flag;
    } doors[] = {{c->redis_port, "--redis-port"},
                 {c->peer_port, "--peer-port"},
                 {c->admin_port, "--admin-port"}};

    for (u32 i = 0; i < ARRAY_LEN(doors); i++) {
        char holder[128];
        if (port_is_free(c->host, doors[i].port)) continue;
        port_holder(doors[i].port, holder, sizeof holder);
        fprintf(stderr, "quorate: port %u is in use by %s; stop it or choose another one with %s\n",
                doors[i].port, holder, doors[i].flag);
    }
}

static void warn_of_mount(struct env *env, const char *dir)
{
    if (mounted_with("/proc/self/mounts", dir, "discard"))
        env_log(env, LOG_WARN,
                "%s is on a file system mounted with discard: writes wait while deleted files are given back to the disk; "
                "mount it with nodiscard, and run fstrim now and then",
                dir);
}

static void print_banner(const struct running *r, const struct node_config *c, const char *dir,
                         bool buffered)
{
    struct node_view view;
    char id[33];

    if (node_is_joining(r->node)) {
        printf("quorate %s, joining through %s:%u\n", QUORATE_VERSION, c->seeds[0].host,
               c->seeds[0].peer_port);
        fflush(stdout);
        return;
    }
    node_view(r->node, &view);
    value_print_cluster_id(view.cluster_id, id);
    printf("quorate %s, node %u of %u\n"
           "  cluster  %s\n"
           "  redis    %s:%u\n"
           "  peers    %s:%u\n"
           "  admin    http://%s:%u\n"
           "  data     %s (%s, %s)\n",
           QUORATE_VERSION, view.self, view.member_count, id, c->host, c->redis_port, c->host,
           c->peer_port, c->host, c->admin_port, dir, r->env->disk_how,
           buffered || r->env->direct_refused ? "buffered" : "O_DIRECT");
    fflush(stdout);
}

static bool turn(void *context)
{
    struct running *r = context;
    bool more = node_turn(r->node);

    if (node_failure(r->node) || node_stopped(r->node)) env_real_stop(r->env);
    return more;
}

static int run(struct running *r)
{
    env_real_run(r->env, turn, r);
    const char *failure = node_failure(r->node);
    if (failure) { /* the disk may hang: do not wait for it */
        env_log(r->env, LOG_ERROR, "the node stops reason=\"%s\"", failure);
        _exit(1);
    }
    env_real_quiesce(r->env);
    return 0;
}

static int start(const struct settings *s)
{
    const char *dir = settings_text(s, SET_DIR) ? settings_text(s, SET_DIR) : "quorate-data";
    struct env_real_options options = {
        .dir = dir, .disk = settings_text(s, SET_IO), .buffered = !settings_switch(s, SET_DIRECT)};
    struct node_config config;
    struct running r = {0};
    char problem[512] = "";
    int status = 1;

    bool ok = env_log_level_parse(settings_text(s, SET_LOG_LEVEL), &options.log_level);
    assert(ok); /* a choice of the table */
    if (!node_config_from(s, &config, problem, sizeof problem) ||
        !file_limit_raise(s, &config, problem, sizeof problem)) {
        fprintf(stderr, "quorate start: %s\n", problem);
        return 2;
    }
    struct store_place place = {dir, config.memory_bytes};
    config.open_kvs = open_kvs;
    config.open_kvs_context = &place;

    err e = env_real_new(&options, &r.env, problem, sizeof problem);
    if (!e) e = node_new(r.env, &config, problem, sizeof problem, &r.node);
    if (e) {
        fprintf(stderr, "quorate start: %s\n", problem[0] ? problem : err_text(e));
        if (e == ERR_ADDRESS_IN_USE) explain_ports(&config);
    } else {
        print_banner(&r, &config, dir, options.buffered);
        warn_of_mount(r.env, dir);
        status = run(&r);
        node_free(r.node);
    }
    env_real_free(r.env);
    return status;
}

int start_main(int argc, char **argv)
{
    struct settings s;
    char problem[512];
    int status = 2;

    prctl(PR_SET_NAME, "quorate"); /* the demo runs us as /proc/self/exe */
    switch (settings_read(&s, FOR_START, argc, argv, problem, sizeof problem)) {
    case SETTINGS_HELP:
        print_help();
        status = 0;
        break;
    case SETTINGS_REFUSED: fprintf(stderr, "quorate start: %s\n", problem); break;
    case SETTINGS_READ:
        if (parent_watched(&s)) status = start(&s);
        break;
    }
    settings_done(&s);
    return status;
}
