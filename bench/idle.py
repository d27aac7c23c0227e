#!/usr/bin/python3
"""What three nodes cost at rest: the processor time and wake-ups of each while nobody asks anything, with one group;
then, with --groups N, the same with N groups and the resident memory that one replica of an idle group takes. Prints
whether what was measured is within the limits, and fails if not: other work on the machine makes all of it worse."""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests"))
sys.path.insert(0, HERE)
from lib.cluster import Cluster, binary, http_get
from lib.resp import Client
from memory import resident_kb

TICK = os.sysconf("SC_CLK_TCK")
CPU_MAX = 0.01  # of a core, per node, with one group
MORE_CPU_MAX = 0.002  # of a core, per node, for the groups beyond it (2,000 of them)
BYTES_MAX = 16 << 10  # per replica of an idle group


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def wakeups(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/status", encoding="ascii") as f:
                total += next(int(line.split()[1]) for line in f if line.startswith("voluntary_ctxt_switches"))
        except FileNotFoundError:
            pass  # a thread that has ended meanwhile
    return total


def rest(cluster, seconds, what):
    """Prints a line a node; returns the share of a core of each."""
    time.sleep(3)  # what came before has ended
    before = [(cpu_seconds(n.pid), wakeups(n.pid)) for n in cluster.nodes]
    started = time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - started
    shares = []
    for node, (cpu, woken) in zip(cluster.nodes, before):
        shares.append((cpu_seconds(node.pid) - cpu) / took)
        print(f"  {what}: node {node.id}: {shares[-1] * 100:5.2f} % of a core, "
              f"{(wakeups(node.pid) - woken) / took:6.0f} wake-ups/s, {resident_kb(node.pid) >> 10} MB resident", flush=True)
    return shares


def make_groups(node, count):
    """A keyspace of so many partitions; False: this server cannot."""
    made = subprocess.run([binary(), "ks", "create", "idle", f"partitions=hash:{count}",
                           "--node", f"127.0.0.1:{node.admin_port}"],
                          capture_output=True, text=True, timeout=60, check=False)
    if made.returncode != 0:
        print(f"  no groups were made: {(made.stderr or made.stdout).strip().splitlines()[:1]}")
    return made.returncode == 0


def metric(node, name):
    _, text = http_get("127.0.0.1", node.admin_port, "/metrics", 5)
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"quorate_{name} "))


def wait_for_rest(cluster, seconds):
    """Until groups are elected and, a minute later, each has been checkpointed once."""
    end = time.monotonic() + seconds
    time.sleep(75)
    while time.monotonic() < end:
        before = [metric(n, "checkpoints_total") for n in cluster.nodes]
        time.sleep(10)
        if all(metric(n, "checkpoints_total") - b <= 2 for n, b in zip(cluster.nodes, before)):
            return


def verdict(what, value, limit, unit):
    """One line; True: within the limit."""
    holds = value <= limit
    print(f"  {what}: {value:.2f} {unit}, limit {limit:g}: {'holds' if holds else 'DOES NOT HOLD'}")
    return holds


def judge(one, many, each, groups):
    print("at rest, the worst node:")
    good = verdict("three nodes, one group", max(one) * 100, CPU_MAX * 100, "% of a core")
    if many:
        more = max(b - a for a, b in zip(one, many))
        good &= verdict(f"{groups} groups more add", more * 100, MORE_CPU_MAX * 100, "points of a core")
        good &= verdict("a replica of an idle group", each / 1024, BYTES_MAX / 1024, "KiB resident")
    return good


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--seconds", type=int, default=60)
    words.add_argument("--groups", type=int, default=0)
    words.add_argument("--binary", help="the server (default: $QUORATE_BIN, then build/quorate)")
    args = words.parse_args()
    if args.binary:
        os.environ["QUORATE_BIN"] = os.path.abspath(args.binary)
    directory = tempfile.mkdtemp(prefix="quorate-idle-")
    many, each = [], 0
    try:
        with Cluster(os.path.join(directory, "quorate"), nodes=3) as cluster:
            cluster.start()
            for node in cluster.nodes:
                with Client("127.0.0.1", node.redis_port, 30) as c:
                    c.call("SET", f"key:{node.id}", "value")
            print(f"three nodes at rest, {args.seconds} s each time, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
                  flush=True)
            one = rest(cluster, args.seconds, "one group")
            before = [resident_kb(n.pid) for n in cluster.nodes]
            if args.groups and make_groups(cluster.nodes[0], args.groups):
                wait_for_rest(cluster, 600)
                many = rest(cluster, args.seconds, f"{args.groups} groups")
                each = max((resident_kb(n.pid) - b) * 1024 / args.groups for n, b in zip(cluster.nodes, before))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return 0 if judge(one, many, each, args.groups) else 1


if __name__ == "__main__":
    sys.exit(main())
