/* One line per event: `2025-11-21T02:30:00.123Z warn message key=value`. One write(2) each, so
 * lines of several threads do not mix. */
#include "env/real.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {"error", "warn", "info", "debug"};

bool env_log_level_parse(const char *text, enum log_level *out)
{
    for (u32 i = 0; i < ARRAY_LEN(level_names); i++) {
        if (strcmp(text, level_names[i]) != 0) continue;
        *out = (enum log_level)i;
        return true;
    }
    return false;
}

void log_write(struct env *env, enum log_level level, const char *line)
{
    const struct log_sink *sink = &real_of(env)->log;
    char text[1200], when[32];
    struct tm utc;

    if (level > sink->level) return;
    u64 us = env_wall_us(env);
    time_t seconds = (time_t)(us / 1000000);
    gmtime_r(&seconds, &utc);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &utc);
    int len = snprintf(text, sizeof text - 1, "%s.%03uZ %s %s", when, (u32)(us / 1000 % 1000),
                       level_names[level], line);
    size_t bytes = size_min((size_t)len, sizeof text - 2);
    /* Text of a peer or a client must not forge a line of its own. */
    for (size_t i = 0; i < bytes; i++)
        if ((u8)text[i] < ' ') text[i] = '?';
    text[bytes] = '\n';
    ssize_t written = write(sink->fd, text, bytes + 1);
    (void)written; /* nowhere to complain */
}
