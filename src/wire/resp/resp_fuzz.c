/* The outcome of parsing must not depend on where the bytes were cut. The first input bytes choose the
 * limits and the cuts; the rest is parsed whole and in pieces, and both must tell the same story. */
#include "wire/resp/resp.h"

#include "base/assert.h"
#include "base/prng.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

/* Everything a caller can see, as bytes. */
static void tell(const struct resp_parser *p, enum resp_status s, size_t consumed, struct buf *story)
{
    buf_append_u8(story, (u8)s);
    if (s == RESP_BAD) buf_append_text(story, p->problem);
    if (s != RESP_REQUEST) return;
    buf_append_u64(story, consumed);
    buf_append_u32(story, p->argc);
    for (u32 i = 0; i < p->argc; i++) {
        buf_append_u64(story, p->args[i].len);
        buf_append_str(story, p->args[i]);
    }
}

/* Feed `bytes` in pieces of at most `piece_max` (0: all at once), each time from a fresh copy that ends
 * exactly where the input does, so that a read behind it is seen. */
static void parse_in_pieces(str bytes, size_t bulk_max, size_t request_max, struct prng *cuts,
                            size_t piece_max, struct buf *story)
{
    struct resp_parser p;
    size_t from = 0, have = 0;
    enum resp_status s = RESP_INCOMPLETE;

    resp_parser_init(&p, bulk_max, request_max);
    while (s != RESP_BAD) {
        size_t consumed = 0;
        u8 *copy = mem_alloc(have + 1);
        mem_copy(copy + 1, bytes.at + from, have);
        s = resp_parse(&p, str_from(copy + 1, have), &consumed);
        if (s != RESP_INCOMPLETE) tell(&p, s, consumed, story);
        assert(s != RESP_REQUEST || consumed > 0);
        assert(consumed <= have);
        if (s == RESP_INCOMPLETE) {
            size_t left = bytes.len - from - have;
            mem_free(copy);
            if (left == 0) break;
            have += piece_max ? size_min(left, 1 + (size_t)prng_below(cuts, piece_max)) : left;
            continue;
        }
        mem_free(copy);
        from += consumed;
        have -= consumed;
    }
    resp_parser_done(&p);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    if (size < 4) return 0;
    struct prng cuts;
    struct buf whole, pieces;
    size_t bulk_max = (size_t)1 << (data[0] % 20);
    size_t request_max = data[1] & 1 ? (size_t)1 << (4 + data[1] / 2 % 16) : 0;
    size_t piece_max = 1 + data[2] % 64;
    str bytes = {data + 4, size - 4};

    buf_init(&whole, 0);
    buf_init(&pieces, 0);
    prng_init(&cuts, data[3], 1);
    parse_in_pieces(bytes, bulk_max, request_max, &cuts, 0, &whole);
    parse_in_pieces(bytes, bulk_max, request_max, &cuts, piece_max, &pieces);
    assert(str_equal(buf_str(&whole), buf_str(&pieces)));
    buf_done(&whole);
    buf_done(&pieces);
    return 0;
}
