"""Whether no more work than tolerated can be lost, with the numbers. Pure.

Without a warning the work since the last snapshot that was committed is lost: at worst one
interval, one copy of the state and the time until it is durable. The next save begins only when
the last one is durable, so that no setting can bring it below twice that time.
"""

from dataclasses import dataclass
from datetime import timedelta
from math import ceil, floor
from typing import Literal

from spot_operator.api.job import ADAPTIVE
from spot_operator.api.names import Reason
from spot_operator.domain.observed.context import Context
from spot_operator.domain.state.ledger import Ledger


@dataclass(frozen=True, slots=True)
class BoundFound:
    """What condition LossBoundFeasible should say."""

    status: Literal["True", "False", "Unknown"]
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class _Figures:
    """Seconds, but for `asked_by` and `size`."""

    asked: float
    asked_by: str
    """Whose bound it is, where it is not the job's own."""
    interval: float
    stall: float
    latency: float
    step: float
    shortest: float
    size: int
    adaptive: bool

    @property
    def behind(self) -> float:
        """From a snapshot's begin until it is safe."""
        return self.stall + self.latency

    @property
    def least(self) -> float:
        """What may be lost however often it is saved."""
        return max(self.shortest, self.step, self.latency) + self.behind

    @property
    def worst(self) -> float:
        """What may be lost at the interval in force."""
        return max(self.interval, self.step, self.latency) + self.behind


def loss_bound(context: Context, ledger: Ledger) -> BoundFound:
    """Whether `maxLostWork` can be kept, as far as is known of the job's saves."""
    if context.max_lost_work is None:
        message = "neither the job nor its policy sets checkpoint.maxLostWork"
        return BoundFound("Unknown", Reason.NO_BOUND_ASKED, message)
    figures = _figures(context, ledger)
    if figures is None:
        return BoundFound("Unknown", Reason.NOT_MEASURED, "no save has been measured yet")
    kept = figures.least if figures.adaptive else figures.worst
    if kept <= figures.asked * (1 + 1e-6):
        return BoundFound("True", Reason.WITHIN_BOUND, _within(figures))
    return BoundFound("False", Reason.BOUND_EXCEEDED, _beyond(figures))


def _figures(context: Context, ledger: Ledger) -> _Figures | None:
    spec, known = context.job.spec.checkpoint, ledger.checkpoint.interval
    if known is None or context.max_lost_work is None:
        return None
    inputs = known.inputs
    if inputs.stall_seconds is None or inputs.commit_latency_seconds is None:
        return None
    fixed = spec.interval if isinstance(spec.interval, timedelta) else None
    return _Figures(
        asked=context.max_lost_work.total_seconds(),
        asked_by="" if _own(context) else f" of SpotPolicy {context.policy_name}",
        interval=known.seconds if fixed is None else fixed.total_seconds(),
        stall=inputs.stall_seconds,
        latency=inputs.commit_latency_seconds,
        step=inputs.step_seconds or 0.0,
        shortest=0.0 if fixed is not None else known.bounds.shortest or 0.0,
        size=inputs.state_bytes or 0,
        adaptive=spec.interval == ADAPTIVE,
    )


def _own(context: Context) -> bool:
    return context.job.spec.checkpoint.max_lost_work == context.max_lost_work


def _within(found: _Figures) -> str:
    worst = min(found.worst, found.asked) if found.adaptive else found.worst
    return (
        f"a loss without warning costs at most {_up(worst)} of work; maxLostWork"
        f"{found.asked_by} is {_span(found.asked)}: a checkpoint every "
        f"{_span(found.interval)}, {_costs(found)}"
    )


def _beyond(found: _Figures) -> str:
    worst = found.least if found.adaptive else found.worst
    says = (
        f"a loss without warning can cost {_up(worst)} of work; maxLostWork"
        f"{found.asked_by} is {_span(found.asked)}: {_costs(found)}"
    )
    if found.least <= found.asked:
        shorter = f"{floor(found.asked - found.behind)} s"
        return (
            f"{says}; set checkpoint.interval to at most {shorter}, or to Adaptive, or raise "
            f"maxLostWork to {_up(found.worst)}"
        )
    return (
        f"{says}, and the next save begins when the last one is durable; set maxLostWork to at "
        f"least {_up(found.least)}, make the state smaller, or use a faster store"
    )


def _costs(found: _Figures) -> str:
    step = f", a step takes {_span(found.step)}" if found.step >= found.latency else ""
    return (
        f"copying the state takes {_span(found.stall)}, making its {_size(found.size)} durable "
        f"{_span(found.latency)}{step}"
    )


def _span(seconds: float) -> str:
    """To whole seconds or two digits: what changes with every save says no more."""
    return f"{float(f'{seconds:.2g}') if seconds < 10 else round(seconds):g} s"


def _up(seconds: float) -> str:
    return f"{ceil(seconds - 1e-6)} s"


def _size(size: int) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{float(f'{size / factor:.2g}'):g} {unit}"
    return f"{size} bytes"
