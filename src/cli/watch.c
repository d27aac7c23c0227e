#include "cli/watch.h"

#include "base/hash.h"
#include "base/mem.h"
#include "cli/json_read.h"
#include "cli/values.h"
#include "cli/verbs.h"
#include "env/env_real.h"

#include <stdio.h>

enum { TIMEOUT_MS = 700, SAMPLE_SECONDS = 10, PIECES_MAX = 64 };

#define LIST_EVERY (2 * NANOS_SEC)
#define ASK_EVERY  (2 * NANOS_SEC)
/* After something was missed: requests that were under way then, told by nobody, are over by the time windows begin again. */
#define QUIET (4 * NANOS_SEC)

static bool ask(const struct http_place *place, const char *method, const char *path, struct json *out,
                struct http_answer *a)
{
    struct http_request q = {.place = *place, .method = method, .path = path, .timeout_ms = TIMEOUT_MS};

    *out = (struct json){0};
    http_ask(&q, a);
    bool good = a->status == 200 && a->whole && json_parse(out, buf_str(&a->body)) == OK;
    http_answer_done(a);
    return good;
}

/* ---- who they are ---- */

static struct watch_node *find_node(struct watch *w, u64 id)
{
    for (u32 i = 0; i < w->count; i++)
        if (w->nodes[i].id == id) return &w->nodes[i];
    return NULL;
}

/* The cluster's leader does not hear it, and neither do we: whatever it had under way is over. */
static void note_silence(struct watch *w, struct watch_node *n, nanos now)
{
    if (n->dead || !n->silent_since || now < n->silent_since + ONLINE_SETTLED) return;
    n->dead = true;
    online_forget(w->online, now + QUIET);
}

static void take_nodes(struct watch *w, const struct json *j, nanos now)
{
    u32 nodes = json_get(j, 0, "nodes");

    for (u32 i = 0; i < w->count; i++) w->nodes[i].listed = false;
    for (u32 n = json_each(j, nodes, 0); n; n = json_each(j, nodes, n)) {
        struct watch_node *node = find_node(w, json_get_u64(j, n, "id"));
        struct http_place place;
        char address[NODE_HOST_MAX + 8];
        snprintf(address, sizeof address, "%.*s", STR_ARG(json_get_str(j, n, "admin")));
        if (!value_host_port(address, place.host, &place.port)) continue;
        if (!node && w->count < WATCH_NODES_MAX) {
            node = &w->nodes[w->count++];
            *node = (struct watch_node){.id = json_get_u64(j, n, "id")};
            online_forget(w->online, now + QUIET);
        }
        if (!node) continue;
        node->place = place;
        node->listed = true;
        if (json_get(j, n, "alive") && !json_get_true(j, n, "alive")) note_silence(w, node, now);
    }
}

/* From any node, those that were named first. */
static bool list_nodes(struct watch *w, nanos now)
{
    for (u32 i = 0; i < w->seed_count + w->count; i++) {
        const struct watch_node *n = i < w->seed_count ? NULL : &w->nodes[i - w->seed_count];
        struct http_answer a;
        struct json j;
        if (n && (n->dead || n->silent_since)) continue;
        /* With the leader's facts where it is in reach. */
        bool good = ask(n ? &n->place : &w->seeds[i], "GET", "/v1/nodes?leader=1", &j, &a);
        if (!good) {
            json_done(&j);
            good = ask(n ? &n->place : &w->seeds[i], "GET", "/v1/nodes", &j, &a);
        }
        if (good) take_nodes(w, &j, now);
        json_done(&j);
        if (good) return true;
        snprintf(w->problem, sizeof w->problem, "%s", a.problem[0] ? a.problem : "the node does not answer with its nodes");
    }
    return false;
}

/* ---- what they tell ---- */

static struct online_value value_from(const struct json *j, u32 item)
{
    struct online_value v = {.is_null = item == 0};
    str text = json_str(j, item);
    char hashed[32];

    if (v.is_null) return v;
    if (text.len > ONLINE_VALUE_MAX) {
        snprintf(hashed, sizeof hashed, "#%016llx", (unsigned long long)hash64(text.at, text.len));
        text = str_of(hashed);
    }
    v.len = (u8)text.len;
    mem_copy(v.text, text.at, text.len);
    return v;
}

static u32 op_named(str name)
{
    for (u32 op = 0; op < HISTORY_OPS; op++)
        if (op != HISTORY_CAS && op != HISTORY_APPEND && str_equal(name, str_of(history_op_name(op)))) return op;
    return ONLINE_OTHER;
}

static void take_begin(struct watch *w, const struct watch_node *n, const struct json *j, u32 item, i64 low)
{
    struct buf key = {0};
    struct online_begin b = {.source = n->id, .id = json_get_u64(j, item, "id"), .op = op_named(json_get_str(j, item, "op")),
                             .value = value_from(j, json_get(j, item, "value"))};

    b.client = (u32)(n->id << 26) ^ (u32)json_get_u64(j, item, "client");
    b.at = (nanos)((i64)(json_get_u64(j, item, "invoke") * 1000) + low);
    str level = json_get_str(j, item, "level");
    if (level.len && !level_parse(level, &b.level)) b.op = ONLINE_OTHER;
    if (json_get(j, item, "key")) {
        buf_append_str(&key, json_get_str(j, item, "space"));
        buf_append_u8(&key, '/');
        buf_append_str(&key, json_get_str(j, item, "key"));
        b.key = buf_str(&key);
    } else {
        b.op = ONLINE_OTHER;
    }
    online_begin(w->online, &b);
    buf_done(&key);
}

