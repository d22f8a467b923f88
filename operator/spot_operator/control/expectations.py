"""What we did and have not seen yet: read-your-writes over a cache that lags.

Before a write, say what its effect will look like in the cache; when the cache shows it, say so;
until then the key is not *satisfied*, and whoever plans for it from the cache would plan twice.
A name stands for a creation, a uid for a deletion; they never meet, so one set holds both.

A lost event must not wedge a key: what was expected `timeout_seconds` ago (5 minutes, as in the
ReplicaSet controller) counts as seen.
"""

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

from spot_operator.control.clock import Clock

__all__ = ["Expectations"]

K = TypeVar("K", bound=Hashable)


class Expectations(Generic[K]):
    """See the module. `K` is the key that waits, usually the work queue's."""

    def __init__(self, clock: Clock, *, timeout_seconds: float = 300.0) -> None:
        self._clock = clock
        self._timeout = timeout_seconds
        self._open: dict[K, dict[str, float]] = {}

    def expect(self, key: K, marks: Iterable[str]) -> None:
        """From now on `key` waits for `marks`. Call it before the write: news may be faster."""
        until = self._clock.monotonic() + self._timeout
        self._open.setdefault(key, {}).update(dict.fromkeys(marks, until))

    def seen(self, key: K, mark: str) -> None:
        """The cache shows `mark`, or the write failed and it never will. Unknown ones are fine."""
        marks = self._open.get(key, {})
        marks.pop(mark, None)
        if not marks:
            self._open.pop(key, None)

    def forget(self, key: K) -> None:
        """The key is gone."""
        self._open.pop(key, None)

    def satisfied(self, key: K) -> bool:
        """Whether the cache shows everything that was done for `key`."""
        return not self.missing(key)

    def missing(self, key: K) -> tuple[str, ...]:
        """What `key` still waits for, oldest first."""
        now = self._clock.monotonic()
        return tuple(mark for mark, until in self._open.get(key, {}).items() if now < until)

    def expires_in(self, key: K) -> float | None:
        """Seconds until nothing is waited for any more; None if nothing is."""
        missing = self.missing(key)
        if not missing:
            return None
        return max(self._open[key][mark] for mark in missing) - self._clock.monotonic()
