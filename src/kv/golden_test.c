/* Replays tests/redis/golden against kv: what a real Redis 7.0.15 answered, byte for byte. The format is
 * described in tests/redis/transcript.py. Every request is applied as an entry; reads are asked a
 * second time as reads, and must answer the same. */
#include "kv/kv_fixture.h"

#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

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
        if (c == '\\') {
            c = text.at[++i];
            if (c == 'r') c = '\r';
            if (c == 'n') c = '\n';
            if (c == 'x') {
                char hex[3] = {(char)text.at[i + 1], (char)text.at[i + 2], 0};
                c = (u8)strtoul(hex, NULL, 16);
                i += 2;
            }
        }
        buf_append_u8(out, c);
    }
}

/* Where the reply at `at` ends. */
static size_t reply_end(str raw, size_t at)
{
    size_t end = at;
    i64 number = 0;

    while (raw.at[end] != '\n') end++;
    bool counted = str_to_i64(str_from(raw.at + at + 1, end - at - 2), &number);
    end++;
    u8 kind = raw.at[at];
    if (kind == '$' && counted && number >= 0) end += (size_t)number + 2;
    if (kind == '%') number *= 2;
    if (kind == '*' || kind == '~' || kind == '%')
        for (i64 i = 0; i < number; i++) end = reply_end(raw, end);
    assert_true(end <= raw.len);
    return end;
}

static int compare_str(const void *a, const void *b)
{
    return str_compare(*(const str *)a, *(const str *)b);
}

static bool same_elements(str a, str b)
{
    str parts[2][256], whole[2] = {a, b};
    size_t count[2] = {0, 0};

    for (u32 side = 0; side < 2; side++) {
        str w = whole[side];
        size_t at = 0;
        while (w.at[at] != '\n') at++;
        for (at++; at < w.len;) {
            size_t end = reply_end(w, at);
            assert_true(count[side] < 256);
            parts[side][count[side]++] = str_from(w.at + at, end - at);
            at = end;
        }
        qsort(parts[side], count[side], sizeof(str), compare_str);
    }
    if (count[0] != count[1]) return false;
    for (size_t i = 0; i < count[0]; i++)
        if (!str_equal(parts[0][i], parts[1][i])) return false;
    return true;
}

/* The second element of an array of two: the keys of a SCAN reply. */
static str scanned(str reply)
{
    size_t at = 0;

    while (reply.at[at] != '\n') at++;
    at = reply_end(reply, at + 1);
    return str_from(reply.at + at, reply.len - at);
}

static bool matches(str matcher, str expected, str got)
{
    struct buf wanted = {0};
    bool same = false;

    if (str_is_word(matcher, "any")) return true;
    if (str_is_word(matcher, "int")) {
        char text[64];
        long long low, high;
        i64 value;
        snprintf(text, sizeof text, "%.*s", STR_ARG(expected));
        assert_int_equal(sscanf(text, "%lld %lld", &low, &high), 2);
        return got.at[0] == ':' && str_to_i64(str_from(got.at + 1, got.len - 3), &value) &&
               value >= low && value <= high;
    }
    unescape(expected, &wanted);
    if (matcher.len == 0)
        same = str_equal(buf_str(&wanted), got);
    else if (got.len && got.at[0] == buf_bytes(&wanted)[0] && str_is_word(matcher, "set"))
        same = same_elements(buf_str(&wanted), got);
    else if (got.len && got.at[0] == buf_bytes(&wanted)[0] && str_is_word(matcher, "scan"))
        same = same_elements(scanned(buf_str(&wanted)), scanned(got));
    buf_done(&wanted);
    return same;
}

struct replay {
    struct kv_fixture f;
    const char *path;
    u32 line, replies, failed;
    bool door;
    struct buf first; /* the reply from the log */
};

static void check_reply(struct replay *r, str request, str matcher, str expected, const char *how,
                        str got)
{
    r->replies++;
    if (matches(matcher, expected, got)) return;
    r->failed++;
    print_error("%s:%u: > %.*s (%s)\n    wanted %.*s\n    got    %.*s\n", r->path, r->line,
                STR_ARG(request), how, STR_ARG(expected), STR_ARG(got));
}

static bool is_read(struct kv_fixture *f)
{
    const struct kv_command *c = kv_command_find(f->words.args[0]);
    return c && c->flags & KV_READ;
}

static void replay_request(struct replay *r, str request, str matcher, str expected)
{
    struct kv_fixture *f = &r->f;
    bool need_tick;

    if (request.len > 7 && memcmp(request.at, "SELECT ", 7) == 0) { /* the door's */
        f->db = (u8)atoi((const char *)request.at + 7);
        return;
    }
    str got = apply_str(f, request);
    check_reply(r, request, matcher, expected, "applied", got);
    if (!is_read(f)) return;
    buf_clear(&f->out);
    CHECK_OK(kv_read(f->kv, ENTRY_COMMAND, f->proto == 3 ? ENTRY_RESP3 : 0, buf_str(&f->body),
                     f->now_us, 1, &f->out, &need_tick));
    CHECK(!need_tick);
    check_reply(r, request, matcher, expected, "read", buf_str(&f->out));
}

static void replay_line(struct replay *r, str line, str *request)
{
    if (line.len == 0 || line.at[0] == '#') return;
    if (line.len >= 9 && memcmp(line.at, "@ proto ", 8) == 0) {
        r->f.proto = line.at[8] - '0';
        r->f.db = 0;
    } else if (line.len >= 8 && memcmp(line.at, "@ wait ", 7) == 0) {
        r->f.now_us += (u64)atoi((const char *)line.at + 7) * 1000;
    } else if (str_equal(line, STR("@ door"))) {
        r->door = true;
    } else if (line.at[0] == '>') {
        *request = str_from(line.at + 2, line.len - 2);
    } else {
        assert_int_equal(line.at[0], '<');
        size_t at = 1;
        while (at < line.len && line.at[at] != ' ') at++;
        str matcher = {line.at + 1, at - 1};
        str expected = at < line.len ? str_from(line.at + at + 1, line.len - at - 1) : STR("");
        replay_request(r, *request, matcher, expected);
    }
}

static void replay(const char *path)
{
    struct replay r = {.path = path};
    struct buf file = {0};
    str request = {0};

    fixture_init(&r.f);
    read_file(path, &file);
    const u8 *at = buf_bytes(&file), *end = at + file.len;
    while (at < end && !r.door) {
        const u8 *newline = memchr(at, '\n', (size_t)(end - at));
        r.line++;
        replay_line(&r, str_from(at, (size_t)(newline - at)), &request);
        at = newline + 1;
    }
    if (r.replies < 20) fail_msg("%s: only %u replies", path, r.replies);
    if (r.failed) fail_msg("%s: %u of %u replies differ", path, r.failed, r.replies);
    buf_done(&file);
    fixture_done(&r.f);
}

#define GOLDEN(name) TEST(golden, name) { replay("tests/redis/golden/" #name ".txt"); }
#define RUN_GOLDEN(name) RUN(golden, name)

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

TEST_MAIN(RUN_GOLDEN(strings), RUN_GOLDEN(set_options), RUN_GOLDEN(counters), RUN_GOLDEN(ranges),
          RUN_GOLDEN(lcs), RUN_GOLDEN(keys), RUN_GOLDEN(expiry), RUN_GOLDEN(scan), RUN_GOLDEN(glob),
          RUN_GOLDEN(databases), RUN_GOLDEN(object), RUN_GOLDEN(unknown), RUN_GOLDEN(walk))
