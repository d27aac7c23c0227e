/* One list of expected failures. A bug is an assertion, a broken promise of the world a panic; what
 * is left, and a caller must handle or pass on, is an err. "Not found" and "refused" are answers. */
#pragma once

#include "base/types.h"

#define ERR_LIST(X)                                                                                \
    X(OK, "ok")                                                                                    \
    X(ERR_FULL, "a configured limit is reached; nothing was changed")                              \
    X(ERR_TOO_BIG, "larger than the documented limit")                                             \
    X(ERR_MALFORMED, "malformed input")                                                            \
    X(ERR_CHECKSUM, "checksum mismatch")                                                           \
    X(ERR_CORRUPT, "stored data is corrupt")                                                       \
    X(ERR_NOT_FOUND, "no such file or object")                                                     \
    X(ERR_EXISTS, "exists already")                                                                \
    X(ERR_IO, "input/output error")                                                                \
    X(ERR_NO_SPACE, "no space left on the device")                                                 \
    X(ERR_READ_ONLY, "read-only")                                                                  \
    X(ERR_LOCKED, "in use by another process")                                                     \
    X(ERR_WRONG_IDENTITY, "belongs to another cluster or node")                                    \
    X(ERR_UNSUPPORTED, "not supported here")                                                       \
    X(ERR_ADDRESS_IN_USE, "address in use")                                                        \
    X(ERR_CLOSED, "connection closed")                                                             \
    X(ERR_REFUSED, "connection refused")                                                           \
    X(ERR_TIMEOUT, "timed out")                                                                    \
    X(ERR_CANCELLED, "cancelled")                                                                  \
    X(ERR_STALE, "superseded by a newer term, epoch or generation")                                \
    X(ERR_INVALID, "invalid argument or configuration")

typedef enum err {
#define ERR_ENUM(code, text) code,
    ERR_LIST(ERR_ENUM)
#undef ERR_ENUM
        ERR_COUNT
} err;

/* The sentence of an error, for people. Never NULL. */
const char *err_text(err e);

/* Map an errno value (positive) to an err; unknown ones become ERR_IO. */
err err_from_errno(int errno_value);
