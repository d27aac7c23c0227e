#!/usr/bin/python3
"""Failing writes, syncs and allocations, and death at every k-th write, in a build with QUORATE_FAULTS: the node
stops with an error, nothing acknowledged is lost, and started again it goes on."""
import argparse
import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lib.cluster import ROOT, Cluster, binary_path, run_limited
from lib.history import History
from lib.load import Load, judge
from lib.report import Failed, Skip, expect, run, wait_until
from lib.resp import Closed, RespError

SMALL = ["--value-max", "256KB", "--wal-segment", "2MB", "--log-keep", "1MB", "--checkpoint-dirty", "64KB",
         "--checkpoint-every", "100ms", "--memory", "64MB"]


def faults_binary(suite, may_build):
    path = binary_path("QUORATE_FAULTS_BIN", "build-faults")
    if os.access(path, os.X_OK) and not (may_build and "QUORATE_FAULTS_BIN" not in os.environ):
        return path
    if not may_build:
        raise Skip(f"there is no {path}; `make chaos` builds it")
    folder = os.path.join(ROOT, "build-faults")
    started = time.monotonic()
    for words in (["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DQUORATE_FAULTS=ON"],
                  ["ninja", "-C", folder, "quorate"]):
        done = run_limited(words, 900)
        if done.returncode:
            raise Failed(f"{' '.join(words)}: {(done.stdout + done.stderr)[-1500:]}")
    suite.say(f"built {path} in {time.monotonic() - started:.0f} s")
    return path


# --- one node, one client, one fault: small and many ---

def script(turn):
    """The workload of one turn, far longer than any k needs: values tell their place."""
    for i in range(800):  # in pipelines of up to four: 200 durable writes at least
        yield f"k{i % 25}", f"{turn}.{i}." + "x" * (1 + 37 * i % 3000)


def run_script(node, turn, acknowledged, maybe, pipeline):
    """Write until the node dies or the script is over. What is acknowledged, and what may be done."""
    waiting = []
    try:
        with node.client(timeout=8) as c:
            items = list(script(turn))
            for at in range(0, len(items), pipeline):
                waiting = items[at : at + pipeline]
                for key, value in waiting:
                    maybe.setdefault(key, []).append(value)
                c.send_bytes(b"".join(b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" %
                                      (len(k), k.encode(), len(v), v.encode()) for k, v in waiting))
                for key, value in waiting:
                    reply = c.receive()
                    if reply == "OK":
                        acknowledged[key] = value
                        maybe[key] = maybe[key][maybe[key].index(value) + 1 :]
    except (Closed, TimeoutError):
        return False
    return True


def verify_all(node, acknowledged, maybe):
    with node.client(timeout=8) as c:
        for key in {**acknowledged, **maybe}:
            got = c.must("GET", key)
            fine = [acknowledged[key]] if key in acknowledged else [None]
            fine += maybe.get(key, [])
            text = got.decode() if got is not None else None
            expect(text in fine, f"{key} is {text!r:.30}; acknowledged {acknowledged.get(key)!r:.30}, possible "
                   f"{[m[:12] for m in maybe.get(key, [])]}")
            if text is not None:
                acknowledged[key] = text
                maybe[key] = []


def wait_up(node, seconds=10):
    """Serves, or has ended. True if it serves."""
    wait_until(lambda: not node.alive() or node.is_ready(), seconds, "the node serves or ends", every=0.005)
    return node.alive()


def one_node(suite, faulty, name, variable, ks, extra=None, must_fail=True):
    """For each k: start with the fault, write until the node is gone, start again, and compare."""
    struck = 0
    with Cluster(os.path.join(suite.dir, name), nodes=1, flags=SMALL, binary_file=faulty) as cluster:
        node = cluster.nodes[0]
        acknowledged, maybe = {}, {}
        for turn, k in enumerate(ks):
            node.start(**{variable: str(k)}, **(extra or {}))
            if wait_up(node):
                run_script(node, turn, acknowledged, maybe, 1 + turn % 4)
            if node.alive() and not dies_soon(node):
                node.kill9()
            else:
                struck += 1
                expect(node.process.returncode != 0, f"{variable}={k}: the node ended with 0")
                if variable.startswith("QUORATE_FAIL"):
                    expect(said_why(node), f"{variable}={k}: it ended without a word: "
                           f"{node.log_since_start()[-300:]!r}")
            if variable.startswith("QUORATE_KILL") and turn % 2:  # and again while it recovers
                node.start(**{variable: str(1 + turn % 7)}, **(extra or {}))
                wait_up(node)
                node.kill9()
            node.start()
            expect(wait_up(node), f"{variable}={k}: it does not start again: {node.log_since_start()[-500:]}")
            try:
                verify_all(node, acknowledged, maybe)
            except Failed as error:
                raise Failed(f"{variable}={k} {extra or ''}: {error}") from error
            node.kill9()
    suite.say(f"{variable} {extra or ''}: {len(ks)} values of k, {struck} struck")
    if must_fail:
        expect(struck == len(ks), f"only {struck} of {len(ks)} faults struck: they are not where they should be")


