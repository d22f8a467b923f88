"""One run at a time per kind of work; a killed run's lock is released by the kernel."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from .errors import StepError

PATIENCE_SECONDS = 3600.0
"""Longer than the longest cold build; then something is stuck and a person has to look."""


@contextmanager
def exclusive(
    path: Path, say: Callable[[str], None], patience: float = PATIENCE_SECONDS
) -> Iterator[None]:
    """Hold the lock at `path`, waiting up to `patience` seconds for another run to finish.

    Raises StepError when the other run does not finish in that time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as handle:
        _acquire(handle, path, say, patience)
        yield


def _acquire(handle: IO[str], path: Path, say: Callable[[str], None], patience: float) -> None:
    deadline = time.monotonic() + patience
    announced = False
    while not _try(handle):
        if not announced:
            say(f"another run holds {path}; waiting for it")
            announced = True
        if time.monotonic() > deadline:
            raise StepError(f"another run has held {path} for {patience:.0f} s; end that run first")
        time.sleep(0.2)


def _try(handle: IO[str]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
