#!/usr/bin/env python3
"""House rules that a compiler does not know; `make tidy`.

Fails on: includes that src/DEPS does not allow, headers that do not compile alone, banned calls,
mutable globals, one global name in two folders, leftover markers, headers nobody includes.
Prints the ten longest files and functions, and how many lines pass 100 columns: thermometers, no gates.

usage: tools/tidy.py [BUILD_DIR]     BUILD_DIR/libq_*.a are searched for mutable globals
"""
import concurrent.futures
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COLUMNS = 100

# Folders that may name a foreign header: a dependency hides behind one folder.
FOREIGN = {
    "uv.h": {"env"},
    "liburing.h": {"env"},
    "rocksdb/c.h": {"store"},
    "cyaml/cyaml.h": {"cli"},
    "llhttp.h": {"server"},
    "xxhash.h": {"base"},
    "isa-l.h": {"base"},
    "isa-l/crc.h": {"base"},
    "pthread.h": {"env", "base", "store", "sim", "bench"},
    "cmocka.h": {"base"},
}

# (pattern, folders that may, what to use instead). Tests are held to the first group only.
BANNED_EVERYWHERE = [
    (r"\b(strcpy|strcat|sprintf|vsprintf|gets|strncpy|strncat|alloca)\s*\(", set(), "snprintf or buf"),
    (r"\b(s?rand|random|drand48|rand_r)\s*\(", set(), "a struct prng, or env_random"),

    (r"\bstrtok\s*\(", set(), "str"),
]
BANNED_IN_SOURCES = [
    (r"\b(malloc|calloc|realloc|free|aligned_alloc|posix_memalign|strdup|strndup|asprintf)\s*\(",
     {"base"}, "base/mem.h"),
    (r"\b(time|gettimeofday|clock_gettime|clock|localtime|nanosleep|usleep|sleep)\s*\(",
     {"env", "bench"}, "env_mono or env_wall_us"),
]
CORES = {"raft", "quorum", "wire/resp", "wire/peer", "kv", "core", "part", "wal", "store", "server"}
BANNED_IN_CORES = [
    (r"\b(printf|puts|putchar|perror|getenv|socket|fopen|fork)\s*\(", set(), "results, env_log or env"),
]
# The few that exist on purpose: the active mutant, and the counter of failing allocations.
MUTABLE_ALLOWED = {"mutant_active"}

# Nothing in the repository may depend on the machine it was written on.
PLACES = re.compile("/wo" + r"rk/|/home/\w|\.\./sha" + "red")
MARKERS = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b")


class Report:
    def __init__(self):
        self.problems = []

    def add(self, path, line, text):
        where = os.path.relpath(path, ROOT)
        self.problems.append(f"{where}:{line}: {text}" if line else f"{where}: {text}")


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def code_only(text):
    """The text with comments and literals blanked, lines kept."""
    pattern = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return pattern.sub(blank, text)


def deps():
    allowed = {}
    for line in read(os.path.join(ROOT, "src/DEPS")).splitlines():
        match = re.match(r"^([a-z/]+):\s*(.*)$", line)
        if match:
            allowed[match.group(1)] = set(match.group(2).split())
    return allowed


def folder_of(path, folders):
    """The DEPS folder of a path relative to src/: the longest that fits."""
    best = None
    for folder in folders:
        if path.startswith(folder + "/") and (best is None or len(folder) > len(best)):
            best = folder
    return best


def sources():
    for where, _, names in os.walk(os.path.join(ROOT, "src")):
        for name in sorted(names):
            if name.endswith((".c", ".h")):
                yield os.path.join(where, name)


def test_only(files):
    """Tests, and headers that only tests include."""
    inside = {p: os.path.relpath(p, os.path.join(ROOT, "src")) for p in files}
    names = {p: set(re.findall(r'#\s*include\s+"([^"]+)"', read(p))) for p in files}
    tests = {p for p in files if re.search(r"_(test|fuzz)\.c$", p)}
    while True:
        more = {p for p in files if p.endswith(".h") and p not in tests
                and any(inside[p] in names[q] for q in tests)
                and all(q in tests for q in files if inside[p] in names[q])}
        if not more:
            return tests
        tests |= more


