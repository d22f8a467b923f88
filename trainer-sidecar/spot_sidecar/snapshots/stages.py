"""How far each snapshot is, for whoever waits for one."""

from collections.abc import Mapping
from dataclasses import dataclass

from spot_sidecar.base.clock import Clock
from spot_sidecar.base.pulse import Pulse
from spot_sidecar.snapshots.snapshot import State

__all__ = ["Stage", "Stages"]

KEPT = 64
"""Ended snapshots that are still known by id; a trainer asks for its newest."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A snapshot's state and, where it needs one, the reason."""

    state: State
    why: str = ""


class Stages:
    """The stages of the snapshots of this attempt, by id."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stages: dict[str, Stage] = {}
        self._pulse = Pulse()

    def get(self, snapshot: str) -> Stage | None:
        """The stage of this snapshot; None if it is not known."""
        return self._stages.get(snapshot)

    def set(self, snapshot: str, state: State, why: str = "") -> None:
        """Record a stage and wake whoever waits; a final one is never changed again."""
        before = self._stages.get(snapshot)
        if before and before.state.final:
            return
        self._stages[snapshot] = Stage(state, why)
        self._forget()
        self._pulse.ring()

    def all(self) -> Mapping[str, Stage]:
        """Every stage that is known."""
        return self._stages

    async def final(self, snapshot: str, seconds: float) -> Stage | None:
        """Wait up to `seconds` for the end of this snapshot; return the present stage."""
        return await self.beyond(snapshot, State.QUEUED, seconds, until_final=True)

    async def beyond(
        self, snapshot: str, state: State, seconds: float, *, until_final: bool = False
    ) -> Stage | None:
        """Wait up to `seconds` until the stage differs from `state`, or is final if asked."""
        end = self._clock.monotonic() + seconds
        while True:
            beat, stage = self._pulse.beat, self.get(snapshot)
            left = end - self._clock.monotonic()
            done = stage is None or stage.state.final or (not until_final and stage.state != state)
            if done or left <= 0:
                return stage
            await self._pulse.beyond(beat, left)

    def _forget(self) -> None:
        ended = [key for key, stage in self._stages.items() if stage.state.final]
        for key in ended[: max(0, len(ended) - KEPT)]:
            del self._stages[key]
