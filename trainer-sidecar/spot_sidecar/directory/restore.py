"""Brings a checkpoint's files into the script's directory, every byte verified (V3).

They arrive beside it, on the same file system, and are renamed into place as a whole before the
script's container starts. A link at a fixed path leads the script to them: its arguments were made
before anybody knew which checkpoint verifies.
"""

import contextlib
import mmap
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from spot_training.checkpoint.manifest import FILE, FileFacts, Manifest, StoredObject
from spot_training.checkpoint.records import Damaged, UnsupportedSchema
from spot_training.checkpoint.store import Cancel, Store, Unreachable
from spot_training.checkpoint.union import Conflict, union

from spot_sidecar.base.mapped import mapped
from spot_sidecar.directory.sets import Format
from spot_sidecar.directory.tree import Tree
from spot_sidecar.lineage.access import Lineage
from spot_sidecar.observability.metrics import Metrics
from spot_sidecar.resume.decision import RestoredFile

__all__ = ["DirectoryFetch", "Place", "prepare_directory"]

FOR_ANY_USER = 0o777
"""The script may run as anybody; nobody else sees the volume."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the files go."""

    files: Path
    """The script's directory, as we see it."""
    arriving: Path
    """A folder of ours on the same file system."""
    seen_at: str
    """The script's directory, as the script sees it."""
    link: Path
    """Leads to what the script resumes from."""


def prepare_directory(place: Place) -> None:
    """Make the folders; what a killed sidecar left half arrived is removed."""
    shutil.rmtree(place.arriving, ignore_errors=True)
    place.arriving.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not place.files.is_dir():
        place.files.mkdir(parents=True)
        place.files.chmod(FOR_ANY_USER)


class DirectoryFetch:
    """The restored files of this pod."""

    def __init__(
        self,
        lineage: Lineage,
        place: Place,
        layout: Format,
        clear: Callable[[], object],
        metrics: Metrics,
    ) -> None:
        """`clear` is called before anything arrives: what else lies in the volume of ours goes."""
        self._metrics = metrics
        self._lineage = lineage
        self._place = place
        self._layout = layout
        self._clear = clear
        self._cancel = threading.Event()

    async def fetch(
        self,
        manifest: Manifest,
        rank: int,  # noqa: ARG002 - every rank gets all files
        lineage: Lineage | None = None,
    ) -> tuple[RestoredFile, ...]:
        """Download the files of every pod; waits out trouble on the way.

        Raises:
            NotFound, Corrupt: what the store says about the content.
            records.Damaged: paths that lead elsewhere, or contradict each other.
            records.UnsupportedSchema: the SDK made the checkpoint.
        """
        self.discard()
        bring = partial(_bring, folder=self._place.arriving, cancel=self._cancel)
        files = _files(manifest)
        for item, facts in files:
            await (lineage or self._lineage).patiently(partial(bring, item=item, facts=facts))
            self._metrics.restored.inc(item.size)
        _own_folders(self._place.arriving)
        return tuple(
            RestoredFile(self._place.files / facts.path, item.process, FILE)
            for item, facts in files
        )

    def put(self, step: int) -> None:
        """Move what has arrived into the script's directory, and point the link at it.

        Raises:
            records.UnsupportedSchema: the files are not a checkpoint of the job's format.
        """
        arrived = Tree(self._place.arriving)
        sets = self._layout.sets(arrived.files(), arrived.open)
        found = next((one for one in sets if one.step == step), None)
        why = self._layout.lacks(found, arrived.open) if found else f"no set of step {step}"
        if found is None or why:
            raise UnsupportedSchema(
                f"the checkpoint of step {step} is not of format {type(self._layout).__name__} "
                f"({why}): was it made under another checkpoint.source?"
            )
        for entry in sorted(self._place.arriving.iterdir()):
            goal = self._place.files / entry.name
            _remove(goal)  # an earlier run of this container may have been killed right here
            entry.rename(goal)
        _remove(self._place.link)
        self._place.link.symlink_to(f"{self._place.seen_at}/{found.root}")

    def discard(self) -> None:
        """Remove what has arrived and is not in place."""
        self._clear()
        prepare_directory(self._place)

    def cancel(self) -> None:
        """Give up a download that is under way."""
        self._cancel.set()


def _files(manifest: Manifest) -> list[tuple[StoredObject, FileFacts]]:
    if any(item.role != FILE for item in manifest.objects):
        raise UnsupportedSchema(
            f"{manifest.id} was made by the SDK, this job's checkpoint.source is a directory: "
            "resume it with a job that uses the SDK"
        )
    try:
        united = union(manifest.objects)
    except Conflict as error:
        raise Damaged(f"{manifest.id}: {error}") from None
    return [(item, item.file) for item in united if item.file]


def _bring(
    store: Store, *, item: StoredObject, facts: FileFacts, folder: Path, cancel: Cancel
) -> None:
    path = folder / facts.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with _created(path, item.size) as (content, descriptor):
            store.download(item.key, content, item.digests, cancel=cancel)
            _own(descriptor, facts)
    except OSError as error:
        raise Unreachable(
            f"{facts.path} cannot be written to the script's volume: {error.strerror or error}"
        ) from error


@contextlib.contextmanager
def _created(path: Path, size: int) -> Iterator[tuple[memoryview, int]]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        if size:
            # All of it now: a mapping of a file that the disk has no room for ends the process.
            os.posix_fallocate(descriptor, 0, size)
        with mapped(descriptor, size, mmap.PROT_READ | mmap.PROT_WRITE) as content:
            yield content, descriptor
    finally:
        os.close(descriptor)


def _own(descriptor: int, facts: FileFacts) -> None:
    """Owner and mode as they were, where we are the one to say so."""
    if os.geteuid() == 0:
        os.fchown(descriptor, facts.uid, facts.gid)
    os.fchmod(descriptor, facts.mode & 0o777)


def _own_folders(root: Path) -> None:
    """A folder belongs to whom its first file belongs to: the script rotates its checkpoints."""
    for folder in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
        first = min(folder.iterdir()).stat()
        if os.geteuid() == 0:
            os.chown(folder, first.st_uid, first.st_gid)
        folder.chmod(0o755)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
