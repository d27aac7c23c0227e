#include "cli/mounts.h"

#include <mntent.h>
#include <stdio.h>
#include <sys/stat.h>

bool mounted_with(const char *table, const char *dir, const char *option)
{
    struct stat of_dir, of_mount;
    bool has = false;

    FILE *mounts = stat(dir, &of_dir) ? NULL : setmntent(table, "re");
    if (!mounts) return false;
    for (const struct mntent *m; (m = getmntent(mounts));)
        if (!stat(m->mnt_dir, &of_mount) && of_mount.st_dev == of_dir.st_dev) has = hasmntopt(m, option) != NULL;
    endmntent(mounts);
    return has;
}
