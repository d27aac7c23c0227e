/* `quorate ks pin NAME PREFIX node=N`: a directory of keys gets groups of its own, led where the pin says. The map already says which
 * keys are whose, so a pin is two cuts of it and the groups between them marked: a marked group is not merged
 * with its neighbours, and what it is split into is marked as well. */
#include "cli/pin.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { CUT_TRIES = 300, CUT_PAUSE_MS = 200 };
enum { KEY_MAX = 256 };

struct bound {
    char key[KEY_MAX + 1];
    size_t len; /* 0: there is none, the keys end */
};

/* The first key behind all that begin with the prefix. */
static struct bound end_of(const char *prefix)
{
    struct bound b = {.len = strlen(prefix)};

    memcpy(b.key, prefix, b.len);
    while (b.len && (u8)b.key[b.len - 1] == 0xff) b.key[--b.len] = 0;
    if (b.len) b.key[b.len - 1] = (char)((u8)b.key[b.len - 1] + 1);
    return b;
}

/* Without the call's own rows. */
static bool post(struct verb_call *call, const char *path, const char *body)
{
    u32 rows = call->row_count;

    call->row_count = 0;
    bool done = call_post(call, path, body);
    call->row_count = rows;
    return done;
}

static bool get_groups(struct verb_call *call)
{
    char name[256], path[320];

    if (!url_put(name, sizeof name, call->words[0])) return false;
    snprintf(path, sizeof path, "/v1/groups?keyspace=%s", name);
    return call_get(call, path);
}

static int refuse(const char *why, const char *word)
{
    fprintf(stderr, "quorate ks pin: %s%s\n", why, word);
    return 1;
}

/* The group with this key; 0: the keyspace is not cut by keys. */
static u32 group_with(const struct json *j, str key)
{
    u32 groups = json_get(j, 0, "groups");

    for (u32 g = json_each(j, groups, 0); g; g = json_each(j, groups, g)) {
        if (!json_get(j, g, "from")) return 0;
        str from = json_get_str(j, g, "from"), to = json_get_str(j, g, "to");
        if (str_compare(from, key) <= 0 && (!to.len || str_compare(key, to) < 0)) return g;
    }
    return 0;
}

/* It was decided on an older map, or something else is under way: the next look will show it. */
static bool may_come_right(const struct verb_call *call)
{
    str error = json_get_str(&call->answer, 0, "error");
    return str_equal(error, STR("STALE")) || str_equal(error, STR("UNDERWAY"));
}

/* Sees to it that a group begins at this key. The exit status. */
static int cut_at(struct verb_call *call, const struct bound *b)
{
    str key = str_from(b->key, b->len);
    char word[3 * KEY_MAX + 1], body[3 * KEY_MAX + 8], path[64];
    u64 asked = 0;

    if (!url_put(word, sizeof word, b->key)) return refuse("this prefix is too long: ", b->key);
    snprintf(body, sizeof body, "at=%s", word);
    for (u32 tries = 0; tries < CUT_TRIES; tries++) {
        if (!get_groups(call)) return call->status;
        const struct json *j = &call->answer;
        u32 g = group_with(j, key);
        if (!g) return refuse("only a keyspace with partitions=range has directories, not ", call->words[0]);
        bool is_busy = json_get_str(j, json_get(j, g, "operation"), "kind").len > 0;
        u64 id = json_get_u64(j, g, "id");
        if (str_equal(json_get_str(j, g, "from"), key) && !is_busy) return 0;
        if (!is_busy && asked != id) {
            snprintf(path, sizeof path, "/v1/groups/%lu/split", id);
            if (call->dry_run) printf("group %lu would be split at %s\n", id, b->key);
            bool done = post(call, path, body);
            if (!done && !may_come_right(call)) return call->status;
            if (call->dry_run) return 0;
            asked = done ? id : 0;
        } else if (!is_busy) {
            asked = 0; /* it was given up: once more */
        }
        (void)poll(NULL, 0, CUT_PAUSE_MS);
    }
    return refuse("no group begins there within a minute (quorate group list shows what is under way): ", b->key);
}

static const char *row_of(const struct verb_call *call, const char *name)
{
    size_t len = strlen(name);

    for (u32 i = 0; i < call->row_count; i++)
        if (!strncmp(call->rows[i], name, len) && call->rows[i][len] == '=') return call->rows[i] + len + 1;
    return NULL;
}

/* node=N, or where the leader of group=ID is. 0: neither, and that is said. */
static u64 node_of(struct verb_call *call)
{
    const char *node = row_of(call, "node"), *group = row_of(call, "group");
    char id[64], path[96];
    i64 number = 0;

    if (node && !group && str_to_i64(str_of(node), &number) && number > 0) return (u64)number;
    if (!group || node || !url_put(id, sizeof id, group)) {
        refuse("a directory is pinned by node=N, or by group=ID to where that group is led", "");
        return 0;
    }
    snprintf(path, sizeof path, "/v1/groups?id=%s", id);
    if (!call_get(call, path)) return 0;
    u32 groups = json_get(&call->answer, 0, "groups"), g = json_each(&call->answer, groups, 0);
    u64 leader = g ? json_get_u64(&call->answer, g, "leader-node") : 0;
    if (!leader) refuse("there is no group, or none that is led, of number ", group);
    return leader;
}

int pin_directory(struct verb_call *call)
{
    const char *prefix = call->words[1];
    struct bound from = {.len = strlen(prefix)}, to;
    char name[256], path[320], body[96];
    u32 pinned = 0;

    if (!from.len || from.len > KEY_MAX) return refuse("a directory is a prefix of 1 to 256 bytes, not ", prefix);
    if (call->json) return refuse("--json is for pins without a prefix", "");
    memcpy(from.key, prefix, from.len);
    to = end_of(prefix);
    u64 node = node_of(call);
    if (!node) return call->status ? call->status : 1;
    int status = cut_at(call, &from);
    if (!status && to.len) status = cut_at(call, &to);
    if (status) return status;
    if (call->dry_run) {
        printf("and the leaders of what lies between would go to node %lu; nothing was done\n", node);
        return 0;
    }
    if (!url_put(name, sizeof name, call->words[0])) return 2;
    snprintf(path, sizeof path, "/v1/keyspaces/%s/pin", name);
    str at = str_from(from.key, from.len), end = str_from(to.key, to.len);
    struct buf next = {0};
    while (!status && (!end.len || str_compare(at, end) < 0)) {
        if (!get_groups(call)) return call->status;
        u32 g = group_with(&call->answer, at);
        if (!g) break;
        snprintf(body, sizeof body, "node=%lu&group=%lu", node, json_get_u64(&call->answer, g, "id"));
        buf_clear(&next);
        buf_append_str(&next, json_get_str(&call->answer, g, "to"));
        if (!post(call, path, body)) status = call->status;
        pinned++;
        at = buf_str(&next);
        if (!at.len) break;
    }
    buf_done(&next);
    if (!status)
        printf("keys of %s that begin with %s are in %u group%s of their own, led by node %lu as soon as they can\n",
               call->words[0], prefix, pinned, pinned == 1 ? "" : "s", node);
    return status;
}
