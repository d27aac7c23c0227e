/* Commands and replies to bytes and back: docs/formats/core.md. A command is
 *
 *   fmt:u8 = 1 | op:u8 | the fields its row below names, in this order
 *
 * so that encoding and decoding cannot disagree. */
#include "core/core_internal.h"

#include "base/bytes.h"

#define COMMAND_FMT 1
#define REPLY_FMT   1

/* One letter per field; see each_field. */
static const char *const fields_of[CORE_OPS_END] = {
    [CORE_FOUND] = "UvN",       [CORE_NODE_JOIN] = "S",         [CORE_NODE_UPDATE] = "nmS",
    [CORE_NODE_DRAIN] = "n",    [CORE_NODE_UNDRAIN] = "n",      [CORE_NODE_REMOVE] = "nf",
    [CORE_KS_CREATE] = "afR",   [CORE_KS_SET] = "kfR",          [CORE_KS_DROP] = "ka",
    [CORE_KS_PIN] = "kpn",      [CORE_PART_BEGIN] = "peKnrolb", [CORE_PART_STEP] = "pes",
    [CORE_PART_DONE] = "pe",    [CORE_PART_LEADER] = "ptr",     [CORE_SETTINGS] = "R",
    [CORE_VERSION_RAISE] = "v", [CORE_ID_BLOCK_TAKE] = "K",
};

static void put_short(struct buf *out, str s)
{
    assert(s.len <= UINT8_MAX);
    buf_append_u8(out, (u8)s.len);
    buf_append_str(out, s);
}

static void put_long(struct buf *out, str s)
{
    assert(s.len <= UINT16_MAX);
    buf_append_u16(out, (u16)s.len);
    buf_append_str(out, s);
}

static void put_spec(struct buf *out, const struct core_node_spec *s)
{
    buf_append(out, s->incarnation.bytes, sizeof s->incarnation.bytes);
    put_short(out, s->peer);
    put_short(out, s->redis);
    put_short(out, s->admin);
    put_short(out, s->rack);
    buf_append_u32(out, s->version_min);
    buf_append_u32(out, s->version_max);
}

static void put_list(const struct core_command *c, char field, struct buf *out)
{
    if (field == 'N') {
        assert(c->node_count <= CORE_VOTERS_MAX);
        buf_append_u8(out, (u8)c->node_count);
        for (u32 i = 0; i < c->node_count; i++) put_spec(out, &c->nodes[i]);
        return;
    }
    assert(field == 'R');
    assert(c->row_count <= CORE_ROWS_MAX);
    buf_append_u8(out, (u8)c->row_count);
    for (u32 i = 0; i < c->row_count; i++) {
        put_short(out, c->rows[i].name);
        put_short(out, c->rows[i].value);
    }
}

void core_command_encode(const struct core_command *c, struct buf *out)
{
    assert(c->op > 0 && c->op < CORE_OPS_END);
    buf_append_u8(out, COMMAND_FMT);
    buf_append_u8(out, c->op);
    for (const char *f = fields_of[c->op]; *f; f++) {
        switch (*f) {
        case 'f': buf_append_u8(out, c->flags); break;
        case 'm': buf_append_u8(out, c->mask); break;
        case 'K': buf_append_u8(out, c->kind); break;
        case 's': buf_append_u8(out, c->step); break;
        case 'U': buf_append(out, c->uuid.bytes, sizeof c->uuid.bytes); break;
        case 'v': buf_append_u32(out, c->version); break;
        case 'n': buf_append_u32(out, c->node); break;
        case 'k': buf_append_u32(out, c->keyspace); break;
        case 'r': buf_append_u32(out, c->replica); break;
        case 'p': buf_append_u64(out, c->part); break;
        case 'e': buf_append_u64(out, c->epoch); break;
        case 'o': buf_append_u64(out, c->other); break;
        case 't': buf_append_u64(out, c->term); break;
        case 'l': buf_append_u16(out, c->slot); break;
        case 'b': put_long(out, c->key); break;
        case 'a': put_short(out, c->name); break;
        case 'S': put_spec(out, &c->nodes[0]); break;
        default: put_list(c, *f, out);
        }
    }
}

