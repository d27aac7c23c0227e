#!/usr/bin/python3
"""A cluster as its operator meets it: the verbs of `quorate`, growing and shrinking, backup and restore under load.
Ends with `N passed, N failed, N skipped`. QUORATE_BIN is the program; LONG=1 backs up more often."""
import os
import random
import subprocess
import time

from verbs import asked, done, has_map, led, make_keyspace, quorate, start
import backup
from chain import Load, judge, read_all
from lib.cluster import DIE_WITH_PARENT, Cluster, Node, binary
from lib.report import Skip, expect, run_cases, wait_until
from lib.resp import RespError

LONG = bool(os.environ.get("LONG"))


class Joiner(Node):
    """A node that asks the first one to be let in."""

    def command(self):
        return DIE_WITH_PARENT + [self.cluster.binary, "start", "--dir", self.dir, "--host", self.host,
                                  "--redis-port", str(self.redis_port), "--peer-port", str(self.peer_port),
                                  "--admin-port", str(self.admin_port), "--join",
                                  f"127.0.0.1:{self.cluster.nodes[0].peer_port}"] + self.cluster.flags + self.flags


def up(node):
    rows = asked("node", "list", node=node)["nodes"]
    return {r["id"] for r in rows if r["state"] == "up"}


# ---- the verbs ----

def keyspaces_are_made_shown_changed_and_dropped(directory):
    with start(os.path.join(directory, "ks")) as cluster:
        one, two = cluster.node(1), cluster.node(2)
        number = make_keyspace(one, "orders", "partitions=hash:4", "value-bytes-max=1MB")
        expect(number >= 16, f"its number is {number}")
        shown = asked("ks", "show", "orders", node=two)["keyspace"]
        expect((shown["partitions"], shown["replicas"], shown["value-bytes-max"]) == ("hash:4", 3, 1 << 20), f"shown: {shown}")
        for n in cluster.nodes:
            with n.client() as c:
                replies = [c.call("SELECT", str(number)), c.call("SET", f"k{n.id}", "v")]
                expect(replies == ["OK", "OK"], f"a write into the new keyspace through node {n.id}: {replies}")
        with one.client() as c:
            expect(c.call("GET", "k1") is None, "the default keyspace has what another was given")
        done("ks", "set", "orders", "value-bytes-max=2MB", node=one)
        code, _, said = quorate("ks", "set", "orders", "partitions=hash:8", node=one)
        expect(code == 1 and "INVALID" in said and "create another" in said, f"partitions changed? {said}")
        code, _, said = quorate("ks", "create", "orders", node=one)
        expect(code == 1 and "EXISTS" in said, f"a second one: {said}")
        code, _, said = quorate("ks", "create", "wide", "replicas=5", node=one)
        expect(code == 1 and "UNSAFE" in said and "join 2 more" in said, f"no remedy: {said}")
        code, out, _ = quorate("ks", "drop", "orders", "--dry-run", node=one)
        expect(code == 0 and "nothing was done" in out, f"dry run: {out}")
        expect("orders" in done("ks", "list", node=two), "a dry run dropped it")
        done("ks", "drop", "orders", node=one)
        expect(asked("ks", "list", node=one)["keyspaces"][-1]["name"] == "default", "it is still there")


def every_noun_has_help_and_refuses_what_it_does_not_know(directory):
    for noun in ("ks", "node", "group", "rebalance", "settings", "limits", "status", "top", "backup", "restore", "version", "price",
                 "why-unavailable", "explain"):
        code, out, _ = quorate(noun, "--help")
        expect(code == 0 and "Usage: quorate " + noun in out and "Examples:" in out, f"{noun} --help: {out}")
    code, _, said = quorate("ks", "shrink")
    expect(code == 2 and "there is no shrink" in said, said)
    code, _, said = quorate("ks", "create")
    expect(code == 2 and "NAME" in said, said)
    code, _, said = quorate("node", "list", "--node", "127.0.0.1:1")
    expect(code == 1 and "--node HOST:PORT" in said, f"nobody there: {said}")
    code, _, said = quorate("node", "list", "--node", "nonsense")
    expect(code == 2 and "HOST:PORT" in said, said)


