/* The log in memory: entries (base.index, last.index] in pages, with O(1) lookup by index, a prefix
 * that compaction drops and a suffix that conflicts cut off. Entries move only when others are
 * appended, so a message may borrow a run of them until then; a run ends where its page ends. Holds one reference per
 * payload. */
#pragma once

#include "raft/raft.h"

#define TAIL_PAGE_ENTRIES 1024u

struct tail_page {
    u32 first, cap;  /* slots [first, first + cap); the page of a log at rest is small, and grows */
    u64 *bytes_upto; /* payload bytes ever appended, this entry included; behind the entries */
    struct raft_entry entries[];
};

struct tail {
    struct log_pos base; /* the position before the oldest entry */
    struct log_pos last; /* == base when empty */
    u64 base_bytes, last_bytes; /* bytes_upto at base and at last */
    struct tail_page **pages;   /* pages[0] holds index first_page * TAIL_PAGE_ENTRIES */
    u64 first_page;
    u32 page_count, page_cap;
    struct tail_page *spare; /* one page kept back, so that a steady log does not allocate */
};

void tail_init(struct tail *t, struct log_pos base);
void tail_done(struct tail *t); /* drops every reference */

/* Append one entry; its position is last.index + 1 and its term does not go back. */
void tail_append(struct tail *t, const struct raft_entry *e);

/* Drop entries >= from. */
void tail_truncate(struct tail *t, u64 from);

/* Drop entries <= index; base becomes that entry's position. */
void tail_compact(struct tail *t, u64 index);

/* Drop all; the log continues after base. */
void tail_restart(struct tail *t, struct log_pos base);

static inline bool tail_has(const struct tail *t, u64 index)
{
    return index > t->base.index && index <= t->last.index;
}

/* index must be in the tail. */
const struct raft_entry *tail_at(const struct tail *t, u64 index);

/* Also answers for base; 0 where the term is not known. */
u64 tail_term_at(const struct tail *t, u64 index);

/* Entries from..: how many lie in one run, at most `bytes_max` of payload but at least one. */
u32 tail_run(const struct tail *t, u64 from, u64 bytes_max);

/* Payload bytes of entries (after, upto], both within [base, last]. */
u64 tail_bytes_between(const struct tail *t, u64 after, u64 upto);

/* The largest index <= upto whose term is <= term: where two logs may still agree. upto >=
 * base.index. base.index - 1 when even base's term is larger (then base.index > 0). */
u64 tail_last_with_term_at_most(const struct tail *t, u64 upto, u64 term);
