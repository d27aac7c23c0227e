/* The bytes of a command entry: docs/formats/entry.md. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define ENTRY_HEADER_BYTES 64
#define ENTRY_FMT 1
#define ENTRY_APPLY_VER 1

enum entry_op {
    ENTRY_COMMAND = 1,
    ENTRY_EXEC = 2,
    ENTRY_SESSION_OPEN = 3,
    ENTRY_SESSION_CLOSE = 4,
    ENTRY_TICK = 5,
    /* The partition's own: src/part/split.c, merge.c. */
    ENTRY_SPLIT = 6,
    ENTRY_FREEZE = 7,
    ENTRY_UNFREEZE = 8,
    ENTRY_MERGE = 9,
    ENTRY_MERGE_CANCEL = 10,
    ENTRY_SPAN = 11, /* first:u16 | last:u16: the slots of a new partition, before anything is written */
};

enum entry_flags { ENTRY_RESP3 = BIT(0) };

struct session_id {
    u8 bytes[16];
};

struct entry {
    u8 apply_ver, op, flags;
    u64 hlc, seed;
    struct session_id session;
    u64 seq, first_hlc, acked;
    u64 after; /* the connection's write before this one, not run later than it; 0: none */
    str body; /* borrowed */
};

/* Writes the header with body.len; the body follows by the caller (entry_finish sets len). */
void entry_encode_header(const struct entry *e, struct buf *out);
void entry_finish(u8 *bytes, size_t len); /* the whole entry's */
MUST_USE err entry_decode(str bytes, struct entry *out);
u8 entry_op(str bytes); /* of an encoded one, or 0 */

/* Stamp what only the leader may say into an encoded entry it is about to propose. */
void entry_stamp(u8 *bytes, size_t len, u64 hlc, u64 seed);

/* Gateway: fill in the fields of an encoded entry that are known late. */
void entry_set_session(u8 *bytes, const struct session_id *session, u64 seq, u64 first_hlc, u64 acked,
                       u64 after);

/* A command inside a body. */
void entry_encode_command(u8 db, const str *args, u32 argc, struct buf *out);

#define ENTRY_ARGS_INLINE 16
struct entry_command { /* decoded arguments, borrowed from the entry */
    u8 db;
    u32 argc;
    str *argv;
    str inline_argv[ENTRY_ARGS_INLINE];
};
MUST_USE err entry_decode_command(struct reader *r, struct entry_command *out);
void entry_command_done(struct entry_command *c);

/* The hybrid logical clock's parts: unix microseconds << 12 | logical. */
static inline u64 hlc_us(u64 hlc) { return hlc >> 12; }
static inline u64 hlc_ms(u64 hlc) { return (hlc >> 12) / 1000; }
static inline u64 hlc_from_us(u64 us) { return us << 12; }
