/* Error and death at the k-th write or sync, for crash tests; compiled in by -DQUORATE_FAULTS only.
 *
 *   QUORATE_FAIL_WRITE_AT=k  the k-th write fails with EIO, nothing of it is written
 *   QUORATE_FAIL_SYNC_AT=k   the k-th sync (a durable write is one too) fails with EIO
 *   QUORATE_KILL_AT_WRITE=k  SIGKILL at the k-th write; QUORATE_KILL_HOW=before (default), torn
 * (the first half is written) or after k counts from 1, over blocking and reactor writes alike. */
#include "env/real.h"

#ifdef QUORATE_FAULTS

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum kill_how { KILL_BEFORE, KILL_TORN, KILL_AFTER };

static u64 number_of(const char *name)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : 0;
}

void faults_init(struct faults *f)
{
    const char *how = getenv("QUORATE_KILL_HOW");

    *f = (struct faults){
        .fail_write_at = number_of("QUORATE_FAIL_WRITE_AT"),
        .fail_sync_at = number_of("QUORATE_FAIL_SYNC_AT"),
        .kill_at_write = number_of("QUORATE_KILL_AT_WRITE"),
        .kill_how = KILL_BEFORE,
    };
    if (how && strcmp(how, "torn") == 0) f->kill_how = KILL_TORN;
    if (how && strcmp(how, "after") == 0) f->kill_how = KILL_AFTER;
}

enum fault faults_on_write(struct faults *f, int fd, const void *data, size_t bytes, u64 offset)
{
    u64 count = ++f->writes;

    if (count == f->kill_at_write) {
        size_t written = f->kill_how == KILL_AFTER  ? bytes
                         : f->kill_how == KILL_TORN ? bytes / 2
                                                    : 0;
        if (written) (void)!pwrite(fd, data, written, (off_t)offset);
        raise(SIGKILL);
    }
    return count == f->fail_write_at ? FAULT_FAIL : FAULT_NONE;
}

enum fault faults_on_sync(struct faults *f)
{
    return ++f->syncs == f->fail_sync_at ? FAULT_FAIL : FAULT_NONE;
}

#else
typedef int quorate_faults_are_off;
#endif
