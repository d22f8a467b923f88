"""Where the trainer hands its snapshots in: lends arenas, and puts what comes back into line.

A periodic snapshot that finds no arena free is skipped and counted. A notice's or a final one waits
for an arena, and one that merely waits for its upload yields. A second snapshot of one step joins
the first: the state after a step is the same.
"""

from collections.abc import Callable
from dataclasses import dataclass

from spot_training.checkpoint.keys import checkpoint_id

from spot_sidecar.base.pulse import Pulse
from spot_sidecar.observability.metrics import Metrics
from spot_sidecar.shared_memory.arenas import Arenas
from spot_sidecar.snapshots.save_queue import SaveQueue
from spot_sidecar.snapshots.snapshot import Snapshot, State
from spot_sidecar.snapshots.stages import Stages
from spot_sidecar.state.attempt_state import AttemptState
from spot_sidecar.state.pod_journal import PodJournal

__all__ = ["HandOver", "Intake", "RefusedError"]

ENDED_KEPT = 8
"""Ends that a restarted sidecar still knows: a trainer waits for its newest snapshots."""
LOST = frozenset({State.FAILED, State.ABANDONED, State.SUPERSEDED})


class RefusedError(Exception):
    """The snapshot cannot be taken; the message says why."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """What the trainer says of the arena it filled, before it has an id."""

    snapshot: Callable[[str], Snapshot]
    """Makes the snapshot of this id."""
    process: int
    arena: int
    step: int


class Intake:
    """The snapshots of this pod that are not committed yet."""

    def __init__(
        self,
        arenas: Arenas,
        stages: Stages,
        *,
        attempt_state: AttemptState,
        journal: PodJournal,
        metrics: Metrics,
    ) -> None:
        self._arenas = arenas
        self._stages = stages
        self._attempt_state = attempt_state
        self._journal = journal
        self._metrics = metrics
        self._lines: dict[int, SaveQueue] = {}
        self._unfinished: dict[str, Snapshot] = {}
        self._newest: dict[int, Snapshot] = {}
        self._nonce: str | None = None
        self._closed = ""
        self._ended: dict[str, tuple[str, str]] = dict(journal.get("ended", {}))
        for id_, (state, why) in self._ended.items():
            stages.set(id_, State(state), why)
        self.arrivals = Pulse()

    @property
    def idle(self) -> bool:
        """Whether every snapshot that was handed in has come to its end."""
        return not self._unfinished

    def is_idle(self) -> bool:
        """`idle`, as a function."""
        return self.idle

    @property
    def unfinished(self) -> tuple[Snapshot, ...]:
        """What is not yet committed, failed or abandoned."""
        return tuple(self._unfinished.values())

    def open(self, nonce: str) -> None:
        """The attempt is claimed: its checkpoints carry this nonce. Take up what was left over."""
        if self._nonce is not None:
            return
        self._nonce = nonce
        for raw in self._journal.get("snapshots", ()):
            snapshot = Snapshot.from_json(raw)
            self._accept(snapshot)
            self.line(snapshot.process).advance()
        self.arrivals.ring()

    def close(self, why: str) -> None:
        """Take nothing more: this attempt may not commit."""
        self._closed = self._closed or why

    def checkpoint_of(self, snapshot: Snapshot) -> str:
        """The id of the checkpoint that this snapshot is a share of."""
        if self._nonce is None:
            raise RefusedError("this attempt is not claimed yet")
        return checkpoint_id(self._attempt_state.attempt, snapshot.step, self._nonce)

    def has_spare_arena(self, process: int) -> bool:
        """Whether a snapshot can be written while another is uploaded."""
        return self._arenas.spare(process)

    def line(self, process: int) -> SaveQueue:
        """The line of this process."""
        return self._lines.setdefault(process, SaveQueue())

    def processes(self) -> tuple[int, ...]:
        """The processes that have ever handed something in."""
        return tuple(sorted(self._lines))

    async def acquire(self, process: int, reason: str, seconds: float) -> int | None:
        """Lend an arena for a snapshot of this reason; None: all are in use.

        Only a periodic snapshot is refused at once; another waits up to `seconds`.
        """
        if reason == "periodic":
            return self._acquire_or_skip(process)
        clock = self._attempt_state.clock
        end = clock.monotonic() + seconds
        while True:
            beat, index = self._arenas.changes.beat, self._lend(process, yielding=True)
            left = end - clock.monotonic()
            if index is not None or left <= 0:
                return index
            await self._arenas.changes.beyond(beat, left)

    def take(self, handed: HandOver) -> str:
        """Take a filled arena; return the id under which the snapshot can be asked for.

        Raises:
            RefusedError: this attempt may not commit, or the arena holds another snapshot.
        """
        if same := self._same_step(handed):
            self._arenas.give_back(handed.process, handed.arena)
            return same.id
        if self._arenas.holds(handed.process, handed.arena):
            raise RefusedError(f"arena {handed.arena} already holds a snapshot; acquire one first")
        if self._closed or self._nonce is None:
            self._arenas.give_back(handed.process, handed.arena)
            raise RefusedError(self._closed or "this attempt has not been granted and claimed yet")
        snapshot = handed.snapshot(
            f"{handed.process}-{handed.step}-{self._attempt_state.entropy.token(4)}"
        )
        self._accept(snapshot)
        self._keep_in_memory()
        self.arrivals.ring()
        return snapshot.id

    def end(self, snapshot: Snapshot, state: State, why: str = "") -> None:
        """This snapshot has come to its end; the first end stands."""
        if self._unfinished.pop(snapshot.id, None) is None:
            return
        self._ended[snapshot.id] = (state.value, why)
        for id_ in list(self._ended)[:-ENDED_KEPT]:
            del self._ended[id_]
        self._keep_in_memory()
        self._stages.set(snapshot.id, state, why)
        self._metrics.ended.labels(state.value).inc()
        self.arrivals.ring()

    def release(self, snapshot: Snapshot) -> None:
        """The arena of this snapshot is free for the next one."""
        self._arenas.free(snapshot.process, snapshot.arena)

    def _accept(self, snapshot: Snapshot) -> None:
        self._arenas.keep(snapshot.process, snapshot.arena)
        self._unfinished[snapshot.id] = snapshot
        self._newest[snapshot.process] = snapshot
        self._stages.set(snapshot.id, State.QUEUED)
        yielded = self.line(snapshot.process).put(snapshot)
        if yielded:
            self.supersede(yielded, snapshot.step)

    def _acquire_or_skip(self, process: int) -> int | None:
        index = self._lend(process, yielding=False)
        if index is None:
            self._attempt_state.skipped_snapshots += 1
            self._metrics.skipped.inc()
            self._attempt_state.changed(urgent=False)
        return index

    def _lend(self, process: int, *, yielding: bool) -> int | None:
        index = self._arenas.lend(process)
        if index is None and yielding and (waiting := self.line(process).give_way()):
            self.supersede(waiting, None)
            index = self._arenas.lend(process)
        return index

    def supersede(self, snapshot: Snapshot, by_step: int | None) -> None:
        """This snapshot yields to a newer one: of `by_step`, or about to be taken."""
        newer = f"the snapshot of step {by_step}" if by_step is not None else "a newer snapshot"
        self.release(snapshot)
        self.end(snapshot, State.SUPERSEDED, f"yielded to {newer} before it was durable")

    def _same_step(self, handed: HandOver) -> Snapshot | None:
        newest = self._newest.get(handed.process)
        if newest is None or newest.step != handed.step:
            return None
        stage = self._stages.get(newest.id)
        return newest if stage and stage.state not in LOST else None

    def _keep_in_memory(self) -> None:
        self._journal.put(
            snapshots=[one.to_json() for one in self._unfinished.values()], ended=self._ended
        )
