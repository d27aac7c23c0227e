/* The language we wish we had: fixed-width names, a string with its length, and the attributes the
 * rest of the tree relies on. Knows nothing of distributed systems. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t i32;
typedef int64_t i64;

typedef u64 nanos;   /* a duration or a monotonic instant, in nanoseconds */
typedef u32 node_id; /* 1.. ; 0 is "no node" */

#define NANOS_NEVER UINT64_MAX
#define NANOS_MS ((nanos)1000000)
#define NANOS_SEC ((nanos)1000000000)

#define KIB ((size_t)1024)
#define MIB ((size_t)1024 * 1024)

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_at, args_at) __attribute__((format(printf, format_at, args_at)))
#define NORETURN __attribute__((noreturn))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define BIT(n) (1u << (n))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((u8 *)(ptr)-offsetof(type, member)))

static inline u64 u64_min(u64 a, u64 b) { return a < b ? a : b; }
static inline u64 u64_max(u64 a, u64 b) { return a > b ? a : b; }
static inline size_t size_min(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t size_max(size_t a, size_t b) { return a > b ? a : b; }

/* Round n up to a multiple of unit, a power of two. */
static inline u64 round_up(u64 n, u64 unit) { return (n + unit - 1) & ~(unit - 1); }

/* A place in a replicated log. {0,0} is the empty log, never an entry. */
struct log_pos {
    u64 term, index;
};
