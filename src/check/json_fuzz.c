#include "check/checkers.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

/* Any bytes: read or refused, and what is read can be checked and written. */
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct history h;
    struct findings f;
    struct buf out = {0};
    char problem[200];
    u32 line;

    history_init(&h);
    findings_init(&f);
    if (history_read(&h, str_from(data, size), &line, problem, sizeof problem) == OK) {
        history_sort(&h);
        check_history(&h, &f);
        history_write(&h, &out);
    }
    buf_done(&out);
    findings_done(&f);
    history_done(&h);
    return 0;
}
