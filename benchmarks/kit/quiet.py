"""Waits until the machine is quiet: what others do meanwhile would be measured as well."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

LOOK_SECONDS = 0.25
BUSY = 0.1
"""Of all processors together, what may be busy in a quiet look."""
PATIENCE_SECONDS = 20.0
"""How long one wait may last."""
PATIENCE_IN_ALL_SECONDS = 120.0
"""How long all waits of a run may last together: then it is measured as it is."""


def processors_busy() -> tuple[float, float]:
    """Seconds that all processors have spent working, and in all, since the machine's start."""
    ticks = [int(text) for text in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = ticks[3] + ticks[4]
    return (sum(ticks) - idle) / 100, sum(ticks) / 100


@dataclass(slots=True)
class Gate:
    """Lets a measurement begin; counts how often it found quiet, and how often it gave up."""

    in_all: float = PATIENCE_IN_ALL_SECONDS
    """Seconds for all waits; 0: not even looked."""
    look: Callable[[], tuple[float, float]] = processors_busy
    sleep: Callable[[float], None] = time.sleep
    passed: int = 0
    gave_up: int = 0
    waited: float = 0.0
    seen: list[float] = field(default_factory=list)
    """The busy share of the last look before each measurement."""

    def wait(self) -> None:
        """Return once the machine is quiet, or patience has run out."""
        if not self.in_all:
            return
        patience = min(PATIENCE_SECONDS, self.in_all - self.waited)
        looks = 0.0
        while True:
            share = self._share()
            looks += LOOK_SECONDS
            if share <= BUSY or looks >= patience:
                break
        self.waited += looks
        self.seen.append(share)
        self.passed += share <= BUSY
        self.gave_up += share > BUSY

    def words(self) -> str:
        """What the report says of it."""
        if not self.in_all:
            return "Whether the machine was quiet was not looked at."
        if not self.gave_up:
            return f"The machine was quiet before each of {self.passed} measurements."
        return (
            f"**The machine was not quiet**: before {self.gave_up} of "
            f"{self.passed + self.gave_up} measurements other processes kept it busy "
            f"(up to {max(self.seen):.0%}). The ratios are indicative only."
        )

    def _share(self) -> float:
        busy, in_all = self.look()
        self.sleep(LOOK_SECONDS)
        busy_then, in_all_then = self.look()
        return (busy_then - busy) / max(in_all_then - in_all, 1e-9)
