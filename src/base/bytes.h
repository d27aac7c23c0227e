/* Little-endian (the formats' order) and big-endian (sortable keys) integers in byte strings. */
#pragma once

#include "base/types.h"

#include <string.h>

static inline void put_u16(u8 *p, u16 v) { memcpy(p, &v, 2); }
static inline void put_u32(u8 *p, u32 v) { memcpy(p, &v, 4); }
static inline void put_u64(u8 *p, u64 v) { memcpy(p, &v, 8); }
static inline u16 get_u16(const u8 *p) { u16 v; memcpy(&v, p, 2); return v; }
static inline u32 get_u32(const u8 *p) { u32 v; memcpy(&v, p, 4); return v; }
static inline u64 get_u64(const u8 *p) { u64 v; memcpy(&v, p, 8); return v; }

static inline void put_u16be(u8 *p, u16 v) { put_u16(p, __builtin_bswap16(v)); }
static inline void put_u32be(u8 *p, u32 v) { put_u32(p, __builtin_bswap32(v)); }
static inline void put_u64be(u8 *p, u64 v) { put_u64(p, __builtin_bswap64(v)); }
static inline u16 get_u16be(const u8 *p) { return __builtin_bswap16(get_u16(p)); }
static inline u32 get_u32be(const u8 *p) { return __builtin_bswap32(get_u32(p)); }
static inline u64 get_u64be(const u8 *p) { return __builtin_bswap64(get_u64(p)); }

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the formats are little-endian");
