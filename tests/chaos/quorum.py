#!/usr/bin/python3
"""Two of three nodes down: what is in no log answers -NOQUORUM within 2 s and is never done; what is in a
log answers -UNKNOWN, never -NOQUORUM; when a node returns, service returns without anyone's help."""
import argparse
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lib.cluster import Cluster
from lib.resp import RespError
from lib.report import expect, run, wait_until

ANSWER_MAX = 2.0
PIPELINE = 50  # at once from one connection
LONG_PIPELINE = 1000  # likewise; it is not under way all at once, and must not be answered in rounds
RETURN_MAX = 5.0  # of service, after a node's start


def ask(client, *words):
    """(reply, seconds)"""
    started = time.monotonic()
    return client.call(*words), time.monotonic() - started


def must_be_noquorum(client, commands):
    worst = 0.0
    for words in commands:
        reply, seconds = ask(client, *words)
        worst = max(worst, seconds)
        expect(isinstance(reply, RespError) and reply.name == "NOQUORUM",
               f"{words[0]} {words[1]} answered {reply!r}, not NOQUORUM")
        expect(seconds <= ANSWER_MAX, f"{words[0]} took {seconds:.2f} s to answer")
    return worst


def pipeline_must_be_noquorum(node, words, count):
    """On a fresh connection, of which the node does not know yet how long its replies are."""
    with node.client() as c:
        started = time.monotonic()
        replies = c.pipeline([words] * count)
        seconds = time.monotonic() - started
    what = f"{count} pipelined {words[0]}"
    expect(all(isinstance(r, RespError) and r.name == "NOQUORUM" for r in replies),
           f"{what} answered { {str(r) for r in replies} }")
    expect(seconds <= ANSWER_MAX, f"{what} took {seconds:.2f} s to answer")
    return seconds


def until_noquorum(client):
    """Right after the others are gone the leader may still believe in its quorum: writes enter its log
    and answer UNKNOWN. Returns the names of all answers; the last one is NOQUORUM."""
    names = []
    end = time.monotonic() + 6
    while not names or names[-1] != "NOQUORUM":
        reply, seconds = ask(client, "SET", f"early{len(names)}", "x")
        expect(isinstance(reply, RespError), f"a write without a quorum was acknowledged: {reply!r}")
        expect(reply.name in ("UNKNOWN", "NOQUORUM"), f"a write without a quorum answered {reply!r}")
        expect(seconds <= ANSWER_MAX, f"a write took {seconds:.2f} s to answer")
        expect(time.monotonic() < end, "writes still answer UNKNOWN after 6 s")
        names.append(reply.name)
    return names


def two_down(suite, cluster, survivor):
    with survivor.client() as c:
        c.must("SET", "known", "before")
    for n in cluster.nodes:
        if n is not survivor:
            n.kill9()
    with survivor.client() as c:
        early = until_noquorum(c)
        worst = must_be_noquorum(c, [("SET", f"refused{i}", "x") for i in range(6)])
        worst = max(worst, must_be_noquorum(c, [("GET", "known"), ("INCR", "refused-n"), ("GET", "nothing"),
                                                ("MSET", "refused6", "x", "refused7", "y")]))
        expect(c.must("PING") == "PONG", "PING needs no quorum")
    for words in (("SET", "refused8", "x"), ("GET", "known"), ("SET", "refused8", "x" * 100, "GET")):
        for count in (PIPELINE, LONG_PIPELINE):
            worst = max(worst, pipeline_must_be_noquorum(survivor, words, count))
    suite.say(f"{early.count('UNKNOWN')} early UNKNOWN, then NOQUORUM, slowest {worst:.2f} s")
    back = [n for n in cluster.nodes if n is not survivor][0]
    back.start()
    seconds = cluster.first_write([survivor, back], "returned", RETURN_MAX)
    suite.say(f"service is back {seconds:.2f} s after the start of node {back.id}")
    with survivor.client() as c:
        expect(c.must("GET", "known") == b"before", "the acknowledged write is lost")
        for i in range(9):
            expect(c.must("GET", f"refused{i}") is None, f"refused{i} answered NOQUORUM and was done")
        expect(c.must("GET", "refused-n") is None, "an INCR answered NOQUORUM and was done")
    for n in cluster.nodes:
        if not n.alive():
            n.start()
    cluster.wait_ready()


