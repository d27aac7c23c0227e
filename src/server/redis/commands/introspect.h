/* Between introspect.c, which shows commands, and command_queries.c, which looks for them. */
#pragma once

#include "server/redis/redis_internal.h"

enum { NAME_BYTES_MAX = 64 };

/* A command of either kind, as COMMAND shows it. */
struct shown {
    const char *name;
    i32 arity;
    u32 flags, categories;
    i32 first_key, last_key, key_step;
    const struct command_doc *doc;
    const struct door_command *subcommands;
};

struct shown introspect_show_door(const struct door_command *row);
u32 introspect_count_rows(const struct door_command *rows);
u32 introspect_category_of(str name); /* "read"; 0: none of that name */

/* The keyspace's commands, then the door's; subcommands are in their containers. */
typedef void (*shown_fn)(void *context, const struct shown *s);
void introspect_each_command(const struct redis_door *d, shown_fn fn, void *context);

void introspect_list(struct call *call);
void introspect_getkeys(struct call *call);
void introspect_getkeysandflags(struct call *call);
/* "RO access" as a set of two. */
void introspect_reply_words(struct resp_writer *w, const char *line, size_t len, bool bulk);
