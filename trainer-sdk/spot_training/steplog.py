"""What a run did, step by step, where $SPOT_STEP_LOG names a file: one JSON line for each.

`spot-training run` and `verify` ask for it, to tell how far a script was when it was killed and
whether steps that were done again came out the same. Each line is one write() to a file opened for
appending, so that a SIGKILL leaves whole lines; it costs some microseconds a step.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VARIABLE = "SPOT_STEP_LOG"
BEGIN, STEP = "begin", "step"


@dataclass(frozen=True, slots=True)
class Line:
    """`kind` is begin (the state is ready, at `step`) or step (done). `at` is unix time.

    `stall` is what checkpoints held this attempt's trainer up so far, in seconds.
    """

    kind: str
    attempt: int
    step: int
    at: float
    samples: int = 0
    stall: float = 0.0
    metrics: Mapping[str, Any] = field(default_factory=dict)


class StepLog:
    """The file, for one attempt of one process."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def write(self, line: Line) -> None:
        """Appends the line; NaN and infinities are kept (as Python spells them)."""
        fields = {name: getattr(line, name) for name in Line.__slots__}
        os.write(self._file, json.dumps(fields).encode("utf-8") + b"\n")

    def close(self) -> None:
        os.close(self._file)


def from_environment() -> StepLog | None:
    """The log that was asked for; only a job's first process writes one."""
    path = os.environ.get(VARIABLE)
    return StepLog(path) if path and os.environ.get("RANK", "0") == "0" else None


def parse(lines: Iterable[str]) -> Iterator[Line]:
    """The lines that read; one that was torn by a full disk is passed over."""
    for text in lines:
        try:
            yield Line(**json.loads(text))
        except (TypeError, ValueError):
            continue


def read(path: Path) -> list[Line]:
    """All lines of a log; none if there is no such file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as file:
        return list(parse(file))
