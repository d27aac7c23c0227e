/* `quorate ks pin NAME PREFIX node=N`: a directory of keys gets groups of its own, led where the pin says. The map already says which
 * keys are whose, so a pin is two cuts of it and the groups between them marked: a marked group is not merged
 * with neighbours that are not, and what it is split into is marked as well. */
#include "cli/pin.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { STEPS_MAX = 600, LOOK_EVERY_MS = 100 };
enum { KEY_MAX = 256 };

struct bound {
    char key[KEY_MAX + 1];
    size_t len; /* 0: there is none, the keys end */
};

static str bound_key(const struct bound *b)
{
    return str_from(b->key, b->len);
}

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

static int refuse(struct verb_call *call, const char *why, const char *word)
{
    fprintf(stderr, "quorate ks pin: %s%s\n", why, word);
    return call->status = 1;
}

/* 0: the keyspace is not cut by keys. */
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

/* Keys from `at` on are to be pinned; those before it are. */
struct pinning {
    struct verb_call *call;
    char keyspace[256]; /* its name, as in a path */
    u64 node, was;      /* where the group that begins at `at` was pinned before */
    struct buf at;
    struct bound to;
    u32 groups; /* pinned so far */
};

/* The group with this key; 0: there is none, or nobody answered, and that is said. */
static u32 look(struct pinning *p, str key)
{
    struct verb_call *call = p->call;
    char path[320];

    snprintf(path, sizeof path, "/v1/groups?keyspace=%s", p->keyspace);
    if (!call_get(call, path)) return 0;
    u32 g = group_with(&call->answer, key);
    if (!g) refuse(call, "only a keyspace with partitions=range has directories, not ", call->words[0]);
    return g;
}

/* The upper half is pinned to the node. */
static bool split(struct pinning *p, u64 id, str key, u64 node)
{
    char text[KEY_MAX + 1], word[3 * KEY_MAX + 1], body[sizeof word + 64], path[64];

    if (key.len > KEY_MAX) return !refuse(p->call, "groups have changed meanwhile: do it again", "");
    memcpy(text, key.at, key.len);
    text[key.len] = 0;
    if (!url_put(word, sizeof word, text)) return !refuse(p->call, "too long a key: ", text);
    snprintf(path, sizeof path, "/v1/groups/%lu/split", id);
    snprintf(body, sizeof body, "at=%s&node=%lu", word, node);
    if (p->call->dry_run) printf("group %lu would be split at %s\n", id, text);
    return post(p->call, path, body);
}

static bool mark(struct pinning *p, u64 id)
{
    char path[320], body[96];

    snprintf(path, sizeof path, "/v1/keyspaces/%s/pin", p->keyspace);
    snprintf(body, sizeof body, "node=%lu&group=%lu", p->node, id);
    return post(p->call, path, body);
}

/* What lies before `end` is as it should be. False: so is everything. */
static bool go_on_from(struct pinning *p, str end)
{
    p->groups++;
    p->was = p->node;
    if (!end.len || (p->to.len && str_compare(end, bound_key(&p->to)) >= 0)) return false;
    buf_clear(&p->at);
    buf_append_str(&p->at, end);
    return true;
}

/* One step, by what the map shows. A group is marked when it is cut off, or before it is cut: what has few keys and is
 * not marked yet, the planner takes into a neighbour. False: done, or refused. */
static bool take_step(struct pinning *p)
{
    const struct json *j = &p->call->answer;
    str at = buf_str(&p->at), to = bound_key(&p->to);
    u32 g = look(p, at);

    if (!g) return false;
    if (json_get_str(j, json_get(j, g, "operation"), "kind").len) return true;
    u64 id = json_get_u64(j, g, "id"), pinned = json_get_u64(j, g, "pinned-node");
    str from = json_get_str(j, g, "from"), end = json_get_str(j, g, "to");
    bool is_marked = pinned == p->node, done, has_more = to.len && (!end.len || str_compare(to, end) < 0);
    if (is_marked && (p->was == p->node || !has_more)) return go_on_from(p, end);
    if (!is_marked) p->was = pinned;
    if (is_marked)
        done = split(p, id, to, p->was);
    else if (str_equal(from, at))
        done = mark(p, id);
    else
        done = split(p, id, at, p->node);
    return done || may_come_right(p->call);
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
        refuse(call, "a directory is pinned by node=N, or by group=ID to where that group is led", "");
        return 0;
    }
    snprintf(path, sizeof path, "/v1/groups?id=%s", id);
    if (!call_get(call, path)) return 0;
    u32 groups = json_get(&call->answer, 0, "groups"), g = json_each(&call->answer, groups, 0);
    u64 leader = g ? json_get_u64(&call->answer, g, "leader-node") : 0;
    if (!leader) refuse(call, "there is no group, or none that is led, of number ", group);
    return leader;
}

static void foresee(struct pinning *p, const struct bound *b)
{
    const struct json *j = &p->call->answer;
    u32 g = b->len ? look(p, bound_key(b)) : 0;

    if (!g || json_get_u64(j, g, "pinned-node") == p->node) return;
    if (str_equal(json_get_str(j, g, "from"), bound_key(b))) return;
    (void)split(p, json_get_u64(j, g, "id"), bound_key(b), p->node);
}

static int carry_out(struct pinning *p)
{
    for (u32 tries = 0; take_step(p); tries++) {
        if (tries == STEPS_MAX)
            return refuse(p->call, "not done within a minute; quorate group list shows what is under way, and the same "
                          "command goes on from there: ", p->call->words[1]);
        (void)poll(NULL, 0, LOOK_EVERY_MS);
    }
    return p->call->status;
}

int pin_directory(struct verb_call *call)
{
    const char *prefix = call->words[1];
    struct bound from = {.len = strlen(prefix)};

    if (!from.len || from.len > KEY_MAX) return refuse(call, "a directory is a prefix of 1 to 256 bytes, not ", prefix);
    if (call->json) return refuse(call, "--json is for pins without a prefix", "");
    memcpy(from.key, prefix, from.len);
    u64 node = node_of(call);
    if (!node) return call->status;
    struct pinning p = {.call = call, .node = node, .was = node, .to = end_of(prefix)};
    if (!url_put(p.keyspace, sizeof p.keyspace, call->words[0])) return refuse(call, "too long a name: ", call->words[0]);
    if (call->dry_run) {
        foresee(&p, &from);
        if (!call->status) foresee(&p, &p.to);
        if (call->status) return call->status;
        printf("and the leaders of what lies between would go to node %lu; nothing was done\n", node);
        return 0;
    }
    buf_append_str(&p.at, bound_key(&from));
    int status = carry_out(&p);
    buf_done(&p.at);
    if (!status)
        printf("keys of %s that begin with %s are in %u group%s of their own, led by node %lu as soon as they can\n",
               call->words[0], prefix, p.groups, p.groups == 1 ? "" : "s", node);
    return status;
}
