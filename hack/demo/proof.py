"""What the demo claims, checked: each claim is a line with the figures it rests on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from stage.steplog import StepLog

Object = dict[str, Any]


@dataclass
class Claims:
    """The claims made so far; the demo succeeds when all of them hold."""

    made: list[tuple[bool, str, str]] = field(default_factory=list)

    def claim(self, holds: object, what: str, figures: str) -> bool:
        """Record one claim; returns whether it holds."""
        self.made.append((bool(holds), what, figures))
        return bool(holds)

    @property
    def hold(self) -> bool:
        """True when at least one was made and none failed."""
        return bool(self.made) and all(holds for holds, _, _ in self.made)


def each_step_once(log: StepLog, attempts: set[int], start: int) -> tuple[bool, str]:
    """True when the attempts together ran every step from `start` to their last exactly once."""
    repeated, missing = log.repeated(attempts), log.missing(attempts)
    steps = [line.step for line in log.lines() if line.attempt in attempts]
    first = min(steps, default=0)
    holds = not repeated and not missing and first == start
    return holds, f"steps {first}..{max(steps, default=0)}, twice: {repeated}, missing: {missing}"


def same_bits(ours: Object, theirs: Object) -> tuple[bool, str]:
    """True when both checkpoints hold the same tensors with the same bytes.

    The codec's own tensor (run state: wall times, attempt) differs by nature and is left out.
    """
    names = {name for name in ours | theirs if not name.startswith("__spot__")}
    differ = sorted(name for name in names if not _same(ours.get(name), theirs.get(name)))
    size = sum(ours[name].nbytes for name in names if name in ours) / 2**20
    told = ", ".join(differ[:4]) or "none"
    return bool(names) and not differ, f"{len(names)} tensors, {size:.1f} MiB, differing: {told}"


def _same(ours: Any, theirs: Any) -> bool:
    if ours is None or theirs is None:
        return False
    return (
        ours.dtype == theirs.dtype
        and ours.shape == theirs.shape
        and np.array_equal(ours.view(np.uint8), theirs.view(np.uint8))
    )
