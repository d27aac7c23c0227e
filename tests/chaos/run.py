#!/usr/bin/python3
"""Evidence with real processes. `run.py --short` is the part that fits into `make test`, `run.py --long` is `make
chaos`; names choose scripts. Each script has its own directory, ports and time limit, and ends what it
started. The last line is `N passed, N failed, N skipped`."""
import argparse
import os
import re
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SHORT = ["kill9", "quorum", "pause", "session", "corrupt", "grow", "reshape", "slow", "overload", "loss", "online", "levels"]
LONG = ["kill9", "quorum", "pause", "session", "corrupt", "netns", "diskfull", "faults", "memory", "grow",
        "reshape", "slow", "overload", "loss", "online", "levels"]
COUNT = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$")
LIMIT = 2400  # a script's own limit is lower; this one is for a script that hangs


def run_script(name, flags):
    """Pass its output on; its counts."""
    print(f"== {name} {' '.join(flags)}".rstrip(), flush=True)
    started = time.monotonic()
    counts = None
    child = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", "--", sys.executable,
                              os.path.join(HERE, f"{name}.py"), *flags],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    limit = threading.Timer(LIMIT, child.terminate)
    limit.daemon = True
    limit.start()
    try:
        for line in child.stdout:
            match = COUNT.match(line.strip())
            if match:
                counts = [int(g) for g in match.groups()]
            else:
                print(f"  {line.rstrip()}", flush=True)
        child.wait(30)
    finally:
        limit.cancel()
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
    if counts is None or (child.returncode and not counts[1]):
        print(f"  FAILED: {name} ended with {child.returncode} and no count", flush=True)
        counts = [0, 1, 0]
    print(f"  {name}: {counts[0]} passed, {counts[1]} failed, {counts[2]} skipped "
          f"in {time.monotonic() - started:.0f} s", flush=True)
    return counts


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--short", action="store_true", help="what `make test` runs")
    words.add_argument("--long", action="store_true", help="everything in full (the default)")
    words.add_argument("--binary", help="the server (default: $QUORATE_BIN, then build/quorate)")
    words.add_argument("names", nargs="*", help=f"some of: {' '.join(LONG)}")
    args = words.parse_args()
    unknown = set(args.names) - set(LONG)
    if unknown:
        words.error(f"no script named {' '.join(sorted(unknown))}")
    if args.binary:
        os.environ["QUORATE_BIN"] = os.path.abspath(args.binary)
    total = [0, 0, 0]
    for name in args.names or (SHORT if args.short else LONG):
        counts = run_script(name, ["--short"] if args.short else [])
        total = [a + b for a, b in zip(total, counts)]
    print(f"{total[0]} passed, {total[1]} failed, {total[2]} skipped", flush=True)
    return 1 if total[1] else 0


if __name__ == "__main__":
    sys.exit(main())
