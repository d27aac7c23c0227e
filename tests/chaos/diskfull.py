#!/usr/bin/python3
"""A full file system: writes answer -DISKFULL, reads go on, and writes return by themselves when space does.
Each node has a small tmpfs of its own, in a mount namespace of this script."""
import argparse
import contextlib
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lib.cluster import Cluster
from lib.namespaces import in_namespaces, mount_tmpfs
from lib.report import Failed, Skip, expect, run, wait_until
from lib.resp import RespError

SIZE_MB = 96
FLAGS = ["--memory", "64MB", "--value-max", "256KB", "--wal-segment", "4MB", "--checkpoint-dirty", "1MB"]
VALUE = "v" * 8000
TRIES = 20000  # of 8 KB: more than fits into SIZE_MB


def ballast(node):
    return os.path.join(node.dir, "ballast")


def fill(node):
    """Take all space but the last crumbs."""
    with open(ballast(node), "wb", buffering=0) as f:
        for size in (1 << 20, 1 << 16, 1 << 12):
            try:
                while f.write(b"\0" * size) == size:
                    pass
            except OSError:
                continue


def make_room(cluster):
    """Whatever a case left behind."""
    for n in cluster.nodes:
        if os.path.exists(ballast(n)):
            os.unlink(ballast(n))
    wait_until(lambda: all(not n.alive() or n.metric("disk_full") == 0 for n in cluster.nodes), 10, "room again")
    cluster.make_whole()


def write_until_full(cluster, node):
    """Writes until nothing is taken for a second, as a leader whose disk is full may find another with space; (numbers
    acknowledged, names of the errors, the last error)."""
    done, names, since = [], {}, None
    with node.client(timeout=8) as c:
        for i in range(TRIES):
            reply = c.call("SET", f"k{i}", VALUE)
            if not isinstance(reply, RespError):
                done.append(i)
                since = None
                continue
            names[reply.name] = names.get(reply.name, 0) + 1
            since = since or time.monotonic()
            if time.monotonic() - since > 1:
                return done, names, reply
            time.sleep(0.01)
    raise Failed(f"{len(done)} writes of {TRIES} into full disks were acknowledged, errors {names}")


def full_nodes(cluster):
    return [n for n in cluster.nodes if n.alive() and n.metric("disk_full")]


def all_full(suite, cluster):
    with cluster.nodes[0].client() as c:
        c.must("SET", "before", "there")
        c.must("SET", "passing", "soon gone", "PX", 1000)
    for n in cluster.nodes:
        fill(n)
    done, names, error = write_until_full(cluster, cluster.leader())
    count = len(done)
    expect(error.name == "DISKFULL", f"a write to full disks answered {error!r} after {count} writes")
    expect(not set(names) - {"DISKFULL", "UNKNOWN", "NOQUORUM"}, f"errors {names}")
    expect(len(full_nodes(cluster)) >= 2, "writes are refused while a quorum has space")
    for n in cluster.nodes:
        with n.client() as c:
            expect(c.must("GET", "before") == b"there", f"node {n.id}: reads stopped")
            if done:
                expect(c.must("GET", f"k{done[-1]}") == VALUE.encode(), "an acknowledged write is lost")
            for _ in range(3):
                reply = c.call("SET", "more", VALUE)
                expect(isinstance(reply, RespError) and reply.name == "DISKFULL",
                       f"node {n.id}: a write answered {reply!r}")
            expect(c.must("GET", "more") is None, "a write answered DISKFULL and was done")
            expect(c.must("GET", "passing") is None, "a key whose time is over is served")
    suite.say(f"full after {count} writes, {len(full_nodes(cluster))} nodes: {names}")
    expect(all(n.alive() for n in cluster.nodes), "a node died of a full disk")
    for n in cluster.nodes:
        os.unlink(ballast(n))
    # what was refused must not come back, what was acknowledged must stay
    seconds = cluster.first_write(cluster.nodes, "returned", 15)
    suite.say(f"writes returned {seconds:.2f} s after the space")
    with cluster.nodes[1].client() as c:
        for i in done:
            expect(c.must("GET", f"k{i}") == VALUE.encode(), f"k{i} is lost")


