"""Processes by number *and* start time, so that a number used again is never mistaken for ours."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import ClusterError

_PARENT, _SESSION, _STARTED = 1, 3, 19
"""Positions in /proc/<pid>/stat after the program's name (proc(5))."""


@dataclass(frozen=True)
class Process:
    """One process of one boot of this machine. `started` is in clock ticks since that boot."""

    pid: int
    started: int
    boot: str

    def is_alive(self) -> bool:
        """Whether this very process runs; a zombie does not."""
        stat = _stat(self.pid)
        return (
            stat is not None
            and stat[0] not in {"Z", "X"}
            and int(stat[_STARTED]) == self.started
            and self.boot == boot_id()
        )


def boot_id() -> str:
    """Changes with every boot of this machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def identify(pid: int) -> Process:
    """The process that has this number now; raises `ClusterError` when there is none."""
    stat = _stat(pid)
    if stat is None:
        raise ClusterError(f"process {pid} ended as soon as it was started")
    return Process(pid, int(stat[_STARTED]), boot_id())


def spawn(argv: Sequence[str], *, stdin: int, log: Path, env: Mapping[str, str]) -> int:
    """Start a program in a session of its own, so that Ctrl-C here does not reach it.

    It gets nothing of what is open here: it outlives the caller, and with it a lock would, or a
    pipe whose reader waits for its end.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawnp(
        argv[0],
        list(argv),
        dict(env),
        file_actions=[
            (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            *((os.POSIX_SPAWN_CLOSE, each) for each in _inheritable()),
        ],
        setsid=True,
        setsigdef=[signal.SIGPIPE],
    )


def _inheritable() -> list[int]:
    """What a new program would find open besides its standard streams."""
    numbers = (int(name) for name in os.listdir("/proc/self/fd"))  # noqa: PTH208
    return [each for each in numbers if each > 2 and _is_inheritable(each)]


def _is_inheritable(descriptor: int) -> bool:
    try:
        return os.get_inheritable(descriptor)
    except OSError:  # that of the listing itself
        return False


def child_of(parent: int) -> int | None:
    """The first child of a process, if it has any yet."""
    return next((pid for pid, stat in _all() if int(stat[_PARENT]) == parent), None)


def power_off(process: Process, within: float = 15) -> None:
    """SIGKILL the process and all that is left of its session; returns when they are gone."""
    limit = time.monotonic() + within
    while remaining := _remaining(process):
        for pid in remaining:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _reap(process)
        if time.monotonic() > limit:
            raise ClusterError(f"processes {remaining} survive SIGKILL; look at their state in ps")
        time.sleep(0.02)
    _reap(process)


def _remaining(leader: Process) -> list[int]:
    """It and its session. A session's number is not given to a new process while it has members,
    so members found while the leader is gone are ours."""
    stat = _stat(leader.pid)
    taken = stat is not None and int(stat[_STARTED]) != leader.started
    if taken or leader.boot != boot_id():
        return []
    return [
        pid
        for pid, each in _all()
        if leader.pid in {pid, int(each[_SESSION])} and each[0] not in {"Z", "X"}
    ]


def _reap(process: Process) -> None:
    """Collect it if it was a child of ours that is dead; else do nothing."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)


def _all() -> list[tuple[int, list[str]]]:
    numbers = (int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208
    found = ((pid, _stat(pid)) for pid in numbers)
    return [(pid, stat) for pid, stat in found if stat is not None]


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()
