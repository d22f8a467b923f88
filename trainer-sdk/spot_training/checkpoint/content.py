"""What is uploaded, and what a download fills: memory, or a file.

Files are not mapped. What is uploaded may still be written to by somebody else: a mapping would be
the end of the process that reads it, once the file is cut short (SIGBUS). What is downloaded goes
into new pages: a mapping would cost a fault and a clearing for each of them, half of what the
download itself costs, and end the process where the file system has no room.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import Protocol

from spot_training.checkpoint.digest import (
    Buffer,
    Digests,
    algorithm,
    best_algorithm,
    combined,
    part_ranges,
    part_size_for,
)


class Content(Protocol):
    """Bytes that are read in slices; a `memoryview` of bytes is one."""

    def __len__(self) -> int:
        """How many bytes there are."""

    def __getitem__(self, where: slice, /) -> memoryview:
        """The bytes from `where.start` to `where.stop`."""


class Room(Protocol):
    """What is filled in slices; a writable `memoryview` of bytes is one."""

    def __len__(self) -> int:
        """How many bytes fit."""

    def __setitem__(self, where: slice, data: Buffer, /) -> None:
        """Puts `data` from `where.start` to `where.stop`."""


class FullError(Exception):
    """The file system has no room for what is to be written."""


class CutShortError(OSError):
    """The file ended before the length that was promised: it was written to meanwhile."""


@dataclass(frozen=True, slots=True)
class FileContent:
    """The first `size` bytes of an open file; each slice is read anew, into memory of its own."""

    descriptor: int
    size: int

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, where: slice, /) -> memoryview:
        """Raises CutShortError if the file has become shorter."""
        start, stop, _ = where.indices(self.size)
        into = memoryview(bytearray(max(0, stop - start)))
        done = 0
        while done < len(into):
            count = os.preadv(self.descriptor, [into[done:]], start + done)
            if count == 0:
                raise CutShortError(f"the file ends at byte {start + done} of {self.size}")
            done += count
        return into


@dataclass(frozen=True, slots=True)
class FileRoom:
    """The first `size` bytes of a file that is open for writing."""

    descriptor: int
    size: int

    def __len__(self) -> int:
        return self.size

    def __setitem__(self, where: slice, data: Buffer, /) -> None:
        """Raises FullError if there is no room, OSError for other trouble."""
        start, stop, _ = where.indices(self.size)
        left = memoryview(data)
        if len(left) != stop - start:
            raise ValueError(f"{len(left)} bytes for the {stop - start} from byte {start}")
        try:
            while left:
                left = left[os.pwrite(self.descriptor, left, stop - len(left)) :]
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise FullError(f"no room for {self.size} bytes: {error.strerror}") from error
            raise


_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.ENOMEM}


def digest_content(content: Content) -> Digests:
    """Digests of the whole and of each part, in one pass; no tensors are told apart."""
    chosen, size = algorithm(best_algorithm()), len(content)
    part_size = part_size_for(size)
    parts = tuple(chosen.of(content[start:end]) for start, end in part_ranges(size, part_size))
    whole = combined(chosen.name, size, part_size, parts)
    return Digests(chosen.name, size, part_size, parts, whole, {})


def has_digests(content: Content, digests: Digests) -> bool:
    """Whether the content is still what the digests were made of, read part by part."""
    digest = algorithm(digests.algorithm)
    return len(content) == digests.size and all(
        digest.of(content[start:end]) == expected
        for (start, end), expected in zip(digests.part_ranges(), digests.parts, strict=True)
    )
