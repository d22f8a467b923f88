"""Holds a complete set by hard links while it is uploaded, and tells whether it stayed the same.

A script rotates its checkpoints: what it deletes meanwhile is still here. What it writes in place
is seen: by inode, size and time of the last write. The time of the last change also moves when the
script removes its own name, so that alone only asks for a second reading.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spot_training.checkpoint.content import FileContent, has_digests
from spot_training.checkpoint.digest import Digests

from spot_sidecar.directory.sets import FileSeen, FileSet
from spot_sidecar.directory.tree import FILE, Tree, seen

__all__ = ["Held", "SetChangedError", "Spool", "expect_same"]


class SetChangedError(Exception):
    """The script wrote to the set or removed part of it: it is not a checkpoint any more."""


@dataclass(frozen=True, slots=True)
class Held:
    """A file of the set, held at `path`; `file` is what it was when it was taken."""

    path: Path
    file: FileSeen


@dataclass(frozen=True, slots=True)
class Spool:
    """The sidecar's own folder in the script's volume; hard links need one file system."""

    folder: Path

    def clear(self) -> None:
        """Make the folder, empty: what a killed sidecar left says nothing about the present."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def hold(self, tree: Tree, found: FileSet) -> tuple[Held, ...]:
        """Take the set in its present state.

        Raises:
            SetChangedError: it is not any more as it was found.
            OSError: the file system has no hard links, or does not let this user make them.
        """
        self.clear()
        return tuple(self._hold(tree, found))

    def _hold(self, tree: Tree, found: FileSet) -> Iterator[Held]:
        for index, file in enumerate(found.files):
            path = self.folder / f"{index:05d}"
            try:
                tree.link(file.path, path)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                    raise SetChangedError(f"{file.path} is gone") from None
                raise
            now = seen(file.path, path.lstat())
            if _written(file, now):
                raise SetChangedError(f"{file.path} was written meanwhile")
            yield Held(path, now)


def expect_same(held: Held, digests: Digests) -> None:
    """Compare the file with what it was before its upload.

    Raises:
        SetChangedError: something else may have been uploaded than was there.
        OSError: it cannot be read.
    """
    descriptor = os.open(held.path, FILE)
    try:
        now = seen(held.file.path, os.fstat(descriptor))
        if _written(held.file, now):
            raise SetChangedError(f"{held.file.path} was written during the upload")
        same = now.ctime == held.file.ctime or has_digests(
            FileContent(descriptor, now.size), digests
        )
    finally:
        os.close(descriptor)
    if not same:
        raise SetChangedError(f"{held.file.path} has other content than was uploaded")


def _written(before: FileSeen, now: FileSeen) -> bool:
    # Mode and owner belong to the state as well: a resume needs to read what it finds.
    def essence(file: FileSeen) -> tuple[int, ...]:
        return (file.inode, file.size, file.mtime, file.mode, file.uid, file.gid)

    return essence(before) != essence(now)
