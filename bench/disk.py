"""What a run wrote to the data's device, by /proc/diskstats; what the machine writes when idle is taken off."""
import os
import time


class Disk:
    """The device under `directory`; `name` is None where /proc/diskstats does not know it."""

    def __init__(self, directory):
        device = os.stat(directory).st_dev
        self.number = (os.major(device), os.minor(device))
        self.name = None
        self.idle = (0.0, 0.0, 0.0)
        if self.sample():
            self.idle = self.idle_rates(3.0)

    def sample(self):
        """(writes, flushes, bytes) completed since boot, or None."""
        try:
            with open("/proc/diskstats", encoding="ascii") as f:
                for line in f:
                    words = line.split()
                    if (int(words[0]), int(words[1])) == self.number:
                        self.name = words[2]
                        flushes = int(words[18]) if len(words) > 18 else 0
                        return int(words[7]), flushes, int(words[9]) * 512
        except OSError:
            pass
        return None

    def idle_rates(self, seconds):
        os.sync()  # what is still to be written back is not idleness
        before, started = self.sample(), time.monotonic()
        time.sleep(seconds)  # the length of the sample
        passed = time.monotonic() - started
        return tuple((b - a) / passed for a, b in zip(before, self.sample()))

    def between(self, before, after, seconds):
        """(writes, flushes, bytes) of that time, the idle machine's taken off."""
        return tuple(max(0.0, b - a - idle * seconds) for a, b, idle in zip(before, after, self.idle))
