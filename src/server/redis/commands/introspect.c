/* COMMAND: what commands there are, in the ten-element form of Redis 7. All of it is read off the
 * rows of the keyspace's commands and the door's, and off command_docs.c. */
#include "server/redis/commands/introspect.h"

#include <stdio.h>

struct flag_name {
    u32 flag;
    const char *name;
};

static const struct flag_name flag_names[] = {
    {DOOR_WRITE, "write"},
    {DOOR_READONLY, "readonly"},
    {DOOR_DENYOOM, "denyoom"},
    {DOOR_ADMIN, "admin"},
    {DOOR_NOSCRIPT, "noscript"},
    {DOOR_BLOCKING, "blocking"},
    {DOOR_LOADING, "loading"},
    {DOOR_STALE, "stale"},
    {DOOR_SKIP_SLOWLOG, "skip_slowlog"},
    {DOOR_FAST, "fast"},
    {DOOR_NO_AUTH, "no_auth"},
    {DOOR_MOVABLE, "movablekeys"},
    {DOOR_NO_MULTI, "no_multi"},
    {DOOR_ALLOW_BUSY, "allow_busy"},
};

static const struct flag_name category_names[] = {
    {CATEGORY_KEYSPACE, "@keyspace"},
    {CATEGORY_READ, "@read"},
    {CATEGORY_WRITE, "@write"},
    {CATEGORY_STRING, "@string"},
    {CATEGORY_ADMIN, "@admin"},
    {CATEGORY_FAST, "@fast"},
    {CATEGORY_SLOW, "@slow"},
    {CATEGORY_BLOCKING, "@blocking"},
    {CATEGORY_DANGEROUS, "@dangerous"},
    {CATEGORY_CONNECTION, "@connection"},
    {CATEGORY_TRANSACTION, "@transaction"},
    {CATEGORY_SCRIPTING, "@scripting"},
};

struct shown introspect_show_door(const struct door_command *row)
{
    struct shown s = {.name = row->name,
                      .arity = row->arity,
                      .flags = row->flags,
                      .first_key = row->first_key,
                      .last_key = row->last_key,
                      .key_step = row->key_step,
                      .doc = redis_command_doc_find(str_of(row->name)),
                      .subcommands = row->subcommands};

    s.categories = s.doc ? s.doc->categories : 0;
    if (s.flags & DOOR_WRITE) s.categories |= CATEGORY_WRITE;
    if (s.flags & DOOR_READONLY) s.categories |= CATEGORY_READ;
    if (s.flags & DOOR_ADMIN) s.categories |= CATEGORY_ADMIN | CATEGORY_DANGEROUS;
    if (s.flags & DOOR_BLOCKING) s.categories |= CATEGORY_BLOCKING;
    s.categories |= s.flags & DOOR_FAST ? CATEGORY_FAST : CATEGORY_SLOW;
    return s;
}

static struct shown show_data(const struct kv_command *cmd)
{
    struct shown s = {.name = cmd->name,
                      .arity = cmd->arity,
                      .first_key = cmd->first_key,
                      .last_key = cmd->last_key,
                      .key_step = cmd->key_step,
                      .doc = redis_command_doc_find(str_of(cmd->name))};

    if (strcmp(cmd->name, "object") == 0) { /* the container itself is neither */
        s.subcommands = redis_object_subcommands;
        s.categories = CATEGORY_SLOW;
        return s;
    }
    s.flags = cmd->flags & KV_WRITE ? DOOR_WRITE : DOOR_READONLY;
    s.categories = cmd->flags & KV_WRITE ? CATEGORY_WRITE : CATEGORY_READ;
    if (cmd->flags & KV_DENYOOM) s.flags |= DOOR_DENYOOM;
    if (cmd->flags & KV_FAST) s.flags |= DOOR_FAST;
    if (cmd->flags & KV_MOVABLE) s.flags |= DOOR_MOVABLE;
    s.categories |= cmd->flags & KV_FAST ? CATEGORY_FAST : CATEGORY_SLOW;
    s.categories |= cmd->flags & KV_STRING ? CATEGORY_STRING : CATEGORY_KEYSPACE;
    if (cmd->flags & KV_DANGEROUS) s.categories |= CATEGORY_DANGEROUS;
    return s;
}

/* --- one command in ten elements --- */

static void reply_flags(struct resp_writer *w, const struct flag_name *names, size_t count,
                        u32 flags)
{
    u32 set = 0;

    for (size_t i = 0; i < count; i++) set += (flags & names[i].flag) != 0;
    resp_set(w, set);
    for (size_t i = 0; i < count; i++)
        if (flags & names[i].flag) resp_simple(w, names[i].name);
}

