"""The script's directory as the sidecar may touch it: nothing is followed out of it.

The script could put a link to the sidecar's own secrets where a checkpoint is expected, so every
component of a path is opened by itself and no symbolic link is followed.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from spot_sidecar.directory.sets import FileSeen

__all__ = ["MAX_FILES", "TooManyFilesError", "Tree", "seen"]

MAX_FILES = 20_000
"""Beyond that scanning every second would be the sidecar's main work."""
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class TooManyFilesError(Exception):
    """The directory holds more files than are scanned."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The directory at `root`."""

    root: Path

    def files(self) -> tuple[FileSeen, ...]:
        """Every regular file, by path; what vanishes meanwhile, links and devices are left out.

        Raises:
            OSError: the directory itself cannot be read.
            TooManyFilesError: it holds more than MAX_FILES.
        """
        found: list[FileSeen] = []
        for folder, _, names, descriptor in os.fwalk(self.root, onerror=_raise_unless_gone):
            prefix = os.path.relpath(folder, self.root)
            for name in names:
                path = name if prefix == "." else f"{prefix}/{name}"
                with contextlib.suppress(FileNotFoundError):
                    status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        found.append(seen(path, status))
            if len(found) > MAX_FILES:
                raise TooManyFilesError(
                    f"the directory holds more than {MAX_FILES} files: let the script write "
                    "its checkpoints to a directory of their own"
                )
        return tuple(sorted(found, key=lambda file: file.path))

    def open(self, path: str) -> BinaryIO:
        """The regular file at `path`; raises OSError."""
        with self._parent(path) as (parent, name):
            descriptor = os.open(name, FILE, dir_fd=parent)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(f"{path} is not a regular file")
        return os.fdopen(descriptor, "rb")

    def link(self, path: str, to: Path) -> None:
        """Give the file at `path` the further name `to`; raises OSError."""
        with self._parent(path) as (parent, name):
            os.link(name, to, src_dir_fd=parent, follow_symlinks=False)

    @contextlib.contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, str]]:
        *folders, name = path.split("/")
        descriptor = os.open(self.root, FOLDER)
        try:
            for folder in folders:
                inner = os.open(folder, FOLDER, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor, name
        finally:
            os.close(descriptor)


def seen(path: str, status: os.stat_result) -> FileSeen:
    """The file at `path` as `status` describes it."""
    return FileSeen(
        path=path,
        inode=status.st_ino,
        size=status.st_size,
        mtime=status.st_mtime_ns,
        ctime=status.st_ctime_ns,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        links=status.st_nlink,
    )


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
