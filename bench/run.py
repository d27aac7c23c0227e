#!/usr/bin/python3
"""redis-benchmark, unmodified, against three durable Quorate nodes and one Redis 7 with appendfsync always, interleaved
in one run on one device: only ratios within a run mean something. Prints a table and bars, writes
bench/results/TIME.json. Needs redis-server and redis-benchmark."""
import argparse
import csv
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests"))
sys.path.insert(0, HERE)
from disk import Disk
from lib.cluster import DIE_WITH_PARENT, Cluster, run_limited
from lib.report import wait_until
from lib.resp import Client, Closed

KEYS, VALUE_BYTES = 100_000, 256
MAIN = [("SET", 50, 1), ("SET", 50, 16), ("GET", 50, 1), ("GET", 50, 16)]
MORE = [("SET", 1, 1), ("GET", 1, 1), ("SET", 50, 100), ("GET", 50, 100)]
AIMS = {"SET": 1.0, "GET": 0.8}  # of that Redis, at both main depths
TICKS = os.sysconf("SC_CLK_TCK")


class Target:
    """Something to measure: an address, and the processes that do its work."""

    def __init__(self, name, port, pids):
        self.name, self.port, self.pids = name, port, pids

    def cpu_seconds(self):
        total = 0
        for pid in self.pids:
            with open(f"/proc/{pid}/stat", encoding="ascii") as f:
                words = f.read().rpartition(")")[2].split()
            total += int(words[11]) + int(words[12])
        return total / TICKS


