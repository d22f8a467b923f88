"""Brings a checkpoint's objects into shared memory, every byte verified (V3).

Each object becomes a file like an arena: one control page, then the payload. A file that an earlier
run of this container left whole is hashed instead of downloaded; anything else is made anew under
the same name, never written over, because the trainer may have it mapped.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from functools import partial

from spot_training.checkpoint.arena import Arena, ArenaError, allocate, arena_bytes
from spot_training.checkpoint.digest import algorithm
from spot_training.checkpoint.manifest import Manifest, StoredObject
from spot_training.checkpoint.store import Store

from spot_sidecar.arenas import Arenas, StagingTooSmallError
from spot_sidecar.lineage import Lineage
from spot_sidecar.paths import GROUP_FILE, Paths
from spot_sidecar.resume.decision import RestoredFile

__all__ = ["Fetch"]


class Fetch:
    """The restored files of this pod."""

    def __init__(self, lineage: Lineage, arenas: Arenas, paths: Paths) -> None:
        self._lineage = lineage
        self._arenas = arenas
        self._paths = paths
        self._present: set[int] = set()
        self._cancel = threading.Event()

    async def fetch(self, manifest: Manifest, rank: int) -> tuple[RestoredFile, ...]:
        """Download the rank's objects of the checkpoint; waits out trouble on the way.

        Raises:
            NotFound, Corrupt: what the store says about the content.
            StagingTooSmallError: the shared memory cannot hold them.
        """
        self.drop()
        objects = manifest.objects_of(rank)
        self._reserve(objects)
        for item in objects:
            await self._lineage.patiently(partial(self._bring, item=item, step=manifest.step))
        return tuple(
            RestoredFile(self._paths.restored(item.process), item.process, item.role)
            for item in objects
        )

    def discard(self) -> None:
        """Remove the files: the trainer has loaded them, or they are no good."""
        for process in self._present:
            self._paths.restored(process).unlink(missing_ok=True)
        self.drop()

    def drop(self) -> None:
        """Count no restored file as taking memory."""
        for process in self._present:
            self._arenas.charge_restored(process, 0)
        self._present.clear()

    def cancel(self) -> None:
        """Give up a download that is under way."""
        self._cancel.set()

    def _reserve(self, objects: Sequence[StoredObject]) -> None:
        for item in objects:
            need, have = arena_bytes(item.size), self._arenas.room(item.process)
            if need > have:
                raise StagingTooSmallError(need, have)
            self._arenas.charge_restored(item.process, need)
            self._present.add(item.process)

    def _bring(self, store: Store, *, item: StoredObject, step: int) -> None:
        path = self._paths.restored(item.process)
        if path.exists() and path.stat().st_size == arena_bytes(item.size):
            with _mapped(self._paths, item.process) as present:
                if _holds(present, item, step):
                    return
        path.unlink(missing_ok=True)
        try:
            allocate(path, item.size, mode=GROUP_FILE)
        except OSError:
            raise StagingTooSmallError(arena_bytes(item.size), 0) from None
        with _mapped(self._paths, item.process) as made:
            payload = made.begin(step=step, payload_bytes=item.size)
            store.download(item.key, payload, item.digests, cancel=self._cancel)
            payload.release()
            made.finish()


@contextlib.contextmanager
def _mapped(paths: Paths, process: int) -> Iterator[Arena]:
    arena = Arena(paths.restored(process))
    try:
        yield arena
    finally:
        arena.close()


def _holds(arena: Arena, item: StoredObject, step: int) -> bool:
    """Whether the file holds exactly this object, by its bytes."""
    try:
        control = arena.control()
        if control is None or not control.whole or control.step != step:
            return False
        with arena.snapshot(control.generation) as payload:
            return (
                len(payload) == item.size and algorithm(item.algorithm).of(payload) == item.digest
            )
    except ArenaError:
        return False