def settings_and_pauses_are_taken(directory):
    with start(os.path.join(directory, "settings")) as cluster:
        one = cluster.node(1)
        done("settings", "replace-after=10m", "moves-per-node=3", node=one)
        now = asked("settings", node=cluster.node(3))["settings"]
        wait_until(lambda: asked("settings", node=cluster.node(3))["settings"]["replace-after"] == 600, 5,
                   f"node 3 knows the setting: {now}")
        code, _, said = quorate("settings", "replace-after=1s", node=one)
        expect(code == 1 and "10 to" in said, f"what may it be? {said}")
        code, _, said = quorate("settings", "colour=red", node=one)
        expect(code == 1 and "there are: replace-after" in said, said)
        done("rebalance", "pause", node=one)
        expect("paused" in done("rebalance", "status", node=one), "it does not say that it is paused")
        expect("rebalancing is paused" in done("status", node=one), "status does not say that it is paused")
        done("rebalance", "resume", node=one)


def status_and_top_show_what_is_wrong(directory):
    with start(os.path.join(directory, "status")) as cluster:
        one = cluster.node(1)
        make_keyspace(one, "orders", "partitions=hash:4")
        said = []

        def nothing_to_warn_of():
            said[:] = [done("status", node=one)]
            return "no warnings" in said[0]
        wait_until(nothing_to_warn_of, 15, lambda: f"status goes on warning: {said[0]}")
        out = done("top", node=one)
        expect("COMMANDS" in out and "orders" in out and "nothing is moved" in out, f"top: {out}")
        report = asked("status", node=one)
        expect(len(report["nodes"]["nodes"]) == 3 and len(report["groups"]["groups"]) == 6, f"status --json: {report}")
        cluster.node(3).kill9()
        wait_until(lambda: "node 3 is silent" in done("status", node=one), 15, "status misses the dead node")


def every_limit_has_a_name_and_a_place(directory):
    with start(os.path.join(directory, "limits")) as cluster:
        one = cluster.node(1)
        limits = {row["name"]: row for row in asked("limits", node=one)["limits"]}
        expect(len(limits) > 40, f"limits: {sorted(limits)}")
        for row in limits.values():
            expect(row["value"] > 0 and row["unit"] and row["owner"] and row["change"] and row["what"], f"limits: {row}")
            expect(row.get("use", 0) <= row["value"], f"exceeded at rest: {row}")
        expect(limits["cluster.nodes"]["use"] == 3 and limits["client.value-bytes"]["value"] == 16 << 20, f"limits: {limits}")
        with one.client() as c:
            reply = c.call("SET", "huge", b"x" * ((16 << 20) + 1))
            expect(isinstance(reply, RespError) and "limit=client.value-bytes" in str(reply), f"{reply!r:.80}")
        limits = {row["name"]: row for row in asked("limits", node=one)["limits"]}
        expect(limits["client.value-bytes"]["reached"] == 1, f"not counted: {limits['client.value-bytes']}")
        expect(one.metric('limit_reached_total{limit="client.value-bytes"}') == 1, "the metric does not count it")
        shown = done("limits", "gateway", node=one)
        expect("gateway.writes" in shown and "client." not in shown and "32.8k requests" in shown, shown)
        code, _, said = quorate("limits", "nonsense", node=one)
        expect(code == 1 and "no name begins with nonsense" in said, said)


def leadership_moves_on_request(directory):
    with start(os.path.join(directory, "transfer")) as cluster:
        one = cluster.node(1)
        make_keyspace(one, "orders", "partitions=hash:1")
        done("rebalance", "pause", node=one)
        group = asked("group", "list", "orders", node=one)["groups"][0]
        to = next(m["node"] for m in group["members"] if m["node"] != group["leader-node"])

        def moved():
            quorate("group", "transfer", str(group["id"]), f"to={to}", node=one)
            return asked("group", "list", "orders", node=one)["groups"][0]["leader-node"] == to
        wait_until(moved, 20, "the other node leads", every=0.5)


def scan_all(client, count=50):
    found, cursor = [], b"0"
    while True:
        cursor, keys = client.call("SCAN", cursor, "COUNT", str(count))
        found += [k.decode() for k in keys]
        if cursor == b"0":
            return found


def range_all(client, first="", end=""):
    """Pairs in the order of Q.SCAN, over all groups."""
    found, key = [], first
    while True:
        key, items = client.call("Q.SCAN", key, end, "COUNT", "500")
        found += [(k.decode(), v.decode()) for k, v in zip(items[::2], items[1::2])]
        if key is None:
            return found


