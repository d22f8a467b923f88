"""The files of a checkpoint that scripts in several pods wrote: their union. Pure.

Every pod restores all of them, since a script in one pod reads what another's wrote. Pods may write
the same file only with the same bytes: which of two versions is right, nobody could tell.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from spot_training.checkpoint.manifest import FILE, StoredObject
from spot_training.checkpoint.records import Damaged

NAMED = 8
"""Conflicts that are named; there may be thousands of one kind."""


class Conflict(Exception):  # noqa: N818 - named for what happened
    """Pods wrote different bytes to the same path; `paths` in full."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = tuple(paths)
        shown = ", ".join(self.paths[:NAMED]) + (", …" if len(self.paths) > NAMED else "")
        super().__init__(
            f"several pods wrote different content to {shown}: let one of them write it, or give "
            "each pod a name of its own"
        )


def union(objects: Iterable[StoredObject]) -> tuple[StoredObject, ...]:
    """The files among `objects`, each path once, by path.

    Raises Conflict if a path stands for different bytes or is a file here and a folder there, and
    records.Damaged if a path leaves the directory.
    """
    chosen: dict[str, StoredObject] = {}
    conflicts: set[str] = set()
    for item in objects:
        if item.role != FILE:
            continue
        path = _expect_inside(item)
        other = chosen.setdefault(path, item)
        if (other.size, other.digests.whole, other.algorithm) != (
            item.size, item.digests.whole, item.algorithm,
        ):  # fmt: skip
            conflicts.add(path)
    conflicts |= {path for path in chosen if any(folder in chosen for folder in _folders(path))}
    if conflicts:
        raise Conflict(sorted(conflicts))
    return tuple(chosen[path] for path in sorted(chosen))


def _expect_inside(item: StoredObject) -> str:
    path = item.file.path if item.file else ""
    parts = path.split("/")
    if "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise Damaged(f"{item.key}: {path!r} is not a path inside the script's directory")
    return path


def _folders(path: str) -> Iterable[str]:
    return (str(folder) for folder in PurePosixPath(path).parents)
