"""Backups of a cluster that goes on: under load, while groups split, merge and die, damaged ones."""
import http.client
import json
import os
import random
import subprocess
import time

from verbs import asked, done, led, make_keyspace, quorate, start
from chain import Load, judge, read_all
from lib.cluster import DIE_WITH_PARENT, binary
from lib.report import expect, wait_until

LONG = bool(os.environ.get("LONG"))


def ask(node, method, path):
    """What the admin door answers, with the status it began with."""
    connection = http.client.HTTPConnection("127.0.0.1", node.admin_port, timeout=20)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        try:
            return answer.status, answer.read()
        except http.client.IncompleteRead as broken:
            return 0, broken.partial
    finally:
        connection.close()


def answered(node, method, path):
    status, body = ask(node, method, path)
    expect(status == 200, f"{method} {path}: {status} {body}")
    return body


def backups_under_load_are_consistent_and_restore_elsewhere(directory):
    writers, rounds = 6, 12 if LONG else 4
    with start(os.path.join(directory, "source")) as cluster:
        one = cluster.node(1)
        number = make_keyspace(one, "orders", "partitions=hash:8")
        with one.client() as c:
            for i in range(2000):
                c.call("SET", f"d{i}", "x" * random.randrange(200), "EX", "100000")
        taken = []
        with Load(cluster, number, writers) as load:
            for i in range(rounds):
                load.goes_on()
                before = dict(load.acknowledged)
                where = os.path.join(directory, f"backup{i}")
                done("backup", where, node=cluster.nodes[i % 3])
                taken.append((where, before, dict(load.issued)))
        expect(not load.errors, f"the load met errors: {load.errors[:3]}")
    for i, (where, before, issued) in enumerate(taken):
        done("backup", "verify", where, node=None)
        with start(os.path.join(directory, f"target{i}"), nodes=1) as target:
            node = target.node(1)
            # Another number of partitions than it had, every other time.
            if i % 2:
                done("ks", "create", "orders", "partitions=hash:3", "replicas=1", node=node)
            done("restore", where, "--accept-risk", node=node)
            here = asked("ks", "show", "orders", node=node)["keyspace"]["id"]
            judge(read_all(node, here), load, before, issued, writers)
            with node.client() as c:
                expect(c.call("DBSIZE") == 2000, f"the default keyspace has {c.call('DBSIZE')} keys")
                expect(90000 < c.call("TTL", "d7") <= 100000, f"d7 expires in {c.call('TTL', 'd7')} s")
            code, _, said = quorate("restore", where, "--accept-risk", node=node)
            expect(code == 1 and "holds" in said and "already" in said, f"restored over what is there: {said}")


def groups_that_were_split_are_backed_up_whole(directory):
    where = os.path.join(directory, "split-backup")
    with start(os.path.join(directory, "split")) as cluster:
        one = cluster.node(1)
        numbers = {"orders": make_keyspace(one, "orders", "partitions=hash:2"),
                   "events": make_keyspace(one, "events", "partitions=range")}
        wrote = {}
        for name, number in numbers.items():
            with one.client(timeout=20) as c:
                c.call("SELECT", str(number))
                for i in range(400):
                    wrote[(name, f"k{i:03}")] = f"v{i}".encode()
                    expect(c.call("SET", f"k{i:03}", f"v{i}") == "OK", f"a write into {name}")
            groups = asked("group", "list", name, node=one)["groups"]
            done("group", "split", str(groups[0]["id"]), *(["at=k200"] if name == "events" else []), node=one)
            wait_until(lambda n=name, count=len(groups) + 1: len(asked("group", "list", n, node=one)["groups"]) == count and
                       led(one, n), 60, f"{name} is split", every=0.2)
            with one.client(timeout=20) as c:
                c.call("SELECT", str(number))
                for i in range(0, 400, 7):  # some rows of before the split, some of after it
                    wrote[(name, f"k{i:03}")] = b"later"
                    wait_until(lambda k=f"k{i:03}", c=c: c.call("SET", k, "later") == "OK", 10, "a write after the split")
        done("backup", where, node=one)
    done("backup", "verify", where, node=None)
    with start(os.path.join(directory, "split-target"), nodes=1) as target:
        node = target.node(1)
        done("restore", where, "--accept-risk", node=node)
        for name in numbers:
            found = read_all(node, asked("ks", "show", name, node=node)["keyspace"]["id"])
            wanted = {k: v for (n, k), v in wrote.items() if n == name}
            expect(found == wanted, f"{name}: {len(found)} of {len(wanted)} keys, "
                                    f"differing: {[k for k in wanted if found.get(k) != wanted[k]][:5]}")


