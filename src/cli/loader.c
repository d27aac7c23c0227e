#include "cli/loader.h"

#include "base/assert.h"
#include "base/mem.h"
#include "cli/dial.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    WINDOW = 1024,
    WINDOW_BYTES = 8 << 20,
    SLICE_MS = 200,
    PATIENCE = 150 /* slices: 30 s */,
    DIAL_MS = 1000
};

struct loader_pending {
    struct buf command;
    bool is_select;
};

void loader_open(struct loader *l, const struct http_place *redis, u64 db)
{
    *l = (struct loader){.place = *redis, .fd = -1, .db = db};
    l->ring = mem_zalloc_array(WINDOW + 1, sizeof *l->ring);
    l->again = mem_zalloc_array(WINDOW + 1, sizeof *l->again);
}

static struct loader_pending *push(struct loader *l)
{
    assert(l->count <= WINDOW);
    return &l->ring[(l->first + l->count++) % (WINDOW + 1)];
}

static struct loader_pending pop(struct loader *l)
{
    struct loader_pending p = l->ring[l->first];

    l->ring[l->first] = (struct loader_pending){0};
    l->first = (l->first + 1) % (WINDOW + 1);
    l->count--;
    return p;
}

static void drop(struct loader *l, struct loader_pending *p)
{
    l->pending_bytes -= p->command.len;
    buf_done(&p->command);
}

static void to_again(struct loader *l, struct loader_pending p)
{
    if (p.is_select) {
        drop(l, &p);
        return;
    }
    l->repeated++;
    l->again[l->again_count++] = p;
}

static void send_one(struct loader *l, struct buf command, bool is_select)
{
    struct loader_pending *p = push(l);

    p->command = command;
    p->is_select = is_select;
    buf_append_str(&l->out, buf_str(&command));
}

/* A new connection: what was under way on the old one is sent again, behind the SELECT. */
static bool reconnect(struct loader *l)
{
    struct buf select = {0};
    char number[24];

    if (l->fd >= 0) close(l->fd);
    buf_clear(&l->in);
    buf_clear(&l->out);
    while (l->count) to_again(l, pop(l));
    l->fd = dial_to(l->place.host, l->place.port, DIAL_MS, l->problem, sizeof l->problem);
    if (l->fd < 0) return false;
    int len = snprintf(number, sizeof number, "%lu", l->db);
    buf_printf(&select, "*2\r\n$6\r\nSELECT\r\n$%d\r\n%s\r\n", len, number);
    l->pending_bytes += select.len;
    send_one(l, select, true);
    return true;
}

