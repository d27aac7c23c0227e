#!/usr/bin/python3
"""Replay golden transcripts against a server: replay.py HOST PORT FILE...

Prints every difference; the last line is `N passed, N failed`. Exit status 1 if any failed. The server's
data are deleted (the transcripts begin with FLUSHALL).
"""
import sys

import transcript


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__.strip())
    host, port = sys.argv[1], int(sys.argv[2])
    passed = failed = 0
    for path in sys.argv[3:]:
        good, failures = transcript.replay(path, host, port)
        for f in failures:
            print(f.text)
        passed += good
        failed += len(failures)
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
