/* What nodes tell each other of the cluster: the map on its way to copies, and groups on their way to who leads
 * the core. docs/formats/peer.md. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct map_pull { /* FRAME_MAP_PULL; the answer, FRAME_MAP, is a delta or page: docs/formats/core.md */
    bool pages;   /* a page of everything after (kind, id); else the changes after epoch `since` */
    u8 kind;
    u64 since, id;
};
void map_pull_encode(const struct map_pull *p, struct buf *out);
MUST_USE err map_pull_decode(str body, struct map_pull *out);

#define REPORT_CAUGHT_UP_MAX 8
struct group_report { /* FRAME_REPORT: rows of what a leader knows of its groups */
    u64 part, term;
    u32 leader;      /* replica number */
    u64 bytes, load; /* of one replica; requests per second */
    u32 caught_up_count;
    u32 caught_up[REPORT_CAUGHT_UP_MAX]; /* replica numbers within reach of the log's end */
};
void group_report_encode(const struct group_report *g, struct buf *out); /* one row more */
/* The next row; false: the end, or bad bytes (r->bad). */
bool group_report_next(struct reader *r, struct group_report *out);
