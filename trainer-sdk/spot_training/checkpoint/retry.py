"""Tries again after trouble on the way, with full jitter (AWS: Exponential Backoff And Jitter)."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from spot_training.checkpoint.store import Cancel, Cancelled, Unreachable

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Retry:
    """`attempts` tries in all; the n-th wait is drawn from [0, min(cap, initial * 2^n)] seconds."""

    attempts: int = 6
    initial: float = 0.2
    cap: float = 10.0
    draw: Callable[[], float] = random.random

    def wait(self, n: int) -> float:
        """Seconds to wait after the n-th failure, counted from 0."""
        return float(min(self.cap, self.initial * 2**n)) * self.draw()

    def call(self, action: Callable[[], Result], cancel: Cancel | None = None) -> Result:
        """What `action` returns; raises its last Unreachable, anything else at once."""
        for n in range(self.attempts - 1):
            expect_going_on(cancel)
            try:
                return action()
            except Unreachable:
                pause(self.wait(n), cancel)
        expect_going_on(cancel)
        return action()


def pause(seconds: float, cancel: Cancel | None) -> None:
    """Waits, or less when cancelled."""
    if cancel is None:
        time.sleep(seconds)
    else:
        cancel.wait(seconds)


def expect_going_on(cancel: Cancel | None, what: str = "the transfer") -> None:
    """Raises Cancelled once the event is set; `what` is given up then."""
    if cancel is not None and cancel.is_set():
        raise Cancelled(f"{what}: given up by its caller")
