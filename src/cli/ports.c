#include "cli/ports.h"

#include "base/assert.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool port_is_free(const char *host, u16 port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
    char service[8];
    int on = 1;

    snprintf(service, sizeof service, "%u", port);
    if (getaddrinfo(host, service, &hints, &found)) return true;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool in_use = false;
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on); /* as the real listener does */
        in_use = (bind(fd, found->ai_addr, found->ai_addrlen) || listen(fd, 1)) &&
                 errno == EADDRINUSE;
        close(fd);
    }
    freeaddrinfo(found);
    return !in_use;
}

/* The inode of the socket listening on port, from a table like /proc/net/tcp:
 *   sl  local_address rem_address  st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode */
static u64 listening_inode(const char *table, u16 port)
{
    enum { STATE_LISTEN = 0x0A };
    char line[512];
    u64 inode = 0;
    FILE *f = fopen(table, "re");

    if (!f) return 0;
    while (!inode && fgets(line, sizeof line, f)) {
        unsigned local_port, state;
        unsigned long found;
        if (sscanf(line,
                   " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x %*u %*u %lu",
                   &local_port, &state, &found) != 3)
            continue;
        if (local_port == port && state == STATE_LISTEN) inode = found;
    }
    fclose(f);
    return inode;
}

static bool process_holds(const char *pid, u64 inode)
{
    char path[300], target[64], wanted[64];
    struct dirent *entry;
    bool holds = false;

    snprintf(wanted, sizeof wanted, "socket:[%lu]", inode);
    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    DIR *dir = opendir(path);
    if (!dir) return false;
    while (!holds && (entry = readdir(dir))) {
        ssize_t len = readlinkat(dirfd(dir), entry->d_name, target, sizeof target - 1);
        if (len < 0) continue;
        target[len] = 0;
        holds = strcmp(target, wanted) == 0;
    }
    closedir(dir);
    return holds;
}

static void process_name(const char *pid, char *out, size_t size)
{
    char path[300];

    snprintf(out, size, "a process");
    snprintf(path, sizeof path, "/proc/%s/comm", pid);
    FILE *f = fopen(path, "re");
    if (!f) return;
    if (fgets(out, (int)size, f)) out[strcspn(out, "\n")] = 0;
    fclose(f);
}

void port_holder(u16 port, char *out, size_t size)
{
    struct dirent *entry;
    char name[64];
    u64 inode = listening_inode("/proc/net/tcp", port);

    if (!inode) inode = listening_inode("/proc/net/tcp6", port);
    snprintf(out, size, "another process");
    DIR *proc = inode ? opendir("/proc") : NULL;
    if (!proc) return;
    while ((entry = readdir(proc))) {
        if (!isdigit((u8)entry->d_name[0]) || !process_holds(entry->d_name, inode)) continue;
        process_name(entry->d_name, name, sizeof name);
        snprintf(out, size, "%s, pid %.20s", name, entry->d_name);
        break;
    }
    closedir(proc);
}
