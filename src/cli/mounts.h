/* How a directory's file system is mounted. */
#pragma once

#include "base/types.h"

/* By `table` (/proc/self/mounts; fstab(5)), does the file system that `dir` is on have this option? False also if nothing can be read. */
bool mounted_with(const char *table, const char *dir, const char *option);
