/* Replays tests/redis/golden through the door onto a keyspace in memory: what a real Redis 7.0.15
 * sent, byte for byte. tests/redis/transcript.py describes the format. */
#include "server/redis/door_fixture.h"

struct transcript {
    struct fixture *f;
    struct far_end *end;
    const char *path;
    u32 line, replies, failed;
    struct buf request;
    str shown;
};

static void read_file(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "rb");
    size_t got;

    if (!file) fail_msg("no transcript %s", path);
    do {
        got = fread(buf_reserve(out, 65536), 1, 65536, file);
        buf_extend(out, got);
    } while (got);
    fclose(file);
}

static void unescape(str text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        u8 c = text.at[i];
        if (c != '\\') {
            buf_append_u8(out, c);
            continue;
        }
        c = text.at[++i];
        if (c == 'x') {
            char hex[3] = {(char)text.at[i + 1], (char)text.at[i + 2], 0};
            buf_append_u8(out, (u8)strtoul(hex, NULL, 16));
            i += 2;
        } else if (c == '{') {
            long count = strtol((const char *)text.at + i + 1, NULL, 10);
            while (text.at[i] != ':') i++;
            for (; count; count--) buf_append_u8(out, text.at[i + 1]);
            i += 2;
        } else {
            buf_append_u8(out, c == 'r' ? '\r' : c == 'n' ? '\n' : c);
        }
    }
}

static bool starts(str s, const char *with)
{
    return s.len >= strlen(with) && memcmp(s.at, with, strlen(with)) == 0;
}

static str after(str s, const char *with)
{
    return str_from(s.at + strlen(with), s.len - strlen(with));
}

/* The words of a request, in redis-cli's quoting, as RESP. The inline parser reads that quoting. */
static void encode_request(str words, struct buf *out)
{
    struct resp_parser p;
    struct buf line = {0};
    size_t consumed;

    resp_parser_init(&p, 64 * MIB, 0);
    buf_append_str(&line, words);
    buf_append_u8(&line, '\n');
    CHECK_EQ(resp_parse(&p, buf_str(&line), &consumed), RESP_REQUEST);
    buf_printf(out, "*%u\r\n", p.argc);
    for (u32 i = 0; i < p.argc; i++) {
        buf_printf(out, "$%zu\r\n", p.args[i].len);
        buf_append_str(out, p.args[i]);
        buf_append_text(out, "\r\n");
    }
    resp_parser_done(&p);
    buf_done(&line);
}

static int compare_str(const void *a, const void *b)
{
    return str_compare(*(const str *)a, *(const str *)b);
}

static str behind_header(str array)
{
    const u8 *end = memchr(array.at, '\n', array.len);
    return str_from(end + 1, array.len - (size_t)(end + 1 - array.at));
}

static bool same_elements(str a, str b)
{
    str parts[2][512], rest[2] = {behind_header(a), behind_header(b)};
    size_t count[2] = {0, 0};

    for (u32 side = 0; side < 2; side++) {
        while (rest[side].len) {
            size_t len = redis_value_length(rest[side]);
            assert_true(len && count[side] < 512);
            parts[side][count[side]++] = str_from(rest[side].at, len);
            rest[side] = str_from(rest[side].at + len, rest[side].len - len);
        }
        qsort(parts[side], count[side], sizeof(str), compare_str);
    }
    if (count[0] != count[1]) return false;
    for (size_t i = 0; i < count[0]; i++)
        if (!str_equal(parts[0][i], parts[1][i])) return false;
    return true;
}

/* The keys of a SCAN reply: its second element. */
static str scanned(str reply)
{
    str rest = behind_header(reply);
    size_t cursor = redis_value_length(rest);

    return str_from(rest.at + cursor, rest.len - cursor);
}

static bool matches(str matcher, str expected, str got)
{
    struct buf wanted = {0};
    bool same;

    if (str_is_word(matcher, "any")) return redis_value_length(got) == got.len && got.len;
    if (str_is_word(matcher, "int")) {
        char *low_end;
        long long low = strtoll((const char *)expected.at, &low_end, 10),
                  high = strtoll(low_end, NULL, 10);
        i64 value;
        return got.len > 3 && got.at[0] == ':' &&
               str_to_i64(str_from(got.at + 1, got.len - 3), &value) && value >= low &&
               value <= high;
    }
    unescape(expected, &wanted);
    if (str_is_word(matcher, "set"))
        same = got.len && got.at[0] == buf_bytes(&wanted)[0] &&
               same_elements(buf_str(&wanted), got);
    else if (str_is_word(matcher, "scan"))
        same = got.len && got.at[0] == '*' &&
               same_elements(scanned(buf_str(&wanted)), scanned(got));
    else
        same = str_equal(buf_str(&wanted), got);
    buf_done(&wanted);
    return same;
}