def start_redis(directory, port):
    process = subprocess.Popen(DIE_WITH_PARENT + [os.path.join(HERE, "peers", "redis.sh"), str(port), directory],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def answers():
        try:
            with Client("127.0.0.1", port, 1) as c:
                return c.call("PING") == "PONG"
        except Closed:
            return False
    wait_until(answers, 10, "Redis answers")
    return process


def preload(port):
    """Every key that redis-benchmark -r KEYS asks for exists."""
    value = "x" * VALUE_BYTES
    with Client("127.0.0.1", port, 30) as c:
        for start in range(0, KEYS, 500):
            for reply in c.pipeline([("SET", f"key:{i:012}", value) for i in range(start, start + 500)]):
                if reply != "OK":
                    raise RuntimeError(f"preload: {reply!r}")


def measure(target, shape, requests, disk):
    """One run of redis-benchmark: rate per second, latencies in ms, CPU us and disk writes per operation."""
    test, clients, depth = shape
    before, cpu, started = disk.sample(), target.cpu_seconds(), time.monotonic()
    done = run_limited(["redis-benchmark", "-p", str(target.port), "-t", test.lower(), "-c", str(clients), "-P",
                        str(depth), "-n", str(requests), "-d", str(VALUE_BYTES), "-r", str(KEYS), "--csv"], 120)
    seconds, cpu = time.monotonic() - started, target.cpu_seconds() - cpu
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    if done.returncode or not rows or "Error" in done.stdout + done.stderr:
        raise RuntimeError(f"redis-benchmark against {target.name}: {done.stdout[-300:]}{done.stderr[-300:]}")
    row = rows[0]
    result = {"rate": float(row["rps"]), "p50_ms": float(row["p50_latency_ms"]),
              "p99_ms": float(row["p99_latency_ms"]), "cpu_us": cpu * 1e6 / requests, "requests": requests}
    if before:
        writes, flushes, written = disk.between(before, disk.sample(), seconds)
        result.update(writes=writes / requests, flushes=flushes / requests, disk_bytes=written / requests)
    return result


def requests_for(target, shape, seconds, disk):
    """How many requests take about that long."""
    _, clients, depth = shape
    first = measure(target, shape, max(1000, 40 * clients * depth // 10), disk)
    return max(200, int(first["rate"] * seconds))


def rounds(targets, shapes, count, seconds, disk):
    """{(target, shape): [results]}, the order of the targets turned in every round."""
    sizes = {(t.name, s): requests_for(t, s, seconds, disk) for t in targets for s in shapes}
    results = {key: [] for key in sizes}
    for turn in range(count):
        for shape in shapes:
            order = targets if turn % 2 == 0 else targets[::-1]
            for t in order:
                results[t.name, shape].append(measure(t, shape, sizes[t.name, shape], disk))
        print(f"  round {turn + 1} of {count} done", file=sys.stderr, flush=True)
    return results


# --- what came out ---

def summary_of(runs):
    def middle(name):
        values = [r[name] for r in runs if name in r]
        return statistics.median(values) if values else None
    rates = [r["rate"] for r in runs]
    return {"rate": statistics.median(rates), "rate_min": min(rates), "rate_max": max(rates),
            "spread": (max(rates) - min(rates)) / statistics.median(rates),
            **{name: middle(name) for name in ("p50_ms", "p99_ms", "cpu_us", "writes", "flushes", "disk_bytes")}}


def shape_name(shape):
    return f"{shape[0]} c={shape[1]} P={shape[2]}"


def number(value, form):
    return "-" if value is None else format(value, form)


def print_table(targets, shapes, sums, ratios):
    head = ("", "", "rate, ops/s", "min-max", "ratio", "p50 ms", "p99 ms", "CPU us/op", "disk writes/op",
            "flushes/op", "disk B/op")
    rows = []
    for shape in shapes:
        for t in targets:
            s = sums[t.name, shape]
            ratio = ratios.get((t.name, shape))
            rows.append((shape_name(shape) if t is targets[0] else "", t.name, f"{s['rate']:,.0f}",
                         f"{s['rate_min']:,.0f}-{s['rate_max']:,.0f}",
                         f"{ratio['median']:.2f} ({ratio['min']:.2f}-{ratio['max']:.2f})" if ratio else "1",
                         number(s["p50_ms"], ".2f"), number(s["p99_ms"], ".2f"), number(s["cpu_us"], ".1f"),
                         number(s["writes"], ".3f"), number(s["flushes"], ".3f"), number(s["disk_bytes"], ",.0f")))
    widths = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        print("  ".join(word.ljust(w) if i < 2 else word.rjust(w) for i, (word, w) in
                        enumerate(zip(row, widths))).rstrip())


def print_bars(targets, shapes, sums):
    print("\nrates, longest bar = the fastest of its shape")
    for shape in shapes:
        best = max(sums[t.name, shape]["rate"] for t in targets)
        for t in targets:
            rate = sums[t.name, shape]["rate"]
            print(f"  {shape_name(shape) if t is targets[0] else '':16} {t.name:18} "
                  f"{'#' * round(40 * rate / best):40} {rate:,.0f}")


def ratios_of(targets, shapes, results):
    """Round by round against the peer's run beside it: slow drifts of the machine fall out."""
    peer, found = targets[0], {}
    for t in targets[1:]:
        for shape in shapes:
            each = [a["rate"] / b["rate"] for a, b in zip(results[t.name, shape], results[peer.name, shape])]
            found[t.name, shape] = {"median": statistics.median(each), "min": min(each), "max": max(each)}
    return found


def print_verdict(sums, ratios, peer, leader, disk):
    noise = [sums[peer, s]["spread"] for s in MAIN]
    print(f"\nnoise: Redis's own rates spread by {100 * min(noise):.0f} to {100 * max(noise):.0f} % of their "
          "median in this run (max - min)")
    if disk.name:
        print(f"disk: writes, flushes and bytes of device {disk.name} by /proc/diskstats, minus what it does idle "
              f"({disk.idle[0]:.1f} writes/s); Quorate's are those of all three nodes")
    print("the generator is one thread on the same cores: at P=1 it, not the server, may be the limit")
    for shape in MAIN:
        ratio, aim = ratios[leader, shape]["median"], AIMS[shape[0]]
        print(f"  {shape_name(shape):15} {ratio:.2f}x of Redis (aim {aim:.1f}x): "
              f"{'reached' if ratio >= aim else 'not reached'}; CPU us/op {sums[leader, shape]['cpu_us']:.1f} "
              f"over all nodes (Redis {sums[peer, shape]['cpu_us']:.1f})")


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--quick", action="store_true", help="two short rounds of the main shapes")
    words.add_argument("--rounds", type=int, help="default 5")
    words.add_argument("--seconds", type=float, help="of one measurement, about (default 2)")
    words.add_argument("--dir", help="where the data goes (default: a new directory under TMPDIR)")
    words.add_argument("--binary", help="the server (default: $QUORATE_BIN, then build/quorate)")
    args = words.parse_args()
    if args.binary:
        os.environ["QUORATE_BIN"] = os.path.abspath(args.binary)
    count = args.rounds or (2 if args.quick else 5)
    seconds = args.seconds or (0.7 if args.quick else 2.0)
    shapes = MAIN if args.quick else MAIN + MORE
    directory = tempfile.mkdtemp(prefix="quorate-bench-", dir=args.dir)
    redis = None
    try:
        with Cluster(os.path.join(directory, "quorate"), extra_ports=1) as cluster:
            redis = start_redis(os.path.join(directory, "redis"), 9379 + cluster.offset)
            leader = cluster.start()
            follower = cluster.followers()[0]
            pids = [n.pid for n in cluster.nodes]
            targets = [Target("Redis 7, 1 node", 9379 + cluster.offset, [redis.pid]),
                       Target("Quorate, leader", leader.redis_port, pids),
                       Target("Quorate, follower", follower.redis_port, pids)]
            print(f"data in {directory}; {os.cpu_count()} cores; {KEYS:,} keys of {VALUE_BYTES} B", flush=True)
            preload(targets[0].port)
            preload(leader.redis_port)
            disk = Disk(directory)
            results = rounds(targets, shapes, count, seconds, disk)
            if cluster.leader() is not leader:
                print("NOTE: leadership moved during the run; leader and follower rows are mixed")
    finally:
        if redis:
            redis.kill()
            redis.wait()
        shutil.rmtree(directory, ignore_errors=True)
    sums = {key: summary_of(runs) for key, runs in results.items()}
    ratios = ratios_of(targets, shapes, results)
    print_table(targets, shapes, sums, ratios)
    print_bars(targets, shapes, sums)
    print_verdict(sums, ratios, targets[0].name, targets[1].name, disk)
    save(shapes, targets, results, sums, ratios, disk)


def save(shapes, targets, results, sums, ratios, disk):
    folder = os.path.join(HERE, "results")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, time.strftime("%Y%m%d-%H%M%S") + ".json")
    rows = [{"target": t.name, "test": s[0], "clients": s[1], "depth": s[2], **sums[t.name, s],
             "ratio": ratios.get((t.name, s)), "runs": results[t.name, s]} for s in shapes for t in targets]
    with open(path, "w", encoding="ascii") as f:
        json.dump({"cores": os.cpu_count(), "device": disk.name, "value_bytes": VALUE_BYTES, "keys": KEYS,
                   "rows": rows}, f, indent=1)
    print(f"\nwritten to {os.path.relpath(path)}")


if __name__ == "__main__":
    sys.exit(main())
