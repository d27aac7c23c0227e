#include "cli/http_get.h"

#include "base/assert.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool ready(int fd, short events, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = events};
    return poll(&p, 1, timeout_ms) == 1;
}

static int dial(const char *host, u16 port, int timeout_ms)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int failure = 0;
    socklen_t bytes = sizeof failure;

    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) return -1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) return fd;
    if (errno == EINPROGRESS && ready(fd, POLLOUT, timeout_ms) &&
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &bytes) == 0 && failure == 0)
        return fd;
    close(fd);
    return -1;
}

u32 http_get(const char *host, u16 port, const char *path, int timeout_ms, char *body, size_t size)
{
    char text[8192];
    size_t got = 0;
    unsigned status = 0;
    int fd = dial(host, port, timeout_ms);

    if (size) body[0] = 0;
    if (fd < 0) return 0;
    int len = snprintf(text, sizeof text,
                       "GET %s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host);
    assert((size_t)len < sizeof text);
    if (write(fd, text, (size_t)len) == len) {
        while (got < sizeof text - 1 && ready(fd, POLLIN, timeout_ms)) {
            ssize_t part = read(fd, text + got, sizeof text - 1 - got);
            if (part <= 0) break;
            got += (size_t)part;
        }
    }
    close(fd);
    text[got] = 0;
    if (sscanf(text, "HTTP/1.%*[01] %u", &status) != 1) return 0;
    const char *blank = strstr(text, "\r\n\r\n");
    if (size && blank) snprintf(body, size, "%s", blank + 4);
    return status;
}