static str get_short(struct reader *r)
{
    return reader_str(r, reader_u8(r));
}

static void get_uuid(struct reader *r, struct core_uuid *out)
{
    str bytes = reader_str(r, sizeof out->bytes);
    if (bytes.len) memcpy(out->bytes, bytes.at, sizeof out->bytes);
}

static void get_spec(struct reader *r, struct core_node_spec *out)
{
    get_uuid(r, &out->incarnation);
    out->peer = get_short(r);
    out->redis = get_short(r);
    out->admin = get_short(r);
    out->rack = get_short(r);
    out->version_min = reader_u32(r);
    out->version_max = reader_u32(r);
}

static void get_list(struct reader *r, char field, struct core_command *out)
{
    u32 count = reader_u8(r);

    if (count > (field == 'N' ? CORE_VOTERS_MAX : CORE_ROWS_MAX)) {
        r->bad = true;
        return;
    }
    if (field == 'N') {
        out->node_count = count;
        for (u32 i = 0; i < count; i++) get_spec(r, &out->nodes[i]);
        return;
    }
    out->row_count = count;
    for (u32 i = 0; i < count; i++) {
        out->rows[i].name = get_short(r);
        out->rows[i].value = get_short(r);
    }
}

err core_command_decode(str bytes, struct core_command *out)
{
    struct reader r = reader_of(bytes);
    u8 fmt = reader_u8(&r);
    u8 op = reader_u8(&r);

    if (r.bad) return ERR_MALFORMED;
    if (fmt != COMMAND_FMT || op == 0 || op >= CORE_OPS_END) return ERR_UNSUPPORTED;
    *out = (struct core_command){.op = op};
    for (const char *f = fields_of[op]; *f; f++) {
        switch (*f) {
        case 'f': out->flags = reader_u8(&r); break;
        case 'm': out->mask = reader_u8(&r); break;
        case 'K': out->kind = reader_u8(&r); break;
        case 's': out->step = reader_u8(&r); break;
        case 'U': get_uuid(&r, &out->uuid); break;
        case 'v': out->version = reader_u32(&r); break;
        case 'n': out->node = reader_u32(&r); break;
        case 'k': out->keyspace = reader_u32(&r); break;
        case 'r': out->replica = reader_u32(&r); break;
        case 'p': out->part = reader_u64(&r); break;
        case 'e': out->epoch = reader_u64(&r); break;
        case 'o': out->other = reader_u64(&r); break;
        case 't': out->term = reader_u64(&r); break;
        case 'l': out->slot = reader_u16(&r); break;
        case 'b': out->key = reader_str(&r, reader_u16(&r)); break;
        case 'a': out->name = get_short(&r); break;
        case 'S':
            out->node_count = 1;
            get_spec(&r, &out->nodes[0]);
            break;
        default: get_list(&r, *f, out);
        }
    }
    return reader_end(&r);
}

/* ---- replies ---- */

const char *core_status_name(enum core_status s)
{
    static const char *const names[CORE_STATUSES] = {
        [CORE_OK] = "OK",          [CORE_NOT_FOUNDED] = "NOTFOUNDED", [CORE_FOUNDED] = "FOUNDED",
        [CORE_NO_SUCH] = "NOSUCH", [CORE_EXISTS] = "EXISTS",          [CORE_INVALID] = "INVALID",
        [CORE_STALE] = "STALE",    [CORE_UNSAFE] = "UNSAFE",          [CORE_BUSY] = "UNDERWAY",
        [CORE_LIMIT] = "LIMIT",    [CORE_VERSION] = "VERSION",
    };
    assert(s < CORE_STATUSES);
    return names[s];
}

err core_reply_decode(str bytes, struct core_reply *out)
{
    struct reader r = reader_of(bytes);

    if (reader_u8(&r) != REPLY_FMT) return ERR_UNSUPPORTED;
    out->status = reader_u8(&r);
    out->epoch = reader_u64(&r);
    out->reason = reader_str(&r, reader_u16(&r));
    if (r.bad || out->status >= CORE_STATUSES) return ERR_MALFORMED;
    out->result = reader_str(&r, reader_left(&r));
    return OK;
}
