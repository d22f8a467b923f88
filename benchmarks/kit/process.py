"""What a process costs, read off /proc."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

LOOK_SECONDS = 0.02
MIB = 1 << 20


def cpu_seconds(pid: int) -> float:
    """What the process has computed so far, its threads included; in hundredths."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def anonymous_mib(pid: int) -> float:
    """The process's own memory: no files, no shared memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024 / MIB
    raise RuntimeError("this kernel does not tell RssAnon (Linux 4.5 does)")


@dataclass(slots=True)
class Watched:
    """The anonymous memory of a process while it is watched."""

    pid: int
    peak: float = 0.0
    end: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        """Look until the end."""
        while not self.end.wait(LOOK_SECONDS):
            with suppress(FileNotFoundError, ProcessLookupError):
                self.peak = max(self.peak, anonymous_mib(self.pid))


@contextmanager
def watched(pid: int) -> Iterator[Watched]:
    """Watch the memory of a process during the block."""
    found = Watched(pid, anonymous_mib(pid))
    looking = threading.Thread(target=found.look, name="watch-memory")
    looking.start()
    try:
        yield found
    finally:
        found.end.set()
        looking.join()
