/* `quorate group recover ID --accept-loss`: all nodes are asked what they have of the group; the replica with the longest log
 * is told to lead, and makes sure by itself that no replica it reaches has more and that a majority answers. */
#include "cli/recover.h"

#include "base/mem.h"
#include "cli/survey.h"
#include "cli/values.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOKS_MAX = 100, LOOK_MS = 100, ASK_MS = 5000 };

struct found { /* what there is of the group */
    u64 group, node, term, last; /* the longest log */
    u32 voters, heard, recovering;
    u64 leader; /* node; 0: none */
};

static u32 replica_row(const struct json *local, u64 group)
{
    u32 groups = json_get(local, 0, "groups");

    for (u32 g = json_each(local, groups, 0); g; g = json_each(local, groups, g))
        if (json_get_u64(local, g, "id") == group) return g;
    return 0;
}

static void see_replica(struct found *f, const struct survey *s, u64 node)
{
    const struct json *local = survey_local(s, node);
    u32 g = local ? replica_row(local, f->group) : 0;

    if (!g) return;
    bool doubtful = json_get_true(local, g, "impaired"), counts = !doubtful || json_get_true(local, g, "recovering");
    u64 term = json_get_u64(local, g, "last-term"), last = json_get_u64(local, g, "last");
    if (json_get_true(local, g, "leads")) f->leader = node;
    if (!counts) return; /* its votes may be lost as well */
    f->heard++;
    f->recovering += doubtful;
    if (f->heard > 1 && (term < f->term || (term == f->term && last <= f->last))) return;
    f->node = node;
    f->term = term;
    f->last = last;
}

static bool look(struct found *f, const struct survey *s)
{
    const struct json *j = &s->groups;
    u32 groups = json_get(j, 0, "groups"), members = 0;

    for (u32 g = json_each(j, groups, 0); g; g = json_each(j, groups, g))
        if (json_get_u64(j, g, "id") == f->group) members = json_get(j, g, "members");
    for (u32 m = members ? json_each(j, members, 0) : 0; m; m = json_each(j, members, m)) {
        if (str_equal(json_get_str(j, m, "role"), STR("learner"))) continue;
        f->voters++;
        see_replica(f, s, json_get_u64(j, m, "node"));
    }
    return members != 0;
}

static bool place_of(const struct survey *s, u64 node, struct http_place *out)
{
    u32 nodes = json_get(&s->nodes, 0, "nodes");
    char address[300];

    for (u32 n = json_each(&s->nodes, nodes, 0); n; n = json_each(&s->nodes, nodes, n)) {
        if (json_get_u64(&s->nodes, n, "id") != node) continue;
        snprintf(address, sizeof address, "%.*s", STR_ARG(json_get_str(&s->nodes, n, "admin")));
        return value_host_port(address, out->host, &out->port);
    }
    return false;
}

static int refuse(const char *name, const char *text)
{
    fprintf(stderr, "quorate group recover: %s: %s\n", name, text);
    return 1;
}

/* What the replica says has come of it. */
static int await(const struct found *f, const struct http_place *place)
{
    char state[40] = "";

    for (u32 i = 0; i < LOOKS_MAX; i++) {
        struct http_request q = {.place = *place, .method = "GET", .path = "/v1/local", .timeout_ms = ASK_MS};
        struct http_answer a;
        struct json j = {0};
        http_ask(&q, &a);
        bool ok = a.status == 200 && a.whole && json_parse(&j, buf_str(&a.body)) == OK;
        u32 g = ok ? replica_row(&j, f->group) : 0;
        bool leads = g && json_get_true(&j, g, "leads");
        u64 heard = g ? json_get_u64(&j, g, "recovery-heard") : 0;
        snprintf(state, sizeof state, "%.*s", g ? (int)json_get_str(&j, g, "recovery").len : 0,
                 g ? (const char *)json_get_str(&j, g, "recovery").at : "");
        json_done(&j);
        http_answer_done(&a);
        if (leads || strcmp(state, "done") == 0) {
            printf("group %lu goes on with the log of node %lu, up to %lu; what was only in memory is lost (MEMORY_LOSS in its log)\n",
                   f->group, f->node, f->last);
            return 0;
        }
        if (strcmp(state, "longer log elsewhere") == 0)
            return refuse("LONGERLOG", "another replica that came up meanwhile has a longer log; ask again");
        if (strcmp(state, "no majority") == 0) {
            fprintf(stderr, "quorate group recover: NOQUORUM: only %lu of %u voters answered the replica on node %lu\n", heard,
                    f->voters, f->node);
            return 1;
        }
        poll(NULL, 0, LOOK_MS);
    }
    return refuse("TIMEOUT", "the replica was asked, and nothing has come of it yet; quorate status shows more");
}

static int ask(struct verb_call *call, const struct survey *s, const struct found *f)
{
    char path[64];
    struct http_place place;

    if (!place_of(s, f->node, &place)) return refuse("NOSUCH", "the node with the longest log has no admin address");
    call->place = place;
    snprintf(path, sizeof path, "/v1/groups/%lu/recover", f->group);
    struct http_request q = {.place = place, .method = "POST", .path = path, .body = STR("accept-loss=1"), .timeout_ms = ASK_MS};
    struct http_answer a;
    struct json j = {0};
    http_ask(&q, &a);
    bool ok = a.status == 200, told = json_parse(&j, buf_str(&a.body)) == OK;
    if (!ok)
        fprintf(stderr, "quorate group recover: %.*s: %.*s\n", told ? (int)json_get_str(&j, 0, "error").len : 0,
                told ? (const char *)json_get_str(&j, 0, "error").at : "",
                told ? (int)json_get_str(&j, 0, "reason").len : (int)strlen(a.problem),
                told ? (const char *)json_get_str(&j, 0, "reason").at : a.problem);
    json_done(&j);
    http_answer_done(&a);
    return ok ? await(f, &place) : 1;
}

static int decide(struct verb_call *call, const struct survey *s, struct found *f)
{
    if (!look(f, s)) return refuse("NOSUCH", "there is no such group; quorate group list shows them");
    if (f->leader) return refuse("HASLEADER", "the group has a leader: there is nothing to recover");
    if (f->heard <= f->voters / 2) {
        fprintf(stderr, "quorate group recover: NOQUORUM: only %u of %u voters can be asked and have kept their votes; a majority is needed, "
                        "or what is on the disks of a majority could be lost, too\n", f->heard, f->voters);
        return 1;
    }
    if (f->recovering == 0) return refuse("NOTNEEDED", "none of its replicas has lost anything: it will elect a leader by itself");
    printf("group %lu: %u of %u voters answer, %u of them crashed with entries in memory; the longest log is on node %lu, up to %lu\n",
           f->group, f->heard, f->voters, f->recovering, f->node, f->last);
    if (call->dry_run) return 0;
    if (!call->accept_loss)
        return refuse("LOSS", "acknowledged writes that were in memory only may be lost; --accept-loss says that this is accepted");
    return ask(call, s, f);
}

int group_recover(struct verb_call *call)
{
    struct found f = {.group = strtoull(call->words[0], NULL, 10)};
    struct survey *s = mem_zalloc(sizeof *s);
    int status = survey_take(s, &call->place) ? decide(call, s, &f) : refuse("UNREACHABLE", s->problem);

    survey_done(s);
    mem_free(s);
    return status;
}
