/* COMMAND LIST, COMMAND GETKEYS and every container's HELP. */
#include "server/redis/commands/introspect.h"

#include <stdio.h>

/* --- COMMAND LIST --- */

struct list_filter {
    const struct call *call;
    bool by_pattern, by_category, nothing;
    u32 category, count;
    str pattern;
    struct resp_writer *w; /* NULL: only count */
};

static bool is_listed(const struct list_filter *f, const struct shown *s)
{
    if (f->nothing) return false;
    if (f->by_category) return s->categories & f->category;
    return !f->by_pattern || redis_glob_matches_name(f->pattern, s->name);
}

static void list_one(struct list_filter *f, const struct shown *s)
{
    if (!is_listed(f, s)) return;
    f->count++;
    if (f->w) resp_bulk_text(f->w, s->name);
}

static void list_shown(void *context, const struct shown *s)
{
    struct list_filter *f = context;

    list_one(f, s);
    if (!f->by_pattern && !f->by_category) return; /* without a filter Redis lists no subcommands */
    for (const struct door_command *row = s->subcommands; row && row->name; row++) {
        struct shown sub = introspect_show_door(row);
        list_one(f, &sub);
    }
}

void introspect_list(struct call *call)
{
    struct list_filter f = {.call = call};

    if (call->argc == 5 && str_is_word(call->argv[2], "filterby")) {
        f.pattern = call->argv[4];
        f.by_pattern = str_is_word(call->argv[3], "pattern");
        f.by_category = str_is_word(call->argv[3], "aclcat");
        f.nothing = str_is_word(call->argv[3], "module"); /* there are none */
        f.category = introspect_category_of(call->argv[4]);
    }
    if (call->argc != 2 && !f.by_pattern && !f.by_category && !f.nothing) {
        resp_error(&call->w, "ERR syntax error");
        return;
    }
    introspect_each_command(call->door, list_shown, &f);
    resp_array(&call->w, f.count);
    f.w = &call->w;
    introspect_each_command(call->door, list_shown, &f);
}

/* --- COMMAND GETKEYS, GETKEYSANDFLAGS --- */

struct key_query {
    struct call *call;
    bool with_flags;
    const char *flags; /* as in a command's doc: '|' parts those of one key each */
};

/* SET reads its key only with GET; its doc names all that may be. */
static const char *flags_of(const char *name, const str *argv, u32 argc)
{
    const struct command_doc *doc = redis_command_doc_find(str_of(name));

    if (strcmp(name, "set")) return doc && doc->keys ? doc->keys : "";
    for (u32 i = 3; i < argc; i++)
        if (str_is_word(argv[i], "get")) return "RW access update";
    return "OW update";
}

static void reply_key(struct key_query *q, str key)
{
    struct resp_writer *w = &q->call->w;
    size_t len = strcspn(q->flags, "|");

    if (q->with_flags) resp_array(w, 2);
    resp_bulk(w, key);
    if (!q->with_flags) return;
    introspect_reply_words(w, q->flags, len, false);
    if (q->flags[len] == '|') q->flags += len + 1;
}

static void reply_keys(struct key_query *q, const str *argv, u32 argc, i32 first, i32 last, i32 step)
{
    u32 end = last < 0 ? argc - (u32)-last : (u32)last;

    resp_array(&q->call->w, (end - (u32)first) / (u32)step + 1);
    for (u32 i = (u32)first; i <= end; i += (u32)step) reply_key(q, argv[i]);
}

static void reply_data_keys(struct key_query *q, const struct kv_command *cmd, const str *argv,
                            u32 argc)
{
    u32 index = 0;

    q->flags = flags_of(cmd->name, argv, argc);
    if (cmd->flags & KV_MOVABLE) {
        q->flags = "RO"; /* of OBJECT */
        if (kv_command_keys(cmd, argv, argc, &index, 1) == 1) {
            resp_array(&q->call->w, 1);
            reply_key(q, argv[index]);
        } else {
            resp_error(&q->call->w, "ERR The command has no key arguments");
        }
        return;
    }
    reply_keys(q, argv, argc, cmd->first_key, cmd->last_key, cmd->key_step);
}

static void reply_query(struct call *call, bool with_flags)
{
    const str *argv = call->argv + 2;
    u32 argc = call->argc - 2;
    struct command_ref ref = redis_command_find(call->door, argv[0]);
    const struct door_command *row = ref.door;
    struct key_query q = {.call = call, .with_flags = with_flags};

    if (row && row->subcommands && argc > 1) row = redis_subcommand_find(row->subcommands, argv[1]);
    if (ref.data && ref.data->flags & KV_MOVABLE &&
        !redis_subcommand_find(redis_object_subcommands, argv[1]))
        ref.data = NULL;
    if (!ref.data && !row) {
        resp_error(&call->w, "ERR Invalid command specified");
    } else if (ref.data ? !ref.data->first_key && !(ref.data->flags & KV_MOVABLE)
                        : !row->first_key) {
        resp_error(&call->w, "ERR The command has no key arguments");
    } else if (!redis_arity_is_good(ref.data ? ref.data->arity : row->arity, argc)) {
        resp_error(&call->w, "ERR Invalid number of arguments specified for command");
    } else if (ref.data) {
        reply_data_keys(&q, ref.data, argv, argc);
    } else {
        q.flags = flags_of(row->name, argv, argc);
        reply_keys(&q, argv, argc, row->first_key, row->last_key, row->key_step);
    }
}

void introspect_getkeys(struct call *call)
{
    reply_query(call, false);
}

void introspect_getkeysandflags(struct call *call)
{
    reply_query(call, true);
}

/* --- for other families, too --- */

bool redis_glob_matches_name(str pattern, const char *name)
{
    u8 lower[NAME_BYTES_MAX];

    if (pattern.len > sizeof lower)
        return false; /* no name is that long, and no one writes so many stars */
    for (size_t i = 0; i < pattern.len; i++) {
        u8 c = pattern.at[i];
        lower[i] = c >= 'A' && c <= 'Z' ? (u8)(c | 0x20) : c;
    }
    return glob_match(str_from(lower, pattern.len), str_of(name));
}

void redis_reply_help(struct call *call)
{
    size_t len = strcspn(call->command->name, "|");
    char container[NAME_BYTES_MAX], line[256];
    const struct door_command *rows = redis_object_subcommands;
    struct command_ref ref = redis_command_find(call->door, str_from(call->command->name, len));

    if (ref.door) rows = ref.door->subcommands;
    for (size_t i = 0; i < len; i++) {
        char c = call->command->name[i];
        container[i] = (char)(c >= 'a' && c <= 'z' ? c - 32 : c);
    }
    container[len] = 0;
    resp_array(&call->w, 1 + 2 * introspect_count_rows(rows));
    snprintf(line, sizeof line,
             "%s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", container);
    resp_simple(&call->w, line);
    for (; rows->name; rows++) {
        const struct command_doc *doc = redis_command_doc_find(str_of(rows->name));
        const char *name = rows->name + len + 1;
        for (len = 0; name[len]; len++)
            line[len] = (char)(name[len] >= 'a' && name[len] <= 'z' ? name[len] - 32 : name[len]);
        line[len] = 0;
        resp_simple(&call->w, line);
        snprintf(line, sizeof line, "    %s", doc ? doc->summary : "");
        resp_simple(&call->w, line);
        len = strcspn(call->command->name, "|");
    }
}