def leader_dies(suite, cluster):
    with cluster.nodes[0].client() as c:
        c.must("SET", "before", "there")
    for n in cluster.nodes:
        fill(n)
    leader = cluster.leader()
    done, names, error = write_until_full(cluster, leader)
    expect(error.name == "DISKFULL", f"a write to full disks answered {error!r}, all {names}")
    leader = cluster.leader()
    suite.say(f"{len(full_nodes(cluster))} nodes are full, node {leader.id} leads")
    leader.kill9()
    started = time.monotonic()
    for n in cluster.nodes:
        if n is leader:
            continue

        def reads(n=n):
            with n.client(timeout=3) as c:
                return c.call("GET", "before") == b"there"
        wait_until(reads, 8, f"node {n.id} answers reads")
        suite.say(f"node {n.id} answers reads {time.monotonic() - started:.2f} s after the leader's death")
        with n.client() as c:
            for i in done:
                expect(c.must("GET", f"k{i}") == VALUE.encode(), f"k{i} is lost")


def one_full(suite, cluster, node, what):
    """The cluster of three goes on without the disk of one, or says DISKFULL while it leads; never loses."""
    fill(node)
    acknowledged, names = [], {}
    with cluster.nodes[0].client(timeout=8) as c:
        for i in range(2000):
            reply = c.call("SET", f"{what}{i}", VALUE)
            if isinstance(reply, RespError):
                names[reply.name] = names.get(reply.name, 0) + 1
            else:
                acknowledged.append(i)
    expect(not set(names) - {"DISKFULL", "UNKNOWN", "NOQUORUM"}, f"errors {names}")
    expect(node.alive(), "the node died of a full disk")
    suite.say(f"{what} full: {len(acknowledged)} of 2000 writes acknowledged, errors {names or 'none'}; "
              f"node {cluster.leader().id} leads (it was node {node.id} with the full disk)")
    os.unlink(ballast(node))
    cluster.first_write(cluster.nodes, "returned", 15)
    cluster.wait_caught_up(node)
    with node.client() as c:
        for i in acknowledged:
            expect(c.must("GET", f"{what}{i}") == VALUE.encode(), f"{what}{i} is lost")
        c.must("FLUSHALL")
    return len(acknowledged)


def started_full(suite, cluster):
    """A node that is started on a full disk either serves or says why it does not; with space it starts."""
    node = cluster.followers()[0]
    node.kill9()
    fill(node)
    node.start()
    wait_until(lambda: not node.alive() or node.is_ready(), 20, "the node serves or ends")
    if not node.alive():
        said = node.log_since_start()
        expect(node.process.returncode != 0, "it ended with 0")
        expect("space" in said.lower() or "full" in said.lower(), f"it does not say why: {said[-400:]}")
    suite.say("started on a full disk: " + ("it serves" if node.alive() else "it ends and says why"))
    os.unlink(ballast(node))
    if not node.alive():
        node.start()
    cluster.wait_ready()
    cluster.wait_caught_up(node)


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--short", action="store_true")
    args = words.parse_args()
    why_not = in_namespaces("mount")

    def body(suite):
        if why_not:
            raise Skip(why_not)
        with Cluster(os.path.join(suite.dir, "cluster"), flags=FLAGS) as cluster:
            for n in cluster.nodes:
                os.makedirs(n.dir)
                mount_tmpfs(n.dir, f"{SIZE_MB}m")
            try:
                cluster.start()

                @contextlib.contextmanager
                def case(claim):
                    with suite.case(claim):
                        try:
                            yield
                        finally:
                            make_room(cluster)

                with case("all disks full: DISKFULL, reads go on, writes return with the space"):
                    for _ in range(1 if args.short else 5):
                        all_full(suite, cluster)
                        cluster.make_whole()
                with case("all disks full and the leader dies: another one serves reads"):
                    leader_dies(suite, cluster)
                with case("a follower's disk full: the cluster writes on"):
                    done = one_full(suite, cluster, cluster.followers()[0], "follower")
                    expect(done == 2000, f"only {done} of 2000 writes were acknowledged")
                with case("the leader's disk full: a named error or another leader, nothing lost"):
                    one_full(suite, cluster, cluster.leader(), "leader")
                with case("a start on a full disk"):
                    started_full(suite, cluster)
            finally:
                cluster.kill_all()

    run("diskfull", 240, body)


if __name__ == "__main__":
    main()