def a_range_of_keys_splits_moves_and_merges(directory):
    """By size, by itself; at a key, by command; while nodes die and rows are read in order."""
    rows = 5000
    with start(os.path.join(directory, "range")) as cluster:
        one = cluster.node(1)
        done("settings", "merge-bytes=256KB", "split-bytes=1MB", node=one)
        number = make_keyspace(one, "events", "partitions=range")

        def groups():
            return asked("group", "list", "events", node=one)["groups"]

        def write(keys, value, node=one):
            with node.client(timeout=20) as c:
                c.call("SELECT", str(number))
                for key in keys:
                    while True:
                        reply = c.call("SET", key, value)
                        if not isinstance(reply, RespError):
                            break
                        expect(reply.name in Load.RETRIABLE, f"SET {key}: {reply}")
        names = [f"user:{i:06d}" for i in range(rows)]
        order = list(names)
        random.shuffle(order)
        write(order, "x" * 900)
        wait_until(lambda: len(groups()) >= 4, 60, lambda: f"4 MB in ranges of 1 MB are {len(groups())} groups", every=0.5)
        cluster.node(3).kill9()
        write(order[:500], "y" * 900, cluster.node(2))
        cluster.node(3).start()
        wait_until(lambda: all(g["leader-node"] for g in groups()) and not any(g.get("operation") for g in groups()), 60,
                   "ranges are at rest", every=0.5)

        def split_there():
            """Ranges go on changing by themselves: a command decided on an older map is refused, and repeated."""
            lowest = min(groups(), key=lambda g: g.get("from", ""))
            code, _, said = quorate("group", "split", str(lowest["id"]), "at=user:000010", node=one)
            expect(code == 0 or "STALE" in said or "UNDERWAY" in said or "INVALID" in said, f"a split: {said}")
            return any("user:000010" in (g.get("from"), g.get("to")) for g in groups())
        wait_until(split_there, 30, "the group is split at that key", every=0.5)
        for node in cluster.nodes:
            with node.client(timeout=20) as c:
                c.call("SELECT", str(number))
                expect(c.call("DBSIZE") == rows, f"DBSIZE on node {node.id}")
                expect(sorted(set(scan_all(c))) == names, f"SCAN on node {node.id} misses keys")
                pairs = range_all(c)
                expect([k for k, _ in pairs] == names, f"Q.SCAN on node {node.id} is not all keys in order")
                changed = set(order[:500])
                expect(all(v == ("y" if k in changed else "x") * 900 for k, v in pairs), "a value is old")
                expect([k for k, _ in range_all(c, "user:000005", "user:000012")] == names[5:12], "a small range")
        with one.client(timeout=20) as c:
            c.call("SELECT", str(number))
            for at in range(0, rows - 100, 50):
                for key in names[at:at + 50]:
                    while isinstance(c.call("DEL", key), RespError):
                        pass
        wait_until(lambda: len(groups()) == 1, 120, lambda: f"nearly empty ranges stay {len(groups())} groups", every=0.5)
        with cluster.node(2).client(timeout=20) as c:
            c.call("SELECT", str(number))
            expect([k for k, _ in range_all(c)] == names[rows - 100:], "after the merges other keys are left")


def a_directory_of_keys_is_pinned(directory):
    with start(os.path.join(directory, "pin")) as cluster:
        one = cluster.node(1)
        number = make_keyspace(one, "events", "partitions=range")
        names = [f"{d}:{i:03}" for d in ("order", "user", "zone") for i in range(50)]
        with one.client() as c:
            c.call("SELECT", str(number))
            for key in names:
                c.call("SET", key, "1")
        code, out, said = quorate("ks", "pin", "events", "user:", "node=2", "--dry-run", node=one)
        expect(code == 0 and "would be split at user:" in out and "nothing was done" in out, f"dry run: {out}{said}")
        done("ks", "pin", "events", "user:", "node=2", node=one)

        def groups():
            return {(g["from"], g["to"]): g for g in asked("group", "list", "events", node=one)["groups"]}
        expect(set(groups()) == {("", "user:"), ("user:", "user;"), ("user;", "")}, f"groups: {sorted(groups())}")
        wait_until(lambda: groups()[("user:", "user;")]["leader-node"] == 2, 30, "the directory is led by node 2", every=0.2)
        other = next(g for span, g in groups().items() if span[0] == "")
        done("ks", "pin", "events", "zone:", f"group={other['id']}", node=one)  # beside another group
        leader = {g["id"]: g["leader-node"] for g in groups().values()}[other["id"]]
        wait_until(lambda: groups()[("zone:", "zone;")]["leader-node"] == leader or leader != other["leader-node"], 30,
                   "a directory is led where the group is", every=0.2)
        done("ks", "pin", "events", "user:", "node=2", node=one)  # again: nothing to cut
        with cluster.node(3).client() as c:
            c.call("SELECT", str(number))
            expect([k for k, _ in range_all(c)] == names, "keys were lost")
            expect([k for k, _ in range_all(c, "user:", "user;")] == names[50:100], "the directory's keys")
        time.sleep(6)  # the planner has looked twice: what is small and pinned is not taken in by its neighbours
        expect(("user:", "user;") in groups(), f"the directory was merged away: {sorted(groups())}")
        make_keyspace(one, "slots", "partitions=hash:2")
        code, _, said = quorate("ks", "pin", "slots", "user:", "node=2", node=one)
        expect(code == 1 and "partitions=range" in said, f"a directory of slots: {said}")


