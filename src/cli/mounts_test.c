#include "cli/mounts.h"

#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool root_has(const char *options)
{
    char path[] = "/tmp/quorate-mounts-XXXXXX";
    FILE *f = fdopen(mkstemp(path), "w");

    CHECK(f);
    fprintf(f, "proc /proc proc rw,discard 0 0\n/dev/vda / ext4 %s 0 0\ntmpfs /nowhere tmpfs rw,discard 0 0\n", options);
    fclose(f);
    bool has = mounted_with(path, "/", "discard");
    unlink(path);
    return has;
}

TEST(mounts, finds_the_option_of_the_file_system_that_a_directory_is_on)
{
    CHECK(root_has("rw,relatime,discard,errors=remount-ro"));
    CHECK(root_has("rw,discard=async"));
    CHECK(!root_has("rw,relatime"));
    CHECK(!root_has("rw,nodiscard"));
    CHECK(!mounted_with("/nonexistent", "/", "discard"));
    CHECK(!mounted_with("/proc/self/mounts", "/nonexistent", "discard"));
}

TEST_MAIN(RUN(mounts, finds_the_option_of_the_file_system_that_a_directory_is_on))
