/* A history: what clients asked, when, and what they learned. One operation on one key each; times are
 * of one clock. docs/formats/history.md has the JSON-lines form.
 *
 * Keys, values and results are interned texts: equal texts have equal ids, and id 0 (HISTORY_NULL)
 * is "no value". An operation is open (outcome UNKNOWN, returned NANOS_NEVER) until it is closed. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/types.h"
#include "consistency/level.h"

#define HISTORY_NULL 0

enum history_op { /* what an operation does, and what `result` is when it is OK */
    HISTORY_GET,    /* result: the value, or NULL */
    HISTORY_SET,    /* value */
    HISTORY_SETNX,  /* value; result "1" or "0" */
    HISTORY_GETSET, /* value; result: the old value */
    HISTORY_GETDEL, /* result: the old value */
    HISTORY_DEL,    /* result "1" or "0" */
    HISTORY_CAS,    /* value, expect; result "1" or "0" */
    HISTORY_INCR,   /* value: by how much; result: the sum */
    HISTORY_APPEND, /* value; result: the length afterwards */
    HISTORY_OPS,
};

enum history_outcome {
    HISTORY_OK,      /* done, result learned */
    HISTORY_FAILED,  /* certainly not done */
    HISTORY_UNKNOWN, /* may be done, or be done later */
};

struct history_entry {
    u32 process;
    u16 op, outcome;
    u32 key, value, expect, result;
    u32 session;        /* whose program order it is part of; NULL: its process's */
    u32 part;           /* keys of one part share one log; NULL: the key's own */
    struct level level; /* of a read; writes are linearizable */
    nanos invoked, returned;
};

struct history {
    struct history_entry *items; /* owned, in order of invocation */
    u32 count, cap;
    struct history_texts *texts;
    bool is_window; /* a piece of a longer one: a weak read may see an older version with a value of this piece */
};

void history_init(struct history *h);
void history_done(struct history *h);

u32 history_intern(struct history *h, str text);
str history_text(const struct history *h, u32 id); /* borrowed; NULL's is empty */
u32 history_text_count(const struct history *h);
bool history_number(const struct history *h, u32 id, i64 *out);

/* Add an open operation; returns its place. */
u32 history_open(struct history *h, u32 process, enum history_op op, u32 key, u32 value, u32 expect, nanos at);
void history_close(struct history *h, u32 place, enum history_outcome outcome, u32 result, nanos at);

/* More about an operation that is open: a weaker level is for GETs only. */
void history_set_level(struct history *h, u32 place, struct level level);
void history_set_session(struct history *h, u32 place, u32 session);
void history_set_part(struct history *h, u32 place, u32 part);

/* A number for whose program order the operation is part of: the session's, else the process's. */
u64 history_who(const struct history_entry *e);
/* A read that is not linearizable? */
bool history_is_weak(const struct history_entry *e);

/* Put the operations in the order of their invocation (stable): places change. */
void history_sort(struct history *h);

/* JSON lines. history_read stops at the first bad line: its number (from 1) goes to *line. */
void history_write(const struct history *h, struct buf *out);
void history_write_entry(const struct history *h, const struct history_entry *e, struct buf *out);
MUST_USE err history_read(struct history *h, str text, u32 *line, char *problem, size_t problem_size);

const char *history_op_name(enum history_op op);
