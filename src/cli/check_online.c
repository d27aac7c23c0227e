/* `quorate check --online`: are the clients of this running cluster seeing what they were promised? */
#include "base/mem.h"
#include "check/check.h"
#include "cli/commands.h"
#include "cli/values.h"
#include "cli/watch.h"
#include "env/env_real.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { LOOK_EVERY_MS = 200, USUAL_RATE = 16, RATE_MAX = 1000000, SECONDS_MAX = 1000000, ADMIN_PORT = 8379 };

#define SILENCE_TOLD (5 * NANOS_SEC)

struct online_options {
    struct watch watch;
    u64 seconds; /* 0: until it is ended */
};

static int refuse(const char *what)
{
    fprintf(stderr, "quorate check --online: %s; see quorate check --help\n", what);
    return 2;
}

static bool take_rate(const char *text, u32 *out)
{
    u64 rate;

    if (strncmp(text, "1/", 2) != 0 || !value_number(text + 2, 1, RATE_MAX, &rate)) return false;
    *out = (u32)rate;
    return true;
}

static int take_options(struct online_options *o, int argc, char **argv)
{
    struct watch *w = &o->watch;

    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        if (strcmp(name, "--online") == 0) continue;
        const char *value = i + 1 < argc ? argv[++i] : "";
        if (strcmp(name, "--node") == 0) {
            if (w->seed_count == WATCH_SEEDS_MAX) return refuse("at most 8 nodes are named; the others are found");
            struct http_place *place = &w->seeds[w->seed_count++];
            if (!value_host_port(value, place->host, &place->port)) return refuse("--node is HOST:PORT, an admin address");
        } else if (strcmp(name, "--seconds") == 0) {
            if (!value_number(value, 1, SECONDS_MAX, &o->seconds)) return refuse("--seconds is a number from 1");
        } else if (strcmp(name, "--sample") == 0) {
            if (!take_rate(value, &w->rate)) return refuse("--sample is 1/N: every N-th key, 1/1 all of them");
        } else {
            return refuse("it takes --node, --seconds and --sample");
        }
    }
    if (w->seed_count == 0) w->seeds[w->seed_count++] = (struct http_place){.host = "127.0.0.1", .port = ADMIN_PORT};
    return 0;
}

/* The first line of what was found: the sentence. */
static str first_line(str text)
{
    const u8 *end = memchr(text.at, '\n', text.len);
    return end ? str_from(text.at, (size_t)(end - text.at)) : text;
}

/* The operations that prove it have a level if it is not a linearizable one that was broken. */
static const char *level_of(str text)
{
    static const char *const words[] = {"stale", "sequential", "session"};
    char pattern[32];

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        snprintf(pattern, sizeof pattern, "\"level\":\"%s", words[i]);
        if (memmem(text.at, text.len, pattern, strlen(pattern))) return words[i];
    }
    return "linearizable";
}

static u32 check_once(struct watch *w)
{
    struct findings f;
    nanos mark = watch_mark(w);
    str key = {0};

    if (!mark) return 0;
    findings_init(&f);
    u32 violated = online_check(w->online, mark, &f, &key);
    if (violated) {
        str text = buf_str(&f.text);
        printf("%.*s", STR_ARG(text));
        fflush(stdout);
        watch_alert(w, first_line(text), key, level_of(text));
    }
    findings_done(&f);
    return violated;
}

/* A node that stands still holds up the check, since nobody knows what it did meanwhile. */
static void tell_silence(const struct watch *w, bool *told)
{
    bool silent = false;

    for (u32 i = 0; i < w->count; i++) {
        const struct watch_node *n = &w->nodes[i];
        if (!n->silent_since || n->dead || !n->listed || env_real_mono() < n->silent_since + SILENCE_TOLD) continue;
        silent = true;
        if (!*told)
            fprintf(stderr, "node %llu at %s:%u does not answer: nothing is checked until it does, or is gone\n",
                    (unsigned long long)n->id, n->place.host, n->place.port);
    }
    *told = silent;
}

static void print_summary(const struct watch *w, u64 seconds, u64 violations)
{
    const struct online_stats *s = online_stats(w->online);

    printf("%s%llu s: %llu operations of sampled keys, %llu checked, %u keys watched now, %llu windows unexplained, "
           "%llu undecided, begun anew %llu times, %llu violations\n",
           violations ? "VIOLATED: " : "", (unsigned long long)seconds, (unsigned long long)s->operations,
           (unsigned long long)s->checked, s->keys, (unsigned long long)s->unexplained, (unsigned long long)s->undecided,
           (unsigned long long)s->forgotten, (unsigned long long)violations);
}

static int watch_until_done(struct online_options *o)
{
    struct watch *w = &o->watch;
    nanos begun = env_real_mono();
    u64 violations = 0;
    bool told = false;

    while (!o->seconds || env_real_mono() < begun + o->seconds * NANOS_SEC) {
        if (!watch_look(w)) {
            fprintf(stderr, "quorate check --online: %s; --node HOST:PORT names another admin address\n", w->problem);
            return 2;
        }
        violations += check_once(w);
        tell_silence(w, &told);
        poll(NULL, 0, LOOK_EVERY_MS);
    }
    watch_end(w);
    print_summary(w, (env_real_mono() - begun) / NANOS_SEC, violations);
    return violations ? 1 : 0;
}

int check_command_main(int argc, char **argv)
{
    bool is_online = false;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return check_main(2, (char *[]){argv[0], argv[i]});
        is_online |= strcmp(argv[i], "--online") == 0;
    }
    if (!is_online) return check_main(argc, argv);
    struct online_options *o = mem_zalloc(sizeof *o);
    o->watch.rate = USUAL_RATE;
    int status = take_options(o, argc, argv);
    if (status == 0) {
        o->watch.online = online_new();
        status = watch_until_done(o);
        online_free(o->watch.online);
    }
    mem_free(o);
    return status;
}
