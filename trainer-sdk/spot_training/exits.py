"""How a training process ends on purpose. All are SystemExit: an uncaught one is the exit code.

Paused (0)            the state is safe, the node is going; the next attempt continues
AlreadyCompleted (0)  an earlier attempt finished the job; there is nothing to train
Refused (93)          the trainer says that no retry can help; the job fails at once
Stopped (94)          nothing may be trained here; the sidecar's word says why
"""

from __future__ import annotations

import sys
from typing import NoReturn

REFUSED_CODE = 93
STOPPED_CODE = 94


class Paused(SystemExit):
    """Raised by `run.step` on all ranks together, after the flush that a notice asked for."""

    def __init__(self, reason: str) -> None:
        super().__init__(0)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class AlreadyCompleted(SystemExit):
    """Raised by `resume`: the job was completed before."""

    def __init__(self, reason: str) -> None:
        super().__init__(0)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class Refused(SystemExit):
    """Raised by `refuse`: the job fails at once, whatever budget is left."""

    def __init__(self, reason: str) -> None:
        super().__init__(REFUSED_CODE)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class Stopped(SystemExit):
    """Raised by `resume`: no valid checkpoint, superseded, or started twice."""

    def __init__(self, word: str, reason: str) -> None:
        super().__init__(STOPPED_CODE)
        self.word = word
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.word}: {self.reason}"


class StateDiffers(RuntimeError):  # noqa: N818 - named for what happened
    """What the trainer holds after loading is not what the checkpoint says; names the tensors.

    Exit code 1: the job's budget of failures decides about another attempt.
    """


def tell(text: str) -> None:
    """One line for `kubectl logs`."""
    print(f"spot-training: {text}", file=sys.stderr, flush=True)


def leave(ending: SystemExit) -> NoReturn:
    """Says the reason on stderr (SystemExit with a code prints nothing), then raises."""
    tell(f"{type(ending).__name__}: {ending}")
    raise ending
