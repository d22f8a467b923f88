"""Brings a checkpoint's objects into shared memory, every byte verified (V3).

Each object becomes a plain safetensors file. A file that an earlier run of this container left
whole is hashed instead of downloaded; anything else is made anew, beside its place and then renamed
there: never written over, because the trainer may have it mapped.
"""

import contextlib
import mmap
import os
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from spot_training.checkpoint.arena import arena_bytes
from spot_training.checkpoint.content import FileRoom, FullError
from spot_training.checkpoint.digest import algorithm
from spot_training.checkpoint.manifest import FILE, Manifest, StoredObject
from spot_training.checkpoint.records import UnsupportedSchema
from spot_training.checkpoint.store import Store

from spot_sidecar.base.mapped import mapped
from spot_sidecar.config.paths import GROUP_FILE, Paths
from spot_sidecar.lineage.access import Lineage
from spot_sidecar.observability.metrics import Metrics
from spot_sidecar.resume.decision import RestoredFile
from spot_sidecar.shared_memory.arenas import Arenas, StagingTooSmallError

__all__ = ["Fetch"]


class Fetch:
    """The restored files of this pod."""

    def __init__(self, lineage: Lineage, arenas: Arenas, paths: Paths, metrics: Metrics) -> None:
        self._lineage = lineage
        self._arenas = arenas
        self._paths = paths
        self._metrics = metrics
        self._present = set(arenas.restored)
        self._cancel = threading.Event()

    async def fetch(
        self, manifest: Manifest, rank: int, lineage: Lineage | None = None
    ) -> tuple[RestoredFile, ...]:
        """Download the rank's objects of the checkpoint; waits out trouble on the way.

        Raises:
            NotFound, Corrupt: what the store says about the content.
            records.UnsupportedSchema: it holds the files of a script without the SDK.
            StagingTooSmallError: the shared memory cannot hold them.
        """
        self._forget()
        objects = manifest.objects_of(rank)
        if any(item.role == FILE for item in objects):
            raise UnsupportedSchema(
                f"{manifest.id} holds a script's own files: resume it with a job whose "
                "checkpoint.source is a directory"
            )
        self._reserve(objects)
        for item in objects:
            await (lineage or self._lineage).patiently(partial(self._bring, item=item))
        return tuple(
            RestoredFile(self._paths.restored(item.process), item.process, item.role)
            for item in objects
        )

    def discard(self) -> None:
        """Remove the files: the trainer has loaded them, or they are of no use."""
        for process in self._present:
            self._paths.restored(process).unlink(missing_ok=True)
        self._forget()

    def cancel(self) -> None:
        """Give up a download that is under way."""
        self._cancel.set()

    def _forget(self) -> None:
        for process in self._present:
            self._arenas.charge_restored(process, 0)
        self._present.clear()

    def _reserve(self, objects: Sequence[StoredObject]) -> None:
        for item in objects:
            need, have = arena_bytes(item.size), self._arenas.room(item.process)
            if need > have:
                raise StagingTooSmallError(need, have)
            self._arenas.charge_restored(item.process, need)
            self._present.add(item.process)

    def _bring(self, store: Store, *, item: StoredObject) -> None:
        path = self._paths.restored(item.process)
        if _holds(path, item):
            return
        path.unlink(missing_ok=True)
        draft = path.with_name(path.name + ".part")
        draft.unlink(missing_ok=True)
        try:
            with _created(draft) as descriptor:
                room = FileRoom(descriptor, item.size)
                store.download(item.key, room, item.digests, cancel=self._cancel)
            draft.replace(path)
        except FullError:
            raise StagingTooSmallError(arena_bytes(item.size), 0) from None
        finally:
            draft.unlink(missing_ok=True)
        self._metrics.restored.inc(item.size)


@contextlib.contextmanager
def _created(path: Path) -> Iterator[int]:
    """A new file, open for writing."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, GROUP_FILE)
    try:
        os.fchmod(descriptor, GROUP_FILE)
        yield descriptor
    finally:
        os.close(descriptor)


def _holds(path: Path, item: StoredObject) -> bool:
    """Whether the file holds exactly this object, by its bytes."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        if os.fstat(descriptor).st_size != item.size:
            return False
        with mapped(descriptor, item.size, mmap.PROT_READ) as payload:
            return algorithm(item.algorithm).of(payload) == item.digest
    finally:
        os.close(descriptor)
