#include "cli/dial.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool dial_ready(int fd, short events, u32 timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = events};
    return poll(&p, 1, (int)timeout_ms) == 1;
}

static int dial_address(const struct addrinfo *a, u32 timeout_ms)
{
    int failure = 0, fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t bytes = sizeof failure;

    if (fd < 0) return -1;
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0) return fd;
    failure = errno;
    if (failure == EINPROGRESS) {
        failure = ETIMEDOUT;
        if (dial_ready(fd, POLLOUT, timeout_ms))
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &bytes);
        if (failure == 0) return fd;
    }
    close(fd);
    errno = failure;
    return -1;
}

int dial_to(const char *host, u16 port, u32 timeout_ms, char *problem, size_t size)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    char service[8];
    int fd = -1;

    snprintf(service, sizeof service, "%u", port);
    int failed = getaddrinfo(host, service, &hints, &found);
    if (failed) {
        snprintf(problem, size, "%s: %s", host, gai_strerror(failed));
        return -1;
    }
    for (const struct addrinfo *a = found; a && fd < 0; a = a->ai_next)
        fd = dial_address(a, timeout_ms);
    if (fd < 0) snprintf(problem, size, "nobody answers at %s:%u: %s", host, port, strerror(errno));
    freeaddrinfo(found);
    return fd;
}
