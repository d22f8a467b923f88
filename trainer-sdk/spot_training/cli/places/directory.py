"""A lineage in a local directory or on a mounted volume."""

from __future__ import annotations

from pathlib import Path

from spot_training.backends.local import LOCK
from spot_training.checkpoint import keys
from spot_training.checkpoint.stores.directory import DirectoryStore
from spot_training.cli.codes import Refusal, unseen
from spot_training.cli.places.place import Place, name_one_of

DEPTH = 5
"""Folders looked through for lineages: a prefix of two, namespace, name, uid."""
_SHOWN = 50


def open_directory(path: Path) -> Place:
    """The lineage in `path`; nothing is created there."""
    if not path.is_dir():
        raise Refusal(
            f"{path} is not a directory; give the one that SPOT_DIR named, s3://bucket/prefix, or "
            "stj/NAME for a job in the cluster"
        )
    if not (path / keys.FORMAT).is_file():
        try:
            raise name_one_of(str(path), [str(found) for found in _below(path)])
        except PermissionError as error:
            raise unseen(f"{error.filename}: no permission to look there") from error
    return Place(str(path), DirectoryStore(path), live=lambda: is_locked(path / LOCK))


def is_locked(lock: Path, locks: Path = Path("/proc/locks")) -> bool:
    """Whether a training process holds the directory's lock, as the kernel lists it.

    Trying the lock would turn a process away that starts at that instant.
    """
    if not (lock.exists() and locks.exists()):
        return False
    inode = str(lock.stat().st_ino)
    fields = (line.split() for line in locks.read_text().splitlines())
    return any("FLOCK" in line and line[-3].rpartition(":")[2] == inode for line in fields)


def _below(path: Path, depth: int = DEPTH) -> list[Path]:
    found: list[Path] = []
    for folder in sorted(path.iterdir()):
        if len(found) >= _SHOWN or depth == 0:
            break
        if folder.is_symlink() or not folder.is_dir():
            continue
        below = [folder] if (folder / keys.FORMAT).is_file() else _below(folder, depth - 1)
        found += below
    return found[:_SHOWN]
