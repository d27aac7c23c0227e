/* Settings are rows of a table: a name, what it may be, what it is unless said. A name or value
 * that does not fit is refused with what would. docs/formats/core.md lists them; the numbers are
 * the wire's. */
#include "consistency/level.h"
#include "core/core_internal.h"

#include <stdio.h>

struct setting {
    const char *name;
    u64 least, most, normal;
    const char *const *words; /* instead of numbers */
    bool fixed;               /* only at creation */
    bool is_partitions;       /* hash:N or range */
    bool is_level;            /* a word of consistency/level.h */
};

static const char *const consistency_words[] = {"linearizable", NULL};
static const char *const durability_words[] = {"disk", "memory", NULL};
static const char *const paused_words[] = {"no", "yes", NULL};

static const struct setting cluster_settings[CORE_CLUSTER_SETTINGS] = {
    [CORE_REPLACE_AFTER_S] = {"replace-after", 10, 30 * 86400, 300, NULL, false, false, false},
    [CORE_MOVES_PER_NODE] = {"moves-per-node", 1, 64, 2, NULL, false, false, false},
    [CORE_MOVES_AT_ONCE] = {"moves-at-once", 1, 1000, 64, NULL, false, false, false},
    [CORE_PAUSED] = {"paused", 0, 1, 0, paused_words, false, false, false},
    [CORE_SPLIT_BYTES] = {"split-bytes", 1 << 20, 1ULL << 40, 1ULL << 30, NULL, false, false, false},
    [CORE_MERGE_BYTES] = {"merge-bytes", 0, 1ULL << 38, 128ULL << 20, NULL, false, false, false},
    [CORE_SPLIT_LOAD] = {"split-load", 0, 1000 * 1000 * 1000, 0, NULL, false, false, false},
};

static const struct setting keyspace_settings[CORE_KEYSPACE_SETTINGS] = {
    [CORE_REPLICAS] = {"replicas", 1, CORE_VOTERS_MAX, 3, NULL, false, false, false},
    [CORE_PARTITIONS] = {"partitions", 0, CORE_HASH_PARTS_MAX, 1, NULL, true, true, false},
    [CORE_CONSISTENCY] = {"consistency", 0, 0, 0, consistency_words, true, false, false},
    [CORE_DURABILITY] = {"durability", 0, 1, 0, durability_words, false, false, false},
    [CORE_VALUE_BYTES_MAX] = {"value-bytes-max", 1024, 1ULL << 29, 16ULL << 20, NULL, false, false, false},
    [CORE_LEVEL] = {"level", 0, UINT64_MAX, LEVEL_LEASE, NULL, false, false, true},
};

static void defaults(const struct setting *table, u32 count, u64 *values)
{
    for (u32 i = 0; i < count; i++) values[i] = table[i].normal;
}

void core_settings_default(u64 cluster[CORE_CLUSTER_SETTINGS])
{
    defaults(cluster_settings, CORE_CLUSTER_SETTINGS, cluster);
}

void core_keyspace_settings_default(u64 keyspace[CORE_KEYSPACE_SETTINGS])
{
    defaults(keyspace_settings, CORE_KEYSPACE_SETTINGS, keyspace);
}

static void add_word(char *text, size_t size, const char *separator, const char *word)
{
    size_t used = strlen(text);

    snprintf(text + used, size - used, "%s%s", used ? separator : "", word);
}

/* What the value of a setting may be, in words. */
static void describe(const struct setting *s, char *out, size_t size)
{
    out[0] = 0;
    if (s->is_partitions) {
        snprintf(out, size, "hash:1 to hash:%llu, or range", (unsigned long long)s->most);
    } else if (s->is_level) {
        snprintf(out, size, "%s", LEVEL_WORDS);
    } else if (s->words) {
        for (u32 i = 0; s->words[i]; i++) add_word(out, size, " or ", s->words[i]);
    } else {
        snprintf(out, size, "a number from %llu to %llu", (unsigned long long)s->least,
                 (unsigned long long)s->most);
    }
}

static bool parse_number(const struct setting *s, str text, u64 *out)
{
    i64 n;

    if (!str_to_i64(text, &n) || n < 0) return false;
    if ((u64)n < s->least || (u64)n > s->most) return false;
    *out = (u64)n;
    return true;
}

static bool parse_level(str text, u64 *out)
{
    struct level l;

    if (!level_parse(text, &l)) return false;
    *out = level_to_u64(l);
    return true;
}

