"""The verbs of `quorate` against a cluster, as an operator calls them."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lib.cluster import DIE_WITH_PARENT, Cluster, binary
from lib.report import expect, wait_until


def quorate(*words, node=None, seconds=90, program=None):
    """Run to the end: (exit status, what it printed, what it complained)."""
    at = ["--node", f"127.0.0.1:{node.admin_port}"] if node else []
    done = subprocess.run(DIE_WITH_PARENT + [program or binary(), *words, *at], capture_output=True, text=True,
                          timeout=seconds, stdin=subprocess.DEVNULL, check=False)
    return done.returncode, done.stdout, done.stderr


def asked(*words, node):
    """Run with --json; the answer."""
    code, out, complaint = quorate(*words, "--json", node=node)
    expect(code == 0, f"quorate {' '.join(words)}: {code} {out} {complaint}")
    return json.loads(out)


def done(*words, node, seconds=90):
    code, out, complaint = quorate(*words, node=node, seconds=seconds)
    expect(code == 0, f"quorate {' '.join(words)}: {code} {out} {complaint}")
    return out


def has_map(node):
    return quorate("ks", "list", node=node)[0] == 0


def start(directory, nodes=3, **options):
    cluster = Cluster(directory, nodes, **options)
    cluster.start(30)
    for n in cluster.nodes:
        wait_until(lambda n=n: has_map(n), 20, f"node {n.id} has the map")
    return cluster


def led(node, keyspace):
    code, out, _ = quorate("group", "list", keyspace, "--json", node=node)
    groups = json.loads(out)["groups"] if code == 0 else []
    return groups and all(g["leader-node"] for g in groups)


def make_keyspace(node, name, *settings):
    """Its number, when every node knows that all its groups are led."""
    done("ks", "create", name, *settings, node=node)
    for n in node.cluster.nodes:
        wait_until(lambda n=n: led(n, name), 20, f"node {n.id} knows the leaders of {name}")
    return asked("ks", "show", name, node=node)["keyspace"]["id"]
