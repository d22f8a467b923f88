"""The work on handed-in snapshots: one upload at a time per process, then receipt and commit.

A snapshot that a notice asked for may pause the upload under way; any but a periodic one, and any
notice, lets what is held back go at full speed.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

from spot_training.checkpoint import keys
from spot_training.checkpoint.arena import ArenaError
from spot_training.checkpoint.digest import AlgorithmUnavailable
from spot_training.checkpoint.manifest import Manifest, Receipt, StoredObject
from spot_training.checkpoint.records import FormatError
from spot_training.checkpoint.store import Cancelled, StoreError
from spot_training.progress import Progress

from spot_sidecar.base.clock import timestamp
from spot_sidecar.config.paths import Paths
from spot_sidecar.config.spot_config import Config
from spot_sidecar.interval.costs import Save
from spot_sidecar.interval.pacing import Pacing
from spot_sidecar.lineage.access import TROUBLE, Lineage
from spot_sidecar.observability.metrics import Metrics
from spot_sidecar.snapshots.committer import Committer, NotCommittedError, SupersededError
from spot_sidecar.snapshots.intake import Intake
from spot_sidecar.snapshots.last_save import LastSave
from spot_sidecar.snapshots.ratelimit import RateLimit
from spot_sidecar.snapshots.share import Share, build_receipt
from spot_sidecar.snapshots.snapshot import Snapshot, State
from spot_sidecar.snapshots.snapshot_upload import upload_snapshot
from spot_sidecar.snapshots.stages import Stages
from spot_sidecar.snapshots.transfer import Transfer
from spot_sidecar.state.attempt_state import AttemptState, CommitSeen, Origin

__all__ = ["Surroundings", "Uploads"]

log = logging.getLogger(__name__)

RETRY_SECONDS = (1.0, 3.0)
LOST = (ArenaError, AlgorithmUnavailable, FormatError, StoreError, NotCommittedError)
"""Errors that another try cannot correct."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an upload asks of the world outside the store."""

    seconds_left: Callable[[], float | None]
    """Until the notice in force takes effect; None: there is none, or no deadline."""
    hurried: Callable[[], bool]
    """Whether nothing may be held back: a notice is in force, or the trainer has ended."""
    progress: Callable[[], Progress | None]
    """How far the trainer is, read now."""


