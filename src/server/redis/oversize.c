/* A value, or a whole request, over the limit is refused by name, and its bytes are dropped as they
 * come, so the connection and what is pipelined behind it go on. What Redis itself refuses with its
 * default limits, and a command's name of that size, is a protocol error as there, and the
 * connection ends. */
#include "server/redis/redis_internal.h"

#define REDIS_BULK_MAX (512 * MIB)

/* The length in a whole `$<digits>\r\n` at the start of input; *bytes is the line's. */
static bool read_length(str input, i64 *length, size_t *bytes)
{
    const u8 *end = memchr(input.at, '\n', size_min(input.len, 32));

    if (!end || end == input.at || end[-1] != '\r' || input.at[0] != '$') return false;
    *bytes = (size_t)(end - input.at) + 1;
    return str_to_i64(str_from(input.at + 1, *bytes - 3), length) && *length >= 0 &&
           (u64)*length <= REDIS_BULK_MAX;
}

static void refuse(struct client *c, u64 length)
{
    struct redis_door *d = c->door;
    struct resp_writer w = redis_reply_begin(c);
    size_t limit = d->config->value_bytes_max;

    if (length > limit)
        resp_errorf(
            &w,
            "TOOBIG limit=client.value-bytes value of %llu bytes is over the limit of %zu (--value-max); nothing was "
            "done, store it in parts",
            (unsigned long long)length, limit);
    else
        resp_errorf(
            &w,
            "TOOBIG limit=client.request-bytes request is over the limit of %zu bytes (--value-max and 1 MiB); nothing "
            "was done, send it in parts",
            limit + REQUEST_ROOM_BYTES);
    redis_reply_end(c, &w, 0);
    d->stats.too_big++;
    redis_transaction_flag(c);
}

bool redis_oversize_begin(struct client *c)
{
    const struct resp_parser *p = c->parser;
    str input = buf_str(&c->stream.in);
    i64 length = 0;
    size_t bytes = 0;

    if (p->args_wanted <= 0 || p->argc == 0 || p->at >= input.len) return false;
    str header = str_from(input.at + p->at, input.len - p->at);
    if (!read_length(header, &length, &bytes)) return false;
    refuse(c, (u64)length);
    c->skipping = true;
    c->skip_args = (u32)p->args_wanted - p->argc - 1;
    c->skip_bytes = (u64)length + 2;
    buf_consume(&c->stream.in, p->at + bytes);
    c->door->stats.bytes_in += p->at + bytes;
    resp_parser_done(c->parser); /* it stopped inside a request; begin afresh after it */
    return true;
}

bool redis_oversize_skip(struct client *c)
{
    struct buf *in = &c->stream.in;
    size_t before = in->len;

    while (c->skipping && in->len) {
        size_t step = (size_t)u64_min(in->len, c->skip_bytes);
        buf_consume(in, step);
        c->door->stats.bytes_in += step;
        c->skip_bytes -= step;
        if (c->skip_bytes) break;
        if (c->skip_args == 0) {
            c->skipping = false;
            break;
        }
        i64 length = 0;
        size_t bytes = 0;
        if (!read_length(buf_str(in), &length, &bytes)) {
            if (in->len >= 32) redis_client_protocol_error(c, "invalid bulk length");
            break;
        }
        buf_consume(in, bytes);
        c->door->stats.bytes_in += bytes;
        c->skip_args--;
        c->skip_bytes = (u64)length + 2;
    }
    return in->len < before;
}
