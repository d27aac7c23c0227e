/* A request whose arguments are each within the limit but together over it is refused by name, and its bytes
 * are dropped as they come, so the connection and what is pipelined behind it go on. One argument over the
 * limit is, as in Redis, a protocol error, and the connection ends: the log says which flag would help. */
#include "server/redis/redis_internal.h"

/* The length in a whole `$<digits>\r\n` at the start of input; *bytes is the line's. */
static bool read_length(str input, size_t limit, i64 *length, size_t *bytes)
{
    const u8 *end = memchr(input.at, '\n', size_min(input.len, 32));

    if (!end || end == input.at || end[-1] != '\r' || input.at[0] != '$') return false;
    *bytes = (size_t)(end - input.at) + 1;
    return str_to_i64(str_from(input.at + 1, *bytes - 3), length) && *length >= 0 &&
           (u64)*length <= limit;
}

static void refuse(struct client *c)
{
    struct redis_door *d = c->door;
    struct resp_writer w = redis_reply_begin(c);

    resp_errorf(&w,
                "TOOBIG request is over the limit of %zu bytes (--value-max and 1 MiB); nothing was done, "
                "send it in parts",
                d->config->value_bytes_max + REQUEST_ROOM_BYTES);
    redis_reply_end(c, &w, 0);
    d->stats.too_big++;
    redis_transaction_flag(c);
}

/* Does a well-formed length stand here that is only too large? Then people should know what to do. */
static void note_large_value(struct client *c, str header)
{
    char address[CLIENT_ADDRESS_MAX];
    i64 length;
    size_t bytes;

    if (!read_length(header, INT64_MAX, &length, &bytes)) return;
    c->door->stats.too_big++;
    redis_client_address(c, address);
    env_log(c->door->env, LOG_INFO,
            "redis: value over the limit client=%s bytes=%lld limit=%zu flag=--value-max", address,
            (long long)length, c->door->config->value_bytes_max);
}

bool redis_oversize_begin(struct client *c)
{
    const struct resp_parser *p = c->parser;
    str input = buf_str(&c->stream.in);
    i64 length = 0;
    size_t bytes = 0;

    if (p->args_wanted <= 0 || p->at >= input.len) return false;
    str header = str_from(input.at + p->at, input.len - p->at);
    if (!read_length(header, c->door->config->value_bytes_max, &length, &bytes)) {
        note_large_value(c, header);
        return false;
    }
    refuse(c);
    c->skipping = true;
    c->skip_args = (u32)p->args_wanted - p->argc - 1;
    c->skip_bytes = (u64)length + 2;
    buf_consume(&c->stream.in, p->at + bytes);
    c->door->stats.bytes_in += p->at + bytes;
    resp_parser_done(c->parser); /* it stopped inside a request; begin afresh after it */
    return true;
}

void redis_oversize_skip(struct client *c)
{
    struct buf *in = &c->stream.in;

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
        if (!read_length(buf_str(in), c->door->config->value_bytes_max, &length, &bytes)) {
            if (in->len >= 32) redis_client_protocol_error(c, "invalid bulk length");
            break;
        }
        buf_consume(in, bytes);
        c->door->stats.bytes_in += bytes;
        c->skip_args--;
        c->skip_bytes = (u64)length + 2;
    }
}
