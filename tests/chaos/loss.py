#!/usr/bin/python3
"""A keyspace with durability=memory: nodes killed one at a time lose nothing. All killed at once, the group stays down by
name until `quorate group recover ID --accept-loss`; then it has everything that its leader's loss window said was on disk."""
import argparse
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lib.cluster import Cluster, run_limited
from lib.resp import Closed, RespError
from lib.report import expect, run, wait_until

KEYSPACE = "fast"
RETURN_MAX = 20.0


class Writer(threading.Thread):
    """Its own keys, one after the other, at whichever node answers; when each acknowledged one was sent."""

    def __init__(self, cluster, number):
        super().__init__(daemon=True)
        self.cluster, self.number = cluster, number
        self.acknowledged = {}  # key: sent at
        self.ending = False

    def run(self):
        count = at = 0
        client = None
        while not self.ending:
            key = f"w{self.number}.{count}"
            count += 1
            sent = time.monotonic()
            try:
                if client is None:
                    client = self.cluster.nodes[(self.number + at) % len(self.cluster.nodes)].client(timeout=2)
                if client.call("SET", key, key) == "OK":
                    self.acknowledged[key] = sent
                    continue
            except (Closed, OSError, ValueError):  # a node that is down, or is going down
                pass
            if client:
                client.close()
            client = None
            at += 1
            time.sleep(0.02)
        if client:
            client.close()


def group_of(cluster):
    groups = cluster.ask(f"/v1/groups?keyspace={KEYSPACE}")
    return groups["groups"][0]["id"] if groups and groups["groups"] else None


def own_view(node, group):
    local = node.ask("/v1/local")
    rows = [g for g in local["groups"] if g["id"] == group] if local else []
    return rows[0] if rows else None


def leader_view(cluster, group):
    views = (own_view(n, group) for n in cluster.nodes)
    return next((v for v in views if v and v["leads"]), None)


def is_whole(cluster, group):
    views = [own_view(n, group) for n in cluster.nodes]
    return all(v and not v["impaired"] and v["leader"] for v in views) and any(v["leads"] for v in views)


def missing(cluster, keys):
    keys = list(keys)
    node = next(n for n in cluster.nodes if n.serving())
    lost = []
    with node.client(timeout=20) as c:
        for i in range(0, len(keys), 500):
            some = keys[i:i + 500]
            replies = c.pipeline([("GET", k) for k in some])
            for key, reply in zip(some, replies):
                expect(not isinstance(reply, RespError), f"GET {key} answered {reply!r}")
                if reply != key.encode():
                    lost.append(key)
    return lost


def one_at_a_time(suite, cluster, group, writers, rounds):
    for i in range(rounds):
        victim = cluster.nodes[i % len(cluster.nodes)]
        time.sleep(0.3)
        victim.kill9()
        victim.start()
        wait_until(lambda: is_whole(cluster, group), RETURN_MAX, f"all replicas are whole again after the kill of node {victim.id}")
        told = "recovering: stopped uncleanly" in victim.log_since_start()
        expect(told, f"node {victim.id} does not say that it was recovering")
    acknowledged = {k for w in writers for k in list(w.acknowledged)}
    lost = missing(cluster, acknowledged)
    expect(not lost, f"{len(lost)} of {len(acknowledged)} acknowledged writes are lost: {lost[:5]}")
    suite.say(f"{rounds} kills, {len(acknowledged)} acknowledged writes, all there")


def cli(cluster, *words):
    node = next(n for n in cluster.nodes if n.serving())
    return run_limited([cluster.binary, *words, "--node", f"{node.host}:{node.admin_port}"], 30)


