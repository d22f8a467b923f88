"""What a start's end means, and whether another start follows. Pure."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import StrEnum

from spot_training.cli.codes import BAD
from spot_training.exits import REFUSED_CODE, STOPPED_CODE

STUCK_AFTER = 10
"""Kills in a row without a new checkpoint, after which going on proves nothing."""


class Ending(StrEnum):
    """Why a start ended."""

    COMPLETED = "completed"
    KILLED = "killed"
    PAUSED = "paused"
    REFUSED = "refused"
    STOPPED = "stopped"
    UNFINISHED = "unfinished"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Exit:
    """A process's end: its code (negative for a signal), what we did to it, and the marker."""

    code: int
    struck: bool = False
    warned: bool = False
    marker: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether to go on; else the exit code and the reason."""

    again: bool
    code: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Patience:
    """Counts what happened in a row without a new checkpoint."""

    failures: int = 0
    kills: int = 0

    def after(self, ending: Ending, *, committed: bool) -> Patience:
        """The counts after one more start, which committed a checkpoint or did not."""
        failures, kills = (0, 0) if committed else (self.failures, self.kills)
        return Patience(failures + (ending is Ending.FAILED), kills + (ending is Ending.KILLED))


def classify(end: Exit) -> Ending:
    """First match wins. `warned`: a notice or SIGTERM asked it to save and leave."""
    if end.code == 0:
        return _clean(end)
    if end.code == REFUSED_CODE:
        return Ending.REFUSED
    if end.code == STOPPED_CODE:
        return Ending.STOPPED
    if end.struck and end.code == -signal.SIGKILL:
        return Ending.KILLED
    if end.warned and end.code in (-signal.SIGTERM, 128 + signal.SIGTERM):
        return Ending.KILLED
    return Ending.FAILED


def _clean(end: Exit) -> Ending:
    if end.marker:
        return Ending.COMPLETED
    return Ending.PAUSED if end.warned else Ending.UNFINISHED


def decide(ending: Ending, code: int, patience: Patience, *, max_failures: int) -> Verdict:
    """Whether to start again after this ending; `patience` counts it already."""
    if ending is Ending.COMPLETED:
        return Verdict(again=False)
    if ending is Ending.UNFINISHED:
        return Verdict(
            again=False, code=BAD,
            why="the script ended with 0 but never called run.complete(): it would start over "
            "for ever; call it behind the last step",
        )  # fmt: skip
    if ending in (Ending.REFUSED, Ending.STOPPED):
        return Verdict(again=False, code=code, why=f"the script {ending}: no retry can help")
    if patience.failures > max_failures:
        return Verdict(
            again=False, code=shell_code(code),
            why=f"it failed {patience.failures} times without a kill and without a new checkpoint",
        )  # fmt: skip
    if patience.kills >= STUCK_AFTER:
        return Verdict(
            again=False, code=BAD,
            why=f"{patience.kills} kills in a row and no new checkpoint: give a longer "
            "--kill-every, or a shorter interval (SPOT_INTERVAL, or interval= in the script)",
        )  # fmt: skip
    return Verdict(again=True)


def shell_code(code: int) -> int:
    """As a shell tells it: 128 + n for signal n."""
    return 128 - code if code < 0 else code


def spelled(code: int) -> str:
    """`exit code 1`, or `signal 9 (SIGKILL)`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"signal {-code}"
