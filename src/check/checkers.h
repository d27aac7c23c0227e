/* One checker per file. Each looks at the operations of one key, or of one part: `places` are their indexes in
 * the history, ascending. Operations of levels that are not its own it passes over, except those of the first four,
 * which are given linearizable ones only. */
#pragma once

#include "check/findings.h"

typedef void (*checker_fn)(const struct history *h, const u32 *places, u32 count, struct findings *f);

/* GET and SET, every SET with a value of its own: linearizable? O(n log n). register.c */
void check_register(const struct history *h, const u32 *places, u32 count, struct findings *f);
/* What one session sees of a key in its program order: its own writes, and never an older value after a newer
 * one. session.c */
void check_session(const struct history *h, const u32 *places, u32 count, struct findings *f);
/* INCR (by 1) and GET. counter.c */
void check_counter(const struct history *h, const u32 *places, u32 count, struct findings *f);
/* APPEND and GET, every APPEND with a text of its own. append.c */
void check_append(const struct history *h, const u32 *places, u32 count, struct findings *f);
/* Any operations on one value, by search with memory; small histories only. wgl.c */
void check_wgl(const struct history *h, const u32 *places, u32 count, struct findings *f);

/* Reads of any level: only what was written, by a write that did not fail. local.c */
void check_local(const struct history *h, const u32 *places, u32 count, struct findings *f);
/* Reads of level stale:MS: at most MS and f->slack old. stale.c */
void check_stale(const struct history *h, const u32 *places, u32 count, struct findings *f);
/* Operations on all keys of one part: one order of writes along which all sessions read. sequential.c */
void check_sequential(const struct history *h, const u32 *places, u32 count, struct findings *f);

/* Is this key's history of the form that check_register wants? */
bool register_applies(const struct history *h, const u32 *places, u32 count);

/* Split by key and part and give each to the checkers its operations call for. */
void check_history(const struct history *h, struct findings *f);
