#!/usr/bin/env python3
"""Prove the checkers: build with every known mistake compiled in, switch each on in turn, and see that
some seed of `quorate sim` finds it. One row per mutant of src/sim/mutants.def; the last line is
`N caught, N missed`. Exit 1 if a safety mutant is missed."""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROW = re.compile(r'^MUTANT_ROW\(\s*(\w+)\s*,\s*(SAFETY|LIVENESS)\s*,\s*"(.*)"\s*\)')
BATCHES = [4, 12, 24, 60, 150, 250, 500, 1000]  # seeds; then 1000 at a time up to the budget


def rows():
    found = []
    for line in (ROOT / "src/sim/mutants.def").read_text().splitlines():
        match = ROW.match(line)
        if match:
            found.append(match.groups())
        elif line.startswith("MUTANT_ROW"):
            sys.exit(f"mutants.def: cannot read: {line}")
    return found


def build(directory, jobs):
    subprocess.run(["cmake", "-S", str(ROOT), "-B", str(directory), "-G", "Ninja", "-DQUORATE_MUTANTS=ON"],
                   check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", str(directory), f"-j{jobs}", "quorate"], check=True, stdout=subprocess.DEVNULL)
    return directory / "quorate"


def run_batch(binary, name, first, last, options):
    """The first seed with a violation and what it was, or None."""
    command = [str(binary), "sim", "--seeds", f"{first}-{last}", "--until", options.until, "--jobs", str(options.jobs),
               "--fail-fast", "--mutant", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=options.time_cap)
    except subprocess.TimeoutExpired:
        return "time", None
    if done.returncode == 2:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    reason = None
    for line in done.stdout.splitlines():
        if line.startswith("violation: ") and reason is None:
            reason = line[len("violation: "):]
        seed = re.match(r"seed (\d+) ", line)
        if seed and reason is not None:
            return int(seed.group(1)), reason
    return None, None


def hunt(binary, name, options):
    first, batches = 1, list(BATCHES)
    started = time.monotonic()
    while first <= options.seeds:
        size = batches.pop(0) if batches else 1000
        last = min(first + size - 1, options.seeds)
        seed, reason = run_batch(binary, name, first, last, options)
        if seed == "time" or time.monotonic() - started > options.time_cap:
            return (None, "time cap") if not reason else (seed, reason)
        if seed:
            return seed, reason
        first = last + 1
    return None, f"not within {options.seeds} seeds"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only these mutants")
    parser.add_argument("--seeds", type=int, default=2000, help="budget per mutant (2000)")
    parser.add_argument("--until", default="60s", help="simulated time per seed (60s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--time-cap", type=float, default=3600, help="real seconds per mutant (3600)")
    parser.add_argument("--build-dir", type=pathlib.Path, default=ROOT / "build-mutants")
    options = parser.parse_args()

    table = [row for row in rows() if not options.names or row[0] in options.names]
    unknown = set(options.names) - {row[0] for row in table}
    if unknown:
        sys.exit(f"no such mutant: {' '.join(sorted(unknown))}")
    binary = build(options.build_dir, options.jobs)

    caught, missed, safety_missed = 0, 0, 0
    print("mutant | kind | caught at seed | seconds | by")
    for name, kind, _ in table:
        started = time.monotonic()
        seed, reason = hunt(binary, name, options)
        seconds = time.monotonic() - started
        if seed:
            caught += 1
        else:
            missed += 1
            safety_missed += kind == "SAFETY"
        print(f"{name} | {kind} | {seed or 'MISSED'} | {seconds:.1f} | {reason[:100]}", flush=True)
    print(f"{caught} caught, {missed} missed")
    sys.exit(1 if safety_missed else 0)


if __name__ == "__main__":
    main()
