#!/usr/bin/python3
"""A byte flipped in the middle of one node's log is reported, never "recovered" by dropping acknowledged
entries, and repaired from the others; the torn tail that every crash may leave is neither."""
import argparse
import os
import random
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lib import walfile
from lib.cluster import Cluster, run_limited
from lib.history import History
from lib.load import Load, judge, read_back
from lib.report import expect, run, wait_until
from lib.resp import Closed, RespError

IN_THE_LOG_ONLY = ["--checkpoint-dirty", "1GB", "--checkpoint-every", "1h"]  # the log is the only copy
REPORTED = re.compile(r"damage|corrupt", re.IGNORECASE)


def verify(cluster, node):
    done = run_limited([cluster.binary, "wal", "verify", node.dir], 60)
    return done.returncode, done.stdout + done.stderr


def damaged_ranges(cluster, node):
    return set(line for line in verify(cluster, node)[1].splitlines() if line.startswith("DAMAGED"))


def damage(suite, cluster, node, chance):
    """Flip one byte of a unit in the middle of the log of a stopped node, and see that it is seen."""
    before = damaged_ranges(cluster, node)  # of rounds before: repaired, but still in the file
    candidates = walfile.proven(node.dir)
    middle = candidates[len(candidates) // 4 : -len(candidates) // 4 or None]
    unit = chance.choice(middle)
    offset = unit.offset + chance.randrange(64, unit.length)
    walfile.flip(unit.path, offset)
    code, said = verify(cluster, node)
    expect(code == 1, f"`wal verify` ended with {code} on a damaged log: {said}")
    expect(damaged_ranges(cluster, node) - before, f"`wal verify` does not name the damage: {said}")
    suite.say(f"node {node.id}: byte {offset} of {os.path.basename(unit.path)} flipped")


def reported_and_repaired(suite, cluster, history, load, node, chance):
    node.kill9()
    damage(suite, cluster, node, chance)
    node.start()
    wait_until(lambda: REPORTED.search(node.log_since_start()), 10, "the node's log names the damage")
    seconds = cluster.wait_caught_up(node, 40)
    suite.say(f"node {node.id}: reported, repaired in {seconds:.2f} s")
    for gone in [n for n in cluster.nodes if n is not node]:  # now it is half of every quorum
        gone.kill9()
        cluster.wait_ready()
        wrong = read_back(history, [n for n in cluster.nodes if n is not gone], load)
        expect(not wrong, f"without node {gone.id}: {len(wrong)} wrong, first: {wrong[:1]}")
        gone.start()
        cluster.wait_ready()
        cluster.wait_caught_up(gone)
    node.kill9()
    code, said = verify(cluster, node)
    expect(code == 0 and "REPAIRED" in said, f"`wal verify` of a refilled node ended with {code}: {said}")
    node.start()
    cluster.wait_ready()
    cluster.wait_caught_up(node)


def damaged_half_of_the_quorum(suite, directory):
    """Writes that only A and B have; A is away, B's copy is damaged, and C never had them. B and C are two of
    three, but together they must not go on without those writes."""
    with Cluster(directory, flags=IN_THE_LOG_ONLY) as cluster:
        a = cluster.start()
        b, c = cluster.followers()
        with a.client() as client:
            client.must("SET", "old", "1")
            cluster.wait_caught_up(c)
            c.pause()
            for i in range(200):
                client.must("SET", f"precious{i}", f"gem{i:04}-value")
            for i in range(50):
                client.must("SET", f"after{i}", "x")
        a.kill9()
        b.kill9()
        path, at = walfile.find_bytes(b.dir, b"gem0100-value")
        walfile.flip(path, at)
        c.resume()
        b.start()
        wait_until(lambda: REPORTED.search(b.log_since_start()), 10, "the node's log names the damage")
        end = time.monotonic() + 6
        asked = 0
        while time.monotonic() < end:  # longer than several elections
            for n in (b, c):
                try:
                    with n.client(timeout=3) as client:
                        reply = client.call("GET", "precious100")
                except (Closed, TimeoutError):
                    continue
                asked += 1
                expect(isinstance(reply, RespError) or reply == b"gem0100-value",
                       f"node {n.id} answers {reply!r} for an acknowledged write")
            time.sleep(0.05)
        a.start()
        cluster.wait_ready(30)
        for n in cluster.nodes:
            with n.client() as client:
                for i in range(200):
                    got = client.must("GET", f"precious{i}")
                    expect(got == f"gem{i:04}-value".encode(), f"node {n.id}: precious{i} is {got!r}")
        suite.say(f"{asked} reads without node {a.id} gave the value or an error; with it all is there")
        cluster.wait_caught_up(b)
        a.kill9()
        cluster.wait_ready()
        with c.client() as client:
            expect(client.must("GET", "precious100") == b"gem0100-value", "the repaired copy is not used")


def torn_tail(suite, directory):
    """What follows the last proof may be anything: that is no damage."""
    with Cluster(directory) as cluster:
        cluster.start()
        for turn in range(3):
            node = cluster.followers()[0]
            with cluster.leader().client() as client:
                for i in range(100):
                    client.must("SET", f"k{i}", f"{turn}.{i}")
            cluster.wait_caught_up(node)
            node.kill9()
            last = walfile.units(node.dir)[-1]
            walfile.flip(last.path, last.offset + 20)
            with open(last.path, "r+b") as f:  # and rubbish where the next unit would be
                f.seek(last.offset + walfile.BLOCK)
                f.write(os.urandom(3 * walfile.BLOCK))
            code, said = verify(cluster, node)
            expect(code == 0, f"`wal verify` calls a torn tail damage: {said}")
            node.start()
            cluster.wait_ready()
            cluster.wait_caught_up(node)
            expect(node.metric("replica_impaired") == 0, "a torn tail impaired the replica")
        suite.say("3 torn tails cut")


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--seed", type=int, default=int(time.time()))
    words.add_argument("--rounds", type=int, default=6)
    words.add_argument("--short", action="store_true")
    args = words.parse_args()

    def body(suite):
        chance = random.Random(args.seed)
        suite.say(f"seed {args.seed}")
        with Cluster(os.path.join(suite.dir, "cluster"), flags=IN_THE_LOG_ONLY) as cluster:
            cluster.start()
            history = History(os.path.join(suite.dir, "corrupt.jsonl"))
            load = Load(history, cluster.nodes, clients=30, seed=args.seed, value_bytes=100).start()
            wait_until(lambda: load.acknowledged > 3000, 60, "3,000 writes")
            load.stop()
            for i in range(2 if args.short else args.rounds):
                what = "follower" if i % 2 == 0 else "leader"
                with suite.case(f"a byte flipped in the middle of a {what}'s log is reported and repaired"):
                    cluster.make_whole()
                    node = cluster.followers()[0] if i % 2 == 0 else cluster.leader()
                    reported_and_repaired(suite, cluster, history, load, node, chance)
            with suite.case("the history is linearizable and complete"):
                cluster.make_whole()
                judge(suite, history, cluster, load)
        with suite.case("a damaged copy is no part of a quorum for what it has lost"):
            damaged_half_of_the_quorum(suite, os.path.join(suite.dir, "half"))
        with suite.case("a torn tail is no damage"):
            torn_tail(suite, os.path.join(suite.dir, "torn"))

    run("corrupt", 120 if args.short else 400, body)


if __name__ == "__main__":
    main()
