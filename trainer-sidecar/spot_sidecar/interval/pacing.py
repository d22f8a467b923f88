"""The interval in force: decided anew after each commit, shown to the trainer and the operator."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from spot_sidecar.base.pulse import Pulse
from spot_sidecar.config.spot_config import Pacing as Settings
from spot_sidecar.config.spot_config import Saves
from spot_sidecar.interval import costs
from spot_sidecar.interval.costs import Costs, Measured, Save
from spot_sidecar.interval.formula import Choice, Inputs, Why, choose, fixed, with_hysteresis
from spot_sidecar.interval.slowdown import SlowdownMeter
from spot_sidecar.interval.upload_throttle import PROBE_EVERY, Held, held_rate

__all__ = ["Pacing", "measured_before", "restored"]

HOUR: Final = 3600.0


class Pacing:
    """What the trainer is told of when to save, and why."""

    def __init__(
        self, interval: float, settings: Settings, trained_hours: Callable[[], float]
    ) -> None:
        """`interval`: the job's own, or the one to begin with; `trained_hours`: of this attempt."""
        self._settings = settings
        self._trained = trained_hours
        # The first one of an attempt goes at full speed, whatever is known from before.
        self._held_since_full_speed = PROBE_EVERY
        self.costs = Costs(measured_before(settings.measured) if settings.measured else None)
        self.slowdown_meter = SlowdownMeter(self.costs)
        self.seconds = interval
        self.choice: Choice | None = None
        self.changes = Pulse()
        self._rate = self._interruptions_per_second()
        self.decide()

    @property
    def measured(self) -> Measured | None:
        """What saving costs; None before the first save."""
        return self.costs.measured()

    @property
    def cost(self) -> float | None:
        """Seconds of training that one save takes; None: not measured."""
        measured = self.measured
        return None if measured is None else measured.stall + measured.slowing * measured.latency

    def saw_save(self, save: Save) -> None:
        """A save was committed: learn from it, decide again."""
        self._held_since_full_speed = self._held_since_full_speed + 1 if save.throttled else 0
        self.costs.saw_save(save)
        self.decide()

    def decide(self) -> None:
        """Take what is known now."""
        before = self.seconds, self.cost
        self._rate = self._interruptions_per_second()
        inputs = self._inputs()
        if inputs is not None and self._settings.adaptive:
            self.choice = choose(inputs)
            self.seconds = with_hysteresis(self.seconds, self.choice)
        elif inputs is not None:
            self.choice = fixed(self.seconds, inputs)
        if (self.seconds, self.cost) != before:
            self.changes.ring()

    def held_rate(self, *, size: int, reason: str, hurried: bool) -> float | None:
        """Bytes per second for the upload that begins now; None: as fast as it goes."""
        held = Held(
            interval=self.seconds,
            max_lost_work=self._settings.max_lost_work,
            size=size,
            reason=reason,
            since_full_speed=self._held_since_full_speed,
            hurried=hurried,
        )
        return held_rate(held, self.measured)

    def to_journal(self) -> dict[str, Any]:
        """What a restarted container goes on with; see `restored`."""
        measured = self.measured
        known = costs.to_json(measured) if measured is not None else None
        return {"seconds": self.seconds, "measured": known}

    def to_json(self) -> dict[str, Any]:
        """The interval with every input, as reports and status show it."""
        measured = costs.to_json(self.measured) if self.measured is not None else {}
        shown: dict[str, Any] = {"seconds": round(self.seconds, 3), "why": self._why().value}
        shown["inputs"] = measured | {
            "interruptionsPerHour": round(self._rate * HOUR, 6),
            "savedShare": round(self._settings.saved_share, 6),
        }
        shown["bounds"] = self._bounds()
        return shown

    def _bounds(self) -> dict[str, float]:
        choice, asked = self.choice, self._settings.max_lost_work
        found = {
            "optimum": choice.optimum if choice else None,
            "shortest": choice.shortest if choice else None,
            "longest": max(0.0, choice.longest) if choice and choice.longest is not None else None,
            "maxLostWork": asked,
        }
        return {name: round(value, 3) for name, value in found.items() if value is not None}

    def _why(self) -> Why:
        if self.choice is not None:
            return self.choice.why
        return Why.NOT_MEASURED if self._settings.adaptive else Why.FIXED

    def _inputs(self) -> Inputs | None:
        measured = self.measured
        if measured is None:
            return None
        return Inputs(
            stall=measured.stall,
            latency=measured.latency,
            slowdown=measured.slowing,
            step=measured.step or 0.0,
            rate=self._rate,
            saved=self._settings.saved_share,
            max_lost_work=self._settings.max_lost_work,
        )

    def _interruptions_per_second(self) -> float:
        """The posterior mean of a Gamma prior: every hour without an interruption lowers it."""
        hours = self._settings.exposure_hours + self._trained()
        return self._settings.incidents / hours / HOUR


def restored(
    interval: float, settings: Settings, saved: Mapping[str, Any]
) -> tuple[float, Settings]:
    """Interval and settings to begin with, given what was saved before a restart."""
    if not saved:
        return interval, settings
    known = saved["measured"]
    measured = Saves.model_validate(known) if known else settings.measured
    began = float(saved["seconds"]) if settings.adaptive else interval
    return began, settings.model_copy(update={"measured": measured})


def measured_before(saves: Saves) -> Measured:
    """What the attempts before measured, as the costs of this attempt begin with it."""
    return costs.from_json(saves.model_dump(by_alias=True, exclude_none=True))
