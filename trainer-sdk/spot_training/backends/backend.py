"""What a run needs of whoever makes its snapshots durable."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Protocol

from spot_training.checkpoint.arena import Arena, Control
from spot_training.checkpoint.manifest import Manifest
from spot_training.notices import Notice
from spot_training.progress import Progress
from spot_training.snapshots import SnapshotFacts

SETTLED = frozenset({"committed", "superseded", "failed", "abandoned"})


@dataclass(frozen=True, slots=True)
class Fresh:
    """Begin from zero."""


@dataclass(frozen=True, slots=True)
class Restore:
    """Begin from a verified checkpoint; `payload` is this process's bytes of it."""

    manifest: Manifest
    payload: memoryview
    algorithm: str
    tensors: dict[str, str]


@dataclass(frozen=True, slots=True)
class Done:
    """The job was completed by an earlier attempt."""

    reason: str


@dataclass(frozen=True, slots=True)
class Halt:
    """Nothing may be trained here."""

    word: str
    reason: str


Beginning = Fresh | Restore | Done | Halt


@dataclass(frozen=True, slots=True)
class Lent:
    """An arena that may be written now."""

    arena: Arena
    index: int


class Ticket:
    """A snapshot on its way. Written by the backend's threads, read by the trainer's."""

    def __init__(self, step: int, size: int) -> None:
        self.step = step
        self.size = size
        self.id = ""
        self.why = ""
        self.state = "queued"
        self.seconds: float | None = None
        self.began = time.monotonic()
        self._settled = threading.Event()

    @property
    def settled(self) -> bool:
        """Nothing more will happen to it."""
        return self._settled.is_set()

    @property
    def committed(self) -> bool:
        """It is a checkpoint."""
        return self.state == "committed"

    def move(self, state: str, why: str = "") -> None:
        """The backend's news; the first settled state stands."""
        if self.settled:
            return
        self.state, self.why = state, why
        if state in SETTLED:
            self.seconds = time.monotonic() - self.began
            self._settled.set()

    def wait(self, seconds: float | None) -> bool:
        """Waits until it is settled; False if the time was too short."""
        return self._settled.wait(seconds)


def let_go(payload: memoryview) -> threading.Thread:
    """Gives the payload's memory back in a thread: that takes a tenth of a second per GiB."""
    thread = threading.Thread(target=payload.release, name="spot-let-go", daemon=True)
    thread.start()
    return thread


class Backend(Protocol):
    """One process's side of one attempt. Called from the trainer's thread only."""

    @property
    def attempt(self) -> int:
        """The attempt's number; known after `begin`."""

    @property
    def rank(self) -> int:
        """This pod's index in its gang."""

    @property
    def interval(self) -> float:
        """Seconds between periodic saves; known after `begin`, and may change at any time."""

    @property
    def cost(self) -> float | None:
        """Seconds of training that one save takes; None: not known."""

    def fits(self, seconds: float | None) -> bool | None:
        """Whether a snapshot taken now is committed within `seconds` (None: no deadline).

        None: the backend does not know better than the run's own measurements.
        """

    def begin(self) -> Beginning:
        """Blocks until it is decided what to start from; without a grant it waits for ever."""

    def resumed(self, *, step: int, differs: list[str], seconds: float) -> None:
        """What the trainer holds after loading was compared with the checkpoint (V5)."""

    def release(self, payload: memoryview) -> None:
        """A restored payload is no longer needed; its memory is given back beside the training."""

    def lend(self, size: int, reason: str, seconds: float | None) -> Lent | None:
        """A free arena for a payload of `size` bytes; None if there is none in time."""

    def submit(self, lent: Lent, control: Control, facts: SnapshotFacts) -> Ticket:
        """Hands the written arena over."""

    def notice(self) -> Notice | None:
        """The notice in force; cheap enough for every step."""

    def publish(self, progress: Progress) -> None:
        """Tells how far the trainer is; cheap enough for every step."""

    def say(self, word: str, reason: str) -> None:
        """The trainer's own word: Paused or Refused."""

    def complete(self, ticket: Ticket) -> bool:
        """Blocks until the committed snapshot is marked as the job's result.

        False: nobody knows the snapshot any more, it has to be taken again.
        """

    def busy(self, what: str | None) -> None:
        """A long silence begins (or ends, with None)."""

    def close(self) -> None:
        """Gives up what is held; nothing may be called afterwards."""
