"""What a person sees while waiting."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Tell = Callable[[str], None]


def to_stderr(line: str) -> None:
    """Progress for a person; standard output carries results only."""
    print(line, file=sys.stderr, flush=True)


def since_now(tell: Tell) -> Tell:
    """The same, each line with the seconds since this call."""
    started = time.monotonic()
    return lambda line: tell(f"{time.monotonic() - started:6.1f} s  {line}")


def silent(_line: str) -> None:
    """For tests."""


class Progress:
    """Lines that say what is being done, and how long it usually takes."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    @contextmanager
    def step(self, what: str, expected: float) -> Iterator[None]:
        """Tell of the step at its start and at its good end. `expected` in seconds."""
        self._tell(f"{what} … (about {expected:.0f} s)")
        began = time.monotonic()
        yield
        self._tell(f"{what}: done in {time.monotonic() - began:.1f} s")
