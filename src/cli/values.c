#include "cli/values.h"

#include "base/assert.h"
#include "base/hex.h"
#include "base/mem.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Digits from *text on; moves it behind them. */
static bool take_digits(const char **text, u64 *out)
{
    const char *at = *text;
    u64 value = 0;

    for (; isdigit((u8)*at); at++) {
        if (__builtin_mul_overflow(value, 10, &value)) return false;
        if (__builtin_add_overflow(value, (u64)(*at - '0'), &value)) return false;
    }
    if (at == *text) return false;
    *text = at;
    *out = value;
    return true;
}

bool value_number(const char *text, u64 min, u64 max, u64 *out)
{
    u64 value;

    if (!take_digits(&text, &value) || *text) return false;
    if (value < min || value > max) return false;
    *out = value;
    return true;
}

bool value_bytes(const char *text, u64 *out)
{
    static const char units[] = "kmgt";
    u64 value, scale = 1;

    if (!take_digits(&text, &value)) return false;
    if (*text && *text != 'b' && *text != 'B') {
        const char *unit = strchr(units, tolower((u8)*text));
        if (!unit) return false;
        for (const char *u = units; u <= unit; u++) scale *= 1024;
        text++;
        if (*text == 'i') text++;
    }
    if (*text == 'b' || *text == 'B') text++;
    if (*text || __builtin_mul_overflow(value, scale, &value)) return false;
    *out = value;
    return true;
}

bool value_duration(const char *text, nanos *out)
{
    static const struct {
        const char *name;
        nanos unit;
    } units[] = {
        {"ms", NANOS_MS}, {"s", NANOS_SEC}, {"m", 60 * NANOS_SEC}, {"h", 3600 * NANOS_SEC}};
    u64 value, tenths = 0;

    if (!take_digits(&text, &value)) return false;
    if (*text == '.' && isdigit((u8)text[1]) && !isdigit((u8)text[2])) {
        tenths = (u64)(text[1] - '0');
        text += 2;
    }
    for (u32 i = 0; i < ARRAY_LEN(units); i++) {
        if (strcmp(text, units[i].name) != 0) continue;
        if (__builtin_mul_overflow(value, units[i].unit, &value)) return false;
        *out = value + tenths * (units[i].unit / 10);
        return true;
    }
    return false;
}

bool value_switch(const char *text, bool *out)
{
    static const char *const yes[] = {"on", "yes", "true", "1"}, *const no[] = {"off", "no",
                                                                                "false", "0"};

    for (u32 i = 0; i < ARRAY_LEN(yes); i++) {
        if (strcasecmp(text, yes[i]) != 0 && strcasecmp(text, no[i]) != 0) continue;
        *out = strcasecmp(text, yes[i]) == 0;
        return true;
    }
    return false;
}

bool value_cluster_id(const char *text, u8 out[16])
{
    u8 id[16] = {0};
    u32 digits = 0;

    for (; *text; text++) {
        if (*text == '-') continue;
        int digit = hex_digit((u8)*text);
        if (digit < 0 || digits == 32) return false;
        id[digits / 2] = (u8)(id[digits / 2] << 4 | digit);
        digits++;
    }
    if (digits != 32) return false;
    memcpy(out, id, 16);
    return true;
}

void value_print_cluster_id(const u8 id[16], char out[33])
{
    hex_write(id, 16, out);
    out[32] = 0;
}

static bool host_port(str text, char host[NODE_HOST_MAX], u16 *port)
{
    char digits[8];
    u64 number;
    const char *all = (const char *)text.at, *colon = memrchr(all, ':', text.len);

    if (!colon) return false;
    size_t host_len = (size_t)(colon - all), port_len = text.len - host_len - 1;
    if (host_len >= 2 && all[0] == '[' && all[host_len - 1] == ']') { /* [::1]:7379 */
        all++;
        host_len -= 2;
    } else if (memchr(all, ':', host_len)) {
        return false; /* an IPv6 address wants its brackets */
    }
    if (host_len == 0 || host_len >= NODE_HOST_MAX || port_len >= sizeof digits) return false;
    memcpy(digits, colon + 1, port_len);
    digits[port_len] = 0;
    if (!value_number(digits, 1, 65535, &number)) return false;
    memcpy(host, all, host_len);
    host[host_len] = 0;
    *port = (u16)number;
    return true;
}

bool value_host_port(const char *text, char host[NODE_HOST_MAX], u16 *port)
{
    return host_port(str_of(text), host, port);
}

bool value_peers(const char *text, struct node_member members[NODE_MEMBERS_MAX], u32 *count,
                 const char **why)
{
    u32 got = 0;
    u64 id;

    for (;;) {
        const char *comma = strchrnul(text, ',');
        *why = "each peer is written ID=HOST:PORT";
        if (!take_digits(&text, &id) || *text != '=') return false;
        text++;
        *why = "node ids are numbers from 1";
        if (id == 0 || id > UINT32_MAX) return false;
        *why = "more peers than this version supports";
        if (got == NODE_MEMBERS_MAX) return false;
        *why = "a node id is named twice";
        for (u32 i = 0; i < got; i++)
            if (members[i].id == id) return false;
        *why = "an address is not HOST:PORT";
        struct node_member *m = &members[got];
        if (!host_port(str_from(text, (size_t)(comma - text)), m->host, &m->peer_port))
            return false;
        m->id = (node_id)id;
        got++;
        if (!*comma) break;
        text = comma + 1;
    }
    *count = got;
    return true;
}