static bool is_worth_repeating(str error)
{
    static const char *const words[] = {"-NOQUORUM", "-UNKNOWN", "-OVERLOADED", "-MOVED",
                                        "-TRYAGAIN", "-LOADING", "-CLUSTERDOWN"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (error.len >= strlen(words[i]) && memcmp(error.at, words[i], strlen(words[i])) == 0)
            return true;
    return false;
}

static bool take_reply(struct loader *l, str line)
{
    struct loader_pending p = pop(l);

    l->patience = 0;
    if (line.at[0] != '-') {
        l->written += !p.is_select;
        drop(l, &p);
        return true;
    }
    if (is_worth_repeating(line)) {
        to_again(l, p);
        return true;
    }
    snprintf(l->problem, sizeof l->problem, "%s:%u answers %.*s", l->place.host, l->place.port,
             STR_ARG(line));
    drop(l, &p);
    return false;
}

static bool take_replies(struct loader *l)
{
    for (;;) {
        const u8 *at = buf_bytes(&l->in);
        const u8 *end = l->in.len ? memmem(at, l->in.len, "\r\n", 2) : NULL;
        if (!end) return true;
        size_t len = (size_t)(end - at);
        if (len == 0 || l->count == 0) {
            snprintf(l->problem, sizeof l->problem, "%s:%u does not speak as Redis does",
                     l->place.host, l->place.port);
            return false;
        }
        if (!take_reply(l, str_from(at, len))) return false;
        buf_consume(&l->in, len + 2);
    }
}

/* -1: the connection is gone. */
static int move_bytes(struct loader *l)
{
    struct pollfd p = {.fd = l->fd, .events = (short)(POLLIN | (l->out.len ? POLLOUT : 0))};

    if (poll(&p, 1, SLICE_MS) == 0) l->patience++;
    if (l->out.len && p.revents & POLLOUT) {
        ssize_t sent = send(l->fd, buf_bytes(&l->out), l->out.len, MSG_NOSIGNAL);
        if (sent > 0)
            buf_consume(&l->out, (size_t)sent);
        else if (errno != EAGAIN && errno != EINTR)
            return -1;
    }
    if (!(p.revents & (POLLIN | POLLHUP | POLLERR))) return 0;
    ssize_t got = recv(l->fd, buf_reserve(&l->in, 64 * 1024), 64 * 1024, 0);
    if (got > 0)
        buf_extend(&l->in, (size_t)got);
    else if (got == 0 || (errno != EAGAIN && errno != EINTR))
        return -1;
    return 0;
}

static bool step(struct loader *l)
{
    if (l->fd < 0 && !reconnect(l)) {
        l->patience += DIAL_MS / SLICE_MS;
        poll(NULL, 0, SLICE_MS);
    } else if (move_bytes(l)) {
        close(l->fd);
        l->fd = -1;
        l->patience++;
    }
    if (!take_replies(l)) return false;
    if (l->patience <= PATIENCE) {
        if (!l->again_count || l->fd < 0 || l->count > WINDOW / 2) return true;
        /* Refused for now: they are sent again, a little later. */
        if (l->count == 0) poll(NULL, 0, SLICE_MS / 4);
        struct loader_pending p = l->again[--l->again_count];
        send_one(l, p.command, false);
        return true;
    }
    if (!l->problem[0])
        snprintf(l->problem, sizeof l->problem, "%s:%u has not answered for 30 s", l->place.host,
                 l->place.port);
    return false;
}

bool loader_put(struct loader *l, struct buf *command)
{
    while (l->fd < 0 || l->count + l->again_count >= WINDOW ||
           (l->count && l->pending_bytes > WINDOW_BYTES))
        if (!step(l)) return false;
    l->pending_bytes += command->len;
    send_one(l, *command, false);
    *command = (struct buf){0};
    return true;
}

bool loader_drain(struct loader *l)
{
    while (l->count || l->again_count)
        if (!step(l)) return false;
    return true;
}

void loader_close(struct loader *l)
{
    if (l->fd >= 0) close(l->fd);
    while (l->count) {
        struct loader_pending p = pop(l);
        drop(l, &p);
    }
    while (l->again_count) drop(l, &l->again[--l->again_count]);
    mem_free(l->ring);
    mem_free(l->again);
    buf_done(&l->in);
    buf_done(&l->out);
}

bool redis_ask(const struct http_place *redis, u64 db, const char *command, i64 *number,
               char *problem, size_t size)
{
    struct buf in = {0};
    char text[128];
    int fd = dial_to(redis->host, redis->port, DIAL_MS, problem, size), lines = 0;
    bool ok = false;

    if (fd < 0) return false;
    int len = snprintf(text, sizeof text, "SELECT %lu\r\n%s\r\n", db, command);
    ok = send(fd, text, (size_t)len, MSG_NOSIGNAL) == len;
    while (ok && lines < 2) {
        const u8 *end = in.len ? memmem(buf_bytes(&in), in.len, "\r\n", 2) : NULL;
        if (!end) {
            ssize_t got = dial_ready(fd, POLLIN, 5000) ? recv(fd, buf_reserve(&in, 4096), 4096, 0)
                                                       : 0;
            ok = got > 0;
            if (ok) buf_extend(&in, (size_t)got);
            continue;
        }
        str line = str_from(buf_bytes(&in), (size_t)(end - buf_bytes(&in)));
        if (line.len && line.at[0] == '-') {
            snprintf(problem, size, "%s:%u answers %.*s", redis->host, redis->port, STR_ARG(line));
            ok = false;
        } else if (++lines == 2) {
            ok = line.len > 1 && line.at[0] == ':' &&
                 str_to_i64(str_from(line.at + 1, line.len - 1), number);
        }
        if (lines < 2) buf_consume(&in, line.len + 2);
    }
    if (!ok && !problem[0])
        snprintf(problem, size, "%s:%u does not answer %s", redis->host, redis->port, command);
    close(fd);
    buf_done(&in);
    return ok;
}
