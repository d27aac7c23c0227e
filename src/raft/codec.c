/* The body of a peer frame that carries a Raft message. Little-endian.
 *
 *    0 kind:u8        enum raft_message_kind
 *    1 flags:u8       1 pre  2 transfer  4 granted (APPEND_REPLY: disk full)  8 rejected  16 impaired  32 full
 *                  64 fortify (APPEND, APPEND_REPLY): life is an epoch of support
 *                  VOTE, VOTE_REPLY: 32 recover.  APPEND_REPLY: 1 accepts
 *                  128 more (APPEND, APPEND_REPLY): words before the entries, below
 *    2 zero:u16
 *    4 count:u32      entries; APPEND only
 *    8 from:u32  12 to:u32
 *   16 term:u64
 *   24 prev.term:u64  32 prev.index:u64
 *   40 hint.term:u64  48 hint.index:u64
 *   56 match:u64  64 commit:u64  72 round:u64  80 life:u64  88 sent_at:u64
 *   96 with flag 128: lag:u64 (APPEND_REPLY), or count:u64, count * (term:u64 kept.term:u64 kept.index:u64) (APPEND)
 *      entries, back to back:
 *        0 term:u64
 *        8 kind:u8    enum raft_entry_kind
 *        9 zero:u8[3]
 *       12 len:u32
 *       16 crc:u32    CRC-32C of bytes 0-15, the entry's index as u64, and the payload
 *       20 payload
 *
 * An entry's index is prev.index + 1 + its place; because the checksum covers it, an entry that
 * strayed to another place does not pass. Unused fields are zero. A body is exactly as long as its
 * entries need. */
#include "raft/raft_internal.h"

#include "base/bytes.h"
#include "base/crc.h"
#include "base/mem.h"

#define HEADER_BYTES       96u
#define ENTRY_HEADER_BYTES 20u

/* What a payload takes in memory, beyond what it takes with its header in the message. */
#define PAYLOAD_MORE 8u
_Static_assert(ENTRY_HEADER_BYTES + PAYLOAD_MORE >= sizeof(struct rcbuf) + 7, "rounding included");

enum flag {
    PRE = 1,
    TRANSFER = 2,
    GRANTED = 4,
    DISK_FULL = GRANTED, /* in an APPEND_REPLY, which grants nothing */
    REJECTED = 8,
    IMPAIRED = 16,
    FULL = 32,
    FORTIFY = 64,
    RECOVER = FULL, /* in votes, which say nothing of disks */
    ACCEPTS = PRE,  /* in an APPEND_REPLY */
    MORE = 128
};

static u32 entry_crc(const u8 *header, u64 index, str payload)
{
    u8 place[8];
    put_u64(place, index);
    u32 crc = crc32c(header, 16);
    crc = crc32c_more(crc, place, sizeof place);
    return crc32c_more(crc, payload.at, payload.len);
}

static str payload_of(const struct raft_entry *e)
{
    return e->data ? rcbuf_str(e->data) : str_from("", 0);
}

static void encode_entry(const struct raft_entry *e, struct buf *out)
{
    str payload = payload_of(e);
    u8 *at = buf_reserve(out, ENTRY_HEADER_BYTES + payload.len);

    put_u64(at, e->pos.term);
    put_u32(at + 8, e->kind);
    put_u32(at + 12, (u32)payload.len);
    put_u32(at + 16, entry_crc(at, e->pos.index, payload));
    mem_copy(at + ENTRY_HEADER_BYTES, payload.at, payload.len);
    buf_extend(out, ENTRY_HEADER_BYTES + payload.len);
}

static bool is_vote(const struct raft_message *m)
{
    return m->kind == RAFT_VOTE || m->kind == RAFT_VOTE_REPLY;
}

static u8 flags_of(const struct raft_message *m)
{
    assert(is_vote(m) ? !m->full : !m->recover);
    assert(m->kind == RAFT_APPEND_REPLY ? !m->pre : !m->accepts && !m->lag);
    assert(m->kind == RAFT_APPEND_REPLY ? !m->granted : !m->disk_full);
    return (u8)((m->pre ? PRE : 0) | (m->transfer ? TRANSFER : 0) | (m->granted ? GRANTED : 0) |
                (m->rejected ? REJECTED : 0) | (m->impaired ? IMPAIRED : 0) | (m->full ? FULL : 0) |
                (m->disk_full ? DISK_FULL : 0) | (m->fortify ? FORTIFY : 0) | (m->recover ? RECOVER : 0) |
                (m->accepts ? ACCEPTS : 0) | (m->lag || m->recoveries.count ? MORE : 0));
}

static void encode_more(const struct raft_message *m, struct buf *out)
{
    assert(!m->recoveries.count || m->kind == RAFT_APPEND);
    if (m->lag) buf_append_u64(out, m->lag);
    if (m->recoveries.count) buf_append_u64(out, m->recoveries.count);
    for (u32 i = 0; i < m->recoveries.count; i++) {
        const struct raft_recovery *recovery = &m->recoveries.items[i];
        buf_append_u64(out, recovery->term);
        buf_append_u64(out, recovery->kept.term);
        buf_append_u64(out, recovery->kept.index);
    }
}

static bool decode_more(struct reader *in, struct raft_message *m)
{
    u64 count = m->kind == RAFT_APPEND ? reader_u64(in) : 0;

    if (m->kind == RAFT_APPEND_REPLY) m->lag = reader_u64(in);
    if (count > RAFT_RECOVERIES_MAX) return false;
    for (u32 i = 0; i < count; i++) {
        struct raft_recovery *recovery = &m->recoveries.items[i];
        recovery->term = reader_u64(in);
        recovery->kept.term = reader_u64(in);
        recovery->kept.index = reader_u64(in);
    }
    m->recoveries.count = (u32)count;
    return count || m->lag;
}

