"""A file's content as memory, an empty file's included."""

import contextlib
import mmap
from collections.abc import Iterator

__all__ = ["mapped"]


@contextlib.contextmanager
def mapped(descriptor: int, size: int, protection: int = mmap.PROT_READ) -> Iterator[memoryview]:
    """The first `size` bytes of the open file; the file must be as long."""
    if size == 0:
        yield memoryview(b"")  # there is nothing that mmap would map
        return
    mapping = mmap.mmap(descriptor, size, prot=protection)
    try:
        with memoryview(mapping) as content:
            yield content
    finally:
        # An error's traceback may still hold slices: the mapping then goes with the last of them.
        with contextlib.suppress(BufferError):
            mapping.close()