def check_includes(report, files, allowed):
    included = set()
    for path in files:
        inside = os.path.relpath(path, os.path.join(ROOT, "src"))
        folder = folder_of(inside, allowed)
        if folder is None:
            report.add(path, 0, "its folder is not in src/DEPS")
            continue
        for number, line in enumerate(read(path).splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
            if not match:
                continue
            quote, name = match.groups()
            if quote == "<":
                if name in FOREIGN and folder not in FOREIGN[name]:
                    report.add(path, number, f"<{name}> belongs behind {sorted(FOREIGN[name])}")
                continue
            included.add(name)
            if not os.path.exists(os.path.join(ROOT, "src", name)):
                report.add(path, number, f'"{name}" is not spelled from src/')
                continue
            target = folder_of(name, allowed)
            if name == "sim/mutants.def":
                continue  # a table of names, no code
            if target != folder and target not in allowed[folder]:
                report.add(path, number, f'{folder} may not include "{name}" (src/DEPS)')
    for path in files:
        inside = os.path.relpath(path, os.path.join(ROOT, "src"))
        if path.endswith(".h") and inside not in included:
            report.add(path, 0, "nobody includes it")


def check_calls(report, files, allowed):
    tests = test_only(files)
    for path in files:
        inside = os.path.relpath(path, os.path.join(ROOT, "src"))
        folder = folder_of(inside, allowed) or ""
        is_test = path in tests
        rules = list(BANNED_EVERYWHERE)
        if not is_test:
            rules += BANNED_IN_SOURCES
            if folder in CORES:
                rules += BANNED_IN_CORES
        for number, line in enumerate(code_only(read(path)).splitlines(), 1):
            for pattern, may, instead in rules:
                match = re.search(r"(?<![.>])" + pattern, line)
                if not match or folder in may:
                    continue
                if re.match(r"\s*(static\s+)?[\w\s]*\(\*", line):
                    continue  # a member of an operations table
                report.add(path, number, f"{match.group(0).strip()}...) is banned here: use {instead}")


def check_text(report, files):
    extra = []
    for top in ("docs", "tests", "tools", "share", "bench"):
        for where, _, names in os.walk(os.path.join(ROOT, top)):
            extra += [os.path.join(where, n) for n in names if n.endswith((".md", ".sh", ".py", ".txt", ".1"))]
    extra += [os.path.join(ROOT, n) for n in os.listdir(ROOT) if n.endswith(".md") or n == "Makefile"]
    for path in list(files) + extra:
        for number, line in enumerate(read(path).splitlines(), 1):
            if MARKERS.search(line):
                report.add(path, number, "a leftover marker: finish it or make it an issue")
            if PLACES.search(line):
                report.add(path, number, "names a place outside the repository")


def check_headers(report, files):
    headers = [p for p in files if p.endswith(".h")]
    flags = ["-std=gnu17", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function",
             "-D_GNU_SOURCE", "-I" + os.path.join(ROOT, "src"), "-isystem", "/usr/share/include/llhttp"]

    def compile_alone(path):
        done = subprocess.run(["cc", *flags, "-include", path, "-x", "c", "/dev/null"],
                              capture_output=True, text=True)
        first = next((l for l in done.stderr.splitlines() if "error" in l), "")
        return path, done.returncode, first

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, failed, first in pool.map(compile_alone, headers):
            if failed:
                report.add(path, 0, f"does not compile alone: {first}")


def check_globals(report, build):
    """Mutable data of the libraries: nothing may be global in what the simulator runs many times."""
    if not build or not os.path.isdir(build):
        return
    for name in sorted(os.listdir(build)):
        if not re.match(r"libq_.*\.a$", name):
            continue
        done = subprocess.run(["objdump", "-t", os.path.join(build, name)], capture_output=True, text=True)
        for line in done.stdout.splitlines():
            match = re.match(r"^[0-9a-f]+ .{7} (\.data|\.bss|\.tdata|\.tbss|\*COM\*)(?:\.(?!rel\.ro)\S*)?\s+([0-9a-f]+)\s+(\S+)$", line)
            if not match or int(match.group(2), 16) == 0:
                continue
            symbol = match.group(3)
            if symbol.startswith("__odr_asan."):
                continue
            if symbol.split(".")[0] not in MUTABLE_ALLOWED:
                report.problems.append(f"{name}: {symbol} is mutable global data; give it an owner")


def check_names(report, build):
    """A global name belongs to one folder: all of them are linked into one binary."""
    if not build or not os.path.isdir(build):
        return
    owner = {}
    for name in sorted(os.listdir(build)):
        if not re.match(r"libq_.*\.a$", name):
            continue
        done = subprocess.run(["nm", "--defined-only", "-g", os.path.join(build, name)], capture_output=True, text=True)
        for line in done.stdout.splitlines():
            words = line.split()
            if len(words) != 3 or words[1] not in "TDBR":
                continue
            first = owner.setdefault(words[2], name)
            if first != name:
                report.problems.append(f"{name}: {words[2]} is also defined in {first}")


def functions(path):
    """(name, first line, lines) of each function, by the braces in column 0."""
    start = name = None
    lines = code_only(read(path)).splitlines()
    for number, line in enumerate(lines, 1):
        if line == "{" and start is None:
            at = number - 1
            while at > 0 and lines[at - 1] and lines[at - 1][0] not in "}#/ ":
                if "(" in lines[at - 1]:
                    break
                at -= 1
            while at > 0 and "(" not in lines[at - 1]:
                at -= 1
            match = re.search(r"(\w+)\s*\(", lines[at - 1]) if at else None
            start, name = at, match.group(1) if match else "?"
        elif line.startswith("}") and start is not None:
            yield name, start, number - start + 1
            start = None


def print_longest(files):
    lengths = sorted(((len(read(p).splitlines()), os.path.relpath(p, ROOT)) for p in files), reverse=True)
    print("ten longest files:")
    for count, path in lengths[:10]:
        print(f"  {count:5}  {path}")
    found = []
    for path in files:
        if path.endswith(".c"):
            found += [(count, f"{name} ({os.path.relpath(path, ROOT)}:{line})") for name, line, count in functions(path)]
    wide = sum(len(line) > COLUMNS for p in files for line in read(p).splitlines())
    print(f"lines over {COLUMNS} columns: {wide}")
    print("ten longest functions:")
    for count, text in sorted(found, reverse=True)[:10]:
        print(f"  {count:5}  {text}")


def main():
    report = Report()
    files = list(sources())
    allowed = deps()
    check_includes(report, files, allowed)
    check_calls(report, files, allowed)
    check_text(report, files)
    check_headers(report, files)
    build = sys.argv[1] if len(sys.argv) > 1 else None
    check_names(report, build)
    check_globals(report, build)
    print_longest(files)
    for problem in report.problems:
        print(problem)
    print(f"tidy: {len(files)} files, {len(report.problems)} problems")
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
