"""A lineage in a local directory (or a mounted volume with hard links).

Everything is written beside its place, fsynced, then linked or renamed there, then the directory
is fsynced: after a power cut a file is whole or absent. Creating never overwrites because a hard
link to an existing name fails. A missing root is Unreachable (a volume not mounted), not NotFound.
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from spot_training.checkpoint.content import Content, has_digests
from spot_training.checkpoint.digest import Digests, algorithm
from spot_training.checkpoint.store import (
    Cancel,
    Cancelled,
    Capabilities,
    Corrupt,
    Denied,
    Misconfigured,
    NotFound,
    Stat,
    StoreError,
    Throttle,
    Unreachable,
    Written,
)

_TEMPORARY = ".tmp"


class DirectoryStore:
    """Files under `root`, which must exist before the first call (see `prepare`)."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def prepare(cls, root: Path) -> DirectoryStore:
        """Makes the root if it is absent; raises Denied or Unreachable if that fails."""
        with _explained(str(root)):
            root.mkdir(parents=True, exist_ok=True)
        return cls(root)

    def probe(self) -> Capabilities:
        key = f"probe/{uuid.uuid4().hex}"
        self.create(key, b"first")
        refuses = not self.create(key, b"second")
        self.delete(key)
        return Capabilities(conditional_create=refuses, checksums=False)

    def create(self, key: str, body: bytes) -> bool:
        path = self._path(key)
        with self._explained(key), self._temporary() as temporary:
            _write_durably(temporary, memoryview(body))
            _make_parents(path, self.root)
            try:
                os.link(temporary, path)
            except FileExistsError:
                return path.read_bytes() == body
            _sync_directory(path.parent)
        return True

    def read(self, key: str) -> bytes:
        with self._explained(key):
            return self._path(key).read_bytes()

    def read_range(self, key: str, start: int, size: int) -> bytes:
        with self._explained(key), self._path(key).open("rb") as file:
            file.seek(start)
            return file.read(size)

    def list(self, prefix: str) -> tuple[str, ...]:
        self._expect_root()
        top = self.root / prefix.rpartition("/")[0]
        with self._explained(prefix):
            names = (
                str((Path(folder) / name).relative_to(self.root))
                for folder, _, files in os.walk(top, onerror=_raise_unless_absent)
                for name in files
            )
            return tuple(
                sorted(n for n in names if n.startswith(prefix) and not n.startswith(_TEMPORARY))
            )

    def written(self, prefix: str) -> Written:
        """By modification times, which a file server sets; a new file's is its time now."""
        with self._explained(prefix), self._temporary() as temporary:
            temporary.touch()
            now = temporary.stat().st_mtime
        at: dict[str, float] = {}
        for key in self.list(prefix):
            with contextlib.suppress(FileNotFoundError):  # deleted since
                at[key] = self._path(key).stat().st_mtime
        return Written(now, at)

    def folders(self, prefix: str) -> tuple[str, ...]:
        self._expect_root()
        top = self.root / prefix
        with self._explained(prefix):
            found = [entry for entry in top.iterdir() if entry.is_dir()] if top.is_dir() else []
            return tuple(sorted(e.name for e in found if e.name != _TEMPORARY and _holds_any(e)))

    def stat(self, key: str) -> Stat:
        with self._explained(key):
            return Stat(size=self._path(key).stat().st_size)

    def upload(
        self,
        key: str,
        data: Content,
        digests: Digests,
        *,
        throttle: Throttle | None = None,
        cancel: Cancel | None = None,
    ) -> None:
        path = self._path(key)
        with self._explained(key), self._temporary() as temporary:
            with temporary.open("xb", buffering=0) as file:
                for start, end in digests.part_ranges():
                    _expect_going_on(key, cancel)
                    if throttle is not None:
                        throttle.take(end - start, cancel)
                    _write_all(file.fileno(), data[start:end])
                os.fsync(file.fileno())
            _expect_unchanged(key, data, digests)
            _make_parents(path, self.root)
            temporary.rename(path)
            _sync_directory(path.parent)

    def download(
        self,
        key: str,
        into: memoryview,
        digests: Digests,
        *,
        cancel: Cancel | None = None,
    ) -> None:
        with self._explained(key), self._path(key).open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size != digests.size:
                raise Corrupt(f"{key} has {size} bytes, its manifest says {digests.size}")
            for (start, end), expected in zip(digests.part_ranges(), digests.parts, strict=True):
                _expect_going_on(key, cancel)
                _read_part(
                    file.fileno(), start, into[start:end], expected, digests=digests, key=key
                )

    def delete(self, key: str) -> None:
        path = self._path(key)
        with self._explained(key):
            path.unlink(missing_ok=True)
            if path.parent.exists():
                _sync_directory(path.parent)

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if key.startswith("/") or any(part in ("", ".", "..") for part in parts):
            raise ValueError(f"{key!r} is no key of a lineage")
        return self.root.joinpath(*parts)

    def _expect_root(self) -> None:
        if not self.root.is_dir():
            raise Unreachable(f"{self.root} is not there: is its volume mounted?")

    @contextlib.contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        try:
            with _explained(f"{self.root}/{key}"):
                yield
        except NotFound:
            self._expect_root()
            raise

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[Path]:
        self._expect_root()
        folder = self.root / _TEMPORARY
        folder.mkdir(exist_ok=True)
        path = folder / uuid.uuid4().hex
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


