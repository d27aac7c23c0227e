#!/usr/bin/python3
"""`--memory 256MB` and data larger than that: 2 GB of values are written and read back exactly, each node's resident
memory stays under 512 MB all the time (VmHWM), and a restart takes under 5 s."""
import argparse
import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lib.cluster import Cluster
from lib.report import Failed, Skip, expect, run, wait_until
from lib.resp import RespError

RESIDENT_MAX_KB = 512 * 1024
RESTART_MAX = 5.0
BLOCK = random.Random(7).randbytes(1 << 21)  # values are windows of it


def plan(total):
    """(key, bytes): mostly 16 KB, some small and some large ones."""
    sizes = [256] * 20 + [4000] * 10 + [16384] * 60 + [100_000] * 4 + [1_000_000]
    chance = random.Random(42)
    number = 0
    while total > 0:
        size = chance.choice(sizes)
        yield f"m{number}", size
        total -= size
        number += 1


def value_of(key, size):
    stamp = f"{key}:{size}:".encode()
    start = hash_of(key) % (len(BLOCK) - size)
    return (stamp + BLOCK[start : start + size])[:size]


def hash_of(key):
    h = 2166136261
    for byte in key.encode():
        h = (h ^ byte) * 16777619 & 0xFFFFFFFF
    return h


def write_all(client, total):
    """Pipelined by bytes; OVERLOADED means wait and repeat. Returns the number of keys."""
    batch, room, count = [], 4 << 20, 0
    for key, size in plan(total):
        batch.append((key, size))
        room -= size
        count += 1
        if room <= 0 or len(batch) >= 512:
            write_batch(client, batch)
            batch, room = [], 4 << 20
    write_batch(client, batch)
    return count


def write_batch(client, batch):
    end = time.monotonic() + 60
    while batch:
        replies = client.pipeline([("SET", k, value_of(k, s)) for k, s in batch], timeout=30)
        again = []
        for item, reply in zip(batch, replies):
            if isinstance(reply, RespError):
                expect(reply.name in ("OVERLOADED", "UNKNOWN", "NOQUORUM"), f"SET answered {reply!r}")
                again.append(item)
        if again and time.monotonic() > end:
            raise Failed(f"writes are refused for 60 s: {replies[-1]!r}")
        batch = again


def read_all(client, total):
    batch, room = [], 4 << 20
    bytes_read = 0
    for key, size in [*plan(total), (None, 0)]:
        if key:
            batch.append((key, size))
            room -= size
        if key is None or room <= 0 or len(batch) >= 512:
            replies = client.pipeline([("GET", k) for k, _ in batch], timeout=30)
            for (k, s), got in zip(batch, replies):
                expect(got == value_of(k, s), f"{k} of {s} bytes reads back as {got!r:.60}")
                bytes_read += s
            batch, room = [], 4 << 20
    return bytes_read


def resident(cluster):
    return {n.id: n.memory_kb("VmHWM") for n in cluster.nodes}


def check_resident(suite, cluster, when):
    peaks = resident(cluster)
    suite.say(f"{when}: peak resident " + ", ".join(f"node {i} {kb >> 10} MB" for i, kb in peaks.items()))
    expect(max(peaks.values()) < RESIDENT_MAX_KB, f"{when}: resident memory reached {max(peaks.values()) >> 10} MB")


def restart_time(cluster, nodes, key, size):
    """From exec until a GET of an old key is answered through the started node(s)."""
    for n in nodes:
        n.kill9()
    started = time.monotonic()
    for n in nodes:
        n.start()

    def answers():
        try:
            with nodes[0].client(timeout=2) as c:
                return c.call("GET", key) == value_of(key, size)
        except Exception:  # pylint: disable=broad-except
            return False
    wait_until(answers, 30, "the restarted cluster answers")
    return time.monotonic() - started


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--gigabytes", type=float, default=2.0)
    words.add_argument("--short", action="store_true", help="half a gigabyte")
    args = words.parse_args()
    total = int((0.5 if args.short else args.gigabytes) * (1 << 30))

    def body(suite):
        space = os.statvfs(suite.dir)
        if space.f_bavail * space.f_frsize < total * 3 * 4:
            raise Skip(f"{suite.dir} has less than {total * 12 >> 30} GB free")
        with Cluster(os.path.join(suite.dir, "cluster"), flags=["--memory", "256MB"]) as cluster:
            leader = cluster.start()
            first_key, first_size = next(iter(plan(total)))
            with suite.case(f"{total / (1 << 30):g} GB of values are written with --memory 256MB"):
                started = time.monotonic()
                with leader.client() as c:
                    count = write_all(c, total)
                suite.say(f"{count} keys, {total / (time.monotonic() - started) / 1e6:.0f} MB/s")
                check_resident(suite, cluster, "after writing")
            with suite.case("they are read back exactly, from every node"):
                for n in cluster.nodes:
                    started = time.monotonic()
                    with n.client() as c:
                        done = read_all(c, total)
                    suite.say(f"node {n.id}: {done / (time.monotonic() - started) / 1e6:.0f} MB/s")
                check_resident(suite, cluster, "after reading")
            with suite.case("a restart of one node, and of all, takes under 5 s"):
                one = restart_time(cluster, [cluster.followers()[0]], first_key, first_size)
                every = restart_time(cluster, cluster.nodes, first_key, first_size)
                suite.say(f"one node {one:.2f} s, all three {every:.2f} s")
                expect(max(one, every) < RESTART_MAX, f"a restart took {max(one, every):.2f} s")
            with suite.case("after the restart everything is there"):
                with cluster.leader().client() as c:
                    read_all(c, total)
                check_resident(suite, cluster, "after the restart")

    run("memory", 300 if args.short else 1200, body)


if __name__ == "__main__":
    main()
