"""Runs on a backend that the test controls."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np
from kit.checkpoints import AT, a_receipt
from spot_training import snapshots
from spot_training.backends.backend import Beginning, Fresh, Lent, Restore, Ticket
from spot_training.checkpoint import arena
from spot_training.checkpoint.arena import Arena, Control
from spot_training.checkpoint.codec import Array
from spot_training.checkpoint.commit import build_manifest
from spot_training.notices import Notice
from spot_training.progress import Progress
from spot_training.snapshots import SnapshotFacts
from spot_training.times import utc_now


@dataclass(slots=True)
class ScriptedBackend:
    """A backend whose answers are attributes, and which records what it is told."""

    beginning: Beginning = field(default_factory=Fresh)
    attempt: int = 1
    rank: int = 0
    interval: float = 1000.0
    cost: float | None = None
    fitting: bool | None = None
    current: Notice | None = None
    outcome: str | None = "committed"
    free: bool = True
    forgets: int = 0
    asked: list[tuple[str, float | None]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    facts: list[SnapshotFacts] = field(default_factory=list)
    payloads: list[memoryview] = field(default_factory=list)
    tickets: list[Ticket] = field(default_factory=list)
    progress: Progress | None = None

    def begin(self) -> Beginning:
        return self.beginning

    def release(self, payload: memoryview) -> None:
        payload.release()

    def resumed(self, *, step: int, differs: list[str], seconds: float) -> None:
        assert seconds >= 0
        self.events.append(f"resumed {step} {differs}")

    def lend(self, size: int, reason: str, seconds: float | None) -> Lent | None:
        self.asked.append((reason, seconds))
        if not self.free:
            return None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "arena"
            arena.allocate(path, size)
            return Lent(Arena(path), 0)

    def submit(self, lent: Lent, control: Control, facts: SnapshotFacts) -> Ticket:
        payload = lent.arena.snapshot(control.generation)
        self.facts.append(facts)
        self.payloads.append(payload)
        ticket = Ticket(facts.step, control.payload_bytes)
        self.tickets.append(ticket)
        if self.outcome is not None:
            ticket.move(self.outcome, "as the test said")
        return ticket

    def notice(self) -> Notice | None:
        return self.current

    def fits(self, seconds: float | None) -> bool | None:
        return self.fitting

    def publish(self, progress: Progress) -> None:
        self.progress = progress

    def say(self, word: str, reason: str) -> None:
        self.events.append(f"{word}: {reason}")

    def complete(self, ticket: Ticket) -> bool:
        self.events.append(f"complete {ticket.step}")
        self.forgets -= 1
        return self.forgets < 0

    def busy(self, what: str | None) -> None:
        self.events.append(f"busy {what}")

    def close(self) -> None:
        self.events.append("closed")


def a_notice(
    kind: str = "Preempt", *, seconds: float | None = 120.0, source: str = "imds"
) -> Notice:
    """A notice whose deadline is in `seconds` from now."""
    now = utc_now()
    deadline = None if seconds is None else now + timedelta(seconds=seconds)
    return Notice(kind, deadline, source, now)


def restoring(payload: memoryview, *, step: int = 10) -> Restore:
    """The beginning that hands out a snapshot as a verified checkpoint."""
    receipt = a_receipt(payload, step=step)
    (item,) = receipt.objects
    manifest = build_manifest([receipt], committed_at=AT)
    copy = memoryview(bytearray(payload))
    return Restore(manifest, copy, item.algorithm, dict(item.tensors))


def arrays_in(payload: memoryview) -> dict[str, Array]:
    """Copies of a snapshot's arrays."""
    return {name: array.copy() for name, array in snapshots.read(payload)[0].items()}


@contextmanager
def global_randomness() -> Iterator[None]:
    """Puts the global generators back as they were."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
