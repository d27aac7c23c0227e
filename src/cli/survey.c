#include "cli/survey.h"

#include "base/assert.h"
#include "base/mem.h"
#include "cli/values.h"

#include <stdio.h>
#include <stdlib.h>

enum { TIMEOUT_MS = 2000, LOCAL_TIMEOUT_MS = 1000 };

static bool get(const struct http_place *place, const char *path, u32 timeout_ms, struct json *out,
                char *problem, size_t size, bool *reached)
{
    struct http_request q = {
        .place = *place, .method = "GET", .path = path, .timeout_ms = timeout_ms};
    struct http_answer a;

    *out = (struct json){0};
    http_ask(&q, &a);
    if (reached) *reached = a.reached;
    bool ok = a.status == 200 && a.whole && json_parse(out, buf_str(&a.body)) == OK;
    if (!ok && problem && a.status == 0) {
        snprintf(problem, size, "%s", a.problem);
    } else if (!ok && problem) {
        struct json refusal = {0};
        bool told = json_parse(&refusal, buf_str(&a.body)) == OK;
        str reason = told ? json_get_str(&refusal, 0, "reason") : buf_str(&a.body);
        snprintf(problem, size, "%s:%u answers %u: %.*s", q.place.host, q.place.port, a.status,
                 STR_ARG(reason));
        json_done(&refusal);
    }
    http_answer_done(&a);
    return ok;
}

bool survey_get(const struct http_place *place, const char *path, struct json *out, char *problem, size_t size)
{
    return get(place, path, TIMEOUT_MS, out, problem, size, NULL);
}

/* With the leader's facts where it is in reach; where it was not once, it is not waited for again. */
static bool get_facts(struct survey *s, const struct http_place *place, const char *path, struct json *out)
{
    char with_leader[64];

    snprintf(with_leader, sizeof with_leader, "%s?leader=1", path);
    if (!s->leader_silent && get(place, with_leader, TIMEOUT_MS, out, NULL, 0, NULL)) return true;
    s->leader_silent = true;
    return get(place, path, TIMEOUT_MS, out, s->problem, sizeof s->problem, NULL);
}

bool survey_place(const struct json *nodes, u32 node, struct http_place *out)
{
    char address[NODE_HOST_MAX + 8];

    snprintf(address, sizeof address, "%.*s", STR_ARG(json_get_str(nodes, node, "admin")));
    return value_host_port(address, out->host, &out->port);
}

static void ask_node(struct survey *s, u32 node, bool also_silent)
{
    struct survey_node *n = &s->each[s->count++];
    struct http_place place;

    *n = (struct survey_node){.id = json_get_u64(&s->nodes, node, "id")};
    bool silent = json_get(&s->nodes, node, "alive") && !json_get_true(&s->nodes, node, "alive");
    if ((silent && !also_silent) || !survey_place(&s->nodes, node, &place)) return;
    n->answers = get(&place, "/v1/local", LOCAL_TIMEOUT_MS, &n->local, NULL, 0, &n->reached);
}

static int led_by_group(const void *a, const void *b)
{
    const struct survey_led *x = a, *y = b;
    return (x->group > y->group) - (x->group < y->group);
}

static void index_led(struct survey *s)
{
    u32 cap = 0;

    for (u32 i = 0; i < s->count; i++) {
        const struct json *j = &s->each[i].local;
        u32 groups = s->each[i].answers ? json_get(j, 0, "groups") : 0;
        for (u32 g = groups ? json_each(j, groups, 0) : 0; g; g = json_each(j, groups, g)) {
            if (!json_get_true(j, g, "leads")) continue;
            if (s->led_count == cap) {
                cap = cap ? 2 * cap : 64;
                s->led = mem_resize_array(s->led, cap, sizeof *s->led);
            }
            s->led[s->led_count++] = (struct survey_led){json_get_u64(j, g, "id"), i, g};
        }
    }
    if (s->led_count) qsort(s->led, s->led_count, sizeof *s->led, led_by_group);
}

static bool take(struct survey *s, const struct http_place *place, bool also_silent)
{
    *s = (struct survey){0};
    bool ok = survey_get(place, "/v1/cluster", &s->cluster, s->problem, sizeof s->problem) &&
              get_facts(s, place, "/v1/nodes", &s->nodes) && get_facts(s, place, "/v1/groups", &s->groups) &&
              get_facts(s, place, "/v1/plan", &s->plan);
    if (!ok) {
        survey_done(s);
        return false;
    }
    u32 nodes = json_get(&s->nodes, 0, "nodes");
    for (u32 n = json_each(&s->nodes, nodes, 0); n && s->count < SURVEY_NODES_MAX;
         n = json_each(&s->nodes, nodes, n))
        ask_node(s, n, also_silent);
    index_led(s);
    return true;
}

bool survey_take(struct survey *s, const struct http_place *place)
{
    return take(s, place, false);
}

bool survey_take_all(struct survey *s, const struct http_place *place)
{
    return take(s, place, true);
}

void survey_done(struct survey *s)
{
    json_done(&s->cluster);
    json_done(&s->nodes);
    json_done(&s->groups);
    json_done(&s->plan);
    for (u32 i = 0; i < s->count; i++) json_done(&s->each[i].local);
    mem_free(s->led);
    s->led = NULL;
    s->count = s->led_count = 0;
}

const struct json *survey_local(const struct survey *s, u64 node)
{
    for (u32 i = 0; i < s->count; i++)
        if (s->each[i].id == node) return s->each[i].answers ? &s->each[i].local : NULL;
    return NULL;
}

u32 survey_led(const struct survey *s, u64 group, const struct json **local)
{
    struct survey_led key = {.group = group};
    const struct survey_led *found =
        s->led_count ? bsearch(&key, s->led, s->led_count, sizeof key, led_by_group) : NULL;

    if (found) *local = &s->each[found->node].local;
    return found ? found->item : 0;
}

u64 survey_lag(const struct json *local, u32 group)
{
    u32 peers = json_get(local, group, "peers");
    u64 most = 0;

    for (u32 p = json_each(local, peers, 0); peers && p; p = json_each(local, peers, p))
        if (!json_get_true(local, p, "learner"))
            most = u64_max(most, json_get_u64(local, p, "behind"));
    return most;
}

u32 survey_recovering(const struct survey *s, u64 group)
{
    u32 count = 0;

    for (u32 i = 0; i < s->count; i++) {
        const struct json *j = &s->each[i].local;
        u32 groups = s->each[i].answers ? json_get(j, 0, "groups") : 0;
        for (u32 g = groups ? json_each(j, groups, 0) : 0; g; g = json_each(j, groups, g))
            count += json_get_u64(j, g, "id") == group && json_get_true(j, g, "recovering");
    }
    return count;
}
