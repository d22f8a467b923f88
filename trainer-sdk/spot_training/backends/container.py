"""Which container this process runs in: one that is started again has another first process."""

from __future__ import annotations

from pathlib import Path

_STARTED = 19
"""Position of the start time in /proc/<pid>/stat after the program's name (proc(5))."""


def identity(proc: Path = Path("/proc")) -> str:
    """The container in its run, the same for all its processes; empty where nothing says it.

    A container has its own process ids, so process 1 is its first one. The number of such a
    namespace may be given again, the start time in the same boot may not.
    """
    try:
        namespace = (proc / "self/ns/pid").readlink()
        boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
        first = (proc / "1/stat").read_text().rpartition(")")[2].split()
        return f"{boot}/{namespace}/{first[_STARTED]}"
    except (OSError, IndexError):
        return ""
