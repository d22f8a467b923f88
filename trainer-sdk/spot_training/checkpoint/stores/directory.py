"""A lineage in a local directory, or in a mounted volume that several nodes write to.

Everything is written beside its place, fsynced, put there in one step, and the folder is fsynced:
after a power cut or a SIGKILL a file is whole or absent, and what a killed writer left lies in
`.tmp/` until `discard_abandoned`. A missing root is Unreachable (a volume not mounted), not
NotFound. Large objects are read back and compared after they were written.
"""

from __future__ import annotations

import contextlib
import glob
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from spot_training.checkpoint.content import Content, Room
from spot_training.checkpoint.digest import Digests, algorithm
from spot_training.checkpoint.parallel import Group, together
from spot_training.checkpoint.retry import expect_going_on
from spot_training.checkpoint.store import (
    Cancel,
    Capabilities,
    Corrupt,
    NotFound,
    Stat,
    Throttle,
    Unreachable,
    Written,
)
from spot_training.checkpoint.stores import files

_TEMPORARY = ".tmp"
_SLASH = "~"
"""Stands for a slash in the name of a draft, which so says what it was to become."""
_READERS = 4
_PIECE = 1 << 20
_TRIES = 3


class DirectoryStore:
    """Files under `root`, which must exist before the first call (see `prepare`)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._writing: set[Path] = set()

    @classmethod
    def prepare(cls, root: Path, *, within: Path | None = None) -> DirectoryStore:
        """Makes the root, durably, if it is absent.

        `within` must exist (a mount point): from there down to the root symbolic links are
        refused, because in a volume that others can write to they could lead out of it.
        Raises Denied, Misconfigured or Unreachable.
        """
        try:
            with files.explained(str(root)):
                if within is None:
                    root.parent.mkdir(parents=True, exist_ok=True)
                files.make_folders(root, within or root.parent)
        except NotFound as error:
            raise Unreachable(f"{within} is not there: is its volume mounted?") from error
        return cls(root)

    def probe(self) -> Capabilities:
        key = f"probe/{uuid.uuid4().hex}"
        self.create(key, b"first")
        refuses = not self.create(key, b"second")
        self.delete(key)
        return Capabilities(conditional_create=refuses, checksums=False)

    def create(self, key: str, body: bytes) -> bool:
        path = self._path(key)
        with self._explained(key), self._draft(key) as draft:
            files.write_durably(draft, memoryview(body))
            placed = self._put(lambda: files.place_new(draft, path), path)
            # Also when it stood already: its writer may have died before it synced the folder.
            files.sync_folder(path.parent)
            return placed or files.read_whole(path) == body

    def read(self, key: str) -> bytes:
        with self._explained(key):
            return files.read_whole(self._path(key))

    def read_range(self, key: str, start: int, size: int) -> bytes:
        with self._explained(key), files.opened(self._path(key)) as descriptor:
            return os.pread(descriptor, size, start)

    def list(self, prefix: str, *, after: str = "") -> tuple[str, ...]:
        self._expect_root()
        with self._explained(prefix):
            found = self._walk(self.root / prefix.rpartition("/")[0], after)
            return tuple(sorted(key for key in found if key.startswith(prefix) and key > after))

    def written(self, prefix: str) -> Written:
        """By modification times, which a file server sets; a new file's is its time now."""
        with self._explained(prefix), self._draft("clock") as clock:
            clock.touch()
            now = clock.stat().st_mtime  # by the clock of whoever keeps the files
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
            path = self._path(key)
            status = path.stat(follow_symlinks=False)
            files.expect_plain(status, path)
            return Stat(size=status.st_size)

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
        with self._explained(key), self._draft(key) as draft:
            self._discard_earlier(key, draft)
            with draft.open("xb+", buffering=0) as file:
                for start, end in digests.part_ranges():
                    expect_going_on(cancel, key)
                    if throttle is not None:
                        throttle.take(end - start, cancel)
                    files.write_all(file.fileno(), data[start:end])
                os.fsync(file.fileno())
                files.forget_cached(file.fileno())
                _expect_written(file.fileno(), key, digests, cancel)
            self._put(lambda: draft.rename(path), path)
            files.sync_folder(path.parent)

    def download(
        self,
        key: str,
        into: Room,
        digests: Digests,
        *,
        cancel: Cancel | None = None,
    ) -> None:
        with self._explained(key), files.opened(self._path(key)) as descriptor:
            size = os.fstat(descriptor).st_size
            if size != digests.size:
                raise Corrupt(f"{key} has {size} bytes, its manifest says {digests.size}")
            group = Group(cancel, threading.Event())
            read = partial(_read_part, descriptor, key, group, digests, into)
            with ThreadPoolExecutor(_READERS, thread_name_prefix="spot-read") as pool:
                together(pool, group, (partial(read, n) for n in range(len(digests.parts))))

    def delete(self, key: str) -> None:
        path = self._path(key)
        with self._explained(key):
            path.unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):  # removed as empty by another deletion
                files.sync_folder(path.parent)
            with contextlib.suppress(OSError):  # not empty, or removed by another
                if path.parent != self.root:
                    path.parent.rmdir()

    def discard_abandoned(
        self, spare: Callable[[str], bool], *, older_seconds: float
    ) -> tuple[str, ...]:
        """See `Store.discard_abandoned`; a draft's age counts from its last write."""
        discarded = []
        with self._explained(_TEMPORARY), self._draft("clock") as clock:
            clock.touch()
            now = clock.stat().st_mtime
            for path in clock.parent.iterdir():
                key = path.name.rpartition(".")[0].replace(_SLASH, "/")
                with contextlib.suppress(FileNotFoundError):
                    old = now - path.stat().st_mtime >= older_seconds
                    if path not in self._writing and old and not spare(key):
                        path.unlink()
                        discarded.append(key)
        return tuple(sorted(discarded))

    def discard(self) -> None:
        """Removes the root if it holds no key; the store cannot be used after that."""
        with contextlib.suppress(OSError):  # another writer's, or not empty
            for folder, _, _ in os.walk(self.root, topdown=False):
                Path(folder).rmdir()

    def _walk(self, top: Path, after: str) -> Iterator[str]:
        """Keys below `top`; folders that hold nothing greater than `after` are not opened."""
        for path, folders, names in os.walk(top, onerror=_raise_unless_absent):
            below = "" if Path(path) == self.root else f"{Path(path).relative_to(self.root)}/"
            folders[:] = [name for name in folders if _may_follow(f"{below}{name}/", after)]
            yield from (below + name for name in names)

    def _discard_earlier(self, key: str, draft: Path) -> None:
        """What a killed process wrote of the same object, which has one writer, takes room."""
        for path in draft.parent.glob(f"{glob.escape(_draft_name(key))}.*"):
            if path not in self._writing:
                path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if key.startswith("/") or any(part in ("", ".", "..") for part in parts):
            raise ValueError(f"{key!r} is not a key of a lineage")
        return self.root.joinpath(*parts)

    def _put(self, put: Callable[[], object], path: Path) -> bool:
        """Runs `put`, making the folders of `path`; another writer may remove them as empty."""
        for _ in range(_TRIES):
            files.make_folders(path.parent, self.root)
            with contextlib.suppress(FileNotFoundError):
                return bool(put())
        raise Unreachable(f"{path}: its folder or its draft was removed while it was written")

    def _expect_root(self) -> None:
        if not self.root.is_dir():
            raise Unreachable(f"{self.root} is not there: is its volume mounted?")

    @contextlib.contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        try:
            with files.explained(f"{self.root}/{key}"):
                yield
        except NotFound:
            self._expect_root()
            raise

    @contextlib.contextmanager
    def _draft(self, key: str) -> Iterator[Path]:
        self._expect_root()
        folder = self.root / _TEMPORARY
        files.make_folders(folder, self.root)
        path = folder / f"{_draft_name(key)}.{uuid.uuid4().hex}"
        self._writing.add(path)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)
            self._writing.discard(path)


