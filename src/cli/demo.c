/* `quorate demo`: a durable cluster on this machine, each node its own process. */
#include "cli/commands.h"

#include "base/assert.h"
#include "base/mem.h"
#include "cli/http.h"
#include "cli/ports.h"
#include "cli/settings.h"
#include "cli/supervisor.h"
#include "cli/values.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    DEMO_NODES_MAX = 7,
    REDIS_PORT = 6379,
    PEER_PORT = 7379,
    ADMIN_PORT = 8379,
    ASK_TIMEOUT_MS = 300,
    STOP_TICKS_MAX = 70, /* 7 s for a clean stop, then SIGKILL: within 10 s in all */
    PATIENCE_TICKS = 30, /* a leader serves, but one node is not ready: say so after 3 s */
    LOG_LINES_SHOWN = 4,
};

static const char here[] = "127.0.0.1";

struct demo {
    const struct settings *settings;
    const char *dir;
    char cluster_id[33];
    char program[MEMBER_PATH_MAX];
    u32 count;
    u16 offset;
    bool restart, found_data;
    bool announced;
    u32 ticks_served;
    int signals; /* signalfd */
    struct member members[DEMO_NODES_MAX];
};

static void print_help(void)
{
    printf(
        "Usage: quorate demo [FLAGS]\n\n"
        "Run a durable cluster on this machine, each node its own process on 127.0.0.1, and print\n"
        "`ready` with the addresses when a leader serves. Started again on the same directory it\n"
        "continues with the data. A dead node is reported. SIGINT and SIGTERM stop all nodes.\n");
    settings_print_help(FOR_DEMO, stdout);
    printf("\nExamples:\n"
           "  quorate demo\n"
           "  quorate demo --nodes 5 --dir /var/tmp/five --port-offset 100\n"
           "  quorate demo --restart --memory 256MB\n"
           "  redis-cli -p 6379 SET k v; redis-cli -p 6381 GET k\n");
}

/* --- the directory --- */

/* DIR/cluster remembers what must not change: the cluster's id and its number of nodes. */
static bool cluster_remember(struct demo *d, char *problem, size_t size)
{
    char path[MEMBER_PATH_MAX], temporary[MEMBER_PATH_MAX + 8];
    u8 id[16];

    snprintf(path, sizeof path, "%s/cluster", d->dir);
    FILE *f = fopen(path, "re");
    if (f) {
        u32 nodes = 0;
        int got = fscanf(f, "id %32[0-9a-f]\nnodes %u", d->cluster_id, &nodes);
        fclose(f);
        d->found_data = true;
        if (got == 2 && nodes == d->count) return true;
        if (got == 2)
            snprintf(problem, size,
                     "%s holds a cluster of %u nodes, not %u: use --nodes %u, or another --dir",
                     d->dir, nodes, d->count, nodes);
        else snprintf(problem, size, "%s is not readable; use another --dir", path);
        return false;
    }
    while (getrandom(id, sizeof id, 0) != sizeof id) assert(errno == EINTR);
    value_print_cluster_id(id, d->cluster_id);
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    f = fopen(temporary, "we");
    bool ok = f && fprintf(f, "id %s\nnodes %u\n", d->cluster_id, d->count) > 0 && fflush(f) == 0 &&
              fsync(fileno(f)) == 0;
    if (f) fclose(f);
    if (ok && rename(temporary, path) == 0) return true;
    snprintf(problem, size, "cannot write %s: %s; use another --dir", path, strerror(errno));
    return false;
}

static bool dir_make(const char *dir, char *problem, size_t size)
{
    char path[MEMBER_PATH_MAX];

    if (strlen(dir) >= MEMBER_PATH_MAX - 32) {
        snprintf(problem, size, "--dir is too long");
        return false;
    }
    snprintf(path, sizeof path, "%s", dir);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0750);
        *slash = '/';
    }
    if (mkdir(path, 0750) == 0 || errno == EEXIST) return true;
    snprintf(problem, size, "cannot make the directory %s: %s; use another --dir", dir,
             strerror(errno));
    return false;
}

/* --- the nodes --- */

static void add_flag(struct member *m, const char *name, const char *value)
{
    char flag[64];
    snprintf(flag, sizeof flag, "--%s", name);
    member_add_arg(m, flag);
    member_add_arg(m, value);
}

static void add_number(struct member *m, enum setting_id id, u64 value)
{
    char text[24];
    snprintf(text, sizeof text, "%lu", value);
    add_flag(m, settings_table[id].name, text);
}