/* The words of a line, as simple or bulk strings. */
void introspect_reply_words(struct resp_writer *w, const char *line, size_t len, bool bulk)
{
    size_t words = 0;

    for (size_t i = 0; i < len; i++) words += line[i] != ' ' && (i == 0 || line[i - 1] == ' ');
    resp_set(w, words);
    for (size_t i = 0; i < len;) {
        size_t from = i;
        char word[NAME_BYTES_MAX];
        while (i < len && line[i] != ' ') i++;
        snprintf(word, sizeof word, "%.*s", (int)(i - from), line + from);
        if (bulk)
            resp_bulk_text(w, word);
        else
            resp_simple(w, word);
        while (i < len && line[i] == ' ') i++;
    }
}

static void reply_key_spec(struct resp_writer *w, const char *flags, size_t flags_len, i64 index,
                           i64 last, i64 step)
{
    resp_map(w, 3);
    resp_bulk_text(w, "flags");
    introspect_reply_words(w, flags, flags_len, false);
    resp_bulk_text(w, "begin_search");
    resp_map(w, 2);
    resp_bulk_text(w, "type");
    resp_bulk_text(w, "index");
    resp_bulk_text(w, "spec");
    resp_map(w, 1);
    resp_bulk_text(w, "index");
    resp_integer(w, index);
    resp_bulk_text(w, "find_keys");
    resp_map(w, 2);
    resp_bulk_text(w, "type");
    resp_bulk_text(w, "range");
    resp_bulk_text(w, "spec");
    resp_map(w, 3);
    resp_bulk_text(w, "lastkey");
    resp_integer(w, last);
    resp_bulk_text(w, "keystep");
    resp_integer(w, step);
    resp_bulk_text(w, "limit");
    resp_integer(w, 0);
}

/* One spec for all keys, or one per key where they are used differently (COPY, RENAME). */
static void reply_key_specs(struct resp_writer *w, const struct shown *s)
{
    const char *flags = s->doc && s->doc->keys ? s->doc->keys : NULL;
    u32 specs = flags ? 1 : 0;

    for (const char *at = flags; at && *at; at++) specs += *at == '|';
    resp_set(w, specs);
    if (specs == 1) {
        i32 last = s->last_key < 0 ? s->last_key : s->last_key - s->first_key;
        reply_key_spec(w, flags, strlen(flags), s->first_key, last, s->key_step);
        return;
    }
    for (u32 i = 0; i < specs; i++) {
        size_t len = strcspn(flags, "|");
        reply_key_spec(w, flags, len, s->first_key + (i32)i, 0, 1);
        flags += len + 1;
    }
}

u32 introspect_count_rows(const struct door_command *rows)
{
    u32 count = 0;

    for (; rows && rows[count].name;) count++;
    return count;
}

/* A container's subcommands are its tenth element; they have none of their own. */
static void reply_one(struct resp_writer *w, const struct shown *s)
{
    const char *tips = s->doc && s->doc->tips ? s->doc->tips : "";

    resp_array(w, 10);
    resp_bulk_text(w, s->name);
    resp_integer(w, s->arity);
    reply_flags(w, flag_names, ARRAY_LEN(flag_names), s->flags);
    resp_integer(w, s->first_key);
    resp_integer(w, s->last_key);
    resp_integer(w, s->key_step);
    reply_flags(w, category_names, ARRAY_LEN(category_names), s->categories);
    introspect_reply_words(w, tips, strlen(tips), true);
    reply_key_specs(w, s);
}

static void reply_info(struct resp_writer *w, const struct shown *s)
{
    reply_one(w, s);
    resp_set(w, introspect_count_rows(s->subcommands));
    for (const struct door_command *row = s->subcommands; row && row->name; row++) {
        struct shown sub = introspect_show_door(row);
        reply_one(w, &sub);
        resp_set(w, 0);
    }
}

/* --- all of them --- */

void introspect_each_command(const struct redis_door *d, shown_fn fn, void *context)
{
    u32 count;
    const struct kv_command *data = kv_commands(&count);

    for (u32 i = 0; i < count; i++) {
        struct shown s = show_data(&data[i]);
        fn(context, &s);
    }
    for (u32 i = 0; i < d->command_count; i++) {
        struct shown s = introspect_show_door(d->commands[i]);
        fn(context, &s);
    }
}

static u32 command_total(const struct redis_door *d)
{
    u32 count;

    kv_commands(&count);
    return count + d->command_count;
}

/* By its name, "config" or "config|get". */
static bool shown_find(const struct redis_door *d, str name, struct shown *out)
{
    const u8 *bar = name.len ? memchr(name.at, '|', name.len) : NULL;
    str container = str_from(name.at, bar ? (size_t)(bar - name.at) : name.len);
    struct command_ref ref = redis_command_find(d, container);

    if (!ref.data && !ref.door) return false;
    *out = ref.data ? show_data(ref.data) : introspect_show_door(ref.door);
    if (!bar) return true;
    const struct door_command *row = redis_subcommand_find(
        out->subcommands, str_from(bar + 1, name.len - container.len - 1));
    if (!row) return false;
    *out = introspect_show_door(row);
    return true;
}

