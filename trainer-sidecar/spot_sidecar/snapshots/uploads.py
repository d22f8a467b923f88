"""The work on handed-in snapshots: one upload at a time per process, then receipt and commit."""

import asyncio
import logging
import threading
from collections.abc import Callable, Collection
from functools import partial

from spot_training.checkpoint import keys
from spot_training.checkpoint.arena import ArenaError
from spot_training.checkpoint.digest import AlgorithmUnavailable
from spot_training.checkpoint.manifest import Manifest, Receipt, StoredObject
from spot_training.checkpoint.records import FormatError
from spot_training.checkpoint.store import Cancelled, StoreError
from spot_training.times import parse_rfc3339

from spot_sidecar.clock import between, timestamp
from spot_sidecar.config import Config
from spot_sidecar.lineage import TROUBLE, Lineage
from spot_sidecar.metrics import Metrics
from spot_sidecar.paths import Paths
from spot_sidecar.snapshots.committer import Committer, NotCommittedError, SupersededError
from spot_sidecar.snapshots.intake import Intake
from spot_sidecar.snapshots.share import Share, build_receipt
from spot_sidecar.snapshots.snapshot import Snapshot, State
from spot_sidecar.snapshots.stages import Stages
from spot_sidecar.snapshots.upload import upload_snapshot
from spot_sidecar.standing import CommitSeen, Origin, Standing

__all__ = ["Uploads"]

log = logging.getLogger(__name__)

RETRY_SECONDS = (1.0, 3.0)
LOST = (ArenaError, AlgorithmUnavailable, FormatError, StoreError, NotCommittedError)
"""What no further try can mend."""


class Uploads:
    """Takes from the intake, leaves checkpoints in the store."""

    def __init__(
        self,
        intake: Intake,
        stages: Stages,
        committer: Committer,
        lineage: Lineage,
        *,
        standing: Standing,
        metrics: Metrics,
        config: Config,
        paths: Paths,
        parent: Callable[[], str | None],
        expected: Callable[[], Collection[int]],
    ) -> None:
        """`parent`: the checkpoint this attempt continues; `expected`: the processes that save."""
        self._intake = intake
        self._stages = stages
        self._committer = committer
        self._lineage = lineage
        self._standing = standing
        self._metrics = metrics
        self._config = config
        self._paths = paths
        self._parent = parent
        self._expected = expected
        self._cancel = threading.Event()
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
                    task = self._tasks.get(process)
                    if task is None or task.done():
                        self._tasks[process] = group.create_task(self._work_off(process))
                for manifest in self._take_unverified():
                    group.create_task(self._verify(manifest))
                await self._intake.arrivals.beyond(beat)

    async def settled(self, seconds: float) -> bool:
        """Wait up to `seconds` until every snapshot has come to its end; say whether all have."""
        return await self._until(lambda: self._intake.idle, seconds)

    async def verified(self, seconds: float) -> bool:
        """Wait up to `seconds` until every commit was looked at once more; say whether all were."""
        return await self._until(lambda: not self._unverified and not self._verifying, seconds)

    def abandon(self, why: str) -> None:
        """This attempt may commit nothing more: give up what is under way or waits."""
        self._intake.close(why)
        self._cancel.set()
        for snapshot in self._intake.unfinished:
            self._intake.release(snapshot)
            self._intake.end(snapshot, State.ABANDONED, why)

    def stop(self) -> None:
        """The process ends: let no thread go on with an upload."""
        self._cancel.set()

    async def _until(self, done: Callable[[], bool], seconds: float) -> bool:
        clock = self._standing.clock
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

    async def _work_off(self, process: int) -> None:
        line = self._intake.line(process)
        while (snapshot := line.advance()) is not None:
            try:
                await self._save(snapshot)
            except SupersededError as error:
                self._intake.end(snapshot, State.ABANDONED, str(error))
            except Cancelled:
                self._intake.end(snapshot, State.ABANDONED, "the upload was given up")
            except LOST as error:
                self._fail(snapshot, error)
            finally:
                self._intake.release(snapshot)
                line.done()

    async def _save(self, snapshot: Snapshot) -> None:
        checkpoint = self._intake.checkpoint_of(snapshot)
        self._stages.set(snapshot.id, State.UPLOADING)
        receipt = await self._committer.standing_receipt(checkpoint)
        if receipt is None:
            receipt = await self._upload(snapshot, checkpoint)
        self._intake.release(snapshot)
        if receipt is None:
            return  # another process of this pod completes the share, and ends this one as well
        manifest = await self._commit(receipt, checkpoint, snapshot)
        self._seen(manifest, snapshot)
        share = self._shares.pop(checkpoint, None)
        for one in share.snapshots.values() if share else (snapshot,):
            self._intake.end(one, State.COMMITTED)

    async def _upload(self, snapshot: Snapshot, checkpoint: str) -> Receipt | None:
        """Make the snapshot durable; the receipt, if this completes the pod's share."""
        clock = self._standing.clock
        begun = clock.monotonic()
        item = await self._stored(snapshot, checkpoint)
        share = self._shares.setdefault(checkpoint, Share(checkpoint))
        share.add(snapshot, item, clock.monotonic() - begun)
        self._metrics.uploaded.inc(snapshot.bytes)
        if not share.complete({*self._expected(), snapshot.process}):
            return None
        now = timestamp(clock.now())
        receipt = build_receipt(share, self._config, parent=self._parent(), now=now)
        return await self._committer.write_receipt(receipt)

    async def _stored(self, snapshot: Snapshot, checkpoint: str) -> StoredObject:
        """Upload until the store has it, unless a newer snapshot waits behind trouble."""
        work = partial(
            upload_snapshot,
            snapshot=snapshot,
            path=self._paths.arena(snapshot.process, snapshot.arena),
            key=keys.data(checkpoint, self._config.rank, snapshot.process),
            cancel=self._cancel,
        )
        while True:
            try:
                return await self._lineage.once(work)
            except TROUBLE:
                if self._intake.line(snapshot.process).waiting is not None:
                    raise
            await self._standing.clock.sleep(between(*RETRY_SECONDS))

    async def _commit(self, receipt: Receipt, checkpoint: str, snapshot: Snapshot) -> Manifest:
        share = self._shares.get(checkpoint)
        for one in share.snapshots.values() if share else (snapshot,):
            self._stages.set(one.id, State.DURABLE)
        return await self._committer.commit(receipt)

    def _seen(self, manifest: Manifest, snapshot: Snapshot) -> None:
        committed_at = parse_rfc3339(manifest.committed_at)
        commit = CommitSeen(
            origin=Origin(manifest.attempt, manifest.step, manifest.id),
            bytes=manifest.cost.bytes,
            committed_at=committed_at,
            write_seconds=max(0.0, (committed_at - snapshot.taken_at).total_seconds()),
            stall_seconds=manifest.cost.stall_seconds,
            reason=manifest.reason,
        )
        self._standing.commits += 1
        self._standing.commit = commit
        self._metrics.saw_commit(commit)
        self._standing.changed()
        log.info("committed", extra=commit.to_json())
        self._unverified.append(manifest)

    def _fail(self, snapshot: Snapshot, error: Exception) -> None:
        why = f"{type(error).__name__}: {error}"
        log.warning("snapshot lost", extra={"step": snapshot.step, "why": why})
        self._intake.end(snapshot, State.FAILED, why)
        self._standing.note("SnapshotLost", f"step {snapshot.step}: {why}", warning=True)
