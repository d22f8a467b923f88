"""Writing files of a person's own: whole or not at all, also after a power cut."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from spot_training.cli.codes import Refusal, unseen


@contextlib.contextmanager
def replacing(path: Path, *, overwrite: bool, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A file that takes `path`'s place when the block ends well; fsynced, with its directory."""
    if path.exists() and not overwrite:
        raise Refusal(f"{path} exists: give another name, or --overwrite")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".spot-", delete=False) as file:
            draft = Path(file.name)
            try:
                yield file  # type: ignore[misc]  # tempfile's wrapper has all of BinaryIO
                file.flush()
                os.fchmod(file.fileno(), mode & ~_umask())
                os.fsync(file.fileno())
                draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)
        _sync(path.parent)
    except OSError as error:
        raise unseen(f"{path} cannot be written: {error}") from error


def _umask() -> int:
    """The process's mask; reading it means setting it for a moment."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
