"""Checkpoint files of Lightning: `*.ckpt`, one file each, as torch.save writes it.

The step is the one inside the file (`global_step`), whatever the name says. `last.ckpt` is
rewritten in place, so any other file of the same or a later step goes before it.
"""

import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from spot_sidecar.directory.integrity import integrity_fault
from spot_sidecar.directory.pickles import BrokenPickleError, number_behind
from spot_sidecar.directory.sets import MAX_STEP, FileSeen, FileSet, Opener

__all__ = ["Lightning"]

LAST = re.compile(r"(?:.*/)?last(-v\d+)?\.ckpt")


@dataclass(frozen=True, slots=True)
class Lightning:
    """One file is one checkpoint; sharded strategies, which write folders, are not supported."""

    at_the_end: ClassVar[bool] = True

    def sets(self, files: Sequence[FileSeen], opened: Opener) -> list[FileSet]:
        """The files that can be read so far; `last.ckpt` only where nothing else is as new."""
        steps = {
            file: step
            for file in files
            if file.path.endswith(".ckpt") and (step := _step(file.path, opened)) is not None
        }
        others = [step for file, step in steps.items() if not LAST.fullmatch(file.path)]
        return [
            FileSet(file.path, step, (file,))
            for file, step in steps.items()
            if not LAST.fullmatch(file.path) or step > max(others, default=-1)
        ]

    def lacks(self, found: FileSet, opened: Opener) -> str:
        """Why the file is not whole."""
        return integrity_fault(found.files[0], opened)


def _step(path: str, opened: Opener) -> int | None:
    try:
        with opened(path) as stream, zipfile.ZipFile(stream) as archive:
            pickled = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            with archive.open(pickled[0]) as data:
                step = number_behind(data, "global_step")  # type: ignore[arg-type]
    except (OSError, zipfile.BadZipFile, BrokenPickleError, ValueError, IndexError):
        return None
    return step if step is not None and 0 <= step < MAX_STEP else None
