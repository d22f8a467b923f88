"""One attempt of one process: what a training script talks to between `resume` and `complete`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from typing import Any, TypeVar

import numpy as np

from spot_training import randomness, steplog
from spot_training.backends.backend import Backend, Ticket
from spot_training.clock import Clock
from spot_training.data import Cursor
from spot_training.exits import Paused, leave, tell
from spot_training.notices import Notice
from spot_training.pausing import first_due, flush_end, plan_flush, worth_saving
from spot_training.progress import Progress
from spot_training.snapshots import SnapshotFacts, Writer
from spot_training.sources import Order
from spot_training.state import TrainingState
from spot_training.times import rfc3339

Batch = TypeVar("Batch")
_FINAL_TRIES = 3
NoticeCallback = Callable[[Notice], object]


class Run:
    """Made by `resume`. Use it from the thread that trains."""

    def __init__(
        self,
        backend: Backend,
        state: TrainingState,
        *,
        rng: np.random.Generator,
        seed: int | None,
        clock: Clock,
        on_notice: NoticeCallback | None = None,
    ) -> None:
        self.rng = rng
        self._clock = clock
        self.metrics: dict[str, float] = {}
        self._backend = backend
        self._state = state
        self._seed = seed
        self._cursor = Cursor()
        self._step = 0
        self._on_notice = on_notice
        self._heard: Notice | None = None
        self._writer = Writer()
        self._ticket: Ticket | None = None
        self._timed: Ticket | None = None
        self._durations: list[float] = []
        self._stall = 0.0
        self._waits_from = 0.0
        self._early: float | None = None
        self._durable_at = 0.0
        self._log = steplog.from_environment()
        self._closed = False
        self._marked: randomness.Mark | None = None

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self._backend.attempt

    @property
    def current_step(self) -> int:
        """Steps done, over all attempts."""
        return self._step

    @property
    def samples(self) -> int:
        """Samples consumed, over all attempts and epochs."""
        return self._cursor.samples

    @property
    def extras(self) -> MutableMapping[str, Any]:
        """The typed extras, restored: the very mapping that was passed to `resume`."""
        return self._state.extras

    def epochs(self, n: int) -> Iterator[int]:
        """Epoch numbers up to `n - 1`, beginning with the one that was interrupted."""
        while self._cursor.epoch < n:
            yield self._cursor.epoch
            self._cursor.next_epoch()

    def batches(self, data: Order[Batch] | Iterable[Batch]) -> Iterator[Batch]:
        """This epoch's batches that were not consumed yet.

        For an iterable that is not an `Order`, consumed batches are fetched again and skipped; it
        has to yield the same batches for the same random state. Where that is not sure, or the last
        one consumed is seen to be another, stderr and the checkpoints say so. Raises WrongData if
        the data cannot be what was trained on before.
        """
        return self._cursor.walk(data, capture=self._randomness, restore=self._restore_randomness)

    def step(self, *, samples: int = 0, **metrics: float) -> None:
        """One optimizer step is done; call it once for each, after the state was changed.

        Saves if a save is due. `samples` counts samples that did not come from `batches`. The last
        `metrics` are kept with the checkpoint. Raises Paused after a certain notice, when the state
        is safe (or cannot be made safer in time).
        """
        self._expect_open()
        self._step += 1
        self._cursor.count(samples)
        self.metrics = {name: float(value) for name, value in metrics.items()}
        self._publish()
        self._note(steplog.STEP)
        self.heed()
        if self._clock.monotonic() >= self._due():
            self._save_periodically()

    def heed(self) -> None:
        """Looks for a notice; for where the next `step` is far, as in a long evaluation.

        Raises Paused after a certain notice, as `step` does.
        """
        self._expect_open()
        notice = self._backend.notice()
        if notice is not None and notice != self._heard:
            self._hear(notice)
        if notice is not None and notice.certain:
            self._pause(notice)

    def save(self, reason: str = "manual") -> bool:
        """Takes a snapshot now if an arena is free; returns whether it was taken.

        Call it between steps. It is made durable in the background.
        """
        self._expect_open()
        return self._save(reason, seconds=0.0) is not None

    def complete(self) -> None:
        """Saves the final state, waits until it is committed and marked as the job's result.

        Raises RuntimeError if that fails; the job is then not complete.
        """
        self._expect_open()
        why = ""
        for _ in range(_FINAL_TRIES):
            ticket = self._save("final", seconds=None)
            if ticket is None:
                why = "no arena was lent"
                continue
            ticket.wait(None)
            if ticket.committed and self._backend.complete(ticket):
                self._close()
                return
            why = ticket.why
            self._ticket = None  # forgotten by a sidecar that restarted, or failed: once more
        raise RuntimeError(f"the final checkpoint was not committed: {why}")

    @contextlib.contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """`with run.busy("eval"):` a long silence that is not a stall."""
        self._backend.busy(what)
        try:
            yield
        finally:
            self._backend.busy(None)

    # -- what frameworks need that have loops of their own -----------------------------------------

    @property
    def warned(self) -> bool:
        """Whether a certain notice is in force: the next `step` or `heed` raises Paused."""
        notice = self._backend.notice()
        return notice is not None and notice.certain

    def doubt(self, why: str) -> None:
        """Going on behind an interruption may not be exact: told, and kept with the checkpoints."""
        self._cursor.note(why)

    def enter_epoch(self, epoch: int) -> None:
        """The framework is about to iterate over the data of `epoch`, which it walks by itself."""
        self._cursor.enter(epoch, capture=self._randomness, restore=self._restore_randomness)

    def mark(self) -> None:
        """The random state here, before the next batch is read, is the one that checkpoints hold.

        For frameworks whose steps are over only when that batch was read. Holds until the next one.
        """
        self._marked = randomness.Mark(self.rng)

    def settle(self, *, consumed: bool = True) -> None:
        """What was consumed is skipped: the random state of the checkpoint is put back, once.

        If nothing was `consumed` of the epoch, to enter it was enough.
        """
        self._cursor.settle(self._restore_randomness, consumed=consumed)

    def rehearse(self) -> None:
        """Lays a snapshot out without taking it; raises TypeError naming what cannot be kept."""
        self._writer.prepare(*self._capture())

    # -- what `resume` does with a run -------------------------------------------------------------

    def restore(self, plain: dict[str, Any]) -> None:
        """Takes over position, seed and random state; the trainer's own state is restored."""
        position = plain["position"]
        self._step = position["step"]
        self._cursor.restore(position["cursor"], now=plain["rng"])
        self.metrics = dict(position["metrics"])
        if self._seed is None:
            self._seed = position["seed"]
        self._restore_randomness(plain["rng"])

    def begin(self, *, fresh: bool) -> None:
        """The state is ready: time counts from here."""
        now = self._waits_from = self._durable_at = self._clock.monotonic()
        self._early = first_due(now, self._backend.interval) if fresh else None
        self._publish()
        self._note(steplog.BEGIN)

    # -- saving ------------------------------------------------------------------------------------

    def _due(self) -> float:
        """When the next periodic save is due, by the interval as it is now."""
        return self._waits_from + self._backend.interval if self._early is None else self._early

    def _save_periodically(self) -> None:
        in_flight = self._ticket is not None and not self._ticket.settled
        if not in_flight:
            self._save("periodic", seconds=0.0)
            self._waits_from, self._early = self._clock.monotonic(), None

    def _save(self, reason: str, *, seconds: float | None) -> Ticket | None:
        """A snapshot of this step, or the one of this step that was taken before."""
        self._learn()
        if self._ticket is not None and self._ticket.step == self._step and not self._failed():
            return self._ticket
        began = self._clock.monotonic()
        prepared = self._writer.prepare(*self._capture())
        lent = self._backend.lend(prepared.bytes, reason, seconds)
        if lent is None:
            return None
        prepared.write(lent.arena.begin(step=self._step, payload_bytes=prepared.bytes))
        control = lent.arena.finish()
        stall = self._clock.monotonic() - began
        self._stall += stall
        self._ticket = self._backend.submit(lent, control, self._facts(reason, stall))
        self._publish()
        return self._ticket

    def _capture(self) -> tuple[dict[str, Any], dict[str, Any]]:
        arrays, plain = self._state.capture()
        position = {
            "step": self._step,
            "cursor": self._cursor.to_plain(),
            "metrics": _finite(self.metrics),
            "seed": self._seed,
        }
        return arrays, plain | {"position": position, "rng": self._marked_randomness()}

    def _facts(self, reason: str, stall: float) -> SnapshotFacts:
        return SnapshotFacts(
            step=self._step,
            samples=self._cursor.samples,
            epoch=self._cursor.epoch,
            reason=reason,
            stall_seconds=stall,
            taken_at=rfc3339(self._clock.now()),
            dataset=self._cursor.exactness,
        )

    def _failed(self) -> bool:
        return self._ticket is not None and self._ticket.settled and not self._ticket.committed

    def _learn(self) -> None:
        """Remembers how long the last snapshot took to be committed."""
        ticket = self._ticket
        if ticket is not None and ticket.committed and ticket is not self._timed:
            self._timed = ticket
            self._durations = [*self._durations[-4:], ticket.seconds or 0.0]
            self._durable_at = ticket.began

    # -- notices -----------------------------------------------------------------------------------

    def _hear(self, notice: Notice) -> None:
        self._heard = notice
        if not notice.certain:
            self._learn()
            now = self._clock.monotonic()
            if worth_saving(notice.kind, now - self._durable_at, self._backend.cost):
                self._early = now
        if self._on_notice is None:
            return
        try:
            self._on_notice(notice)
        except Exception as error:  # noqa: BLE001 - a callback informs; it never ends the training
            tell(f"on_notice raised {error!r}")

    def _pause(self, notice: Notice) -> None:
        """Save, wait until it is committed or the time is up, say so, leave."""
        self._learn()
        now = self._clock.monotonic()
        left = notice.seconds_left(self._clock.now())
        until = flush_end(now, left)
        flush = plan_flush(now, left, self._estimate(now))
        fits = self._backend.fits(None if until is None else until - now)
        if flush.save if fits is None else (fits and (left is None or left > 0)):
            self._save("notice", seconds=None if flush.until is None else flush.until - now)
        ticket = self._ticket
        if ticket is not None:
            ticket.wait(
                None if flush.until is None else max(0.0, flush.until - self._clock.monotonic())
            )
        reason = f"{notice.kind} from {notice.source}: {self._outcome(ticket)}"
        self._backend.say("Paused", reason)
        self._close()
        leave(Paused(reason))

    def _estimate(self, now: float) -> float | None:
        """How long a last save takes to be committed: behind an upload under way, if there is one.

        None: no save was committed yet.
        """
        known = max(self._durations, default=None)
        if known is None or self._ticket is None or self._ticket.settled:
            return known
        return known + max(0.0, known - (now - self._ticket.began))

    def _outcome(self, ticket: Ticket | None) -> str:
        if ticket is not None and ticket.committed:
            behind = self._step - ticket.step
            return f"step {ticket.step} is committed" + (f", {behind} replay" if behind else "")
        return f"not enough time to commit step {self._step}, the last checkpoint is kept"

    # -- the rest ----------------------------------------------------------------------------------

    def _randomness(self) -> Any:
        return randomness.capture(self.rng)

    def _marked_randomness(self) -> Any:
        return self._randomness() if self._marked is None else self._marked.to_plain()

    def _restore_randomness(self, plain: Any) -> None:
        randomness.restore(plain, self.rng)

    def _publish(self) -> None:
        self._backend.publish(
            Progress(
                self._step,
                self._cursor.samples,
                self._cursor.epoch,
                self._clock.now().timestamp(),
                self._stall,
            )
        )

    def _note(self, kind: str) -> None:
        """One line of the step log, if there is one."""
        if self._log is None:
            return
        self._log.write(
            steplog.Line(
                kind, self.attempt, self._step, self._clock.now().timestamp(), self.samples,
                self._stall, self.metrics,
            )
        )  # fmt: skip

    def _expect_open(self) -> None:
        if self._closed:
            raise RuntimeError("the run has ended: nothing may follow complete() or Paused")

    def _close(self) -> None:
        self._closed = True
        if self._log is not None:
            self._log.close()
        self._backend.close()


def _finite(metrics: dict[str, float]) -> dict[str, float]:
    """JSON has no NaN: what is not finite is not kept."""
    return {name: value for name, value in metrics.items() if np.isfinite(value)}
