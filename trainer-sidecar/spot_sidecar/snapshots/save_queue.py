"""Whose turn it is: per process one snapshot is under way and at most one waits. Pure.

A newer snapshot takes the place of one that waits: what has not begun to be uploaded is worth less
than what came after it. One whose upload was paused goes on when nothing newer is there, and is
dropped once something newer is safe.
"""

from dataclasses import dataclass

from spot_sidecar.snapshots.snapshot import Snapshot

__all__ = ["SaveQueue"]


@dataclass(slots=True)
class SaveQueue:
    """The snapshots of one process."""

    running: Snapshot | None = None
    waiting: Snapshot | None = None
    held: Snapshot | None = None
    """Its upload was paused for what waited."""

    @property
    def idle(self) -> bool:
        """Whether nothing is under way, waits or is held."""
        return self.running is None and self.waiting is None and self.held is None

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
        if self.running is None and self.waiting is not None:
            self.running, self.waiting = self.waiting, None
        elif self.running is None:
            self.running, self.held = self.held, None
        return self.running

    def hold(self) -> None:
        """The one under way was paused: what waits comes first."""
        self.running, self.held = None, self.running

    def drop_held(self) -> Snapshot | None:
        """Take the paused one out of the line: something newer is safe."""
        dropped, self.held = self.held, None
        return dropped

    def done(self) -> None:
        """The one under way is no longer."""
        self.running = None
