"""When each node's lease was renewed, by our own clock: no other machine's clock may end a job.

A lease carries the node's wall-clock time of its renewal. That it *changed* is what counts here,
and the moment at which we saw it change.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final

from spot_operator.control.clock import Clock
from spot_operator.control.store import Change

__all__ = ["REMEMBERED_SECONDS", "LeaseAges"]

REMEMBERED_SECONDS: Final = 600.0
"""How far back renewals are known at least: the longest time over which leases are compared."""


class LeaseAges:
    """Hears of every change of a node lease; lease and node have the same name."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[str, deque[float]] = {}
        self._renewed: dict[str, str | None] = {}
        self._remembered = REMEMBERED_SECONDS

    def compare_over(self, seconds: float) -> None:
        """Remember for as long as leases are to be compared, from now on."""
        self._remembered = max(REMEMBERED_SECONDS, seconds)

    def hear(self, change: Change) -> None:
        """Listener of the lease informer."""
        name = change.item["metadata"]["name"]
        if change.new is None:
            self._seen.pop(name, None)
            self._renewed.pop(name, None)
            return
        renewed = change.new["spec"].get("renewTime")
        if name not in self._seen or renewed != self._renewed[name]:
            self._note(name, renewed)

    def age(self, name: str) -> float | None:
        """Seconds since the lease was last seen to change, first sight included; None: no lease."""
        seen = self._seen.get(name)
        return None if seen is None else self._clock.monotonic() - seen[-1]

    def all_now(self) -> Mapping[str, tuple[float, ...]]:
        """By node, the ages of the renewals seen, newest first, as of this moment.

        Worked out as it is read: most passes look at no lease, and there may be thousands.
        """
        return _AgesAt(self._seen, self._clock.monotonic())

    def _note(self, name: str, renewed: str | None) -> None:
        now = self._clock.monotonic()
        seen = self._seen.setdefault(name, deque())
        seen.append(now)
        # The newest is kept however old: it is the one that tells the age.
        while len(seen) > 1 and seen[0] < now - self._remembered:
            seen.popleft()
        self._renewed[name] = renewed


class _AgesAt(Mapping[str, tuple[float, ...]]):
    """A view that must be read before the caches move on, that is within the same pass."""

    def __init__(self, seen: Mapping[str, deque[float]], now: float) -> None:
        self._seen = seen
        self._now = now

    def __getitem__(self, name: str) -> tuple[float, ...]:
        return tuple(self._now - at for at in reversed(self._seen[name]))

    def __iter__(self) -> Iterator[str]:
        return iter(self._seen)

    def __len__(self) -> int:
        return len(self._seen)