static void take_end(struct watch *w, const struct watch_node *n, const struct json *j, u32 item, i64 high)
{
    str word = json_get_str(j, item, "outcome");
    enum history_outcome outcome = str_equal(word, STR("ok"))       ? HISTORY_OK
                                   : str_equal(word, STR("failed")) ? HISTORY_FAILED
                                                                    : HISTORY_UNKNOWN;

    online_end(w->online, n->id, json_get_u64(j, item, "id"), outcome, value_from(j, json_get(j, item, "result")),
               (nanos)((i64)(json_get_u64(j, item, "return") * 1000) + high));
}

static void take_events(struct watch *w, const struct watch_node *n, const struct json *j, nanos now)
{
    u32 events = json_get(j, 0, "events");
    i64 low, high;

    clocks_bounds(&n->clocks, now, &low, &high);
    for (u32 i = json_each(j, events, 0); i; i = json_each(j, events, i)) {
        if (json_get(j, i, "op"))
            take_begin(w, n, j, i, low);
        else
            take_end(w, n, j, i, high);
    }
}

/* Has it told everything since the last time? */
static bool goes_on(struct watch_node *n, const struct json *j)
{
    u64 boot = json_get_u64(j, 0, "boot"), started = json_get_u64(j, 0, "started");
    bool same = n->met && n->boot == boot && n->started == started && json_get_true(j, 0, "on") &&
                json_get_u64(j, 0, "oldest") <= n->since;

    n->boot = boot;
    n->started = started;
    n->met = json_get_true(j, 0, "on");
    return same;
}

/* One answer. 1: there is more; 0: that was all; -1: it does not answer. */
static int take_piece(struct watch *w, struct watch_node *n)
{
    char path[64];
    struct http_answer a;
    struct json j;
    i64 low, high;

    snprintf(path, sizeof path, "/v1/sample?since=%llu", (unsigned long long)n->since);
    nanos asked = env_real_mono();
    bool good = ask(&n->place, "GET", path, &j, &a);
    nanos answered = env_real_mono();
    if (!good) {
        bool refused = !a.reached && answered - asked < TIMEOUT_MS * NANOS_MS / 2;
        if (refused && !n->dead) online_forget(w->online, answered + QUIET);
        if (!n->silent_since) n->silent_since = answered;
        n->dead |= refused;
        json_done(&j);
        return -1;
    }
    bool is_steady = clocks_see(&n->clocks, json_get_u64(&j, 0, "now"), asked, answered);
    bool whole = goes_on(n, &j) && is_steady && !n->dead;
    if (!whole) online_forget(w->online, answered + QUIET);
    /* What it told of a time that was missed in part is of no use. */
    if (whole) take_events(w, n, &j, answered);
    n->dead = false;
    n->silent_since = 0;
    n->since = json_get_u64(&j, 0, "next");
    bool more = json_get_true(&j, 0, "more");
    clocks_bounds(&n->clocks, answered, &low, &high);
    if (!more) n->told_to = (nanos)((i64)(json_get_u64(&j, 0, "now") * 1000) + low);
    json_done(&j);
    return more;
}

static void go_on_sampling(struct watch *w, u32 seconds)
{
    char path[96];

    snprintf(path, sizeof path, "/v1/sample?rate=%u&seconds=%u", w->rate, seconds);
    for (u32 i = 0; i < w->count; i++) {
        struct http_answer a;
        struct json j;
        if (w->nodes[i].silent_since || !w->nodes[i].listed) continue;
        ask(&w->nodes[i].place, "POST", path, &j, &a);
        json_done(&j);
    }
}

bool watch_look(struct watch *w)
{
    nanos now = env_real_mono();

    if (w->count == 0 || now > w->listed_at + LIST_EVERY) {
        bool listed = list_nodes(w, now);
        w->listed_at = now;
        if (!listed && w->count == 0) return false;
    }
    if (now > w->asked_at + ASK_EVERY || !w->asked_at) {
        go_on_sampling(w, SAMPLE_SECONDS);
        w->asked_at = now;
    }
    for (u32 i = 0; i < w->count; i++) {
        if (!w->nodes[i].listed) continue; /* removed from the cluster */
        bool was_away = w->nodes[i].silent_since != 0;
        for (u32 pieces = 0; pieces < PIECES_MAX && take_piece(w, &w->nodes[i]) > 0;) pieces++;
        if (was_away && !w->nodes[i].silent_since) w->asked_at = 0; /* it may have started anew */
    }
    return true;
}

nanos watch_mark(const struct watch *w)
{
    nanos mark = NANOS_NEVER;

    for (u32 i = 0; i < w->count; i++)
        if (!w->nodes[i].dead && w->nodes[i].listed) mark = u64_min(mark, w->nodes[i].told_to);
    return mark == NANOS_NEVER ? 0 : mark;
}

void watch_alert(struct watch *w, str text, str key, const char *level)
{
    char encoded_text[900], encoded_key[300], short_text[301], short_key[97];

    snprintf(short_text, sizeof short_text, "%.*s", STR_ARG(text));
    snprintf(short_key, sizeof short_key, "%.*s", STR_ARG(key));
    if (!url_put(encoded_text, sizeof encoded_text, short_text) || !url_put(encoded_key, sizeof encoded_key, short_key)) return;
    for (u32 i = 0; i < w->count; i++) {
        struct http_answer a;
        struct buf body = {0};
        buf_printf(&body, "text=%s&key=%s&level=%s", encoded_text, encoded_key, level);
        struct http_request q = {.place = w->nodes[i].place, .method = "POST", .path = "/v1/alerts", .body = buf_str(&body),
                                 .timeout_ms = TIMEOUT_MS};
        if (!w->nodes[i].dead) {
            http_ask(&q, &a);
            http_answer_done(&a);
        }
        buf_done(&body);
    }
}

void watch_end(struct watch *w) { go_on_sampling(w, 0); }
