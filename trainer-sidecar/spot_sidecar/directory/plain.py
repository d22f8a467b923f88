"""Any other script: entries of the directory whose name has a number, which is the step.

Nothing in the files tells that they are whole. An entry counts once it has stood still for the
settle time or, where the script writes one last, once its marker file is there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from spot_sidecar.directory.sets import FileSeen, FileSet, Opener, below, step_in

__all__ = ["Plain"]

DRAFTS = (".tmp", ".part", ".partial", ".incomplete")


@dataclass(frozen=True, slots=True)
class Plain:
    """`marker`: the file in each checkpoint's folder that is written last; empty: there is none."""

    marker: str = ""

    @property
    def at_the_end(self) -> bool:
        """Without a marker a set that was cut short looks like any other."""
        return bool(self.marker)

    def sets(self, files: Sequence[FileSeen], _opened: Opener) -> list[FileSet]:
        """The files and folders of the directory itself; hidden ones and drafts are none."""
        entries = sorted({file.path.split("/")[0] for file in files})
        return [
            FileSet(entry, step, below(entry, files) or _file(entry, files))
            for entry in entries
            if not entry.startswith(".") and not entry.endswith(DRAFTS)
            if (step := step_in(entry)) is not None
        ]

    def lacks(self, found: FileSet, _opened: Opener) -> str:
        """The marker, where one is asked for."""
        if self.marker and self.marker not in found.names():
            return f"{found.root}/{self.marker} is missing"
        return ""


def _file(entry: str, files: Sequence[FileSeen]) -> tuple[FileSeen, ...]:
    return tuple(file for file in files if file.path == entry)
