"""Sets of files that make one checkpoint of a script, and what keeps a set from being one. Pure.

A format finds the sets among the files of the script's directory and tells what each still lacks.
Nothing is unpickled: see `pickles`.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol

__all__ = ["FileSeen", "FileSet", "Format", "Opener", "below", "newest_first", "step_in"]

Opener = Callable[[str], BinaryIO]
"""Opens a file of the directory by its relative path; raises OSError."""

NAMED_STEP = re.compile(r"(?:step|iter|iteration|checkpoint|ckpt)[-_=]?(\d+)", re.IGNORECASE)
SUFFIXES = re.compile(r"(?:\.[A-Za-z]\w*)+$")
MAX_STEP = 10**12


@dataclass(frozen=True, slots=True)
class FileSeen:
    """A regular file as it stands: `path` relative to the directory, times in nanoseconds."""

    path: str
    inode: int
    size: int
    mtime: int
    ctime: int
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    links: int = 1


@dataclass(frozen=True, slots=True)
class FileSet:
    """The files of one checkpoint; `root` is what the script is given: a folder or a file."""

    root: str
    step: int
    files: tuple[FileSeen, ...]

    def names(self) -> dict[str, FileSeen]:
        """The files by their path below the root; a set of one file has the name ''."""
        return {file.path.removeprefix(self.root).lstrip("/"): file for file in self.files}


class Format(Protocol):
    """How one kind of script lays its checkpoints out."""

    @property
    def at_the_end(self) -> bool:
        """Whether completeness shows in the files alone, so that a set found after the script has
        ended may be taken although nobody saw it stand still."""

    def sets(self, files: Sequence[FileSeen], opened: Opener) -> list[FileSet]:
        """Every set among `files`, complete or not, in no order."""

    def lacks(self, found: FileSet, opened: Opener) -> str:
        """What the set still lacks, for a person; empty: it is complete."""


def newest_first(sets: Iterable[FileSet]) -> list[FileSet]:
    """By step, the highest first."""
    return sorted(sets, key=lambda one: one.step, reverse=True)


def below(root: str, files: Iterable[FileSeen]) -> tuple[FileSeen, ...]:
    """The files in the folder `root` and below it, by path."""
    found = (file for file in files if file.path.startswith(f"{root}/"))
    return tuple(sorted(found, key=lambda file: file.path))


def step_in(name: str) -> int | None:
    """The step that a name tells: the number behind `step`, `checkpoint`, …, else the last one."""
    stem = SUFFIXES.sub("", name)
    named = NAMED_STEP.findall(stem)
    numbers = named or re.findall(r"\d+", stem)
    step = int(numbers[-1]) if numbers else MAX_STEP
    return step if step < MAX_STEP else None
