"""When this leader first saw what lasts, by its own monotonic clock.

The instants in status were written by leaders whose clocks may have been wrong. What is no more is
forgotten, so that it begins anew when it comes again.
"""

from collections.abc import Iterable, Mapping

from spot_operator.control.clock import Clock
from spot_operator.domain.observed.snapshot import JobKey, Sign

__all__ = ["FirstSeen"]


class FirstSeen:
    """By job; a job that is created again under its name is another."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[JobKey, tuple[str, dict[Sign, float]]] = {}

    def ages(self, key: JobKey, uid: str, present: Iterable[Sign]) -> Mapping[Sign, float]:
        """Seconds since each of the `present` was first seen without a break."""
        now = self._clock.monotonic()
        known_uid, known = self._known.get(key, (uid, {}))
        first = {sign: known.get(sign, now) if known_uid == uid else now for sign in present}
        self._known[key] = uid, first
        return {sign: now - at for sign, at in first.items()}

    def forget(self, key: JobKey) -> None:
        """The job is gone."""
        self._known.pop(key, None)
