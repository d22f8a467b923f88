"""Time, injected: the loop of a run reads no other clock than the one it is given."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Protocol

from spot_training.times import utc_now


class Clock(Protocol):
    """What a run may know of time."""

    def now(self) -> datetime:
        """Wall time, aware, in UTC: for what others read."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed point, never going back: for every duration."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        return utc_now()

    def monotonic(self) -> float:
        return time.monotonic()