def discard_temporary(root: Path) -> None:
    """Removes what killed writers left; only for the one process that writes below `root`."""
    folder = root / _TEMPORARY
    for path in folder.iterdir() if folder.is_dir() else ():
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _translated(error, what) from error


def _translated(error: OSError, what: str) -> StoreError:
    if isinstance(error, FileNotFoundError):
        return NotFound(f"{what} does not exist")
    if isinstance(error, PermissionError):
        if error.errno == errno.EPERM and error.filename2:
            return Misconfigured(f"{what}: this file system has no hard links; use another one")
        return Denied(f"{what}: {error.strerror}; the process needs to read and write there")
    if error.errno == errno.ENOSPC:
        return Unreachable(f"{what}: the disk is full; make room")
    return Unreachable(f"{what}: {error}")


def _holds_any(folder: Path) -> bool:
    return any(files for _, _, files in os.walk(folder))


def _raise_unless_absent(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _write_durably(path: Path, body: memoryview) -> None:
    with path.open("xb", buffering=0) as file:
        _write_all(file.fileno(), body)
        os.fsync(file.fileno())


def _write_all(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _make_parents(path: Path, root: Path) -> None:
    """Makes the folders of `path`, each durable in the one above it."""
    missing = [folder for folder in path.parents if folder != root and not folder.exists()]
    for folder in reversed([folder for folder in missing if folder.is_relative_to(root)]):
        folder.mkdir(exist_ok=True)
        _sync_directory(folder.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _expect_going_on(key: str, cancel: Cancel | None) -> None:
    if cancel is not None and cancel.is_set():
        raise Cancelled(f"{key}: given up")


def _expect_unchanged(key: str, data: Content, digests: Digests) -> None:
    """The server of an object store checks every part; here we have to look ourselves."""
    if not has_digests(data, digests):
        raise Corrupt(f"{key}: the snapshot changed while it was written")


def _read_part(
    descriptor: int, start: int, into: memoryview, expected: str, *, digests: Digests, key: str
) -> None:
    digest = algorithm(digests.algorithm)
    for _ in range(2):
        _read_all(descriptor, start, into, key)
        if digest.of(into) == expected:
            return
    raise Corrupt(f"{key}: bytes {start} to {start + len(into)} do not match their digest")


def _read_all(descriptor: int, start: int, into: memoryview, key: str) -> None:
    done = 0
    while done < len(into):
        count = os.preadv(descriptor, [into[done:]], start + done)
        if count == 0:
            raise Corrupt(f"{key}: ends at byte {start + done}")
        done += count
