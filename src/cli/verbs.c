#include "cli/verbs.h"

#include "base/assert.h"
#include "cli/table.h"
#include "cli/values.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { GET_TIMEOUT_MS = 5000, POST_TIMEOUT_MS = 15000, ADMIN_PORT = 8379 };

/* ---- the command line ---- */

static void print_verb(const struct noun *noun, const struct verb *v, const char *lead)
{
    printf("%s quorate %s%s%s%s%s\n", lead, noun->name, v->name ? " " : "", v->name ? v->name : "",
           v->args[0] ? " " : "", v->args);
}

static void print_help(const struct noun *noun)
{
    u32 flags = 0;

    for (u32 i = 0; i < noun->verb_count; i++) {
        print_verb(noun, &noun->verbs[i], i ? "      " : "Usage:");
        flags |= noun->verbs[i].flags;
    }
    printf("\n%s\n\n", noun->summary);
    for (u32 i = 0; i < noun->verb_count; i++)
        if (noun->verbs[i].name)
            printf("  %-10s %s\n", noun->verbs[i].name, noun->verbs[i].summary);
    printf("\n    --node HOST:PORT   the admin address of any node (default: 127.0.0.1:%d)\n"
           "    --json             print the node's answer as it is\n",
           ADMIN_PORT);
    if (flags & VERB_POSTS)
        printf("    --dry-run          say what would happen, and do nothing\n");
    if (flags & VERB_FORCE)
        printf("    --force            the node is lost and will never come back\n");
    if (flags & VERB_RISK)
        printf("    --accept-risk      fewer or an even number of replicas, knowingly\n");
    if (flags & VERB_PROBE)
        printf("    --probe            read a key that is not there 200 times at each level, and measure that\n");
    if (flags & VERB_LOSS)
        printf("    --accept-loss      what was acknowledged and in memory only may be lost, knowingly\n");
    printf("\nExamples:\n%s", noun->examples);
}

void noun_print_names(const struct noun *noun)
{
    u32 flags = 0;

    for (u32 i = 0; i < noun->verb_count; i++) {
        if (noun->verbs[i].name) printf("%s\n", noun->verbs[i].name);
        flags |= noun->verbs[i].flags;
    }
    printf("--node\n--json\n--help\n");
    if (flags & VERB_POSTS) printf("--dry-run\n");
    if (flags & VERB_FORCE) printf("--force\n");
    if (flags & VERB_RISK) printf("--accept-risk\n");
    if (flags & VERB_PROBE) printf("--probe\n");
    if (flags & VERB_LOSS) printf("--accept-loss\n");
}

static int refuse(const struct verb_call *call, const char *format, ...) PRINTF_LIKE(2, 3);
static int refuse(const struct verb_call *call, const char *format, ...)
{
    const char *verb = call->verb && call->verb->name ? call->verb->name : "";
    va_list args;

    fprintf(stderr, "quorate %s%s%s: ", call->noun->name, verb[0] ? " " : "", verb);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return 2;
}

static bool flag_is(struct verb_call *call, const char *arg)
{
    const struct {
        const char *name;
        u32 needs;
        bool *out;
    } flags[] = {
        {"--json", 0, &call->json},
        {"--dry-run", VERB_POSTS, &call->dry_run},
        {"--force", VERB_FORCE, &call->force},
        {"--accept-risk", VERB_RISK, &call->accept_risk},
        {"--probe", VERB_PROBE, &call->probe},
        {"--accept-loss", VERB_LOSS, &call->accept_loss},
    };

    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        if (strcmp(arg, flags[i].name) != 0) continue;
        if ((call->verb->flags & flags[i].needs) != flags[i].needs) return false;
        *flags[i].out = true;
        return true;
    }
    return false;
}

/* --node HOST:PORT or --node=HOST:PORT; how many arguments it took, 0: not it, -1: no address. */
static int take_node(struct verb_call *call, char **args, int count)
{
    const char *text = NULL;

    if (strncmp(args[0], "--node=", 7) == 0)
        text = args[0] + 7;
    else if (strcmp(args[0], "--node") == 0)
        text = count > 1 ? args[1] : "";
    else
        return 0;
    if (!value_host_port(text, call->place.host, &call->place.port)) return -1;
    call->named = true;
    return args[0][6] == '=' ? 1 : 2;
}