def a_node_joins_and_another_is_drained_and_removed(directory):
    with start(os.path.join(directory, "grow")) as cluster:
        one = cluster.node(1)
        number = make_keyspace(one, "orders", "partitions=hash:4")
        with one.client() as c:
            c.call("SELECT", str(number))
            for i in range(500):
                c.call("SET", f"k{i}", f"v{i}")
        code, _, said = quorate("node", "drain", "3", node=one)
        expect(code == 1 and "UNSAFE" in said and "join 1 more node" in said, f"draining one of three: {said}")
        four = Joiner(cluster, 4)
        cluster.nodes.append(four)
        four.start()
        wait_until(lambda: 4 in up(one), 30, "node 4 is up")
        code, out, _ = quorate("node", "drain", "3", "--dry-run", node=one)
        # The first steps may be others: groups move to the new node already.
        expect(code == 0 and "nothing was done" in out and ("from node 3 to node 4" in out or "to be moved in all" in out),
               f"what would move? {out}")
        expect(up(one) == {1, 2, 3, 4}, "a dry run drained")
        done("node", "drain", "3", node=one)

        def empty():
            rows = {r["id"]: r for r in asked("node", "list", node=one)["nodes"]}
            return rows[3]["replicas"] == 0
        wait_until(empty, 90, "node 3 holds nothing", every=0.5)
        done("node", "remove", "3", node=one)
        expect(up(one) == {1, 2, 4}, "node 3 is still a member")
        cluster.node(3).kill9()
        with four.client() as c:
            c.call("SELECT", str(number))
            lost = [i for i in range(500) if c.call("GET", f"k{i}") != f"v{i}".encode()]
        expect(not lost, f"lost after the drain: {lost[:10]}")


def a_node_that_stays_away_is_replaced(directory):
    with start(os.path.join(directory, "replace")) as cluster:
        one = cluster.node(1)
        done("settings", "replace-after=10s", node=one)
        number = make_keyspace(one, "orders", "partitions=hash:6")
        with one.client() as c:
            c.call("SELECT", str(number))
            for i in range(300):
                c.call("SET", f"k{i}", f"v{i}")
        four = Joiner(cluster, 4)
        cluster.nodes.append(four)
        four.start()

        def placement():
            """Group: its members as (node, replica); None while something moves or somebody is missing."""
            groups = asked("group", "list", node=one)["groups"]
            if any(g.get("operation") or len(g["members"]) != 3 for g in groups):
                return None
            return {g["id"]: sorted((m["node"], m["replica"]) for m in g["members"]) for g in groups}

        def at_rest():
            before = placement()
            time.sleep(1.5)  # the planner looks again
            return before and before == placement() and before
        wait_until(lambda: 4 in up(one), 30, "node 4 is up")
        wait_until(lambda: any(n == 4 for members in (placement() or {}).values() for n, _ in members), 60, "node 4 is used")
        wait_until(lambda: "nothing has to be moved" in done("rebalance", "status", node=one), 60, "the four are balanced", every=0.5)
        before = wait_until(at_rest, 60, "the four are at rest", every=0.5)

        cluster.node(3).kill9()
        time.sleep(4)  # less than replace-after
        cluster.node(3).start()
        time.sleep(12)  # more than it
        after = wait_until(at_rest, 30, "at rest after the short absence", every=0.5)
        expect(after == before, f"something moved although node 3 came back in time: {before} {after}")

        cluster.node(3).kill9()
        gone_at = time.monotonic()
        wait_until(lambda: (p := at_rest()) and not any(n == 3 for members in p.values() for n, _ in members), 90,
                   lambda: f"node 3 is not replaced: {placement()}", every=0.5)
        took = time.monotonic() - gone_at
        expect(took >= 10, f"replaced after {took:.1f} s already")
        print(f"    six groups and the cluster's own were whole again {took:.1f} s after the death, replace-after=10s", flush=True)
        with four.client() as c:
            c.call("SELECT", str(number))
            lost = [i for i in range(300) if c.call("GET", f"k{i}") != f"v{i}".encode()]
        expect(not lost, f"lost: {lost[:10]}")