def rows_are_read_after_their_group_is_gone(directory):
    """Its right half is merged away between the cut and the reading, and another replica moved."""
    with start(os.path.join(directory, "gone")) as cluster:
        one = cluster.node(1)
        number = make_keyspace(one, "events", "partitions=range")
        keys = {f"k{i:03}" for i in range(400)}
        with one.client(timeout=20) as c:
            c.call("SELECT", str(number))
            for key in sorted(keys):
                expect(c.call("SET", key, key * 10) == "OK", "a write")

        def groups():
            return asked("group", "list", "events", node=one)["groups"]
        done("settings", "merge-bytes=0", node=one)
        left = groups()[0]["id"]
        done("group", "split", str(left), "at=k200", node=one)
        wait_until(lambda: len(groups()) == 2 and led(one, "events"), 60, "it is split", every=0.2)
        right = max(g["id"] for g in groups())

        def post(path):
            return [json.loads(answered(n, "POST", path)) for n in cluster.nodes]
        held = [g for answer in post("/v1/backup/hold?id=7&for-ms=1000") for g in answer["groups"]]
        stamp = max(g["hlc"] for g in held)
        post(f"/v1/backup/cut?id=7&stamp={stamp}")
        states = {}

        def is_ready():
            for n in cluster.nodes:
                for g in json.loads(answered(n, "GET", "/v1/backup"))["groups"]:
                    states[g["group"]] = (g["state"], n)
            return states[left][0] == states[right][0] == "ready"
        wait_until(is_ready, 20, lambda: f"the cut is ready: {states}")
        done("group", "merge", str(left), node=one)
        wait_until(lambda: len(groups()) == 1 and not groups()[0].get("operation"), 60, "they are one", every=0.2)
        holder = states[right][1]
        wait_until(lambda: right not in {g["group"] for g in json.loads(answered(holder, "GET", "/v1/backup"))["groups"]}, 30,
                   "its replica is gone there", every=0.2)
        with one.client(timeout=20) as c:
            c.call("SELECT", str(number))
            for key in sorted(keys):
                c.call("DEL", key)
        for group, wanted in ((left, {k for k in keys if k < "k200"}), (right, {k for k in keys if k >= "k200"})):
            rows = answered(states[group][1], "GET", f"/v1/groups/{group}/rows?stamp={stamp}")
            found = {k for k in keys if (k * 11).encode() in rows}
            expect(found == wanted, f"group {group}: {len(found)} of {len(wanted)} keys")
        post("/v1/backup/end")
        expect(ask(holder, "GET", f"/v1/groups/{right}/rows?stamp={stamp}")[0] != 200, "rows are there after the end")


def a_damaged_backup_is_noticed(directory):
    where = os.path.join(directory, "damaged")
    with start(os.path.join(directory, "damage"), nodes=1) as cluster:
        one = cluster.node(1)
        with one.client() as c:
            for i in range(500):
                c.call("SET", f"k{i}", "v" * 100)
        done("backup", where, node=one)
        code, _, said = quorate("backup", where, node=one)
        expect(code == 1 and "never overwritten" in said, f"a second backup into it: {said}")
        path = os.path.join(where, "group-2.rows")
        with open(path, "rb") as f:
            whole = f.read()
        for at in (0, 20, 40, len(whole) // 2, len(whole) - 1):
            with open(path, "wb") as f:
                f.write(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
            code, _, said = quorate("backup", "verify", where)
            expect(code == 1 and "damaged" in said, f"byte {at} flipped: {code} {said}")
        for size in (0, 30, 100, len(whole) - 1):
            with open(path, "wb") as f:
                f.write(whole[:size])
            expect(quorate("backup", "verify", where)[0] == 1, f"cut to {size} bytes: whole?")
        with one.client() as c:
            c.call("FLUSHALL")
        code, _, said = quorate("restore", where, node=one)
        expect(code == 1 and "nothing was written" in said, f"a damaged one is restored: {said}")
        with open(path, "wb") as f:
            f.write(whole)
        manifest = os.path.join(where, "manifest.json")
        with open(manifest, "rb") as f:
            text = f.read()
        for at in range(0, len(text), 7):
            with open(manifest, "wb") as f:
                f.write(text[:at] + bytes([text[at] ^ 1]) + text[at + 1:])
            expect(quorate("backup", "verify", where)[0] == 1, f"byte {at} of the manifest flipped: whole?")
        os.unlink(manifest)
        code, _, said = quorate("backup", "verify", where)
        expect(code == 1 and "no finished backup" in said, said)
        with open(manifest, "wb") as f:
            f.write(text)
        done("restore", where, node=one)
        with one.client() as c:
            expect(c.call("DBSIZE") == 500, "not all came back")


def a_backup_while_nodes_die_is_whole_or_none(directory):
    writers, rounds, whole = 4, 12 if LONG else 4, 0
    with start(os.path.join(directory, "dying")) as cluster:
        number = make_keyspace(cluster.node(1), "orders", "partitions=hash:8")
        taken = []
        with Load(cluster, number, writers) as load:
            for i in range(rounds):
                load.goes_on()
                victim = cluster.nodes[1 + i % 2]
                where = os.path.join(directory, f"dying{i}")
                before = dict(load.acknowledged)
                child = subprocess.Popen(DIE_WITH_PARENT + [binary(), "backup", where, "--node",
                                         f"127.0.0.1:{cluster.node(1).admin_port}"], stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                if i % 2 == 0:  # else the node is gone before the first question
                    wait_until(lambda w=where, c=child: os.path.isdir(w) or c.poll() is not None, 10, "it begins", every=0.001)
                    time.sleep(random.random() * 0.1)  # somewhere within
                victim.kill9()
                _, said = child.communicate(timeout=120)
                if child.returncode == 0:
                    taken.append((where, before, dict(load.issued)))
                else:
                    expect(not os.path.exists(where), f"a backup that failed ({said}) left something")
                victim.start()
                wait_until(victim.is_ready, 30, f"node {victim.id} is back")
        expect(not load.errors, f"the load met errors: {load.errors[:3]}")
    for i, (where, before, issued) in enumerate(taken):
        with start(os.path.join(directory, f"dying-target{i}"), nodes=1) as target:
            node = target.node(1)
            done("restore", where, "--accept-risk", node=node)
            judge(read_all(node, asked("ks", "show", "orders", node=node)["keyspace"]["id"]), load, before, issued, writers)
            whole += 1
    expect(whole > 0, "no backup came about")
