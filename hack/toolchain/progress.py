"""What a person sees while waiting. Progress goes to stderr; stdout carries results only."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field


def clock_text(seconds: float) -> str:
    """Seconds as a person says them: `8 s`, `4 min 41 s`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60:02d} s"


def say(line: str) -> None:
    """One line of progress, shown at once."""
    print(line, file=sys.stderr, flush=True)


@dataclass
class Stopwatch:
    """Elapsed seconds since it was made, on the monotonic clock."""

    started: float = field(default_factory=time.monotonic)

    def seconds(self) -> float:
        return time.monotonic() - self.started


class Line:
    """The one line that says how long a step has taken so far.

    On a terminal it is redrawn in place every second; elsewhere (a log of a CI run) a new line
    every `PLAIN_SECONDS`, so that a log stays readable and yet shows life.
    """

    PLAIN_SECONDS = 30.0

    def __init__(self, label: str, expected: float) -> None:
        self.label = label
        self.expected = expected
        self.watch = Stopwatch()
        self._drawn_at = 0.0
        self._terminal = sys.stderr.isatty()

    def tick(self) -> None:
        """Show the elapsed time, if it is time to."""
        elapsed = self.watch.seconds()
        if self._terminal:
            print(f"\r\033[K{self._text(elapsed)}", end="", file=sys.stderr, flush=True)
        elif elapsed - self._drawn_at >= self.PLAIN_SECONDS:
            self._drawn_at = elapsed
            say(self._text(elapsed))

    def done(self) -> float:
        """End the line with what it took, and return that in seconds."""
        elapsed = self.watch.seconds()
        start = "\r\033[K" if self._terminal else ""
        say(f"{start}  {self.label}: {clock_text(elapsed)} (expected {clock_text(self.expected)})")
        return elapsed

    def _text(self, elapsed: float) -> str:
        return f"  {self.label}: {clock_text(elapsed)} of about {clock_text(self.expected)} …"