static void member_prepare(struct demo *d, u32 i, const char *peers)
{
    struct member *m = &d->members[i];
    char dir[MEMBER_PATH_MAX];

    snprintf(dir, sizeof dir, "%s/node%u", d->dir, m->id);
    snprintf(m->log, sizeof m->log, "%s/node%u.log", d->dir, m->id);
    member_add_arg(m, d->program);
    member_add_arg(m, "start");
    add_number(m, SET_NODE, m->id);
    add_flag(m, "peers", peers);
    add_flag(m, "cluster-id", d->cluster_id);
    add_flag(m, "dir", dir);
    add_flag(m, "host", here);
    add_number(m, SET_REDIS_PORT, m->redis_port);
    add_number(m, SET_PEER_PORT, m->peer_port);
    add_number(m, SET_ADMIN_PORT, m->admin_port);
    /* Variables are inherited, and --config is itself a flag: only flags need handing on. */
    for (u32 s = 0; s < SETTING_COUNT; s++) {
        if (!(settings_table[s].uses & PASSED_ON) || d->settings->value[s].source != SOURCE_FLAG)
            continue;
        add_flag(m, settings_table[s].name, d->settings->value[s].text);
    }
    add_number(m, SET_DIE_WITH_PARENT, (u64)getpid());
}

static void members_prepare(struct demo *d)
{
    char peers[DEMO_NODES_MAX * 32] = "";
    size_t len = 0;

    for (u32 i = 0; i < d->count; i++) {
        struct member *m = &d->members[i];
        m->id = i + 1;
        m->redis_port = (u16)(REDIS_PORT + d->offset + i);
        m->peer_port = (u16)(PEER_PORT + d->offset + i);
        m->admin_port = (u16)(ADMIN_PORT + d->offset + i);
        len += (size_t)snprintf(peers + len, sizeof peers - len, "%s%u=%s:%u", i ? "," : "", m->id,
                                here, m->peer_port);
        assert(len < sizeof peers);
    }
    for (u32 i = 0; i < d->count; i++) member_prepare(d, i, peers);
}

static bool ports_are_free(const struct demo *d)
{
    bool all_free = true;

    for (u32 i = 0; i < d->count; i++) {
        const u16 ports[] = {d->members[i].redis_port, d->members[i].peer_port,
                             d->members[i].admin_port};
        for (u32 p = 0; p < ARRAY_LEN(ports); p++) {
            char holder[128];
            if (port_is_free(here, ports[p])) continue;
            port_holder(ports[p], holder, sizeof holder);
            fprintf(stderr, "quorate demo: port %u is in use by %s\n", ports[p], holder);
            all_free = false;
        }
    }
    if (!all_free)
        fprintf(
            stderr,
            "quorate demo: stop what holds the ports, or choose others with --port-offset, like "
            "--port-offset %u\n",
            d->offset + 100);
    return all_free;
}

/* --- ready --- */

static bool member_is_ready(const struct member *m)
{
    char body[64];
    return m->pid &&
           http_get(here, m->admin_port, "/readyz", ASK_TIMEOUT_MS, body, sizeof body) == 200;
}

static u32 leader_of(const struct member *m)
{
    char body[4096];
    unsigned leader = 0;

    if (http_get(here, m->admin_port, "/cluster", ASK_TIMEOUT_MS, body, sizeof body) != 200)
        return 0;
    const char *at = strstr(body, "\"leader\":");
    if (at) sscanf(at, "\"leader\": %u", &leader);
    return leader;
}

static void announce(struct demo *d, u32 leader)
{
    printf("ready\n\n  node  redis            admin                   pid      log\n");
    for (u32 i = 0; i < d->count; i++) {
        const struct member *m = &d->members[i];
        const char *role = m->pid ? "" : "  (dead)";
        if (m->id == leader) role = "  (leader)";
        printf("  %-4u  %s:%-5u  http://%s:%-5u  %-7d  %s%s\n", m->id, here, m->redis_port, here,
               m->admin_port, m->pid, m->log, role);
    }
    printf("\nTry: redis-cli -p %u SET k v; redis-cli -p %u GET k\nStop with Ctrl-C.\n",
           d->members[0].redis_port, d->members[d->count - 1].redis_port);
    fflush(stdout);
    d->announced = true;
}

/* Ready when a leader serves and every living node answers; a straggler is waited for, not for
 * ever. */
static void look_for_ready(struct demo *d)
{
    u32 ready = 0, alive = members_alive(d->members, d->count), leader = 0;

    for (u32 i = 0; i < d->count; i++) {
        if (!member_is_ready(&d->members[i])) continue;
        ready++;
        if (!leader) leader = leader_of(&d->members[i]);
    }
    if (ready == 0) return;
    if (ready == alive || ++d->ticks_served >= PATIENCE_TICKS) announce(d, leader);
}

/* --- deaths --- */

static void show_log_end(const struct member *m)
{
    char lines[LOG_LINES_SHOWN][512] = {{0}};
    u32 count = 0;
    FILE *f = fopen(m->log, "re");

    if (!f) return;
    while (fgets(lines[count % LOG_LINES_SHOWN], sizeof lines[0], f)) count++;
    fclose(f);
    for (u32 i = count > LOG_LINES_SHOWN ? count - LOG_LINES_SHOWN : 0; i < count; i++)
        fprintf(stderr, "    %s", lines[i % LOG_LINES_SHOWN]);
}

