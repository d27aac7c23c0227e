/* docs/formats/entry.md in code. */
#include "kv/entry.h"

#include "base/assert.h"
#include "base/bytes.h"

enum entry_offsets {
    AT_FMT = 0,
    AT_APPLY_VER = 1,
    AT_OP = 2,
    AT_FLAGS = 3,
    AT_LEN = 4,
    AT_HLC = 8,
    AT_SEED = 16,
    AT_SESSION = 24,
    AT_SEQ = 40,
    AT_FIRST_HLC = 48,
    AT_ACKED_BACK = 56,
    AT_AFTER_BACK = 60,
};

/* acked and after travel as distances behind seq. */
static void put_order(u8 *at, u64 seq, u64 acked, u64 after)
{
    assert(acked <= seq);
    assert(after < seq || after == 0);
    assert(seq - acked <= UINT32_MAX);
    put_u32(at + AT_ACKED_BACK, (u32)(seq - acked));
    put_u32(at + AT_AFTER_BACK, after ? (u32)(seq - after) : 0);
}

void entry_encode_header(const struct entry *e, struct buf *out)
{
    assert(e->body.len <= UINT32_MAX);
    u8 *at = buf_reserve(out, ENTRY_HEADER_BYTES);

    at[AT_FMT] = ENTRY_FMT;
    at[AT_APPLY_VER] = e->apply_ver;
    at[AT_OP] = e->op;
    at[AT_FLAGS] = e->flags;
    put_u32(at + AT_LEN, (u32)e->body.len);
    put_u64(at + AT_HLC, e->hlc);
    put_u64(at + AT_SEED, e->seed);
    memcpy(at + AT_SESSION, e->session.bytes, sizeof e->session.bytes);
    put_u64(at + AT_SEQ, e->seq);
    put_u64(at + AT_FIRST_HLC, e->first_hlc);
    put_order(at, e->seq, e->acked, e->after);
    buf_extend(out, ENTRY_HEADER_BYTES);
}

void entry_finish(u8 *bytes, size_t len)
{
    assert(len >= ENTRY_HEADER_BYTES);
    assert(len - ENTRY_HEADER_BYTES <= UINT32_MAX);
    put_u32(bytes + AT_LEN, (u32)(len - ENTRY_HEADER_BYTES));
}

err entry_decode(str bytes, struct entry *out)
{
    const u8 *at = bytes.at;

    if (bytes.len < ENTRY_HEADER_BYTES) return ERR_MALFORMED;
    if (at[AT_FMT] != ENTRY_FMT) return ERR_UNSUPPORTED;
    if (get_u32(at + AT_LEN) != bytes.len - ENTRY_HEADER_BYTES) return ERR_MALFORMED;
    if (at[AT_OP] < ENTRY_COMMAND || at[AT_OP] > ENTRY_SPAN) return ERR_UNSUPPORTED;
    out->apply_ver = at[AT_APPLY_VER];
    out->op = at[AT_OP];
    out->flags = at[AT_FLAGS];
    out->hlc = get_u64(at + AT_HLC);
    out->seed = get_u64(at + AT_SEED);
    memcpy(out->session.bytes, at + AT_SESSION, sizeof out->session.bytes);
    out->seq = get_u64(at + AT_SEQ);
    out->first_hlc = get_u64(at + AT_FIRST_HLC);
    u64 acked_back = get_u32(at + AT_ACKED_BACK), after_back = get_u32(at + AT_AFTER_BACK);
    if (acked_back > out->seq || after_back > out->seq) return ERR_MALFORMED;
    out->acked = out->seq - acked_back;
    out->after = after_back ? out->seq - after_back : 0;
    out->body = str_from(at + ENTRY_HEADER_BYTES, bytes.len - ENTRY_HEADER_BYTES);
    return OK;
}

u8 entry_op(str bytes) { return bytes.len > AT_OP ? bytes.at[AT_OP] : 0; }

void entry_stamp(u8 *bytes, size_t len, u64 hlc, u64 seed)
{
    assert(len >= ENTRY_HEADER_BYTES);
    bytes[AT_APPLY_VER] = ENTRY_APPLY_VER;
    put_u64(bytes + AT_HLC, hlc);
    put_u64(bytes + AT_SEED, seed);
}

void entry_set_session(u8 *bytes, const struct session_id *session, u64 seq, u64 first_hlc, u64 acked,
                       u64 after)
{
    memcpy(bytes + AT_SESSION, session->bytes, sizeof session->bytes);
    put_u64(bytes + AT_SEQ, seq);
    put_u64(bytes + AT_FIRST_HLC, first_hlc);
    put_order(bytes, seq, acked, after);
}

void entry_encode_command(u8 db, const str *args, u32 argc, struct buf *out)
{
    size_t bytes = 5;

    for (u32 i = 0; i < argc; i++) {
        assert(args[i].len <= UINT32_MAX);
        bytes += 4 + args[i].len;
    }
    u8 *at = buf_reserve(out, bytes);
    at[0] = db;
    put_u32(at + 1, argc);
    at += 5;
    for (u32 i = 0; i < argc; i++) {
        put_u32(at, (u32)args[i].len);
        mem_copy(at + 4, args[i].at, args[i].len);
        at += 4 + args[i].len;
    }
    buf_extend(out, bytes);
}

err entry_decode_command(struct reader *r, struct entry_command *out)
{
    out->db = reader_u8(r);
    out->argc = reader_u32(r);
    out->argv = out->inline_argv;
    /* Every argument takes four bytes at least: a false count cannot ask for more memory than that. */
    if (r->bad || out->argc == 0 || out->argc > reader_left(r) / 4) return ERR_MALFORMED;
    if (out->argc > ENTRY_ARGS_INLINE) out->argv = mem_zalloc_array(out->argc, sizeof *out->argv);
    for (u32 i = 0; i < out->argc; i++) out->argv[i] = reader_str(r, reader_u32(r));
    if (!r->bad) return OK;
    entry_command_done(out);
    return ERR_MALFORMED;
}

void entry_command_done(struct entry_command *c)
{
    if (c->argv != c->inline_argv) mem_free(c->argv);
    c->argv = c->inline_argv;
    c->argc = 0;
}