class Uploads:
    """Takes from the intake, leaves checkpoints in the store."""

    def __init__(
        self,
        intake: Intake,
        stages: Stages,
        committer: Committer,
        lineage: Lineage,
        pacing: Pacing,
        *,
        attempt_state: AttemptState,
        metrics: Metrics,
        config: Config,
        paths: Paths,
        parent: Callable[[], Origin | None],
        expected: Callable[[], Collection[int]],
        surroundings: Surroundings,
        save_costs: Callable[[dict[str, Any]], object],
    ) -> None:
        """`parent`: the checkpoint this attempt continues; `expected`: the processes that save.

        `save_costs` keeps what saves cost for a restart of this container.
        """
        self._intake = intake
        self._stages = stages
        self._committer = committer
        self._lineage = lineage
        self._attempt_state = attempt_state
        self._metrics = metrics
        self._config = config
        self._paths = paths
        self._parent = parent
        self._expected = expected
        self._pacing = pacing
        self._around = surroundings
        self._save_costs = save_costs
        self._transfers: dict[int, Transfer] = {}
        self._stopped = False
        self.last_save = LastSave(
            pacing, attempt_state, self._transfers.get, intake.has_spare_arena
        )
        self._shares: dict[str, Share] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._unverified: list[Manifest] = []
        self._verifying: set[str] = set()

    async def run(self) -> None:
        """Work until cancelled; each process has its own line."""
        async with asyncio.TaskGroup() as group:
            while True:
                beat = self._intake.arrivals.beat
                for process in self._intake.processes():
                    self._reconsider(process)
                    task = self._tasks.get(process)
                    if task is None or task.done():
                        self._tasks[process] = group.create_task(self._work_off(process))
                for manifest in self._take_unverified():
                    group.create_task(self._verify(manifest))
                await self._intake.arrivals.beyond(beat)

    async def wait_until_idle(self, seconds: float) -> bool:
        """Wait up to `seconds` until every snapshot has come to its end; say whether all have."""
        return await self._until(lambda: self._intake.idle, seconds)

    async def verified(self, seconds: float) -> bool:
        """Wait up to `seconds` until every commit was looked at once more; say whether all were."""
        return await self._until(lambda: not self._unverified and not self._verifying, seconds)

    def abandon(self, why: str) -> None:
        """This attempt may commit nothing more: give up what is under way or waits."""
        self._intake.close(why)
        self.stop()
        for snapshot in self._intake.unfinished:
            self._intake.release(snapshot)
            self._intake.end(snapshot, State.ABANDONED, why)

    def stop(self) -> None:
        """The process ends: let no thread go on with an upload."""
        self._stopped = True
        for transfer in self._transfers.values():
            transfer.cancel.set()

    def hurry(self) -> None:
        """Something presses: nothing under way is held back any longer."""
        for transfer in self._transfers.values():
            transfer.limit.lift()

    async def _until(self, done: Callable[[], bool], seconds: float) -> bool:
        clock = self._attempt_state.clock
        end = clock.monotonic() + seconds
        while not done() and (left := end - clock.monotonic()) > 0:
            await self._intake.arrivals.beyond(self._intake.arrivals.beat, left)
        return done()

    async def _verify(self, manifest: Manifest) -> None:
        await self._committer.verify(manifest)
        self._verifying.discard(manifest.id)
        self._intake.arrivals.ring()

    def _take_unverified(self) -> list[Manifest]:
        taken, self._unverified = self._unverified, []
        self._verifying.update(manifest.id for manifest in taken)
        return taken

    def _reconsider(self, process: int) -> None:
        """What came in may press on, or push aside, what is under way."""
        waiting, transfer = self._intake.line(process).waiting, self._transfers.get(process)
        if waiting is None or transfer is None or waiting.periodic:
            return
        transfer.limit.lift()
        left = self._around.seconds_left()
        if waiting.reason == "notice" and self.last_save.gives_way(waiting, left):
            log.info("paused", extra={"step": transfer.snapshot.step, "for": waiting.step})
            transfer.pause()

    async def _work_off(self, process: int) -> None:
        line = self._intake.line(process)
        while (snapshot := line.advance()) is not None:
            transfer = self._launch(snapshot)
            if await self._finish(snapshot, transfer):
                self._release(transfer)
                line.done()
            else:
                line.hold()

    def _launch(self, snapshot: Snapshot) -> Transfer:
        clock = self._attempt_state.clock
        hurried = self._around.hurried()
        rate = self._pacing.held_rate(size=snapshot.bytes, reason=snapshot.reason, hurried=hurried)
        transfer = Transfer(snapshot, RateLimit(rate, clock.monotonic), clock.monotonic())
        self._transfers[snapshot.process] = transfer
        self._metrics.held_back.inc(transfer.limit.held_back)
        self._pacing.slowdown_meter.upload_begins(self._around.progress())
        if self._stopped:
            transfer.cancel.set()
        return transfer

    async def _finish(self, snapshot: Snapshot, transfer: Transfer) -> bool:
        """Bring it to its end; False if it was paused instead."""
        try:
            await self._save(snapshot, transfer)
        except SupersededError as error:
            self._intake.end(snapshot, State.ABANDONED, str(error))
        except Cancelled:
            if transfer.paused and not self._stopped:
                return False
            self._intake.end(snapshot, State.ABANDONED, "the upload was given up")
        except LOST as error:
            self._fail(snapshot, error)
        finally:
            del self._transfers[snapshot.process]
            if not transfer.uploaded:
                self._pacing.slowdown_meter.disturbed()
        return True

    def _release(self, transfer: Transfer) -> None:
        if not transfer.released:
            transfer.released = True
            self._intake.release(transfer.snapshot)

    async def _save(self, snapshot: Snapshot, transfer: Transfer) -> None:
        checkpoint = self._intake.checkpoint_of(snapshot)
        self._stages.set(snapshot.id, State.UPLOADING)
        receipt = await self._committer.standing_receipt(checkpoint)
        if receipt is None:
            receipt = await self._upload(snapshot, checkpoint, transfer)
        transfer.sending = False
        self._release(transfer)
        if receipt is None:
            return  # another process of this pod completes the share, and ends this one as well
        manifest = await self._commit(receipt, checkpoint, snapshot)
        self._learn(snapshot, transfer)
        self._seen(manifest, snapshot)
        if held := self._intake.line(snapshot.process).drop_held():
            self._intake.supersede(held, snapshot.step)
        share = self._shares.pop(checkpoint, None)
        for one in share.snapshots.values() if share else (snapshot,):
            self._intake.end(one, State.COMMITTED)

    async def _upload(
        self, snapshot: Snapshot, checkpoint: str, transfer: Transfer
    ) -> Receipt | None:
        """Make the snapshot durable; the receipt, if this completes the pod's share."""
        clock = self._attempt_state.clock
        item = await self._stored(snapshot, checkpoint, transfer)
        transfer.durable(clock.monotonic())
        full_speed = not transfer.limit.held_back
        self._pacing.slowdown_meter.upload_ends(self._around.progress(), counts=full_speed)
        share = self._shares.setdefault(checkpoint, Share(checkpoint))
        share.add(snapshot, item, transfer.uploaded)
        self._metrics.uploaded.inc(snapshot.bytes)
        if not share.complete({*self._expected(), snapshot.process}):
            return None
        now = timestamp(clock.now())
        receipt = build_receipt(share, self._config, parent=self._parent(), now=now)
        return await self._committer.write_receipt(receipt)

    async def _stored(
        self, snapshot: Snapshot, checkpoint: str, transfer: Transfer
    ) -> StoredObject:
        """Upload until the store has it, unless a newer snapshot waits behind trouble."""
        work = partial(
            upload_snapshot,
            snapshot=snapshot,
            path=self._paths.arena(snapshot.process, snapshot.arena),
            key=keys.data(checkpoint, self._config.rank, snapshot.process),
            throttle=transfer.limit,
            cancel=transfer.cancel,
        )
        while True:
            try:
                return await self._lineage.once(work)
            except TROUBLE:
                if self._intake.line(snapshot.process).waiting is not None:
                    raise
            await self._attempt_state.clock.sleep(
                self._attempt_state.entropy.uniform(*RETRY_SECONDS)
            )

    async def _commit(self, receipt: Receipt, checkpoint: str, snapshot: Snapshot) -> Manifest:
        share = self._shares.get(checkpoint)
        for one in share.snapshots.values() if share else (snapshot,):
            self._stages.set(one.id, State.DURABLE)
        return await self._committer.commit(receipt)

    def _learn(self, snapshot: Snapshot, transfer: Transfer) -> None:
        """What this save cost decides how often the next ones come."""
        if not transfer.uploaded:
            return  # its receipt stood before: an earlier run of this container sent it
        self._pacing.saw_save(
            Save(
                stall=snapshot.stall_seconds,
                latency=self._attempt_state.clock.monotonic() - transfer.begun,
                upload=transfer.uploaded,
                bytes=snapshot.bytes,
                throttled=transfer.limit.held_back,
            )
        )
        self._attempt_state.interval = self._pacing.to_json()
        self._save_costs(self._pacing.to_journal())
        self._metrics.saw_interval(self._attempt_state.interval)

    def _seen(self, manifest: Manifest, snapshot: Snapshot) -> None:
        commit = CommitSeen.of(manifest, snapshot.taken_at)
        self._attempt_state.committed(commit)
        self._metrics.saw_commit(commit)
        log.info("committed", extra=commit.to_json())
        self._unverified.append(manifest)

    def _fail(self, snapshot: Snapshot, error: Exception) -> None:
        why = f"{type(error).__name__}: {error}"
        log.warning("snapshot lost", extra={"step": snapshot.step, "why": why})
        self._intake.end(snapshot, State.FAILED, why)
        self._attempt_state.note("SnapshotLost", f"step {snapshot.step}: {why}", warning=True)