# ---- a new program, node by node ----

def next_program():
    """The program as its next release would be, built beside the one that is tested."""
    build = os.path.dirname(binary())
    made = subprocess.run(["ninja", "-C", build, "quorate_next"], capture_output=True, text=True, timeout=600, check=False)
    program = os.path.join(build, "quorate_next")
    if made.returncode or not os.path.exists(program):
        raise Skip(f"there is no {program}: {(made.stdout + made.stderr)[-300:]}")
    return program


class Upgradable(Node):
    program = None

    def command(self):
        words = super().command()
        words[words.index(self.cluster.binary)] = self.program or self.cluster.binary
        return words


def a_cluster_is_upgraded_node_by_node(directory):
    new, writers = next_program(), 4
    cluster = Cluster(os.path.join(directory, "upgrade"), 3)
    cluster.nodes = [Upgradable(cluster, n) for n in (1, 2, 3)]
    with cluster:
        cluster.start(30)
        one, three = cluster.node(1), cluster.node(3)
        for n in cluster.nodes:
            wait_until(lambda n=n: has_map(n), 20, f"node {n.id} has the map")
        number = make_keyspace(one, "orders", "partitions=hash:4")
        with Load(cluster, number, writers) as load:
            for n in cluster.nodes:
                load.goes_on()
                code = n.terminate()
                expect(code == 0, f"node {n.id} did not stop cleanly: {code}")
                n.program = new
                n.start()
                wait_until(n.is_ready, 30, f"node {n.id} serves with the new program")
                wait_until(lambda n=n: knows(one, n.id) == 2, 20, f"the core knows what node {n.id} serves")
                load.goes_on()
                code, _, said = quorate("version", "raise", node=one)
                if n is three:
                    expect(code == 0, f"all are new, and it is refused: {said}")
                else:
                    expect(code == 1 and "VERSION" in said and "install a program" in said, f"raised too early: {code} {said}")
            expect("level 2" in done("version", "show", node=three), "the level is not 2")
            load.goes_on()
            three.terminate()
            three.program = None
            three.start()
            wait_until(lambda: not three.alive(), 30, "the old program ends")
            expect("install a newer one" in three.log_since_start(), f"why? {three.log_since_start()[-400:]}")
            load.goes_on()
            three.program = new
            three.start()
            wait_until(three.is_ready, 30, "node 3 serves again")
            code, _, said = quorate("version", "raise", "to=1", node=one)
            expect(code == 1 and "never goes back" in said, f"lowered: {said}")
        expect(not load.errors, f"the load met errors: {load.errors[:3]}")
        judge(read_all(three, number), load, load.acknowledged, load.issued, writers)


def knows(node, number):
    rows = {r["id"]: r for r in asked("node", "list", node=node)["nodes"]}
    return rows[number]["version-max"]


CASES = [
    ("each noun has --help, and names what it does not know", every_noun_has_help_and_refuses_what_it_does_not_know),
    ("keyspaces are made, shown, changed and dropped", keyspaces_are_made_shown_changed_and_dropped),
    ("settings and pauses are taken, and refused with what would do", settings_and_pauses_are_taken),
    ("every limit has a name and a place", every_limit_has_a_name_and_a_place),
    ("status and top show what is wrong", status_and_top_show_what_is_wrong),
    ("leadership moves on request", leadership_moves_on_request),
    ("a range of keys splits, moves and merges", a_range_of_keys_splits_moves_and_merges),
    ("a directory of keys is pinned", a_directory_of_keys_is_pinned),
    ("a node joins, another is drained and removed, nothing is lost", a_node_joins_and_another_is_drained_and_removed),
    ("a node that stays away is replaced, one that comes back is not", a_node_that_stays_away_is_replaced),
    ("backups under load are one cut and restore elsewhere", backup.backups_under_load_are_consistent_and_restore_elsewhere),
    ("groups that were split are backed up whole", backup.groups_that_were_split_are_backed_up_whole),
    ("rows are read after their group is gone", backup.rows_are_read_after_their_group_is_gone),
    ("a damaged backup is noticed", backup.a_damaged_backup_is_noticed),
    ("a backup while nodes die is whole or none", backup.a_backup_while_nodes_die_is_whole_or_none),
    ("a cluster is upgraded node by node under load", a_cluster_is_upgraded_node_by_node),
]


if __name__ == "__main__":
    run_cases("ops", 900 if LONG else 400, CASES)