void raft_message_encode(const struct raft_message *m, struct buf *out)
{
    assert(m->count == 0 || m->kind == RAFT_APPEND);
    assert(!m->fortify || m->life == 0);
    buf_append_u8(out, (u8)m->kind);
    buf_append_u8(out, flags_of(m));
    buf_append_u16(out, 0);
    buf_append_u32(out, m->count);
    buf_append_u32(out, m->from);
    buf_append_u32(out, m->to);
    const u64 words[] = {m->term,  m->prev.term, m->prev.index, m->hint.term, m->hint.index,
                         m->match, m->commit,    m->round,      m->fortify ? m->epoch : m->life,
                         m->sent_at};
    _Static_assert(16 + sizeof words == HEADER_BYTES, "the header is what the format says");
    for (size_t i = 0; i < ARRAY_LEN(words); i++) buf_append_u64(out, words[i]);
    encode_more(m, out);
    for (u32 i = 0; i < m->count; i++) {
        assert(m->entries[i].pos.index == m->prev.index + 1 + i);
        encode_entry(&m->entries[i], out);
    }
}

static err decode_header(struct reader *in, struct raft_message *m)
{
    m->kind = reader_u8(in);
    u8 flags = reader_u8(in);
    u16 zero = reader_u16(in);
    m->count = reader_u32(in);
    m->from = reader_u32(in);
    m->to = reader_u32(in);
    m->term = reader_u64(in);
    m->prev.term = reader_u64(in);
    m->prev.index = reader_u64(in);
    m->hint.term = reader_u64(in);
    m->hint.index = reader_u64(in);
    m->match = reader_u64(in);
    m->commit = reader_u64(in);
    m->round = reader_u64(in);
    m->life = reader_u64(in);
    m->sent_at = reader_u64(in);
    m->pre = (flags & PRE) && m->kind != RAFT_APPEND_REPLY;
    m->accepts = (flags & ACCEPTS) && m->kind == RAFT_APPEND_REPLY;
    m->recover = (flags & RECOVER) && is_vote(m);
    m->transfer = flags & TRANSFER;
    m->granted = (flags & GRANTED) && m->kind != RAFT_APPEND_REPLY;
    m->rejected = flags & REJECTED;
    m->impaired = flags & IMPAIRED;
    m->full = (flags & FULL) && !is_vote(m);
    m->disk_full = (flags & DISK_FULL) && m->kind == RAFT_APPEND_REPLY;
    m->fortify = flags & FORTIFY;
    if (m->fortify) {
        m->epoch = m->life;
        m->life = 0;
    }

    if (in->bad || zero) return ERR_MALFORMED;
    if ((flags & MORE) && !decode_more(in, m)) return ERR_MALFORMED;
    if (in->bad || m->kind < RAFT_VOTE || m->kind > RAFT_DEFORTIFY_REPLY) return ERR_MALFORMED;
    if (m->count > 0 && m->kind != RAFT_APPEND) return ERR_MALFORMED;
    if (m->prev.index > UINT64_MAX - 1 - m->count) return ERR_MALFORMED;
    if (m->count > reader_left(in) / ENTRY_HEADER_BYTES) return ERR_MALFORMED;
    return OK;
}

static err decode_entry(struct reader *in, u64 index, struct rcblock *block, struct raft_entry *e)
{
    const u8 *header = in->at;
    e->pos = (struct log_pos){reader_u64(in), index};
    e->kind = reader_u32(in); /* the three zero bytes after it are its high bytes */
    u32 len = reader_u32(in);
    u32 crc = reader_u32(in);
    str payload = reader_str(in, len);

    if (in->bad) return ERR_MALFORMED;
    if (crc != entry_crc(header, index, payload)) return ERR_CHECKSUM;
    if (e->kind < RAFT_NOOP || e->kind > RAFT_WRITESET || e->pos.term == 0) return ERR_MALFORMED;
    struct raft_config checked;
    if (e->kind == RAFT_CONFIG && raft_config_decode(payload, &checked)) return ERR_MALFORMED;
    if (payload.len == 0) return OK;
    e->data = rcblock_take(block, payload.len);
    assert(e->data);
    mem_copy(e->data->data, payload.at, payload.len);
    return OK;
}

err raft_message_decode(str body, struct raft_message *out)
{
    struct reader in = reader_of(body);
    struct raft_message m = {0};
    struct raft_entry *entries = NULL;
    struct rcblock *block = NULL; /* of the payloads, which the log drops together, too */

    err e = decode_header(&in, &m);
    if (e) return e;
    if (m.count) {
        entries = mem_zalloc_array(m.count, sizeof *entries);
        block = rcblock_new(reader_left(&in) + PAYLOAD_MORE * m.count);
    }
    m.entries = entries;
    for (u32 i = 0; i < m.count && !e; i++)
        e = decode_entry(&in, m.prev.index + 1 + i, block, &entries[i]);
    rcblock_unref(block);
    if (!e && reader_left(&in)) e = ERR_MALFORMED;
    if (e)
        raft_message_done(&m);
    else
        *out = m;
    return e;
}

void raft_message_done(struct raft_message *m)
{
    struct raft_entry *entries = (struct raft_entry *)m->entries; /* ours: raft_message_decode */
    for (u32 i = 0; entries && i < m->count; i++) rcbuf_unref(entries[i].data);
    mem_free(entries);
    m->entries = NULL;
    m->count = 0;
}
