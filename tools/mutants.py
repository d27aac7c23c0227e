#!/usr/bin/env python3
"""Prove the checkers: build with every known mistake compiled in, switch each on in turn, and see that some
seed of `quorate sim` finds it. One row per mutant of src/sim/mutants.def.

Rows below the lines that say so are run with --cluster or --memory. All rows get the same first seeds, then those not yet caught get more. Rows that --seeds-first seeds did not catch
are given to the unit tests of the part they are in; what those catch is told apart. The rest get seeds up to the
budget. Nothing is remembered from one run to the next. A row is told when it is decided: its kind, the seed, the
seeds and seconds it took, and what found it. The last line is `N caught, N missed`; exit 1 if a safety mutant
is missed."""
import argparse
import concurrent.futures
import os
import pathlib
import re
import resource
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROW = re.compile(r'^MUTANT_ROW\(\s*(\w+)\s*,\s*(SAFETY|LIVENESS)\s*,\s*"(.*)"\s*\)')
ROUNDS = [2, 4, 10, 20, 40, 80, 160, 320]  # seeds; then 500 at a time up to the budget
TESTS = ["base_tests", "live_tests", "raft_tests", "quorum_tests", "wal_tests", "store_tests", "kv_tests", "part_tests", "core_tests",
         "server_tests", "wire_peer_tests", "env_tests", "cli_tests", "check_tests"]
TEST_SECONDS_MAX = 120
PIECE = 10  # seeds of one process of the simulator: what may run in vain on one core when another finds it


class Row:
    def __init__(self, name, kind, options):
        self.name, self.kind, self.options = name, kind, options
        self.seed = self.reason = None
        self.seeds, self.seconds = 0, 0.0
        self.test = None


def rows():
    found, options = [], []
    for line in (ROOT / "src/sim/mutants.def").read_text().splitlines():
        match = ROW.match(line)
        for option in ("--cluster", "--memory"):
            options = [option] if f"with {option}" in line else options
        if match:
            found.append(Row(match[1], match[2], options))
        elif line.startswith("MUTANT_ROW"):
            sys.exit(f"mutants.def: cannot read: {line}")
    return found


def build(directory, jobs):
    subprocess.run(["cmake", "-S", str(ROOT), "-B", str(directory), "-G", "Ninja", "-DQUORATE_MUTANTS=ON"],
                   check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", str(directory), f"-j{jobs}", "quorate", *TESTS], check=True, stdout=subprocess.DEVNULL)
    return directory / "quorate"


def run_piece(binary, row, first, last, options):
    """(row, first seed with a violation or None, what it was, seeds run, processor seconds)"""
    if row.seed:
        return row, None, None, 0, 0.0
    command = [str(binary), "sim", "--seeds", f"{first}-{last}", "--until", options.until, "--jobs", "1",
               "--fail-fast", "--mutant", row.name, *row.options]
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    seconds = time.monotonic() - started
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    reason, seeds = None, 0
    for line in done.stdout.splitlines():
        if line.startswith("violation: ") and reason is None:
            reason = line[len("violation: "):]
        seed = re.match(r"seed (\d+) ", line)
        seeds += seed is not None
        if seed and reason is not None:
            return row, int(seed[1]), reason, seeds, seconds
    return row, None, None, seeds, seconds


def passes(test, environment):
    """None: it does not end in time, which proves nothing"""
    try:
        return subprocess.run([str(test)], env={**os.environ, **environment}, cwd=ROOT, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, timeout=TEST_SECONDS_MAX).returncode == 0
    except subprocess.TimeoutExpired:
        return None


def folder_of(source):
    """As CMakeLists.txt calls the tests of a source's folder."""
    parts = source.relative_to(ROOT / "src").parent.parts
    return parts[0] if parts[0] in ("server", "sim") else "_".join(parts)


def run_tests(directory, row):
    """(row, a test that passes without the mutant and fails with it, or None)"""
    folders = {folder_of(source) for source in (ROOT / "src").rglob("*.c")
               if f"MUTANT({row.name})" in source.read_text() and not source.name.endswith("_test.c")}
    for test in sorted(test for folder in folders for test in directory.glob(f"{folder}_*_test")):
        if passes(test, {"QUORATE_MUTANT": row.name}) is False and passes(test, {}):
            return row, test.name
    return row, None


def ask_tests(pool, directory, table):
    for done in concurrent.futures.as_completed([pool.submit(run_tests, directory, row) for row in table]):
        row, row.test = done.result()
        if row.test:
            tell(row, f"the unit test {row.test}")


def tell(row, text):
    found = row.seed or ("by test" if row.test else "MISSED")
    print(f"{row.name} | {row.kind} | {found} | {row.seeds} | {row.seconds:.1f} | {text[:160]}", flush=True)


def hunt(pool, binary, table, options):
    first, sizes, started, tested = 1, list(ROUNDS), time.monotonic(), False
    while first <= options.seeds and any(not row.seed and not row.test for row in table):
        if first > options.seeds_first and not tested:
            ask_tests(pool, binary.parent, [row for row in table if not row.seed])
            tested = True
        last = min(first + (sizes.pop(0) if sizes else 500) - 1, options.seeds)
        pieces = [(row, at, min(at + PIECE - 1, last))
                  for at in range(first, last + 1, PIECE) for row in table if not row.seed and not row.test]
        work = [pool.submit(run_piece, binary, *piece, options) for piece in pieces]
        for done in concurrent.futures.as_completed(work):
            row, seed, reason, seeds, seconds = done.result()
            row.seeds += seeds
            row.seconds += seconds
            if seed and not row.seed:
                row.seed, row.reason = seed, reason
                tell(row, reason)
        caught = sum(row.seed is not None or row.test is not None for row in table)
        print(f"-- seeds {first}-{last}: {caught} of {len(table)} caught after {time.monotonic() - started:.0f} s",
              flush=True)
        first = last + 1
    if not tested:
        ask_tests(pool, binary.parent, [row for row in table if not row.seed])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only these mutants")
    parser.add_argument("--cluster", action="store_true", help="only those that are run with --cluster")
    parser.add_argument("--seeds", type=int, default=2000, help="budget per mutant (2000)")
    parser.add_argument("--seeds-first", type=int, default=36, help="seeds before the unit tests are asked (36)")
    parser.add_argument("--until", default="60s", help="simulated time per seed (60s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--build-dir", type=pathlib.Path, default=ROOT / "build-mutants")
    options = parser.parse_args()

    table = [row for row in rows() if not options.names or row.name in options.names]
    if options.cluster:
        table = [row for row in table if row.options]
    unknown = set(options.names) - {row.name for row in rows()}
    if unknown:
        sys.exit(f"no such mutant: {' '.join(sorted(unknown))}")
    binary = build(options.build_dir, options.jobs)

    started = time.monotonic()
    print("mutant | kind | caught at seed | seeds run | seconds | by")
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        hunt(pool, binary, table, options)
    missed = [row for row in table if not row.seed and not row.test]
    for row in missed:
        tell(row, f"not within {options.seeds} seeds")
    processor = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{time.monotonic() - started:.0f} s, {processor.ru_utime + processor.ru_stime:.0f} s of processors, "
          f"up to {options.seeds} seeds of {options.until} for each")
    tests = [row.name for row in table if row.test]
    if tests:
        print(f"not by the simulator but by unit tests: {' '.join(tests)}")
    print(f"{len(table) - len(missed)} caught, {len(missed)} missed")
    sys.exit(1 if any(row.kind == "SAFETY" for row in missed) else 0)


if __name__ == "__main__":
    main()
