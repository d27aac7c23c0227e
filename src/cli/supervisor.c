#include "cli/supervisor.h"

#include "base/assert.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PAUSE_TICKS_MIN = 2,          /* 200 ms */
    PAUSE_TICKS_MAX = 50,         /* 5 s */
    TICKS_ALIVE_TO_FORGIVE = 100, /* 10 s */
};

void member_add_arg(struct member *m, const char *text)
{
    assert(m->argc + 1 < MEMBER_ARGS_MAX);
    m->argv[m->argc++] = mem_strdup(text);
}

void member_done(struct member *m)
{
    for (u32 i = 0; i < m->argc; i++) mem_free(m->argv[i]);
    m->argc = 0;
}

/* In the child: nothing but system calls until exec. */
static void become_node(const struct member *m, int log)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    setpgid(0, 0);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    int nothing = open("/dev/null", O_RDONLY);
    if (nothing >= 0) dup2(nothing, STDIN_FILENO);
    execv("/proc/self/exe", m->argv);
    _exit(127);
}

bool member_start(struct member *m)
{
    assert(m->pid == 0);
    int log = open(m->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (log < 0) return false;
    pid_t pid = fork();
    if (pid == 0) become_node(m, log);
    int kept = errno;
    close(log);
    errno = kept;
    if (pid < 0) return false;
    m->pid = pid;
    m->ticks_alive = m->ticks_to_start = 0;
    return true;
}

struct member *members_reap(struct member *members, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        struct member *m = &members[i];
        if (!m->pid || waitpid(m->pid, &m->wait_status, WNOHANG) != m->pid) continue;
        m->pid = 0;
        return m;
    }
    return NULL;
}

void member_schedule_restart(struct member *m)
{
    bool forgiven = m->pause_ticks == 0 || m->ticks_alive >= TICKS_ALIVE_TO_FORGIVE;
    m->pause_ticks = forgiven ? PAUSE_TICKS_MIN : (u32)u64_min(2 * m->pause_ticks, PAUSE_TICKS_MAX);
    m->ticks_to_start = m->pause_ticks;
}

bool member_tick(struct member *m)
{
    if (m->pid) m->ticks_alive++;
    return m->ticks_to_start > 0 && --m->ticks_to_start == 0;
}

static void signal_all(const struct member *members, u32 count, int number)
{
    for (u32 i = 0; i < count; i++)
        if (members[i].pid) kill(members[i].pid, number);
}

void members_ask_to_stop(struct member *members, u32 count)
{
    signal_all(members, count, SIGTERM);
    signal_all(members, count, SIGCONT);
}

void members_kill(struct member *members, u32 count) { signal_all(members, count, SIGKILL); }

u32 members_alive(const struct member *members, u32 count)
{
    u32 alive = 0;
    for (u32 i = 0; i < count; i++) alive += members[i].pid != 0;
    return alive;
}

void member_describe_death(const struct member *m, char *out, size_t size)
{
    int status = m->wait_status;

    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));
        snprintf(out, size, "killed by SIG%s", name ? name : "?");
    } else {
        snprintf(out, size, "exit code %d", WEXITSTATUS(status));
    }
}

static bool is_plain(const char *word)
{
    return *word &&
           !word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                              "-_./:=,@%+")];
}

void member_print_command(const struct member *m, char *out, size_t size)
{
    FILE *to = fmemopen(out, size, "w");

    assert(to);
    for (u32 i = 0; i < m->argc; i++) {
        if (strcmp(m->argv[i], "--die-with-parent") == 0) {
            i++;
            continue;
        }
        if (i) fputc(' ', to);
        if (is_plain(m->argv[i])) {
            fputs(m->argv[i], to);
            continue;
        }
        fputc('\'', to);
        for (const char *c = m->argv[i]; *c; c++) {
            if (*c == '\'') fputs("'\\''", to);
            else fputc(*c, to);
        }
        fputc('\'', to);
    }
    fclose(to);
    out[size - 1] = 0;
}
