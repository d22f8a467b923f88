"""From complete sets in the script's directory to checkpoints in the store.

A scan every second finds the newest complete set; it is uploaded when the job's interval has passed
since the last one, at once when a notice is in force or the script has ended. A set that changes
during its upload is dropped, and scanned again once it has settled.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from spot_training.checkpoint.digest import AlgorithmUnavailable
from spot_training.checkpoint.keys import checkpoint_id
from spot_training.checkpoint.manifest import Receipt, StoredObject
from spot_training.checkpoint.records import FormatError
from spot_training.checkpoint.store import Cancelled, Store, StoreError

from spot_sidecar.base.clock import timestamp
from spot_sidecar.base.pulse import Pulse
from spot_sidecar.config.spot_config import Config
from spot_sidecar.directory.scanner import Scanner
from spot_sidecar.directory.set_upload import upload_set
from spot_sidecar.directory.sets import FileSet
from spot_sidecar.directory.spool import SetChangedError, Spool
from spot_sidecar.directory.tree import TooManyFilesError, Tree
from spot_sidecar.lineage.access import TROUBLE, Lineage
from spot_sidecar.observability.metrics import Metrics
from spot_sidecar.snapshots.committer import Committer, NotCommittedError, SupersededError
from spot_sidecar.snapshots.share import Taken, receipt_of
from spot_sidecar.state.attempt_state import AttemptState, CommitSeen, Origin

__all__ = ["DirectorySaves", "Surroundings"]

log = logging.getLogger(__name__)

SCAN_SECONDS = 1.0
SCAN_SHARE = 20
"""A scan is followed by a pause of so many times its own length: a large tree is scanned less."""
RETRY_SECONDS = (1.0, 3.0)
LOST = (AlgorithmUnavailable, FormatError, StoreError, NotCommittedError)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What saving asks of the rest of the sidecar."""

    interval: Callable[[], float]
    """Seconds between two uploads, unless something presses."""
    hurried: Callable[[], bool]
    """A notice is in force, or the script has ended."""
    reached: Callable[[int], object]
    """Told the step of the newest complete set."""
    parent: Callable[[], Origin | None]
    """The checkpoint that this attempt continues."""


