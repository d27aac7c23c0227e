#!/usr/bin/python3
"""Resident bytes per key (16 B key, 100 B value): one Quorate node with room for all of it, and one Redis."""
import argparse
import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests"))
sys.path.insert(0, HERE)
from lib.cluster import Cluster
from lib.resp import Client
from run import start_redis


def load(port, keys):
    value = "v" * 100
    with Client("127.0.0.1", port, 30) as c:
        for start in range(0, keys, 1000):
            for reply in c.pipeline([("SET", f"key:{i:012}", value) for i in range(start, start + 1000)]):
                if reply != "OK":
                    raise RuntimeError(f"SET answered {reply!r}")


def resident_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--keys", type=int, default=1_000_000)
    words.add_argument("--binary", help="the server (default: $QUORATE_BIN, then build/quorate)")
    args = words.parse_args()
    if args.binary:
        os.environ["QUORATE_BIN"] = os.path.abspath(args.binary)
    directory = tempfile.mkdtemp(prefix="quorate-memory-")
    redis = None
    try:
        with Cluster(os.path.join(directory, "quorate"), nodes=1, flags=["--memory", "4GB"], extra_ports=1) as cluster:
            redis = start_redis(os.path.join(directory, "redis"), 9379 + cluster.offset)
            cluster.start()
            node = cluster.nodes[0]
            print(f"{args.keys:,} keys of 16 B with values of 100 B")
            for name, port, pid in (("Redis", 9379 + cluster.offset, redis.pid), ("Quorate", node.redis_port, node.pid)):
                before = resident_kb(pid)
                load(port, args.keys)
                grown = resident_kb(pid) - before
                print(f"  {name:8} {grown * 1024 / args.keys:6.0f} B per key resident ({before >> 10} MB before, "
                      f"{(before + grown) >> 10} MB after)")
    finally:
        if redis:
            redis.kill()
            redis.wait()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
