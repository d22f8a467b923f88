"""Which of the trainer's processes are alive: each keeps one connection open for its whole life."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from spot_sidecar.base.pulse import Pulse

__all__ = ["Sessions"]


class Sessions:
    """Open connections by process. A process may briefly hold two (it reconnects)."""

    def __init__(self, came: Callable[[int], object], gone: Callable[[int], object]) -> None:
        """`came` is called with each connection's process, `gone` when its last one has ended."""
        self._open: dict[int, int] = {}
        self._ever: set[int] = set()
        self._came = came
        self._gone = gone
        self.changes = Pulse()

    @property
    def processes(self) -> tuple[int, ...]:
        """The processes that are connected now, ascending."""
        return tuple(sorted(self._open))

    @property
    def ever(self) -> tuple[int, ...]:
        """Every process that was connected in this attempt, ascending."""
        return tuple(sorted(self._ever))

    def connected_ever(self) -> tuple[int, ...]:
        """`ever`, as a function."""
        return self.ever

    @contextmanager
    def joined(self, process: int) -> Iterator[None]:
        """Count the process as alive inside the block."""
        self._open[process] = self._open.get(process, 0) + 1
        self._ever.add(process)
        self._came(process)
        self.changes.ring()
        try:
            yield
        finally:
            self._leave(process)

    def _leave(self, process: int) -> None:
        self._open[process] -= 1
        if not self._open[process]:
            del self._open[process]
            self._gone(process)
        self.changes.ring()
