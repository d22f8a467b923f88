"""Time, injected: waits and dates go by a `Clock`, but for the thread of `oom_watch`.

Also how times are written, and how the length of a pause is drawn.
"""

import asyncio
import random
import time
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["Clock", "SystemClock", "between", "parse_time", "timestamp"]


class Clock(Protocol):
    """What the sidecar may know of time."""

    def now(self) -> datetime:
        """Wall time, aware, in UTC: for what others read."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed point, never going back: for every duration."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of monotonic time."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


def between(low: float, high: float) -> float:
    """A number in [low, high]: spreads the load of many sidecars, protects nothing."""
    return random.uniform(low, high)  # noqa: S311


def timestamp(moment: datetime) -> str:
    """Format an aware time as RFC 3339 in UTC with `Z`, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Read an RFC 3339 time.

    Raises:
        ValueError: it is none, or it has no zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"the time {text!r} has no zone: write it in UTC with a final Z")
    return moment.astimezone(UTC)
