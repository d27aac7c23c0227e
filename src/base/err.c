#include "base/err.h"

#include <errno.h>

const char *err_text(err e)
{
    static const char *const texts[] = {
#define ERR_TEXT(code, text) text,
        ERR_LIST(ERR_TEXT)
#undef ERR_TEXT
    };
    return e < ERR_COUNT ? texts[e] : "unknown error code";
}

err err_from_errno(int errno_value)
{
    switch (errno_value) {
    case 0: return OK;
    case ENOENT: return ERR_NOT_FOUND;
    case EEXIST: return ERR_EXISTS;
    case ENOSPC:
    case EDQUOT: return ERR_NO_SPACE;
    case EROFS: return ERR_READ_ONLY;
    case EAGAIN:
    case EBUSY: return ERR_LOCKED;
    case ENOSYS:
    case EOPNOTSUPP:
    case EINVAL: return ERR_UNSUPPORTED;
    case EADDRINUSE: return ERR_ADDRESS_IN_USE;
    case ECONNRESET:
    case EPIPE: return ERR_CLOSED;
    case ECONNREFUSED: return ERR_REFUSED;
    case ETIMEDOUT: return ERR_TIMEOUT;
    case ECANCELED: return ERR_CANCELLED;
    default: return ERR_IO;
    }
}