static int take_args(struct verb_call *call, char **args, int count)
{
    const struct verb *v = call->verb;

    for (int i = 0; i < count;) {
        int taken = take_node(call, args + i, count - i);
        if (taken < 0) return refuse(call, "--node is HOST:PORT, an admin address");
        if (taken > 0) {
            i += taken;
            continue;
        }
        const char *arg = args[i++];
        if (arg[0] == '-') {
            if (!flag_is(call, arg))
                return refuse(call, "%s is not taken here; see quorate %s --help", arg,
                              call->noun->name);
        } else if (v->flags & VERB_ROWS && strchr(arg, '=')) {
            if (call->row_count == VERB_ROWS_MAX)
                return refuse(call, "at most %d settings at once", VERB_ROWS_MAX);
            call->rows[call->row_count++] = arg;
        } else if (call->word_count < v->words_max) {
            call->words[call->word_count++] = arg;
        } else {
            return refuse(call, "%s is one word too many; see quorate %s --help", arg,
                          call->noun->name);
        }
    }
    if (call->word_count < v->words_min)
        return refuse(call, "%s is missing; see quorate %s --help", v->args, call->noun->name);
    return 0;
}

int noun_main(const struct noun *noun, int argc, char **argv)
{
    struct verb_call call = {.noun = noun, .place = {.host = "127.0.0.1", .port = ADMIN_PORT}};
    int used = 1;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") != 0 && strcmp(argv[i], "-h") != 0) continue;
        print_help(noun);
        return 0;
    }
    for (u32 i = 0; i < noun->verb_count && !call.verb; i++) {
        const char *name = noun->verbs[i].name;
        if (name && (argc < 2 || strcmp(argv[1], name) != 0)) continue;
        call.verb = &noun->verbs[i];
        if (name) used = 2;
    }
    if (!call.verb) {
        if (argc < 2)
            print_help(noun);
        else
            refuse(&call, "there is no %s here; see quorate %s --help", argv[1], noun->name);
        return 2;
    }
    int wrong = take_args(&call, argv + used, argc - used);
    if (wrong) return wrong;
    int status = call.verb->run(&call);
    json_done(&call.answer);
    return status;
}

/* ---- asking ---- */

bool url_put(char *out, size_t size, const char *word)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t at = 0;

    for (; *word; word++) {
        u8 c = (u8)*word;
        bool plain = isalnum(c) || c == '-' || c == '_' || c == '.';
        if (at + 4 > size) return false;
        if (plain) {
            out[at++] = (char)c;
        } else {
            out[at++] = '%';
            out[at++] = hex[c >> 4];
            out[at++] = hex[c & 15];
        }
    }
    out[at] = 0;
    return true;
}

/* Units people write, where the core wants a plain number. */
static void plain_value(const char *name, size_t name_len, const char *value, char *out,
                        size_t size)
{
    str n = str_from(name, name_len);
    u64 number;

    snprintf(out, size, "%s", value);
    if (str_equal(n, STR("replace-after")) && value_duration(value, &number))
        snprintf(out, size, "%lu", number / NANOS_SEC);
    else if (memmem(name, name_len, "bytes", 5) && value_bytes(value, &number))
        snprintf(out, size, "%lu", number);
}

static bool put_row(struct buf *out, const char *row)
{
    const char *equals = strchr(row, '=');
    char name[1100], value[1100], plain[1100], word[64];

    if (strlen(row) >= 350 || (size_t)(equals - row) >= sizeof word) return false;
    snprintf(word, sizeof word, "%.*s", (int)(equals - row), row);
    plain_value(word, strlen(word), equals + 1, plain, sizeof plain);
    if (!url_put(name, sizeof name, word) || !url_put(value, sizeof value, plain)) return false;
    buf_printf(out, "%s%s=%s", out->len ? "&" : "", name, value);
    return true;
}

static bool take_answer(struct verb_call *call, struct http_answer *a)
{
    str body = buf_str(&a->body);
    bool ok = a->status == 200 && a->whole;

    call->status = ok ? 0 : 1;
    json_done(&call->answer);
    if (a->status == 0) {
        refuse(call, "%s; is a node running there? --node HOST:PORT names another admin address",
               a->problem);
    } else if (!a->whole) {
        refuse(call, "%s", a->problem);
    } else if (call->json) {
        fwrite(body.at, 1, body.len, stdout);
    } else if (json_parse(&call->answer, body) != OK) {
        refuse(call, "%s:%u answers %u: %.*s", call->place.host, call->place.port, a->status,
               STR_ARG(body));
        call->status = 1;
    } else if (!ok) {
        str error = json_get_str(&call->answer, 0, "error"),
            reason = json_get_str(&call->answer, 0, "reason");
        refuse(call, "%.*s: %.*s", STR_ARG(error), STR_ARG(reason));
    }
    return call->status == 0 && !call->json;
}