static bool parse(const struct setting *s, str text, u64 *out)
{
    if (s->is_level) return parse_level(text, out);
    if (s->is_partitions) {
        if (str_equal(text, STR("range"))) {
            *out = 0;
            return true;
        }
        if (text.len < 5 || memcmp(text.at, "hash:", 5) != 0) return false;
        return parse_number(s, str_from(text.at + 5, text.len - 5), out) && *out > 0;
    }
    if (!s->words) return parse_number(s, text, out);
    for (u32 i = 0; s->words[i]; i++) {
        if (!str_equal(text, str_of(s->words[i]))) continue;
        *out = i;
        return true;
    }
    return false;
}

/* Text of others inside our sentence: what is not plain is shown as '?'. */
static void plain(str s, char *out, size_t size)
{
    size_t len = size_min(s.len, size - 1);

    for (size_t i = 0; i < len; i++) out[i] = s.at[i] >= ' ' && s.at[i] < 127 ? (char)s.at[i] : '?';
    out[len] = 0;
}

static bool take_row(struct core_call *call, const struct setting *table, u32 count,
                     const struct core_setting_row *row, bool creating, u64 *values)
{
    char name[40], value[40], may[300];

    plain(row->name, name, sizeof name);
    plain(row->value, value, sizeof value);
    for (u32 i = 0; i < count; i++) {
        const struct setting *s = &table[i];
        u64 number;
        if (!str_equal(row->name, str_of(s->name))) continue;
        if (!parse(s, row->value, &number)) {
            describe(s, may, sizeof may);
            core_refuse(call, CORE_INVALID, "%s=%s does not fit: %s is %s", name, value, s->name,
                        may);
            return false;
        }
        if (s->fixed && !creating && number != values[i]) {
            core_refuse(call, CORE_INVALID,
                        "%s is chosen when a keyspace is created: create another one and copy",
                        name);
            return false;
        }
        values[i] = number;
        return true;
    }
    may[0] = 0;
    for (u32 i = 0; i < count; i++) add_word(may, sizeof may, ", ", table[i].name);
    core_refuse(call, CORE_INVALID, "there is no setting %s here; there are: %s", name, may);
    return false;
}

static bool take(struct core_call *call, const struct setting *table, u32 count, bool creating,
                 u64 *values)
{
    for (u32 i = 0; i < call->cmd->row_count; i++)
        if (!take_row(call, table, count, &call->cmd->rows[i], creating, values)) return false;
    return true;
}

bool core_settings_take(struct core_call *call, u64 values[CORE_CLUSTER_SETTINGS])
{
    if (!take(call, cluster_settings, CORE_CLUSTER_SETTINGS, true, values)) return false;
    if (values[CORE_MERGE_BYTES] <= values[CORE_SPLIT_BYTES] / 2) return true;
    core_refuse(
        call, CORE_INVALID,
        "merge-bytes must be at most half of split-bytes, or what is merged is split again");
    return false;
}

bool core_keyspace_settings_take(struct core_call *call, u64 values[CORE_KEYSPACE_SETTINGS],
                                 bool creating)
{
    return take(call, keyspace_settings, CORE_KEYSPACE_SETTINGS, creating, values);
}

/* ---- as people read them ---- */

static void print_value(const struct setting *s, u64 value, struct buf *out)
{
    struct level l;

    if (s->is_level && level_from_u64(value, &l))
        level_print(l, out);
    else if (s->is_partitions && value == 0)
        buf_append_text(out, "range");
    else if (s->is_partitions)
        buf_printf(out, "hash:%llu", (unsigned long long)value);
    else if (s->words && value <= s->most)
        buf_append_text(out, s->words[value]);
    else
        buf_printf(out, "%llu", (unsigned long long)value);
}

const char *core_setting_name(enum core_cluster_setting s)
{
    assert(s < CORE_CLUSTER_SETTINGS);
    return cluster_settings[s].name;
}

void core_setting_print(enum core_cluster_setting s, u64 value, struct buf *out)
{
    assert(s < CORE_CLUSTER_SETTINGS);
    print_value(&cluster_settings[s], value, out);
}

const char *core_keyspace_setting_name(enum core_keyspace_setting s)
{
    assert(s < CORE_KEYSPACE_SETTINGS);
    return keyspace_settings[s].name;
}

void core_keyspace_setting_print(enum core_keyspace_setting s, u64 value, struct buf *out)
{
    assert(s < CORE_KEYSPACE_SETTINGS);
    print_value(&keyspace_settings[s], value, out);
}
