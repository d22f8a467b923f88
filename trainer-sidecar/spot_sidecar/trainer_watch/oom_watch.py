"""Reads the kernel's counters of the trainer's container, through files that its SDK hands over.

A thread of its own: from the kill to the removal of the container's cgroup, after which nothing can
be read, some ten milliseconds may pass, while the event loop may be at work elsewhere. The kernel
wakes it (EPOLLPRI): for each change of `memory.events`, and when the container's last process has
ended (`cgroup.events`); where it does not, the thread reads every second. What comes over the
socket is the trainer's, and so is whatever the files say: one that gives other
files can charge itself alone.
"""

import logging
import os
import select
import socket
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from spot_sidecar.base.clock import Clock
from spot_sidecar.config.paths import GROUP_FILE
from spot_sidecar.state.oom_kills import Counters, read_counters, read_limit

__all__ = ["OomWatch"]

log = logging.getLogger(__name__)

Saw = Callable[[Counters, int | None, float], object]

LOOK_SECONDS = 1.0
HAND_OVER_SECONDS = 0.5
"""A trainer sends its files at once."""
MOST_BYTES = 4096
"""Of a file that is read: the real ones have some hundred."""
KILL_SECONDS = 0.2
"""The kernel counts the kill after it has counted its cause."""
RETRY_SECONDS = 0.001
BUSY_LOOKS = 50
"""So many changes in a row without a want of memory: the container's page cache fills its limit,
and the kernel would wake the thread a hundred times a second."""
REST_SECONDS = 0.1
"""Between two readings of such a container, unless its last process ends."""


@dataclass(slots=True)
class _Files:
    """What one process of the trainer handed over last."""

    numbers: tuple[int, ...]
    """`memory.events`, `memory.max`, `cgroup.events`; the later ones may be missing."""
    content: bytes
    """Of `memory.events`, when it was read last."""
    seen: Counters

    @property
    def events(self) -> int:
        return self.numbers[0]

    @property
    def woken_by(self) -> tuple[int, ...]:
        return self.numbers[0], *self.numbers[2:]

    def limit(self) -> int | None:
        """What the container may use now."""
        content = _content(self.numbers[1]) if len(self.numbers) > 1 else None
        return None if content is None else read_limit(content)

    def close(self) -> None:
        for number in self.numbers:
            os.close(number)


class OomWatch:
    """Listens at `path`; calls `saw` (in its thread) with what was counted, limit and time."""

    def __init__(
        self,
        path: Path,
        saw: Saw,
        clock: Clock,
        *,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._path = path
        self._saw = saw
        self._clock = clock
        self._look_seconds = look_seconds
        self._files: _Files | None = None
        self._busy = 0
        """Readings in a row that found nothing but a container at its limit."""
        self._stopped = False
        self._thread: threading.Thread | None = None
        self._listener: socket.socket | None = None

    def start(self) -> None:
        """Listen; without it the trainer's end has one proof less, and nothing else is missing."""
        try:
            self._listener = _listen(self._path)
        except OSError as error:
            log.warning("cannot take the trainer's memory counters: %s", error)
            return
        self._thread = threading.Thread(target=self._run, name="oom-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Read once more, and end."""
        self._stopped = True
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as waking:
            waking.settimeout(HAND_OVER_SECONDS)
            waking.connect(str(self._path))
        if self._thread is not None:
            self._thread.join(self._look_seconds + HAND_OVER_SECONDS)

    def _run(self) -> None:
        listener = self._listener
        if listener is None:
            return
        with listener, select.epoll() as waiting:
            waiting.register(listener.fileno(), select.EPOLLIN)
            while not self._stopped:
                ready = self._wait(waiting)
                if listener.fileno() in ready and not self._stopped:
                    self._take(listener, waiting)
                self._calm(ready)
                self._look(waiting)
            self._drop(waiting)

    def _wait(self, waiting: select.epoll) -> set[int]:
        files, seconds = self._files, self._look_seconds
        rests = files is not None and self._busy >= BUSY_LOOKS
        if files is not None and rests:
            seconds = REST_SECONDS
            with suppress(OSError):
                waiting.unregister(files.events)
        ready = {number for number, _ in waiting.poll(seconds)}
        if files is not None and rests:
            _tell_of(files.events, waiting)
        return ready

    def _take(self, listener: socket.socket, waiting: select.epoll) -> None:
        """What a process hands over takes the place of what one did before."""
        files = _received(listener)
        if files is None:
            return
        self._drop(waiting)
        self._files = files
        for number in files.woken_by:
            _tell_of(number, waiting)

    def _calm(self, ready: set[int]) -> None:
        """The kernel tells of a change until the file is read: of a container that was frozen."""
        for number in self._files.numbers[2:] if self._files is not None else ():
            if number in ready:
                _content(number)

    def _look(self, waiting: select.epoll) -> None:
        files = self._files
        if files is None:
            return
        content = _content(files.events)
        found = None if content is None else read_counters(content)
        if content is None or found is None:
            self._drop(waiting)
            return
        if content == files.content:
            self._busy = 0
            return
        self._busy += 1
        if found.oom > files.seen.oom and found.oom_kill == files.seen.oom_kill:
            found = _with_the_kill(files.events, found, self._clock)
        more, files.seen, files.content = found.since(files.seen), found, content
        if more:
            self._saw(more, files.limit(), self._clock.monotonic())

    def _drop(self, waiting: select.epoll) -> None:
        if self._files is None:
            return
        for number in self._files.woken_by:
            with suppress(
                OSError
            ):  # the trainer may hold the same file open: closing is not enough
                waiting.unregister(number)
        self._files.close()
        self._files = None
        self._busy = 0


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(GROUP_FILE)
        listener.listen(16)
        listener.settimeout(HAND_OVER_SECONDS)
    except OSError:
        listener.close()
        raise
    return listener


def _received(listener: socket.socket) -> _Files | None:
    with suppress(OSError):
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(HAND_OVER_SECONDS)
            _, numbers, _, _ = socket.recv_fds(connection, 64, 3, socket.MSG_CMSG_CLOEXEC)
            return _opened(tuple(numbers))  # the trainer waits until the connection is closed
    return None


def _opened(numbers: tuple[int, ...]) -> _Files | None:
    """The files, if the first has counters; what else it may be is closed."""
    if numbers and all(stat.S_ISREG(os.fstat(number).st_mode) for number in numbers):
        content = _content(numbers[0])
        seen = None if content is None else read_counters(content)
        if content is not None and seen is not None:
            return _Files(numbers, content, seen)
    for number in numbers:
        os.close(number)
    return None


def _tell_of(number: int, waiting: select.epoll) -> None:
    with suppress(OSError):  # not a file whose changes the kernel tells: read every second
        waiting.register(number, select.EPOLLPRI)


def _with_the_kill(events: int, found: Counters, clock: Clock) -> Counters:
    end = clock.monotonic() + KILL_SECONDS
    while clock.monotonic() < end:
        clock.block(RETRY_SECONDS)
        content = _content(events)
        later = None if content is None else read_counters(content)
        if later is None:
            break
        if later.oom_kill > found.oom_kill:
            return later
    return found


def _content(number: int) -> bytes | None:
    """None: it cannot be read any more, for its cgroup has gone."""
    try:
        return os.pread(number, MOST_BYTES, 0)
    except OSError:
        return None
