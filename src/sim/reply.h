/* One RESP reply, as a client reads it. */
#pragma once

#include "base/str.h"

#define REPLY_ITEMS_MAX 128

enum reply_kind { REPLY_SIMPLE, REPLY_ERROR, REPLY_INTEGER, REPLY_BULK, REPLY_NULL, REPLY_ARRAY };

struct reply {
    enum reply_kind kind;
    str text; /* borrowed: simple, error (without '-'), bulk */
    i64 integer;
    u32 count;
    struct reply *items; /* in the reader's pool */
};

struct reply_reader {
    struct reply pool[REPLY_ITEMS_MAX];
    u32 used;
};

enum reply_status { REPLY_INCOMPLETE, REPLY_READY, REPLY_BAD };

/* The first reply in `input`; good until the input moves or the reader is used again. An array with
 * more items than the pool holds is read to its end but shown without items. */
enum reply_status reply_read(struct reply_reader *r, str input, struct reply *out, size_t *consumed);

bool reply_is_error(const struct reply *r, const char *name); /* by its first word */