def in_the_log(suite, cluster, round_number):
    """Both followers are stopped, and at once a burst goes to the leader, which still leads: it is in its log."""
    leader = cluster.leader()
    followers = cluster.followers()
    prefix = f"burst{round_number}."
    with leader.client() as c, leader.client() as late:
        c.must("SET", "known", str(round_number))
        late.must("PING")
        for n in followers:
            n.pause()
        c.send_bytes(b"".join(b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$1\r\nx\r\n" % (len(k), k)
                              for k in (f"{prefix}{i:03}".encode() for i in range(PIPELINE))))
        started = time.monotonic()
        replies = [c.receive() for _ in range(PIPELINE)]
        seconds = time.monotonic() - started
        names = {getattr(r, "name", r) for r in replies}
        expect(names <= {"UNKNOWN", "OK"}, f"writes in the leader's log answered {names}")
        expect("UNKNOWN" in names, f"{PIPELINE} writes without followers answered {names}")
        expect(seconds <= ANSWER_MAX, f"they took {seconds:.2f} s to answer")
        wait_until(lambda: getattr(late.call("SET", "later", "x"), "name", "") == "NOQUORUM", 6,
                   "the leader without followers steps down")
        must_be_noquorum(late, [("GET", "known"), ("SET", f"refused{prefix}", "x")])
    for n in followers:
        n.resume()
    cluster.first_write(cluster.nodes, "returned", RETURN_MAX)
    with cluster.leader().client() as c:
        done = [c.must("GET", f"{prefix}{i:03}") for i in range(PIPELINE)]
        acknowledged = [i for i, r in enumerate(replies) if r == "OK"]
        expect(all(done[i] == b"x" for i in acknowledged), "an acknowledged write of the burst is lost")
        expect(c.must("GET", f"refused{prefix}") is None, "a write answered NOQUORUM and was done")
        suite.say(f"{sum(1 for r in replies if r != 'OK')} UNKNOWN in {seconds:.2f} s, of which "
                  f"{sum(1 for d in done if d)} were done in the end")


def sent_to_a_silent_leader(suite, cluster):
    """The leader stops with forwarded writes on their way: their gateway cannot know."""
    leader = cluster.leader()
    gateway, other = cluster.followers()
    with gateway.client() as c:
        c.must("SET", "known", "x")
        other.pause()
        leader.pause()
        started = time.monotonic()
        replies = c.pipeline([("SET", f"silent{i}", "x") for i in range(PIPELINE)])
        seconds = time.monotonic() - started
        names = {getattr(r, "name", r) for r in replies}
        expect(names == {"UNKNOWN"}, f"writes sent to a leader that fell silent answered {names}")
        expect(seconds <= ANSWER_MAX, f"they took {seconds:.2f} s to answer")
        wait_until(lambda: getattr(c.call("SET", "later", "x"), "name", "") == "NOQUORUM", 6,
                   "the follower notices that there is no leader")
        must_be_noquorum(c, [("GET", "known"), ("SET", "refused-silent", "x")])
    other.resume()
    seconds = cluster.first_write([gateway, other], "returned", RETURN_MAX)
    leader.resume()
    cluster.wait_ready()
    with gateway.client() as c:
        expect(c.must("GET", "refused-silent") is None, "a write answered NOQUORUM and was done")
    suite.say(f"{PIPELINE} UNKNOWN; service was back {seconds:.2f} s after one node went on")


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--short", action="store_true")
    args = words.parse_args()

    def body(suite):
        with Cluster(os.path.join(suite.dir, "cluster")) as cluster:
            cluster.start()
            with suite.case("the leader alone answers NOQUORUM, and service returns with a node"):
                two_down(suite, cluster, cluster.leader())
            cluster.make_whole()
            with suite.case("a follower alone answers NOQUORUM, and service returns with a node"):
                two_down(suite, cluster, cluster.followers()[0])
            cluster.make_whole()
            with suite.case("what is in the leader's log answers UNKNOWN, never NOQUORUM"):
                for i in range(1 if args.short else 10):
                    in_the_log(suite, cluster, i)
            cluster.make_whole()
            with suite.case("what was sent to a leader that fell silent answers UNKNOWN"):
                sent_to_a_silent_leader(suite, cluster)

    run("quorum", 90 if args.short else 240, body)


if __name__ == "__main__":
    main()
