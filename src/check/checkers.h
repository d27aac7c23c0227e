/* One checker per file. Each looks at the operations of one key: `places` are their indexes in the
 * history, ascending. */
#pragma once

#include "check/findings.h"

typedef void (*checker_fn)(const struct history *h, const u32 *places, u32 count, struct findings *f);

/* GET and SET, every SET with a value of its own: linearizable? O(n log n). register.c */
void check_register(const struct history *h, const u32 *places, u32 count, struct findings *f);
/* What one process sees of such a register, in its program order (also inside a pipeline, where
 * operations overlap): its own writes, and never an older value after a newer one. session.c */
void check_session(const struct history *h, const u32 *places, u32 count, struct findings *f);
/* INCR (by 1) and GET. counter.c */
void check_counter(const struct history *h, const u32 *places, u32 count, struct findings *f);
/* APPEND and GET, every APPEND with a text of its own. append.c */
void check_append(const struct history *h, const u32 *places, u32 count, struct findings *f);
/* Any operations on one value, by search with memory; small histories only. wgl.c */
void check_wgl(const struct history *h, const u32 *places, u32 count, struct findings *f);

/* Is this key's history of the form that check_register wants? */
bool register_applies(const struct history *h, const u32 *places, u32 count);

/* Split by key and give each key to the checker its operations call for. */
void check_history(const struct history *h, struct findings *f);
