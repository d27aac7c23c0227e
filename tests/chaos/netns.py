#!/usr/bin/python3
"""Links cut between nodes in network namespaces, one way and both ways, under load: the history stays
linearizable, the side with a quorum goes on, and healing needs nobody. Clients reach every node all the
time, also the one that is cut off. Without namespaces a TCP proxy on each link does the cutting."""
import argparse
import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lib.cluster import Cluster
from lib.history import History
from lib.load import Load, judge
from lib.namespaces import Network, in_namespaces
from lib.proxy import Proxies, isolate
from lib.report import expect, run, wait_until

RECOVER_MAX = 5.0  # until the side with a quorum writes again; an idle link's loss is seen by time-outs only


def plans():
    """(what is said, how to cut, which nodes must acknowledge writes meanwhile, by role)"""
    def leader_cut_off(net, leader, followers):
        isolate(net, leader, followers)
        return followers

    def leader_cannot_send(net, leader, followers):
        for f in followers:
            net.cut(leader.id, f.id)
        return followers

    def leader_cannot_hear(net, leader, followers):
        for f in followers:
            net.cut(f.id, leader.id)
        return followers

    def follower_cut_off(net, leader, followers):
        isolate(net, followers[0], [leader, followers[1]])
        return [leader, followers[1]]

    def one_link(net, leader, followers):
        net.cut(leader.id, followers[0].id)
        net.cut(followers[0].id, leader.id)
        return [followers[1]]  # the bridge: whoever leads, it is linked to a quorum

    def one_link_one_way(net, leader, followers):
        net.cut(leader.id, followers[0].id)
        return [followers[1]]

    def followers_apart(net, leader, followers):
        net.cut(followers[0].id, followers[1].id)
        net.cut(followers[1].id, followers[0].id)
        return [leader, *followers]

    def in_a_ring(net, leader, followers):
        """Each hears only one other: nobody hears a majority answer. Nothing is promised but safety."""
        ids = [leader.id, followers[0].id, followers[1].id]
        for i in range(3):
            net.cut(ids[i], ids[(i + 1) % 3])
        return []

    return [leader_cut_off, leader_cannot_send, leader_cannot_hear, follower_cut_off, one_link,
            one_link_one_way, followers_apart, in_a_ring]


def one_cut(suite, cluster, net, load, plan):
    leader = cluster.leader()
    followers = [n for n in cluster.nodes if n is not leader]
    term = leader.own_row()["term"]
    serving = plan(net, leader, followers)
    seconds = cluster.first_write(serving, "cut", 15) if serving else 0.0
    busy = time.monotonic() + 2.0  # the load runs on against the cut for a while: the test's input
    while time.monotonic() < busy:
        time.sleep(0.05)
    net.heal()
    healed = cluster.first_write(cluster.nodes, "healed", 15)
    for n in cluster.nodes:
        cluster.wait_caught_up(n)
    now_term = cluster.leader().own_row()["term"]
    suite.say(f"{plan.__name__.replace('_', ' ')}: writes after {seconds * 1000:.0f} ms, after healing through "
              f"all in {healed * 1000:.0f} ms, terms +{now_term - term}")
    expect(seconds <= RECOVER_MAX, f"{plan.__name__}: {seconds:.2f} s without writes on the side of the quorum")
    return now_term - term


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--seed", type=int, default=int(time.time()))
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--short", action="store_true")
    words.add_argument("--proxy", action="store_true", help="cut in proxies, not in namespaces")
    args = words.parse_args()
    why_not = "asked for proxies" if args.proxy else in_namespaces("net")

    def body(suite):
        suite.say(f"seed {args.seed}; links are cut in "
                  + (f"TCP proxies ({why_not})" if why_not else "network namespaces"))
        chance = random.Random(args.seed)
        with Cluster(os.path.join(suite.dir, "cluster"), extra_ports=6) as cluster:
            if why_not:
                net = Proxies(cluster)
            else:
                net = Network([n.id for n in cluster.nodes])
                for n in cluster.nodes:
                    n.host = n.peer_host = net.address(n.id)
                    n.prefix = list(net.prefix(n.id))
            cluster.start()
            history = History(os.path.join(suite.dir, "netns.jsonl"))
            load = Load(history, cluster.nodes, clients=30, seed=args.seed).start()
            try:
                wait_until(lambda: load.acknowledged > 200, 20, "writes flow")
                for number in range(1 if args.short else args.rounds):
                    order = plans()
                    chance.shuffle(order)
                    for plan in order:
                        with suite.case(f"round {number + 1}: {plan.__name__.replace('_', ' ')}"):
                            try:
                                one_cut(suite, cluster, net, load, plan)
                            finally:
                                net.heal()
            finally:
                load.stop()
            with suite.case("the whole history is linearizable and complete"):
                judge(suite, history, cluster, load)
            if why_not:
                net.close()

    run("netns", 120 if args.short else 400, body)


if __name__ == "__main__":
    main()
