"""Time, injected: every wait and every date comes from a `Clock`. Also how times are written."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["Clock", "SystemClock", "parse_time", "timestamp"]


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

    def block(self, seconds: float) -> None:
        """Return after `seconds`; blocks the calling thread, which is never the event loop's."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))

    def block(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))


def timestamp(moment: datetime) -> str:
    """Format an aware time as RFC 3339 in UTC with `Z`, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Read an RFC 3339 time.

    Raises:
        ValueError: it is not a time, or it has no zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"the time {text!r} has no zone: write it in UTC with a final Z")
    return moment.astimezone(UTC)
