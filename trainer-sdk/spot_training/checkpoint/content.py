"""What is uploaded: memory, or a file that somebody else may still write to.

A mapping of such a file would be the end of the process that reads it, once the file is cut short
(SIGBUS). So a file is read part by part instead, when the part is sent.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Protocol

from spot_training.checkpoint.digest import (
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
