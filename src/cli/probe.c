#include "cli/probe.h"

#include "cli/dial.h"
#include "cli/values.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DIAL_MS = 1000, REPLY_MS = 3000, PROBE_STALE_MS = 1000 };

static const char key[] = "quorate:probe:a key that nobody writes";

static void put_command(struct buf *out, const char *const *words, u32 count)
{
    buf_printf(out, "*%u\r\n", count);
    for (u32 i = 0; i < count; i++) buf_printf(out, "$%zu\r\n%s\r\n", strlen(words[i]), words[i]);
}

/* Sends a command and a PING, and reads on until that is answered: what stands before is the reply. */
static bool ask(int fd, const char *const *words, u32 count, struct buf *reply)
{
    static const char pong[] = "+PONG\r\n";
    static const char *const ping[] = {"PING"};
    struct buf out = {0};

    put_command(&out, words, count);
    put_command(&out, ping, 1);
    bool good = send(fd, buf_bytes(&out), out.len, MSG_NOSIGNAL) == (ssize_t)out.len; /* short: it fits the socket's buffer */
    buf_done(&out);
    buf_clear(reply);
    while (good) {
        size_t tail = sizeof pong - 1;
        if (reply->len >= tail && memcmp(buf_bytes(reply) + reply->len - tail, pong, tail) == 0) return true;
        good = dial_ready(fd, POLLIN, REPLY_MS);
        ssize_t got = good ? recv(fd, buf_reserve(reply, 4096), 4096, 0) : 0;
        good = got > 0;
        if (good) buf_extend(reply, (size_t)got);
    }
    return false;
}

static bool take_total(const struct buf *reply, u64 *us)
{
    static const char name[] = "total-us\r\n:";
    str text = buf_str(reply);
    const u8 *at = text.len ? memmem(text.at, text.len, name, sizeof name - 1) : NULL;
    i64 value;

    if (!at) return false;
    const u8 *from = at + sizeof name - 1, *end = memchr(from, '\r', (size_t)(text.at + text.len - from));
    if (!end || !str_to_i64(str_from(from, (size_t)(end - from)), &value) || value < 0) return false;
    *us = (u64)value;
    return true;
}

static bool read_at(int fd, u8 kind, u32 times, struct histogram *out)
{
    struct level level = {.kind = kind, .ms = kind == LEVEL_STALE ? PROBE_STALE_MS : 0};
    struct buf reply = {0}, word = {0};
    bool good = true;
    u64 us;

    level_print(level, &word);
    buf_append_u8(&word, 0);
    const char *const words[] = {"Q.EXPLAIN", "AT", (const char *)buf_bytes(&word), "GET", key};
    for (u32 i = 0; i < times && good; i++) {
        good = ask(fd, words, ARRAY_LEN(words), &reply);
        if (good && take_total(&reply, &us)) histogram_add(out, us); /* else it was refused: that is no price */
    }
    buf_done(&reply);
    buf_done(&word);
    return good;
}

static int enter(const struct look *l, str redis, char *problem, size_t size)
{
    char address[NODE_HOST_MAX + 8], host[NODE_HOST_MAX], number[24];
    const char *const words[] = {"SELECT", number};
    struct buf reply = {0};
    u64 id = json_get_u64(&l->answer, l->keyspace, "id");
    u16 port;

    snprintf(address, sizeof address, "%.*s", STR_ARG(redis));
    snprintf(number, sizeof number, "%lu", id < 16 ? 0 : id); /* the default keyspace is SELECT 0 */
    if (!value_host_port(address, host, &port)) return -1;
    int fd = dial_to(host, port, DIAL_MS, problem, size);
    if (fd < 0) return -1;
    bool good = ask(fd, words, ARRAY_LEN(words), &reply) && buf_bytes(&reply)[0] == '+';
    if (!good) {
        snprintf(problem, size, "%s does not let a client into the keyspace: %.*s", address, STR_ARG(buf_str(&reply)));
        close(fd);
        fd = -1;
    }
    buf_done(&reply);
    return fd;
}

static bool probe_node(const struct look *l, str redis, u32 times, struct prices *out, char *problem, size_t size)
{
    int fd = enter(l, redis, problem, size);
    bool good = fd >= 0;

    for (u8 kind = 0; kind < LEVEL_KINDS && good; kind++) good = read_at(fd, kind, times, &out->kinds[LATENCY_READ + kind].probed);
    if (fd >= 0) close(fd);
    return good;
}

bool probe_take(const struct look *l, struct prices *out, char *problem, size_t size)
{
    const struct json *j = &l->survey.nodes;
    u32 nodes = json_get(j, 0, "nodes"), living = 0, probed = 0;

    snprintf(problem, size, "no node answers");
    for (u32 i = 0; i < l->survey.count; i++) living += l->survey.each[i].answers;
    for (u32 n = json_each(j, nodes, 0); n; n = json_each(j, nodes, n)) {
        if (!survey_local(&l->survey, json_get_u64(j, n, "id"))) continue;
        probed += probe_node(l, json_get_str(j, n, "redis"), (PROBE_READS + living - 1) / living, out, problem, size);
    }
    return probed > 0;
}
