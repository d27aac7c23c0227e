#!/usr/bin/python3
"""The golden transcripts of Redis 7.0.15 replayed over TCP against a three-node cluster: once through its
leader, once through a follower. Prints every difference; ends with `N passed, N failed, N skipped`."""
import glob
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
sys.path.insert(0, HERE)
import transcript
from lib.cluster import Cluster


def main():
    passed = failed = 0
    files = sorted(glob.glob(os.path.join(HERE, "golden", "*.txt")))
    with tempfile.TemporaryDirectory(prefix="quorate-golden-") as directory:
        with Cluster(directory, flags=["--debug-commands"]) as cluster:
            cluster.start()
            leader = cluster.leader()
            for role, node in (("leader", leader), ("follower", cluster.followers()[0])):
                for path in files:
                    good, failures = transcript.replay(path, "127.0.0.1", node.redis_port)
                    for f in failures:
                        print(f"through the {role}: {f.text}")
                    passed += good
                    failed += len(failures)
                    print(f"{role:9} {os.path.basename(path):24} {good:5} passed {len(failures):3} failed", flush=True)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
