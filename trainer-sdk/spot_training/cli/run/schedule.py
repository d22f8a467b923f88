"""When to kill next. Pure, seeded: the same seed kills at the same seconds."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

from spot_training.cli.codes import wrong_usage

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|)")


@dataclass(slots=True)
class Schedule:
    """Seconds from a start to its kill: `every`, more or less by up to `jitter` of it."""

    every: float
    jitter: float
    seed: int
    _draw: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed)  # noqa: S311 - not for secrets

    def next(self) -> float:
        """The next one; uniform over the range."""
        return self.every * (1 + self.jitter * self._draw.uniform(-1, 1))

    def spelled(self) -> str:
        """The range, as a person says it."""
        if not self.jitter:
            return f"after {self.every:g} s"
        low, high = self.every * (1 - self.jitter), self.every * (1 + self.jitter)
        return f"after {low:.3g} to {high:.3g} s"


def seconds(text: str) -> float:
    """30s, 1.5m, 500ms, 2h, or plain seconds; Refusal for anything else."""
    match = _DURATION.fullmatch(text)
    if match is None or float(match[1]) <= 0:
        raise wrong_usage(f"{text!r} is not a duration; give one such as 30s, 1.5m or 500ms")
    return float(match[1]) * _UNITS[match[2]]