def _draft_name(key: str) -> str:
    return key.replace("/", _SLASH)


def _may_follow(folder: str, after: str) -> bool:
    """Whether a folder, named with its slash, may hold keys of a lineage greater than `after`."""
    return folder != f"{_TEMPORARY}/" and (folder > after or after.startswith(folder))


def _holds_any(folder: Path) -> bool:
    return any(found for _, _, found in os.walk(folder))


def _raise_unless_absent(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _expect_written(descriptor: int, key: str, digests: Digests, cancel: Cancel | None) -> None:
    """The server of an object store checks what arrives; here what was written is read back."""
    chosen = algorithm(digests.algorithm)
    buffer = memoryview(bytearray(min(files.SLICE, digests.size)))
    value = done = 0
    while done < digests.size:
        expect_going_on(cancel, key)
        piece = buffer[: min(len(buffer), digests.size - done)]
        files.read_into(descriptor, done, piece, key)
        value = chosen.update(piece, value)
        done += len(piece)
    if chosen.hex(value) != digests.whole or os.fstat(descriptor).st_size != digests.size:
        raise Corrupt(
            f"{key}: what was written differs from its digest: the snapshot changed meanwhile, "
            "or the volume does not keep what it is given"
        )


def _read_part(
    descriptor: int, key: str, group: Group, digests: Digests, into: Room, number: int
) -> None:
    """Reads part `number` (from 0) in pieces, each hashed while it is in the processor's cache."""
    digest = algorithm(digests.algorithm)
    start, end = digests.part_ranges()[number]
    room = memoryview(bytearray(min(_PIECE, end - start)))
    for _ in range(2):
        value = 0
        for at in range(start, end, _PIECE):
            expect_going_on(group, key)
            piece = room[: min(_PIECE, end - at)]
            files.read_into(descriptor, at, piece, key)
            value = digest.update(piece, value)
            into[at : at + len(piece)] = piece
        if digest.hex(value) == digests.parts[number]:
            return
    raise Corrupt(f"{key}: bytes {start} to {end} do not match their digest")
