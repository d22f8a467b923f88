"""Room for one object of a checkpoint while it is verified: a nameless file, mapped.

A file and not memory, because a checkpoint may be larger than this machine's memory. It is in
$TMPDIR, or beside what is exported; allocated first, so that a full disk is an error, not a SIGBUS.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from spot_training.cli.codes import unseen
from spot_training.cli.text import size as spelled


@contextlib.contextmanager
def scratch(size: int, folder: Path | None = None) -> Iterator[memoryview]:
    """`size` writable bytes; nothing is left behind, whatever happens."""
    where = str(folder or tempfile.gettempdir())
    with tempfile.TemporaryFile(dir=where) as file:
        try:
            os.posix_fallocate(file.fileno(), 0, max(1, size))
        except OSError as error:
            raise unseen(
                f"verifying needs {spelled(size)} in {where}: {error.strerror}; "
                "make room, or point TMPDIR to a place that has it"
            ) from error
        with mapped(file.fileno(), size) as view:
            yield view


@contextlib.contextmanager
def mapped(descriptor: int, size: int) -> Iterator[memoryview]:
    """A writable shared mapping of an allocated file's first `size` bytes."""
    mapping = mmap.mmap(descriptor, max(1, size))
    try:
        with memoryview(mapping)[:size] as view:
            yield view
    finally:
        # A traceback may still hold slices; the mapping then goes with the last of them.
        with contextlib.suppress(BufferError):
            mapping.close()
