/* JSON (RFC 8259) as admin doors write it, parsed into a flat list of items: an item's children
 * follow it. */
#pragma once

#include "base/buf.h"

#define JSON_DEPTH_MAX 16

enum json_type {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

struct json_item {
    enum json_type type;
    u32 after;      /* the item behind this one and all in it */
    size_t at, len; /* of a string or number, in text */
};

struct json {
    struct json_item *items; /* item 0 is the whole */
    u32 count, cap;
    struct buf text; /* strings decoded, one after another */
};

MUST_USE err json_parse(struct json *j, str text); /* into an empty one; ERR_MALFORMED */
void json_done(struct json *j);

/* The value of a member; 0: there is none. Objects are items name, value, name, value... */
u32 json_get(const struct json *j, u32 object, const char *name);
/* Elements of an array one by one: begin with 0; 0 ends. */
u32 json_each(const struct json *j, u32 array, u32 item);
u32 json_count(const struct json *j, u32 array);
str json_str(const struct json *j, u32 item); /* a string or number as text, else empty */
u64 json_u64(const struct json *j, u32 item); /* 0 for what is none */
bool json_true(const struct json *j, u32 item);

/* The same of a member. */
str json_get_str(const struct json *j, u32 object, const char *name);
u64 json_get_u64(const struct json *j, u32 object, const char *name);
bool json_get_true(const struct json *j, u32 object, const char *name);
