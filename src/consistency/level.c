/* See level.h. */
#include "consistency/level.h"

static const char *const words[LEVEL_KINDS] = {
    [LEVEL_LEASE] = "lease", [LEVEL_QUORUM] = "quorum",         [LEVEL_FOLLOWER] = "follower",
    [LEVEL_STALE] = "stale", [LEVEL_SEQUENTIAL] = "sequential", [LEVEL_SESSION] = "session",
    [LEVEL_LOCAL] = "local",
};

static const char stale_prefix[] = "stale:";
enum { STALE_PREFIX_LEN = sizeof stale_prefix - 1 };

static bool parse_stale(str text, struct level *out)
{
    i64 ms;

    if (text.len <= STALE_PREFIX_LEN || !str_is_word(str_from(text.at, STALE_PREFIX_LEN), stale_prefix)) return false;
    str number = str_from(text.at + STALE_PREFIX_LEN, text.len - STALE_PREFIX_LEN);
    if (number.len > 2 && str_is_word(str_from(number.at + number.len - 2, 2), "ms")) number.len -= 2;
    if (!str_to_i64(number, &ms) || ms < 1 || ms > LEVEL_STALE_MS_MAX) return false;
    *out = (struct level){.kind = LEVEL_STALE, .ms = (u32)ms};
    return true;
}

bool level_parse(str text, struct level *out)
{
    for (u8 kind = 0; kind < LEVEL_KINDS; kind++) {
        if (kind == LEVEL_STALE || !str_is_word(text, words[kind])) continue;
        *out = (struct level){.kind = kind};
        return true;
    }
    return parse_stale(text, out);
}

void level_print(struct level l, struct buf *out)
{
    buf_append_text(out, l.kind < LEVEL_KINDS ? words[l.kind] : "?");
    if (l.kind == LEVEL_STALE) buf_printf(out, ":%ums", l.ms);
}

u64 level_to_u64(struct level l)
{
    return l.kind | (u64)l.ms << 8;
}

bool level_from_u64(u64 number, struct level *out)
{
    u64 kind = number & 0xff, ms = number >> 8;

    if (kind >= LEVEL_KINDS || ms > LEVEL_STALE_MS_MAX || (ms > 0) != (kind == LEVEL_STALE)) return false;
    *out = (struct level){.kind = (u8)kind, .ms = (u32)ms};
    return true;
}

bool level_equal(struct level a, struct level b)
{
    return a.kind == b.kind && a.ms == b.ms;
}

bool level_is_leaders(struct level l)
{
    return l.kind == LEVEL_LEASE || l.kind == LEVEL_QUORUM;
}

bool level_is_linearizable(struct level l)
{
    return l.kind <= LEVEL_FOLLOWER;
}

static const u8 by_strength[] = {LEVEL_LOCAL, LEVEL_STALE, LEVEL_SESSION, LEVEL_FOLLOWER, LEVEL_LEASE, LEVEL_QUORUM};

static u32 rank_of(enum level_kind kind)
{
    u32 at = 0;

    if (kind == LEVEL_SEQUENTIAL) kind = LEVEL_SESSION;
    while (by_strength[at] != kind) at++;
    return at;
}

enum level_kind level_stronger(enum level_kind kind)
{
    u32 at = rank_of(kind) + 1;
    return at < sizeof by_strength ? (enum level_kind)by_strength[at] : LEVEL_KINDS;
}

enum level_kind level_weaker(enum level_kind kind)
{
    u32 at = rank_of(kind);
    return at ? (enum level_kind)by_strength[at - 1] : LEVEL_KINDS;
}

bool level_has_memory(struct level l)
{
    return l.kind == LEVEL_SEQUENTIAL || l.kind == LEVEL_SESSION;
}

bool level_is_orderless(struct level l)
{
    return l.kind == LEVEL_LOCAL || l.kind == LEVEL_STALE;
}
