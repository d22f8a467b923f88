"""Files that are whole or absent after a crash: written beside their place, fsynced, put there.

Creating never overwrites: a hard link to an existing name fails, and where a file system has no
hard links (SMB, many FUSE file systems) `renameat2` with RENAME_NOREPLACE does the same.
Both are atomic on the server of a network volume, so several writers on several nodes agree.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from spot_training.checkpoint.content import CutShortError
from spot_training.checkpoint.store import (
    Corrupt,
    Denied,
    Misconfigured,
    NotFound,
    StoreError,
    Unreachable,
)

SLICE = 1 << 20
"""Bytes that are written, or read back, at once."""

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_NO_PLAIN_FILE = {errno.ELOOP, errno.ENXIO}  # a symbolic link, a socket
_NO_RENAME = {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS}
_PERMISSIONS = "{who} must be able to read and write there"
_ROOM = "make room or enlarge the volume"
_PATH = "choose another path"
_MEANINGS: dict[int, tuple[type[StoreError], str]] = {
    errno.EACCES: (Denied, _PERMISSIONS),
    errno.EPERM: (Denied, _PERMISSIONS),
    errno.EROFS: (Denied, "mount it writable"),
    errno.ENOSPC: (Unreachable, _ROOM),
    errno.EDQUOT: (Unreachable, _ROOM),
    errno.ESTALE: (Unreachable, "the file server forgot this file; it is tried again"),
    errno.ELOOP: (Misconfigured, "a symbolic link stands there: a lineage holds plain files only"),
    errno.ENOTDIR: (Misconfigured, _PATH),
    errno.ENAMETOOLONG: (Misconfigured, _PATH),
}


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Translates every OSError raised inside; `what` names the file."""
    try:
        yield
    except CutShortError:
        raise  # says something about what is read, not about the store
    except OSError as error:
        raise translated(error, what) from error


def translated(error: OSError, what: str) -> StoreError:
    """The error in the words of `checkpoint.store`, with what to do about it."""
    if isinstance(error, FileNotFoundError):
        return NotFound(f"{what} does not exist")
    kind, remedy = _MEANINGS.get(error.errno or 0, (Unreachable, "see whether its server answers"))
    who = f"user {os.geteuid()} (group {os.getegid()})"
    return kind(f"{what}: {error.strerror or error}; {remedy.format(who=who)}")


def write_durably(path: Path, body: memoryview) -> None:
    """A new file with this content, on the disk when it returns."""
    with path.open("xb", buffering=0) as file:
        write_all(file.fileno(), body)
        os.fsync(file.fileno())


def write_all(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data[:SLICE]) :]


def place_new(draft: Path, path: Path) -> bool:
    """Puts `draft` at `path` unless something stands there; False: it does.

    Raises OSError; Misconfigured if the file system can do this neither way.
    """
    try:
        os.link(draft, path)
    except FileExistsError:
        # A file server may have answered twice: the link is ours if the draft has two names now.
        return draft.stat().st_nlink > 1
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        return _rename_new(draft, path)
    return True


def _rename_new(draft: Path, path: Path) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    old, new = os.fsencode(draft), os.fsencode(path)
    if libc.renameat2(_AT_FDCWD, old, _AT_FDCWD, new, _RENAME_NOREPLACE) == 0:
        return True
    code = ctypes.get_errno()
    if code == errno.EEXIST:
        return False
    if code in _NO_RENAME:
        raise Misconfigured(
            f"{path}: this file system has neither hard links nor a rename that does not "
            "overwrite, so two writers could not be told apart; use another volume, or S3"
        )
    raise OSError(code, os.strerror(code), str(path))


def make_folders(folder: Path, above: Path) -> None:
    """Makes the folders from below `above` down to `folder`, each durable in the one above it.

    Raises OSError (ELOOP for a symbolic link on the way: it could lead out of the volume).
    """
    here = above
    for part in folder.relative_to(above).parts:
        here = here / part
        try:
            here.mkdir()
        except FileExistsError:
            if here.is_symlink():
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(here)) from None
        else:
            sync_folder(here.parent)


def sync_folder(path: Path) -> None:
    """The names in this folder are on the disk when it returns."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor for reading a plain file; Corrupt if anything else stands there.

    A pipe is not waited for, a symbolic link, which could lead out of the lineage, not followed.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _NO_PLAIN_FILE:
            raise _not_plain(path) from error
        raise
    try:
        expect_plain(os.fstat(descriptor), path)
        yield descriptor
    finally:
        os.close(descriptor)


def expect_plain(status: os.stat_result, path: Path) -> None:
    """Raises Corrupt for what is not a plain file: another's content, or none, is in its place."""
    if not stat.S_ISREG(status.st_mode):
        raise _not_plain(path)


def _not_plain(path: Path) -> Corrupt:
    return Corrupt(f"{path} is not a plain file: a folder, link or pipe stands in its place")


def read_whole(path: Path) -> bytes:
    with opened(path) as descriptor:
        return b"".join(iter(lambda: os.read(descriptor, SLICE), b""))


def read_into(descriptor: int, start: int, into: memoryview, key: str) -> None:
    """Fills `into` from byte `start`; Corrupt if the file ends before."""
    done = 0
    while done < len(into):
        count = os.preadv(descriptor, [into[done : done + SLICE]], start + done)
        if count == 0:
            raise Corrupt(f"{key}: ends at byte {start + done}")
        done += count


def forget_cached(descriptor: int) -> None:
    """What is read next comes from the disk or the server, as far as the kernel can see to it."""
    with contextlib.suppress(OSError):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
