"""Just enough of docs/formats/wal.md to damage a log at a chosen place."""
import os
import struct

BLOCK = 4096
UNIT_MAGIC = 0x54494E55


class Unit:
    def __init__(self, path, offset, lsn, durable, length, frames):
        self.path, self.offset, self.lsn = path, offset, lsn
        self.durable, self.length, self.frames = durable, length, frames

    @property
    def end_lsn(self):
        return self.lsn + (self.length + BLOCK - 1) // BLOCK * BLOCK


def segments(node_dir):
    folder = os.path.join(node_dir, "wal", "r0")
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if len(name) == 16]


def units(node_dir):
    """All units of a healthy log, in order."""
    found = []
    for path in segments(node_dir):
        with open(path, "rb") as f:
            header = f.read(64)
            salt = struct.unpack_from("<Q", header, 48)[0]
            offset = BLOCK
            while True:
                f.seek(offset)
                head = f.read(64)
                if len(head) < 64:
                    break
                magic, _, lsn, unit_salt, durable, _, length, frames = struct.unpack_from("<IIQQQIII", head)
                if magic != UNIT_MAGIC or unit_salt != salt or length < 64:
                    break
                found.append(Unit(path, offset, lsn, durable, length, frames))
                offset += (length + BLOCK - 1) // BLOCK * BLOCK
    return found


def proven(node_dir):
    """Units below the proof line V with entries in them: damage there is damage and no torn tail."""
    every = units(node_dir)
    line = max((u.durable for u in every), default=0)
    return [u for u in every if u.end_lsn <= line and u.frames > 0]


def flip(path, offset):
    with open(path, "r+b") as f:
        f.seek(offset)
        byte = f.read(1)[0]
        f.seek(offset)
        f.write(bytes([byte ^ 0x10]))
        f.flush()
        os.fsync(f.fileno())


def find_bytes(node_dir, data):
    """(path, offset) of the first place in the log that holds these bytes, or None."""
    for path in segments(node_dir):
        with open(path, "rb") as f:
            at = f.read().find(data)
        if at >= 0:
            return path, at
    return None
