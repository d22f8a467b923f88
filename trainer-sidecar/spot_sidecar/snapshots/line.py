"""Whose turn it is: per process one snapshot is under way and at most one waits. Pure.

A newer snapshot takes the place of one that waits: what has not begun to be uploaded is worth less
than what came after it.
"""

from dataclasses import dataclass

from spot_sidecar.snapshots.snapshot import Snapshot

__all__ = ["Line"]


@dataclass(slots=True)
class Line:
    """The snapshots of one process."""

    running: Snapshot | None = None
    waiting: Snapshot | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is under way or waits."""
        return self.running is None and self.waiting is None

    def put(self, snapshot: Snapshot) -> Snapshot | None:
        """Let it wait; return the one that yielded its place."""
        yielded, self.waiting = self.waiting, snapshot
        return yielded

    def give_way(self) -> Snapshot | None:
        """Take the one that waits out of the line, because its arena is needed."""
        yielded, self.waiting = self.waiting, None
        return yielded

    def advance(self) -> Snapshot | None:
        """The one that is under way, which is the next one if there was none."""
        if self.running is None:
            self.running, self.waiting = self.waiting, None
        return self.running

    def done(self) -> None:
        """The one under way is no longer."""
        self.running = None