static void report_death(struct demo *d, struct member *m)
{
    char how[64], command[4096];
    u32 alive = members_alive(d->members, d->count);
    bool quorum = alive > d->count / 2;

    member_describe_death(m, how, sizeof how);
    fprintf(stderr, "node %u died: %s; %u of %u nodes run, %s\n", m->id, how, alive, d->count,
            quorum ? "the cluster serves on" : "no quorum: writes answer -NOQUORUM");
    fprintf(stderr, "  the end of %s:\n", m->log);
    show_log_end(m);
    if (d->restart) {
        member_schedule_restart(m);
        fprintf(stderr, "  it is started again in %u ms\n", m->ticks_to_start * TICK_MS);
        return;
    }
    member_print_command(m, command, sizeof command);
    fprintf(stderr, "  start it again with (or let demo --restart do it):\n    %s\n", command);
}

static void members_tick(struct demo *d)
{
    for (u32 i = 0; i < d->count; i++) {
        struct member *m = &d->members[i];
        if (!member_tick(m)) continue;
        if (member_start(m)) fprintf(stderr, "node %u runs again, pid %d\n", m->id, m->pid);
        else member_schedule_restart(m);
    }
}

/* --- the loop --- */

/* One tick, or earlier when a signal comes: SIGINT, SIGTERM or SIGHUP ask to stop. */
static bool wait_tick(struct demo *d, bool *tick_over)
{
    struct pollfd p = {.fd = d->signals, .events = POLLIN};
    struct signalfd_siginfo info;

    *tick_over = poll(&p, 1, TICK_MS) == 0;
    if (*tick_over || read(d->signals, &info, sizeof info) != sizeof info) return false;
    return info.ssi_signo != SIGCHLD;
}

static bool signals_take(struct demo *d)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD};
    sigset_t set;

    sigemptyset(&set);
    for (u32 i = 0; i < ARRAY_LEN(numbers); i++) {
        signal(numbers[i], SIG_DFL); /* a script's background job inherits SIGINT as ignored */
        sigaddset(&set, numbers[i]);
    }
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    d->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return d->signals >= 0;
}

static void stop_all(struct demo *d)
{
    bool tick_over;

    printf("stopping %u nodes\n", members_alive(d->members, d->count));
    fflush(stdout);
    members_ask_to_stop(d->members, d->count);
    for (u32 ticks = 0; members_alive(d->members, d->count);) {
        if (wait_tick(d, &tick_over)) ticks = STOP_TICKS_MAX; /* asked twice: now */
        ticks += tick_over;
        if (ticks >= STOP_TICKS_MAX) members_kill(d->members, d->count);
        while (members_reap(d->members, d->count)) {
        }
    }
    printf("stopped\n");
}

static int supervise(struct demo *d)
{
    bool tick_over;

    while (!wait_tick(d, &tick_over)) {
        struct member *dead;
        while ((dead = members_reap(d->members, d->count))) report_death(d, dead);
        if (tick_over) members_tick(d);
        if (!d->restart && members_alive(d->members, d->count) == 0) {
            fprintf(stderr, "quorate demo: all nodes are dead\n");
            return 1;
        }
        if (tick_over && !d->announced) look_for_ready(d);
    }
    stop_all(d);
    return 0;
}

static int demo(const struct settings *s)
{
    struct demo *d = mem_zalloc(sizeof *d);
    char problem[1024];
    int status = 2;

    d->settings = s;
    d->dir = settings_text(s, SET_DIR) ? settings_text(s, SET_DIR) : "data";
    d->count = (u32)settings_number(s, SET_NODES);
    d->offset = (u16)settings_number(s, SET_PORT_OFFSET);
    d->restart = settings_switch(s, SET_RESTART);
    assert(d->count <= DEMO_NODES_MAX);
    if (readlink("/proc/self/exe", d->program, sizeof d->program - 1) < 0)
        snprintf(d->program, sizeof d->program, "quorate");
    if (!dir_make(d->dir, problem, sizeof problem) ||
        !cluster_remember(d, problem, sizeof problem)) {
        fprintf(stderr, "quorate demo: %s\n", problem);
        goto done;
    }
    members_prepare(d);
    if (!ports_are_free(d)) goto done;
    if (!signals_take(d)) {
        perror("quorate demo: signalfd");
        goto done;
    }
    printf("quorate demo: %u nodes, data in %s (%s), cluster %s\n", d->count, d->dir,
           d->found_data ? "found" : "new", d->cluster_id);
    fflush(stdout);
    for (u32 i = 0; i < d->count; i++) {
        if (member_start(&d->members[i])) continue;
        fprintf(stderr, "quorate demo: cannot start node %u: %s\n", i + 1, strerror(errno));
        stop_all(d);
        goto done;
    }
    status = supervise(d);

done:
    for (u32 i = 0; i < DEMO_NODES_MAX; i++) member_done(&d->members[i]);
    mem_free(d);
    return status;
}

int demo_main(int argc, char **argv)
{
    struct settings s;
    char problem[1024];
    int status = 2;

    switch (settings_read(&s, FOR_DEMO, argc, argv, problem, sizeof problem)) {
    case SETTINGS_HELP:
        print_help();
        status = 0;
        break;
    case SETTINGS_REFUSED: fprintf(stderr, "quorate demo: %s\n", problem); break;
    case SETTINGS_READ: status = demo(&s); break;
    }
    settings_done(&s);
    return status;
}