static void write_info(void *context, const struct shown *s)
{
    reply_info(context, s);
}

static void cmd_command(struct call *call)
{
    resp_array(&call->w, command_total(call->door));
    introspect_each_command(call->door, write_info, &call->w);
}

static void cmd_info(struct call *call)
{
    struct shown s;

    if (call->argc == 2) {
        cmd_command(call);
        return;
    }
    resp_array(&call->w, call->argc - 2);
    for (u32 i = 2; i < call->argc; i++) {
        if (shown_find(call->door, call->argv[i], &s))
            reply_info(&call->w, &s);
        else
            resp_null(&call->w);
    }
}

static void cmd_count(struct call *call)
{
    resp_integer(&call->w, command_total(call->door));
}

/* --- COMMAND DOCS --- */

static void reply_docs(struct resp_writer *w, const struct shown *s)
{
    static const struct command_doc none = {
        .since = "1.0.0", .group = "generic", .complexity = "O(1)", .summary = ""};
    const struct command_doc *doc = s->doc ? s->doc : &none;

    resp_bulk_text(w, s->name);
    resp_map(w, 4 + (s->subcommands ? 1 : 0));
    resp_bulk_text(w, "summary");
    resp_bulk_text(w, doc->summary);
    resp_bulk_text(w, "since");
    resp_bulk_text(w, doc->since);
    resp_bulk_text(w, "group");
    resp_bulk_text(w, doc->group);
    resp_bulk_text(w, "complexity");
    resp_bulk_text(w, doc->complexity);
    if (!s->subcommands) return;
    resp_bulk_text(w, "subcommands");
    resp_map(w, introspect_count_rows(s->subcommands));
    for (const struct door_command *row = s->subcommands; row->name; row++) {
        const struct command_doc *sub = redis_command_doc_find(str_of(row->name));
        if (!sub) sub = &none;
        resp_bulk_text(w, row->name);
        resp_map(w, 2);
        resp_bulk_text(w, "summary");
        resp_bulk_text(w, sub->summary);
        resp_bulk_text(w, "since");
        resp_bulk_text(w, sub->since);
    }
}

static void write_docs(void *context, const struct shown *s)
{
    reply_docs(context, s);
}

static void cmd_docs(struct call *call)
{
    struct shown s;
    u32 found = 0;

    if (call->argc == 2) {
        resp_map(&call->w, command_total(call->door));
        introspect_each_command(call->door, write_docs, &call->w);
        return;
    }
    for (u32 i = 2; i < call->argc; i++)
        found += shown_find(call->door, call->argv[i], &s);
    resp_map(&call->w, found);
    for (u32 i = 2; i < call->argc; i++)
        if (shown_find(call->door, call->argv[i], &s)) reply_docs(&call->w, &s);
}

u32 introspect_category_of(str name)
{
    for (size_t i = 0; i < ARRAY_LEN(category_names); i++)
        if (str_is_word(name, category_names[i].name + 1)) return category_names[i].flag;
    return 0;
}

#define ANYTIME (DOOR_LOADING | DOOR_STALE)

static const struct door_command subcommands[] = {
    {"command|count", 2, ANYTIME, cmd_count, NULL, 0, 0, 0},
    {"command|docs", -2, ANYTIME, cmd_docs, NULL, 0, 0, 0},
    {"command|getkeys", -4, ANYTIME, introspect_getkeys, NULL, 0, 0, 0},
    {"command|getkeysandflags", -4, ANYTIME, introspect_getkeysandflags, NULL, 0, 0, 0},
    {"command|help", 2, ANYTIME, redis_reply_help, NULL, 0, 0, 0},
    {"command|info", -2, ANYTIME, cmd_info, NULL, 0, 0, 0},
    {"command|list", -2, ANYTIME, introspect_list, NULL, 0, 0, 0},
    {0},
};

const struct door_command redis_introspect_commands[] = {
    {"command", -1, ANYTIME, cmd_command, subcommands, 0, 0, 0},
    {0},
};

#define OF_KEY DOOR_READONLY, NULL, NULL, 2, 2, 1

const struct door_command redis_object_subcommands[] = {
    {"object|encoding", 3, OF_KEY},
    {"object|freq", 3, OF_KEY},
    {"object|help", 2, ANYTIME, NULL, NULL, 0, 0, 0},
    {"object|idletime", 3, OF_KEY},
    {"object|refcount", 3, OF_KEY},
    {0},
};
