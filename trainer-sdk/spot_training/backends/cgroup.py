"""The kernel's own account of this container's memory, given to the sidecar while we live.

A process that the kernel kills for its memory can say nothing of it, and a runtime that comes too
late to read the counters writes an exit code without a reason. So the sidecar gets the open files:
it can read them after our end, for as long as the container's cgroup is there.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
SELF = Path("/proc/self/cgroup")
FILES = ("memory.events", "memory.max", "cgroup.events")
"""Of cgroup v2, in the order in which they are given: what was counted, the limit, and what tells
that the last process has ended."""
SECONDS = 1.0


def hand_over(path: Path, *, root: Path = ROOT, self: Path = SELF) -> bool:
    """Gives the files to whoever listens at `path`; whether there were any, and it took them.

    There are none with cgroup v1, whose counters do not tell whose limit was reached.
    """
    with contextlib.ExitStack() as opened:
        try:
            folder = _folder(root, self)
            files = [
                opened.enter_context((folder / name).open("rb", buffering=0)) for name in FILES
            ]
            connection = opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            connection.settimeout(SECONDS)
            connection.connect(os.fspath(path))
            socket.send_fds(connection, [b"memory\n"], [file.fileno() for file in files])
            connection.recv(1)  # closed once the counters are read: what rises later is seen
        except OSError:
            return False
    return True


def _folder(root: Path, self: Path) -> Path:
    """The container's: the root, as far as a container sees; else where this process is."""
    if (root / FILES[0]).exists():
        return root
    lines = self.read_text().splitlines()
    own = next((line[3:] for line in lines if line.startswith("0::")), "/")
    return root / own.lstrip("/")
