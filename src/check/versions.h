/* The versions of keys that a history speaks of, and when each was current. A version is what one write
 * left behind; the moment at which it took effect is not known, only that it is inside [from, to]: not before the
 * write was invoked, and neither after its answer nor after the first answer that shows it. It is certainly
 * over at `until`, when the first write that certainly came after it had certainly happened.
 *
 * Everything here is a necessary consequence of linearizable writes; checkers of weaker reads that use only
 * this never raise a false alarm. */
#pragma once

#include "check/history.h"

#define VERSION_NOBODY UINT32_MAX  /* no write of the history left this value */
#define VERSION_ANY (UINT32_MAX - 1) /* it cannot be told which write did */
#define PLACE_NONE UINT32_MAX

struct version {
    u32 key, value;
    u32 place; /* of the write; PLACE_NONE: the key's start, absent */
    bool failed;
    nanos from, to; /* when it took effect: at the earliest, at the latest */
    nanos until;    /* overwritten at the latest; NANOS_NEVER: nobody knows */
    u32 next;       /* index of the version that ends it then; VERSION_NOBODY: none */
};

struct versions {
    const struct history *h;
    struct version *items; /* owned, by key and `from` */
    u32 count;
    u32 *by_value; /* owned: indexes by key, value, place */
    u32 *by_place; /* owned: indexes by place; the starts of keys last */
};

/* Of the operations at `places`: all operations of some keys. */
void versions_init(struct versions *v, const struct history *h, const u32 *places, u32 count);
void versions_done(struct versions *v);

/* Which version did this GET see (or VERSION_NOBODY, VERSION_ANY), which one did this write leave (or NOBODY)? */
u32 versions_seen(const struct versions *v, const struct history_entry *read);
u32 versions_left(const struct versions *v, u32 place);
/* Which version does the operation at this place, which is OK, show its client? */
u32 versions_shown(const struct versions *v, u32 place);
