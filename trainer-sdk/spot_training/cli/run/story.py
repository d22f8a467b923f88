"""What happened in a start, and what it all added up to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spot_training import steplog
from spot_training.cli.run.ending import Ending
from spot_training.cli.text import count
from spot_training.steplog import Line


@dataclass(slots=True)
class Start:
    """One start of the script, as far as its step log tells. Times are unix seconds.

    `high_water` is the highest step that any earlier start had done.
    """

    began: float
    high_water: int
    attempt: int | None = None
    resumed_at: int | None = None
    ready: float | None = None
    caught_up: float | None = None
    first_step: float | None = None
    step: int = 0
    stall: float = 0.0
    ended: float = 0.0
    ending: Ending | None = None

    def hear(self, line: Line) -> None:
        """One more line of the log."""
        self.attempt, self.step, self.stall = line.attempt, line.step, line.stall
        if self.ready is None:
            self.ready, self.resumed_at = line.at, line.step
        if self.first_step is None and line.kind == steplog.STEP:
            self.first_step = line.at
        if self.caught_up is None and line.step >= self.high_water:
            self.caught_up = line.at

    @property
    def again(self) -> int:
        """Steps that an earlier start had done before."""
        if self.resumed_at is None:
            return 0
        return max(0, min(self.step, self.high_water) - self.resumed_at)

    @property
    def starting(self) -> float:
        """Seconds until its state was ready; all of them if it never was."""
        return (self.ready or self.ended) - self.began

    @property
    def replaying(self) -> float:
        """Seconds spent on steps that were done before."""
        if self.ready is None:
            return 0.0
        return (self.caught_up or self.ended) - self.ready


def reached(starts: Sequence[Start]) -> int:
    """The highest step that any start has done."""
    return max((start.step for start in starts), default=0)


def unproved(starts: Sequence[Start]) -> str:
    """Why the starts say nothing of resuming; empty if one of them resumed."""
    if any(start.resumed_at for start in starts):
        return ""
    if len(starts) > 1:
        return (
            "no start resumed from a checkpoint: every interruption came before the first one. "
            "Give a longer --kill-every, or the script a shorter interval"
        )
    return (
        "the script completed before it was interrupted. Give a shorter --kill-every, or let it "
        "train longer"
    )


def summary(starts: Sequence[Start]) -> list[str]:
    """The figures a person wants. The first start of a run is not waste: it is always needed."""
    wall = starts[-1].ended - starts[0].began
    struck = sum(start.ending in (Ending.KILLED, Ending.PAUSED) for start in starts)
    resumes = sum(bool(start.resumed_at) for start in starts)
    again, steps = sum(start.again for start in starts), reached(starts)
    restarting = sum(start.starting for start in starts[1:])
    replaying = sum(start.replaying for start in starts)
    stall = sum(start.stall for start in starts)
    wasted = restarting + replaying
    times = f"{count(struck, 'interruption')}, {count(resumes, 'resume')}"
    detail = f"{restarting:.1f} s starting and restoring, {replaying:.1f} s in steps done again"
    return [
        f"{times}, {count(len(starts), 'start')} in {wall:.1f} s",
        f"{count(steps, 'step')}, {again:,} of them done again ({_share(again, steps)})",
        f"{wasted:.1f} s wasted ({_share(wasted, wall)}): {detail}",
        f"{stall:.2f} s of checkpoint stall ({_share(stall, wall)})",
    ]


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "0.0 %"
