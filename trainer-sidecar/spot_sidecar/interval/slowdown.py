"""How much an upload beside it slows the trainer: step times while one runs, and while none does.

Read off the progress files when an upload begins and when it ends: between two readings there were
so many steps in so many seconds, stalls taken out. Pure.
"""

from dataclasses import dataclass
from typing import Final

from spot_training.progress import Progress

from spot_sidecar.interval.costs import Costs

__all__ = ["SlowdownMeter"]

LEAST_STEPS: Final = 5
"""Fewer steps say nothing: the first and the last one straddle the edges."""


@dataclass(slots=True)
class SlowdownMeter:
    """Feeds `costs` at each end of an upload."""

    costs: Costs
    _since: Progress | None = None
    _quiet: float | None = None

    def upload_begins(self, seen: Progress | None) -> None:
        """What was measured until now was undisturbed."""
        self._quiet = _step_seconds(self._since, seen)
        if self._quiet is not None:
            self.costs.saw_steps(quiet=self._quiet)
        self._since = seen

    def upload_ends(self, seen: Progress | None, *, counts: bool = True) -> None:
        """What was measured since its start was disturbed; not if it was held back on purpose."""
        beside = _step_seconds(self._since, seen)
        if counts and beside is not None and self._quiet is not None:
            self.costs.saw_slowdown(quiet=self._quiet, beside=beside)
        self._since = seen

    def disturbed(self) -> None:
        """Something else (an evaluation, a notice) took time: begin anew."""
        self._since = None


def _step_seconds(since: Progress | None, seen: Progress | None) -> float | None:
    if since is None or seen is None or not since.at:
        return None
    steps = seen.step - since.step
    seconds = seen.at - since.at - (seen.stall_seconds - since.stall_seconds)
    return seconds / steps if steps >= LEAST_STEPS and seconds > 0 else None
