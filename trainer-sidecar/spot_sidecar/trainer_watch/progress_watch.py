"""Reads the trainer's progress every second, and adds each second to a time bucket."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime

from spot_training.progress import Progress, read_progress

from spot_sidecar.config.paths import Paths
from spot_sidecar.state.attempt_state import AttemptState, Trainer
from spot_sidecar.state.time_buckets import Phase, spend

__all__ = ["ProgressWatch", "slowest"]

UPDATE_SECONDS = 1.0


class ProgressWatch:
    """One update after the other; `processes` is called at each."""

    def __init__(
        self,
        attempt_state: AttemptState,
        paths: Paths,
        *,
        high_water: int,
        processes: Callable[[], Iterable[int]],
    ) -> None:
        """`connect` follows, once there is something to connect to."""
        self._attempt_state = attempt_state
        self._paths = paths
        self._high_water = high_water
        self._phase: Callable[[], Phase] = _starting
        self._processes = processes
        self._works: Callable[[int], object] = _nothing
        self._updated_at = attempt_state.clock.monotonic()
        self._stalled = 0.0
        self._step: int | None = None
        self._begun_at: int | None = None
        self._stepping_since: float | None = None

    def connect(self, *, phase: Callable[[], Phase], works: Callable[[int], object]) -> None:
        """`phase` is called at each update, `works` with each process that shows progress."""
        self._phase = phase
        self._works = works

    async def run(self) -> None:
        """Update until cancelled."""
        while True:
            await self._attempt_state.clock.sleep(UPDATE_SECONDS)
            self.update()

    def update(self) -> None:
        """Read the progress files now and account for the time since the last update."""
        self._account(self.seen())

    def seen(self) -> Progress | None:
        """How far the trainer is, read now."""
        return slowest([self._read(process) for process in self._processes()])

    def turn(self) -> None:
        """Something else begins now: what has passed belongs to what was until now."""
        self._account(None)

    def reached(self, step: int) -> None:
        """A trainer that shows no progress by itself is known to have done this step."""
        now = self._attempt_state.clock.now().timestamp()
        self._account(Progress(step, 0, 0, now, 0.0))

    def begins_at(self, step: int) -> None:
        """The attempt trains from this step on."""
        self.turn()
        self._step = self._begun_at = step
        self._attempt_state.trainer.step = max(step, self._attempt_state.trainer.step)
        self._attempt_state.replayed_steps = max(0, self._high_water - step)

    def _account(self, seen: Progress | None) -> None:
        now = self._attempt_state.clock.monotonic()
        if seen and self._step is None:
            # A restarted container: what came before has been accounted for.
            self._step, self._stalled = seen.step, seen.stall_seconds
        before, stalled = self._step or 0, self._stalled
        if seen:
            _show(self._attempt_state.trainer, seen)
            self._step, self._stalled = seen.step, seen.stall_seconds
        self._note_own_steps(now)
        self._attempt_state.seconds = spend(
            self._attempt_state.seconds,
            now - self._updated_at,
            self._phase(),
            stalled=self._stalled - stalled,
            steps=(before, self._step or 0),
            high_water=self._high_water,
        )
        self._updated_at = now

    def _note_own_steps(self, now: float) -> None:
        """From the first step beyond the checkpoint's: being there again is not a step."""
        if self._begun_at is None or (self._step or 0) <= self._begun_at:
            return
        if self._stepping_since is None:
            self._stepping_since = now
        self._attempt_state.trainer.stepping_seconds = now - self._stepping_since

    def _read(self, process: int) -> Progress | None:
        try:
            progress = read_progress(self._paths.progress(process))
        except OSError:
            return None  # made by a trainer that does not let us read it
        if progress:
            self._works(process)
        return progress


def _starting() -> Phase:
    return Phase.STARTING


def _nothing(_: int) -> None:
    """Nobody wants to know yet."""


def slowest(seen: Iterable[Progress | None]) -> Progress | None:
    """The progress of the process that is furthest behind, with the longest stall of any."""
    known = [progress for progress in seen if progress]
    if not known:
        return None
    least = min(known, key=lambda progress: progress.step)
    stall = max(progress.stall_seconds for progress in known)
    return Progress(least.step, least.samples, least.epoch, least.at, stall)


def _show(trainer: Trainer, seen: Progress) -> None:
    trainer.step = seen.step
    trainer.samples = seen.samples
    trainer.epoch = seen.epoch
    trainer.stall_seconds = seen.stall_seconds
    if seen.at:
        # The trainer may have written any bits.
        with suppress(OverflowError, OSError, ValueError):
            trainer.last_step_at = datetime.fromtimestamp(seen.at, UTC)
