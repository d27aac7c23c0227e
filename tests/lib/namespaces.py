"""Mount and network namespaces for a test script: it starts itself again inside, with util-linux's unshare,
so that all of it is gone when the script is."""
import os
import subprocess
import sys

INSIDE = "QUORATE_TEST_INSIDE"


def in_namespaces(*kinds):
    """Call before anything else. Inside: returns None. Outside: replaces this process by one inside, or
    returns the reason why that is not allowed here."""
    if os.environ.get(INSIDE) == "yes":
        return None
    flags = ["--fork", "--kill-child", "--pid", "--mount-proc", "--mount"] + [f"--{k}" for k in kinds if k != "mount"]
    if os.geteuid() != 0:
        flags = ["--user", "--map-root-user"] + flags
    try:
        probe = subprocess.run(["unshare", *flags, "true"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"namespaces are not allowed here: {error}"
    if probe.returncode:
        return f"namespaces are not allowed here: {probe.stderr.strip()}"
    os.environ[INSIDE] = "yes"
    sys.stdout.flush()
    # The one outside must go when its parent goes, and takes all inside with it.
    os.execvp("setpriv", ["setpriv", "--pdeathsig", "KILL", "--", "unshare", *flags, sys.executable, *sys.argv])


def must(*words):
    done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def mount_tmpfs(path, size):
    must("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path)


class Network:
    """One namespace per node on a bridge, and this script on the bridge too. Links between nodes are cut by giving
    one a wrong hardware address for the other: its frames then reach nobody, which is a silent one-way loss."""

    def __init__(self, nodes):
        self.nodes = nodes
        self.hardware = {}
        must("mount", "-t", "tmpfs", "tmpfs", "/run")  # `ip netns` keeps its names there: ours alone
        must("ip", "link", "set", "lo", "up")
        must("ip", "link", "add", "hub", "type", "bridge")
        must("ip", "addr", "add", "10.77.0.254/24", "dev", "hub")
        must("ip", "link", "set", "hub", "up")
        for i in nodes:
            name = self.name(i)
            must("ip", "netns", "add", name)
            must("ip", "link", "add", f"port{i}", "type", "veth", "peer", "name", "eth0", "netns", name)
            must("ip", "link", "set", f"port{i}", "master", "hub", "up")
            self.inside(i, "ip", "link", "set", "lo", "up")
            self.inside(i, "ip", "addr", "add", f"{self.address(i)}/24", "dev", "eth0")
            self.inside(i, "ip", "link", "set", "eth0", "up")
            link = self.inside(i, "cat", "/sys/class/net/eth0/address")
            self.hardware[i] = link.strip()
        self.heal()

    @staticmethod
    def name(i):
        return f"node{i}"

    @staticmethod
    def address(i):
        return f"10.77.0.{i}"

    def prefix(self, i):
        return ("ip", "netns", "exec", self.name(i))

    def inside(self, i, *words):
        return must(*self.prefix(i), *words)

    def _neighbour(self, source, target, hardware):
        self.inside(source, "ip", "neigh", "replace", self.address(target), "lladdr", hardware,
                    "nud", "permanent", "dev", "eth0")

    def cut(self, source, target):
        """Nothing that `source` sends reaches `target` any more."""
        self._neighbour(source, target, "02:00:00:00:00:01")

    def heal(self):
        for a in self.nodes:
            for b in self.nodes:
                if a != b:
                    self._neighbour(a, b, self.hardware[b])
            must("ip", "link", "set", f"port{a}", "up")

    def unplug(self, node):
        """The node's cable: clients lose it too."""
        must("ip", "link", "set", f"port{node}", "down")