/* Who leads the core sees all facts; where it is not in reach from here, what the named node sees has to do. */
static bool ask(struct verb_call *call, struct http_request *q)
{
    struct http_answer a;
    char path[1024];
    const char *plain = q->path;

    q->place = call->place;
    snprintf(path, sizeof path, "%s%sleader=1", plain, strchr(plain, '?') ? "&" : "?");
    q->path = path;
    http_ask(q, &a);
    bool elsewhere = q->place.port != call->place.port || strcmp(q->place.host, call->place.host) != 0;
    if ((!a.reached && elsewhere) || a.status == 307) {
        http_answer_done(&a);
        q->place = call->place;
        q->path = plain;
        http_ask(q, &a);
    }
    bool taken = take_answer(call, &a);
    http_answer_done(&a);
    return taken;
}

bool call_get(struct verb_call *call, const char *path)
{
    struct http_request q = {.method = "GET", .path = path, .timeout_ms = GET_TIMEOUT_MS};

    return ask(call, &q);
}

bool call_get_here(struct verb_call *call, const char *path)
{
    struct http_request q = {.method = "GET", .path = path, .place = call->place, .timeout_ms = GET_TIMEOUT_MS};
    struct http_answer a;

    http_ask(&q, &a);
    bool taken = take_answer(call, &a);
    http_answer_done(&a);
    return taken;
}

bool call_post(struct verb_call *call, const char *path, const char *more)
{
    struct http_request q = {.method = "POST", .path = path, .timeout_ms = POST_TIMEOUT_MS};
    struct buf body = {0};
    bool good = true;

    buf_append_text(&body, more);
    for (u32 i = 0; i < call->row_count && good; i++) good = put_row(&body, call->rows[i]);
    if (call->dry_run) buf_printf(&body, "%sdry-run=1", body.len ? "&" : "");
    if (call->force) buf_printf(&body, "%sforce=1", body.len ? "&" : "");
    if (call->accept_risk) buf_printf(&body, "%saccept-risk=1", body.len ? "&" : "");
    if (!good) {
        call->status = refuse(call, "a setting is name=value, together at most 350 bytes");
    } else {
        q.body = buf_str(&body);
        good = ask(call, &q);
    }
    buf_done(&body);
    return good;
}

int call_status(const struct verb_call *call)
{
    return call->status;
}

int call_command(struct verb_call *call, const char *path, const char *more, const char *done, ...)
{
    va_list args;

    if (!call_post(call, path, more)) return call->status;
    if (call->dry_run) {
        print_plan(call);
        return 0;
    }
    va_start(args, done);
    vprintf(done, args);
    va_end(args);
    return 0;
}

/* ---- plans ---- */

static void print_step(const struct json *j, u32 step)
{
    u64 to = json_get_u64(j, step, "to-node"), from = json_get_u64(j, step, "from-node");
    u64 bytes = json_get_u64(j, step, "bytes");

    printf("  %.*s group %lu", STR_ARG(json_get_str(j, step, "kind")),
           json_get_u64(j, step, "group"));
    if (from) printf(" from node %lu", from);
    if (to) printf(" to node %lu", to);
    if (bytes) printf(", %s", units_bytes(bytes).at);
    printf(" (%.*s)\n", STR_ARG(json_get_str(j, step, "reason")));
}

void print_plan(const struct verb_call *call)
{
    const struct json *j = &call->answer;
    u32 steps = json_get(j, 0, "steps"), blocked = json_get(j, 0, "blocked");
    u64 running = json_get_u64(j, 0, "moves-running"), wanted = json_get_u64(j, 0, "bytes-wanted");
    u64 all_blocked = json_get_u64(j, 0, "blocked-count");

    if (call->dry_run) printf("nothing was done; it would be accepted\n");
    if (!json_get_true(j, 0, "complete"))
        printf("node %lu leads the core and sees more, but is not in reach from here\n",
               json_get_u64(j, 0, "core-leader"));
    if (json_get_true(j, 0, "paused"))
        printf("rebalancing is paused: nothing new begins until quorate rebalance resume\n");
    printf("%s\n", json_count(j, steps) ? "next steps:" : "nothing has to be moved");
    for (u32 i = json_each(j, steps, 0); i; i = json_each(j, steps, i)) print_step(j, i);
    if (running)
        printf("under way: %lu moves, %s to go\n", running,
               units_bytes(json_get_u64(j, 0, "bytes-running")).at);
    if (wanted) printf("to be moved in all: %s\n", units_bytes(wanted).at);
    for (u32 i = json_each(j, blocked, 0); i; i = json_each(j, blocked, i))
        printf("blocked: %.*s\n", STR_ARG(json_str(j, i)));
    if (all_blocked > json_count(j, blocked))
        printf("... and %lu more\n", all_blocked - json_count(j, blocked));
}