def all_at_once(suite, cluster, group, writers):
    wait_until(lambda: leader_view(cluster, group), RETURN_MAX, "the group has a leader")
    time.sleep(1.0)
    asked = time.monotonic()
    view = wait_until(lambda: leader_view(cluster, group), 5, "the leader tells its loss window")
    expect(view["durability"] == "memory", f"the leader says durability={view['durability']}")
    on_disk_before = asked - view.get("loss-window-ms", 0) / 1000 - 0.002
    cluster.kill_all()
    ended = time.monotonic()
    for w in writers:
        w.ending = True
    for w in writers:
        w.join(10)
    acknowledged = {k: at for w in writers for k, at in w.acknowledged.items()}
    for n in cluster.nodes:
        n.start()
    wait_until(lambda: all((own_view(n, group) or {}).get("recovering") for n in cluster.nodes), RETURN_MAX,
               "all replicas say that they are recovering")
    time.sleep(1.5)  # several election timeouts: nobody may come to lead by itself
    expect(leader_view(cluster, group) is None, "somebody leads the group without an operator's word")
    with cluster.nodes[0].client() as c:
        reply = c.call("GET", "w0.0")
        expect(isinstance(reply, RespError) and reply.name == "NOQUORUM", f"a read of the group answered {reply!r}")
    status = cli(cluster, "status").stdout
    expect(f"group recover {group} --accept-loss" in status, f"quorate status does not tell the remedy: {status}")
    refused = cli(cluster, "group", "recover", str(group))
    expect(refused.returncode == 1 and "LOSS" in refused.stderr, f"without --accept-loss: {refused.stdout}{refused.stderr}")
    others = cluster.nodes[1:]
    for n in others:
        n.kill9()
    alone = wait_until(lambda: cli_refuses(cluster, group), 15, "a lone node refuses")
    expect("NOQUORUM" in alone, f"with one of three nodes: {alone}")
    for n in others:
        n.start()
    wait_until(lambda: all((own_view(n, group) or {}).get("recovering") for n in cluster.nodes), RETURN_MAX, "all are up again")
    answers = []
    def recovered():
        done = cli(cluster, "group", "recover", str(group), "--accept-loss")
        answers.append(done.stdout + done.stderr)
        return done.returncode == 0
    wait_until(recovered, 30, lambda: f"the group is recovered: {answers[-1:]}", every=0.3)
    wait_until(lambda: is_whole(cluster, group), RETURN_MAX, "all replicas are whole after the recovery")
    lost = missing(cluster, acknowledged)
    old = [k for k in lost if acknowledged[k] < on_disk_before]
    expect(not old, f"{len(old)} writes are lost that the status said were on disk: {old[:5]}")
    named = sum("MEMORY_LOSS" in n.log_since_start() for n in cluster.nodes)
    expect(named == 1, f"MEMORY_LOSS is in the logs of {named} nodes")
    counted = sum(n.metric("memory_loss_recoveries_total") for n in cluster.nodes)
    expect(counted == 1, f"memory_loss_recoveries_total is {counted}")
    with cluster.nodes[1].client() as c:
        expect(c.must("SET", "after", "1") == "OK", "no write after the recovery")
    suite.say(f"{len(lost)} of {len(acknowledged)} acknowledged writes lost, none sent more than "
              f"{ended - on_disk_before:.3f} s before the end; {answers[-1].strip().splitlines()[-1]}")


def cli_refuses(cluster, group):
    done = cli(cluster, "group", "recover", str(group), "--accept-loss")
    return done.stderr if done.returncode else None


def clean_stop(suite, cluster, group):
    cluster.stop_all()
    cluster.start(30)
    wait_until(lambda: is_whole(cluster, group), RETURN_MAX, "the group leads again after a clean stop, without an operator")
    for n in cluster.nodes:
        expect("recovering: stopped uncleanly" not in n.log_since_start(), f"node {n.id} was stopped cleanly and does not believe it")
    suite.say("all nodes stopped cleanly and started again: nothing in doubt")


def body(suite, options):
    with Cluster(os.path.join(suite.dir, "c")) as cluster:
        cluster.start()
        cluster.quorate("ks", "create", KEYSPACE, "partitions=hash:1", "durability=memory")
        group = wait_until(lambda: group_of(cluster), 10, "the keyspace has a group")
        cluster.keyspace = KEYSPACE
        wait_until(lambda: is_whole(cluster, group), RETURN_MAX, "the group has a leader")
        wait_until(lambda: (leader_view(cluster, group) or {}).get("durability") == "memory", 10, "entries count in memory")
        with suite.case("a clean stop of all nodes leaves nothing in doubt"):
            clean_stop(suite, cluster, group)
        writers = [Writer(cluster, i) for i in range(3)]
        for w in writers:
            w.start()
        with suite.case("nodes killed one at a time lose nothing"):
            one_at_a_time(suite, cluster, group, writers, 3 if options.short else 20)
        with suite.case("all nodes killed at once: down by name, recovered by an operator, and what was on disk is there"):
            all_at_once(suite, cluster, group, writers)
        for w in writers:
            w.ending = True


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--short", action="store_true")
    chosen = words.parse_args()
    run("loss", 120 if chosen.short else 400, lambda suite: body(suite, chosen))