static void ask(struct transcript *t, str matcher, str expected)
{
    bool closes = str_is_word(matcher, "close");

    buf_clear(&t->end->got);
    fixture_stream(t->f, t->end, buf_str(&t->request));
    fixture_serve(t->f);
    t->f->now += 2 * NANOS_MS; /* for DEBUG SLEEP */
    fixture_turn(t->f);
    str got = buf_str(&t->end->got);
    t->replies++;
    if (matches(closes ? STR("") : matcher, expected, got) && t->end->asked_to_close == closes)
        return;
    t->failed++;
    print_error("%s:%u: > %.*s\n    wanted %.*s\n    got    %.*s%s\n", t->path, t->line,
                STR_ARG(t->shown), STR_ARG(expected), STR_ARG(got),
                t->end->asked_to_close ? " (closed)" : "");
}

static void connect_as(struct transcript *t, u8 proto)
{
    if (t->end) fixture_hang_up(t->f, t->end);
    fixture_serve(t->f);
    t->end = fixture_connect(t->f);
    if (proto == 3) fixture_send(t->f, t->end, "HELLO 3\r\n");
}

static void replay_line(struct transcript *t, str line)
{
    if (line.len == 0 || line.at[0] == '#') return;
    if (starts(line, "@ proto ")) {
        connect_as(t, line.at[8] - '0');
    } else if (starts(line, "@ wait ")) {
        u64 ms = strtoull((const char *)line.at + 7, NULL, 10);
        t->f->wall_us += ms * 1000;
        t->f->now += ms * NANOS_MS;
        fixture_expire(t->f);
    } else if (line.at[0] == '>') {
        bool raw = starts(line, ">> ");
        t->shown = raw ? after(line, ">> ") : after(line, "> ");
        buf_clear(&t->request);
        if (raw)
            unescape(t->shown, &t->request);
        else
            encode_request(t->shown, &t->request);
    } else if (line.at[0] == '<') {
        size_t at = 1;
        while (at < line.len && line.at[at] != ' ') at++;
        str expected = at < line.len ? str_from(line.at + at + 1, line.len - at - 1) : STR("");
        ask(t, str_from(line.at + 1, at - 1), expected);
    }
}

static void replay(const char *path)
{
    struct transcript t = {.f = fixture_open(), .path = path};
    struct buf file = {0};

    fixture_open_keyspace(t.f);
    read_file(path, &file);
    const u8 *at = buf_bytes(&file), *end = at + file.len;
    while (at < end) {
        const u8 *newline = memchr(at, '\n', (size_t)(end - at));
        t.line++;
        replay_line(&t, str_from(at, (size_t)(newline - at)));
        at = newline + 1;
    }
    if (t.replies < 10) fail_msg("%s: only %u replies", path, t.replies);
    if (t.failed) fail_msg("%s: %u of %u replies differ", path, t.failed, t.replies);
    buf_done(&t.request);
    buf_done(&file);
    fixture_free(t.f);
}

#define GOLDEN(name)                                                                               \
    TEST(golden, name)                                                                             \
    {                                                                                              \
        replay("tests/redis/golden/" #name ".txt");                                                \
    }

GOLDEN(strings)
GOLDEN(set_options)
GOLDEN(counters)
GOLDEN(ranges)
GOLDEN(lcs)
GOLDEN(keys)
GOLDEN(expiry)
GOLDEN(scan)
GOLDEN(glob)
GOLDEN(databases)
GOLDEN(object)
GOLDEN(unknown)
GOLDEN(walk)
GOLDEN(transactions)
GOLDEN(protocol)
GOLDEN(connection)
GOLDEN(queued_locals)
GOLDEN(waiting)
GOLDEN(server)
GOLDEN(introspection)
GOLDEN(debug)

TEST_MAIN(RUN(golden, strings), RUN(golden, set_options), RUN(golden, counters),
          RUN(golden, ranges), RUN(golden, lcs), RUN(golden, keys), RUN(golden, expiry),
          RUN(golden, scan), RUN(golden, glob), RUN(golden, databases), RUN(golden, object),
          RUN(golden, unknown), RUN(golden, walk), RUN(golden, transactions), RUN(golden, protocol),
          RUN(golden, connection), RUN(golden, queued_locals), RUN(golden, waiting),
          RUN(golden, server), RUN(golden, introspection), RUN(golden, debug))
