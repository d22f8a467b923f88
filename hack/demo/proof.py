"""What the demo claims, checked: each claim is a line with the figures it rests on."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any, Final

from spot_training.checkpoint.layout import STATE
from stage.steplog import StepLog

Object = dict[str, Any]
_LENGTH: Final = struct.Struct("<Q")


@dataclass
class Claims:
    """The claims made so far; the demo succeeds when all of them hold."""

    made: list[tuple[bool, str, str]] = field(default_factory=list)

    def claim(self, holds: object, what: str, figures: str) -> bool:
        """Record one claim; returns whether it holds."""
        self.made.append((bool(holds), what, figures))
        return bool(holds)

    @property
    def hold(self) -> bool:
        """True when at least one was made and none failed."""
        return bool(self.made) and all(holds for holds, _, _ in self.made)


def each_step_once(log: StepLog, attempts: set[int], start: int) -> tuple[bool, str]:
    """True when the attempts together ran every step from `start` to their last exactly once."""
    repeated, missing = log.repeated(attempts), log.missing(attempts)
    steps = [line.step for line in log.lines() if line.attempt in attempts]
    first = min(steps, default=0)
    holds = not repeated and not missing and first == start
    return holds, f"steps {first}..{max(steps, default=0)}, twice: {repeated}, missing: {missing}"


def same_bits(ours: Object, theirs: Object) -> tuple[bool, str]:
    """True when both checkpoints hold the same tensors and typed state, byte for byte."""
    names = ours.keys() | theirs.keys()
    differ = sorted(name for name in names if _content(ours, name) != _content(theirs, name))
    size = sum(array.nbytes for array in ours.values()) / 2**20
    told = ", ".join(differ[:4]) or "none"
    return bool(names) and not differ, f"{len(names)} tensors, {size:.1f} MiB, differing: {told}"


def _content(tensors: Object, name: str) -> tuple[str, tuple[int, ...], bytes] | None:
    """What is compared of a tensor: its type, its shape, its bytes; None where there is none."""
    array = tensors.get(name)
    if array is None:
        return None
    content: bytes = array.tobytes()
    if name == STATE:
        # The room behind it is planned by each attempt's first save.
        content = _written(content)
        return str(array.dtype), (len(content),), content
    return str(array.dtype), array.shape, content


def _written(room: bytes) -> bytes:
    """The typed state in its tensor: eight bytes of length, then so many bytes."""
    end = _LENGTH.size + _LENGTH.unpack_from(room)[0]
    return room[_LENGTH.size : end]
