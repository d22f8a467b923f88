"""Folders of torch's distributed checkpoints (DCP): `.metadata` and every file that it names.

`.metadata` is a pickle, renamed into place once all processes have written
(torch.distributed.checkpoint.filesystem). The names of the data files are read out of it as string
constants; nothing is unpickled.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from spot_sidecar.directory.pickles import BrokenPickleError, strings
from spot_sidecar.directory.sets import FileSeen, FileSet, Opener, below, step_in

__all__ = ["DistributedCheckpoint", "lacks", "parts"]

METADATA = ".metadata"
DATA = re.compile(r"(?:[\w.-]+/)*[\w.-]*\.distcp")


@dataclass(frozen=True, slots=True)
class DistributedCheckpoint:
    """Each folder of `.distcp` files whose path tells its step."""

    at_the_end: ClassVar[bool] = True

    def sets(self, files: Sequence[FileSeen], _opened: Opener) -> list[FileSet]:
        """The folders, with or without `.metadata`."""
        return [
            FileSet(part.root, step, part.files)
            for part in parts(files)
            if (step := _step(part.root)) is not None
        ]

    def lacks(self, found: FileSet, opened: Opener) -> str:
        """What `.metadata` names and is not there, or `.metadata` itself."""
        return lacks(found, opened)


def parts(files: Iterable[FileSeen]) -> list[FileSet]:
    """Every folder that holds a distributed checkpoint; its step is not looked for."""
    known = tuple(files)
    folders = {
        file.path.rpartition("/")[0]
        for file in known
        if file.path.endswith((f"/{METADATA}", ".distcp"))
    }
    return [FileSet(folder, 0, below(folder, known)) for folder in sorted(folders) if folder]


def lacks(part: FileSet, opened: Opener) -> str:
    """What the folder lacks to be loaded; empty: nothing."""
    names = part.names()
    if METADATA not in names:
        return f"{part.root}/{METADATA} is missing"
    try:
        with opened(names[METADATA].path) as stream:
            wanted = {text for text in strings(stream) if DATA.fullmatch(text)}
    except (OSError, BrokenPickleError) as error:
        return f"{part.root}/{METADATA} cannot be read: {error}"
    for name in sorted(wanted):
        if name not in names:
            return f"{part.root}/{name} is missing, {METADATA} names it"
        if names[name].size == 0:
            return f"{part.root}/{name} is empty"
    return "" if wanted else f"{part.root}/{METADATA} names no file"


def _step(folder: str) -> int | None:
    """The step in the innermost folder's name that has one."""
    steps = (step_in(name) for name in reversed(folder.split("/")))
    return next((step for step in steps if step is not None), None)
