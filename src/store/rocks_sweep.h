/* Deleted files go piece by piece. Where the file system discards what is freed, a file of 64 MB keeps the disk busy for 50 to 100 ms
 * at once, and the log's writes wait behind it. So each file that RocksDB makes is held open here, and when it is deleted and nobody
 * else has it, it is cut off from its end, a piece at a time with a rest behind each. A file that is not held, because there are
 * too many, goes at once, as all would without. */
#pragma once

#include "base/types.h"

#define SWEEP_FILES_MAX   512u /* held at once; the oldest is let go */
#define SWEEP_PIECE_BYTES MIB
#define SWEEP_BYTES_MAX   (1024 * MIB) /* deleted and not given back yet; from there files go at once */

struct sweep; /* a thread; whatever it holds, the kernel frees at the latest with the process */

/* Of the files *.sst of this directory. NULL: the kernel does not tell of them (inotify). */
struct sweep *sweep_begin(const char *dir);
void sweep_end(struct sweep *s); /* NULL is allowed. What is left goes at once */

struct sweep_stats {
    u64 files, bytes; /* held; deleted and not given back yet */
    u64 pieces;       /* cut off so far */
};
void sweep_stats(struct sweep *s, struct sweep_stats *out);
