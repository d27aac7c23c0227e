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

#define PIECE_BYTES MIB

/* How much of it are whole lines? Bytes before `from` hold no end of one. */
static size_t whole_lines(str text, size_t from)
{
    for (size_t len = text.len; len > from; len--)
        if (text.at[len - 1] == '\n') return len;
    return 0;
}

/* Whole lines are read as they come: the text of a long history is several times what is kept of it. */
static bool read_history(FILE *in, const char *name, struct history *h)
{
    struct buf text = {0};
    char problem[256];
    u64 lines = 0; /* read before this piece */
    u32 line;
    bool ended = false, good = true;

    while (good && !ended) {
        size_t before = text.len, got = fread(buf_reserve(&text, PIECE_BYTES), 1, PIECE_BYTES, in);
        buf_extend(&text, got);
        ended = got == 0;
        size_t whole = ended ? text.len : whole_lines(buf_str(&text), before);
        good = history_read(h, str_from(buf_bytes(&text), whole), &line, problem, sizeof problem) == OK;
        if (!good) fprintf(stderr, "quorate check: %s line %llu: %s\n", name, (unsigned long long)(lines + line), problem);
        lines += line - 1;
        buf_consume(&text, whole);
    }
    if (good && ferror(in)) {
        fprintf(stderr, "quorate check: %s: %s\n", name, strerror(errno));
        good = false;
    }
    buf_done(&text);
    return good;
}

static int check_file(FILE *in, const char *name, nanos slack)
{
    struct history h;
    struct findings f;
    int result = 2;

    history_init(&h);
    findings_init(&f);
    f.slack = slack;
    if (read_history(in, name, &h)) {
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
    int result = check_file(in, argv[1], (nanos)slack_ms * NANOS_MS);
    if (!from_stdin) fclose(in);
    return result;
}