def dies_soon(node):
    """The script is over; a fault that struck in its last moments shows at once."""
    try:
        with node.client(timeout=1) as c:
            return isinstance(c.call("GET", "k0"), RespError) and not node.alive()
    except (Closed, TimeoutError):
        pass
    try:
        node.wait_dead(2)
    except Failed:
        pass
    return not node.alive()


def said_why(node):
    words = node.log_since_start().lower()
    return any(w in words for w in ("memory", "i/o", "input/output", "disk", "eio", "failed", "panic"))


# --- three nodes, fifty clients ---

def in_a_cluster(suite, faulty, rounds, seed):
    chance = random.Random(seed)
    with Cluster(os.path.join(suite.dir, "three"), binary_file=faulty) as cluster:
        cluster.start()
        history = History(os.path.join(suite.dir, "three.jsonl"))
        load = Load(history, cluster.nodes, seed=seed).start()
        faults = ["QUORATE_FAIL_SYNC_AT", "QUORATE_FAIL_WRITE_AT", "QUORATE_KILL_AT_WRITE", "QUORATE_FAIL_ALLOC"]
        try:
            for turn in range(rounds):
                variable = faults[turn % len(faults)]
                node = cluster.leader() if turn % 2 == 0 else cluster.followers()[0]
                node.kill9()
                k = chance.randrange(20, 20000 if variable.endswith("ALLOC") else 600)
                node.start(**{variable: str(k)}, QUORATE_KILL_HOW=chance.choice(("before", "torn", "after")))
                code = node.wait_dead(60)
                expect(code != 0, f"{variable}={k}: node {node.id} ended with 0")
                others = [n for n in cluster.nodes if n is not node]
                away = cluster.first_write(others, "probe", 15)
                suite.say(f"node {node.id} ended with {code} of {variable}={k}; others write after {away * 1000:.0f} ms")
                node.start()
                cluster.wait_caught_up(node)
        finally:
            load.stop()
        judge(suite, history, cluster, load)


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--seed", type=int, default=int(time.time()))
    words.add_argument("--short", action="store_true", help="few k, and only with a faults build at hand")
    args = words.parse_args()

    def body(suite):
        suite.say(f"seed {args.seed}")
        faulty = faults_binary(suite, not args.short)
        writes = list(range(1, 9)) if args.short else list(range(1, 121))
        allocations = [1, 10, 100, 1000] if args.short else (
            list(range(1, 60)) + [int(60 * 1.09 ** i) for i in range(60)])
        with suite.case("an injected EIO of a sync stops the node, nothing acknowledged is lost"):
            one_node(suite, faulty, "sync", "QUORATE_FAIL_SYNC_AT", writes)
        with suite.case("an injected EIO of a write stops the node, nothing acknowledged is lost"):
            one_node(suite, faulty, "write", "QUORATE_FAIL_WRITE_AT", writes)
        for how in ("before", "torn", "after"):
            with suite.case(f"death at the k-th write, {how}: it recovers with every acknowledged write"):
                one_node(suite, faulty, how, "QUORATE_KILL_AT_WRITE", writes, {"QUORATE_KILL_HOW": how})
        with suite.case("a failing k-th allocation: a clear error or a clean stop, never a lost write"):
            one_node(suite, faulty, "alloc", "QUORATE_FAIL_ALLOC", allocations, must_fail=False)
        with suite.case("faults in one node of three under 50 writing clients"):
            in_a_cluster(suite, faulty, 3 if args.short else 12, args.seed)

    run("faults", 180 if args.short else 1800, body)


if __name__ == "__main__":
    main()
