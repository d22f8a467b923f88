"""The interval between two checkpoints, from what is measured. Pure; all times in seconds.

Interruptions come at `rate`; the share `saved` of them leaves time for a last save, so that only
the rest rolls work back. The waste per second of work, `cost/tau + rate (1-saved) tau/2`, is least
at Young's `sqrt(2 cost / (rate (1-saved)))` (10.1145/361147.361115); Daly's expansion
(10.1016/j.future.2004.11.016) of the same is used throughout, as it is continuous and differs by
less than the noise of the estimates where the cost is small.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["Choice", "Inputs", "Why", "choose", "fixed", "optimum", "with_hysteresis"]

OVERHEAD: Final = 0.03
"""The share of the time that saving may cost: CheckFreq keeps to 3.5 %."""
SHORTEST: Final = 5.0
"""Nothing is saved more often, however cheap: each checkpoint is some requests to the store."""
LONGEST: Final = 3600.0
"""Without a bound on lost work: a hopeful estimate of `saved` must not stretch it without end."""
HYSTERESIS: Final = 0.2
"""A change smaller than this share is noise: the optimum is flat."""


class Why(StrEnum):
    """What decided the interval."""

    FIXED = "Fixed"
    """The job asks for this interval."""
    NOT_MEASURED = "NotMeasured"
    """No save was measured yet."""
    OPTIMUM = "Optimum"
    """Saving more often would cost more than it saves, and less often too."""
    LONGEST = "Longest"
    """The optimum is beyond the longest interval without a bound on lost work."""
    OVERHEAD = "Overhead"
    """Saving at the optimum would cost too large a share of the time."""
    MAX_LOST_WORK = "MaxLostWork"
    """The user tolerates no more lost work."""
    UPLOAD = "Upload"
    """The next save cannot begin before the last one is durable."""
    STEP = "Step"
    """State can be saved between steps only."""
    SHORTEST = "Shortest"
    """Nothing is saved more often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the interval depends on. `rate` is in interruptions per second."""

    stall: float
    """How long the trainer stands still for a snapshot."""
    latency: float
    """From the snapshot to its commit, the upload not being held back."""
    slowdown: float
    """The share of its speed that the trainer loses meanwhile, in [0, 1)."""
    step: float
    rate: float
    saved: float
    """The share of interruptions before which a last save commits, in [0, 1]."""
    max_lost_work: float | None = None

    @property
    def cost(self) -> float:
        """What one save takes from training: the stall and the slowdown behind it."""
        return self.stall + self.slowdown * self.latency


@dataclass(frozen=True, slots=True)
class Choice:
    """The interval, why, and between which bounds; `longest` None where nothing bounds it."""

    seconds: float
    why: Why
    optimum: float | None
    shortest: float
    longest: float | None
    feasible: bool
    """Whether no more than the tolerated work can be lost."""


def optimum(cost: float, rate: float, saved: float) -> float:
    """Daly's interval for interruptions of which `saved` cost no work; endless if none do."""
    unsaved = rate * (1.0 - saved)
    if unsaved <= 0.0:
        return math.inf
    mean = 1.0 / unsaved
    # Beyond 2 the expansion no longer holds; there the interval stays the share of the mean time.
    x = min(cost / mean, 2.0)
    return mean * (math.sqrt(2 * x) - 2 * x / 3 + math.sqrt(2 * x) * x / 18)


def choose(inputs: Inputs) -> Choice:
    """The interval for these inputs: the bound on lost work wins over the overhead, the time that
    an upload takes wins over everything."""
    best = optimum(inputs.cost, inputs.rate, inputs.saved)
    wanted, why = best, Why.OPTIMUM
    if wanted > LONGEST:
        wanted, why = LONGEST, Why.LONGEST
    if wanted < inputs.cost / OVERHEAD:
        wanted, why = inputs.cost / OVERHEAD, Why.OVERHEAD
    shortest, because = max(
        (SHORTEST, Why.SHORTEST), (inputs.step, Why.STEP), (inputs.latency, Why.UPLOAD)
    )
    longest = _longest(inputs, shortest)
    if longest is not None and wanted > longest:
        wanted, why = longest, Why.MAX_LOST_WORK
    if wanted < shortest:
        wanted, why = shortest, because
    feasible = longest is None or wanted <= longest
    return Choice(wanted, why, best if math.isfinite(best) else None, shortest, longest, feasible)


def fixed(seconds: float, inputs: Inputs) -> Choice:
    """The interval that the job asks for, against the same bounds."""
    chosen, left = choose(inputs), _left(inputs)
    feasible = left is None or max(seconds, inputs.step, inputs.latency) <= left
    return Choice(seconds, Why.FIXED, chosen.optimum, chosen.shortest, chosen.longest, feasible)


def with_hysteresis(current: float, choice: Choice) -> float:
    """The interval from now on: `current` unless the choice is far off or a bound is crossed."""
    near = abs(choice.seconds - current) <= HYSTERESIS * current
    above = current >= choice.shortest
    below = choice.longest is None or current <= choice.longest or not choice.feasible
    return current if near and above and below else choice.seconds


def _left(inputs: Inputs) -> float | None:
    """What the bound on lost work leaves between two snapshots."""
    if inputs.max_lost_work is None:
        return None
    return inputs.max_lost_work - inputs.stall - inputs.latency


def _longest(inputs: Inputs, shortest: float) -> float | None:
    """The interval after which the next step still ends within what is left, where one can."""
    left = _left(inputs)
    return None if left is None else max(left - inputs.step, min(left, shortest))
