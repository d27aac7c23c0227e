#include "check/check.h"

#include "base/mem.h"
#include "check/checkers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: quorate check [--slack MS] FILE\n"
    "       quorate check --online [--node HOST:PORT ...] [--seconds N] [--sample 1/N]\n"
    "\n"
    "Did the clients of this history see what they were promised? FILE holds one JSON object per line\n"
    "(docs/formats/history.md); - reads standard input. Writes and reads without a level must be linearizable, each\n"
    "key by itself: registers whose writes have values of their own, counters, growing texts, and small histories of\n"
    "anything else. Reads of the levels stale:MS, sequential, session and local are held to what these promise.\n"
    "An operation without an answer may have happened at any later time, or never.\n"
    "\n"
    "  --slack MS  let a stale:MS read be so much older than its bound (clocks that differ); usual: 0\n"
    "\n"
    "With --online the nodes of a running cluster tell what they are asked and answer of every N-th key, and that is\n"
    "checked as it comes: a violation is printed, logged by every node and counted in /metrics within seconds. What\n"
    "cannot be decided is passed over; there are no false alarms.\n"
    "\n"
    "  --node HOST:PORT  the admin address of any node (usual: 127.0.0.1:8379); others are found\n"
    "  --seconds N       end after so long; usual: never\n"
    "  --sample 1/N      of the keys; usual: 1/16\n"
    "\n"
    "exit: 0 no violation, 1 some (the operations that prove it are printed), 2 cannot be read\n"
    "\n"
    "examples:\n"
    "  quorate check history.jsonl\n"
    "  quorate check --slack 5 history.jsonl\n"
    "  quorate sim --seeds 7-7 --history h.jsonl && quorate check h.jsonl\n"
    "  quorate check --online --seconds 60\n"
    "  quorate check --online --node 10.0.0.2:8379 --sample 1/100\n";

#define SLACK_MS_MAX 3600000

static bool read_all(FILE *in, struct buf *out)
{
    size_t got;

    do {
        got = fread(buf_reserve(out, 64 * KIB), 1, 64 * KIB, in);
        buf_extend(out, got);
    } while (got > 0);
    return !ferror(in);
}

static int check_text(const char *name, str text, nanos slack)
{
    struct history h;
    struct findings f;
    char problem[256];
    u32 line;
    int result = 2;

    history_init(&h);
    findings_init(&f);
    f.slack = slack;
    if (history_read(&h, text, &line, problem, sizeof problem)) {
        fprintf(stderr, "quorate check: %s line %u: %s\n", name, line, problem);
    } else {
        history_sort(&h);
        check_history(&h, &f);
        printf("%.*s", STR_ARG(buf_str(&f.text)));
        if (f.undecided) printf("%u keys undecided: too many operations overlap\n", f.undecided);
        struct buf summary = {0};
        findings_summary(&f, &summary);
        printf("%s%.*s", f.violations ? "VIOLATED: " : "", STR_ARG(buf_str(&summary)));
        buf_done(&summary);
        result = f.violations ? 1 : 0;
    }
    findings_done(&f);
    history_done(&h);
    return result;
}

int check_main(int argc, char **argv)
{
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(help, stdout);
        return 0;
    }
    i64 slack_ms = 0;
    if (argc == 4 && strcmp(argv[1], "--slack") == 0) {
        if (!str_to_i64(str_of(argv[2]), &slack_ms) || slack_ms < 0 || slack_ms > SLACK_MS_MAX) {
            fprintf(stderr, "quorate check: --slack is a number of milliseconds up to %d\n", SLACK_MS_MAX);
            return 2;
        }
        argv += 2;
        argc -= 2;
    }
    if (argc != 2) {
        fputs(help, stderr);
        return 2;
    }
    bool from_stdin = strcmp(argv[1], "-") == 0;
    FILE *in = from_stdin ? stdin : fopen(argv[1], "rb");
    if (!in) {
        fprintf(stderr, "quorate check: %s: %s\n", argv[1], strerror(errno));
        return 2;
    }
    struct buf text = {0};
    int result = 2;
    if (read_all(in, &text))
        result = check_text(argv[1], buf_str(&text), (nanos)slack_ms * NANOS_MS);
    else
        fprintf(stderr, "quorate check: %s: %s\n", argv[1], strerror(errno));
    buf_done(&text);
    if (!from_stdin) fclose(in);
    return result;
}
