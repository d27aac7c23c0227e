/* RESP2 and RESP3, bytes to arguments and values to bytes. Pure: no allocation but the caller's buffers.
 * Facts: the Redis protocol specification and the behaviour of Redis 7.0.15 (golden transcripts). */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define RESP_INLINE_MAX (64 * 1024)     /* bytes before the end of an inline request or header line */
#define RESP_ARGS_MAX (1024 * 1024)     /* arguments of one request */

enum resp_status {
    RESP_INCOMPLETE, /* need more bytes */
    RESP_REQUEST,    /* args[0..argc) are one request; argc 0: an empty line or *0, skip it */
    RESP_BAD,        /* protocol error: reply `-ERR Protocol error: <problem>` and close */
};

/* Keeps its place between calls, so that a large request arriving in pieces is scanned once. */
struct resp_parser {
    size_t at;            /* bytes of the current request already taken apart */
    size_t scanned;       /* bytes already searched for the end of the line that begins at `at` */
    i64 args_wanted;      /* multibulk header seen: how many arguments; -1 not yet */
    u32 argc, arg_cap;
    i64 bulk_wanted;      /* length header seen: its value; -1 not yet */
    struct resp_span { size_t at, len; } *spans; /* owned, offsets from the request's first byte */
    size_t bulk_max;      /* largest argument accepted */
    size_t request_max;   /* largest whole request accepted */
    struct buf inline_text; /* unquoted inline arguments */
    str *args;              /* owned array, filled at RESP_REQUEST; the bytes are the input's */
    u32 args_cap;
    char problem[96];     /* without "Protocol error: " */
};

/* request_max 0: only the arguments and lines are limited. */
void resp_parser_init(struct resp_parser *p, size_t bulk_max, size_t request_max);
void resp_parser_done(struct resp_parser *p);

/* Look at the input from its first unconsumed byte; between calls it may only grow or move. The outcome
 * does not depend on where the bytes were cut. At RESP_REQUEST, *consumed is the request's length and
 * p->args, p->argc are good until the input is consumed or moved; the parser is ready for the next.
 * At RESP_BAD p->problem is set and the parser must not be used again. */
enum resp_status resp_parse(struct resp_parser *p, str input, size_t *consumed);

/* How many more bytes the request under way is known to need (0: unknown); lets a reader size its buffer. */
size_t resp_parser_needs(const struct resp_parser *p, size_t have);

/* Writers. `proto` is 2 or 3; what RESP2 lacks is written as Redis 7 does for RESP2 clients. */
struct resp_writer {
    struct buf *out;
    u8 proto;
};

void resp_simple(struct resp_writer *w, const char *text); /* +OK */
void resp_error(struct resp_writer *w, const char *text);  /* "ERR ..." without '-'; CR, LF become spaces */
void resp_errorf(struct resp_writer *w, const char *format, ...) PRINTF_LIKE(2, 3);
void resp_integer(struct resp_writer *w, i64 v);
void resp_bulk(struct resp_writer *w, str s);
void resp_bulk_text(struct resp_writer *w, const char *text);
void resp_bulk_integer(struct resp_writer *w, i64 v);
void resp_null(struct resp_writer *w);       /* $-1 or _ */
void resp_null_array(struct resp_writer *w); /* *-1 or _ */
void resp_array(struct resp_writer *w, size_t count);
void resp_map(struct resp_writer *w, size_t pairs);
void resp_set(struct resp_writer *w, size_t count);
void resp_push(struct resp_writer *w, size_t count);
void resp_bool(struct resp_writer *w, bool v);     /* :1 / :0 in RESP2 */
void resp_double(struct resp_writer *w, double v); /* bulk in RESP2, 17 significant digits as Redis */
void resp_verbatim_txt(struct resp_writer *w, str s); /* bulk in RESP2 */

#define RESP_I64_TEXT 20
/* Decimal text of v, not NUL-terminated; returns its length. */
u32 resp_format_i64(i64 v, u8 out[RESP_I64_TEXT]);