class DirectorySaves:
    """Scans, and saves what it finds, one set at a time."""

    def __init__(
        self,
        tree: Tree,
        scanner: Scanner,
        spool: Spool,
        committer: Committer,
        lineage: Lineage,
        *,
        attempt_state: AttemptState,
        metrics: Metrics,
        config: Config,
        around: Surroundings,
    ) -> None:
        self._tree = tree
        self._scanner = scanner
        self._spool = spool
        self._committer = committer
        self._lineage = lineage
        self._attempt_state = attempt_state
        self._metrics = metrics
        self._config = config
        self._around = around
        self._nonce = ""
        self._floor = -1
        self._found: FileSet | None = None
        self._found_at: datetime | None = None
        self._saved_at: float | None = None
        self._saving = False
        self._ended = False
        self._scans = asyncio.Lock()
        self._cancel = threading.Event()
        self._trouble = ""
        self.changes = Pulse()

    async def run(self, nonce: str, begun_at: int) -> None:
        """Scan and save until cancelled; sets up to the step `begun_at` are none of this attempt's.

        `nonce` is in the ids of this attempt's checkpoints.
        """
        self._nonce = nonce
        commit = self._attempt_state.commit
        self._floor = max(begun_at, commit.origin.step if commit else -1)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._scan_on())
            group.create_task(self._save_on())

    async def wait_until_idle(self, seconds: float) -> None:
        """The script has ended: wait up to `seconds` until its newest set is a checkpoint."""
        self._ended = True
        end = self._attempt_state.clock.monotonic() + seconds
        if self._nonce:
            await self._scan()
        while self._busy and (left := end - self._attempt_state.clock.monotonic()) > 0:
            self.changes.ring()
            await self.changes.beyond(self.changes.beat, min(left, SCAN_SECONDS))

    def abandon(self) -> None:
        """Commit nothing more: the attempt is over, or the process ends."""
        self._cancel.set()

    @property
    def _busy(self) -> bool:
        waiting = self._found is not None and self._found.step > self._floor
        return bool(self._nonce) and not self._cancel.is_set() and (self._saving or waiting)

    async def _scan_on(self) -> None:
        while True:
            began = self._attempt_state.clock.monotonic()
            await self._scan()
            took = self._attempt_state.clock.monotonic() - began
            await self._attempt_state.clock.sleep(max(SCAN_SECONDS, SCAN_SHARE * took))

    async def _scan(self) -> None:
        async with self._scans:
            try:
                found = await asyncio.to_thread(
                    self._scanner.newest,
                    self._floor,
                    self._attempt_state.clock.monotonic(),
                    ended=self._ended,
                )
            except (OSError, TooManyFilesError) as error:
                self._warn("DirectoryUnreadable", f"the script's directory: {error}")
                return
        if found is None or found == self._found:
            return
        self._found, self._found_at = found, self._attempt_state.clock.now()
        self._around.reached(found.step)
        self.changes.ring()

    async def _save_on(self) -> None:
        while True:
            beat = self.changes.beat
            if self._found is not None and self._due(self._found):
                await self._save(self._found)
            await self.changes.beyond(beat, SCAN_SECONDS)

    def _due(self, found: FileSet) -> bool:
        if found.step <= self._floor or self._cancel.is_set():
            return False
        if self._saved_at is None or self._ended or self._around.hurried():
            return True
        passed = self._attempt_state.clock.monotonic() - self._saved_at
        return passed >= self._around.interval()

    async def _save(self, found: FileSet) -> None:
        self._saving = True
        try:
            await self._commit(found)
        except SetChangedError as error:
            log.info("set dropped", extra={"set": found.root, "why": str(error)})
            self._metrics.ended.labels("changed").inc()
            self._found = None
        except (SupersededError, Cancelled) as error:
            log.info("given up", extra={"set": found.root, "why": str(error)})
            self._cancel.set()
        except OSError as error:
            self._warn("SetUnreadable", _unreadable(found, error))
            self._found = None
        except LOST as error:
            self._warn("SnapshotLost", f"step {found.step}: {type(error).__name__}: {error}")
            self._floor = found.step
        finally:
            self._saving = False
            self.changes.ring()

    async def _commit(self, found: FileSet) -> None:
        begun = self._attempt_state.clock.monotonic()
        taken_at = self._found_at or self._attempt_state.clock.now()
        checkpoint = checkpoint_id(self._config.attempt, found.step, self._nonce)
        receipt = await self._committer.standing_receipt(checkpoint)
        if receipt is None:
            receipt = await self._uploaded(found, checkpoint, taken_at)
        manifest = await self._committer.commit(receipt)
        self._saved_at, self._trouble = begun, ""
        self._floor = max(self._floor, found.step)
        commit = CommitSeen.of(manifest, taken_at)
        self._attempt_state.committed(commit)
        self._metrics.saw_commit(commit)
        await self._committer.verify(manifest)

    async def _uploaded(self, found: FileSet, checkpoint: str, taken_at: datetime) -> Receipt:
        begun = self._attempt_state.clock.monotonic()
        held = await asyncio.to_thread(self._spool.hold, self._tree, found)
        upload = partial(
            upload_set,
            held=held,
            checkpoint=checkpoint,
            rank=self._config.rank,
            cancel=self._cancel,
        )
        try:
            objects = await self._through_trouble(found, upload)
        finally:
            await asyncio.to_thread(self._spool.clear)
        self._metrics.uploaded.inc(sum(item.size for item in objects))
        taken = Taken(
            checkpoint=checkpoint,
            step=found.step,
            reason="notice" if self._around.hurried() else "periodic",
            taken_at=taken_at,
            upload_seconds=self._attempt_state.clock.monotonic() - begun,
            objects=objects,
        )
        now = timestamp(self._attempt_state.clock.now())
        receipt = receipt_of(taken, self._config, parent=self._around.parent(), now=now)
        return await self._committer.write_receipt(receipt)

    async def _through_trouble(
        self, found: FileSet, upload: Callable[[Store], tuple[StoredObject, ...]]
    ) -> tuple[StoredObject, ...]:
        """Upload until the store has it, unless a newer set waits behind trouble."""
        while True:
            try:
                return await self._lineage.once(upload)
            except TROUBLE:
                if self._found is not None and self._found.step > found.step:
                    raise
            await self._attempt_state.clock.sleep(
                self._attempt_state.entropy.uniform(*RETRY_SECONDS)
            )

    def _warn(self, reason: str, message: str) -> None:
        if message != self._trouble:
            self._trouble = message
            log.warning("%s: %s", reason, message)
            self._attempt_state.note(reason, message, warning=True)


def _unreadable(found: FileSet, error: OSError) -> str:
    return (
        f"{found.root} is complete and cannot be read or linked ({error.strerror or error}): set "
        "securityContext.runAsUser of the trainer to the user that it runs as"
    )
