"""Time and chance. The only file that reads either, so that tests can own both.

Two kinds of time, never mixed: `now()` is for what people and other machines read (timestamps in
objects), `monotonic()` is for every decision about durations. The wall clock may jump.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

__all__ = ["Clock", "Entropy", "SystemClock", "SystemEntropy", "timestamp", "within"]

T = TypeVar("T")


class Clock(Protocol):
    """What the code may know of time."""

    def now(self) -> datetime:
        """Wall time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed point; never goes back, means nothing to another process."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of monotonic time; zero or less yields once."""
        ...


class Entropy(Protocol):
    """What the code may know of chance."""

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high], every one as likely."""
        ...

    def token(self) -> str:
        """16 lower-case hexadecimal digits, unguessable and unique."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class SystemEntropy:
    """The machine's randomness."""

    def uniform(self, low: float, high: float) -> float:
        return random.uniform(low, high)  # noqa: S311 - spreads load, protects nothing

    def token(self) -> str:
        return secrets.token_hex(8)


def timestamp(moment: datetime, *, micro: bool = False) -> str:
    """Format an aware time as Kubernetes writes it: `Time` (seconds) or `MicroTime`."""
    kind = "microseconds" if micro else "seconds"
    return moment.astimezone(UTC).isoformat(timespec=kind).replace("+00:00", "Z")


async def within(clock: Clock, seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Await `work` for at most `seconds` of `clock`.

    `asyncio.timeout` would measure with the event loop's clock instead of the injected one.

    Raises:
        TimeoutError: the time is over; `work` has been cancelled and has ended.
    """
    task = asyncio.ensure_future(work)
    timer = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise TimeoutError(f"not done within {seconds:.1f} s")
    finally:
        task.cancel()
        timer.cancel()
        await asyncio.gather(task, timer, return_exceptions=True)
