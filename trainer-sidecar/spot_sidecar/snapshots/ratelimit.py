"""Holds an upload back to a rate, until somebody lifts it. Used from the uploading threads."""

import threading
from collections.abc import Callable

from spot_training.checkpoint.store import Cancel

__all__ = ["RateLimit"]

LOOK_SECONDS = 0.1
"""How often a wait looks whether its upload was given up."""


class RateLimit:
    """A `Throttle`: each piece waits until the pieces before it would have gone at the rate."""

    def __init__(self, rate: float | None, monotonic: Callable[[], float]) -> None:
        """`rate` in bytes per second; None: never wait, only count."""
        self._rate = rate
        self._monotonic = monotonic
        self._next: float | None = None
        self._lock = threading.Lock()
        self._lifted = threading.Event()
        self.taken = 0
        """Bytes that were let through so far."""

    @property
    def held_back(self) -> bool:
        """Whether it was made to hold back, lifted since or not."""
        return self._rate is not None

    def lift(self) -> None:
        """Let everything through from now on, what waits included."""
        self._lifted.set()

    def take(self, size: int, cancel: Cancel | None) -> None:
        """Return when `size` more bytes may be sent, or at once when lifted or cancelled."""
        turn = self._turn(size)
        while not self._lifted.is_set() and (left := turn - self._monotonic()) > 0:
            if cancel is not None and cancel.is_set():
                return
            self._lifted.wait(min(LOOK_SECONDS, left))
        with self._lock:
            self.taken += size

    def _turn(self, size: int) -> float:
        """The moment from which so many bytes may go; the next piece's is later by their time."""
        with self._lock:
            now = self._monotonic()
            turn = max(now, self._next or now)
            self._next = turn + size / self._rate if self._rate else turn
            return turn
